/* SPDX-License-Identifier: Apache-2.0
 *
 * The chunked coding: what is payload, and what is refused (G-FR-001; ).
 */
#include "test/unit/harness.h"

#include "worker/http/h1.h"

static struct ws ws;
static struct head h;
static char body[4096];
static size_t body_n;

static int
teardown(void **state)
{
	(void)state;
	ws_free(&ws);
	return 0;
}

/* Decodes as a connection does that gets `step` octets at a time. 2 whole, 0 more is needed, -1.
 * What is left over goes to *rest_r. */
static int
decode(struct str in, size_t step, size_t *rest_r)
{
	struct h1_chunk c;
	size_t at = 0, end = 0;
	int r = 0;

	ws_free(&ws);
	ws_init(&ws, NULL, 0);
	head_init(&h, &ws, true);
	h1_chunk_init(&c);
	body_n = 0;
	while (r >= 0 && r != 2) {
		struct str part;
		uint32_t used = 0;

		r = h1_chunk_next(&c, str_sub(in, at, end), &h, &part, &used);
		if (r < 0)
			break;
		at += used;
		if (r == 1) {
			assert_true(body_n + part.n <= sizeof(body));
			memcpy(body + body_n, part.p, part.n);
			body_n += part.n;
			continue;
		}
		if (r == 0 && end == in.n)
			break;
		if (r == 0)
			end = MIN(in.n, end + step);
	}
	*rest_r = in.n - at;
	return r;
}

static const struct {
	const char *in, *body;
	size_t rest;
} good[] = {
    {"0\r\n\r\n", "", 0},
    {"3\r\nabc\r\n0\r\n\r\n", "abc", 0},
    {"3\r\nabc\r\n0\r\n\r\nGET /", "abc", 5},
    {"1\r\na\r\nA\r\n0123456789\r\n000\r\n\r\n", "a0123456789", 0},
    {"3;a=b\r\nabc\r\n0;x\r\n\r\n", "abc", 0},
    {"3;a=\"b;c\" ; d\r\n\r\nx\r\n0\r\n\r\n", "\r\nx", 0},
    {"00000003\r\nabc\r\n0\r\n\r\n", "abc", 0},
    {"0\r\nX: y\r\n\r\n", "", 0},
};

static void
payload_comes_out_however_it_arrives(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
		struct str in = str_of(good[i].in);

		for (size_t step = 1; step <= in.n; step++) {
			size_t rest;
			int r = decode(in, step, &rest);

			if (r != 2 || rest != good[i].rest ||
			    !str_eq(str_n(body, body_n), str_of(good[i].body)))
				fail_msg("row %u by %zu: %d, %zu left, \"%.*s\"", i, step, r, rest,
				    (int)body_n, body);
		}
	}
}

static const char *const bad[] = {
    "\r\n",
    "g\r\n",
    " 3\r\nabc\r\n",
    "+3\r\nabc\r\n",
    "-3\r\nabc\r\n",
    "0x3\r\nabc\r\n",
    "3 \r\nabc\r\n",
    "3\t;a\r\nabc\r\n",
    ";a\r\n",
    "3\nabc\r\n0\r\n\r\n",   /* a lone LF */
    "3;a\nabc\r\n0\r\n\r\n", /* within an extension: some read on, some do not */
    "3;a\rb\r\nabc\r\n",     /* a lone CR */
    "3\rXabc\r\n",
    "3\r\nabcXY0\r\n\r\n", /* data that goes on */
    "3\r\nabc\n0\r\n\r\n",
    "3\r\nabc\r0\r\n\r\n",
    "3\r\nab\r\n0\r\n\r\n",
    "3;\x01\r\nabc\r\n",
    "10000000000000003\r\nabc\r\n", /* 2^64 + 3 */
    "fffffffffffffffff\r\n",
    "8000000000000000\r\n",
    "0\r\nX y\r\n\r\n",
    "0\r\nX : y\r\n\r\n",
    "0\r\n X: y\r\n\r\n",
    "0\r\nX: y\n\r\n",
    "0\r\nX: a\rb\r\n\r\n",
    "0\r\n: y\r\n\r\n",
    "0\r\n\n",
};

static void
malformed_bodies_are_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct str in = str_of(bad[i]);

		for (size_t step = 1; step <= in.n; step++) {
			size_t rest;

			if (decode(in, step, &rest) != -1)
				fail_msg("row %u by %zu is taken: %s", i, step, bad[i]);
		}
	}
}

static void
half_a_body_is_not_the_end(void **state)
{
	struct str in = STR("5;x=y\r\nabcde\r\n0\r\nA: b\r\n\r\n");
	size_t rest;

	(void)state;
	for (size_t n = 0; n < in.n; n++)
		assert_int_equal(decode(str_sub(in, 0, n), 1, &rest), 0);
	assert_int_equal(decode(in, 1, &rest), 2);
}

/* The class of CVE-2024-22019: much syntax for little payload. */
static void
extensions_are_limited_per_message(void **state)
{
	static char in[400000];
	size_t n = 0, rest;

	(void)state;
	for (unsigned i = 0; i < 100; i++) /* 1,000 octets of extensions in all */
		n += (size_t)sprintf(in + n, "1;123456789\r\na\r\n");
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	assert_int_equal(decode(str_n(in, n), 7, &rest), 2);
	assert_int_equal(body_n, 100);
	n = 0;
	for (unsigned i = 0; i < 130; i++) /* 1,300, less the payload's */
		n += (size_t)sprintf(in + n, "1;123456789\r\na\r\n");
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	assert_int_equal(decode(str_n(in, n), 7, &rest), -1);
	/* Leading zeros are no cheaper way. */
	memset(in, '0', 2000);
	assert_int_equal(decode(str_n(in, 2000), 2000, &rest), -1);
	/* Sizes of a fixed width, as some services write them, are fine however many. */
	n = 0;
	for (unsigned i = 0; i < 400; i++)
		n += (size_t)sprintf(in + n, "00000008\r\n12345678\r\n");
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	assert_int_equal(decode(str_n(in, n), 9, &rest), 2);
	assert_int_equal(body_n, 3200);
	/* Many small chunks without any of it are fine. */
	n = 0;
	for (unsigned i = 0; i < 3000; i++)
		n += (size_t)sprintf(in + n, "1\r\na\r\n");
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	assert_int_equal(decode(str_n(in, n), n, &rest), 2);
	assert_int_equal(body_n, 3000);
}

static void
trailers_are_kept_apart(void **state)
{
	static const char in[] =
	    "0\r\nX-Sum: 1 \r\nContent-Length: 5\r\nHost: evil\r\n"
	    "Transfer_Encoding: chunked\r\nAuthorization: x\r\nX-Forwarded-Foo: x\r\n"
	    "If-Match: x\r\nSet-Cookie: x\r\nGrpc-Status: 0\r\nCache-Control: x\r\n\r\n";
	size_t rest;

	(void)state;
	assert_int_equal(decode(str_of(in), 5, &rest), 2);
	assert_int_equal(h.n, 0);
	assert_int_equal(h.n_trailers, 2);
	assert_true(str_eq(h.trailers[0].name, STR("X-Sum")));
	assert_true(str_eq(h.trailers[0].value, STR("1")));
	assert_true(str_eq(h.trailers[1].name, STR("Grpc-Status")));
	assert_true(str_eq(h1_write_trailers(&h), STR("0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\n\r\n")));
}

static void
trailers_have_limits(void **state)
{
	static char in[20000];
	size_t n, rest;

	(void)state;
	n = (size_t)sprintf(in, "0\r\n");
	for (unsigned i = 0; i < 64; i++)
		n += (size_t)sprintf(in + n, "x-%u: y\r\n", i);
	sprintf(in + n, "\r\n");
	assert_int_equal(decode(str_of(in), 100, &rest), 2);
	assert_int_equal(h.n_trailers, 64);
	assert_true(str_eq(h.trailers[63].name, STR("x-63")));
	sprintf(in + n, "z: y\r\n\r\n");
	assert_int_equal(decode(str_of(in), 100, &rest), -1);
	sprintf(in, "0\r\nX: %05000d\r\n\r\n", 0);
	assert_int_equal(decode(str_of(in), 100, &rest), -1);
	n = (size_t)sprintf(in, "0\r\n");
	for (unsigned i = 0; i < 9; i++)
		n += (size_t)sprintf(in + n, "x: %01000d\r\n", 0);
	sprintf(in + n, "\r\n");
	assert_int_equal(decode(str_of(in), 100, &rest), -1);
}

static void
size_lines_are_written(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} rows[] = {{0, "0\r\n"}, {1, "1\r\n"}, {15, "f\r\n"}, {16, "10\r\n"}, {26, "1a\r\n"},
	    {255, "ff\r\n"}, {256, "100\r\n"}, {65536, "10000\r\n"},
	    {UINT64_MAX, "ffffffffffffffff\r\n"}};
	char out[20];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned n = h1_chunk_line(rows[i].n, out);

		assert_true(str_eq(str_n(out, n), str_of(rows[i].text)));
	}
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(payload_comes_out_however_it_arrives, NULL, teardown),
    TEST_WITH(malformed_bodies_are_refused, NULL, teardown),
    TEST_WITH(half_a_body_is_not_the_end, NULL, teardown),
    TEST_WITH(extensions_are_limited_per_message, NULL, teardown),
    TEST_WITH(trailers_are_kept_apart, NULL, teardown),
    TEST_WITH(trailers_have_limits, NULL, teardown),
    TEST_WITH(size_lines_are_written, NULL, teardown),
};
RUN_TESTS(tests)
