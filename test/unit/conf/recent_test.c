/* SPDX-License-Identifier: Apache-2.0
 *
 * What the last generations changed, as the keeper writes it down and workers read it: never less
 * than was changed; where that cannot be, nothing is said to be known. F-PERF-02
 */
#include "test/unit/conf/apply_kit.h"

#include "conf/recent.h"

struct heard {
	unsigned n;
	struct recent_change v[RECENT_MAX];
};

static void
hear(void *arg, enum conf_kind kind, uint32_t number)
{
	struct heard *h = arg;

	assert_true(h->n < RECENT_MAX);
	h->v[h->n++] = (struct recent_change){.kind = kind, .number = number};
}

static int
since(struct fixture *f, uint64_t from, struct heard *h)
{
	*h = (struct heard){.n = 0};
	return table_changes(f->table, from, hear, h);
}

static int
routes(struct fixture *f, unsigned n, unsigned changed)
{
	char path[32], id[16];

	sets_begin(&f->sets, "file", true);
	sets_settings(&f->sets);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	sets_service(&f->sets, "one", "10.0.0.1:80", 1);
	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "r%u", i);
		snprintf(path, sizeof(path), "/%u/%u", i, i < changed ? changed : 0);
		sets_route(&f->sets, id, path, "one", NULL, NULL);
	}
	return sets_end(&f->sets);
}

static void
each_change_is_told(void **state)
{
	struct fixture *f = *state;
	struct conf_object o;
	struct heard h;

	apply(f, routes(f, 10, 0), true);
	assert_int_equal(since(f, 0, &h), 1);
	assert_int_equal(h.n, 13);
	assert_int_equal(since(f, 1, &h), 1);
	assert_int_equal(h.n, 0);
	assert_int_equal(apply(f, routes(f, 10, 1), true), 1);
	assert_int_equal(since(f, 1, &h), 1);
	assert_int_equal(h.n, 1);
	assert_int_equal(table_find(f->table, CONF_ROUTE, STR("r0"), &o), 1);
	assert_int_equal(h.v[0].kind, CONF_ROUTE);
	assert_int_equal(h.v[0].number, o.number);
	/* One that goes is told, too. */
	assert_int_equal(table_find(f->table, CONF_ROUTE, STR("r9"), &o), 1);
	assert_int_equal(apply(f, routes(f, 9, 1), true), 1);
	assert_int_equal(since(f, 2, &h), 1);
	assert_int_equal(h.n, 1);
	assert_int_equal(h.v[0].number, o.number);
	assert_int_equal(since(f, 1, &h), 1);
	assert_int_equal(h.n, 2);
	/* Of what is to come nothing is known. */
	assert_int_equal(since(f, 4, &h), 0);
}

static void
more_than_fit_are_not_known(void **state)
{
	struct fixture *f = *state;
	struct heard h;

	apply(f, routes(f, 2 * RECENT_MAX, 0), true);
	assert_int_equal(since(f, 0, &h), 0);
	assert_int_equal(since(f, 1, &h), 1);
	for (unsigned i = 1; i <= RECENT_MAX + 5; i++)
		assert_true(apply(f, routes(f, 2 * RECENT_MAX, i), true) > 0);
	/* The last are known, as many as there is room for. */
	assert_int_equal(since(f, table_generation(f->table) - 1, &h), 0);
	assert_int_equal(since(f, table_generation(f->table), &h), 1);
}

static void
old_ones_make_room(void **state)
{
	static struct recent r;

	(void)state;
	for (uint64_t g = 1; g <= 2 * RECENT_MAX; g++) {
		recent_begin(&r, g);
		recent_add(&r, CONF_ROUTE, (uint32_t)g);
		assert_int_equal(r.n, MIN(g, (uint64_t)RECENT_MAX));
		assert_int_equal(r.since, g - r.n);
		assert_int_equal(r.v[r.n - 1].number, g);
	}
	/* Somebody else made generations meanwhile. */
	recent_begin(&r, 1000);
	assert_int_equal(r.since, 999);
	assert_int_equal(r.n, 0);
	/* One too many in one generation. */
	for (uint32_t i = 0; i <= RECENT_MAX; i++)
		recent_add(&r, CONF_ROUTE, i);
	assert_int_equal(r.since, 1000);
	assert_int_equal(r.n, 0);
	recent_add(&r, CONF_ROUTE, 7);
	assert_int_equal(r.n, 0);
	recent_begin(&r, 1001);
	recent_add(&r, CONF_ROUTE, 8);
	assert_int_equal(r.since, 1000);
	assert_int_equal(r.n, 1);
}

static void
write_raw(struct fixture *f, struct str body)
{
	struct gbuf out = {0};
	struct db_txn *t;
	const char *error;
	size_t at = image_begin(&out, 'C');

	gbuf_str(&out, body);
	image_end(&out, at);
	assert_int_equal(db_begin(f->store.map.db, &t, &error), 1);
	assert_int_equal(
	    db_put(t, f->store.map.tab[MAP_META], STR("recent"), str_n(out.p, out.n), &error), 1);
	assert_int_equal(db_commit(&t, &error), 1);
	gbuf_free(&out);
	table_reset(f->table);
	assert_int_equal(table_renew(f->table), 1);
}

static void
damage_is_nothing_known(void **state)
{
	struct fixture *f = *state;
	struct heard h;
	struct recent r = {.generation = 1, .n = RECENT_MAX + 1};
	struct db_txn *t;
	const char *error;

	apply(f, routes(f, 3, 0), true);
	write_raw(f, STR("short"));
	assert_int_equal(since(f, 1, &h), 0);
	write_raw(f, str_n((const char *)&r, 20));
	assert_int_equal(since(f, 1, &h), 0);
	/* Another generation's: written by who knew nothing of it. */
	r = (struct recent){.generation = 7};
	assert_int_equal(db_begin(f->store.map.db, &t, &error), 1);
	assert_int_equal(recent_put(t, &f->store.map, &r, &error), 1);
	assert_int_equal(db_commit(&t, &error), 1);
	table_reset(f->table);
	assert_int_equal(table_renew(f->table), 1);
	assert_int_equal(since(f, 1, &h), 0);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(each_change_is_told, setup, teardown),
    TEST_WITH(more_than_fit_are_not_known, setup, teardown),
    TEST(old_ones_make_room),
    TEST_WITH(damage_is_nothing_known, setup, teardown),
};
RUN_TESTS(tests)
