/* SPDX-License-Identifier: Apache-2.0
 *
 * S-RT-1, F-TEST-01: thousands of random tables and requests against a matcher that knows
 * nothing of tries: it sorts all candidates by the documented order and takes the first. The tables
 * are built piece by piece and all at once.
 */
#include "conf/path.h"
#include "test/unit/conf/routes.h"

static struct match_result last;

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

static const struct CMUnitTest tests[] = {
    TEST_WITH(random_tables_agree_with_the_naive_matcher, setup, teardown),
    TEST_WITH(full_build_agrees_too, setup, teardown),
};

RUN_TESTS(tests)
