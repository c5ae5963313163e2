/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations of several sources: what each came to, who is refused alone and who with all others,
 * ownership, preconditions, overrides, whole sources. F-CFG-01: one way to change configuration.
 */
#include "shm/base/clock.h"
#include "test/unit/conf/apply_kit.h"

static void
start(struct fixture *f)
{
	sets_begin(&f->sets, "file", true);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	sets_service(&f->sets, "one", "10.0.0.1:80", 1);
	sets_route(&f->sets, "r1", "/one/*", "one", "a.test", NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 3);
}

static void
each_operation_has_its_outcome(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	start(f);
	s = batch_begin(&f->batch, "admin", 0);
	sets_service(s, "two", "10.0.0.2:80", 1);
	sets_route(s, "r2", "/two", "two", NULL, "main");
	sets_route(s, "r3", "/three", "one", NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 3);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_CREATED);
	assert_int_equal(op(f, 2)->outcome, OUTCOME_CREATED);
	assert_int_equal(op(f, 2)->version, 2);
	assert_string_equal(routed(f, "x", "/two"), "r2");
	assert_int_equal(table_generation(f->table), 2);
	batch_end(&f->batch);

	s = batch_begin(&f->batch, "admin", 0);
	sets_route(s, "r2", "/zwei", "two", NULL, "main");
	sets_service(s, "two", "10.0.0.2:80", 1);
	sets_delete(s, CONF_ROUTE, "r3");
	assert_int_equal(apply_batch(f, NULL, true), 2);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_REPLACED);
	assert_int_equal(op(f, 0)->version, 3);
	assert_int_equal(op(f, 1)->outcome, OUTCOME_UNCHANGED);
	assert_int_equal(op(f, 1)->version, 2);
	assert_int_equal(op(f, 2)->outcome, OUTCOME_DELETED);
	assert_string_equal(routed(f, "x", "/two"), "none");
	assert_string_equal(routed(f, "x", "/zwei"), "r2");
	assert_true(str_eq(object(f, CONF_ROUTE, "r2").source, STR("admin")));
	batch_end(&f->batch);
}

/* 409 with the owner's name; and nothing of the rest is done. */
static void
an_id_belongs_to_its_source(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	start(f);
	s = batch_begin(&f->batch, "admin", 0);
	sets_route(s, "r1", "/mine", "one", NULL, NULL);
	sets_route(s, "r9", "/nine", "one", NULL, NULL);
	sets_delete(s, CONF_SERVICE, "one");
	assert_int_equal(apply_batch(f, NULL, true), -1);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_OWNED);
	assert_string_equal(op(f, 0)->owner, "file");
	assert_int_equal(op(f, 0)->version, 1);
	assert_true(told(f, 0, "routes[r1]: belongs to source \"file\" already"));
	assert_int_equal(op(f, 1)->outcome, OUTCOME_NONE);
	assert_int_equal(op(f, 1)->version, 0);
	assert_int_equal(op(f, 2)->outcome, OUTCOME_OWNED);
	assert_int_equal(f->report.errors, 2);
	assert_int_equal(table_generation(f->table), 1);
	assert_true(absent(f, CONF_ROUTE, "r9"));
	batch_end(&f->batch);
}

static void
preconditions_hold_or_refuse(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	start(f);
	s = batch_begin(&f->batch, "admin", 0);
	sets_route(s, "r2", "/two", "one", NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 1);
	batch_end(&f->batch);

	s = batch_begin(&f->batch, "admin", APPLY_CREATE);
	sets_route(s, "r2", "/zwei", "one", NULL, NULL);
	batch_begin(&f->batch, "admin", APPLY_EXISTS);
	sets_route(s, "r3", "/three", "one", NULL, NULL);
	batch_begin(&f->batch, "admin", 0);
	sets_delete(s, CONF_ROUTE, "r4");
	assert_int_equal(apply_batch(f, NULL, true), -1);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_EXISTS);
	assert_int_equal(op(f, 0)->version, 2);
	assert_int_equal(op(f, 1)->outcome, OUTCOME_ABSENT);
	assert_int_equal(op(f, 2)->outcome, OUTCOME_ABSENT);
	assert_true(told(f, 2, "routes[r4]: there is no such object"));
	batch_end(&f->batch);

	s = batch_begin(&f->batch, "admin", 0);
	sets_route(s, "r2", "/zwei", "one", NULL, NULL);
	op(f, 0)->if_version = 1;
	assert_int_equal(apply_batch(f, NULL, true), -1);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_PRECONDITION);
	assert_int_equal(op(f, 0)->version, 2);
	assert_true(told(f, 0, "is at version 2, not 1"));
	op(f, 0)->if_version = 2;
	assert_int_equal(apply_batch(f, NULL, true), 1);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_REPLACED);
	assert_string_equal(routed(f, "x", "/zwei"), "r2");
	batch_end(&f->batch);
}

/* A dangling reference: that object is refused and what needs it, the rest applied. */
static void
a_lenient_one_is_refused_alone(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	start(f);
	s = batch_begin(&f->batch, "console", APPLY_LENIENT);
	sets_service(s, "one", "10.9.9.9:80", 1); /* the file's */
	sets_route(s, "c1", "/c1", "nobody", NULL, NULL);
	sets_route(s, "c2", "/c2", "one", NULL, NULL);
	sets_listener(s, "l2", "127.0.0.1:8080"); /* taken */
	sets_route(s, "c3", "/c3", "one", NULL, "l2");
	sets_delete(s, CONF_ROUTE, "never");
	sets_route(s, "c4", "no-slash", "one", NULL, NULL);
	sets_route(s, "c5", "/c5", "one", NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 2);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_OWNED);
	assert_int_equal(op(f, 1)->outcome, OUTCOME_REFUSED);
	assert_true(told(f, 1, "routes[c1].service: \"nobody\": no such service"));
	assert_int_equal(op(f, 2)->outcome, OUTCOME_CREATED);
	assert_true(told(f, 3, "listeners[l2].address: listener \"main\" has the same one"));
	assert_true(told(f, 4, "routes[c3].listener: \"l2\": no such listener"));
	assert_int_equal(op(f, 5)->outcome, OUTCOME_ABSENT);
	assert_int_equal(op(f, 5)->report_n, 0);
	assert_int_equal(op(f, 6)->outcome, OUTCOME_REFUSED);
	assert_true(told(f, 6, "routes[c4]: path: \"no-slash\""));
	assert_int_equal(op(f, 7)->outcome, OUTCOME_CREATED);
	assert_int_equal(f->report.errors, 5);
	assert_string_equal(routed(f, "x", "/c5"), "c5");
	assert_true(absent(f, CONF_ROUTE, "c3"));
	batch_end(&f->batch);
}

/* Who is found wrong only when it is written takes those with him who need him. */
static void
lenient_ones_go_when_rows_are_short(void **state)
{
	struct fixture *f = *state;
	struct sets *s;
	unsigned used;

	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "one", "10.0.0.1:80", 1);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	s = batch_begin(&f->batch, "console", APPLY_LENIENT);
	sets_service(s, "big", "10.1.0.1:1 10.1.0.1:2 10.1.0.1:3 10.1.0.1:4 10.1.0.1:5", 1);
	sets_route(s, "rb", "/big", "big", NULL, NULL);
	sets_route(s, "ro", "/one", "one", NULL, NULL);
	assert_int_equal(apply_batch(f, NULL, true), 1);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_REFUSED);
	assert_true(told(f, 0, "services[big].endpoints: no free row"));
	assert_int_equal(op(f, 1)->outcome, OUTCOME_REFUSED);
	assert_true(told(f, 1, "routes[rb].service: \"big\": no such service"));
	assert_int_equal(op(f, 2)->outcome, OUTCOME_CREATED);
	assert_string_equal(routed(f, "x", "/one"), "ro");
	used = arena_endpoints_used(f->store.arena);
	assert_int_equal(used, 1);
	batch_end(&f->batch);
}

static void
lenient_ones_go_when_a_path_is_full(void **state)
{
	struct fixture *f = *state;
	struct sets *s = batch_begin(&f->batch, "console", APPLY_LENIENT);
	unsigned in = 0;
	char id[16];

	for (int i = 0; i < 1500; i++) {
		snprintf(id, sizeof(id), "r%04d", i);
		sets_route(s, id, "/same/{x}", NULL, "a.test", NULL);
	}
	sets_route(s, "other", "/other", NULL, "a.test", NULL);
	assert_true(apply_batch(f, NULL, true) > 500);
	for (uint32_t i = 0; i < 1500; i++)
		in += op(f, i)->outcome == OUTCOME_CREATED;
	assert_in_range(in, 500, 1200);
	assert_int_equal(op(f, 1499)->outcome, OUTCOME_REFUSED);
	assert_true(told(f, 1499, "too many routes share this path"));
	assert_int_equal(op(f, 1500)->outcome, OUTCOME_CREATED);
	assert_string_equal(routed(f, "a.test", "/other"), "other");
	assert_string_equal(routed(f, "a.test", "/same/1"), "r0000");
	batch_end(&f->batch);
}

/* Ten thousand with a thousand bad ones and those who need them: not a try for each. */
static void
many_bad_ones_cost_little(void **state)
{
	struct fixture *f = *state;
	struct sets *s = batch_begin(&f->batch, "console", APPLY_LENIENT);
	uint64_t t0, t1;
	char id[16], to[16], path[32];

	start(f);
	for (int i = 0; i < 10000; i++) {
		snprintf(id, sizeof(id), "r%05d", i);
		snprintf(path, sizeof(path), "/p/%d", i);
		snprintf(to, sizeof(to), "s%03d", i % 10 == 0 ? i / 10 : 0);
		sets_route(s, id, path, i % 10 == 0 ? to : "one", NULL, NULL);
		if (i % 10 == 0 && i % 20 == 0)
			sets_service(s, to, "10.0.0.7:80", 1);
	}
	t0 = clock_precise_ns();
	/* 500 services of which 15 fit into the arena's rows, a route for each; 500 name nobody */
	assert_int_equal(apply_batch(f, NULL, true), 9000 + 2 * 15);
	t1 = clock_precise_ns();
	print_message("10,500 operations, 1,470 refused: %.0f ms\n", (double)(t1 - t0) / 1e6);
	assert_int_equal(f->report.errors, 485 + 485 + 500);
	assert_string_equal(routed(f, "x", "/p/9999"), "r09999");
	assert_int_equal(f->store.meta.generation, 2);
	batch_end(&f->batch);
}

/* A change set and operations, as at a start: one generation. */
static void
files_and_what_is_remembered_are_one_generation(void **state)
{
	struct fixture *f = *state;
	struct apply_input in = {.changeset_fd = -1};
	struct sets *s;

	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "one", "10.0.0.1:80", 1);
	sets_route(&f->sets, "r1", "/one", "one", NULL, NULL);
	in.changeset_fd = sets_end(&f->sets);
	s = batch_begin(&f->batch, "admin", APPLY_LENIENT);
	sets_route(s, "r1", "/mine", "one", NULL, NULL); /* the file has it now */
	sets_route(s, "a1", "/a", "one", NULL, NULL);
	batch_begin(&f->batch, "console", APPLY_LENIENT);
	sets_route(s, "c1", "/c", "gone", NULL, NULL);
	assert_int_equal(apply_batch(f, &in, true), 3);
	close(in.changeset_fd);
	assert_int_equal(table_generation(f->table), 1);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_OWNED);
	assert_string_equal(op(f, 0)->owner, "file");
	assert_string_equal(routed(f, "x", "/one"), "r1");
	assert_string_equal(routed(f, "x", "/a"), "a1");
	assert_true(told(f, 2, "\"gone\": no such service"));
	batch_end(&f->batch);
}

/* Refused by the caller already: left alone, and kept of a whole source. */
static void
a_skipped_one_keeps_what_is_there(void **state)
{
	struct fixture *f = *state;
	struct apply_input in = {
	    .changeset_fd = -1, .whole = STR("console"), .deletions_max = UINT64_MAX};
	struct sets *s = batch_begin(&f->batch, "console", 0);

	sets_route(s, "c1", "/c1", NULL, NULL, NULL);
	sets_route(s, "c2", "/c2", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, &in, true), 2);
	batch_end(&f->batch);
	s = batch_begin(&f->batch, "console", APPLY_LENIENT | APPLY_SKIP);
	sets_route(s, "c1", "/other", NULL, NULL, NULL);
	assert_int_equal(apply_batch(f, &in, true), 1);
	assert_int_equal(op(f, 0)->outcome, OUTCOME_REFUSED);
	assert_string_equal(routed(f, "x", "/c1"), "c1");
	assert_string_equal(routed(f, "x", "/c2"), "none");
	batch_end(&f->batch);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(each_operation_has_its_outcome, setup, teardown),
    TEST_WITH(an_id_belongs_to_its_source, setup, teardown),
    TEST_WITH(preconditions_hold_or_refuse, setup, teardown),
    TEST_WITH(a_lenient_one_is_refused_alone, setup, teardown),
    TEST_WITH(lenient_ones_go_when_rows_are_short, setup_small, teardown),
    TEST_WITH(lenient_ones_go_when_a_path_is_full, setup, teardown),
    TEST_WITH(many_bad_ones_cost_little, setup, teardown),
    TEST_WITH(files_and_what_is_remembered_are_one_generation, setup, teardown),
    TEST_WITH(a_skipped_one_keeps_what_is_there, setup, teardown),
};

RUN_TESTS(tests)
