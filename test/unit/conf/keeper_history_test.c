/* SPDX-License-Identifier: Apache-2.0
 *
 * History, differences, rollback and overrides through a real keeper. F-CFG-02: the last change
 * sets with author and time, and a way back; a file object that was rolled back stays as a named
 * override until it is dropped or the files say something else.
 */
#include "conf/ask.h"
#include "test/unit/conf/keeper_kit.h"

#define ROUTE(path)          "{'path':['" path "'],'service':'one'}"
#define PUT(kind, id, value) "{'op':'put','kind':'" kind "','id':'" id "','value':" value "}"

static size_t
count(struct fixture *f, uint32_t what, uint64_t a, uint64_t b, const char *list)
{
	json_t *j = ask(f, what, a, b, 200);
	size_t n = json_array_size(json_object_get(j, list));

	json_decref(j);
	return n;
}

static const char *
word(const json_t *j, const char *list, size_t i, const char *name)
{
	const char *s =
	    json_string_value(json_object_get(json_array_get(json_object_get(j, list), i), name));

	return s != NULL ? s : "";
}

static void
generations_are_written_down(void **state)
{
	struct fixture *f = *state;
	json_t *j, *change;

	begun(f);
	CHANGE(f, f->admin, 200, "{'author':'ann','comment':'first','changes':[%s]}",
	    PUT("route", "a", ROUTE("/a")));
	assert_true(change_all(f, 2, config(f, 2)).ok);
	j = ask(f, ASK_GENERATIONS, 0, 0, 200);
	assert_int_equal(json_array_size(json_object_get(j, "generations")), 3);
	assert_string_equal(word(j, "generations", 0, "source"), "file");
	assert_string_equal(word(j, "generations", 0, "author"), "test");
	assert_string_equal(word(j, "generations", 1, "author"), "ann");
	assert_string_equal(word(j, "generations", 1, "comment"), "first");
	assert_string_equal(word(j, "generations", 2, "comment"), "start");
	json_decref(j);
	assert_int_equal(count(f, ASK_GENERATIONS, 1, 0, "generations"), 1);
	assert_int_equal(count(f, ASK_GENERATIONS, 10, 3, "generations"), 2);
	j = ask(f, ASK_GENERATION, 2, 0, 200);
	change = json_array_get(json_object_get(j, "changes"), 0);
	assert_string_equal(json_string_value(json_object_get(change, "id")), "a");
	assert_true(json_is_null(json_object_get(change, "before")));
	assert_true(json_is_object(json_object_get(change, "after")));
	json_decref(j);
	json_decref(ask(f, ASK_GENERATION, 77, 0, 404));
	end(f);
}

static void
differences_are_net_and_go_both_ways(void **state)
{
	struct fixture *f = *state;
	json_t *j, *c;

	begun(f);
	CHANGE(f, f->admin, 200, "{'changes':[%s]}", PUT("route", "a", ROUTE("/a")));
	CHANGE(f, f->admin, 200, "{'changes':[%s,%s]}", PUT("route", "a", ROUTE("/a2")),
	    PUT("route", "b", ROUTE("/b")));
	CHANGE(f, f->admin, 200, "{'changes':[{'op':'delete','kind':'route','id':'b'}]}");
	j = ask(f, ASK_DIFF, 1, 0, 200); /* b came and went */
	assert_int_equal(json_array_size(json_object_get(j, "changes")), 1);
	assert_int_equal(json_integer_value(json_object_get(j, "to")), 4);
	json_decref(j);
	j = ask(f, ASK_DIFF, 4, 2, 200);
	c = json_array_get(json_object_get(j, "changes"), 0);
	assert_string_equal(json_string_value(json_array_get(
				json_object_get(json_object_get(c, "before"), "path"), 0)),
	    "/a2");
	assert_string_equal(json_string_value(json_array_get(
				json_object_get(json_object_get(c, "after"), "path"), 0)),
	    "/a");
	json_decref(j);
	assert_int_equal(count(f, ASK_DIFF, 3, 3, "changes"), 0);
	json_decref(ask(f, ASK_DIFF, 1, 9, 404));
	/* a start has no list of its changes */
	json_decref(ask(f, ASK_DIFF, 0, 0, 200));
	end(f);
}

static void
admins_objects_go_back_directly(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	begun(f);
	CHANGE(f, f->admin, 200, "{'changes':[%s]}", PUT("route", "a", ROUTE("/a")));
	CHANGE(f, f->admin, 200, "{'changes':[%s,%s]}", PUT("route", "a", ROUTE("/a2")),
	    PUT("route", "b", ROUTE("/b")));
	r = CHANGE(f, f->admin, 200, "{'rollback':2,'dry_run':true}");
	assert_int_equal(r.changed, 2);
	SEES(f, CONF_ROUTE, "a", "{'path':['/a2'],'service':'one'}");
	r = CHANGE(f, f->admin, 200, "{'rollback':2}");
	assert_int_equal(r.changed, 2);
	assert_int_equal(r.generation, 4);
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'service':'one'}");
	SEES(f, CONF_ROUTE, "b", "");
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 0);
	/* and forward again */
	CHANGE(f, f->admin, 200, "{'rollback':3}");
	SEES(f, CONF_ROUTE, "b", "{'path':['/b'],'service':'one'}");
	CHANGE(f, f->admin, 404, "{'rollback':99}");
	r = CHANGE(f, f->admin, 200, "{'rollback':5}");
	assert_int_equal(r.changed, 0);
	end(f);
}

static void
file_objects_go_back_as_overrides(void **state)
{
	struct fixture *f = *state;
	json_t *j;

	begun(f);
	assert_true(change_all(f, 2, config(f, 2)).ok);
	CHANGE(f, f->admin, 200, "{'rollback':1,'author':'ann'}");
	assert_int_equal(look(f).version, 1);
	j = ask(f, ASK_OVERRIDES, 0, 0, 200);
	assert_int_equal(json_array_size(json_object_get(j, "overrides")), 1);
	assert_string_equal(word(j, "overrides", 0, "name"), "rollback-1");
	assert_string_equal(word(j, "overrides", 0, "id"), "r");
	assert_string_equal(word(j, "overrides", 0, "author"), "ann");
	json_decref(j);
	/* the file says the same as before: the override holds */
	send_apply(f, 3, config(f, 2), false);
	assert_true(applied(f, 3).ok);
	assert_int_equal(look(f).version, 1);
	/* through a new keeper, and through a new instance */
	kill(f->pid, SIGKILL);
	wait_gone(f);
	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 4, config(f, 2)).ok);
	assert_int_equal(look(f).version, 1);
	kill(f->pid, SIGKILL);
	wait_gone(f);
	f->h.started_wall_us++;
	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 5, config(f, 2)).ok);
	assert_int_equal(look(f).version, 1);
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 1);
	/* it says something else: over */
	assert_true(change_all(f, 6, config(f, 3)).ok);
	assert_int_equal(look(f).version, 3);
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 0);
	end(f);
}

static void
an_override_ends_at_a_start_with_other_files(void **state)
{
	struct fixture *f = *state;

	begun(f);
	assert_true(change_all(f, 2, config(f, 2)).ok);
	CHANGE(f, f->admin, 200, "{'rollback':1}");
	kill(f->pid, SIGKILL);
	wait_gone(f);
	f->h.started_wall_us++;
	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 5, config(f, 4)).ok);
	assert_int_equal(look(f).version, 4);
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 0);
	end(f);
}

static void
what_the_files_made_since_is_hidden(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	begun(f);
	sets_begin(&f->sets, "file", true);
	sets_settings(&f->sets);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	sets_service(&f->sets, "one", "10.0.0.1:80 10.0.0.2:80", 1);
	sets_route(&f->sets, "r", "/v1/*", "one", NULL, NULL);
	sets_route(&f->sets, "new", "/new", "one", NULL, NULL);
	assert_true(change_all(f, 2, sets_end(&f->sets)).ok);
	CHANGE(f, f->admin, 200, "{'rollback':1}");
	SEES(f, CONF_ROUTE, "new", "");
	/* it is still the files' */
	r = CHANGE(f, f->admin, 409, "{'changes':[%s]}", PUT("route", "new", ROUTE("/n")));
	assert_non_null(strstr(r.text, "file"));
	/* taking it back: as the files say, and no override */
	CHANGE(f, f->admin, 200, "{'rollback':2}");
	SEES(f, CONF_ROUTE, "new", "{'path':['/new'],'service':'one'}");
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 0);
	end(f);
}

static void
a_dropped_override_gives_the_files_their_say(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	begun(f);
	assert_true(change_all(f, 2, config(f, 2)).ok);
	CHANGE(f, f->admin, 200, "{'rollback':1}");
	CHANGE(f, f->admin, 404, "{'drop_override':'nothing'}");
	r = CHANGE(f, f->admin, 200, "{'drop_override':'rollback-1','dry_run':true}");
	assert_non_null(strstr(r.text, "\"dropped\":[{\"id\":\"r\""));
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 1);
	CHANGE(f, f->admin, 200, "{'drop_override':'rollback-1'}");
	expect(f, f->chan, MSG_RING); /* the master loads the files */
	msg_drop(&f->m);
	assert_true(change_all(f, 3, config(f, 2)).ok);
	assert_int_equal(look(f).version, 2);
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 0);
	end(f);
}

static void
the_consoles_objects_are_overridden_and_come_back(void **state)
{
	struct fixture *f = *state;

	begun(f);
	CHANGE(f, f->redis, 200, "{'changes':[%s]}", PUT("route", "c", ROUTE("/c1")));
	CHANGE(f, f->redis, 200, "{'changes':[%s]}", PUT("route", "c", ROUTE("/c2")));
	CHANGE(f, f->admin, 200, "{'rollback':2}");
	SEES(f, CONF_ROUTE, "c", "{'path':['/c1'],'service':'one'}");
	/* a snapshot with the same value changes nothing */
	CHANGE(f, f->redis, 200, "{'whole':true,'partial':true,'changes':[%s]}",
	    PUT("route", "c", ROUTE("/c2")));
	SEES(f, CONF_ROUTE, "c", "{'path':['/c1'],'service':'one'}");
	/* nor does a new instance */
	kill(f->pid, SIGKILL);
	wait_gone(f);
	f->h.started_wall_us++;
	begun(f);
	SEES(f, CONF_ROUTE, "c", "{'path':['/c1'],'service':'one'}");
	CHANGE(f, f->admin, 200, "{'drop_override':'rollback-2'}");
	SEES(f, CONF_ROUTE, "c", "{'path':['/c2'],'service':'one'}");
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 0);
	CHANGE(f, f->admin, 200, "{'rollback':2}"); /* a start with the same files lies between */
	SEES(f, CONF_ROUTE, "c", "{'path':['/c1'],'service':'one'}");
	kill(f->pid, SIGKILL);
	wait_gone(f);
	f->h.started_wall_us++;
	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 1, config(f, 2)).ok);
	CHANGE(f, f->admin, 410, "{'rollback':2}"); /* a start with other files */
	end(f);
}

static void
a_put_of_the_console_ends_its_override(void **state)
{
	struct fixture *f = *state;

	begun(f);
	CHANGE(f, f->redis, 200, "{'changes':[%s]}", PUT("route", "c", ROUTE("/c1")));
	CHANGE(f, f->admin, 200, "{'rollback':1}"); /* hidden */
	SEES(f, CONF_ROUTE, "c", "");
	CHANGE(f, f->redis, 200, "{'changes':[%s]}", PUT("route", "c", ROUTE("/c1")));
	SEES(f, CONF_ROUTE, "c", "");
	CHANGE(f, f->redis, 200, "{'changes':[%s]}", PUT("route", "c", ROUTE("/c3")));
	SEES(f, CONF_ROUTE, "c", "{'path':['/c3'],'service':'one'}");
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 0);
	/* hidden, and deleted behind it */
	CHANGE(f, f->admin, 200, "{'rollback':1}");
	CHANGE(f, f->redis, 200, "{'changes':[{'op':'delete','kind':'route','id':'c'}]}");
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 0);
	CHANGE(f, f->admin, 200, "{'changes':[%s]}", PUT("route", "c", ROUTE("/mine")));
	end(f);
}

/* What is refused by itself has not been said. */
static void
a_refused_put_ends_no_override(void **state)
{
	struct fixture *f = *state;

	begun(f);
	CHANGE(f, f->redis, 200, "{'changes':[%s]}", PUT("route", "c", ROUTE("/c1")));
	CHANGE(f, f->redis, 200, "{'changes':[%s]}", PUT("route", "c", ROUTE("/c2")));
	CHANGE(f, f->admin, 200, "{'rollback':2}");
	CHANGE(f, f->redis, 200, "{'partial':true,'changes':[%s]}",
	    "{'op':'put','kind':'route','id':'c','value':{'path':['/c3'],'service':'nobody'}}");
	SEES(f, CONF_ROUTE, "c", "{'path':['/c1'],'service':'one'}");
	assert_int_equal(count(f, ASK_OVERRIDES, 0, 0, "overrides"), 1);
	end(f);
}

static void
history_is_bounded(void **state)
{
	struct fixture *f = *state;

	begun(f);
	for (unsigned i = 0; i < 110; i++)
		CHANGE(f, f->admin, 200,
		    "{'changes':[{'op':'put','kind':'route','id':'a','value':{'path':['/%u'],"
		    "'service':'one'}}]}",
		    i);
	assert_int_equal(count(f, ASK_GENERATIONS, 0, 0, "generations"), 100);
	json_decref(ask(f, ASK_DIFF, 5, 0, 410));
	CHANGE(f, f->admin, 410, "{'rollback':5}");
	CHANGE(f, f->admin, 200, "{'rollback':60}");
	SEES(f, CONF_ROUTE, "a", "{'path':['/58'],'service':'one'}");
	end(f);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(generations_are_written_down, setup, teardown),
    TEST_WITH(a_refused_put_ends_no_override, setup, teardown),
    TEST_WITH(history_is_bounded, setup, teardown),
    TEST_WITH(differences_are_net_and_go_both_ways, setup, teardown),
    TEST_WITH(admins_objects_go_back_directly, setup, teardown),
    TEST_WITH(file_objects_go_back_as_overrides, setup, teardown),
    TEST_WITH(an_override_ends_at_a_start_with_other_files, setup, teardown),
    TEST_WITH(what_the_files_made_since_is_hidden, setup, teardown),
    TEST_WITH(a_dropped_override_gives_the_files_their_say, setup, teardown),
    TEST_WITH(the_consoles_objects_are_overridden_and_come_back, setup, teardown),
    TEST_WITH(a_put_of_the_console_ends_its_override, setup, teardown),
};

RUN_TESTS(tests)
