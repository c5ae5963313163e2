/* SPDX-License-Identifier: Apache-2.0
 *
 * E-1: who the client is, by what proxies say, and whom of them to believe.
 */
#include "test/unit/harness.h"
#include "worker/forwarded.h"

static struct cidr blocks[4];
static struct cidrs trusted = {blocks, 0};

static void
trust(const char *block)
{
	const char *error = "";

	if (cidr_parse(str_of(block), &blocks[trusted.n], &error) < 0)
		fail_msg("%s: %s", block, error);
	trusted.n++;
}

static int
setup(void **state)
{
	(void)state;
	trusted.n = 0;
	trust("10.0.0.0/8");
	trust("2001:db8::/32");
	return 0;
}

static struct addr
ip(const char *text)
{
	struct addr a = {0};

	assert_int_equal(addr_ip(str_of(text), &a), 1);
	return a;
}

/* The client as text, given the peer and up to two header lines. */
static const char *
client(const char *peer, enum hdr_id id, const char *first, const char *second)
{
	static char text[64];
	struct addr from = ip(peer), a;
	struct head h;
	struct ws ws;

	ws_init(&ws, NULL, 0);
	head_init(&h, &ws, true);
	if (first)
		head_add_id(&h, id, str_of(first));
	if (second)
		head_add_id(&h, id, str_of(second));
	a = forwarded_client(&h, &trusted, &from);
	text[addr_ip_text(&a, text, sizeof(text))] = '\0';
	ws_free(&ws);
	return text;
}
#define XFF(peer, ...) client(peer, HDR_X_FORWARDED_FOR, __VA_ARGS__)
#define FWD(peer, ...) client(peer, HDR_FORWARDED, __VA_ARGS__)

static void
nobody_is_believed_unasked(void **state)
{
	(void)state;
	assert_string_equal(XFF("192.0.2.1", "198.51.100.7", NULL), "192.0.2.1");
	assert_string_equal(FWD("192.0.2.1", "for=198.51.100.7", NULL), "192.0.2.1");
	assert_string_equal(XFF("10.1.1.1", NULL, NULL), "10.1.1.1");
}

static void
the_rightmost_stranger_is_the_client(void **state)
{
	(void)state;
	assert_string_equal(XFF("10.1.1.1", "198.51.100.7", NULL), "198.51.100.7");
	assert_string_equal(
	    XFF("10.1.1.1", "203.0.113.9, 198.51.100.7, 10.2.2.2", NULL), "198.51.100.7");
	/* Lines are one list, in their order. */
	assert_string_equal(
	    XFF("10.1.1.1", "203.0.113.9", "198.51.100.7 , 10.2.2.2"), "198.51.100.7");
	/* All of them are ours: the farthest. */
	assert_string_equal(XFF("10.1.1.1", "10.3.3.3, 10.2.2.2", NULL), "10.3.3.3");
	assert_string_equal(XFF("2001:db8::5", "2001:470::1", NULL), "2001:470::1");
}

/* Behind what cannot be read nothing is believed: it was written by somebody who could write
 * anything. */
static void
nonsense_ends_the_search(void **state)
{
	(void)state;
	assert_string_equal(XFF("10.1.1.1", "198.51.100.7, unknown", NULL), "10.1.1.1");
	assert_string_equal(XFF("10.1.1.1", "198.51.100.7, <x>, 10.2.2.2", NULL), "10.2.2.2");
	assert_string_equal(XFF("10.1.1.1", "", NULL), "10.1.1.1");
	assert_string_equal(XFF("10.1.1.1", "unix:/x", NULL), "10.1.1.1");
}

static void
ports_and_brackets(void **state)
{
	(void)state;
	assert_string_equal(XFF("10.1.1.1", "198.51.100.7:1234", NULL), "198.51.100.7");
	assert_string_equal(XFF("10.1.1.1", "[2001:470::1]:1234", NULL), "2001:470::1");
	assert_string_equal(
	    FWD("10.1.1.1", "for=203.0.113.9;proto=http, by=x; For=\"[2001:470::1]:80\";host=h",
		NULL),
	    "2001:470::1");
	assert_string_equal(FWD("10.1.1.1", "for=_hidden, for=10.2.2.2", NULL), "10.2.2.2");
	assert_string_equal(FWD("10.1.1.1", "proto=https", NULL), "10.1.1.1");
}

static void
only_the_last_hops_count(void **state)
{
	static char many[8192];
	size_t n = 0;

	(void)state;
	n += (size_t)snprintf(many, sizeof(many), "198.51.100.7");
	for (unsigned i = 0; i < 200; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, ", 10.0.0.%u", i);
	assert_string_equal(XFF("10.1.1.1", many, NULL), "10.0.0.136");
}

static void
ids_that_are_taken_over(void **state)
{
	static char longest[130];

	(void)state;
	memset(longest, 'a', 129);
	assert_true(forwarded_id_ok(STR("7f3c-9_A.b:c/d+e=@")));
	assert_false(forwarded_id_ok(STR("")));
	assert_false(forwarded_id_ok(STR("a b")));
	assert_false(forwarded_id_ok(STR("a\"b")));
	assert_false(forwarded_id_ok(STR("a\nb")));
	assert_true(forwarded_id_ok(str_n(longest, 128)));
	assert_false(forwarded_id_ok(str_n(longest, 129)));
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(nobody_is_believed_unasked, setup, NULL),
    TEST_WITH(the_rightmost_stranger_is_the_client, setup, NULL),
    TEST_WITH(nonsense_ends_the_search, setup, NULL),
    TEST_WITH(ports_and_brackets, setup, NULL),
    TEST_WITH(only_the_last_hops_count, setup, NULL),
    TEST(ids_that_are_taken_over),
};
RUN_TESTS(tests)
