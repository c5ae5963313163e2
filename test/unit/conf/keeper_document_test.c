/* SPDX-License-Identifier: Apache-2.0
 *
 * Change documents through a real keeper: every status, outcomes, conditions, owners, verdicts, the
 * console's position. F-CFG-01: a change set as a whole or not at all, every error with its place.
 */
#include "conf/ask.h"
#include "test/unit/conf/keeper_kit.h"

#define ROUTE                "{'path':['/a'],'service':'one'}"
#define PUT(kind, id, value) "{'op':'put','kind':'" kind "','id':'" id "','value':" value "}"
#define HASH                 "0000000000000000000000000000000000000000000000000000000000000000"

static bool
has(const struct reply *r, const char *text)
{
	char json[400];

	snprintf(json, sizeof(json), "%s", text);
	for (char *p = json; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	return strstr(r->text, json) != NULL;
}

#define HAS(r, want)                                                                               \
	do {                                                                                       \
		if (!has(&(r), want))                                                              \
			fail_msg("%s is not in %s", want, (r).text);                               \
	} while (0)

static void
objects_come_change_and_go(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	begun(f);
	expect(f, f->mailbox, MSG_BELL);
	r = CHANGE(f, f->admin, 200, "{'author':'ann','changes':[" PUT("route", "a", ROUTE) "]}");
	assert_int_equal(r.generation, 2);
	assert_int_equal(r.changed, 1);
	HAS(r, "'id':'a','kind':'route','result':'created','version':2");
	expect(f, f->mailbox, MSG_BELL);
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'service':'one'}");
	r = CHANGE(f, f->admin, 200, "{'changes':[" PUT("route", "a", ROUTE) "]}");
	HAS(r, "'result':'unchanged'");
	assert_int_equal(r.generation, 2);
	r = CHANGE(f, f->admin, 200,
	    "{'changes':[{'op':'patch','kind':'route','id':'a','value':{'priority':7}}]}");
	HAS(r, "'result':'replaced','version':3");
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'priority':7,'service':'one'}");
	/* a null in a patch takes the setting away */
	CHANGE(f, f->admin, 200,
	    "{'changes':[{'op':'patch','kind':'route','id':'a','value':{'priority':null}}]}");
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'service':'one'}");
	r = CHANGE(f, f->admin, 200, "{'changes':[{'op':'delete','kind':'route','id':'a'}]}");
	HAS(r, "'result':'deleted'");
	SEES(f, CONF_ROUTE, "a", "");
	end(f);
}

static void
every_failure_has_its_status(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	begun(f);
	r = CHANGE(f, f->admin, 400, "{'changes':[");
	HAS(r, "'type':'about:blank'");
	HAS(r, "'title':'Bad Request'");
	CHANGE(f, f->admin, 400, "{'nonsense':1,'changes':[]}");
	CHANGE(f, f->admin, 404, "{'changes':[{'op':'delete','kind':'route','id':'no'}]}");
	CHANGE(f, f->admin, 404,
	    "{'changes':[{'op':'patch','kind':'route','id':'no','value':{'priority':1}}]}");
	r = CHANGE(f, f->admin, 409, "{'changes':[{'op':'delete','kind':'route','id':'r'}]}");
	HAS(r, "'source':'file'");
	HAS(r, "'where':'routes[r]'");
	CHANGE(f, f->redis, 409, "{'changes':[" PUT("route", "r", ROUTE) "]}");
	CHANGE(f, f->admin, 200, "{'changes':[" PUT("route", "a", ROUTE) "]}");
	r = CHANGE(f, f->redis, 409, "{'changes':[" PUT("route", "a", ROUTE) "]}");
	HAS(r, "'source':'admin'");
	CHANGE(f, f->admin, 409,
	    "{'changes':[{'op':'create','kind':'route','id':'a','value':" ROUTE "}]}");
	CHANGE(f, f->admin, 412,
	    "{'changes':[{'op':'put','kind':'route','id':'a','if_none_match':'*','value':" ROUTE
	    "}]}");
	r = CHANGE(f, f->admin, 412,
	    "{'changes':[{'op':'put','kind':'route','id':'a','if_match':17,'value':" ROUTE "}]}");
	HAS(r, "version 2, not 17");
	CHANGE(f, f->admin, 412,
	    "{'changes':[{'op':'put','kind':'route','id':'b','if_match':'*','value':" ROUTE "}]}");
	CHANGE(f, f->admin, 200,
	    "{'changes':[{'op':'put','kind':'route','id':'a','if_match':2,'value':"
	    "{'path':['/a2'],'service':'one'}}]}");
	r = CHANGE(f, f->admin, 422,
	    "{'changes':[" PUT("route", "b", "{'path':['/b'],'service':'gone','nope':1}") "]}");
	HAS(r, "routes[b]");
	r = CHANGE(f, f->admin, 422,
	    "{'changes':[" PUT("route", "b", "{'path':['/b'],'service':'gone'}") "]}");
	HAS(r, "'where':'routes[b].service'");
	/* the first class of them all decides: a conflict before checks */
	CHANGE(f, f->admin, 409,
	    "{'changes':[" PUT("route", "b", "{'nope':1}") "," PUT("route", "r", ROUTE) "]}");
	CHANGE(f, f->admin, 400,
	    "{'console':{'epoch':'e','number':1,'hash':'" HASH "'},'schema':1,'changes':[]}");
	/* nothing of all that was changed */
	assert_int_equal(look(f).generation, 3);
	end(f);
}

static void
all_or_nothing_unless_partial(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	begun(f);
	CHANGE(f, f->admin, 422,
	    "{'changes':[" PUT("route", "a", ROUTE) "," PUT(
		"route", "b", "{'path':['/b'],'service':'gone'}") "]}");
	SEES(f, CONF_ROUTE, "a", "");
	r = CHANGE(f, f->admin, 200,
	    "{'partial':true,'changes':[" PUT("route", "a", ROUTE) "," PUT(
		"route", "b", "{'path':['/b'],'service':'gone'}") "," PUT("route", "c",
		"{'bad':1}") "," PUT("route", "r",
		ROUTE) ",{'op':'put','kind':'nothing','id':'x','value':{}}"
		       ",{'op':'delete','kind':'route','id':'never'}]}");
	assert_int_equal(r.changed, 1);
	assert_int_equal(r.refused, 4);
	HAS(r, "'id':'b','kind':'route','result':'refused'");
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'service':'one'}");
	end(f);
}

static void
a_dry_run_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	begun(f);
	r = CHANGE(f, f->admin, 200, "{'dry_run':true,'changes':[" PUT("route", "a", ROUTE) "]}");
	HAS(r, "'dry_run':true");
	HAS(r, "'result':'created'");
	assert_int_equal(r.changed, 1);
	assert_int_equal(r.generation, 1);
	SEES(f, CONF_ROUTE, "a", "");
	CHANGE(f, f->admin, 422,
	    "{'dry_run':true,'changes':[" PUT(
		"route", "a", "{'path':['/a'],'service':'gone'}") "]}");
	/* listeners too: the master hears nothing of it */
	CHANGE(f, f->admin, 200,
	    "{'dry_run':true,'changes':[" PUT(
		"listener", "l", "{'address':'127.0.0.1:9999'}") "]}");
	assert_int_equal(look(f).generation, 1);
	end(f);
}

static void
what_a_listener_needs_goes_through_the_master(void **state)
{
	struct fixture *f = *state;
	uint32_t cookie, first;
	struct reply r;

	begun(f);
	send_document(
	    f, f->admin, "{'changes':[" PUT("listener", "l", "{'address':'127.0.0.1:9999'}") "]}");
	first = f->asked;
	expect(f, f->chan, MSG_SUBMIT);
	cookie = msg_u32(&f->m);
	assert_true(cookie != 0);
	assert_int_equal(msg_end(&f->m), 1);
	/* one that comes meanwhile waits behind it */
	send_document(f, f->admin,
	    "{'changes':[" PUT(
		"route", "a", "{'path':['/a'],'service':'one','listener':['l']}") "]}");
	/* the master's own go on */
	assert_true(change_all(f, 5, config(f, 2)).ok);
	msg_begin(&f->m, MSG_APPLY, 6);
	msg_put_u32(&f->m, 0);
	msg_put_u32(&f->m, cookie);
	msg_put_str(&f->m, STR("keeper"));
	assert_int_equal(msg_send(f->chan, &f->m), 1);
	expect(f, f->chan, MSG_PREPARE);
	assert_int_equal(msg_u32(&f->m), 2);
	msg_drop(&f->m);
	send_commit(f, 6);
	assert_true(applied(f, 6).ok);
	assert_int_equal(answer(f, f->admin, first).status, 200);
	assert_int_equal(answer(f, f->admin, f->asked).status, 200);
	/* a port that is taken: given up, and said so */
	send_document(
	    f, f->admin, "{'changes':[" PUT("listener", "m", "{'address':'127.0.0.1:9998'}") "]}");
	expect(f, f->chan, MSG_SUBMIT);
	cookie = msg_u32(&f->m);
	msg_drop(&f->m);
	msg_begin(&f->m, MSG_APPLY, 7);
	msg_put_u32(&f->m, 0);
	msg_put_u32(&f->m, cookie);
	msg_put_str(&f->m, STR("keeper"));
	assert_int_equal(msg_send(f->chan, &f->m), 1);
	expect(f, f->chan, MSG_PREPARE);
	msg_drop(&f->m);
	msg_begin(&f->m, MSG_ABORT, 7);
	msg_put_str(&f->m, STR("port 9998 is taken"));
	assert_int_equal(msg_send(f->chan, &f->m), 1);
	assert_false(applied(f, 7).ok);
	r = answer(f, f->admin, f->asked);
	HAS(r, "port 9998 is taken");
	SEES(f, CONF_LISTENER, "m", "");
	end(f);
}

/* The objects that a PREPARE carries, as "kind/id ". */
static void
prepared_with(struct fixture *f, uint32_t id, const char *objects)
{
	struct gbuf have = {0};
	struct conf_object o;
	struct changeset set;
	enum change_op op;
	const char *error;
	int fd = -1;

	expect(f, f->chan, MSG_PREPARE);
	assert_int_equal(f->m.id, id);
	for (uint32_t n = msg_u32(&f->m); n > 0; n--) {
		(void)msg_u32(&f->m);
		(void)msg_str(&f->m);
		(void)msg_str(&f->m);
		(void)msg_u32(&f->m);
		(void)msg_u32(&f->m);
		(void)msg_str(&f->m);
	}
	if (objects != NULL)
		fd = msg_fd(&f->m);
	assert_int_equal(msg_end(&f->m), 1);
	if (objects == NULL)
		return;
	assert_int_equal(changeset_open(fd, &set, &error), 1);
	close(fd);
	while (changeset_next(&set, &op, &o) == 1)
		gbuf_printf(&have, "%s/%.*s ", object_kinds[o.kind].word, STR_ARG(o.id));
	gbuf_u8(&have, '\0');
	assert_string_equal(have.p, objects);
	gbuf_free(&have);
	changeset_close(&set);
}

static int
tls_config(struct fixture *f)
{
	sets_begin(&f->sets, "file", true);
	sets_settings(&f->sets);
	sets_tls_listener(&f->sets, "main", "127.0.0.1:8443", "a");
	sets_certificate(&f->sets, "a", "/a");
	sets_service(&f->sets, "one", "10.0.0.1:80", 1);
	return sets_end(&f->sets);
}

static void
submitted(struct fixture *f, uint32_t txn)
{
	uint32_t cookie;

	expect(f, f->chan, MSG_SUBMIT);
	cookie = msg_u32(&f->m);
	assert_int_equal(msg_end(&f->m), 1);
	msg_begin(&f->m, MSG_APPLY, txn);
	msg_put_u32(&f->m, 0);
	msg_put_u32(&f->m, cookie);
	msg_put_str(&f->m, STR("keeper"));
	assert_int_equal(msg_send(f->chan, &f->m), 1);
}

/* E-8, R-7.3: what names keys and certificates goes to the master before it is committed, and
 * nothing of it is in force when their files are no good. */
static void
certificates_are_read_before_they_are_in_force(void **state)
{
	struct fixture *f = *state;
	struct outcome o;
	struct reply r;

	start(f, NULL);
	ready(f);
	send_apply(f, 1, tls_config(f), false);
	prepared_with(f, 1, "listener/main certificate/a ");
	send_commit(f, 1);
	assert_true(applied(f, 1).ok);
	/* the same again: files may say something else now; there is nothing to commit */
	send_apply(f, 2, tls_config(f), false);
	prepared_with(f, 2, "listener/main certificate/a ");
	send_commit(f, 2);
	o = applied(f, 2);
	assert_true(o.ok);
	assert_int_equal(o.changed, 0);
	assert_int_equal(o.generation, 1);
	/* a document that names none goes by itself, one that does through the master */
	send_document(
	    f, f->admin, "{'changes':[" PUT("service", "two", "{'url':'http://127.0.0.1:1'}") "]}");
	assert_int_equal(answer(f, f->admin, f->asked).status, 200);
	send_document(f, f->admin,
	    "{'changes':[" PUT("certificate", "b", "{'certificate':'/b','key':'/k'}") "]}");
	submitted(f, 3);
	prepared_with(f, 3, "listener/main certificate/a certificate/b ");
	msg_begin(&f->m, MSG_ABORT, 3);
	msg_put_str(&f->m, STR("certificates[b]: /k: not this certificate's key"));
	assert_int_equal(msg_send(f->chan, &f->m), 1);
	assert_false(applied(f, 3).ok);
	r = answer(f, f->admin, f->asked);
	assert_int_equal(r.status, 422);
	HAS(r, "certificates[b]: /k: not this");
	SEES(f, CONF_CERTIFICATE, "b", "");
	send_document(f, f->admin,
	    "{'changes':[" PUT("service", "two", "{'url':'https://127.0.0.1:1'}") "]}");
	submitted(f, 4);
	prepared_with(f, 4, "listener/main service/two certificate/a ");
	send_commit(f, 4);
	assert_true(applied(f, 4).ok);
	assert_int_equal(answer(f, f->admin, f->asked).status, 200);
	/* who is named stays, and it is said by whom */
	send_document(f, f->admin,
	    "{'changes':[" PUT("certificate", "c", "{'certificate':'/c','key':'/k'}") "," PUT(
		"listener", "l",
		"{'address':'127.0.0.1:9','tls':{'enabled':true,"
		"'certificates':['c']}}") "]}");
	submitted(f, 5);
	prepared_with(f, 5, "listener/main listener/l service/two certificate/a certificate/c ");
	send_commit(f, 5);
	assert_true(applied(f, 5).ok);
	assert_int_equal(answer(f, f->admin, f->asked).status, 200);
	send_document(f, f->admin, "{'changes':[{'op':'delete','kind':'certificate','id':'c'}]}");
	r = answer(f, f->admin, f->asked);
	assert_int_equal(r.status, 422);
	HAS(r, "is to go, but listeners[l] of source");
	end(f);
}

static void
a_reload_leaves_others_alone(void **state)
{
	struct fixture *f = *state;

	begun(f);
	CHANGE(f, f->admin, 200, "{'changes':[" PUT("route", "a", ROUTE) "]}");
	CHANGE(f, f->redis, 200,
	    "{'changes':[" PUT("route", "c", "{'path':['/c'],'service':'one'}") "]}");
	assert_true(change_all(f, 2, config(f, 2)).ok);
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'service':'one'}");
	SEES(f, CONF_ROUTE, "c", "{'path':['/c'],'service':'one'}");
	end(f);
}

static void
a_snapshot_deletes_what_it_lacks_within_bounds(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	begun(f);
	CHANGE(f, f->redis, 200,
	    "{'schema':1,'partial':true,'whole':true,'console':{'epoch':'e','number':1,'hash':"
	    "'" HASH "'},'changes':[" PUT("route", "c1", ROUTE) "," PUT(
		"route", "c2", ROUTE) "," PUT("route", "c3", ROUTE) "]}");
	/* most of it would go */
	r = CHANGE(f, f->redis, 422,
	    "{'partial':true,'whole':true,'changes':[" PUT("route", "c1", ROUTE) "]}");
	HAS(r, "'guard':true");
	CHANGE(f, f->redis, 422, "{'partial':true,'whole':true,'changes':[]}");
	/* one that is refused does not count as missing */
	r = CHANGE(f, f->redis, 200,
	    "{'partial':true,'whole':true,'changes':[" PUT("route", "c1", "{'x':1}") "," PUT(
		"route", "c2", ROUTE) "," PUT("route", "c3", ROUTE) "]}");
	assert_int_equal(r.refused, 1);
	SEES(f, CONF_ROUTE, "c1", "{'path':['/a'],'service':'one'}");
	CHANGE(
	    f, f->redis, 200, "{'partial':true,'whole':true,'allow_deletions':true,'changes':[]}");
	SEES(f, CONF_ROUTE, "c1", "");
	/* the next keeper says the position */
	kill(f->pid, SIGKILL);
	wait_gone(f);
	start(f, NULL);
	ready(f);
	expect(f, f->redis, MSG_HELLO);
	assert_int_equal(msg_u64(&f->m), 3);
	assert_true(str_find(msg_str(&f->m), STR("\"number\":1")) > 0);
	end(f);
}

static void
verdicts_are_in_force_when_answered_and_outlive_it_all(void **state)
{
	struct fixture *f = *state;

	begun(f);
	CHANGE(
	    f, f->admin, 200, "{'changes':[" PUT("verdict", "one/*", "{'verdict':'drain'}") "]}");
	assert_int_equal(look(f).verdict, VERDICT_DRAIN);
	CHANGE(f, f->admin, 200,
	    "{'changes':[" PUT("verdict", "one/10.0.0.1:80", "{'weight':7}") "]}");
	assert_int_equal(look(f).verdict, VERDICT_DRAIN);
	assert_int_equal(look(f).weight, 7);
	CHANGE(f, f->admin, 404, "{'changes':[" PUT("verdict", "two/*", "{'verdict':'up'}") "]}");
	CHANGE(f, f->admin, 404,
	    "{'changes':[" PUT("verdict", "one/10.9.9.9:80", "{'verdict':'up'}") "]}");
	CHANGE(f, f->admin, 422, "{'changes':[" PUT("verdict", "one/*", "{'verdict':'sick'}") "]}");
	CHANGE(f, f->admin, 422, "{'changes':[" PUT("verdict", "one/*", "{'weight':1001}") "]}");
	CHANGE(f, f->admin, 422,
	    "{'changes':[" PUT(
		"verdict", "one/*", "{'weight':1,'expires':'2001-01-01T00:00:00Z'}") "]}");
	/* a new instance: new rows, the same verdicts */
	kill(f->pid, SIGKILL);
	wait_gone(f);
	f->h.started_wall_us++;
	begun(f);
	assert_int_equal(look(f).verdict, VERDICT_DRAIN);
	assert_int_equal(look(f).weight, 7);
	CHANGE(f, f->admin, 200, "{'changes':[{'op':'delete','kind':'verdict','id':'one/*'}]}");
	assert_int_equal(look(f).verdict, VERDICT_NONE);
	assert_int_equal(look(f).weight, WEIGHT_UNSET);
	end(f);
}

static void
the_console_may_speak_of_what_is_to_come(void **state)
{
	struct fixture *f = *state;

	start(f, NULL);
	ready(f);
	/* before there is any configuration documents wait */
	send_document(
	    f, f->redis, "{'changes':[" PUT("verdict", "late/*", "{'verdict':'down'}") "]}");
	assert_true(change_all(f, 1, config(f, 1)).ok);
	assert_int_equal(answer(f, f->redis, f->asked).status, 200);
	CHANGE(f, f->redis, 200,
	    "{'changes':[" PUT("verdict", "one/10.0.0.1:80", "{'weight':3}") "," PUT(
		"verdict", "one/*", "{'verdict':'drain'}") "]}");
	/* by name comes before all */
	assert_int_equal(look(f).verdict, VERDICT_NONE);
	assert_int_equal(look(f).weight, 3);
	CHANGE(f, f->redis, 200,
	    "{'changes':[{'op':'delete','kind':'verdict','id':'one/10.0.0.1:80'}]}");
	assert_int_equal(look(f).verdict, VERDICT_DRAIN);
	assert_int_equal(look(f).weight, WEIGHT_UNSET);
	end(f);
}

static void
verdicts_expire(void **state)
{
	struct fixture *f = *state;

	begun(f);
	CHANGE(f, f->admin, 200,
	    "{'changes':[" PUT("verdict", "one/*", "{'weight':3,'expires':'150ms'}") "]}");
	for (int i = 0; i < 200 && look(f).weight != WEIGHT_UNSET; i++)
		usleep(20000);
	assert_int_equal(look(f).weight, WEIGHT_UNSET);
	end(f);
}

static void
many_at_once_are_one_turn(void **state)
{
	struct fixture *f = *state;
	uint32_t first = f->asked + 1;

	begun(f);
	kill(f->pid, SIGSTOP);
	for (unsigned i = 0; i < 40; i++)
		send_document(f, f->admin,
		    "{'changes':[{'op':'put','kind':'route','id':'n%u','value':" ROUTE "}]}", i);
	kill(f->pid, SIGCONT);
	for (unsigned i = 0; i < 40; i++) {
		struct reply r = answer(f, f->admin, first + i);

		assert_int_equal(r.status, 200);
	}
	assert_int_equal(look(f).generation, 41);
	end(f);
}

/* No more of them came. */
static void
quiet(int mailbox)
{
	struct pollfd p = {.fd = mailbox, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
}

/* Authors who wait at the same time share a turn. Each has a generation, or a refusal, and an
 * answer of its own, in the order in which they came, and sees what those before it did; workers
 * hear of all of it at once, before the first is answered. */
static void
authors_of_a_turn_are_kept_apart(void **state)
{
	static const struct {
		const char *text;
		uint32_t status;
		uint64_t generation;
		const char *says;
	} v[] = {
	    {"{'author':'ann','changes':[" PUT("route", "a", ROUTE) "]}", 200, 2, "'created'"},
	    {"{'author':'bob','changes':[" PUT(
		 "route", "b", "{'path':['/b'],'service':'gone'}") "]}",
		422, 2, "routes[b].service"},
	    {"{'author':'cid','changes':[" PUT(
		 "route", "c", "{'path':['/c'],'service':'one'}") "]}",
		200, 3, "'created'"},
	    {"{'author':'dan','changes':[{'op':'put','kind':'route','id':'a','if_match':17,'value'"
	     ":" ROUTE "}]}",
		412, 3, "version 2, not 17"},
	    {"{'author':'eve','changes':[{'op':'patch','kind':'route','id':'a','if_match':2,'value'"
	     ":"
	     "{'priority':7}}]}",
		200, 4, "'replaced'"},
	    {"{'author':'fay','changes':[", 400, 4, "Bad Request"},
	    {"{'author':'gus','changes':[{'op':'delete','kind':'route','id':'c'}]}", 200, 5,
		"'deleted'"},
	    {"{'author':'hal','changes':[{'op':'delete','kind':'route','id':'c'}]}", 404, 5, "Not"},
	};
	struct fixture *f = *state;
	uint32_t first = f->asked + 1;

	begun(f);
	expect(f, f->mailbox, MSG_BELL);
	kill(f->pid, SIGSTOP);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		send_document(f, f->admin, "%s", v[i].text);
	kill(f->pid, SIGCONT);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct reply r = answer(f, f->admin, first + (uint32_t)i);

		if (i == 0) {
			expect(f, f->mailbox, MSG_BELL);
			assert_int_equal(msg_u64(&f->m), 5);
		}
		assert_int_equal(r.status, v[i].status);
		HAS(r, v[i].says);
		if (r.status == 200)
			assert_int_equal(r.changed, 1);
	}
	quiet(f->mailbox);
	SEES(f, CONF_ROUTE, "a", "{'path':['/a'],'priority':7,'service':'one'}");
	SEES(f, CONF_ROUTE, "b", "");
	SEES(f, CONF_ROUTE, "c", "");
	for (uint64_t n = 2; n <= 5; n++) {
		static const char *const authors[] = {"ann", "cid", "eve", "gus"};
		json_t *j = ask(f, ASK_GENERATION, n, 0, 200);

		assert_string_equal(
		    json_string_value(json_object_get(j, "author")), authors[n - 2]);
		json_decref(j);
	}
	end(f);
}

/* A slot that nobody is to fill has no bell; one whose worker died does, for the next one's sake.
 */
static void
only_taken_slots_are_rung(void **state)
{
	struct fixture *f = *state;
	int pair[2];

	assert_int_equal(msg_pair(pair), 1);
	f->h.mailbox_send[1] = pair[1];
	begun(f);
	expect(f, f->mailbox, MSG_BELL);
	quiet(pair[0]);
	worker_state(f, 1, PROC_DEAD);
	CHANGE(f, f->admin, 200, "{'changes':[" PUT("route", "a", ROUTE) "]}");
	expect(f, pair[0], MSG_BELL);
	assert_int_equal(msg_u64(&f->m), 2);
	end(f);
	close(pair[0]);
	close(pair[1]);
}

static void
without_a_state_documents_are_refused(void **state)
{
	struct fixture *f = *state;

	f->h.state_dir = "/nonexistent/state";
	begun(f);
	CHANGE(f, f->admin, 503, "{'changes':[" PUT("route", "a", ROUTE) "]}");
	json_decref(ask(f, ASK_STATE, 0, 0, 503));
	assert_true(change_all(f, 2, config(f, 2)).ok);
	end(f);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(objects_come_change_and_go, setup, teardown),
    TEST_WITH(every_failure_has_its_status, setup, teardown),
    TEST_WITH(all_or_nothing_unless_partial, setup, teardown),
    TEST_WITH(a_dry_run_changes_nothing, setup, teardown),
    TEST_WITH(what_a_listener_needs_goes_through_the_master, setup, teardown),
    TEST_WITH(certificates_are_read_before_they_are_in_force, setup, teardown),
    TEST_WITH(a_reload_leaves_others_alone, setup, teardown),
    TEST_WITH(a_snapshot_deletes_what_it_lacks_within_bounds, setup, teardown),
    TEST_WITH(verdicts_are_in_force_when_answered_and_outlive_it_all, setup, teardown),
    TEST_WITH(the_console_may_speak_of_what_is_to_come, setup, teardown),
    TEST_WITH(verdicts_expire, setup, teardown),
    TEST_WITH(many_at_once_are_one_turn, setup, teardown),
    TEST_WITH(authors_of_a_turn_are_kept_apart, setup, teardown),
    TEST_WITH(only_taken_slots_are_rung, setup, teardown),
    TEST_WITH(without_a_state_documents_are_refused, setup, teardown),
};

RUN_TESTS(tests)
