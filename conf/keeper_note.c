/* SPDX-License-Identifier: Apache-2.0
 *
 * A document's transaction is committed, and what the state is to remember of it is noted: objects,
 * history, overrides, the console's position.
 */
#include "conf/history.h"
#include "conf/keeper_priv.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

void
keeper_note_object(
    struct remember *notes, struct str author, const struct conf_object *o, uint64_t version)
{
	char key[REMEMBER_KEY], hex[33];
	struct str name = remember_key_object(key, o->kind, o->id);
	json_t *r;

	if (o->body.p == NULL) {
		remember_del(notes, STATE_OBJECTS, name);
		return;
	}
	digest_hex(&o->digest, hex);
	r = json_object();
	(void)json_object_set_new(r, "schema", json_integer(REMEMBER_SCHEMA));
	(void)json_object_set_new(r, "source", json_of(o->source));
	(void)json_object_set_new(r, "author", json_of(author));
	(void)json_object_set_new(r, "time", remember_now());
	(void)json_object_set_new(r, "version", json_integer((json_int_t)version));
	(void)json_object_set_new(r, "digest", json_string(hex));
	(void)json_object_set_new(r, "value", document_value(o, false));
	remember_json(notes, STATE_OBJECTS, name, r);
	json_decref(r);
}

/* Objects that an override stands before keep the record of their source's own value: so do all
 * that a rollback changes but admin's. */
static bool
noted(const struct keeper *k, const struct job *j, const struct conf_object *o)
{
	const struct override *v = override_find(k->overrides, o->kind, o->id);

	if (o->kind == CONF_SETTINGS || str_eq(o->source, STR("file")) ||
	    (j->d.rollback != 0 && !str_eq(o->source, STR("admin"))))
		return false;
	return v == NULL || v->ends;
}

static void
note_captured(struct keeper *k, struct remember *r, const struct job *j, const struct apply *a)
{
	struct conf_object old, new;

	for (uint32_t i = 0; apply_change_get(a, i, &old, &new) == 1; i++) {
		struct conf_object o = new.body.p != NULL ? new : old;

		if (new.body.p == NULL)
			o.body = STR_NONE;
		if (noted(k, j, &o))
			keeper_note_object(r, j->d.author, &o, apply_generation(a));
	}
}

/* --- replayed: the map has it already, the state perhaps not --------------------------------- */

struct replayed {
	json_t *changes;
	uint64_t generation;
};

static void
replayed_change(struct keeper *k, struct replayed *r, const struct job *j,
    const struct job_change *c, const struct conf_object *o)
{
	char key[REMEMBER_KEY];
	struct str name = remember_key_object(key, c->kind, c->id);
	json_t *record = remember_get(k->state, STATE_OBJECTS, name);
	json_t *before = json_object_get(record, "value");
	json_t *after = o != NULL ? document_value(o, false) : NULL;

	if (!(before == NULL && after == NULL) && !json_equal(before, after)) {
		history_change_add(
		    r->changes, (enum conf_kind)c->kind, c->id, j->source, STR(""), before, after);
		r->generation = MAX(r->generation, o != NULL ? c->in_force : 0);
	}
	json_decref(after);
	json_decref(record);
}

/* Done before, or there was nothing to do: the map cannot say, but history has what was before. */
static void
replayed_override(struct replayed *r, const struct job_change *c)
{
	if (c->refused || (c->has_op && c->outcome != OUTCOME_UNCHANGED))
		return;
	history_change_add(r->changes, (enum conf_kind)c->kind, c->id, c->source, c->override,
	    c->before, c->value);
	r->generation = MAX(r->generation, c->in_force);
}

/* The history that its first application would have had. */
static void
replayed_history(struct keeper *k, const struct job *j, const struct replayed *r)
{
	struct history_head h = {.generation = r->generation,
	    .source = j->source,
	    .author = j->d.author,
	    .comment = j->d.comment,
	    .changed = (uint32_t)json_array_size(r->changes)};

	if (h.generation == 0)
		h.generation = k->store.meta.generation;
	history_note(&k->remember, &h, json_incref(r->changes));
}

static void
note_unchanged(struct keeper *k, const struct job *j)
{
	struct replayed r = {.changes = json_array()};

	for (uint32_t i = 0; i < j->n && j->replay; i++) {
		const struct job_change *c = &j->c[i];
		const struct conf_object *o = c->has_op ? &j->ops[c->op].o : NULL;

		if (c->override.n > 0)
			replayed_override(&r, c);
		if (c->forget && !c->refused)
			replayed_change(k, &r, j, c, NULL);
		if (o == NULL || c->refused || c->outcome != OUTCOME_UNCHANGED || !noted(k, j, o))
			continue;
		replayed_change(k, &r, j, c, o);
		keeper_note_object(&k->remember, j->d.author, o, c->in_force);
	}
	if (json_array_size(r.changes) > 0)
		replayed_history(k, j, &r);
	json_decref(r.changes);
}

/* A snapshot, replayed: records of what its first application deleted. */
struct gone {
	struct keeper *k;
	struct str source;
};

static int
gone_one(void *arg, struct str key, struct str text)
{
	struct gone *g = arg;
	json_t *record = remember_parse(text, key);
	struct conf_object o;
	enum conf_kind kind;
	struct str id;

	if (str_eq(json_str(record, "source"), g->source) &&
	    remember_key_read(key, &kind, &id) == 1 && table_find(g->k->table, kind, id, &o) == 0 &&
	    override_find(g->k->overrides, kind, id) == NULL)
		remember_del(&g->k->remember, STATE_OBJECTS, key);
	json_decref(record);
	return 1;
}

static void
note_gone(struct keeper *k, const struct job *j)
{
	struct gone g = {k, j->source};
	struct state_txn *t;
	const char *error;

	if (!j->replay || !j->d.whole || table_renew(k->table) < 0)
		return;
	if (state_begin(k->state, &t, &error) == 1) {
		if (state_each(t, STATE_OBJECTS, STR(""), gone_one, &g, &error) < 0)
			log_error("state: objects cannot be read: %s", error);
		state_abort(&t);
	}
	table_reset(k->table);
}

/* --- the rest -------------------------------------------------------------------------------- */

static void
note_forgotten(struct keeper *k, const struct job *j)
{
	char key[REMEMBER_KEY];

	for (uint32_t i = 0; i < j->n; i++) {
		const struct job_change *c = &j->c[i];

		if (!c->forget || c->refused)
			continue;
		override_drop(k->overrides, &k->remember, (enum conf_kind)c->kind, c->id);
		remember_del(&k->remember, STATE_OBJECTS,
		    remember_key_object(key, (enum conf_kind)c->kind, c->id));
	}
}

/* Values of a rollback that now stand before their source's own. */
static void
note_overrides(struct keeper *k, const struct job *j)
{
	char since[25];

	clock_rfc3339(clock_wall_us(), since);
	for (uint32_t i = 0; i < j->n; i++) {
		const struct job_change *c = &j->c[i];
		struct override like = {.kind = (enum conf_kind)c->kind, .id = c->id};

		if (c->refused || c->override.n == 0)
			continue;
		like.name = c->override;
		like.source = c->source;
		like.author = j->d.author;
		like.since = str_of(since);
		like.value = c->value;
		like.own = c->own;
		like.digest = c->own_digest;
		override_put(k->overrides, &k->remember, &like, like.own ? &like.digest : NULL);
	}
}

static void
note_position(struct keeper *k, const struct job *j)
{
	json_t *p;

	if (!j->d.has_console)
		return;
	p = json_object();
	(void)json_object_set_new(p, "epoch", json_of(j->d.console.epoch));
	(void)json_object_set_new(p, "number", json_integer((json_int_t)j->d.console.number));
	(void)json_object_set_new(p, "hash", json_of(j->d.console.hash));
	remember_json(&k->remember, STATE_META, STR("console"), p);
	json_decref(p);
}

/* Built before the commit: what was captured dies with it. Thrown away when that fails. */
static struct remember
note_history(struct keeper *k, const struct job *j, const struct apply *a)
{
	struct remember r = {.n = 0};
	struct history_head h = {.generation = apply_generation(a),
	    .source = j->source,
	    .author = j->d.author,
	    .comment = j->d.comment,
	    .changed = apply_changed(a)};

	if (apply_changed(a) > 0)
		history_note(&r, &h, history_changes(a, j->replay ? k->state : NULL));
	return r;
}

static void
commit_failed(struct keeper *k, struct job *j, const struct conf_check *report)
{
	override_abort(k->overrides);
	gbuf_str(&j->check.text, str_n(report->text.p, report->text.n));
	j->check.errors += report->errors;
	j->status = 507;
	/* The environment may be beyond use: a new process opens it anew. */
	log_error("keeper: a commit failed; leaving, to start afresh");
	keeper_leave(k, 1);
}

void
job_commit(struct keeper *k, struct job *j, struct apply **ap)
{
	uint32_t changed = apply_changed(*ap);
	struct remember ahead = note_history(k, j, *ap);
	struct conf_check report;

	check_init(&report);
	note_captured(k, &ahead, j, *ap);
	if (apply_commit(ap, &report) < 0) {
		remember_drop(&ahead);
		commit_failed(k, j, &report);
		check_free(&report);
		return;
	}
	check_free(&report);
	remember_cat(&k->remember, &ahead);
	override_commit(k->overrides, &k->remember);
	j->changed += changed;
	if (changed == 0)
		return;
	keeper_committed(k);
	log_info("generation %llu: %u objects changed by %.*s",
	    (unsigned long long)k->store.meta.generation, changed, STR_ARG(j->source));
}

void
job_note(struct keeper *k, const struct job *j)
{
	note_unchanged(k, j);
	note_gone(k, j);
	note_overrides(k, j);
	note_forgotten(k, j);
	note_position(k, j);
}
