/* SPDX-License-Identifier: Apache-2.0
 *
 * S-RT-1: a walk that begins further down comes to the same route as one from the root, and
 * begins there only where nothing above could have taken the request.
 */
#include "test/unit/conf/routes.h"

#define ITEMS 300

static struct match_result last;

static void
hang(struct fixture *f, const char *host, const char *where)
{
	struct str path = str_of(where), name = str_of(host);
	struct conf_route route = {.path = {&path, 1}, .host = {&name, host != NULL}};
	struct routing *r = routing_new(f->kit.txn, &f->kit.map, &f->kit.meta);
	const char *error = NULL;
	char id[16];

	f->n++; /* the next number */
	snprintf(id, sizeof(id), "r%u", f->n);
	kit_object(&f->kit, CONF_ROUTE, f->n, str_of(id));
	assert_int_equal(routing_link(r, f->n, &route, &error), 1);
	assert_int_equal(routing_flush(r, &error), 1);
	routing_free(&r);
}

static void
items(struct fixture *f, const char *host, const char *before, const char *after)
{
	char path[256];

	for (unsigned i = 0; i < ITEMS; i++) {
		snprintf(path, sizeof(path), "%s%u%s", before, i, after);
		hang(f, host, path);
	}
}

static int
ask(struct table *t, const char *host, const char *path, struct match_result *r)
{
	struct match_query q = {
	    .host = str_of(host), .path = str_of(path), .method = 1, .method_name = STR("GET")};

	return table_match(t, &q, r);
}

/* Of this snapshot; with `uses`, those that were used since. */
static unsigned
shortcuts(const struct table *t, unsigned uses)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TABLE_SHORTCUTS; i++)
		n += t->shortcuts[i].txn_id == t->txn_id && t->shortcuts[i].uses >= uses;
	return n;
}

/* The only one there is. */
static struct str
beginning(const struct table *t)
{
	assert_int_equal(shortcuts(t, 0), 1);
	for (unsigned i = 0; i < TABLE_SHORTCUTS; i++)
		if (t->shortcuts[i].txn_id == t->txn_id)
			return str_n(t->shortcuts[i].path, t->shortcuts[i].path_n);
	return STR_NONE;
}

/* --- the same answers ------------------------------------------------------------------------ */

static void
some_path(char *path, size_t size)
{
	static const char *const begins[] = {"/api/v1/item", "/api/v1", "/api/v2/item",
	    "/api/v10/item", "/other/v1/item", "/api", "/apis/v1/item", "/"};
	static const char *const ends[] = {"", "/name", "/name/more", "/", "/x"};
	size_t n = (size_t)snprintf(path, size, "%s", begins[rand() % (int)ARRAY_LEN(begins)]);

	if (path[n - 1] == 'm')
		n += (size_t)snprintf(path + n, size - n, "%d", rand() % (ITEMS + 20));
	snprintf(path + n, size - n, "%s", ends[rand() % (int)ARRAY_LEN(ends)]);
}

/* Beside a table that walks from the root each time. */
static void
ask_both(struct fixture *f, struct table *whole, unsigned times)
{
	static const char *const hosts[] = {"h.test", "else.test"};
	struct match_result want;
	char path[128];

	table_reset(whole);
	assert_int_equal(table_renew(whole), 1);
	while (times-- > 0) {
		const char *host = hosts[rand() % 2];
		int got, right;

		some_path(path, sizeof(path));
		memset(whole->shortcuts, 0, sizeof(whole->shortcuts));
		got = ask(f->kit.table, host, path, &last);
		right = ask(whole, host, path, &want);
		if (got != right ||
		    (got == 1 && (last.route != want.route || !str_eq(last.rest, want.rest) ||
				     last.n_params != want.n_params)))
			fail_msg("%s%s: %d, route %u, not %d, %u", host, path, got, last.route,
			    right, want.route);
		for (unsigned i = 0; got == 1 && i < last.n_params; i++)
			assert_true(str_eq(last.params[i].value, want.params[i].value));
	}
}

static void
shortcuts_lead_to_the_same_route(void **state)
{
	static const char *const more[] = {"/api", "/api/{p}/item7/name", "/api/v1/{p}/x",
	    "~^/api/v1/[0-9]", "/api/*", "/{p}/v1/item9/*", "/*"};
	struct fixture *f = *state;
	struct table *whole;
	const char *error = NULL;

	if (table_attach(&f->kit.map, &whole, &error) < 0)
		fail_msg("%s", error);
	kit_begin(&f->kit);
	items(f, NULL, "/api/v1/item", "/name");
	items(f, NULL, "/api/v2/item", "/*");
	items(f, "h.test", "/api/v1/item", "/x");
	items(f, "h.test", "/other/v1/item", "");
	kit_commit(&f->kit);
	ask_both(f, whole, 2000);
	assert_true(shortcuts(f->kit.table, 1) > 0);
	for (unsigned i = 0; i < ARRAY_LEN(more); i++) {
		kit_begin(&f->kit);
		hang(f, i % 2 != 0 ? "h.test" : NULL, more[i]);
		kit_commit(&f->kit);
		assert_int_equal(shortcuts(f->kit.table, 0), 0);
		ask_both(f, whole, 2000);
	}
	table_close(&whole);
}

/* --- when there is one ----------------------------------------------------------------------- */

static void
begin_with(struct fixture *f, const char *more)
{
	kit_begin(&f->kit);
	if (f->n == 0)
		items(f, NULL, "/service/one/item", "");
	if (f->n == ITEMS)
		items(f, NULL, "/service/two/item", "");
	if (more != NULL)
		hang(f, NULL, more);
	kit_commit(&f->kit);
}

static void
asked(struct fixture *f, const char *path, int want)
{
	assert_int_equal(ask(f->kit.table, "h", path, &last), want);
}

static void
no_shortcut_passes_a_choice(void **state)
{
	struct fixture *f = *state;

	begin_with(f, NULL);
	asked(f, "/service/one/item1", 1);
	asked(f, "/service/one/item2", 1);
	assert_true(str_eq(beginning(f->kit.table), STR("/service/one")));
	assert_int_equal(shortcuts(f->kit.table, 1), 1);

	/* A route for "/service" alone is none for what lies below. */
	begin_with(f, "/service");
	asked(f, "/service/one/item1", 1);
	assert_true(str_eq(beginning(f->kit.table), STR("/service/one")));
	asked(f, "/service", 1);

	/* Where there is a choice at a node, walks begin there at the latest. */
	begin_with(f, "/service/{p}/here");
	asked(f, "/service/one/item1", 1);
	assert_true(str_eq(beginning(f->kit.table), STR("/service")));
	asked(f, "/service/one/here", 1);
	assert_int_equal(last.route, f->n);
	begin_with(f, "/service/*");
	asked(f, "/service/one/none", 1);
	assert_int_equal(last.route, f->n);
	assert_true(str_eq(beginning(f->kit.table), STR("/service")));
	begin_with(f, "/*");
	asked(f, "/service/one/item1", 1);
	assert_int_equal(shortcuts(f->kit.table, 0), 0);
}

static void
what_is_passed_by_gives_way(void **state)
{
	struct fixture *f = *state;
	struct table *t = f->kit.table;

	begin_with(f, NULL);
	for (unsigned i = 0; i < 5; i++)
		asked(f, "/service/one/item1", 1);
	/* Passed by as often as used. */
	for (unsigned i = 0; i < 4; i++)
		asked(f, "/service/two/item1", 1);
	assert_true(str_eq(beginning(t), STR("/service/one")));
	asked(f, "/service/two/item1", 1);
	assert_true(str_eq(beginning(t), STR("/service")));
	for (unsigned i = 0; i < 3; i++) {
		asked(f, "/service/one/item1", 1);
		asked(f, "/service/two/item1", 1);
	}
	assert_int_equal(shortcuts(t, 6), 1);
	/* Paths that end before it, or too short for any, are walked from the root. */
	asked(f, "/service", 0);
	asked(f, "/serv", 0);
	asked(f, "/", 0);
	assert_int_equal(shortcuts(t, 5), 1);
}

/* A beginning may be longer than there is room for. */
static void
long_beginnings_are_cut_at_a_segment(void **state)
{
	static const char first[] = "/a-segment-of-forty-octets-or-so-as-it-is";
	struct fixture *f = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s%s/item", first, first);
	kit_begin(&f->kit);
	items(f, NULL, path, "");
	kit_commit(&f->kit);
	snprintf(path, sizeof(path), "%s%s/item7", first, first);
	for (unsigned i = 0; i < 3; i++) {
		asked(f, path, 1);
		assert_int_equal(last.route, 8);
	}
	assert_int_equal(beginning(f->kit.table).n, sizeof(first) - 1);
	assert_int_equal(shortcuts(f->kit.table, 2), 1);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(shortcuts_lead_to_the_same_route, setup, teardown),
    TEST_WITH(no_shortcut_passes_a_choice, setup, teardown),
    TEST_WITH(what_is_passed_by_gives_way, setup, teardown),
    TEST_WITH(long_beginnings_are_cut_at_a_segment, setup, teardown),
};

RUN_TESTS(tests)
