/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses as configuration and headers write them: IPv4, IPv6 literals in brackets (E-2), Unix
 * sockets.
 */
#include "test/unit/harness.h"
#include "shm/base/addr.h"

#include <arpa/inet.h>

static const char *error;

struct good {
	const char *text;
	uint16_t default_port;
	const char *back; /* NULL: the same */
};

static const struct good good[] = {
    {"1.2.3.4:80", 0, NULL},
    {"1.2.3.4", 8080, "1.2.3.4:8080"},
    {"[::1]:80", 0, NULL},
    {"[::1]", 443, "[::1]:443"},
    {"[2001:DB8:0:0:0:0:0:1]:65535", 0, "[2001:db8::1]:65535"},
    {"[::ffff:10.0.0.1]:1", 0, "10.0.0.1:1"},
    {"*:80", 0, "[::]:80"},
    {":80", 0, "[::]:80"},
    {"*", 80, "[::]:80"},
    {"0.0.0.0:80", 0, NULL},
    {"unix:/run/a:b.sock", 0, NULL},
};

static const char *const bad[] = {"", "1.2.3.4", "*", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536",
    "1.2.3.4:8o", "1.2.3.4:+80", "1.2.3:80", "01.2.3.4:80", "1.2.3.256:80", "::1", "::1:80", "[::1",
    "[::1]80", "[::1]:", "[1.2.3.4]:80", "[]:80", "[::1%lo]:80", "localhost:80", "1.2.3.4 :80",
    " 1.2.3.4:80", "unix:", "unix:run/x", "[::1]]:80", "a]:80",
    "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80"};

static void
parsing(void **state)
{
	struct addr a;
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const char *back = good[i].back == NULL ? good[i].text : good[i].back;

		assert_int_equal(
		    addr_parse(str_of(good[i].text), good[i].default_port, &a, &error), 1);
		assert_int_equal(addr_text(&a, text, sizeof(text)), strlen(back));
		assert_string_equal(text, back);
	}
	memset(&a, 0x55, sizeof(a));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		error = NULL;
		assert_int_equal(addr_parse(str_of(bad[i]), 0, &a, &error), -1);
		assert_non_null(error);
	}
	assert_int_equal(addr_parse(STR("1.2.3.4\0:80"), 0, &a, &error), -1);
	assert_int_equal(addr_parse(STR("unix:/a\0b"), 0, &a, &error), -1);
	assert_int_equal(addr_parse(STR_NONE, 80, &a, &error), -1);
	assert_int_equal(a.family, 0x55); /* untouched by failures */
}

static void
long_paths(void **state)
{
	char path[5 + 108], text[128];
	struct addr a;

	(void)state;
	memset(path, 'p', sizeof(path));
	memcpy(path, "unix:/", 6);
	assert_int_equal(addr_parse(str_n(path, 5 + 108), 0, &a, &error), -1);
	assert_int_equal(addr_parse(str_n(path, 5 + 107), 0, &a, &error), 1);
	assert_int_equal(addr_text(&a, text, sizeof(text)), 5 + 107);
	assert_int_equal(addr_text(&a, text, 10), 9); /* cut, terminated */
	assert_string_equal(text, "unix:/ppp");
	assert_int_equal(addr_text(&a, text, 0), 0);
}

static void
literals(void **state)
{
	struct addr a;
	char text[64];

	(void)state;
	assert_int_equal(addr_ip(STR("::FFFF:1.2.3.4"), &a), 1);
	assert_int_equal(a.family, AF_INET);
	assert_int_equal(a.port, 0);
	assert_int_equal(addr_ip_text(&a, text, sizeof(text)), 7);
	assert_string_equal(text, "1.2.3.4");
	assert_int_equal(addr_ip(STR("[fe80::1]"), &a), 1);
	addr_ip_text(&a, text, sizeof(text));
	assert_string_equal(text, "fe80::1");
	assert_int_equal(addr_ip(STR("[1.2.3.4]"), &a), 0);
	assert_int_equal(addr_ip(STR("1.2.3.4:80"), &a), 0);
	assert_int_equal(addr_ip(STR("host"), &a), 0);
	assert_int_equal(addr_ip(STR("[]"), &a), 0);
	assert_int_equal(addr_ip(STR("["), &a), 0);
	assert_int_equal(addr_ip(STR_NONE, &a), 0);
	a = (struct addr){.family = AF_UNIX, .path = "/x"};
	addr_ip_text(&a, text, sizeof(text));
	assert_string_equal(text, "unix:");
	a.family = 0;
	addr_text(&a, text, sizeof(text));
	assert_string_equal(text, "none");
}

static void
to_and_from_the_kernel(void **state)
{
	struct sockaddr_storage ss;
	struct addr a, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		socklen_t len;

		assert_int_equal(
		    addr_parse(str_of(good[i].text), good[i].default_port, &a, &error), 1);
		len = addr_sockaddr(&a, &ss);
		assert_true(len > 0);
		assert_int_equal(ss.ss_family, a.family);
		addr_from_sockaddr((struct sockaddr *)&ss, len, &b);
		assert_true(addr_eq(&a, &b));
	}
	a = (struct addr){.family = 0};
	assert_int_equal(addr_sockaddr(&a, &ss), 0);
}

static void
odd_ones_from_the_kernel(void **state)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct addr a;

	(void)state;
	inet_pton(AF_INET6, "::ffff:9.8.7.6", &in6.sin6_addr);
	addr_from_sockaddr((struct sockaddr *)&in6, sizeof(in6), &a);
	assert_int_equal(a.family, AF_INET);
	assert_int_equal(a.port, 9);
	assert_memory_equal(a.ip, "\x09\x08\x07\x06", 4);
	addr_from_sockaddr((struct sockaddr *)&in6, 8, &a); /* too short */
	assert_int_equal(a.family, 0);
	addr_from_sockaddr((struct sockaddr *)&in6, 0, &a);
	assert_int_equal(a.family, 0);
	addr_from_sockaddr((struct sockaddr *)&un, sizeof(sa_family_t), &a); /* unnamed */
	assert_int_equal(a.family, AF_UNIX);
	assert_string_equal(a.path, "");
	memset(un.sun_path, 'x', sizeof(un.sun_path)); /* no NUL */
	addr_from_sockaddr((struct sockaddr *)&un, sizeof(un), &a);
	assert_int_equal(strlen(a.path), 107);
}

static void
equality(void **state)
{
	struct addr a, b;

	(void)state;
	assert_int_equal(addr_parse(STR("1.2.3.4:80"), 0, &a, &error), 1);
	assert_int_equal(addr_parse(STR("1.2.3.4:81"), 0, &b, &error), 1);
	assert_false(addr_eq(&a, &b));
	assert_int_equal(addr_parse(STR("[::1]:80"), 0, &b, &error), 1);
	assert_false(addr_eq(&a, &b));
	assert_int_equal(addr_parse(STR("unix:/a"), 0, &a, &error), 1);
	assert_int_equal(addr_parse(STR("unix:/b"), 0, &b, &error), 1);
	assert_false(addr_eq(&a, &b));
}

static bool
in_block(const char *block, const char *ip)
{
	struct cidr c;
	struct addr a;

	assert_int_equal(cidr_parse(str_of(block), &c, &error), 1);
	assert_int_equal(addr_ip(str_of(ip), &a), 1);
	return cidr_has(&c, &a);
}

static void
blocks(void **state)
{
	struct addr none = {.family = 0}, path = {.family = AF_UNIX, .path = "/"};
	struct cidr c;

	(void)state;
	assert_true(in_block("10.0.0.0/8", "10.255.0.1"));
	assert_false(in_block("10.0.0.0/8", "11.0.0.0"));
	assert_true(in_block("192.168.4.0/22", "192.168.7.255"));
	assert_false(in_block("192.168.4.0/22", "192.168.8.0"));
	assert_true(in_block("1.2.3.4", "1.2.3.4"));
	assert_false(in_block("1.2.3.4", "1.2.3.5"));
	assert_true(in_block("0.0.0.0/0", "255.255.255.255"));
	assert_false(in_block("0.0.0.0/0", "::1"));
	assert_false(in_block("::/0", "1.2.3.4"));
	assert_true(in_block("::/0", "::1"));
	assert_true(in_block("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(in_block("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(in_block("::1", "::1"));
	assert_true(in_block("::ffff:10.0.0.0/104", "10.9.9.9"));
	assert_true(in_block("10.0.0.0/8", "::ffff:10.1.1.1"));
	assert_int_equal(cidr_parse(STR("0.0.0.0/0"), &c, &error), 1);
	assert_false(cidr_has(&c, &none));
	assert_false(cidr_has(&c, &path));
}

static void
bad_blocks(void **state)
{
	static const char *const texts[] = {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129",
	    "10.0.0.1/8", "10.0.0.0/8/8", "10.0.0.0/-1", "10.0.0/8", "host/8", "[::1]",
	    "1.2.3.4:80", "::1/127x", "10.0.0.0/ 8", "::ffff:10.0.0.1/104"};
	struct cidr c = {.bits = 99};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		error = NULL;
		assert_int_equal(cidr_parse(str_of(texts[i]), &c, &error), -1);
		assert_non_null(error);
	}
	assert_int_equal(c.bits, 99);
}

static void
kept(void **state)
{
	static const char *const texts[] = {"10.1.2.3:80", "[2001:db8::1]:65535", "unix:/a/path"};
	struct addr_kept k = {0};
	struct addr a, b, unnamed = {.family = AF_UNIX};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) { /* each in the place of the one before */
		assert_int_equal(addr_parse(str_of(texts[i]), 0, &a, &error), 1);
		addr_kept_set(&k, &a);
		memset(&b, 0xff, sizeof(b));
		addr_kept_get(&k, &b);
		assert_true(addr_eq(&a, &b));
	}
	addr_kept_set(&k, &unnamed);
	addr_kept_get(&k, &b);
	assert_true(addr_eq(&unnamed, &b));
	addr_kept_set(&k, &a);
	addr_kept_free(&k);
	addr_kept_free(&k);
	addr_kept_get(&k, &b);
	assert_int_equal(b.family, 0);
}

static const struct CMUnitTest tests[] = {
    TEST(parsing),
    TEST(long_paths),
    TEST(literals),
    TEST(to_and_from_the_kernel),
    TEST(odd_ones_from_the_kernel),
    TEST(equality),
    TEST(kept),
    TEST(blocks),
    TEST(bad_blocks),
};
RUN_TESTS(tests)
