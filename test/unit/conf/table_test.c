/* SPDX-License-Identifier: Apache-2.0
 *
 * S-RT-1, F-TEST-01: which route takes a request, one rule after the other
 * (contrib/doc/routing, "Precedence"). All rules at once, at random: table_random_test.c.
 */
#include "test/unit/conf/routes.h"

#include "shm/base/clock.h"

static void
given(struct fixture *f, const struct def *d, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		route_make(&f->v[f->n + i], &d[i], f->n + i + 1);
	kit_begin(&f->kit);
	kit_object(&f->kit, CONF_LISTENER, 1, STR("main"));
	kit_object(&f->kit, CONF_LISTENER, 2, STR("inner"));
	link_routes(&f->kit, f->v + f->n, n, true);
	kit_commit(&f->kit);
	f->n += n;
}
#define GIVEN(f, ...)                                                                              \
	do {                                                                                       \
		static const struct def defs[] = {__VA_ARGS__};                                    \
		given(f, defs, ARRAY_LEN(defs));                                                   \
	} while (0)

static struct match_result last;

/* "id", "404", "405 GET, HEAD" or "500". */
static const char *
answer(struct fixture *f, const char *method, const char *host, const char *path)
{
	static char text[160];
	struct ask a = {.v = f->v, .n = f->n};
	struct match_query q = query_of(method, host, path, &a);
	int got = table_match(f->kit.table, &q, &last);

	if (got < 0)
		return "500";
	if (got == 0 && last.allow == 0)
		return "404";
	if (got == 0) {
		char allow[96];
		size_t n = method_allow(last.allow, allow, sizeof(allow));

		snprintf(text, sizeof(text), "405 %.*s", (int)n, allow);
		return text;
	}
	for (unsigned i = 0; i < f->n; i++)
		if (f->v[i].number == last.route)
			return f->v[i].d.id;
	return "nobody";
}
#define EXPECT(f, method, host, path, want) assert_string_equal(answer(f, method, host, path), want)

static struct str
param(const char *name)
{
	for (unsigned i = 0; i < last.n_params; i++)
		if (str_eq(last.params[i].name, str_of(name)))
			return last.params[i].value;
	return STR_NONE;
}
#define EXPECT_STR(s, want) assert_true(str_eq(s, STR(want)))

/* --- the rules, one by one ------------------------------------------------------------------- */

static void
nothing_matches_an_empty_table(void **state)
{
	EXPECT(*state, "GET", "a.test", "/", "404");
}

static void
host_exact_then_longest_wildcard_then_any(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "exact", .host = "a.b.test", .path = "/*"},
	    {.id = "long", .host = "*.b.test", .path = "/*"},
	    {.id = "short", .host = "*.test", .path = "/*"}, {.id = "any", .path = "/*"});
	EXPECT(f, "GET", "a.b.test", "/", "exact");
	EXPECT(f, "GET", "a.b.test.", "/", "exact");
	EXPECT(f, "GET", "c.b.test", "/", "long");
	EXPECT(f, "GET", "x.c.b.test", "/", "long");
	EXPECT(f, "GET", "b.test", "/", "short");
	EXPECT(f, "GET", "test", "/", "any");
	EXPECT(f, "GET", "other", "/", "any");
	EXPECT(f, "GET", "", "/", "any");
	EXPECT(f, "GET", "[::1]", "/", "any");
}

static void
next_host_is_asked_when_no_path_matches(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "exact", .host = "a.test", .path = "/a", .method = "GET"},
	    {.id = "wild", .host = "*.test", .path = "/b"}, {.id = "any", .path = "/*"},
	    {.id = "picky", .host = "a.test", .path = "/c", .conditions = 1, .refuses = true});
	EXPECT(f, "GET", "a.test", "/a", "exact");
	EXPECT(f, "GET", "a.test", "/b", "wild");
	EXPECT(f, "GET", "a.test", "/z", "any");
	EXPECT(f, "GET", "a.test", "/c", "any");
	/* but a host that has the path for other methods is the last one asked */
	EXPECT(f, "POST", "a.test", "/a", "405 GET, HEAD");
}

static void
deepest_node_wins_then_literals_before_parameters(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "root", .path = "/*"}, {.id = "a*", .path = "/a/*"},
	    {.id = "x/b", .path = "/{x}/b"}, {.id = "a/y", .path = "/a/{y}"},
	    {.id = "a/b", .path = "/a/b"}, {.id = "x/y/z", .path = "/{x}/{y}/z"},
	    {.id = "a/b*", .path = "/a/b/*"}, {.id = "a/*/z", .path = "/a/*/z"});
	EXPECT(f, "GET", "h", "/", "root");
	EXPECT(f, "GET", "h", "/q", "root");
	EXPECT(f, "GET", "h", "/a", "a*");
	EXPECT(f, "GET", "h", "/a/", "a*");
	EXPECT(f, "GET", "h", "/a/b", "a/b");
	EXPECT(f, "GET", "h", "/a/c", "a/y");
	EXPECT(f, "GET", "h", "/q/b", "x/b");
	EXPECT(f, "GET", "h", "/q/c", "root");
	EXPECT(f, "GET", "h", "/a/b/", "a/b*");
	EXPECT(f, "GET", "h", "/a/b/c/d", "a/b*");
	EXPECT(
	    f, "GET", "h", "/a/b/z", "a/*/z"); /* three segments beat two, a literal comes first */
	EXPECT(f, "GET", "h", "/q/r/z", "x/y/z");
	EXPECT(f, "GET", "h", "/a/r/z", "a/*/z");
	EXPECT(f, "GET", "h", "/a/r/z/", "a*");
}

static void
at_a_node_exact_then_regex_then_prefix(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "prefix", .path = "/v1/*"}, {.id = "regex", .path = "~^/v1/[0-9]+"},
	    {.id = "exact", .path = "/v1"}, {.id = "deeper", .path = "/v1/x"});
	EXPECT(f, "GET", "h", "/v1", "exact");
	EXPECT(f, "GET", "h", "/v1/7", "regex");
	EXPECT_STR(param("regex"), "yes");
	EXPECT(f, "GET", "h", "/v1/x", "deeper");
	f->v[1].d.refuses = true;
	EXPECT(f, "GET", "h", "/v1/7", "prefix");
	assert_int_equal(last.n_params, 0);
}

static void
equal_paths_priority_then_conditions_then_id(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "b", .path = "/p"}, {.id = "a", .path = "/p"},
	    {.id = "strict", .path = "/p", .conditions = 2},
	    {.id = "first", .path = "/p", .priority = 1});
	EXPECT(f, "GET", "h", "/p", "first");
	f->v[3].d.refuses = true;
	EXPECT(f, "GET", "h", "/p", "strict");
	f->v[2].d.refuses = true;
	EXPECT(f, "GET", "h", "/p", "a");
	f->v[1].d.refuses = true;
	EXPECT(f, "GET", "h", "/p", "b");
	f->v[0].d.refuses = true;
	EXPECT(f, "GET", "h", "/p", "404");
}

static void
a_method_list_counts_as_a_condition(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "all", .path = "/p"}, {.id = "get", .path = "/p", .method = "GET"});
	EXPECT(f, "GET", "h", "/p", "get");
	EXPECT(f, "HEAD", "h", "/p", "get");
	EXPECT(f, "POST", "h", "/p", "all");
	EXPECT(f, "PURGE", "h", "/p", "all");
}

static void
wrong_method_is_405_with_the_union(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "get", .path = "/p", .method = "GET"},
	    {.id = "put", .path = "/p", .method = "PUT DELETE"},
	    {.id = "under", .path = "/*", .method = "OPTIONS"},
	    {.id = "hidden", .path = "/p", .method = "PATCH", .conditions = 1, .refuses = true},
	    {.id = "elsewhere", .path = "/p", .method = "POST", .listener = "inner"});
	EXPECT(f, "POST", "h", "/p", "405 GET, HEAD, PUT, DELETE, OPTIONS");
	EXPECT(f, "OPTIONS", "h", "/p", "under");
	EXPECT(f, "PURGE", "h", "/p", "405 GET, HEAD, PUT, DELETE, OPTIONS");
	EXPECT(f, "POST", "h", "/q", "405 OPTIONS");
}

static void
extension_methods_go_by_name(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "ext", .path = "/p", .method = "PURGE REPORT"});
	EXPECT(f, "PURGE", "h", "/p", "ext");
	EXPECT(f, "REPORT", "h", "/p", "ext");
	EXPECT(f, "PURG", "h", "/p", "404");
	EXPECT(f, "GET", "h", "/p", "404");
}

static void
routes_of_other_listeners_do_not_exist(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "inner", .host = "a.test", .path = "/p", .listener = "inner"},
	    {.id = "both", .path = "/p", .listener = "main inner"});
	EXPECT(f, "GET", "a.test", "/p", "both");
}

static void
parameters_take_whole_segments_that_are_not_empty(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "one", .path = "/u/{id}/x/*/{name}"}, {.id = "pre", .path = "/p/{id}/*"});
	EXPECT(f, "GET", "h", "/u/42/x/any/bob", "one");
	assert_int_equal(last.n_params, 2);
	EXPECT_STR(param("id"), "42");
	EXPECT_STR(param("name"), "bob");
	EXPECT_STR(last.pattern, "/u/{id}/x/*/{name}");
	EXPECT(f, "GET", "h", "/u//x/any/bob", "404");
	EXPECT(f, "GET", "h", "/u/42/x/any/", "404");
	EXPECT(f, "GET", "h", "/u/42/x/any", "404");
	EXPECT(f, "GET", "h", "/p/7/a/b", "pre");
	EXPECT_STR(param("id"), "7");
	EXPECT_STR(last.rest, "a/b");
	EXPECT_STR(last.pattern, "/p/{id}/*");
	EXPECT(f, "GET", "h", "/p/7", "pre");
	EXPECT_STR(last.rest, "");
	EXPECT(f, "GET", "h", "/p/7/", "pre");
	EXPECT_STR(last.rest, "");
	EXPECT(f, "GET", "h", "/p/", "404");
}

static void
a_slash_at_the_end_is_another_path(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "root", .path = "/"}, {.id = "with", .path = "/a/"},
	    {.id = "without", .path = "/b"});
	EXPECT(f, "GET", "h", "/", "root");
	EXPECT(f, "GET", "h", "/a/", "with");
	EXPECT(f, "GET", "h", "/a", "404");
	EXPECT(f, "GET", "h", "/b", "without");
	EXPECT(f, "GET", "h", "/b/", "404");
	EXPECT(f, "GET", "h", "//", "404");
	EXPECT(f, "GET", "h", "", "404");
	EXPECT(f, "GET", "h", "*", "404");
}

static void
one_route_at_many_places(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "many", .host = "a.test *.b.test", .path = "/x /y/* ~^/z/[a-z]+$"});
	EXPECT(f, "GET", "a.test", "/x", "many");
	EXPECT_STR(last.pattern, "a.test/x");
	EXPECT(f, "GET", "q.b.test", "/y/1", "many");
	EXPECT_STR(last.pattern, "*.b.test/y/*");
	EXPECT(f, "GET", "q.b.test", "/z/q", "many");
	EXPECT(f, "GET", "c.test", "/x", "404");
}

static void
removing_leaves_nothing_behind(void **state)
{
	struct fixture *f = *state;

	GIVEN(f, {.id = "a", .host = "*.deep.test", .path = "/a/{b}/c/*"},
	    {.id = "b", .path = "/a /b/*"});
	kit_begin(&f->kit);
	link_routes(&f->kit, f->v, f->n, false);
	assert_int_equal(db_count(f->kit.txn, f->kit.map.tab[MAP_SHARD]), 0);
	assert_int_equal(db_count(f->kit.txn, f->kit.map.tab[MAP_HOST]), 0);
	assert_int_equal(f->kit.meta.wild, 0);
	kit_commit(&f->kit);
	EXPECT(f, "GET", "x.deep.test", "/a/1/c/d", "404");
}

/* A path that more nodes match than the matcher notes at once. */
static void
ambiguous_tables_keep_the_order(void **state)
{
	struct fixture *f = *state;
	static struct def d[64];
	static char path[64][64], id[64][8];

	for (unsigned i = 0; i < 64; i++) {
		size_t n = 0;

		for (unsigned bit = 0; bit < 6; bit++)
			n += (size_t)snprintf(path[i] + n, sizeof(path[i]) - n,
			    (i & 32u >> bit) != 0 ? "/{p%u}" : "/s", bit);
		snprintf(id[i], sizeof(id[i]), "r%02u", i);
		d[i] = (struct def){.id = id[i], .path = path[i], .refuses = true};
	}
	given(f, d, 64);
	/* Every one refuses but one: it is found, after all before it were asked. */
	for (unsigned i = 0; i < 64; i++) {
		struct ask a = {.v = f->v, .n = f->n};
		struct match_query q = query_of("GET", "h", "/s/s/s/s/s/s", &a);

		f->v[i].d.refuses = false;
		assert_int_equal(table_match(f->kit.table, &q, &last), 1);
		assert_int_equal(last.route, i + 1);
		assert_int_equal(a.asked, i + 1);
		f->v[i].d.refuses = true;
	}
}

/* --- what is remembered ---------------------------------------------------------------------- */

static void
hang(struct fixture *f, uint32_t number, const char *where, bool there)
{
	struct str path = str_of(where);
	struct conf_route route = {.path = {&path, 1}};
	struct routing *r = routing_new(f->kit.txn, &f->kit.map, &f->kit.meta);
	const char *error = NULL;

	if (there)
		assert_int_equal(routing_link(r, number, &route, &error), 1);
	else
		assert_int_equal(routing_unlink(r, number, &route, &error), 1);
	assert_int_equal(routing_flush(r, &error), 1);
	routing_free(&r);
}

static int
asked(struct fixture *f, const char *path)
{
	struct match_query q = {
	    .host = STR("h"), .path = str_of(path), .method = 1, .method_name = STR("GET")};

	return table_match(f->kit.table, &q, &last);
}

/* Where shards lie is remembered: for one snapshot only, and not where they are not. */
static void
shards_are_remembered_for_a_snapshot(void **state)
{
	struct fixture *f = *state;
	char path[80];

	kit_begin(&f->kit);
	for (uint32_t i = 1; i <= 300; i++) {
		snprintf(path, sizeof(path), "/api/v1/item%u/long-enough-to-need-shards", i);
		kit_object(&f->kit, CONF_ROUTE, i, str_of("r"));
		hang(f, i, path, true);
	}
	kit_commit(&f->kit);
	for (uint32_t i = 1; i <= 300; i++) {
		snprintf(path, sizeof(path), "/api/v1/item%u/long-enough-to-need-shards", i);
		for (unsigned twice = 0; twice < 2; twice++) {
			assert_int_equal(asked(f, path), 1);
			assert_int_equal(last.route, i);
		}
		kit_begin(&f->kit);
		hang(f, i, path, false);
		/* Not yet committed: nobody else sees it. */
		assert_int_equal(asked(f, path), 1);
		kit_commit(&f->kit);
		assert_int_equal(asked(f, path), 0);
		kit_begin(&f->kit);
		hang(f, i + 1000, path, true);
		assert_int_equal(asked(f, path), 0);
		kit_commit(&f->kit);
		assert_int_equal(asked(f, path), 1);
		assert_int_equal(last.route, i + 1000);
	}
}

/* --- size ------------------------------------------------------------------------------------ */

static void
hundred_thousand_routes(void **state)
{
	struct fixture *f = *state;
	enum { N = 100000 };
	struct routing *r;
	const char *error = NULL;
	uint64_t t0, t1;
	struct conf_route route = {.path = {.n = 1}};
	struct match_query q;
	char text[64], id[16];
	struct str path;

	route.path.v = &path;
	kit_begin(&f->kit);
	for (uint32_t i = 1; i <= N; i++) {
		snprintf(id, sizeof(id), "r%06u", i);
		kit_object(&f->kit, CONF_ROUTE, i, str_of(id));
	}
	t0 = clock_precise_ns();
	r = routing_new(f->kit.txn, &f->kit.map, &f->kit.meta);
	for (uint32_t i = 1; i <= N; i++) {
		snprintf(text, sizeof(text), i % 2 != 0 ? "/svc-%06u/*" : "/t%u/items/{id}", i);
		path = str_of(text);
		assert_int_equal(routing_link(r, i, &route, &error), 1);
	}
	assert_int_equal(routing_flush(r, &error), 1);
	t1 = clock_precise_ns();
	print_message(
	    "100,000 routes: %u shards in %.0f ms\n", routing_written(r), (double)(t1 - t0) / 1e6);
	routing_free(&r);
	kit_commit(&f->kit);

	/* One more costs the shards on its path. */
	kit_begin(&f->kit);
	t0 = clock_precise_ns();
	r = routing_new(f->kit.txn, &f->kit.map, &f->kit.meta);
	path = STR("/one-more/*");
	assert_int_equal(routing_link(r, 1, &route, &error), 1);
	assert_int_equal(routing_flush(r, &error), 1);
	assert_true(routing_written(r) <= 2);
	routing_free(&r);
	kit_commit(&f->kit);
	t1 = clock_precise_ns();
	print_message("one more: %.0f us\n", (double)(t1 - t0) / 1e3);

	q = (struct match_query){.host = STR("h"), .method = 1, .method_name = STR("GET")};
	t0 = clock_precise_ns();
	for (uint32_t i = 1; i <= N; i += 10) {
		snprintf(text, sizeof(text), "/svc-%06u/some/thing", i);
		q.path = str_of(text);
		assert_int_equal(table_match(f->kit.table, &q, &last), 1);
		assert_int_equal(last.route, i);
	}
	t1 = clock_precise_ns();
	print_message("a match: %.0f ns\n", (double)(t1 - t0) / (N / 10.0));
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(nothing_matches_an_empty_table, setup, teardown),
    TEST_WITH(host_exact_then_longest_wildcard_then_any, setup, teardown),
    TEST_WITH(next_host_is_asked_when_no_path_matches, setup, teardown),
    TEST_WITH(deepest_node_wins_then_literals_before_parameters, setup, teardown),
    TEST_WITH(at_a_node_exact_then_regex_then_prefix, setup, teardown),
    TEST_WITH(equal_paths_priority_then_conditions_then_id, setup, teardown),
    TEST_WITH(a_method_list_counts_as_a_condition, setup, teardown),
    TEST_WITH(wrong_method_is_405_with_the_union, setup, teardown),
    TEST_WITH(extension_methods_go_by_name, setup, teardown),
    TEST_WITH(routes_of_other_listeners_do_not_exist, setup, teardown),
    TEST_WITH(parameters_take_whole_segments_that_are_not_empty, setup, teardown),
    TEST_WITH(a_slash_at_the_end_is_another_path, setup, teardown),
    TEST_WITH(one_route_at_many_places, setup, teardown),
    TEST_WITH(removing_leaves_nothing_behind, setup, teardown),
    TEST_WITH(ambiguous_tables_keep_the_order, setup, teardown),
    TEST_WITH(shards_are_remembered_for_a_snapshot, setup, teardown),
    TEST_WITH(hundred_thousand_routes, setup, teardown),
};

RUN_TESTS(tests)
