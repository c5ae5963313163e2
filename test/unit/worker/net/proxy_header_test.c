/* SPDX-License-Identifier: Apache-2.0
 *
 * PROXY headers, octet by octet: what is read, what is refused, what is written.
 */
#include "test/unit/harness.h"
#include "worker/net/proxy_header.h"

#define SIG    "\r\n\r\n\0\r\nQUIT\n"
#define LIT(s) str_n(s, sizeof(s) - 1)
#define V4     "\xc0\0\2\1\xc6\x33\x64\2\x13\x88\1\xbb" /* 192.0.2.1:5000 -> 198.51.100.2:443 */
#define V6_A   "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
#define V6_B   "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
#define V6_P   "\x13\x88\1\xbb"
/* The sum 0x6a2d752d was made by another program. */
#define SUMMED SIG "\x21\x11\0\x18" V4 "\3\0\4" CRC "\4\0\2ab"

static struct str
words(const struct addr *a)
{
	static char text[4][128];
	static unsigned at;
	char *p = text[at++ % 4];

	return str_n(p, addr_text(a, p, sizeof(text[0])));
}

static void
assert_str(struct str s, const char *z)
{
	if (!str_eq(s, str_of(z)))
		fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), z);
}

struct good {
	struct str in;
	enum proxy_mode mode;
	const char *from, *to; /* NULL: nobody is named */
};

static const struct good good[] = {
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n", 44}, PROXY_V1, "192.0.2.1:5000",
	"198.51.100.2:443"},
    {{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", 56}, PROXY_ANY,
	"255.255.255.255:65535", "255.255.255.255:65535"},
    {{"PROXY TCP4 0.0.0.0 1.2.3.4 0 0\r\n", 32}, PROXY_V1, "0.0.0.0:0", "1.2.3.4:0"},
    {{"PROXY TCP6 2001:DB8::1 ::1 5000 80\r\n", 36}, PROXY_V1, "[2001:db8::1]:5000", "[::1]:80"},
    {{"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n", 45}, PROXY_V1, "192.0.2.1:1",
	"[2001:db8::1]:2"},
    {{"PROXY UNKNOWN\r\n", 15}, PROXY_V1, NULL, NULL},
    {{"PROXY UNKNOWN any thing \0 here\r\n", 32}, PROXY_ANY, NULL, NULL},
    {{SIG "\x21\x11\0\x0c" V4, 28}, PROXY_V2, "192.0.2.1:5000", "198.51.100.2:443"},
    {{SIG "\x21\x21\0\x24" V6_A V6_B V6_P, 52}, PROXY_ANY, "[2001:db8::1]:5000",
	"[2001:db8::2]:443"},
    {{SIG "\x21\x11\0\x14" V4 "\xe0\0\5hello", 36}, PROXY_V2, "192.0.2.1:5000", "198.51.100.2:443"},
    {{SIG "\x21\x12\0\x0c" V4, 28}, PROXY_V2, NULL, NULL},  /* UDP */
    {{SIG "\x21\x10\0\x0c" V4, 28}, PROXY_V2, NULL, NULL},  /* no transport */
    {{SIG "\x21\0\0\0", 16}, PROXY_V2, NULL, NULL},         /* UNSPEC */
    {{SIG "\x21\0\0\3xyz", 19}, PROXY_V2, NULL, NULL},      /* and what came with it */
    {{SIG "\x20\0\0\0", 16}, PROXY_V2, NULL, NULL},         /* LOCAL */
    {{SIG "\x20\x11\0\x0c" V4, 28}, PROXY_ANY, NULL, NULL}, /* its addresses are not used */
    {{SIG "\x20\xff\0\1x", 17}, PROXY_V2, NULL, NULL},      /* nor its family looked at */
};

/* However it is cut, no answer before the last octet, and what stands behind stays. */
static void
every_split_of_every_form_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const struct good *g = &good[i];
		char with_more[256] = {0};
		struct proxy_header h;
		const char *error = NULL;

		for (size_t n = 0; n < g->in.n; n++)
			if (proxy_header_parse(g->mode, str_sub(g->in, 0, n), &h, &error) != 0)
				fail_msg("form %zu, %zu octets: %s", i, n, error);
		memcpy(with_more, g->in.p, g->in.n);
		memcpy(with_more + g->in.n, "GET / HTTP/1.1\r\n\r\n", 18);
		for (size_t more = 0; more <= 18; more += 18) {
			struct str in = str_n(with_more, g->in.n + more);

			assert_int_equal(proxy_header_parse(g->mode, in, &h, &error), g->in.n);
			assert_int_equal(h.named, g->from != NULL);
			if (!h.named)
				continue;
			assert_str(words(&h.from), g->from);
			assert_str(words(&h.to), g->to);
		}
	}
}

static void
unix_sockets_leave_the_connections_own_addresses(void **state)
{
	char in[16 + 216 + 3] = SIG "\x21\x31\0\xd8";
	struct proxy_header h;
	const char *error;

	(void)state;
	assert_int_equal(proxy_header_parse(PROXY_V2, str_n(in, 232), &h, &error), 232);
	assert_false(h.named);
	in[15] = (char)0xdb; /* and an extension of no octets */
	in[232] = 4;
	assert_int_equal(proxy_header_parse(PROXY_V2, str_n(in, 235), &h, &error), 235);
	in[15] = (char)0xd7;
	assert_int_equal(proxy_header_parse(PROXY_V2, str_n(in, 232), &h, &error), -1);
}

static void
a_checksum_that_is_there_is_verified(void **state)
{
#define CRC "SUM."
	static const char in[] = SUMMED;
#undef CRC
	char copy[sizeof(in)] = "";
	struct proxy_header h;
	const char *error;
	struct str all = str_n(copy, sizeof(in) - 1);

	(void)state;
	memcpy(copy, in, sizeof(in));
	assert_int_equal(proxy_header_parse(PROXY_V2, all, &h, &error), -1);
	assert_str(str_of(error), "the checksum is wrong");
	memcpy(copy + 31, "\x6a\x2d\x75\x2d", 4);
	assert_int_equal(proxy_header_parse(PROXY_V2, all, &h, &error), (int)all.n);
	assert_str(words(&h.from), "192.0.2.1:5000");
	for (size_t i = 0; i < all.n; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			ssize_t n;

			copy[i] = (char)(copy[i] ^ 1 << bit);
			n = proxy_header_parse(PROXY_V2, all, &h, &error);
			/* Not noticed where what was struck is what says that there is a sum, or
			 * makes a LOCAL or nobody's of it. */
			if (n > 0 && i != 12 && i != 13 && i != 28)
				fail_msg("octet %zu, bit %u", i, bit);
			copy[i] = (char)(copy[i] ^ 1 << bit);
		}
}

struct bad {
	struct str in;
	enum proxy_mode mode;
	const char *error;
};

#define NO_HEADER  "no PROXY header"
#define NO_IP      "an address that is none of its family"
#define NO_PORT    "a port that is no number from 0 to 65535"
#define NO_FAMILY  "a family other than TCP4, TCP6 and UNKNOWN"
#define NO_COMMAND "a command other than LOCAL and PROXY"
#define NO_V2      "a version other than 2 in a binary header"
#define NO_TYPE    "an unknown family or transport"
#define SHORT      "the header is too short for its addresses"
#define B(text, mode, error)                                                                       \
	{                                                                                          \
		{text, sizeof(text) - 1}, mode, error                                              \
	}

static const struct bad bad[] = {
    B("G", PROXY_ANY, NO_HEADER),
    B("GET / HTTP/1.1\r\n", PROXY_ANY, NO_HEADER),
    B("proxy ", PROXY_ANY, NO_HEADER),
    B("PROXY\t", PROXY_ANY, NO_HEADER),
    B("PROXYTCP4", PROXY_ANY, NO_HEADER),
    B("\r\n\r\nG", PROXY_ANY, NO_HEADER),
    B("\x16\3\1", PROXY_ANY, NO_HEADER),
    B(SIG, PROXY_V1, "a header of version 2, only 1 is allowed"),
    B("P", PROXY_V2, "a header of version 1, only 2 is allowed"),
    B("PROXY \r\n", PROXY_V1, NO_FAMILY),
    B("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", PROXY_V1, NO_FAMILY),
    B("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", PROXY_V1, NO_FAMILY),
    B("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", PROXY_V1, NO_FAMILY),
    B("PROXY UNKNOWNX\r\n", PROXY_V1, NO_FAMILY),
    B("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", PROXY_V1, NO_FAMILY),
    B("PROXY TCP4\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4 1.2.3.4\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4 1.2.3.4 ::1 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4 ::1 ::1 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP6 [::1] ::1 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP6 ::1%lo ::1 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP6 1::2::3 ::1 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n", PROXY_V1, NO_IP),
    B("PROXY TCP4 1.2.3.4 1.2.3.4\r\n", PROXY_V1, NO_PORT),
    B("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", PROXY_V1, NO_PORT),
    B("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", PROXY_V1, NO_PORT),
    B("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", PROXY_V1, NO_PORT),
    B("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", PROXY_V1, NO_PORT),
    B("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", PROXY_V1, NO_PORT),
    B("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", PROXY_V1, NO_PORT),
    B("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", PROXY_V1,
	"more on the line than two addresses and two ports"),
    B("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", PROXY_V1,
	"more on the line than two addresses and two ports"),
    B("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", PROXY_V1, "a line feed without carriage return"),
    B("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rG", PROXY_V1, "a carriage return without line feed"),
    B("PROXY UNKNOWN\n", PROXY_V1, "a line feed without carriage return"),
    B(SIG "\x11", PROXY_V2, NO_V2),
    B(SIG "\x31", PROXY_V2, NO_V2),
    B(SIG "\1", PROXY_V2, NO_V2),
    B(SIG "\x22", PROXY_V2, NO_COMMAND),
    B(SIG "\x2f", PROXY_V2, NO_COMMAND),
    B(SIG "\x21\x41", PROXY_V2, NO_TYPE),
    B(SIG "\x21\xf1", PROXY_V2, NO_TYPE),
    B(SIG "\x21\x13", PROXY_V2, NO_TYPE),
    B(SIG "\x21\x03", PROXY_V2, NO_TYPE),
    B(SIG "\x21\x11\0\0", PROXY_V2, SHORT),
    B(SIG "\x21\x11\0\x0b", PROXY_V2, SHORT),
    B(SIG "\x21\x21\0\x23", PROXY_V2, SHORT),
    B(SIG "\x21\x31\0\x24", PROXY_V2, SHORT),
    B(SIG "\x21\x11\x0f\xf1", PROXY_V2, "the header is longer than 4096 octets"),
    B(SIG "\x20\0\xff\xff", PROXY_V2, "the header is longer than 4096 octets"),
    B(SIG "\x21\x11\0\x0d" V4 "\4", PROXY_V2, "an extension is cut short"),
    B(SIG "\x21\x11\0\x0e" V4 "\4\0", PROXY_V2, "an extension is cut short"),
    B(SIG "\x21\x11\0\x0f" V4 "\4\0\1", PROXY_V2, "an extension is longer than the header"),
    B(SIG "\x21\x11\0\x10" V4 "\4\xff\xffx", PROXY_V2, "an extension is longer than the header"),
    B(SIG "\x21\x11\0\x12" V4 "\3\0\3abc", PROXY_V2, "a checksum that is not one of 4 octets"),
};

static void
every_malformed_form_is_refused_in_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct bad *b = &bad[i];
		const char *error = "nothing";
		struct proxy_header h = {.named = true, .from.port = 77};

		assert_int_equal(proxy_header_parse(b->mode, b->in, &h, &error), -1);
		if (strcmp(error, b->error) != 0)
			fail_msg("form %zu: \"%s\" is not \"%s\"", i, error, b->error);
		assert_int_equal(h.from.port, 77);
		/* And never taken with fewer octets. */
		for (size_t n = 0; n < b->in.n; n++)
			assert_true(
			    proxy_header_parse(b->mode, str_sub(b->in, 0, n), &h, &error) <= 0);
	}
}

static void
a_line_has_at_most_107_octets(void **state)
{
	char line[128] = "PROXY UNKNOWN ";
	struct proxy_header h;
	const char *error;

	(void)state;
	memset(line + 14, 'x', sizeof(line) - 14);
	memcpy(line + 105, "\r\n", 2);
	assert_int_equal(proxy_header_parse(PROXY_V1, str_n(line, 107), &h, &error), 107);
	assert_int_equal(proxy_header_parse(PROXY_V1, str_n(line, 106), &h, &error), 0);
	memcpy(line + 105, "x\r\n", 3);
	assert_int_equal(proxy_header_parse(PROXY_V1, str_n(line, 108), &h, &error), -1);
	assert_int_equal(proxy_header_parse(PROXY_V1, str_n(line, 106), &h, &error), -1);
}

/* As many octets as are allowed, and the sum of all. */
static void
the_longest_header_is_taken(void **state)
{
	static char in[PROXY_HEADER_MAX + 1] = SIG "\x21\x11\x0f\xf0" V4 "\4";
	size_t n = PROXY_HEADER_MAX - 31;
	struct proxy_header h;
	const char *error;

	(void)state;
	in[29] = (char)(n >> 8);
	in[30] = (char)(n & 0xff);
	assert_int_equal(
	    proxy_header_parse(PROXY_ANY, str_n(in, PROXY_HEADER_MAX - 1), &h, &error), 0);
	assert_int_equal(
	    proxy_header_parse(PROXY_ANY, str_n(in, sizeof(in)), &h, &error), PROXY_HEADER_MAX);
	assert_true(h.named);
}

struct made {
	const char *from, *to;
	const char *v1;
	struct str v2;
};

#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff"
static const struct made made[] = {
    {"192.0.2.1:5000", "198.51.100.2:443", "PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n",
	{SIG "\x21\x11\0\x0c" V4, 28}},
    {"[2001:db8::1]:5000", "[2001:db8::2]:443", "PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\n",
	{SIG "\x21\x21\0\x24" V6_A V6_B V6_P, 52}},
    {"192.0.2.1:5000", "[2001:db8::2]:443", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 5000 443\r\n",
	{SIG "\x21\x21\0\x24" MAPPED "\xc0\0\2\1" V6_B V6_P, 52}},
    {"[2001:db8::1]:5000", "192.0.2.1:443", "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 5000 443\r\n",
	{SIG "\x21\x21\0\x24" V6_A MAPPED "\xc0\0\2\1" V6_P, 52}},
    {"192.0.2.1:5000", "unix:/run/x", "PROXY TCP4 192.0.2.1 0.0.0.0 5000 0\r\n",
	{SIG "\x21\x11\0\x0c\xc0\0\2\1\0\0\0\0\x13\x88\0\0", 28}},
    {"unix:/run/x", "192.0.2.1:1", "PROXY UNKNOWN\r\n", {SIG "\x21\0\0\0", 16}},
    {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535",
	"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535\r\n",
	{NULL, 0}},
};

static void
headers_are_made_to_the_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(made); i++) {
		const struct made *m = &made[i];
		char out[PROXY_HEADER_OUT + 1];
		struct addr from, to;
		struct proxy_header h;
		const char *error;
		size_t n;

		assert_int_equal(addr_parse(str_of(m->from), 0, &from, &error), 1);
		assert_int_equal(addr_parse(str_of(m->to), 0, &to, &error), 1);
		n = proxy_header_format(PROXY_V1, &from, &to, out);
		assert_str(str_n(out, n), m->v1);
		assert_int_equal(proxy_header_parse(PROXY_V1, str_n(out, n), &h, &error), n);
		n = proxy_header_format(PROXY_V2, &from, &to, out);
		if (m->v2.p && (n != m->v2.n || memcmp(out, m->v2.p, n) != 0))
			fail_msg("form %zu of version 2", i);
		assert_int_equal(proxy_header_parse(PROXY_V2, str_n(out, n), &h, &error), n);
		assert_int_equal(h.named, from.family != AF_UNIX);
		if (h.named)
			assert_true(addr_eq(&h.from, &from));
	}
}

static const struct CMUnitTest tests[] = {
    TEST(every_split_of_every_form_is_read),
    TEST(unix_sockets_leave_the_connections_own_addresses),
    TEST(a_checksum_that_is_there_is_verified),
    TEST(every_malformed_form_is_refused_in_words),
    TEST(a_line_has_at_most_107_octets),
    TEST(the_longest_header_is_taken),
    TEST(headers_are_made_to_the_octet),
};
RUN_TESTS(tests)
