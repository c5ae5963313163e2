/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of the console's objects, and their content hash against sums made elsewhere.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"
#include "master/watcher/redis/mirror.h"

#define A_VALUE STR("{\"schema\":1,\"value\":{}}")
#define B_VALUE STR("{\"schema\":1,\"value\":{\"url\":\"http://1.2.3.4:5\"}}")
#define ZEROS   "0000000000000000000000000000000000000000000000000000000000000000"

static void
assert_hash(const struct mirror *m, const char *want)
{
	char hash[65];

	mirror_hash(m, hash);
	assert_string_equal(hash, want);
}

/* The vectors are of Python's hashlib: SHA-256 of field, NUL, value; XOR of all. */
static void
content_hash(void **state)
{
	struct mirror m;

	(void)state;
	mirror_init(&m);
	assert_hash(&m, ZEROS);
	assert_int_equal(mirror_put(&m, STR("route/a"), A_VALUE), 1);
	assert_hash(&m, "9b2bcfff96e6e26d96266f1b41693f9675d31d0a00f2c518584ef6546bdf3022");
	assert_int_equal(mirror_put(&m, STR("service/b"), B_VALUE), 1);
	assert_hash(&m, "33bc4c69af362a6b737a9907f70a42d07e86c296959ee0da2e9f2ea1dfdbccd9");
	assert_int_equal(mirror_put(&m, STR("service/b"), B_VALUE), 0);
	assert_int_equal(mirror_del(&m, STR("route/a")), 1);
	assert_hash(&m, "a897839639d0c806e55cf61cb6637d460b55df9c956c25c276d1d8f5b404fcfb");
	assert_int_equal(mirror_del(&m, STR("route/a")), 0);
	assert_int_equal(mirror_del(&m, STR("service/b")), 1);
	assert_hash(&m, ZEROS);
	assert_int_equal(m.n, 0);
	mirror_clear(&m);
}

static void
order_does_not_matter(void **state)
{
	struct mirror a, b;
	char field[32], one[65], other[65];

	(void)state;
	mirror_init(&a);
	mirror_init(&b);
	for (int i = 0; i < 500; i++) {
		snprintf(field, sizeof(field), "route/%d", i);
		mirror_put(&a, str_of(field), A_VALUE);
		snprintf(field, sizeof(field), "route/%d", 499 - i);
		mirror_put(&b, str_of(field), B_VALUE);
		mirror_put(&b, str_of(field), A_VALUE);
	}
	mirror_hash(&a, one);
	mirror_hash(&b, other);
	assert_string_equal(one, other);
	assert_int_equal(a.n, 500);
	mirror_clear(&a);
	mirror_clear(&b);
}

static void
count(void *arg, struct str field)
{
	(void)field;
	++*(unsigned *)arg;
}

static void
drop(void *arg, struct str field)
{
	mirror_del(arg, field);
}

static void
a_pass_finds_what_is_missing(void **state)
{
	struct mirror m;
	unsigned n = 0;

	(void)state;
	mirror_init(&m);
	mirror_put(&m, STR("route/a"), A_VALUE);
	mirror_put(&m, STR("route/b"), A_VALUE);
	mirror_put(&m, STR("route/c"), A_VALUE);
	mirror_pass(&m);
	assert_false(mirror_meet(&m, STR("route/a"), A_VALUE));
	assert_true(mirror_meet(&m, STR("route/b"), B_VALUE));
	assert_true(mirror_meet(&m, STR("route/new"), B_VALUE));
	mirror_sweep(&m, count, &n);
	assert_int_equal(n, 1);
	assert_int_equal(m.n, 3);
	mirror_sweep(&m, drop, &m);
	assert_int_equal(m.n, 2);
	mirror_clear(&m);
}

static void
refused_ones_are_remembered(void **state)
{
	struct mirror m;
	char before[65], after[65];

	(void)state;
	mirror_init(&m);
	mirror_put(&m, STR("route/a"), A_VALUE);
	mirror_hash(&m, before);
	mirror_refuse(&m, STR("route/a"), STR("no"));
	mirror_refuse(&m, STR("route/gone"), STR("still used"));
	mirror_refuse(&m, STR("route/a"), STR("still no"));
	assert_int_equal(m.n_refused, 2);
	assert_int_equal(m.n, 1);
	assert_string_equal(mirror_error(&m, STR("route/a")), "still no");
	assert_null(mirror_error(&m, STR("route/b")));
	mirror_hash(&m, after);
	assert_string_equal(before, after);
	/* Deleted there while it is refused here: it stays in mind until that is settled too. */
	assert_int_equal(mirror_del(&m, STR("route/a")), 1);
	assert_non_null(mirror_error(&m, STR("route/a")));
	mirror_accept(&m, STR("route/a"));
	mirror_accept(&m, STR("route/gone"));
	mirror_accept(&m, STR("route/never"));
	assert_int_equal(m.n_refused, 0);
	assert_int_equal(m.table.n, 0);
	mirror_clear(&m);
}

static const struct CMUnitTest tests[] = {
    TEST(content_hash),
    TEST(order_does_not_matter),
    TEST(a_pass_finds_what_is_missing),
    TEST(refused_ones_are_remembered),
};
RUN_TESTS(tests)
