/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads as they go out: framing from the head's own members, nothing that could be read as more
 * than one field.
 */
#include "test/unit/harness.h"

#include "worker/http/h1.h"

static struct ws ws;
static struct head h;

static int
setup(void **state)
{
	(void)state;
	ws_init(&ws, NULL, 0);
	head_init(&h, &ws, true);
	h.method_text = STR("GET");
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
assert_text(struct str s, const char *want)
{
	if (!str_eq(s, str_of(want)))
		fail_msg("\"%.*s\"\ninstead of \"%s\"", STR_ARG(s), want);
}

static void
requests_are_written(void **state)
{
	(void)state;
	head_add(&h, STR("Host"), STR("a"));
	head_add(&h, STR("X-Gone"), STR("x"));
	head_add(&h, STR("Content-Length"), STR("99"));
	head_add(&h, STR("Transfer-Encoding"), STR("gzip"));
	head_add(&h, STR("Connection"), STR("x"));
	head_add(&h, STR("X-Empty"), STR(""));
	h.h[1].gone = true;
	assert_text(h1_write_request(&h, STR("/p?q"), true, STR("")),
	    "GET /p?q HTTP/1.1\r\nHost: a\r\nX-Empty: \r\n\r\n");
	h.body = BODY_LENGTH;
	h.has_length = true;
	h.length = 12345;
	assert_text(h1_write_request(&h, STR("/"), false, STR("TE")),
	    "GET / HTTP/1.1\r\nHost: a\r\nX-Empty: \r\nContent-Length: 12345\r\n"
	    "Connection: close, TE\r\n\r\n");
	h.body = BODY_CHUNKED;
	h.has_length = false;
	assert_text(h1_write_request(&h, STR("/"), true, STR("upgrade")),
	    "GET / HTTP/1.1\r\nHost: a\r\nX-Empty: \r\nTransfer-Encoding: chunked\r\n"
	    "Connection: upgrade\r\n\r\n");
	h.body = BODY_NONE;
	h.has_length = true;
	h.length = 0;
	assert_text(h1_write_request(&h, STR("/"), true, STR("")),
	    "GET / HTTP/1.1\r\nHost: a\r\nX-Empty: \r\nContent-Length: 0\r\n\r\n");
}

static void
responses_are_written_for_the_client_s_version(void **state)
{
	(void)state;
	h.request = false;
	h.status = 200;
	head_add(&h, STR("A"), STR("b"));
	h.has_length = true;
	h.length = 7;
	h.body = BODY_LENGTH;
	assert_text(h1_write_response(&h, 1, true, STR("")),
	    "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 7\r\n\r\n");
	assert_text(h1_write_response(&h, 1, false, STR("")),
	    "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 7\r\nConnection: close\r\n\r\n");
	assert_text(h1_write_response(&h, 0, true, STR("")),
	    "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n");
	h.body = BODY_CHUNKED;
	h.has_length = false;
	h.reason = STR("Fine");
	assert_text(h1_write_response(&h, 1, true, STR("")),
	    "HTTP/1.1 200 Fine\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_text(h1_write_response(&h, 0, true, STR("")),
	    "HTTP/1.1 200 Fine\r\nA: b\r\nConnection: close\r\n\r\n");
	h.body = BODY_EOF;
	assert_text(h1_write_response(&h, 1, true, STR("")),
	    "HTTP/1.1 200 Fine\r\nA: b\r\nConnection: close\r\n\r\n");
	head_init(&h, &ws, false);
	h.status = 100;
	assert_text(h1_write_response(&h, 1, true, STR("")), "HTTP/1.1 100 Continue\r\n\r\n");
	h.status = 299;
	assert_text(h1_write_response(&h, 1, true, STR("")), "HTTP/1.1 299 \r\n\r\n");
	/* The length of what HEAD asks about, and of what has not been modified. */
	h.status = 304;
	h.has_length = true;
	h.length = 5;
	assert_text(h1_write_response(&h, 1, true, STR("")),
	    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
}

static void
nothing_unfit_is_written(void **state)
{
	static const struct {
		const char *name;
		struct str value;
	} rows[] = {
	    {"X", {"a\r\nEvil: 1", 10}},
	    {"X", {"a\nb", 3}},
	    {"X", {"a\rb", 3}},
	    {"X", {"a\0b", 3}},
	    {"X", {"\x7f", 1}},
	    {"X\r\nY", {"a", 1}},
	    {"X:", {"a", 1}},
	    {"X ", {"a", 1}},
	    {"", {"a", 1}},
	    {"User-Agent", {"a\r\nb", 4}},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		head_init(&h, &ws, true);
		h.method_text = STR("GET");
		head_add(&h, str_of(rows[i].name), rows[i].value);
		assert_null(h1_write_request(&h, STR("/"), true, STR("")).p);
		h.status = 200;
		assert_null(h1_write_response(&h, 1, true, STR("")).p);
	}
	head_init(&h, &ws, true);
	h.method_text = STR("GET");
	assert_null(h1_write_request(&h, STR("/ HTTP/1.1\r\n"), true, STR("")).p);
	assert_null(h1_write_request(&h, STR("/a b"), true, STR("")).p);
	assert_null(h1_write_request(&h, STR(""), true, STR("")).p);
	assert_null(h1_write_request(&h, STR("/"), true, STR("x\r\ny")).p);
	h.method_text = STR("GE T");
	assert_null(h1_write_request(&h, STR("/"), true, STR("")).p);
	h.status = 200;
	h.reason = STR("O\r\nK");
	assert_null(h1_write_response(&h, 1, true, STR("")).p);
}

/* What was written is read back as the same, by the strict reader. */
static void
what_is_written_can_be_read(void **state)
{
	static const struct h1_limits l = {.request_line = 100, .headers = 1000, .count = 10};
	struct head back;
	struct h1_scan scan = {0};
	struct str text;
	uint32_t len;
	enum reason why;

	(void)state;
	head_add(&h, STR("Host"), STR("a"));
	head_add(&h, STR("X-Y"), STR("z\t\xff"));
	h.body = BODY_CHUNKED;
	text = h1_write_request(&h, STR("/x?y=1"), false, STR(""));
	assert_int_equal(h1_scan(&scan, text, true, &l, &len, &why), 1);
	assert_int_equal(len, text.n);
	head_init(&back, &ws, true);
	assert_int_equal(h1_parse_request(text, &l, &back, &why), 1);
	assert_int_equal(back.body, BODY_CHUNKED);
	assert_false(back.keepalive);
	assert_true(str_eq(head_find(&back, STR("x-y"))->value, STR("z\t\xff")));
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(requests_are_written, setup, teardown),
    TEST_WITH(responses_are_written_for_the_client_s_version, setup, teardown),
    TEST_WITH(nothing_unfit_is_written, setup, teardown),
    TEST_WITH(what_is_written_can_be_read, setup, teardown),
};
RUN_TESTS(tests)
