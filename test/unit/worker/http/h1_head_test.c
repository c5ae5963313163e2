/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads as a client or an upstream may send them: what is refused and why, and what is made of the
 * rest. The first table has a row for every form that http-parser lets through and should not
 * (G-FR-001; ).
 */
#include "test/unit/harness.h"

#include "worker/http/h1.h"

static const struct h1_limits limits = {
    .request_line = 256, .headers = 2048, .count = 20, .merge_slashes = true};

struct result {
	int r;
	enum reason why;
	struct head head;
	struct ws ws;
};

static struct result res;

static int
parse_with(struct str text, bool head_request, const struct h1_limits *l)
{
	bool request = res.head.request;

	head_init(&res.head, &res.ws, request);
	res.why = REASON_NONE;
	return request ? h1_parse_request(text, l, &res.head, &res.why)
		       : h1_parse_response(text, head_request, l, &res.head, &res.why);
}

/* Scans and parses, as the connection does: 1, 0 more is needed, -1. http-parser has nothing
 * against what it is not asked about. */
static int
parse(struct str text, bool request, bool head_request)
{
	struct h1_limits ask = limits;
	struct h1_scan s = {0};
	uint32_t len = 0;

	ws_free(&res.ws);
	ws_init(&res.ws, NULL, 0);
	head_init(&res.head, &res.ws, request);
	res.why = REASON_NONE;
	res.r = h1_scan(&s, text, request, &limits, &len, &res.why);
	if (res.r != 1)
		return res.r;
	text.n = len;
	ask.ask_always = true;
	res.r = parse_with(text, head_request, &ask);
	assert_int_equal(parse_with(text, head_request, &limits), res.r);
	return res.r;
}

static int
request(const char *z)
{
	return parse(str_of(z), true, false);
}

static int
cleanup(void **state)
{
	(void)state;
	ws_free(&res.ws);
	return 0;
}

#define HOST "Host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define ROW(text, why)                                                                             \
	{                                                                                          \
		{text, sizeof(text) - 1}, REASON_##why                                             \
	}

static const struct refused {
	struct str text;
	enum reason why;
} hostile[] = {
    /* names: only tchar, no space before the colon, none before the name */
    ROW(POST "Transfer-Encoding : chunked\r\n\r\n", BAD_HEADER),
    ROW(POST "Transfer Encoding: chunked\r\n\r\n", BAD_HEADER),
    ROW("POST / HTTP/1.1\r\n Content-Length: 3\r\n" HOST "\r\n", BAD_HEADER),
    ROW(POST " Content-Length: 3\r\n\r\n", BAD_HEADER),
    ROW(POST "\tContent-Length: 3\r\n\r\n", BAD_HEADER),
    ROW(POST "Content-Length\t: 3\r\n\r\n", BAD_HEADER),
    ROW(GET ": x\r\n\r\n", BAD_HEADER),
    ROW(GET "no-colon\r\n\r\n", BAD_HEADER),
    ROW(GET "na\xc3\xa4me: x\r\n\r\n", BAD_HEADER),
    ROW(GET "a(b: x\r\n\r\n", BAD_HEADER),
    /* a CR that ends nothing */
    ROW(POST "X: \rxTransfer-Encoding: chunked\r\n\r\n", BAD_HEADER),
    ROW(GET "X: a\rb\r\n\r\n", BAD_HEADER),
    ROW(GET "\rX: a\r\n\r\n", BAD_HEADER),
    ROW("GET / HTTP/1.1\rHost: a\r\n\r\n", BAD_REQUEST),
    /* a LF that comes alone */
    ROW("GET / HTTP/1.1\n" HOST "\r\n", BAD_REQUEST),
    ROW("GET / HTTP/1.1\nHost: a\n\n", BAD_REQUEST),
    ROW("GET / HTTP/1.1\r\nHost: a\n\n", BAD_HEADER),
    ROW(GET "X: a\nY: b\r\n\r\n", BAD_HEADER),
    ROW(GET "\n", BAD_HEADER),
    ROW("\nGET / HTTP/1.1\r\n" HOST "\r\n", BAD_REQUEST),
    /* the end of the head with something else in the LF's place */
    ROW(GET "\rX\n", BAD_HEADER),
    ROW(GET "\r\rX", BAD_HEADER),
    /* folds */
    ROW(POST "Transfer-Encoding:\r\n chunked\r\n\r\n", BAD_HEADER),
    ROW(GET "X: a\r\n\tb\r\n\r\n", BAD_HEADER),
    /* control octets */
    ROW(GET "X: a\0b\r\n\r\n", BAD_HEADER),
    ROW(GET "X: a\x01\r\n\r\n", BAD_HEADER),
    ROW(GET "X: a\x7f\r\n\r\n", BAD_HEADER),
    ROW("GET /\0 HTTP/1.1\r\n" HOST "\r\n", BAD_REQUEST),
    /* lengths that contradict or are none */
    ROW(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", BAD_FRAMING),
    ROW(POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", BAD_FRAMING),
    ROW(POST "Transfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length: 3, 3\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length: +3\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length: -3\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length: 0x3\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length: 3 3\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length:\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length: 99999999999999999999\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length: 9223372036854775808\r\n\r\n", BAD_FRAMING),
    ROW(POST "Content-Length: 18446744073709551619\r\n\r\n", BAD_FRAMING),
    /* codings */
    ROW(POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n", BAD_FRAMING),
    ROW(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", BAD_FRAMING),
    ROW(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", BAD_FRAMING),
    ROW(POST "Transfer-Encoding: chunked, identity\r\n\r\n", BAD_FRAMING),
    ROW(POST "Transfer-Encoding: chunked, chunked\r\n\r\n", BAD_FRAMING),
    ROW(POST "Transfer-Encoding: chunked;x=1\r\n\r\n", BAD_FRAMING),
    ROW(POST "Transfer-Encoding: \"chunked\"\r\n\r\n", BAD_FRAMING),
    ROW(POST "Transfer-Encoding:\r\n\r\n", BAD_FRAMING),
    ROW(POST "Transfer-Encoding: \x0b"
	     "chunked\r\n\r\n",
	BAD_HEADER),
    ROW(POST "Transfer-Encoding: gzip\r\n\r\n", NOT_IMPLEMENTED),
    ROW(POST "Transfer-Encoding: xchunked\r\n\r\n", NOT_IMPLEMENTED),
    ROW(POST "Transfer-Encoding: gzip, chunked\r\n\r\n", NOT_IMPLEMENTED),
    ROW("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", BAD_FRAMING),
    /* targets */
    ROW("GET /a\tb HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET /\x80 HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET /?\xff HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET /a#b HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET /?q#b HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET  / HTTP/1.1\r\n" HOST "\r\n", BAD_REQUEST),
    ROW("GET /  HTTP/1.1\r\n" HOST "\r\n", BAD_REQUEST),
    ROW("GET / a HTTP/1.1\r\n" HOST "\r\n", BAD_REQUEST),
    ROW("GET / HTTP/1.1 \r\n" HOST "\r\n", BAD_REQUEST),
    ROW(" GET / HTTP/1.1\r\n" HOST "\r\n", BAD_REQUEST),
    ROW("GET\t/ HTTP/1.1\r\n" HOST "\r\n", BAD_REQUEST),
    ROW("G(T / HTTP/1.1\r\n" HOST "\r\n", BAD_REQUEST),
    ROW("GET * HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET a/b HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET http:///x HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET /../x HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("GET /a%00 HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("CONNECT / HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    ROW("CONNECT a HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    /* versions */
    ROW("GET /\r\n\r\n", BAD_REQUEST),
    ROW("GET / HTTP/0.9\r\n" HOST "\r\n", VERSION),
    ROW("GET / HTTP/1.2\r\n" HOST "\r\n", VERSION),
    ROW("GET / HTTP/2.0\r\n" HOST "\r\n", VERSION),
    ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
    ROW("GET / HTTP/1.10\r\n" HOST "\r\n", BAD_REQUEST),
    ROW("GET / http/1.1\r\n" HOST "\r\n", BAD_REQUEST),
    ROW("GET / HTTP/1,1\r\n" HOST "\r\n", BAD_REQUEST),
    ROW("GET / ICE/1.1\r\n" HOST "\r\n", BAD_REQUEST),
    /* one Host, and the same as in an absolute target */
    ROW("GET / HTTP/1.1\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost:\r\n\r\n", BAD_HOST),
    ROW(GET HOST "\r\n", BAD_HOST),
    ROW(GET "Host: b\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost: a:0x50\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", BAD_HOST),
    ROW("GET http://b/ HTTP/1.1\r\n" HOST "\r\n", BAD_HOST),
    ROW("GET http://a:81/ HTTP/1.1\r\n" HOST "\r\n", BAD_HOST),
    /* expectations */
    ROW(POST "Content-Length: 3\r\nExpect: 200-ok\r\n\r\n", EXPECTATION),
    ROW(POST "Content-Length: 3\r\nExpect: 100-continue, x\r\n\r\n", EXPECTATION),
    /* other protocols altogether */
    ROW("\x16\x03\x01\x02\x00", BAD_REQUEST),
    ROW("\r\n\r\n\r\n\r\n\r\n\r\n" GET "\r\n", BAD_REQUEST),
};

static void
hostile_heads_are_refused_with_their_reason(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(hostile); i++) {
		int r = parse(hostile[i].text, true, false);

		if (r != -1 || res.why != hostile[i].why)
			fail_msg("row %u: %.*s: %d, reason %s", i, STR_ARG(hostile[i].text), r,
			    reason_table[res.why].name);
	}
}

/* The prefix of a refused head may be incomplete, but never good. */
static void
hostile_heads_are_never_good_in_pieces(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(hostile); i++) {
		for (size_t n = 0; n < hostile[i].text.n; n++) {
			struct str part = str_sub(hostile[i].text, 0, n);

			if (parse(part, true, false) == 1)
				fail_msg("row %u is good at %zu octets", i, n);
		}
	}
}

/* However a head is cut into reads, the scan comes to the same end. */
static void
the_scan_does_not_mind_pieces(void **state)
{
	static const char text[] = "\r\nPOST /a HTTP/1.1\r\nHost: a\r\nX: \t y \r\nY:\r\n\r\nbody";
	struct h1_scan s = {0};
	enum reason why;
	uint32_t len = 0;
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(text); n++)
		if (h1_scan(&s, str_n(text, n), true, &limits, &len, &why) != 0)
			break;
	assert_int_equal(n, sizeof(text) - 5);
	assert_int_equal(len, sizeof(text) - 5);
	assert_int_equal(s.line, strlen("POST /a HTTP/1.1"));
}

static void
assert_str(struct str s, const char *z)
{
	if (!str_eq(s, str_of(z)))
		fail_msg("\"%.*s\" instead of \"%s\"", STR_ARG(s), z);
}

static void
a_request_is_read_whole(void **state)
{
	const struct head *h = &res.head;

	(void)state;
	assert_int_equal(
	    request("GET /a//b/./%41?x=%zz&y[]={1} HTTP/1.1\r\nHOST: ExAmple.COM:8080\r\n"
		    "accept:*/*\r\nX-Empty:\r\nX-Odd: \t a\tb\x80 \r\n\r\n"),
	    1);
	assert_int_equal(h->method, METHOD_GET);
	assert_str(h->method_text, "GET");
	assert_str(h->path, "/a/b/A");
	assert_str(h->query, "x=%zz&y[]={1}");
	assert_true(h->has_query);
	assert_str(h->target, "/a//b/./%41?x=%zz&y[]={1}");
	assert_str(h->authority, "example.com:8080");
	assert_str(h->host, "example.com");
	assert_str(head_value(h, HDR_HOST), "example.com:8080");
	assert_str(head_value(h, HDR_ACCEPT), "*/*");
	assert_int_equal(h->n, 4);
	assert_str(head_find(h, STR("x-empty"))->value, "");
	assert_str(head_find(h, STR("x-odd"))->value, "a\tb\x80");
	assert_true(h->keepalive);
	assert_int_equal(h->minor, 1);
	assert_int_equal(h->body, BODY_NONE);
	assert_false(h->has_length);
}

static void
bodies_of_requests_are_framed(void **state)
{
	(void)state;
	assert_int_equal(request(POST "Content-Length: 0012\r\n\r\n"), 1);
	assert_int_equal(res.head.body, BODY_LENGTH);
	assert_int_equal(res.head.length, 12);
	assert_int_equal(request(POST "Content-Length: 0\r\n\r\n"), 1);
	assert_int_equal(res.head.body, BODY_NONE);
	assert_true(res.head.has_length);
	assert_int_equal(request(POST "Transfer-Encoding: Chunked\r\n\r\n"), 1);
	assert_int_equal(res.head.body, BODY_CHUNKED);
	assert_false(res.head.has_length);
	assert_int_equal(request(POST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n"), 1);
	assert_true(res.head.expect_continue);
	assert_int_equal(request(GET "Expect: 100-continue\r\n\r\n"), 1);
	assert_false(res.head.expect_continue);
	assert_int_equal(
	    request("POST / HTTP/1.0\r\nExpect: other\r\nContent-Length: 1\r\n\r\n"), 1);
	assert_false(res.head.expect_continue);
}

static void
forms_of_targets(void **state)
{
	(void)state;
	assert_int_equal(request("GET http://A:80/x?y HTTP/1.1\r\n" HOST "\r\n"), 1);
	assert_str(res.head.path, "/x");
	assert_str(res.head.authority, "a:80");
	assert_str(res.head.scheme, "http");
	assert_str(head_value(&res.head, HDR_HOST), "a:80");
	assert_int_equal(request("GET HTTPS://a?y HTTP/1.1\r\nHost: a:443\r\n\r\n"), 1);
	assert_str(res.head.path, "/");
	assert_str(res.head.query, "y");
	assert_str(res.head.scheme, "https");
	assert_int_equal(request("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), 1);
	assert_str(res.head.path, "*");
	assert_int_equal(request("OPTIONS http://a HTTP/1.1\r\n" HOST "\r\n"), 1);
	assert_str(res.head.path, "*");
	assert_int_equal(request("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), 1);
	assert_int_equal(res.head.method, METHOD_CONNECT);
	assert_str(res.head.authority, "a:443");
	assert_int_equal(request("TRACE / HTTP/1.1\r\n" HOST "\r\n"), 1);
	assert_int_equal(res.head.method, METHOD_TRACE);
	assert_int_equal(request("GET / HTTP/1.1\r\nHost: [2001:DB8::1]:8080\r\n\r\n"), 1);
	assert_str(res.head.host, "[2001:db8::1]");
}

static void
methods_nobody_knows_travel_as_text(void **state)
{
	(void)state;
	assert_int_equal(request("BREW /pot HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n"), 1);
	assert_int_equal(res.head.method, METHOD_EXTENSION);
	assert_str(res.head.method_text, "BREW");
	assert_str(res.head.path, "/pot");
	assert_int_equal(res.head.length, 2);
	assert_int_equal(request("get / HTTP/1.1\r\n" HOST "\r\n"), 1);
	assert_int_equal(res.head.method, METHOD_EXTENSION);
	assert_int_equal(request("PROPFIND / HTTP/1.1\r\n" HOST "\r\n"), 1);
	assert_int_equal(res.head.method, METHOD_EXTENSION);
	assert_int_equal(request("BREW / HTTP/1.1\r\n" HOST "Na me: x\r\n\r\n"), -1);
	assert_int_equal(res.why, REASON_BAD_HEADER);
}

static void
connections_persist_as_told(void **state)
{
	(void)state;
	assert_int_equal(request(GET "Connection: x, Close\r\n\r\n"), 1);
	assert_false(res.head.keepalive);
	assert_int_equal(request(GET "Connection: x\r\nConnection: close\r\n\r\n"), 1);
	assert_false(res.head.keepalive);
	assert_int_equal(request("GET / HTTP/1.0\r\n\r\n"), 1);
	assert_false(res.head.keepalive);
	assert_int_equal(request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 1);
	assert_true(res.head.keepalive);
	assert_int_equal(request(GET "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), 1);
	assert_str(res.head.upgrade, "websocket");
	assert_true(res.head.keepalive);
	assert_int_equal(request(GET "Upgrade: websocket\r\n\r\n"), 1);
	assert_str(res.head.upgrade, "");
}

static void
limits_have_their_answers(void **state)
{
	char big[4096];
	int n;

	(void)state;
	n = snprintf(big, sizeof(big), "GET /%0260d", 0); /* no end of the line in sight */
	assert_int_equal(parse(str_n(big, (size_t)n), true, false), -1);
	assert_int_equal(res.why, REASON_URI_TOO_LONG);
	n = snprintf(big, sizeof(big), "GET /%0242d HTTP/1.1\r\n" HOST "\r\n", 0);
	assert_int_equal(parse(str_n(big, (size_t)n), true, false), 1); /* 256, the limit */
	n = snprintf(big, sizeof(big), "GET /%0243d HTTP/1.1\r\n" HOST "\r\n", 0);
	assert_int_equal(parse(str_n(big, (size_t)n), true, false), -1);
	n = snprintf(big, sizeof(big), GET "X: %02100d", 0);
	assert_int_equal(parse(str_n(big, (size_t)n), true, false), -1);
	assert_int_equal(res.why, REASON_HEADERS_TOO_LARGE);
	n = snprintf(big, sizeof(big), "GET / HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 19; i++)
		n += snprintf(big + n, sizeof(big) - (size_t)n, "X-%d: y\r\n", i);
	snprintf(big + n, sizeof(big) - (size_t)n, "\r\n");
	assert_int_equal(request(big), 1);
	assert_int_equal(res.head.n, 20);
	snprintf(big + n, sizeof(big) - (size_t)n, "Z: 1\r\n\r\n");
	assert_int_equal(request(big), -1);
	assert_int_equal(res.why, REASON_HEADERS_TOO_LARGE);
}

/* The log can tell what it was even when it was refused. */
static void
what_could_be_read_stays(void **state)
{
	(void)state;
	assert_int_equal(request("POST / HTTP/1.0\r\n" HOST "a b: c\r\n\r\n"), -1);
	assert_str(res.head.method_text, "POST");
	assert_int_equal(res.head.minor, 0);
	assert_str(res.head.target, "/");
}

static const struct answer {
	const char *text;
	bool to_head;
	int r;
	enum body_kind body;
	int64_t length; /* -1: none */
	bool keepalive;
} answers[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, 1, BODY_LENGTH, 5, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 1, BODY_NONE, 0, true},
    {"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", false, 1, BODY_CHUNKED, -1, true},
    {"HTTP/1.1 200 \r\n\r\n", false, 1, BODY_EOF, -1, false},
    {"HTTP/1.0 200 OK\r\n\r\n", false, 1, BODY_EOF, -1, false},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", false, 1,
	BODY_LENGTH, 1, true},
    {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n", false, 1, BODY_LENGTH, 1,
	false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, 1, BODY_NONE, 5, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, 1, BODY_NONE, -1, true},
    {"HTTP/1.1 200 OK\r\n\r\n", true, 1, BODY_NONE, -1, true},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 1, BODY_NONE, 5, true},
    {"HTTP/1.1 204 No Content\r\n\r\n", false, 1, BODY_NONE, -1, true},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false, 1, BODY_NONE, -1, true},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false, 1, BODY_NONE, -1, false},
    {"HTTP/1.1 100 Continue\r\n\r\n", false, 1, BODY_NONE, -1, true},
    {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", false, 1, BODY_NONE, -1, true},
    {"HTTP/1.1 599 \x80\r\nContent-Length: 1\r\n\r\n", false, 1, BODY_LENGTH, 1, true},
    {"HTTP/1.1 99 X\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1 099 X\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1 600 X\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1 1000 X\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1  200 OK\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/2.0 200 OK\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.2 200 OK\r\n\r\n", false, -1, 0, 0, false},
    {"ICY 200 OK\r\n\r\n", false, -1, 0, 0, false},
    {"\r\nHTTP/1.1 200 OK\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1 200 OK\n\n", false, -1, 0, 0, false},
    {"HTTP/1.1 200 O\rK\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false, -1, 0, 0,
	false},
    {"HTTP/1.1 304 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false, -1, 0, 0,
	false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", false, -1, 0, 0, false},
    {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, -1, 0, 0, false},
};

static void
responses_end_where_the_rules_say(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(answers); i++) {
		const struct answer *a = &answers[i];
		int r = parse(str_of(a->text), false, a->to_head);

		if (r != a->r || (r == -1 && res.why != REASON_BAD_UPSTREAM))
			fail_msg(
			    "row %u: %s: %d, reason %s", i, a->text, r, reason_table[res.why].name);
		if (r == -1)
			continue;
		if (res.head.body != a->body || res.head.keepalive != a->keepalive ||
		    res.head.has_length != (a->length >= 0) ||
		    (a->length >= 0 && res.head.length != (uint64_t)a->length))
			fail_msg("row %u: %s: body %d keepalive %d length %d", i, a->text,
			    res.head.body, res.head.keepalive, (int)res.head.length);
	}
}

/* A message that is followed by another gives up its own octets only. */
static void
what_follows_is_left_alone(void **state)
{
	static const char two[] = "HTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
	struct h1_scan s = {0};
	enum reason why;
	uint32_t len;

	(void)state;
	assert_int_equal(
	    h1_scan(&s, STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2"), true,
		&limits, &len, &why),
	    1);
	assert_int_equal(len, strlen("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
	assert_int_equal(parse(str_of(two), false, false), 1);
	assert_int_equal(res.head.status, 103);
	assert_int_equal(res.head.n, 1);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(hostile_heads_are_refused_with_their_reason, NULL, cleanup),
    TEST_WITH(hostile_heads_are_never_good_in_pieces, NULL, cleanup),
    TEST(the_scan_does_not_mind_pieces),
    TEST_WITH(a_request_is_read_whole, NULL, cleanup),
    TEST_WITH(bodies_of_requests_are_framed, NULL, cleanup),
    TEST_WITH(forms_of_targets, NULL, cleanup),
    TEST_WITH(methods_nobody_knows_travel_as_text, NULL, cleanup),
    TEST_WITH(connections_persist_as_told, NULL, cleanup),
    TEST_WITH(limits_have_their_answers, NULL, cleanup),
    TEST_WITH(what_could_be_read_stays, NULL, cleanup),
    TEST_WITH(responses_end_where_the_rules_say, NULL, cleanup),
    TEST_WITH(what_follows_is_left_alone, NULL, cleanup),
};
RUN_TESTS(tests)
