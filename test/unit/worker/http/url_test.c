/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths and authorities: one spelling of each, and none that two readers could take for two
 * (R-1.2).
 */
#include "test/unit/harness.h"

#include "worker/http/url.h"

static struct ws ws;

static int
teardown(void **state)
{
	(void)state;
	ws_free(&ws);
	return 0;
}

static const struct {
	const char *raw, *merged, *plain; /* NULL: refused */
} paths[] = {
    {"/", "/", "/"},
    {"/a/b", "/a/b", "/a/b"},
    {"/a/b/", "/a/b/", "/a/b/"},
    {"/a//b", "/a/b", "/a//b"},
    {"//a///b//", "/a/b/", "//a///b//"},
    {"/.", "/", "/"},
    {"/./a", "/a", "/a"},
    {"/a/.", "/a/", "/a/"},
    {"/a/./b", "/a/b", "/a/b"},
    {"/a/..", "/", "/"},
    {"/a/../", "/", "/"},
    {"/a/../b", "/b", "/b"},
    {"/a/b/../../c", "/c", "/c"},
    {"/a/b/..", "/a/", "/a/"},
    {"/a//../b", "/b", "/a/b"},
    {"/a/.b", "/a/.b", "/a/.b"},
    {"/a/..b", "/a/..b", "/a/..b"},
    {"/a/...", "/a/...", "/a/..."},
    {"/%41%7e", "/A~", "/A~"},
    {"/a%2fb", "/a%2Fb", "/a%2Fb"},
    {"/a%5cb", "/a%5Cb", "/a%5Cb"},
    {"/%c3%a4", "/%C3%A4", "/%C3%A4"},
    {"/%2e%2e/a", NULL, NULL},
    {"/a/%2e%2E/b", "/b", "/b"},
    {"/%25%32%65", "/%252e", "/%252e"},
    {"/a;x=1/b", "/a;x=1/b", "/a;x=1/b"},
    {"/a:@!$&'()*+,;=-._~", "/a:@!$&'()*+,;=-._~", "/a:@!$&'()*+,;=-._~"},
    {"", NULL, NULL},
    {"a", NULL, NULL},
    {"/..", NULL, NULL},
    {"/../a", NULL, NULL},
    {"/a/../../b", NULL, NULL},
    {"/./../b", NULL, NULL},
    {"/a%00b", NULL, NULL},
    {"/a%0", NULL, NULL},
    {"/a%", NULL, NULL},
    {"/a%zz", NULL, NULL},
    {"/a b", NULL, NULL},
    {"/a\\b", NULL, NULL},
    {"/a\"b", NULL, NULL},
    {"/<a>", NULL, NULL},
    {"/a{b}", NULL, NULL},
    {"/\xc3\xa4", NULL, NULL},
    {"/a#b", NULL, NULL},
    {"/a?b", NULL, NULL},
    {"/a/..%2fb", NULL, NULL},
    {"/a/..%5cb", NULL, NULL},
    {"/a%2f..", NULL, NULL},
    {"/a/%2e%2e%2fb", NULL, NULL},
    {"/a%2f..%2fb", NULL, NULL},
    {"/a%5c..%5cb", NULL, NULL},
    {"/..;/a", NULL, NULL},
    {"/a/..;x=y/b", NULL, NULL},
    {"/a/.;/b", NULL, NULL},
};

static void
check_path(unsigned i, bool merge, const char *want)
{
	struct str out = STR("untouched");
	int r = url_path(str_of(paths[i].raw), merge, &ws, &out);

	if (want == NULL && (r != -1 || !str_eq(out, STR("untouched"))))
		fail_msg("row %u: %s is taken for %.*s", i, paths[i].raw, STR_ARG(out));
	if (want != NULL && (r != 1 || !str_eq(out, str_of(want))))
		fail_msg("row %u: %s: %d, %.*s", i, paths[i].raw, r, STR_ARG(out));
}

static void
paths_are_normalised(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		check_path(i, true, paths[i].merged);
		check_path(i, false, paths[i].plain);
	}
}

static void
normal_is_normal_for_good(void **state)
{
	struct str once, twice;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		if (url_path(str_of(paths[i].raw), true, &ws, &once) != 1)
			continue;
		assert_int_equal(url_path(once, true, &ws, &twice), 1);
		/* An escape is decoded once: "%252e" stays. */
		assert_true(str_eq(once, twice));
	}
}

static void
what_is_normal_is_not_copied(void **state)
{
	struct str raw = STR("/api/v1/orders;x/42"), out;

	(void)state;
	assert_int_equal(url_path(raw, true, &ws, &out), 1);
	assert_ptr_equal(out.p, raw.p);
	assert_null(ws.block);
}

static const struct {
	const char *raw, *authority, *host; /* NULL: refused */
	uint16_t port;
} authorities[] = {
    {"example.com", "example.com", "example.com", 0},
    {"Example.COM:8080", "example.com:8080", "example.com", 8080},
    {"a:", "a", "a", 0},
    {"a.:80", "a.:80", "a", 80},
    {"1.2.3.4:1", "1.2.3.4:1", "1.2.3.4", 1},
    {"[::1]", "[::1]", "[::1]", 0},
    {"[2001:DB8::A]:65535", "[2001:db8::a]:65535", "[2001:db8::a]", 65535},
    {"a_b-c~d", "a_b-c~d", "a_b-c~d", 0},
    {"", NULL, NULL, 0},
    {":80", NULL, NULL, 0},
    {".", NULL, NULL, 0},
    {".a", NULL, NULL, 0},
    {"a..b", NULL, NULL, 0},
    {"a..", NULL, NULL, 0},
    {"a:0", NULL, NULL, 0},
    {"a:65536", NULL, NULL, 0},
    {"a:+80", NULL, NULL, 0},
    {"a:8 0", NULL, NULL, 0},
    {"a:80:80", NULL, NULL, 0},
    {"u@a", NULL, NULL, 0},
    {"u:p@a", NULL, NULL, 0},
    {"a/b", NULL, NULL, 0},
    {"a b", NULL, NULL, 0},
    {"a%20b", NULL, NULL, 0},
    {"a,b", NULL, NULL, 0},
    {"*", NULL, NULL, 0},
    {"::1", NULL, NULL, 0},
    {"[::1", NULL, NULL, 0},
    {"[::1]x", NULL, NULL, 0},
    {"[1.2.3.4]", NULL, NULL, 0},
    {"[fe80::1%25eth0]", NULL, NULL, 0},
    {"[v1.x]", NULL, NULL, 0},
    {"[]", NULL, NULL, 0},
};

static void
authorities_are_hosts_with_ports(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(authorities); i++) {
		struct str a, host;
		uint16_t port;
		int r = url_authority(str_of(authorities[i].raw), &ws, &a, &host, &port);

		if (authorities[i].host == NULL) {
			if (r != -1)
				fail_msg("%s is taken", authorities[i].raw);
			continue;
		}
		if (r != 1 || !str_eq(a, str_of(authorities[i].authority)) ||
		    !str_eq(host, str_of(authorities[i].host)) || port != authorities[i].port)
			fail_msg("%s: %d %.*s %.*s %u", authorities[i].raw, r, STR_ARG(a),
			    STR_ARG(host), port);
	}
}

static void
hosts_have_a_length(void **state)
{
	char name[300];
	struct str a, host;
	uint16_t port;

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_int_equal(url_authority(str_n(name, 255), &ws, &a, &host, &port), 1);
	assert_int_equal(url_authority(str_n(name, 256), &ws, &a, &host, &port), -1);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(paths_are_normalised, NULL, teardown),
    TEST_WITH(normal_is_normal_for_good, NULL, teardown),
    TEST_WITH(what_is_normal_is_not_copied, NULL, teardown),
    TEST_WITH(authorities_are_hosts_with_ports, NULL, teardown),
    TEST_WITH(hosts_have_a_length, NULL, teardown),
};
RUN_TESTS(tests)
