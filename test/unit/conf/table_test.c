/* SPDX-License-Identifier: Apache-2.0
 *
 * S-RT-1, F-TEST-01: which route takes a request. The rules one by one, then thousands of
 * random tables and requests against a matcher that knows nothing of tries: it sorts all candidates
 * by the documented order and takes the first.
 */
#include "test/unit/conf/kit.h"

#include "conf/method.h"
#include "conf/path.h"
#include "shm/base/clock.h"

/* --- routes in short
 * ------------------------------------------------------------------------------ */

#define MAX_LIST 4

struct def {
	const char *id;
	const char *host, *path, *method, *listener; /* lists separated by blanks; NULL: any */
	int priority;
	unsigned conditions;
	bool refuses; /* its conditions do not hold */
};

struct route {
	struct def d;
	uint32_t number;
	struct conf_route r;
	struct str list[4][MAX_LIST];
	struct conf_cond cond[8];
};

static struct strs
words(const char *text, struct str *room)
{
	struct strs s = {.v = room};
	struct str rest = str_of(text), word;

	while (str_cut(&rest, ' ', &word))
		room[s.n++] = word;
	return s;
}

static void
route_make(struct route *r, const struct def *d, uint32_t number)
{
	*r = (struct route){.d = *d, .number = number};
	r->r.host = words(d->host, r->list[0]);
	r->r.path = words(d->path, r->list[1]);
	r->r.method = words(d->method, r->list[2]);
	r->r.listener = words(d->listener, r->list[3]);
	r->r.priority = d->priority;
	r->r.headers = (struct conf_list){.v = r->cond, .n = d->conditions};
}

static void
link_routes(struct kit *k, struct route *v, unsigned n, bool on)
{
	struct routing *r = routing_new(k->txn, &k->map, &k->meta);
	const char *error = NULL;
	int ok = 1;

	for (unsigned i = 0; i < n && ok == 1; i++) {
		kit_object(k, CONF_ROUTE, v[i].number, str_of(v[i].d.id));
		ok = on ? routing_link(r, v[i].number, &v[i].r, &error)
			: routing_unlink(r, v[i].number, &v[i].r, &error);
	}
	if (ok != 1 || routing_flush(r, &error) < 0)
		fail_msg("%s", error);
	routing_free(&r);
}

/* --- asking
 * ------------------------------------------------------------------------------------------ */

struct ask {
	struct route *v;
	unsigned n, asked;
};

static int
accept_by_def(void *arg, uint32_t number, bool regex, struct match_param *params, unsigned *n)
{
	struct ask *a = arg;

	a->asked++;
	for (unsigned i = 0; i < a->n; i++) {
		if (a->v[i].number != number)
			continue;
		if (regex && *n < MATCH_PARAMS)
			params[(*n)++] = (struct match_param){STR("regex"), STR("yes")};
		return !a->v[i].d.refuses;
	}
	return -1;
}

static struct match_query
query_of(const char *method, const char *host, const char *path, struct ask *a)
{
	enum http_method m = method_of(str_of(method));

	return (struct match_query){
	    .host = str_of(host),
	    .path = str_of(path),
	    .method = m < METHOD_COUNT ? 1u << m : 0,
	    .method_name = str_of(method),
	    .listener = 1,
	    .accept = accept_by_def,
	    .arg = a,
	    .explain = true,
	};
}

struct fixture {
	struct kit kit;
	struct route v[64];
	unsigned n;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	kit_open(&f->kit);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	kit_close(&f->kit);
	free(f);
	return 0;
}

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

/* --- the rules, one by one
 * ---------------------------------------------------------------------------- */

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

/* --- against the naive matcher
 * -------------------------------------------------------------------------- */

struct place {
	const struct route *route;
	unsigned level; /* 0 exact, then wildcards by length, 1000 any */
	unsigned depth;
	char shape[80]; /* per segment '0' literal, '1' anything */
	enum path_sort sort;
};

static int
place_order(const void *pa, const void *pb)
{
	const struct place *a = pa, *b = pb;
	int c;

	if (a->level != b->level)
		return a->level < b->level ? -1 : 1;
	if (a->depth != b->depth)
		return a->depth > b->depth ? -1 : 1;
	c = strcmp(a->shape, b->shape);
	if (c == 0)
		c = (int)a->sort - (int)b->sort;
	if (c == 0)
		c = b->route->d.priority - a->route->d.priority;
	if (c == 0)
		c = (int)(b->route->d.conditions + (b->route->d.method != NULL) +
			  (b->route->d.listener != NULL)) -
		    (int)(a->route->d.conditions + (a->route->d.method != NULL) +
			  (a->route->d.listener != NULL));
	return c != 0 ? c : strcmp(a->route->d.id, b->route->d.id);
}

static bool
host_level(struct str pattern, struct str host, unsigned *level_r)
{
	if (str_eq(pattern, host)) {
		*level_r = 0;
		return true;
	}
	if (pattern.n < 2 || pattern.p[0] != '*' || !str_ends(host, str_sub(pattern, 1, pattern.n)))
		return false;
	*level_r = 500 - (unsigned)pattern.n;
	return true;
}

static unsigned
cut_path(const char *text, struct str *seg)
{
	struct str rest = str_of(text + 1);
	unsigned n = 0;

	while (str_cut(&rest, '/', &seg[n]))
		n++;
	return n;
}

/* Does the pattern match the path, and where does it stand? */
static bool
path_place(const char *pattern, const char *path, struct place *p)
{
	struct str want[80], have[80];
	unsigned n, m = cut_path(path, have);
	char copy[256];

	p->sort = PATH_EXACT;
	snprintf(copy, sizeof(copy), "%s", pattern);
	if (pattern[0] == '~') {
		/* "~^/lit/lit/[...": the node is what ends before the bracket */
		p->sort = PATH_REGEX;
		snprintf(copy, sizeof(copy), "%s", pattern + 2);
		*strchr(copy, '[') = '\0';
		copy[strlen(copy) - 1] = '\0';
	}
	n = copy[0] == '\0' ? 0 : cut_path(copy, want);
	if (p->sort == PATH_EXACT && n > 0 && str_eq(want[n - 1], STR("*"))) {
		p->sort = PATH_PREFIX;
		n--;
	}
	if (n > m || (p->sort == PATH_EXACT && n != m))
		return false;
	for (unsigned i = 0; i < n; i++) {
		bool any = str_starts(want[i], STR("{")) || str_eq(want[i], STR("*"));

		if (any ? have[i].n == 0 : !str_eq(want[i], have[i]))
			return false;
		p->shape[i] = any ? '1' : '0';
	}
	p->shape[n] = '\0';
	p->depth = n;
	return true;
}

static unsigned
places_of(const struct route *r, struct str host, const char *path, struct place *v)
{
	unsigned n = 0, level;

	for (unsigned h = 0; h < MAX(r->r.host.n, 1u); h++) {
		level = 1000;
		if (r->r.host.n > 0 && !host_level(r->r.host.v[h], host, &level))
			continue;
		for (unsigned i = 0; i < r->r.path.n; i++) {
			char *text = str_z(r->r.path.v[i]);

			v[n] = (struct place){.route = r, .level = level};
			n += path_place(text, path, &v[n]);
			free(text);
		}
	}
	return n;
}

static bool
takes(const struct route *r, const struct match_query *q)
{
	for (uint32_t i = 0; i < r->r.method.n; i++)
		if (str_eq(r->r.method.v[i], q->method_name) ||
		    (str_eq(q->method_name, STR("HEAD")) && str_eq(r->r.method.v[i], STR("GET"))))
			return true;
	return r->r.method.n == 0;
}

static uint32_t
mask_of(const struct route *r)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < r->r.method.n; i++) {
		enum http_method m = method_of(r->r.method.v[i]);

		mask |= m < METHOD_COUNT ? 1u << m : 0;
		mask |= m == METHOD_GET ? 1u << METHOD_HEAD : 0;
	}
	return mask;
}

static int
naive_match(const struct route *v, unsigned n, const bool *on, const struct match_query *q,
    uint32_t *route_r, uint32_t *allow_r)
{
	static struct place p[4096];
	unsigned np = 0, level = 0;
	char *path = str_z(q->path);

	for (unsigned i = 0; i < n; i++)
		if (on[i] && !v[i].d.refuses &&
		    (v[i].d.listener == NULL ||
			str_find(str_of(v[i].d.listener), STR("main")) >= 0))
			np += places_of(&v[i], q->host, path, p + np);
	free(path);
	qsort(p, np, sizeof(p[0]), place_order);
	*allow_r = 0;
	for (unsigned i = 0; i < np; i++) {
		if (p[i].level != level && *allow_r != 0)
			return 0;
		level = p[i].level;
		if (takes(p[i].route, q)) {
			*route_r = p[i].route->number;
			return 1;
		}
		/* A better place of the same level may still take it: allow counts at its end. */
		for (unsigned k = i; k < np && p[k].level == level; k++)
			if (takes(p[k].route, q)) {
				*route_r = p[k].route->number;
				return 1;
			}
		*allow_r |= mask_of(p[i].route);
	}
	return 0;
}

static unsigned long seed = 12345;

static unsigned
pick(unsigned n)
{
	seed = seed * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned)(seed >> 33) % n;
}

static const char *const hosts[] = {
    "a.test", "b.test", "c.a.test", "*.test", "*.a.test", "*.c.a.test", NULL};
static const char *const asked_hosts[] = {
    "a.test", "b.test", "c.a.test", "d.c.a.test", "x.y.test", "test", "other", ""};
static const char *const methods[] = {"GET", "POST", "PUT DELETE", "PURGE", "HEAD", NULL, NULL};
static const char *const asked_methods[] = {"GET", "HEAD", "POST", "DELETE", "PURGE", "PATCH"};
static const char *const listeners[] = {NULL, NULL, NULL, "main", "inner", "main inner"};

static void
random_segment(char *out, size_t cap, unsigned alphabet, bool pattern)
{
	unsigned k = pick(pattern ? 14 : 12);

	if (k >= 12)
		snprintf(out, cap, k == 12 ? "/{p%u}" : "/*", pick(1000000));
	else if (k == 11)
		snprintf(out, cap, "/");
	else
		snprintf(out, cap, "/seg%u", pick(alphabet));
}

static void
random_path(char *out, size_t cap, unsigned alphabet, bool pattern)
{
	unsigned depth = 1 + pick(5), sort = pattern ? pick(5) : 0;
	size_t n = 0;

	out[0] = '\0';
	if (sort == 4) {
		n += (size_t)snprintf(out, cap, "~^");
		for (unsigned i = 0; i + 1 < depth; i++)
			n += (size_t)snprintf(out + n, cap - n, "/seg%u", pick(alphabet));
		snprintf(out + n, cap - n, "/[a-z0-9/]*");
		return;
	}
	for (unsigned i = 0; i < depth; i++) {
		random_segment(out + n, cap - n, alphabet, pattern);
		n += strlen(out + n);
	}
	if (sort == 3)
		snprintf(out + n, cap - n, "/*");
	else if (pattern && n >= 2 && out[n - 1] == '*' && out[n - 2] == '/')
		out[n - 1] = 'q'; /* a star at the end would be a prefix */
}

#define RANDOM_ROUTES 400

static struct {
	struct route v[RANDOM_ROUTES];
	bool on[RANDOM_ROUTES];
	char id[RANDOM_ROUTES][8], path[RANDOM_ROUTES][260], host[RANDOM_ROUTES][40];
	unsigned alphabet;
} rnd;

static void
random_route(unsigned i)
{
	struct def d = {.id = rnd.id[i], .path = rnd.path[i]};
	size_t n = 0;

	snprintf(rnd.id[i], sizeof(rnd.id[i]), "%03x", (i * 2654435761u) >> 20);
	for (unsigned k = 1 + pick(2); k > 0; k--) {
		random_path(rnd.path[i] + n, sizeof(rnd.path[i]) - n, rnd.alphabet, true);
		n += strlen(rnd.path[i] + n);
		if (k > 1)
			rnd.path[i][n++] = ' ';
	}
	d.host = hosts[pick(ARRAY_LEN(hosts))];
	d.method = methods[pick(ARRAY_LEN(methods))];
	d.listener = listeners[pick(ARRAY_LEN(listeners))];
	d.priority = (int)pick(3) - 1;
	d.conditions = pick(3);
	d.refuses = pick(4) == 0;
	route_make(&rnd.v[i], &d, i + 1);
}

static void
random_compare(struct fixture *f, unsigned rounds)
{
	static unsigned taken, not_allowed, absent;

	for (unsigned i = 0; i < rounds; i++) {
		struct ask a = {.v = rnd.v, .n = RANDOM_ROUTES};
		uint32_t route = 0, allow;
		struct match_query q;
		char path[200];
		int want, got;

		random_path(path, sizeof(path), rnd.alphabet, false);
		q = query_of(asked_methods[pick(ARRAY_LEN(asked_methods))],
		    asked_hosts[pick(ARRAY_LEN(asked_hosts))], path, &a);
		want = naive_match(rnd.v, RANDOM_ROUTES, rnd.on, &q, &route, &allow);
		got = table_match(f->kit.table, &q, &last);
		if (got != want || (want == 1 && last.route != route) ||
		    (want == 0 && last.allow != allow))
			fail_msg("%.*s %.*s%s: naive %d route %u allow %x, table %d route %u "
				 "allow %x",
			    STR_ARG(q.method_name), STR_ARG(q.host), path, want, route, allow, got,
			    last.route, last.allow);
		taken += got == 1;
		not_allowed += got == 0 && last.allow != 0;
		absent += got == 0 && last.allow == 0;
	}
	/* all three answers must really have come up */
	assert_true(rounds < 1000 || (taken > 100 && not_allowed > 20 && absent > 100));
}

static void
random_step(struct fixture *f, unsigned share)
{
	kit_begin(&f->kit);
	for (unsigned i = 0; i < RANDOM_ROUTES; i++) {
		if (pick(100) >= share)
			continue;
		link_routes(&f->kit, &rnd.v[i], 1, !rnd.on[i]);
		rnd.on[i] = !rnd.on[i];
	}
	kit_commit(&f->kit);
}

/* Adding and removing piece by piece gives what the naive matcher says at every step, and an empty
 * table at the end. */
static void
random_tables_agree_with_the_naive_matcher(void **state)
{
	struct fixture *f = *state;

	kit_begin(&f->kit);
	kit_object(&f->kit, CONF_LISTENER, 1, STR("main"));
	kit_object(&f->kit, CONF_LISTENER, 2, STR("inner"));
	kit_commit(&f->kit);
	for (unsigned round = 0; round < 12; round++) {
		rnd.alphabet = (const unsigned[]){2, 3, 5, 60}[round % 4];
		for (unsigned i = 0; i < RANDOM_ROUTES; i++)
			random_route(i);
		for (unsigned step = 0; step < 4; step++) {
			random_step(f, step == 0 ? 60 : 15);
			random_compare(f, 250);
		}
		kit_begin(&f->kit);
		for (unsigned i = 0; i < RANDOM_ROUTES; i++)
			if (rnd.on[i])
				link_routes(&f->kit, &rnd.v[i], 1, false);
		memset(rnd.on, 0, sizeof(rnd.on));
		assert_int_equal(db_count(f->kit.txn, f->kit.map.tab[MAP_SHARD]), 0);
		assert_int_equal(db_count(f->kit.txn, f->kit.map.tab[MAP_HOST]), 0);
		kit_commit(&f->kit);
	}
}

/* Many in one transaction, one in each: the answers are the same (both equal the naive ones). */
static void
full_build_agrees_too(void **state)
{
	struct fixture *f = *state;

	rnd.alphabet = 4;
	kit_begin(&f->kit);
	kit_object(&f->kit, CONF_LISTENER, 1, STR("main"));
	kit_object(&f->kit, CONF_LISTENER, 2, STR("inner"));
	for (unsigned i = 0; i < RANDOM_ROUTES; i++) {
		random_route(i);
		rnd.on[i] = true;
	}
	link_routes(&f->kit, rnd.v, RANDOM_ROUTES, true);
	kit_commit(&f->kit);
	random_compare(f, 2000);
}

/* --- size
 * ------------------------------------------------------------------------------------------------
 */

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
    TEST_WITH(random_tables_agree_with_the_naive_matcher, setup, teardown),
    TEST_WITH(full_build_agrees_too, setup, teardown),
    TEST_WITH(hundred_thousand_routes, setup, teardown),
};

RUN_TESTS(tests)
