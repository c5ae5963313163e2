/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that change configuration. Each becomes a change document for the keeper, who alone checks
 * and applies; its answer is the call's. With redis.publish the keeper only checks, and the redis
 * process writes the document to the console, from where it comes back to every instance.
 */
#include <inttypes.h>
#include <malloc.h>
#include <pwd.h>
#include <unistd.h>

#include "admin/admin_priv.h"
#include "admin/pending.h"
#include "conf/document.h"
#include "conf/enclosed.h"
#include "shm/base/log.h"

/* "uid=0(root)": who asks, for history and log. Looked up once for a connection: the files behind
 * it are many. */
static const char *
author_of(struct session *s)
{
	struct passwd pw, *found = NULL;
	char buf[1024];
	size_t cap = sizeof(s->peer_name);

	if (s->peer_name[0] != '\0')
		return s->peer_name;
	if (getpwuid_r(s->peer.uid, &pw, buf, sizeof(buf), &found) == 0 && found != NULL)
		snprintf(s->peer_name, cap, "uid=%u(%s)", (unsigned)s->peer.uid, pw.pw_name);
	else
		snprintf(s->peer_name, cap, "uid=%u", (unsigned)s->peer.uid);
	return s->peer_name;
}

/* --- documents -------------------------------------------------------------------------------- */

/* "put route orders, delete service x and 7 more", for the log. */
static void
document_doing(const json_t *d, char *out, size_t cap)
{
	const json_t *changes = json_object_get(d, "changes");
	size_t n = json_array_size(changes), at = 0;

	if (json_object_get(d, "rollback") != NULL)
		snprintf(out, cap, "rollback to %" JSON_INTEGER_FORMAT,
		    json_integer_value(json_object_get(d, "rollback")));
	else if (json_object_get(d, "drop_override") != NULL)
		snprintf(out, cap, "drop of override %.100s",
		    json_string_value(json_object_get(d, "drop_override")));
	else
		snprintf(out, cap, "no changes");
	for (size_t i = 0; i < n && i < 3; i++) {
		json_t *one = json_array_get(changes, i);
		const char *op = json_string_value(json_object_get(one, "op"));
		const char *kind = json_string_value(json_object_get(one, "kind"));
		const char *id = json_string_value(json_object_get(one, "id"));

		at += (size_t)snprintf(out + at, cap - at, "%s%.8s %.10s %.40s", i > 0 ? ", " : "",
		    op != NULL ? op : "?", kind != NULL ? kind : "?", id != NULL ? id : "?");
	}
	if (n > 3)
		snprintf(out + at, cap - at, " and %zu more", n - 3);
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

/* What answers add to an object is no setting. */
static void
document_clean(json_t *document)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(document, "changes"), i, one)
	{
		json_t *value = json_object_get(one, "value");

		json_object_del(value, "_meta");
		json_object_del(value, "_status");
	}
}

/* Sends the document as a question of that type; the session waits already. */
static void
document_post(struct admin *a, struct session *s, enum msg_type type, const char *text)
{
	struct pending *p = s->pending;
	int line = a->h->line[p->line], fd;
	const char *error = "";
	struct msg m;

	msg_begin(&m, type, session_wait(s, p, pending_free));
	if (enclosed_put(&m, str_of(text), &fd, &error) < 0) {
		session_problem(s, 507, "the document cannot be handed on: %s", error);
		return;
	}
	if (line < 0 || msg_send(line, &m) != 1) {
		session_header(s, "Retry-After: 1");
		session_problem(s, 503, "the %s process does not take changes now; try again",
		    line_word(p->line));
	}
	if (fd >= 0)
		close(fd);
}

static bool
publishing(struct call *c)
{
	const struct conf_settings *set = admin_settings(c->a, c->ws);

	return set != NULL && set->redis.publish && set->redis.addresses.n > 0;
}

static bool
console_live(struct admin *a)
{
	return atomic_load_explicit(&a->procs->console.state, memory_order_relaxed) == CONSOLE_LIVE;
}

/* The text to be published after the dry run. NULL after the refusal was answered. */
static char *
publish_text(struct call *c, const json_t *document)
{
	const char *error = "";
	json_t *j;
	char *text;

	if (json_is_true(json_object_get(document, "partial"))) {
		session_problem(c->s, 422,
		    "partial: with redis.publish a document is published as a whole or not at all");
		return NULL;
	}
	if (!console_live(c->a)) {
		session_header(c->s, "Retry-After: 5");
		session_problem(c->s, 503,
		    "redis.publish is set and Redis is away: nothing was changed; try again");
		return NULL;
	}
	j = publish_document(c->a, document, &error);
	if (j == NULL) {
		session_problem(c->s, 422, "%s", error);
		return NULL;
	}
	text = document_text(j);
	json_decref(j);
	return text;
}

void
change_send(struct call *c, json_t *document)
{
	struct pending *p = pending_new(PENDING_CHANGE, LINE_ADMIN_KEEPER);
	const json_t *changes = json_object_get(document, "changes");
	char *text;

	snprintf(p->author, sizeof(p->author), "%s", author_of(c->s));
	document_doing(document, p->doing, sizeof(p->doing));
	document_clean(document);
	if (call_flag(c, "dry_run"))
		json_object_set_new(document, "dry_run", json_true());
	json_object_set_new(document, "schema", json_integer(DOCUMENT_SCHEMA));
	json_object_set_new(document, "author", json_string(p->author));
	p->dry_run = json_is_true(json_object_get(document, "dry_run"));
	p->single = c->kind != CONF_SETTINGS && json_array_size(changes) == 1 && !p->dry_run;
	if (!p->dry_run && changes != NULL && publishing(c)) {
		p->what = PENDING_CHECK;
		p->document = publish_text(c, document);
		if (p->document == NULL) {
			pending_free(p);
			json_decref(document);
			return;
		}
		json_object_set_new(document, "dry_run", json_true());
		json_object_set_new(document, "for_console", json_true());
	}
	(void)session_wait(c->s, p, pending_free);
	text = document_text(document);
	json_decref(document);
	gbuf_free(&c->s->body); /* it may be large, and is not needed any more */
	document_post(c->a, c->s, MSG_CHANGE, text);
	free(text);
	if (c->s->bulk)
		malloc_trim(0); /* a tree of hundreds of megabytes leaves holes, no free pages */
}

/* --- calls ------------------------------------------------------------------------------------ */

/* Sets what the headers ask for. False after a 400 was answered. */
static bool
change_conditions(struct call *c, json_t *one)
{
	uint64_t match, none;

	if (call_condition(c, STR("If-Match"), &match) < 0 ||
	    call_condition(c, STR("If-None-Match"), &none) < 0)
		return false;
	if (none != 0 && none != IF_ANY) {
		session_problem(c->s, 400, "If-None-Match: only * is understood here");
		return false;
	}
	if (match == IF_ANY)
		json_object_set_new(one, "if_match", json_string("*"));
	else if (match != 0)
		json_object_set_new(one, "if_match", json_integer((json_int_t)match));
	if (none == IF_ANY)
		json_object_set_new(one, "if_none_match", json_string("*"));
	return true;
}

static void
change_one(struct call *c, const char *op, json_t *id, json_t *value)
{
	json_t *one =
	    json_pack("{s:s, s:s, s:o}", "op", op, "kind", object_kinds[c->kind].word, "id", id);

	if (value != NULL)
		json_object_set_new(one, "value", value);
	if (change_conditions(c, one))
		change_send(c, json_pack("{s:[O]}", "changes", one));
	json_decref(one);
}

void
api_put(struct call *c)
{
	json_t *in = call_body(c);

	if (in != NULL)
		change_one(c, "put", json_of_str(c->arg[0]), in);
}

void
api_patch(struct call *c)
{
	json_t *in = call_body(c);

	if (in != NULL)
		change_one(c, "patch", json_of_str(c->arg[0]), in);
}

void
api_delete(struct call *c)
{
	change_one(c, "delete", json_of_str(c->arg[0]), NULL);
}

void
api_create(struct call *c)
{
	json_t *in = call_body(c), *id;

	if (in == NULL)
		return;
	id = json_object_get(in, "id");
	if (json_is_string(id)) {
		change_one(c, "create", json_incref(id), in);
		return;
	}
	json_decref(in);
	session_problem_errors(c->s, 400,
	    json_pack("[{s:s, s:s}]", "where", "id", "message",
		"the id of the new object is needed, a string"),
	    "id: the id of the new object is needed, a string");
}

/* Members of a document that are not the admin API's to say. */
static const char *
document_foreign(const json_t *document)
{
	static const char *const ours[] = {"schema", "comment", "dry_run", "partial", "changes"};
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)document, key, v)
	{
		bool known = false;

		for (unsigned i = 0; i < ARRAY_LEN(ours); i++)
			known |= strcmp(key, ours[i]) == 0;
		if (!known)
			return key;
	}
	return NULL;
}

void
api_changes(struct call *c)
{
	json_t *in = call_body(c);
	const char *foreign;

	if (in == NULL)
		return;
	foreign = document_foreign(in);
	if (foreign == NULL && json_is_array(json_object_get(in, "changes"))) {
		change_send(c, in);
		return;
	}
	if (foreign != NULL)
		session_problem(c->s, 400,
		    "%s: not understood here; allowed: schema, comment, dry_run, partial, changes",
		    foreign);
	else
		session_problem(c->s, 400, "changes: a list of changes is needed");
	json_decref(in);
}

void
api_rollback(struct call *c)
{
	json_t *in = call_body(c), *to, *doc;

	if (in == NULL)
		return;
	to = json_object_get(in, "generation");
	if (!json_is_integer(to) || json_integer_value(to) < 1) {
		session_problem(c->s, 400, "generation: a whole number from 1 is needed");
		json_decref(in);
		return;
	}
	doc = json_pack("{s:O}", "rollback", to);
	if (json_is_true(json_object_get(in, "dry_run")))
		json_object_set_new(doc, "dry_run", json_true());
	if (json_is_string(json_object_get(in, "comment")))
		json_object_set(doc, "comment", json_object_get(in, "comment"));
	json_decref(in);
	change_send(c, doc);
}

void
api_override_drop(struct call *c)
{
	change_send(c, json_pack("{s:o}", "drop_override", json_of_str(c->arg[0])));
}

/* --- what became of it ------------------------------------------------------------------------ */

/* Where what was created is: a list was posted to, or the object put. */
static void
created_at(struct session *s, const char *id)
{
	struct str path = s->head.path;

	if (s->head.method == METHOD_POST && id != NULL)
		session_header(s, "Location: %.*s/%s", STR_ARG(path), id);
	else
		session_header(s, "Location: %.*s", STR_ARG(path));
}

/* 201 and ETag of a change of one object, from the keeper's answer. */
static uint32_t
single_status(struct session *s, uint32_t status, struct str body)
{
	json_t *j = json_loadb(body.p != NULL ? body.p : "", body.n, 0, NULL), *one;
	const char *outcome;

	one = json_array_get(json_object_get(j, "changes"), 0);
	outcome = json_string_value(json_object_get(one, "result"));
	if (s->head.method != METHOD_DELETE &&
	    json_integer_value(json_object_get(one, "version")) > 0)
		session_header(s, "ETag: \"%" JSON_INTEGER_FORMAT "\"",
		    json_integer_value(json_object_get(one, "version")));
	if (status == 200 && outcome != NULL && strcmp(outcome, "created") == 0) {
		status = 201;
		created_at(s, json_string_value(json_object_get(one, "id")));
	}
	json_decref(j);
	return status;
}

static void
publish_now(struct admin *a, struct session *s)
{
	struct pending *p = s->pending;
	char *text = p->document;

	p->document = NULL;
	p->what = PENDING_PUBLISH;
	p->line = LINE_ADMIN_REDIS;
	document_post(a, s, MSG_PUBLISH, text);
	free(text);
}

static void
change_done(
    struct admin *a, struct session *s, uint32_t status, uint64_t generation, struct str body)
{
	struct pending *p = s->pending;

	if (p->what == PENDING_CHECK && status < 300) {
		publish_now(a, s);
		return;
	}
	log_info("admin: %s by %s: %s, status %u, generation %" PRIu64, p->doing, p->author,
	    status >= 400 ? "refused"
	    : p->dry_run  ? "would do"
			  : "done",
	    (unsigned)status, generation);
	if (p->single && status < 300)
		status = single_status(s, status, body);
	answer_body(s, status, body);
}

void
api_on_changed(struct admin *a, struct msg *m)
{
	uint32_t status = msg_u32(m);
	uint64_t generation = msg_u64(m);

	struct session *s = session_find(&a->server, m->id);
	struct enclosed body;

	(void)msg_u32(m);
	(void)msg_u32(m);
	body = pending_body(m);
	if (s != NULL && s->pending != NULL)
		change_done(a, s, status, generation, body.text);
	enclosed_free(&body);
}
