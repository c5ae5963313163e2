/* SPDX-License-Identifier: Apache-2.0
 *
 * Origins of WebSockets: which patterns are one, and whom they let in (E-8).
 */
#include "test/unit/harness.h"

#include "conf/origin.h"
#include "conf/websocket.h"

static void
patterns(void **state)
{
	static const char *const good[] = {"https://example.com", "http://example.com:8080",
	    "https://*.example.com", "https://*.example.com:8443", "*.example.com", "null",
	    "https://[::1]:8443", "app://local"};
	static const char *const bad[] = {"", "example.com", "https://", "*", "https://*",
	    "https://a.*.com", "https://example.com/", "https://a b"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(good); i++)
		assert_null(origin_wrong(str_of(good[i])));
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(origin_wrong(str_of(bad[i])));
}

static void
who_may(void **state)
{
	static const struct {
		const char *pattern, *origin;
		bool may;
	} rows[] = {
	    {"https://example.com", "https://example.com", true},
	    {"https://example.com", "https://EXAMPLE.com", true},
	    {"https://example.com", "https://example.com:443", false},
	    {"https://example.com", "http://example.com", false},
	    {"https://example.com", "https://example.com.evil", false},
	    {"https://example.com", "", false},
	    {"https://*.example.com", "https://a.example.com", true},
	    {"https://*.example.com", "https://a.b.example.com", true},
	    {"https://*.example.com", "https://example.com", false},
	    {"https://*.example.com", "https://.example.com", false},
	    {"https://*.example.com", "https://aexample.com", false},
	    {"https://*.example.com", "http://a.example.com", false},
	    {"https://*.example.com", "https://a.example.com:8443", false},
	    {"https://*.example.com:8443", "https://a.example.com:8443", true},
	    {"*.example.com", "http://a.example.com:81", true},
	    {"*.example.com", "https://a.example.com", true},
	    {"*.example.com", "https://example.com", false},
	    {"*.example.com", "https://evil/a.example.com", false},
	    {"null", "null", true},
	    {"*.example.com", "null", false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct str pattern = str_of(rows[i].pattern);
		struct conf_websocket w = {.origins = {&pattern, 1}};

		assert_int_equal(websocket_origin_may(&w, str_of(rows[i].origin)), rows[i].may);
	}
	assert_true(websocket_origin_may(&(struct conf_websocket){0}, STR("")));
}

static const struct CMUnitTest tests[] = {
    TEST(patterns),
    TEST(who_may),
};
RUN_TESTS(tests)
