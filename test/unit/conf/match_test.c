/* SPDX-License-Identifier: Apache-2.0
 *
 * conditions on listener, headers, query and cookies, and regular expressions over the path.
 */
#include "test/unit/harness.h"

#include "conf/match.h"

struct head {
	const char *name, *value;
};

struct asking {
	struct head v[8];
	struct match_view view;
};

static int
header(void *arg, struct str name, unsigned nth, struct str *value_r)
{
	struct asking *a = arg;

	for (unsigned i = 0; i < ARRAY_LEN(a->v) && a->v[i].name != NULL; i++) {
		if (!str_ieq(str_of(a->v[i].name), name) || nth-- > 0)
			continue;
		*value_r = str_of(a->v[i].value);
		return 1;
	}
	return 0;
}

static const char *why;
static struct match_param params[MATCH_PARAMS];
static unsigned n_params;

static int
ask(const struct conf_route *r, struct asking *a, bool regex)
{
	const char *error = NULL;
	struct matcher *m;
	struct ws ws;
	int got;

	ws_init(&ws, NULL, 0);
	m = matcher_new(r, &ws, &error);
	if (m == NULL)
		fail_msg("%s", error);
	a->view.header = header;
	a->view.arg = a;
	why = NULL;
	n_params = 0;
	got = matcher_accept(m, &a->view, regex, params, &n_params, &why);
	if (why != NULL) { /* lives in the workspace */
		static char text[256];

		snprintf(text, sizeof(text), "%s", why);
		why = text;
	}
	ws_free(&ws);
	return got;
}

static struct conf_route
with(struct conf_cond *header_c, struct conf_cond *query_c, struct conf_cond *cookie_c)
{
	struct conf_route r = {.priority = 0};

	r.headers = (struct conf_list){.v = header_c, .n = header_c != NULL};
	r.query = (struct conf_list){.v = query_c, .n = query_c != NULL};
	r.cookies = (struct conf_list){.v = cookie_c, .n = cookie_c != NULL};
	return r;
}

static void
headers(void **state UNUSED)
{
	struct conf_cond c = {.name = STR("X-Version"), .match = COND_EXACT, .value = STR("2")};
	struct conf_route r = with(&c, NULL, NULL);
	struct asking a = {.v = {{"x-version", "1"}, {"X-VERSION", "2"}}}, none = {.v = {{0}}};

	assert_int_equal(ask(&r, &a, false), 1); /* any of its lines */
	assert_int_equal(ask(&r, &none, false), 0);
	assert_string_equal(why, "header X-Version is not \"2\"");
	c.value = STR("");
	assert_int_equal(ask(&r, &a, false), 0);
	c = (struct conf_cond){.name = STR("x-version"), .match = COND_PREFIX, .value = STR("2")};
	assert_int_equal(ask(&r, &a, false), 1);
	c.value = STR("22");
	assert_int_equal(ask(&r, &a, false), 0);
	c = (struct conf_cond){
	    .name = STR("x-version"), .match = COND_REGEX, .value = STR("^[12]$")};
	assert_int_equal(ask(&r, &a, false), 1);
	assert_int_equal(ask(&r, &none, false), 0);
	c.match = COND_PRESENT;
	assert_int_equal(ask(&r, &a, false), 1);
	assert_int_equal(ask(&r, &none, false), 0);
	assert_string_equal(why, "header x-version is absent");
	c.match = COND_ABSENT;
	assert_int_equal(ask(&r, &a, false), 0);
	assert_string_equal(why, "header x-version is present");
	assert_int_equal(ask(&r, &none, false), 1);
}

static void
query_parameters(void **state UNUSED)
{
	struct conf_cond c = {.name = STR("v"), .match = COND_EXACT, .value = STR("a%20b")};
	struct conf_route r = with(NULL, &c, NULL);
	struct asking a = {.view.query = STR("x=1&v=a%20b&v=other&flag")};

	assert_int_equal(ask(&r, &a, false), 1);
	c.value = STR("other"); /* the first counts */
	assert_int_equal(ask(&r, &a, false), 0);
	c = (struct conf_cond){.name = STR("flag"), .match = COND_PRESENT};
	assert_int_equal(ask(&r, &a, false), 1);
	c.name = STR("fla");
	assert_int_equal(ask(&r, &a, false), 0);
	c.match = COND_ABSENT;
	assert_int_equal(ask(&r, &a, false), 1);
}

static void
cookies(void **state UNUSED)
{
	struct conf_cond c = {.name = STR("lang"), .match = COND_EXACT, .value = STR("de")};
	struct conf_route r = with(NULL, NULL, &c);
	struct asking a = {.v = {{"Cookie", "id=1; langx=en"}, {"cookie", "lang=de; lang=fr"}}};

	assert_int_equal(ask(&r, &a, false), 1);
	c.value = STR("fr");
	assert_int_equal(ask(&r, &a, false), 0);
	assert_string_equal(why, "cookie lang is not \"fr\"");
	c = (struct conf_cond){.name = STR("nope"), .match = COND_ABSENT};
	assert_int_equal(ask(&r, &a, false), 1);
}

static void
all_conditions_must_hold(void **state UNUSED)
{
	struct conf_cond h = {.name = STR("a"), .match = COND_PRESENT},
			 q = {.name = STR("b"), .match = COND_PRESENT};
	struct conf_route r = with(&h, &q, NULL);
	struct asking a = {.v = {{"a", "1"}}, .view.query = STR("b")};

	assert_int_equal(ask(&r, &a, false), 1);
	a.view.query = STR("c");
	assert_int_equal(ask(&r, &a, false), 0);
	assert_string_equal(why, "query parameter b is absent");
}

static void
listeners(void **state UNUSED)
{
	struct str ids[] = {STR("inner"), STR("admin")};
	struct conf_route r = {.listener = {.v = ids, .n = 2}};
	struct asking a = {.view.listener_id = STR("admin")};

	assert_int_equal(ask(&r, &a, false), 1);
	a.view.listener_id = STR("main");
	assert_int_equal(ask(&r, &a, false), 0);
	assert_string_equal(why, "it is for other listeners");
}

static void
regex_paths_give_named_groups(void **state UNUSED)
{
	struct str paths[] = {STR("/plain"), STR("~^/v(?<version>[0-9]+)/(?<rest>.*)$"),
	    STR("~^/old/(?<a>x)?(?<b>y)")};
	struct conf_route r = {.path = {.v = paths, .n = 3}};
	struct asking a = {.view.path = STR("/v12/a/b")};

	assert_int_equal(ask(&r, &a, true), 1);
	assert_int_equal(n_params, 2);
	assert_int_equal(ask(&r, &a, false), 1); /* its plain path matched: no regex is asked */
	assert_int_equal(n_params, 0);
	a.view.path = STR("/v/a");
	assert_int_equal(ask(&r, &a, true), 0);
	assert_string_equal(why, "no regular expression matches the path");
	a.view.path = STR("/old/y"); /* a group that took no part gives no parameter */
	assert_int_equal(ask(&r, &a, true), 1);
	assert_int_equal(n_params, 1);
	assert_true(str_eq(params[0].value, STR("y")));
}

static void
a_regex_that_runs_away_counts_as_no(void **state UNUSED)
{
	struct str paths[] = {STR("~^/(a+)+$")};
	struct conf_route r = {.path = {.v = paths, .n = 1}};
	struct asking a = {.view.path = STR("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")};
	int got = ask(&r, &a, true);

	assert_true(got <= 0);
	assert_non_null(why);
}

static void
a_bad_regex_is_an_error_with_words(void **state UNUSED)
{
	struct str paths[] = {STR("~^/(")};
	struct conf_route r = {.path = {.v = paths, .n = 1}};
	const char *error = NULL;
	struct ws ws;

	ws_init(&ws, NULL, 0);
	assert_null(matcher_new(&r, &ws, &error));
	assert_non_null(strstr(error, "parenthesis"));
	ws_free(&ws);
}

static void
parts_of_requests(void **state UNUSED)
{
	struct str v;

	assert_int_equal(query_get(STR("a=1&b=&c&=x&a=2"), STR("a"), &v), 1);
	assert_true(str_eq(v, STR("1")));
	assert_int_equal(query_get(STR("a=1&b=&c"), STR("b"), &v), 1);
	assert_int_equal(v.n, 0);
	assert_int_equal(query_get(STR("a=1&b=&c"), STR("c"), &v), 1);
	assert_int_equal(query_get(STR("a=b=c"), STR("a"), &v), 1);
	assert_true(str_eq(v, STR("b=c")));
	assert_int_equal(query_get(STR(""), STR("a"), &v), 0);
	assert_int_equal(query_get(STR("&&"), STR(""), &v), 0);
	assert_int_equal(cookie_get(STR("a=1;b=2 ; c = 3"), STR("b"), &v), 1);
	assert_true(str_eq(v, STR("2")));
	assert_int_equal(cookie_get(STR("a=1;b=2 ; c = 3"), STR("c"), &v), 1);
	assert_true(str_eq(v, STR("3")));
	assert_int_equal(cookie_get(STR("novalue; =x"), STR("novalue"), &v), 0);
	assert_int_equal(cookie_get(STR(""), STR("a"), &v), 0);
}

static const struct CMUnitTest tests[] = {
    TEST(headers),
    TEST(query_parameters),
    TEST(cookies),
    TEST(all_conditions_must_hold),
    TEST(listeners),
    TEST(regex_paths_give_named_groups),
    TEST(a_regex_that_runs_away_counts_as_no),
    TEST(a_bad_regex_is_an_error_with_words),
    TEST(parts_of_requests),
};

RUN_TESTS(tests)
