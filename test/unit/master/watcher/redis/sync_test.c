/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine that follows the console, against a Redis and a keeper that do as they are told.
 * F-INST-02, F-CFG-01: whatever happens in between, it ends at what Redis has.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"
#include "test/unit/master/watcher/redis/fake.h"

#define V1 "{\"schema\":1,\"value\":{\"a\":1}}"
#define V2 "{\"schema\":1,\"value\":{\"a\":2}}"

/* Up, with objects route/0 .. route/n-1 in force. */
static struct fake *
settled(void **state, unsigned n)
{
	struct fake *f = *state;
	char field[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(field, sizeof(field), "route/%u", i);
		fake_put(f, field, V1);
	}
	sync_keeper(&f->sync, STR("null"), false);
	sync_connected(&f->sync, true);
	fake_run(f);
	if (n > 0)
		assert_true(sync_in_sync(&f->sync));
	f->documents = 0;
	return f;
}

static void
assert_same(struct fake *f)
{
	char hash[65];

	fake_hash(f, hash);
	assert_true(sync_in_sync(&f->sync));
	assert_string_equal(f->sync.at.hash, hash);
	assert_int_equal(f->sync.at.number, f->number);
	assert_string_equal(sync_word(&f->sync), "in_sync");
	assert_string_equal(f->sync.error, "");
}

static void
first_is_a_whole(void **state)
{
	struct fake *f = *state;

	fake_put(f, "route/a", V1);
	sync_connected(&f->sync, true);
	assert_int_equal(fake_redis(f), 0); /* the keeper's position comes first */
	sync_keeper(&f->sync, STR("null"), false);
	assert_non_null(strstr(f->asked, "MULTI|HMGET {p}:version epoch"));
	assert_null(strstr(f->asked, "XRANGE"));
	fake_redis(f);
	assert_non_null(strstr(f->asked, "HGETALL"));
	fake_redis(f);
	assert_int_equal(fake_changes(f), 1);
	assert_true(fake_is(f, "whole") && fake_is(f, "partial"));
	assert_false(fake_is(f, "allow_deletions"));
	assert_string_equal(sync_word(&f->sync), "applying");
	fake_keeper(f, 200, NULL);
	assert_same(f);
	assert_int_equal(fake_redis(f), 0);
}

static void
a_bell_without_news(void **state)
{
	struct fake *f = settled(state, 3);

	sync_kick(&f->sync);
	fake_run(f);
	assert_int_equal(f->documents, 0);
	assert_int_equal(f->sync.snapshots, 1);
}

static void
a_change_is_followed(void **state)
{
	struct fake *f = settled(state, 3);
	const json_t *at, *c;

	fake_put(f, "route/1", V2);
	sync_kick(&f->sync);
	assert_non_null(strstr(f->asked, "XRANGE {p}:changes 4-0 + COUNT 1000"));
	fake_redis(f);
	assert_non_null(strstr(f->asked, "HMGET {p}:objects route/1|EXEC"));
	fake_redis(f);
	assert_int_equal(fake_changes(f), 1);
	assert_false(fake_is(f, "whole"));
	at = json_object_get(f->document, "console");
	c = json_array_get(json_object_get(f->document, "changes"), 0);
	assert_int_equal(json_integer_value(json_object_get(at, "number")), 4);
	assert_string_equal(json_string_value(json_object_get(f->document, "author")), "ann");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(c, "value"), "a")), 2);
	fake_keeper(f, 200, NULL);
	assert_same(f);
	assert_int_equal(f->sync.snapshots, 1);
}

/* Of many entries the last value of each object is applied, in one document. */
static void
many_entries_are_one_document(void **state)
{
	struct fake *f = settled(state, 3);

	for (unsigned i = 0; i < 20; i++)
		fake_put(f, i % 2 ? "route/1" : "route/2", i % 3 ? V1 : V2);
	fake_put(f, "route/0", NULL);
	fake_put(f, "route/new", V1);
	sync_kick(&f->sync);
	sync_kick(&f->sync);
	fake_run(f);
	assert_int_equal(f->documents, 1);
	assert_same(f);
}

static void
lost_bells_are_caught_up(void **state)
{
	struct fake *f = settled(state, 3);

	fake_put(f, "route/1", V2);
	fake_put(f, "route/2", V2);
	sync_reconcile(&f->sync);
	fake_run(f);
	assert_same(f);
	assert_int_equal(f->sync.reconciles, 1);
}

/* A change while a question, or the keeper, is under way. */
static void
changes_at_every_step(void **state)
{
	struct fake *f = settled(state, 3);

	fake_put(f, "route/1", V2);
	sync_kick(&f->sync);
	fake_put(f, "route/2", V2);
	fake_redis(f); /* READ: both */
	fake_put(f, "route/1", V1);
	fake_put(f, "route/0", NULL);
	fake_redis(f); /* FETCH: newer than the entries that were read */
	assert_non_null(f->document);
	fake_put(f, "route/9", V1);
	sync_kick(&f->sync);
	assert_int_equal(f->asked[0], 0); /* one document at a time */
	fake_run(f);
	assert_same(f);
	assert_int_equal(f->sync.snapshots, 1);
}

static void
a_trimmed_stream(void **state)
{
	struct fake *f = settled(state, 4);

	fake_put(f, "route/1", V2);
	fake_forget_entries(f);
	fake_put(f, "route/2", V2);
	sync_kick(&f->sync);
	fake_redis(f);
	assert_non_null(strstr(f->asked, "HGETALL"));
	fake_redis(f);
	assert_int_equal(fake_changes(f), 2); /* the difference, not the whole */
	assert_false(fake_is(f, "whole"));
	fake_run(f);
	assert_same(f);
}

static void
a_stream_that_ends_too_early(void **state)
{
	struct fake *f = settled(state, 4);

	fake_put(f, "route/1", V2);
	fake_put(f, "route/2", V2);
	f->last--;
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
	assert_int_equal(f->sync.snapshots, 2);
}

static void
an_entry_that_cannot_be_read(void **state)
{
	struct fake *f = settled(state, 4);

	fake_put(f, "route/1", V2);
	snprintf(f->entry[f->last - 1].document, sizeof(f->entry[0].document), "{\"changes\":[{");
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
	assert_int_equal(f->sync.snapshots, 2);
}

/* Fail-over to a replica that lagged. */
static void
the_number_goes_back(void **state)
{
	struct fake *f = settled(state, 6);

	f->number -= 2;
	f->last -= 2;
	f->n -= 2;
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
	/* ... and on from there, past where we had been, with other content. */
	fake_put(f, "route/x", V1);
	fake_put(f, "route/y", V1);
	fake_put(f, "route/z", V1);
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
}

/* The same number twice: a replica took over, and the console went on before we looked. */
static void
another_past_with_a_higher_number(void **state)
{
	struct fake *f = settled(state, 6);

	f->number -= 2;
	f->last -= 2;
	f->n -= 2;
	fake_put(f, "route/x", V1);
	fake_put(f, "route/y", V1);
	fake_put(f, "route/z", V1);
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
}

static void
another_epoch(void **state)
{
	struct fake *f = settled(state, 4);

	snprintf(f->epoch, sizeof(f->epoch), "other");
	f->number = 1;
	fake_forget_entries(f);
	fake_put(f, "route/1", V2);
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
	assert_string_equal(f->sync.at.epoch, "other");
}

static void
flushed(void **state)
{
	struct fake *f = settled(state, 4);

	f->there = false;
	f->n = 0;
	fake_forget_entries(f);
	sync_kick(&f->sync);
	fake_run(f);
	assert_int_equal(f->documents, 0);
	assert_string_equal(sync_word(&f->sync), "no_version");
	assert_int_equal(f->sync.at.number, 4);
	/* A publisher that begins anew with one object: guarded. */
	f->number = 0;
	snprintf(f->epoch, sizeof(f->epoch), "anew");
	fake_put(f, "route/1", V1);
	sync_kick(&f->sync);
	fake_run(f);
	assert_int_equal(f->documents, 0);
	assert_string_equal(sync_word(&f->sync), "guard");
	/* All of it again: good. */
	fake_put(f, "route/0", V1);
	fake_put(f, "route/2", V1);
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
}

static void
shrink(struct fake *f, unsigned n)
{
	f->n = n;
	f->number++;
	fake_forget_entries(f);
}

static void
mass_deletion_is_guarded(void **state)
{
	struct fake *f = settled(state, 8);

	shrink(f, 3);
	sync_kick(&f->sync);
	fake_run(f);
	assert_int_equal(f->documents, 0);
	assert_string_equal(sync_word(&f->sync), "guard");
	assert_non_null(strstr(f->sync.error, "deletes 5 of 8"));
	assert_int_equal(f->sync.guards, 1);
	sync_reconcile(&f->sync);
	fake_run(f);
	assert_int_equal(f->sync.guards, 1); /* it is not looked at again */
	assert_int_equal(f->sync.snapshots, 2);
	f->allow = f->number; /* marked afterwards, and the bell */
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
	assert_int_equal(f->sync.mirror.n, 3);
}

static void
a_mark_is_for_its_number(void **state)
{
	struct fake *f = settled(state, 8);

	f->allow = f->number; /* of a version in force already */
	shrink(f, 3);
	sync_kick(&f->sync);
	fake_run(f);
	assert_string_equal(sync_word(&f->sync), "guard");
	f->allow = f->number + 1; /* of one that is not there */
	sync_kick(&f->sync);
	fake_run(f);
	assert_string_equal(sync_word(&f->sync), "guard");
}

static void
half_may_go(void **state)
{
	struct fake *f = settled(state, 8);

	shrink(f, 4);
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
}

static void
empty_is_guarded(void **state)
{
	struct fake *f = settled(state, 2);

	f->sync.deletions = 1;
	shrink(f, 0);
	sync_kick(&f->sync);
	fake_run(f);
	assert_string_equal(sync_word(&f->sync), "guard");
	assert_non_null(strstr(f->sync.error, "empty"));
	f->allow = f->number;
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
}

/* After a restart this process does not know how many there were; the keeper does. */
static void
the_keeper_guards_too(void **state)
{
	struct fake *f = *state;

	fake_put(f, "route/a", V1);
	sync_keeper(&f->sync,
	    STR("{\"epoch\":\"e1\",\"number\":9,\"hash\":\"1111111111111111111111"
		"111111111111111111111111111111111111111111\"}"),
	    false);
	sync_connected(&f->sync, true);
	fake_redis(f);
	fake_redis(f);
	assert_true(fake_is(f, "whole"));
	fake_keeper(f, 422, NULL);
	assert_string_equal(sync_word(&f->sync), "guard");
	assert_non_null(strstr(f->sync.error, "words of the keeper"));
	sync_reconcile(&f->sync);
	fake_redis(f);
	assert_int_equal(f->asked[0], 0);
	f->allow = f->number;
	fake_round(f);
	assert_true(fake_is(f, "allow_deletions"));
	fake_run(f);
	assert_same(f);
}

static void
refused_and_later_accepted(void **state)
{
	struct fake *f = settled(state, 2);

	fake_put(f, "route/r", V1);
	fake_round(f);
	fake_keeper(f, 200, "route/r");
	assert_string_equal(sync_word(&f->sync), "refused");
	assert_int_equal(f->sync.mirror.n_refused, 1);
	assert_non_null(strstr(f->sync.error, "route/r: it is wrong"));
	assert_false(sync_in_sync(&f->sync));
	/* With another change it is tried again, and refused again. */
	fake_put(f, "service/s", V1);
	sync_kick(&f->sync);
	fake_redis(f);
	assert_non_null(strstr(f->asked, "{p}:objects route/r service/s"));
	fake_redis(f);
	assert_int_equal(fake_changes(f), 2);
	fake_keeper(f, 200, "route/r");
	assert_int_equal(f->sync.mirror.n_refused, 1);
	/* On the timer too. */
	sync_reconcile(&f->sync);
	fake_run(f);
	assert_same(f);
}

static void
refused_and_then_deleted(void **state)
{
	struct fake *f = settled(state, 2);

	fake_put(f, "route/r", V1);
	fake_round(f);
	fake_keeper(f, 200, "route/r");
	fake_put(f, "route/r", NULL);
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
	assert_int_equal(f->sync.mirror.n, 2);
}

/* A value that is not even JSON, or of another schema: the keeper is told without a value. */
static void
what_cannot_be_read_is_refused_here(void **state)
{
	static const struct {
		const char *field, *value, *error;
	} bad[] = {
	    {"route/j", "{\"schema\":1,", "not JSON"},
	    {"route/t", "{\"schema\":1,\"schema\":1,\"value\":{}}", "member twice"},
	    {"route/s", "{\"schema\":2,\"value\":{}}", "schema is not known"},
	    {"route/v", "{\"schema\":1,\"value\":[]}", "value is missing"},
	    {"policy/p", V1, "kind is unknown"},
	    {"route/no no", V1, "not an id; allowed"},
	    {"nothing", V1, "not \"KIND/ID\""},
	    {"verdict/s/1.2.3.4:80", "{\"schema\":1,\"value\":{\"expires\":\"10m\"}}", "point in"},
	};
	struct fake *f = settled(state, 10);

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		if (strchr(bad[i].field, '/') == NULL)
			continue;
		fake_put(f, bad[i].field, bad[i].value);
	}
	fake_put(f, "route/good", V1);
	fake_forget_entries(f); /* fields with blanks are no words for this Redis */
	fake_round(f);
	fake_keeper(f, 200, NULL);
	assert_string_equal(sync_word(&f->sync), "refused");
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		const char *why = mirror_error(&f->sync.mirror, str_of(bad[i].field));

		if (strchr(bad[i].field, '/') == NULL)
			continue;
		assert_non_null(why);
		assert_non_null(strstr(why, bad[i].error));
	}
	assert_null(mirror_error(&f->sync.mirror, STR("route/good")));
	assert_int_equal(f->sync.mirror.n, 18);
}

static void
a_wrong_hash_is_told_once(void **state)
{
	struct fake *f = settled(state, 3);

	f->lie = "00000000000000000000000000000000000000000000000000000000000000ff";
	f->number++;
	fake_forget_entries(f);
	sync_kick(&f->sync);
	fake_run(f);
	assert_string_equal(sync_word(&f->sync), "wrong_hash");
	assert_int_equal(f->sync.snapshots, 2);
	sync_reconcile(&f->sync);
	fake_run(f);
	assert_int_equal(f->sync.snapshots, 2); /* it is known */
	f->lie = NULL;
	f->number++;
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
}

static void
a_malformed_version(void **state)
{
	struct fake *f = settled(state, 3);

	f->lie = "xx00000000000000000000000000000000000000000000000000000000000000";
	sync_kick(&f->sync);
	fake_run(f);
	assert_int_equal(f->later, 1);
	assert_non_null(strstr(f->sync.error, "hash"));
	assert_int_equal(f->documents, 0);
	f->lie = NULL;
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
}

static void
errors_are_tried_again(void **state)
{
	struct fake *f = settled(state, 3);

	fake_put(f, "route/1", V2);
	f->error = "CLUSTERDOWN Hash slot not served";
	sync_kick(&f->sync);
	fake_run(f);
	assert_int_equal(f->later, 1);
	assert_string_equal(sync_word(&f->sync), "error");
	assert_non_null(strstr(f->sync.error, "CLUSTERDOWN"));
	f->error = NULL;
	sync_kick(&f->sync); /* the timer */
	fake_run(f);
	assert_same(f);
}

static void
cut_at_every_step(void **state)
{
	struct fake *f = settled(state, 3);

	for (unsigned step = 0; step < 3; step++) {
		fake_put(f, "route/1", step % 2 ? V1 : V2);
		sync_kick(&f->sync);
		for (unsigned i = 0; i < step; i++)
			fake_redis(f);
		f->asked[0] = '\0';
		sync_reply(&f->sync, NULL);
		sync_connected(&f->sync, false);
		assert_int_equal(f->asked[0], 0);
		sync_connected(&f->sync, true);
		fake_run(f);
		assert_same(f);
	}
}

#define POSITION(f) position_text(f)
static struct str
position_text(const struct fake *f)
{
	static char text[256];

	snprintf(text, sizeof(text), "{\"epoch\":\"%s\",\"number\":%llu,\"hash\":\"%s\"}",
	    f->sync.at.epoch, (unsigned long long)f->sync.at.number, f->sync.at.hash);
	return str_of(text);
}

static void
a_keeper_comes_back(void **state)
{
	struct fake *f = settled(state, 3);
	uint32_t id;

	sync_keeper(&f->sync, POSITION(f), true);
	fake_run(f);
	assert_int_equal(f->documents, 0); /* nothing was open */
	fake_put(f, "route/1", V2);
	fake_round(f);
	id = f->id;
	sync_keeper(&f->sync, POSITION(f), true);
	assert_int_equal(f->resent, 1);
	assert_int_equal(f->id, id);
	fake_keeper(f, 200, NULL);
	sync_changed(&f->sync, id, 500, 7, STR("")); /* the second answer is nobody's */
	fake_run(f);
	assert_same(f);
}

static void
a_keeper_that_has_forgotten(void **state)
{
	struct fake *f = settled(state, 3);

	fake_put(f, "route/1", V2);
	fake_round(f);
	json_decref(f->document);
	f->document = NULL;
	sync_keeper(&f->sync, STR(""), true);
	fake_redis(f);
	fake_redis(f);
	assert_true(fake_is(f, "whole"));
	assert_int_equal(fake_changes(f), 3);
	fake_run(f);
	assert_same(f);
}

static void
a_keeper_without_room(void **state)
{
	struct fake *f = settled(state, 3);

	fake_put(f, "route/1", V2);
	fake_round(f);
	fake_keeper(f, 507, NULL);
	assert_int_equal(f->later, 1);
	assert_string_equal(sync_word(&f->sync), "error");
	assert_int_equal(f->sync.at.number, 3);
	sync_kick(&f->sync);
	fake_run(f);
	assert_same(f);
}

static void
reload_is_rung_once(void **state)
{
	struct fake *f;

	((struct fake *)*state)->reload = 5;
	f = settled(state, 1);
	assert_int_equal(f->rings, 0); /* what was there before is no news */
	f->reload = 6;
	sync_kick(&f->sync);
	fake_run(f);
	sync_kick(&f->sync);
	fake_run(f);
	assert_int_equal(f->rings, 1);
	f->reload = 0; /* flushed */
	sync_kick(&f->sync);
	fake_run(f);
	assert_int_equal(f->rings, 1);
}

static void
held_for_somebody_else(void **state)
{
	struct fake *f = settled(state, 1);

	sync_hold(&f->sync, true);
	fake_put(f, "route/1", V2);
	sync_kick(&f->sync);
	assert_int_equal(f->asked[0], 0);
	sync_hold(&f->sync, false);
	fake_run(f);
	assert_same(f);
}

static const struct CMUnitTest tests[] = {
#define T(f) TEST_WITH(f, fake_setup, fake_teardown)
    T(first_is_a_whole),
    T(a_bell_without_news),
    T(a_change_is_followed),
    T(many_entries_are_one_document),
    T(lost_bells_are_caught_up),
    T(changes_at_every_step),
    T(a_trimmed_stream),
    T(a_stream_that_ends_too_early),
    T(an_entry_that_cannot_be_read),
    T(the_number_goes_back),
    T(another_past_with_a_higher_number),
    T(another_epoch),
    T(flushed),
    T(mass_deletion_is_guarded),
    T(a_mark_is_for_its_number),
    T(half_may_go),
    T(empty_is_guarded),
    T(the_keeper_guards_too),
    T(refused_and_later_accepted),
    T(refused_and_then_deleted),
    T(what_cannot_be_read_is_refused_here),
    T(a_wrong_hash_is_told_once),
    T(a_malformed_version),
    T(errors_are_tried_again),
    T(cut_at_every_step),
    T(a_keeper_comes_back),
    T(a_keeper_that_has_forgotten),
    T(a_keeper_without_room),
    T(reload_is_rung_once),
    T(held_for_somebody_else),
};
RUN_TESTS(tests)
