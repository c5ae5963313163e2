/* SPDX-License-Identifier: Apache-2.0
 *
 * What outlives a keeper and an instance: killed at every step of a turn nothing that was taken is
 * lost and nothing is done twice; a map that is gone comes back out of files and state; a disk that
 * is full refuses. S-OP-3, C-1.
 */
#include "conf/ask.h"
#include "shm/state.h"
#include "test/unit/conf/keeper_kit.h"

#define ROUTE(path)          "{'path':['" path "'],'service':'one'}"
#define PUT(kind, id, value) "{'op':'put','kind':'" kind "','id':'" id "','value':" value "}"

static const char *const steps[] = {"after_journal", "after_compile", "before_commit",
    "after_commit", "after_publish", "after_document", "before_fold", "after_fold",
    "before_answer"};

/* The next instance: the map is gone. */
static void
reboot(struct fixture *f)
{
	kill(f->pid, SIGKILL);
	wait_gone(f);
	f->h.started_wall_us++;
	begun(f);
}

static void
send_three(struct fixture *f)
{
	/* Queued while it is stopped: one turn. */
	kill(f->pid, SIGSTOP);
	send_document(f, f->admin,
	    "{'author':'ann','changes':[{'op':'create','kind':'route','id':'new','value':" ROUTE(
		"/new") "},{'op':'delete','kind':'route','id':'old'}]}");
	send_document(f, f->admin,
	    "{'changes':[{'op':'patch','kind':'route','id':'new','value':{'priority':3}}]}");
	send_document(
	    f, f->admin, "{'changes':[" PUT("verdict", "one/*", "{'verdict':'drain'}") "]}");
	kill(f->pid, SIGCONT);
}

static uint64_t
journal_left(struct fixture *f)
{
	json_t *j = ask(f, ASK_STATE, 0, 0, 200);
	uint64_t n = (uint64_t)json_integer_value(json_object_get(j, "journal"));

	json_decref(j);
	return n;
}

/* All three, whatever the step; history adds up to the same difference. */
static void
check_three(struct fixture *f, const char *step)
{
	json_t *j;
	uint64_t left = journal_left(f);

	for (int i = 0; i < 500 && left > 0; i++, left = journal_left(f))
		usleep(10000);
	if (left > 0 || look(f).verdict != VERDICT_DRAIN)
		fail_msg("%s: the journal was not replayed", step);
	SEES(f, CONF_ROUTE, "new", "{'path':['/new'],'priority':3,'service':'one'}");
	SEES(f, CONF_ROUTE, "old", "");
	j = ask(f, ASK_STATE, 0, 0, 200);
	assert_int_equal(json_integer_value(json_object_get(j, "journal")), 0);
	assert_int_equal(json_integer_value(json_object_get(j, "objects")), 1);
	json_decref(j);
	j = ask(f, ASK_DIFF, 2, 0, 200);
	if (json_array_size(json_object_get(j, "changes")) != 2)
		fail_msg(
		    "%s: %zu differences", step, json_array_size(json_object_get(j, "changes")));
	json_decref(j);
}

static void
drain(int fd)
{
	static struct msg m;

	while (msg_recv(fd, &m) == 1)
		msg_drop(&m);
}

/* F-CFG-03: what was taken is not lost. */
static void
killed_at_any_step_of_a_turn(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct fixture *f;
		char stop[64];

		if (i > 0)
			setup(state);
		f = *state;
		snprintf(stop, sizeof(stop), "%s:kill", steps[i]);
		begun(f);
		CHANGE(f, f->admin, 200, "{'changes':[" PUT("route", "old", ROUTE("/old")) "]}");
		end(f);
		start(f, stop);
		ready(f);
		send_three(f);
		assert_int_equal(WTERMSIG(wait_gone(f)), SIGKILL);
		start(f, NULL);
		ready(f);
		drain(f->admin);
		check_three(f, steps[i]);
		/* and out of the state alone */
		drain(f->admin);
		reboot(f);
		SEES(f, CONF_ROUTE, "new", "{'path':['/new'],'priority':3,'service':'one'}");
		SEES(f, CONF_ROUTE, "old", "");
		end(f);
		if (i + 1 < ARRAY_LEN(steps))
			teardown(state);
	}
}

/* The files' second configuration, and a route more. */
static void
files_change(struct fixture *f, uint32_t cookie)
{
	sets_begin(&f->sets, "file", true);
	sets_settings(&f->sets);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	sets_service(&f->sets, "one", "10.0.0.1:80 10.0.0.2:80", 1);
	sets_route(&f->sets, "r", "/v2/*", "one", NULL, NULL);
	sets_route(&f->sets, "new", "/new", "one", NULL, NULL);
	assert_true(change_all(f, cookie, sets_end(&f->sets)).ok);
}

/* A rollback of what is the files' may have been done when its keeper died: what the files say is
 * remembered all the same, and the override holds until they say something else. */
static void
a_rollback_is_replayed(void **state)
{
	static const char *const at[] = {
	    "after_journal", "before_commit", "after_commit", "before_fold", "after_fold"};

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		struct fixture *f;
		char stop[64];
		json_t *j;

		if (i > 0)
			setup(state);
		f = *state;
		snprintf(stop, sizeof(stop), "%s:kill", at[i]);
		begun(f);
		CHANGE(f, f->admin, 200, "{'changes':[" PUT("route", "mine", ROUTE("/1")) "]}");
		files_change(f, 2);
		CHANGE(
		    f, f->admin, 200, "{'changes':[{'op':'delete','kind':'route','id':'mine'}]}");
		end(f);
		start(f, stop);
		ready(f);
		send_document(f, f->admin, "{'rollback':2}");
		wait_gone(f);
		start(f, NULL);
		ready(f);
		for (int n = 0; n < 500 && journal_left(f) > 0; n++)
			usleep(10000);
		drain(f->admin);
		SEES(f, CONF_ROUTE, "r", "{'path':['/v1/*'],'service':'one'}");
		SEES(f, CONF_ROUTE, "new", "");
		SEES(f, CONF_ROUTE, "mine", "{'path':['/1'],'service':'one'}");
		j = ask(f, ASK_OVERRIDES, 0, 0, 200);
		if (json_array_size(json_object_get(j, "overrides")) != 2)
			fail_msg("%s: %zu overrides", at[i],
			    json_array_size(json_object_get(j, "overrides")));
		json_decref(j);
		j = ask(f, ASK_DIFF, 2, 0, 200);
		if (json_array_size(json_object_get(j, "changes")) != 0)
			fail_msg("%s: history does not add up", at[i]);
		json_decref(j);
		/* the files say the same: both hold; then something else */
		files_change(f, 3);
		SEES(f, CONF_ROUTE, "r", "{'path':['/v1/*'],'service':'one'}");
		SEES(f, CONF_ROUTE, "new", "");
		assert_true(change_all(f, 4, config(f, 3)).ok);
		SEES(f, CONF_ROUTE, "r", "{'path':['/v3/*'],'service':'one'}");
		end(f);
		if (i + 1 < ARRAY_LEN(at))
			teardown(state);
	}
}

/* A snapshot that was in force when its keeper died: what it deleted stays deleted. */
static void
a_snapshot_is_replayed(void **state)
{
	struct fixture *f = *state;
	json_t *j;

	begun(f);
	CHANGE(f, f->redis, 200,
	    "{'changes':[" PUT("route", "c1", ROUTE("/1")) "," PUT(
		"route", "c2", ROUTE("/2")) "]}");
	end(f);
	start(f, "after_publish:kill");
	ready(f);
	send_document(f, f->redis,
	    "{'whole':true,'partial':true,'allow_deletions':true,'changes':[" PUT(
		"route", "c2", ROUTE("/3")) "]}");
	wait_gone(f);
	start(f, NULL);
	ready(f);
	assert_int_equal(answer(f, f->redis, f->asked).status, 200);
	j = ask(f, ASK_STATE, 0, 0, 200);
	assert_int_equal(json_integer_value(json_object_get(j, "objects")), 1);
	json_decref(j);
	reboot(f);
	SEES(f, CONF_ROUTE, "c1", "");
	SEES(f, CONF_ROUTE, "c2", "{'path':['/3'],'service':'one'}");
	end(f);
}

/* Who asked is answered by the next keeper, before it is greeted. */
static void
answers_come_from_the_next_keeper(void **state)
{
	struct fixture *f = *state;
	uint32_t first;

	begun(f);
	CHANGE(f, f->admin, 200, "{'changes':[" PUT("route", "old", ROUTE("/old")) "]}");
	end(f);
	start(f, "after_commit:kill");
	ready(f);
	expect(f, f->admin, MSG_HELLO);
	msg_drop(&f->m);
	first = f->asked + 1;
	send_three(f);
	wait_gone(f);
	start(f, NULL);
	ready(f);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(answer(f, f->admin, first + i).status, 200);
	expect(f, f->admin, MSG_HELLO);
	msg_drop(&f->m);
	end(f);
}

static void
an_instance_begins_with_all_that_is_remembered(void **state)
{
	struct fixture *f = *state;
	json_t *j;

	begun(f);
	CHANGE(f, f->admin, 200,
	    "{'changes':[" PUT("service", "two", "{'url':'http://10.1.1.1'}") "," PUT(
		"route", "a", "{'path':['/a'],'service':'two'}") "]}");
	CHANGE(f, f->redis, 200,
	    "{'schema':1,'console':{'epoch':'e','number':9,'hash':"
	    "'0000000000000000000000000000000000000000000000000000000000000000'},"
	    "'changes':[" PUT("route", "c", "{'path':['/c'],'service':'one'}") "]}");
	reboot(f);
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'service':'two'}");
	SEES(f, CONF_ROUTE, "c", "{'path':['/c'],'service':'one'}");
	/* numbers go on */
	assert_int_equal(look(f).generation, 4);
	j = ask(f, ASK_STATE, 0, 0, 200);
	assert_int_equal(
	    json_integer_value(json_object_get(json_object_get(j, "console"), "number")), 9);
	json_decref(j);
	/* the files no longer have what one refers to: it waits in the state */
	kill(f->pid, SIGKILL);
	wait_gone(f);
	f->h.started_wall_us++;
	start(f, NULL);
	ready(f);
	sets_begin(&f->sets, "file", true);
	sets_settings(&f->sets);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	sets_service(&f->sets, "three", "10.0.0.3:80", 1);
	assert_true(change_all(f, 1, sets_end(&f->sets)).ok);
	SEES(f, CONF_ROUTE, "c", "");
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'service':'two'}");
	j = ask(f, ASK_STATE, 0, 0, 200);
	assert_int_equal(json_array_size(json_object_get(j, "refused")), 1);
	assert_int_equal(json_integer_value(json_object_get(j, "objects")), 3);
	json_decref(j);
	reboot(f);
	SEES(f, CONF_ROUTE, "c", "{'path':['/c'],'service':'one'}");
	end(f);
}

/* The state was set aside, the map lives: it is written down again. */
static void
a_new_state_learns_from_the_map(void **state)
{
	struct fixture *f = *state;
	char cmd[200];
	json_t *j;

	begun(f);
	CHANGE(f, f->admin, 200, "{'changes':[" PUT("route", "a", ROUTE("/a")) "]}");
	kill(f->pid, SIGKILL);
	wait_gone(f);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'/*", f->state);
	assert_int_equal(system(cmd), 0);
	start(f, NULL);
	ready(f);
	drain(f->admin);
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'service':'one'}");
	for (int i = 0; i < 200; i++) {
		int64_t n;

		j = ask(f, ASK_STATE, 0, 0, 200);
		n = json_integer_value(json_object_get(j, "objects"));
		json_decref(j);
		if (n == 1)
			break;
		usleep(10000);
	}
	reboot(f);
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'service':'one'}");
	end(f);
}

static int64_t
journal_length(struct fixture *f)
{
	json_t *j = ask(f, ASK_STATE, 0, 0, 200);
	int64_t n = json_integer_value(json_object_get(j, "journal"));

	json_decref(j);
	return n;
}

/* A document its keepers die of is tried so often and no more. */
static void
a_deadly_document_is_set_aside(void **state)
{
	struct fixture *f = *state;

	begun(f);
	end(f);
	for (unsigned i = 0; i < 3; i++) {
		start(f, "before_commit:kill");
		if (i == 0) {
			ready(f);
			drain(f->admin);
			send_document(
			    f, f->admin, "{'changes':[" PUT("route", "a", ROUTE("/a")) "]}");
		}
		assert_int_equal(WTERMSIG(wait_gone(f)), SIGKILL);
	}
	start(f, "before_commit:kill");
	ready(f);
	drain(f->admin);
	/* questions are answered before the journal's turn comes */
	for (unsigned i = 0; journal_length(f) > 0 && i < 1000; i++)
		usleep(10000);
	assert_int_equal(journal_length(f), 0);
	SEES(f, CONF_ROUTE, "a", "");
	end(f);
}

static void
small_state(struct fixture *f, uint64_t size)
{
	struct gbuf boot = {0};
	struct conf_settings s;
	struct ws ws;

	ws_init(&ws, NULL, 0);
	assert_int_equal(boot_decode(str_n(f->boot.p, f->boot.n), &s, &ws), 1);
	s.limits.state_size = size;
	s.limits.map_size = 256u << 20;
	boot_encode(&s, &boot);
	ws_free(&ws);
	gbuf_free(&f->boot);
	f->boot = boot;
	f->h.boot = boot.p;
	f->h.boot_len = boot.n;
}

/* Routes of some kilobytes each. */
static char *
many_routes(unsigned round)
{
	static char text[1 << 20];
	size_t n = (size_t)sprintf(text, "{'changes':[");

	for (unsigned i = 0; i < 150; i++) {
		n += (size_t)sprintf(text + n,
		    "%s{'op':'put','kind':'route','id':'n%u-%u','value':{'service':'one','path':[",
		    i > 0 ? "," : "", round, i);
		for (unsigned p = 0; p < 16; p++)
			n += (size_t)sprintf(
			    text + n, "%s'/%u-%u-%u-%0200u'", p > 0 ? "," : "", round, i, p, p);
		n += (size_t)sprintf(text + n, "]}}");
	}
	sprintf(text + n, "]}");
	return text;
}

/* What does not fit into the state is refused; what is in force stays, and what was not refused is
 * there after a reboot. */
static void
a_full_state_refuses(void **state)
{
	struct fixture *f = *state;
	struct reply r = {.status = 200};
	unsigned round = 0;

	small_state(f, 16u << 20);
	begun(f);
	for (; r.status == 200 && round < 60; round++) {
		send_document(f, f->admin, "%s", many_routes(round));
		r = answer(f, f->admin, f->asked);
	}
	if (r.status != 507)
		fail_msg("%u: %s", r.status, r.text);
	assert_non_null(strstr(r.text, "nothing was changed"));
	assert_non_null(strstr(r.text, "limits.state_size"));
	/* what makes room is taken, and then there is some */
	for (unsigned i = 0; i < 150; i++)
		CHANGE(f, f->admin, 200,
		    "{'changes':[{'op':'delete','kind':'route','id':'n0-%u'}]}", i);
	CHANGE(f, f->admin, 200, "{'changes':[" PUT("route", "a", ROUTE("/a")) "]}");
	assert_true(change_all(f, 2, config(f, 2)).ok);
	reboot(f);
	SEES(f, CONF_ROUTE, "r", "{'path':['/v1/*'],'service':'one'}");
	end(f);
}

static void
a_document_too_large_for_the_journal(void **state)
{
	struct fixture *f = *state;
	struct reply r;
	static char big[20 << 20];

	small_state(f, 16u << 20);
	begun(f);
	memset(big, 'x', sizeof(big) - 1);
	r = CHANGE(f, f->admin, 507,
	    "{'changes':[{'op':'put','kind':'route','id':'n','value':{'path':['/n'],'service':"
	    "'one','_meta':{'x':'%s'}}}]}",
	    big);
	assert_non_null(strstr(r.text, "state"));
	SEES(f, CONF_ROUTE, "n", "");
	CHANGE(f, f->admin, 200, "{'changes':[" PUT("route", "a", ROUTE("/a")) "]}");
	end(f);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(killed_at_any_step_of_a_turn, setup, teardown),
    TEST_WITH(a_rollback_is_replayed, setup, teardown),
    TEST_WITH(a_snapshot_is_replayed, setup, teardown),
    TEST_WITH(answers_come_from_the_next_keeper, setup, teardown),
    TEST_WITH(an_instance_begins_with_all_that_is_remembered, setup, teardown),
    TEST_WITH(a_new_state_learns_from_the_map, setup, teardown),
    TEST_WITH(a_deadly_document_is_set_aside, setup, teardown),
    TEST_WITH(a_full_state_refuses, setup, teardown),
    TEST_WITH(a_document_too_large_for_the_journal, setup, teardown),
};

RUN_TESTS(tests)
