/* SPDX-License-Identifier: Apache-2.0
 *
 * Host and path patterns, endpoint URLs (E-2), methods.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include "conf/endpoint_url.h"
#include "conf/method.h"
#include "conf/pattern.h"

#define GOOD_HOST(s) assert_null(pattern_host(STR(s)))
#define BAD_HOST(s)  assert_non_null(pattern_host(STR(s)))
#define GOOD_PATH(s) assert_null(pattern_path(STR(s), true))
#define BAD_PATH(s)  assert_non_null(pattern_path(STR(s), true))

static void
hosts(void **state)
{
	char label[70];

	(void)state;
	GOOD_HOST("example.com");
	GOOD_HOST("*.example.com");
	GOOD_HOST("localhost");
	GOOD_HOST("a-b_c.d9");
	GOOD_HOST("192.0.2.1");
	GOOD_HOST("[::1]");
	BAD_HOST("");
	BAD_HOST("*");
	BAD_HOST("*.");
	BAD_HOST("*example.com");
	BAD_HOST("a.*.com");
	BAD_HOST("a..b");
	BAD_HOST(".a");
	BAD_HOST("a.");
	BAD_HOST("a:80");
	BAD_HOST("[::1");
	BAD_HOST("[::1]:80");
	BAD_HOST("::1");
	BAD_HOST("a b");
	BAD_HOST("a/b");
	BAD_HOST("a\0b");
	BAD_HOST("\xc3\xa4.de");
	memset(label, 'a', sizeof(label));
	assert_null(pattern_host(str_n(label, 63)));
	assert_non_null(pattern_host(str_n(label, 64)));
}

static void
paths(void **state)
{
	char longest[401];

	(void)state;
	GOOD_PATH("/");
	GOOD_PATH("/*");
	GOOD_PATH("/a/b/");
	GOOD_PATH("/a/{id}/b/{other-id_2}");
	GOOD_PATH("/a/*/b");
	GOOD_PATH("/a/*");
	GOOD_PATH("/a%2Fb");
	GOOD_PATH("/~user/a.b;c=d,e@f:g!$&'()+");
	GOOD_PATH("~^/a/[0-9]+$");
	GOOD_PATH("~(?<year>[0-9]{4})");
	BAD_PATH("");
	BAD_PATH("a");
	BAD_PATH("*");
	BAD_PATH("/a*");
	BAD_PATH("/*a");
	BAD_PATH("/a/{}");
	BAD_PATH("/a/{b");
	BAD_PATH("/a/b}");
	BAD_PATH("/a/{b}c");
	BAD_PATH("/a/x{b}");
	BAD_PATH("/a/{b c}");
	BAD_PATH("/{a}/{a}");
	BAD_PATH("/a//b");
	BAD_PATH("/a/./b");
	BAD_PATH("/a/..");
	BAD_PATH("/a?b");
	BAD_PATH("/a#b");
	BAD_PATH("/a b");
	BAD_PATH("/a\0b");
	BAD_PATH("/\xc3\xa4");
	BAD_PATH("/a%");
	BAD_PATH("/a%2");
	BAD_PATH("/a%zz");
	BAD_PATH("/a%2f");
	BAD_PATH("/a%00");
	BAD_PATH("/a%41");
	BAD_PATH("/a\\b");
	BAD_PATH("~");
	BAD_PATH("~(");
	assert_null(pattern_path(STR("/a//b"), false));
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	assert_null(pattern_path(str_n(longest, 400), true));
	assert_non_null(pattern_path(str_n(longest, 401), true));
	BAD_PATH("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}");
}

static void
reserved_paths(void **state)
{
	(void)state;
	assert_true(pattern_reserved(STR("/api/gateway")));
	assert_true(pattern_reserved(STR("/api/gateway/")));
	assert_true(pattern_reserved(STR("/api/gateway/x/{y}")));
	assert_true(pattern_reserved(STR("/api/gateway/*")));
	assert_true(pattern_reserved(STR("~^/api/gateway/.*")));
	assert_false(pattern_reserved(STR("/api/gateways")));
	assert_false(pattern_reserved(STR("/api/*"))); /* the management API is matched before */
	assert_false(pattern_reserved(STR("~^/api/g.*")));
}

static struct endpoint_url
url(struct str s)
{
	struct endpoint_url u;
	const char *error = NULL;

	if (endpoint_url_parse(s, &u, &error) < 0)
		fail_msg("%.*s: %s", STR_ARG(s), error);
	return u;
}

static void
urls(void **state)
{
	struct endpoint_url u = url(STR("http://example.com"));

	(void)state;
	assert_str(u.name, "example.com");
	assert_str(u.host, "example.com");
	assert_str(u.base_path, "");
	assert_int_equal(u.port, 80);
	assert_int_equal(u.addr.family, 0);
	u = url(STR("HTTP://Example.com:8080/"));
	assert_str(u.host, "Example.com:8080");
	assert_str(u.base_path, "");
	u = url(STR("http://10.1.2.3:80/a/b/"));
	assert_str(u.host, "10.1.2.3");
	assert_str(u.base_path, "/a/b");
	assert_str(u.name, "");
	assert_int_equal(u.addr.family, AF_INET);
	assert_int_equal(u.addr.port, 80);
	u = url(STR("http://[2001:db8::1]:81/x"));
	assert_str(u.host, "[2001:db8::1]:81");
	assert_int_equal(u.addr.family, AF_INET6);
	assert_int_equal(u.addr.port, 81);
	u = url(STR("unix:/run/a.sock"));
	assert_int_equal(u.addr.family, AF_UNIX);
	assert_string_equal(u.addr.path, "/run/a.sock");
	assert_str(u.host, "localhost");
	assert_str(u.base_path, "");
	u = url(STR("unix:/run/a.sock:/base/"));
	assert_string_equal(u.addr.path, "/run/a.sock");
	assert_str(u.base_path, "/base");
}

static void
bad_urls(void **state)
{
	static const char *const bad[] = {"", "x", "http:", "http://", "http:///x", "https://",
	    "https:///x", "https://a:0", "https://u@h", "https://*.a", "https+unix:/x", "ftp://x",
	    "//x", "http://a:b", "http://a:0", "http://a:65536", "http://a:", "http://[::1",
	    "http://[::1]x", "http://[zz]", "http://::1", "http://u@h", "http://a b", "http://a/?q",
	    "http://a?q", "http://a#f", "http://a/../b", "http://a//b", "http://a/*",
	    "http://a/{b}", "http://*.a", "http://a/%zz", "unix:", "unix:x", "unix:/a:b",
	    "unix:/a:", NULL};
	struct endpoint_url u;
	const char *error;
	char longest[200] = "unix:/";

	(void)state;
	for (unsigned i = 0; bad[i] != NULL; i++) {
		error = NULL;
		if (endpoint_url_parse(str_of(bad[i]), &u, &error) != -1)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_non_null(error);
	}
	memset(longest + 6, 'a', sizeof(longest) - 6);
	assert_int_equal(endpoint_url_parse(str_n(longest, 5 + 107), &u, &error), 1);
	assert_int_equal(endpoint_url_parse(str_n(longest, 5 + 108), &u, &error), -1);
	assert_int_equal(endpoint_url_parse(STR("unix:/a\0b"), &u, &error), -1);
}

static void
https_urls(void **state)
{
	struct endpoint_url u = url(STR("https://example.com/a/")), v;

	(void)state;
	assert_true(u.tls);
	assert_int_equal(u.port, 443);
	assert_str(u.host, "example.com");
	assert_str(u.base_path, "/a");
	u = url(STR("HTTPS://10.1.2.3:443"));
	assert_true(u.tls);
	assert_str(u.host, "10.1.2.3");
	assert_int_equal(u.addr.port, 443);
	v = url(STR("https://10.1.2.3"));
	assert_true(endpoint_url_same(&u, &v));
	v = url(STR("http://10.1.2.3:443"));
	assert_false(v.tls);
	assert_str(v.host, "10.1.2.3:443");
	assert_false(endpoint_url_same(&u, &v));
	u = url(STR("https://a.test:80"));
	assert_str(u.host, "a.test:80");
	v = url(STR("http://a.test"));
	assert_false(endpoint_url_same(&u, &v));
}

static void
methods(void **state)
{
	char allow[96];
	size_t n;

	(void)state;
	assert_int_equal(method_of(STR("GET")), METHOD_GET);
	assert_int_equal(method_of(STR("get")), METHOD_EXTENSION);
	assert_int_equal(method_of(STR("GETS")), METHOD_EXTENSION);
	assert_int_equal(method_of(STR_NONE), METHOD_EXTENSION);
	assert_true(method_safe(METHOD_HEAD));
	assert_false(method_safe(METHOD_PUT));
	assert_true(method_idempotent(METHOD_PUT));
	assert_false(method_idempotent(METHOD_POST));
	assert_false(method_idempotent(METHOD_EXTENSION));
	assert_str(method_name(METHOD_PATCH), "PATCH");
	assert_int_equal(method_name(METHOD_EXTENSION).n, 0);
	n = method_allow(
	    1u << METHOD_GET | 1u << METHOD_HEAD | 1u << METHOD_POST, allow, sizeof(allow));
	assert_str(str_n(allow, n), "GET, HEAD, POST");
	n = method_allow(~0u, allow, sizeof(allow));
	assert_str(str_n(allow, n), "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE, CONNECT");
	assert_int_equal(method_allow(0, allow, sizeof(allow)), 0);
	assert_true(method_allow(~0u, allow, 12) <= 12);
}

static void
tokens(void **state)
{
	(void)state;
	assert_true(pattern_token(STR("X-Request-Id")));
	assert_true(pattern_token(STR("!#$%&'*+-.^_`|~09azAZ")));
	assert_false(pattern_token(STR("")));
	assert_false(pattern_token(STR("a b")));
	assert_false(pattern_token(STR("a:b")));
	assert_false(pattern_token(STR("a\0")));
	assert_false(pattern_token(STR("a\x80")));
}

static const struct CMUnitTest tests[] = {
    TEST(hosts),
    TEST(paths),
    TEST(reserved_paths),
    TEST(urls),
    TEST(bad_urls),
    TEST(https_urls),
    TEST(methods),
    TEST(tokens),
};
RUN_TESTS(tests)
