/* SPDX-License-Identifier: Apache-2.0
 *
 * What sources are to one another: whole sets and how much they may delete, overrides before what a
 * source says, the order of equal routes, quotas; and what is told of a change: listeners, objects
 * before and after. F-CFG-01, F-CFG-02.
 */
#include "test/unit/conf/apply_kit.h"

/* --- whole sources --------------------------------------------------------------------------- */

static void
console_routes(struct fixture *f, unsigned n)
{
	struct sets *s = batch_begin(&f->batch, "console", 0);
	struct apply_input in = {
	    .changeset_fd = -1, .whole = STR("console"), .deletions_max = UINT64_MAX};
	char id[16], path[16];

	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "c%u", i);
		snprintf(path, sizeof(path), "/c%u", i);
		sets_route(s, id, path, NULL, NULL, NULL);
	}
	assert_int_equal(apply_batch(f, &in, true), (int)n);
	batch_end(&f->batch);
}

static void
a_whole_set_deletes_the_rest_of_its_source(void **state)
{
	struct fixture *f = *state;
	struct apply_input in = {
	    .changeset_fd = -1, .whole = STR("console"), .deletions_max = UINT64_MAX};
	struct sets *s;

	sets_begin(&f->sets, "file", true);
	sets_route(&f->sets, "f1", "/f1", NULL, NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	console_routes(f, 3);
	s = batch_begin(&f->batch, "console", 0);
	sets_route(s, "c1", "/c1", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, &in, true), 2);
	assert_string_equal(routed(f, "x", "/c0"), "none");
	assert_string_equal(routed(f, "x", "/c1"), "c1");
	assert_string_equal(routed(f, "x", "/f1"), "f1");
	/* and the file's set leaves the console's alone */
	sets_begin(&f->sets, "file", true);
	sets_route(&f->sets, "f2", "/f2", NULL, NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 2);
	assert_string_equal(routed(f, "x", "/f1"), "none");
	assert_string_equal(routed(f, "x", "/c1"), "c1");
	batch_end(&f->batch);
}

static void
too_many_deletions_refuse_the_whole(void **state)
{
	struct fixture *f = *state;
	struct apply_input in = {.changeset_fd = -1, .whole = STR("console"), .deletions_max = 2};
	struct sets *s;

	console_routes(f, 5);
	s = batch_begin(&f->batch, "console", APPLY_LENIENT);
	sets_route(s, "c1", "/c1", NULL, NULL, NULL);
	sets_route(s, "new", "/new", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, &in, true), -1);
	assert_true(report_has(
	    f, "4 of the 5 objects of source \"console\" would be deleted; allowed: up to 2"));
	assert_int_equal(op(f, 1)->outcome, OUTCOME_NONE);
	assert_string_equal(routed(f, "x", "/c4"), "c4");
	in.deletions_max = 4;
	assert_int_equal(apply_batch(f, &in, true), 5);
	batch_end(&f->batch);
	/* nothing at all is the most */
	assert_int_equal(
	    apply_batch(
		f, &(struct apply_input){.changeset_fd = -1, .whole = STR("console")}, true),
	    -1);
	assert_true(report_has(f, "2 of the 2 objects"));
}

/* A snapshot that may refuse object by object does not fail for a service somebody else needs. */
static void
a_lenient_whole_keeps_what_others_name(void **state)
{
	struct fixture *f = *state;
	struct apply_input in = {
	    .changeset_fd = -1, .whole = STR("console"), .deletions_max = UINT64_MAX};
	struct sets *s = batch_begin(&f->batch, "console", 0);

	sets_service(s, "cs", "10.0.0.1:80", 1);
	sets_service(s, "ct", "10.0.0.1:80", 1);
	batch_begin(&f->batch, "admin", 0);
	sets_route(s, "a1", "/a1", "cs", NULL, NULL);
	sets_route(s, "a2", "/a2", "cs", NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 4);
	batch_end(&f->batch);
	s = batch_begin(&f->batch, "console", APPLY_LENIENT);
	sets_route(s, "c1", "/c1", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, &in, true), 2);
	assert_true(report_has(
	    f, "services[cs]: is to go, but routes[a1] of source \"admin\" and 1 more name it"));
	assert_true(absent(f, CONF_SERVICE, "ct"));
	assert_false(absent(f, CONF_SERVICE, "cs"));
	batch_end(&f->batch);
}

/* --- overrides ------------------------------------------------------------------------------- */

static struct {
	const char *id; /* one override is enough here */
	bool absent;    /* the source has no such object */
	struct digest digest;
} held;

static enum override_says
says(void *arg UNUSED, enum conf_kind kind, struct str id, const struct digest *digest)
{
	if (held.id == NULL || kind != CONF_ROUTE || !str_eq(id, str_of(held.id)))
		return OVERRIDE_NONE;
	if (digest == NULL)
		return held.absent ? OVERRIDE_HOLDS : OVERRIDE_ENDS;
	return !held.absent && digest_eq(digest, &held.digest) ? OVERRIDE_HOLDS : OVERRIDE_ENDS;
}

static int
file_says(struct fixture *f, const char *path)
{
	struct apply_input in = {.changeset_fd = -1, .override = says};
	int changed;

	sets_begin(&f->sets, "file", true);
	sets_route(&f->sets, "f0", "/f0", NULL, NULL, NULL);
	if (path != NULL)
		sets_route(&f->sets, "f1", path, NULL, NULL, NULL);
	in.changeset_fd = sets_end(&f->sets);
	changed = apply_batch(f, &in, true);
	close(in.changeset_fd);
	return changed;
}

static void
an_override_stands_until_its_source_changes(void **state)
{
	struct fixture *f = *state;
	struct conf_object o;
	struct sets *s;

	held.id = NULL;
	assert_int_equal(file_says(f, "/old"), 2);
	held.digest = object(f, CONF_ROUTE, "f1").digest;
	s = batch_begin(&f->batch, "file", 0); /* by somebody else, of the file's object */
	f->batch.override = STR("rollback-1");
	sets_route(s, "f1", "/rolled-back", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 1);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_REPLACED);
	batch_end(&f->batch);
	held.id = "f1";
	o = object(f, CONF_ROUTE, "f1");
	assert_true(str_eq(o.source, STR("file")));
	assert_true(str_eq(o.override, STR("rollback-1")));
	/* the files say the same again: what they say waits */
	assert_int_equal(file_says(f, "/old"), 0);
	assert_string_equal(routed(f, "x", "/rolled-back"), "f1");
	/* they say something else */
	assert_int_equal(file_says(f, "/new"), 1);
	assert_string_equal(routed(f, "x", "/new"), "f1");
	assert_int_equal(object(f, CONF_ROUTE, "f1").override.n, 0);
}

/* The same octets as the override's: it is the source's own again. */
static void
the_same_value_without_override_is_a_change(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	held.id = NULL;
	assert_int_equal(file_says(f, "/old"), 2);
	s = batch_begin(&f->batch, "file", 0);
	f->batch.override = STR("rollback-1");
	sets_route(s, "f1", "/x", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 1);
	assert_int_equal(apply_batch(f, NULL, true), 0);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_UNCHANGED);
	batch_end(&f->batch);
	assert_int_equal(file_says(f, "/x"), 1);
	assert_int_equal(object(f, CONF_ROUTE, "f1").override.n, 0);
	assert_int_equal(object(f, CONF_ROUTE, "f1").version, 3);
}

static void
an_override_of_what_the_source_has_not(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	held.id = NULL;
	assert_int_equal(file_says(f, "/f1"), 2);
	assert_int_equal(file_says(f, NULL), 1);
	s = batch_begin(&f->batch, "file", 0);
	f->batch.override = STR("rollback-1");
	sets_route(s, "f1", "/f1", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 1);
	batch_end(&f->batch);
	held.id = "f1";
	held.absent = true;
	assert_int_equal(file_says(f, NULL), 0);
	assert_string_equal(routed(f, "x", "/f1"), "f1");
	held.absent = false; /* it had it when the override was made, and has it no more */
	assert_int_equal(file_says(f, NULL), 1);
	assert_string_equal(routed(f, "x", "/f1"), "none");
	/* an override that takes the object away, and the console's own operation */
	s = batch_begin(&f->batch, "console", 0);
	sets_route(s, "c1", "/c1", NULL, NULL, NULL);
	held.id = "c1";
	held.digest = f->batch.v[0].o.digest;
	assert_int_equal(
	    apply_batch(f, &(struct apply_input){.changeset_fd = -1, .override = says}, true), 0);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_KEPT);
	assert_true(absent(f, CONF_ROUTE, "c1"));
	batch_end(&f->batch);
}

/* --- order, quotas --------------------------------------------------------------------------- */

/* Ids against the order of sources, put in the worst order. */
static void
equal_routes(struct fixture *f)
{
	struct sets *s;

	sets_begin(&f->sets, "file", true);
	sets_route(&f->sets, "a", "/same", NULL, NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	s = batch_begin(&f->batch, "admin", 0);
	sets_route(s, "z", "/same", NULL, NULL, NULL);
	sets_route(s, "y", "/same", NULL, NULL, NULL);
	batch_begin(&f->batch, "console", 0);
	sets_route(s, "b", "/same", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 3);
	batch_end(&f->batch);
}

/* The first of them is taken away until none is left. */
static void
in_order_of_sources(struct fixture *f)
{
	static const char *const ids[] = {"y", "z", "b", "a"}, *const source[] = {"admin", "admin",
								   "console", "file"};

	for (unsigned i = 0; i < 4; i++) {
		assert_string_equal(routed(f, "x", "/same"), ids[i]);
		sets_delete(batch_begin(&f->batch, source[i], 0), CONF_ROUTE, ids[i]);
		assert_int_equal(apply_batch(f, NULL, true), 1);
		batch_end(&f->batch);
	}
	assert_string_equal(routed(f, "x", "/same"), "none");
}

static void
source_decides_between_equals(void **state)
{
	equal_routes(*state);
	in_order_of_sources(*state);
}

static void
tables_built_anew_have_the_same_order(void **state)
{
	struct fixture *f = *state;
	char key[8];

	equal_routes(f);
	put_raw(f, MAP_SHARD, image_key_number(key, 0), STR("garbage"));
	sets_route(batch_begin(&f->batch, "admin", 0), "other", "/other", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 1);
	batch_end(&f->batch);
	assert_string_equal(routed(f, "x", "/other"), "other");
	in_order_of_sources(f);
}

static void
a_quota_names_its_limit(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	f->store.max[CONF_ROUTE] = 3;
	console_routes(f, 2);
	s = batch_begin(&f->batch, "admin", 0);
	sets_route(s, "a1", "/a1", NULL, NULL, NULL);
	sets_route(s, "a2", "/a2", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), -1);
	assert_true(told(f, 1, "routes[a2]: 4 routes would be too many; limits.routes is 3"));
	assert_int_equal(op(f, 0)->outcome, OUTCOME_NONE);
	op(f, 0)->flags = op(f, 1)->flags = APPLY_LENIENT;
	assert_int_equal(apply_batch(f, NULL, true), 1);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_CREATED);
	assert_int_equal(op(f, 1)->outcome, OUTCOME_REFUSED);
	batch_end(&f->batch);
	/* what is there may be changed and deleted, though it is too much by now */
	f->store.max[CONF_ROUTE] = 1;
	s = batch_begin(&f->batch, "admin", 0);
	sets_route(s, "a1", "/changed", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 1);
	batch_end(&f->batch);
	sets_begin(&f->sets, "file", true);
	sets_route(&f->sets, "f1", "/f1", NULL, NULL, NULL);
	sets_route(&f->sets, "f2", "/f2", NULL, NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_int_equal(f->report.errors, 1);
	assert_true(report_has(f, "5 routes would be too many; limits.routes is 1"));
}

/* The limit in the same change set counts already, and outlives the keeper. */
static void
a_quota_follows_the_settings(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	for (int64_t limit = 1; limit <= 2; limit++) {
		sets_begin(&f->sets, "file", true);
		sets_settings_routes(&f->sets, limit);
		sets_route(&f->sets, "f1", "/f1", NULL, NULL, NULL);
		sets_route(&f->sets, "f2", "/f2", NULL, NULL, NULL);
		assert_int_equal(apply(f, sets_end(&f->sets), true), limit == 1 ? -1 : 3);
	}
	table_close(&f->table);
	store_close(&f->store);
	open_store(f, 256u << 20, 64);
	assert_int_equal(f->store.max[CONF_ROUTE], 2);
	s = batch_begin(&f->batch, "admin", 0);
	sets_route(s, "a1", "/a1", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), -1);
	assert_true(told(f, 0, "3 routes would be too many; limits.routes is 2"));
	batch_end(&f->batch);
}

/* --- what is told of a change ---------------------------------------------------------------- */

static struct apply *
compiled(struct fixture *f, bool capture)
{
	struct apply_input in = {
	    .changeset_fd = -1, .v = f->batch.v, .n = f->batch.n, .capture = capture};
	struct apply *a;

	check_free(&f->report);
	a = apply_compile(&f->store, &in, &f->report);
	assert_non_null(a);
	return a;
}

static void
listeners_differ_when_sockets_do(void **state)
{
	static const struct {
		const char *id, *address;
		bool differ;
		unsigned n;
	} steps[] = {{"one", "127.0.0.1:1", true, 1}, {"two", "127.0.0.1:2", true, 2},
	    {"one", "127.0.0.1:3", true, 2}, {"one", "127.0.0.1:3", false, 2},
	    {"two", NULL, true, 1}, {NULL, NULL, false, 1}};
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
		struct sets *s = batch_begin(&f->batch, "admin", 0);
		struct apply *a;
		unsigned n;

		if (steps[i].id == NULL)
			sets_route(s, "r", "/r", NULL, NULL, NULL);
		else if (steps[i].address != NULL)
			sets_listener(s, steps[i].id, steps[i].address);
		else
			sets_delete(s, CONF_LISTENER, steps[i].id);
		for (unsigned round = 0; round < 2; round++) {
			a = compiled(f, false);
			assert_int_equal(apply_listeners_differ(a), steps[i].differ);
			assert_string_equal(apply_listeners(a, &n)[0].id, "one");
			assert_int_equal(n, steps[i].n);
			if (round == 0)
				apply_abort(&a);
		}
		assert_int_equal(apply_commit(&a, &f->report), 1);
		batch_end(&f->batch);
	}
	assert_int_equal(f->store.n_listeners, 1);
}

static void
a_change_is_told_before_and_after(void **state)
{
	struct fixture *f = *state;
	struct conf_object old, new;
	struct apply *a;
	struct sets *s;

	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "one", "10.0.0.1:80", 1);
	sets_route(&f->sets, "gone", "/gone", NULL, NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 2);
	s = batch_begin(&f->batch, "file", 0);
	sets_service(s, "one", "10.0.0.2:80", 1);
	sets_route(s, "new", "/new", NULL, NULL, NULL);
	sets_delete(s, CONF_ROUTE, "gone");
	a = compiled(f, true);
	assert_int_equal(apply_generation(a), 2);
	assert_int_equal(apply_change_get(a, 0, &old, &new), 1);
	assert_true(old.body.n > 0 && new.body.n > 0 && !str_eq(old.body, new.body));
	assert_int_equal(old.version, 1);
	assert_int_equal(new.version, 2);
	assert_true(str_eq(old.file, STR("gateway.conf")));
	assert_int_equal(old.line, 1);
	assert_int_equal(apply_change_get(a, 1, &old, &new), 1);
	assert_null(old.body.p);
	assert_true(str_eq(new.id, STR("new")));
	assert_int_equal(apply_change_get(a, 2, &old, &new), 1);
	assert_null(new.body.p);
	assert_true(str_eq(old.id, STR("gone")) && old.body.n > 0);
	assert_int_equal(apply_change_get(a, 3, &old, &new), 0);
	apply_abort(&a);
	a = compiled(f, false);
	assert_int_equal(apply_change_get(a, 0, &old, &new), 0);
	apply_abort(&a);
	batch_end(&f->batch);
}

static void
pages_go_by_id(void **state)
{
	static const char *const ids[] = {"b", "a.z", "c", "a", "B", "zz"};
	static const char *const sorted[] = {"B", "a", "a.z", "b", "c", "zz"};
	struct fixture *f = *state;
	struct sets *s = batch_begin(&f->batch, "admin", 0);
	struct conf_object o = {.id = STR("")};

	assert_int_equal(table_renew(f->table), 1);
	assert_int_equal(table_after(f->table, CONF_ROUTE, STR(""), &o), 0);
	for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
		sets_route(s, ids[i], "/x", NULL, NULL, NULL);
	sets_service(s, "a", "10.0.0.1:80", 1);
	assert_int_equal(apply_batch(f, NULL, true), 7);
	for (unsigned i = 0; i < ARRAY_LEN(sorted); i++) {
		assert_int_equal(table_after(f->table, CONF_ROUTE, o.id, &o), 1);
		assert_true(str_eq(o.id, str_of(sorted[i])));
	}
	assert_int_equal(table_after(f->table, CONF_ROUTE, o.id, &o), 0);
	assert_int_equal(table_after(f->table, CONF_ROUTE, STR("aa"), &o), 1); /* is not there */
	assert_true(str_eq(o.id, STR("b")));
	assert_int_equal(table_after(f->table, CONF_SERVICE, STR(""), &o), 1);
	assert_int_equal(table_after(f->table, CONF_LISTENER, STR(""), &o), 0);
	batch_end(&f->batch);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_whole_set_deletes_the_rest_of_its_source, setup, teardown),
    TEST_WITH(too_many_deletions_refuse_the_whole, setup, teardown),
    TEST_WITH(a_lenient_whole_keeps_what_others_name, setup, teardown),
    TEST_WITH(an_override_stands_until_its_source_changes, setup, teardown),
    TEST_WITH(the_same_value_without_override_is_a_change, setup, teardown),
    TEST_WITH(an_override_of_what_the_source_has_not, setup, teardown),
    TEST_WITH(source_decides_between_equals, setup, teardown),
    TEST_WITH(tables_built_anew_have_the_same_order, setup, teardown),
    TEST_WITH(a_quota_names_its_limit, setup, teardown),
    TEST_WITH(a_quota_follows_the_settings, setup, teardown),
    TEST_WITH(listeners_differ_when_sockets_do, setup, teardown),
    TEST_WITH(a_change_is_told_before_and_after, setup, teardown),
    TEST_WITH(pages_go_by_id, setup, teardown),
};

RUN_TESTS(tests)
