/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis's protocol, whole, in pieces and broken.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"
#include "test/unit/master/watcher/redis/kit.h"

static void
replies_of_every_type(void **state)
{
	struct reply *r =
	    kit_reply("*6\r\n$2\r\nab\r\n:7\r\n$-1\r\n+OK\r\n-ERR no\r\n*1\r\n$0\r\n\r\n");
	uint64_t v = 0;

	(void)state;
	assert_true(reply_is_array(r, 6));
	assert_str(reply_str(reply_at(r, 0)), "ab");
	assert_int_equal(reply_u64(reply_at(r, 1), &v), 1);
	assert_int_equal(v, 7);
	assert_int_equal(reply_at(r, 2)->type, REPLY_NIL);
	assert_str(reply_str(reply_at(r, 3)), "OK");
	assert_true(reply_is_error(reply_at(r, 4)));
	assert_int_equal(reply_str(reply_at(r, 4)).n, 0);
	assert_int_equal(reply_str(reply_at(reply_at(r, 5), 0)).n, 0);
	assert_null(reply_at(r, 6));
	assert_null(reply_at(NULL, 0));
	assert_int_equal(reply_u64(reply_at(r, 0), &v), 0);
	reply_free(&r);
	assert_null(r);
}

static void
numbers_have_no_sign(void **state)
{
	struct reply *r = kit_reply("*3\r\n:-1\r\n$2\r\n-1\r\n$20\r\n18446744073709551615\r\n");
	uint64_t v = 5;

	(void)state;
	assert_int_equal(reply_u64(r->v[0], &v), 0);
	assert_int_equal(reply_u64(r->v[1], &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(reply_u64(r->v[2], &v), 1);
	assert_true(v == UINT64_MAX);
	reply_free(&r);
}

static void
octet_by_octet(void **state)
{
	static const char wire[] = "*2\r\n$3\r\na\0b\r\n*-1\r\n+x\r\n";
	struct resp *resp = resp_new();
	const char *error = "";
	struct reply *r = NULL;
	unsigned got = 0;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(wire); i++) {
		assert_int_equal(resp_feed(resp, str_n(wire + i, 1), &error), 1);
		if (resp_next(resp, &r, &error) != 1)
			continue;
		if (got++ == 0) {
			assert_int_equal(r->v[0]->str.n, 3);
			assert_memory_equal(r->v[0]->str.p, "a\0b", 3);
			assert_int_equal(r->v[1]->type, REPLY_NIL);
		}
		reply_free(&r);
	}
	assert_int_equal(got, 2);
	resp_free(&resp);
}

static int
outcome(const char *wire)
{
	struct resp *resp = resp_new();
	const char *error = NULL;
	struct reply *r = NULL;
	int rc;

	assert_int_equal(resp_feed(resp, str_of(wire), &error), 1);
	rc = resp_next(resp, &r, &error);
	if (rc < 0)
		assert_non_null(error);
	if (rc == 1)
		reply_free(&r);
	resp_free(&resp);
	return rc;
}

/* A server may send anything; what it sends is not allocated on its word. */
static void
nonsense_is_refused(void **state)
{
	(void)state;
	assert_int_equal(outcome("HTTP/1.1 400 Bad Request\r\n"), -1);
	assert_int_equal(outcome("*2000001\r\n"), -1);
	assert_int_equal(outcome("*2147483647\r\n"), -1);
	assert_int_equal(outcome("*2\r\n*1500000\r\n"), 0);
	assert_int_equal(outcome("$99999999\r\nab"), 0);
	assert_int_equal(
	    outcome("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"), -1);
	assert_int_equal(outcome("*0\r\n"), 1);
}

static void
elements_are_counted_together(void **state)
{
	(void)state;
	assert_int_equal(outcome("*2\r\n*1999999\r\n"), -1);
}

static void
too_long_a_reply_is_refused(void **state)
{
	size_t n = 16u << 20;
	char *octets = calloc(1, n);
	struct resp *resp = resp_new();
	const char *error = "";
	struct reply *r;
	int rc = 1;

	(void)state;
	assert_int_equal(resp_feed(resp, STR("$400000000\r\n"), &error), 1);
	for (unsigned i = 0; i < 17 && rc == 1; i++) {
		rc = resp_feed(resp, str_n(octets, n), &error);
		if (rc == 1)
			assert_int_equal(resp_next(resp, &r, &error), 0);
	}
	assert_int_equal(rc, -1);
	assert_non_null(strstr(error, "256 MB"));
	resp_free(&resp);
	free(octets);
}

static void
commands_are_octets(void **state)
{
	struct command c = {.n = 0};

	(void)state;
	COMMAND(&c, STR("SET"), str_n("a\0b", 3), STR_NONE);
	COMMAND(&c, STR("PING"));
	assert_int_equal(c.n, 2);
	assert_memory_equal(
	    c.text.p, "*3\r\n$3\r\nSET\r\n$3\r\na\0b\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", c.text.n);
	command_free(&c);
	assert_int_equal(c.n, 0);
}

static const struct CMUnitTest tests[] = {
    TEST(replies_of_every_type),
    TEST(numbers_have_no_sign),
    TEST(octet_by_octet),
    TEST(nonsense_is_refused),
    TEST(elements_are_counted_together),
    TEST(too_long_a_reply_is_refused),
    TEST(commands_are_octets),
};
RUN_TESTS(tests)
