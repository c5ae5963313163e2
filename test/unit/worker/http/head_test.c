/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of header fields: what policies do to it, and what never passes the gateway (G-FR-003).
 */
#include "test/unit/harness.h"

#include "worker/http/head.h"

static struct ws ws;
static struct head h;

static int
setup(void **state)
{
	(void)state;
	ws_init(&ws, NULL, 0);
	head_init(&h, &ws, true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ws_free(&ws);
	return 0;
}

static void
add(const char *name, const char *value)
{
	assert_true(head_add(&h, str_of(name), str_of(value)));
}

static void
a_media_type_is_known_by_its_whole_name(void **state)
{
	static const struct {
		const char *value;
		bool is;
	} rows[] = {
	    {"text/event-stream", true},
	    {"Text/Event-Stream;charset=utf-8", true},
	    {"text/event-stream ; charset=utf-8", true},
	    {"text/event-stream\t; a=b", true},
	    {"text/event-streams", false},
	    {"text/event", false},
	    {"", false},
	    {"text/plain; a=text/event-stream", false},
	};

	(void)state;
	assert_false(head_media_type(&h, STR("text/event-stream")));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(head_set(&h, STR("Content-Type"), str_of(rows[i].value)));
		assert_int_equal(head_media_type(&h, STR("text/event-stream")), rows[i].is);
	}
}

/* "name: value" of all that are there, in order. */
static void
assert_fields(const char *want)
{
	char have[2048] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < h.n; i++)
		if (!h.h[i].gone)
			n += (size_t)snprintf(have + n, sizeof(have) - n, "%.*s: %.*s\n",
			    STR_ARG(h.h[i].name), STR_ARG(h.h[i].value));
	assert_string_equal(have, want);
}

static void
fields_keep_order_and_spelling(void **state)
{
	(void)state;
	add("HOST", "a");
	add("x-B", "1");
	assert_true(head_add_id(&h, HDR_VIA, STR("1.1 gw")));
	add("X-b", "2");
	assert_fields("HOST: a\nx-B: 1\nvia: 1.1 gw\nX-b: 2\n");
	assert_string_equal(head_find(&h, STR("X-B"))->value.p, "1");
	assert_string_equal(head_next(&h, head_find(&h, STR("X-B")))->value.p, "2");
	assert_null(head_next(&h, head_next(&h, head_find(&h, STR("X-B")))));
	assert_string_equal(head_value(&h, HDR_VIA).p, "1.1 gw");
	assert_int_equal(head_value(&h, HDR_COOKIE).n, 0);
	assert_null(head_find(&h, STR("nobody")));
}

static void
removed_fields_are_not_found_again(void **state)
{
	(void)state;
	assert_null(head_find(&h, STR("x")));
	add("Cookie", "a=1");
	add("X_User", "forged");
	add("Cookie", "b=2");
	add("x-user", "forged");
	assert_int_equal(head_remove(&h, STR("X-User")), 2);
	head_get(&h, HDR_COOKIE)->gone = true;
	assert_string_equal(head_value(&h, HDR_COOKIE).p, "b=2");
	assert_int_equal(head_remove_id(&h, HDR_COOKIE), 1);
	assert_null(head_get(&h, HDR_COOKIE));
	assert_true(head_set(&h, STR("Cookie"), STR("c=3")));
	assert_true(head_set(&h, STR("Cookie"), STR("d=4")));
	assert_fields("Cookie: d=4\n");
}

static void
growing_keeps_what_was_found(void **state)
{
	char names[200][8];

	(void)state;
	add("Host", "a");
	for (unsigned i = 0; i < 200; i++) {
		snprintf(names[i], sizeof(names[i]), "x-%u", i);
		add(names[i], "v");
	}
	add("Host", "b");
	assert_string_equal(head_value(&h, HDR_HOST).p, "a");
	assert_ptr_equal(head_get(&h, HDR_HOST), &h.h[0]);
	assert_string_equal(head_next(&h, head_get(&h, HDR_HOST))->value.p, "b");
	assert_non_null(head_find(&h, STR("x-199")));
}

static void
hop_by_hop_fields_are_stripped(void **state)
{
	(void)state;
	add("Host", "a");
	add("Connection", "close, X-Hop ,keep-alive");
	add("connection", "X_Other");
	add("Keep-Alive", "timeout=5");
	add("Proxy-Connection", "x");
	add("TE", "trailers");
	add("Trailer", "x");
	add("Transfer-Encoding", "chunked");
	add("Upgrade", "h2c");
	add("Proxy-Authorization", "x");
	add("Proxy-Authenticate", "x");
	add("X-Hop", "1");
	add("X-Other", "2");
	add("X-Stays", "3");
	add("Expect", "100-continue");
	assert_int_equal(head_strip_hop(&h), 1);
	assert_fields("Host: a\nX-Stays: 3\n");
}

static void
connection_may_not_name_everything(void **state)
{
	static const char *const bad[] = {"host", "Authorization", "cookie", "Content-Length",
	    "content_length", "a, HOST", "a b", "\"x\""};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		head_init(&h, &ws, true);
		add("Connection", bad[i]);
		if (head_strip_hop(&h) != -1)
			fail_msg("Connection: %s is taken", bad[i]);
	}
	head_init(&h, &ws, true);
	add("Connection", " , ,");
	assert_int_equal(head_strip_hop(&h), 1);
}

/* `_` for `-` is the same name to an upstream: such a field goes with those it may stand for, also
 * where it came behind them. */
static void
removing_sees_through_underscores(void **state)
{
	(void)state;
	add("X-Real-IP", "1");
	add("a", "b");
	assert_int_equal(head_remove_id(&h, HDR_X_REAL_IP), 1);
	add("X_Real-Ip", "2");
	add("x-real-ip", "3");
	assert_int_equal(head_remove(&h, STR("x-real_IP")), 2);
	assert_int_equal(head_remove_id(&h, HDR_X_REAL_IP), 0);
	assert_int_equal(head_remove_id(&h, HDR_COOKIE), 0);
	assert_fields("a: b\n");
	head_init(&h, &ws, true);
	assert_int_equal(head_remove_id(&h, HDR_COOKIE), 0); /* of nothing at all */
	assert_int_equal(head_remove(&h, STR("cookie")), 0);
}

static void
memory_has_an_end(void **state)
{
	struct ws small;

	(void)state;
	ws_init(&small, NULL, 4096);
	head_init(&h, &small, true);
	for (unsigned i = 0; i < 1000; i++)
		if (!head_add(&h, STR("x"), STR("y")))
			break;
	assert_true(small.overflow);
	assert_true(h.n >= 32 && h.n < 1000);
	assert_non_null(head_find(&h, STR("x")));
	ws_free(&small);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(fields_keep_order_and_spelling, setup, teardown),
    TEST_WITH(removed_fields_are_not_found_again, setup, teardown),
    TEST_WITH(growing_keeps_what_was_found, setup, teardown),
    TEST_WITH(hop_by_hop_fields_are_stripped, setup, teardown),
    TEST_WITH(connection_may_not_name_everything, setup, teardown),
    TEST_WITH(a_media_type_is_known_by_its_whole_name, setup, teardown),
    TEST_WITH(removing_sees_through_underscores, setup, teardown),
    TEST_WITH(memory_has_an_end, setup, teardown),
};
RUN_TESTS(tests)
