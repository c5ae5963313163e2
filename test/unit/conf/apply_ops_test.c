/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations of several sources: what each came to, who is refused alone and who with all others,
 * ownership, preconditions, overrides, whole sources. F-CFG-01: one way to change configuration.
 */
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

static struct apply_op *
op(struct fixture *f, uint32_t i)
{
	assert_true(i < f->batch.n);
	return &f->batch.v[i];
}

/* Its own part of the report. */
static bool
told(struct fixture *f, uint32_t i, const char *text)
{
	struct apply_op *o = op(f, i);
	struct str part = str_n(f->report.text.p + o->report_at, o->report_n);

	if (str_find(part, str_of(text)) >= 0)
		return true;
	print_message("operation %u was told: %.*s\n", i, STR_ARG(part));
	return false;
}

static struct conf_object
object(struct fixture *f, enum conf_kind kind, const char *id)
{
	struct conf_object o = {.number = 0};

	assert_int_equal(table_find(f->table, kind, str_of(id), &o), 1);
	return o;
}

static bool
absent(struct fixture *f, enum conf_kind kind, const char *id)
{
	struct conf_object o;

	return table_find(f->table, kind, str_of(id), &o) == 0;
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

static const struct CMUnitTest tests[] = {
    TEST_WITH(each_operation_has_its_outcome, setup, teardown),
    TEST_WITH(an_id_belongs_to_its_source, setup, teardown),
    TEST_WITH(preconditions_hold_or_refuse, setup, teardown),
    TEST_WITH(a_lenient_one_is_refused_alone, setup, teardown),
};

RUN_TESTS(tests)
