/* SPDX-License-Identifier: Apache-2.0
 *
 * What a keeper makes of the state when it starts. A fresh map: the files' first change set and
 * what the state remembers of admin and console become one generation; an object that does not fit
 * any more is left out and stays in the state. A map that was there: the journal is applied again,
 * then map and state are compared.
 */
#include "conf/history.h"
#include "conf/keeper_priv.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

/* --- the journal ----------------------------------------------------------------------------- */

static int
journal_one(void *arg, struct str key, struct str text)
{
	struct keeper *k = arg;
	json_t *record = remember_parse(text, key);
	struct str source = json_str(record, "source");
	const json_t *document = json_object_get(record, "document");
	char *out = document != NULL ? document_text(document) : NULL;
	struct job *j;

	k->seq = MAX(k->seq, remember_number(key));
	if (out != NULL && (str_eq(source, STR("admin")) || str_eq(source, STR("console")))) {
		j = job_new(k, str_eq(source, STR("admin")) ? STR("admin") : STR("console"));
		j->text = str_of(out);
		j->replay = true;
		j->from = keeper_line_of(k, j->source);
		j->id = (uint32_t)json_u64(record, "ask");
		j->seq = remember_number(key);
		list_push(&k->queue, &j->node);
	} else {
		log_error(
		    "state: record %.*s of the journal is malformed and is left out", STR_ARG(key));
		remember_del(&k->remember, STATE_JOURNAL, key);
		free(out);
	}
	json_decref(record);
	return 1;
}

static void
journal_read(struct keeper *k)
{
	struct state_txn *t;
	const char *error = "";
	int got = -1;

	if (state_begin(k->state, &t, &error) == 1) {
		got = state_each(t, STATE_JOURNAL, STR(""), journal_one, k, &error);
		state_abort(&t);
	}
	if (got < 0)
		log_error("state: the journal cannot be read: %s", error);
}

/* A generation of the predecessor's that history does not have: none can go back behind it. */
static void
note_gap(struct keeper *k)
{
	struct history_head h = {.generation = k->store.meta.generation,
	    .source = STR("file"),
	    .comment = STR("the keeper was replaced before this was written down")};

	if (k->base >= h.generation || !list_empty(&k->queue))
		return;
	history_note(&k->remember, &h, NULL);
	keeper_note_generation(k);
}

void
keeper_remembered(struct keeper *k)
{
	k->overrides = overrides_new();
	k->seq = clock_wall_us() / 1000;
	if (k->state != NULL) {
		k->base = remember_generation(k->state);
		overrides_load(k->overrides, k->state);
		journal_read(k);
	}
	k->begun = k->adopted = k->store.meta.generation > 0;
	if (!k->begun) {
		k->store.meta.generation = k->base;
		return;
	}
	keeper_settings(k);
	note_gap(k);
	if (!list_empty(&k->queue))
		log_info("keeper: documents of the journal are applied again");
}

/* --- operations out of records --------------------------------------------------------------- */

struct ops {
	struct keeper *k;
	struct ws *ws;
	struct apply_op *v;
	uint32_t n, cap;
	struct conf_check check;
	bool compare; /* only what the map has otherwise */
};

static struct apply_op *
ops_add(struct ops *o, enum change_op op)
{
	if (o->n == o->cap) {
		o->cap = o->cap == 0 ? 64 : o->cap * 2;
		o->v = xrealloc(o->v, o->cap * sizeof(*o->v));
	}
	o->v[o->n] = (struct apply_op){.op = op, .flags = APPLY_LENIENT};
	return &o->v[o->n++];
}

static void
refused_add(
    struct keeper *k, enum conf_kind kind, struct str id, struct str source, struct str text)
{
	json_t *e = json_object();

	text = str_sub(text, 0, text.n > 0 && text.p[text.n - 1] == '\n' ? text.n - 1 : text.n);
	log_error("state: %s %.*s of source %.*s is not in force: %.*s", document_kind_word(kind),
	    STR_ARG(id), STR_ARG(source), (int)MIN(text.n, (size_t)1000),
	    text.p == NULL ? "" : text.p);
	(void)json_object_set_new(e, "kind", json_string(document_kind_word(kind)));
	(void)json_object_set_new(e, "id", json_of(id));
	(void)json_object_set_new(e, "source", json_of(source));
	(void)json_object_set_new(e, "error", json_of(text));
	(void)json_array_append_new(k->refused, e);
}

static void
ops_put(struct ops *o, enum conf_kind kind, struct str id, struct str source, const json_t *value,
    struct str override)
{
	size_t at = o->check.text.n;
	struct conf_object with;
	struct apply_op *op;

	if (document_object(kind, ws_str(o->ws, id), ws_str(o->ws, source), value, o->ws, &with,
		&o->check) < 0) {
		refused_add(
		    o->k, kind, id, source, str_n(o->check.text.p + at, o->check.text.n - at));
		return;
	}
	op = ops_add(o, CHANGE_PUT);
	op->o = with;
	op->o.override = ws_str(o->ws, override);
}

static bool
differs(struct keeper *k, enum conf_kind kind, struct str id, const json_t *record)
{
	struct conf_object o;
	char hex[33];

	if (table_find(k->table, kind, id, &o) != 1)
		return true;
	digest_hex(&o.digest, hex);
	return !str_eq(json_str(record, "digest"), str_of(hex)) ||
	       !str_eq(json_str(record, "source"), o.source);
}

static int
ops_object(void *arg, struct str key, struct str text)
{
	struct ops *o = arg;
	json_t *record = remember_parse(text, key);
	const struct override *v;
	enum conf_kind kind;
	struct str id;

	if (o->n % 256 == 0)
		beat_now(o->k->beat);
	if (remember_key_read(key, &kind, &id) < 0 ||
	    json_u64(record, "schema") != REMEMBER_SCHEMA) {
		log_error("state: object %.*s is malformed", STR_ARG(key));
	} else {
		v = override_find(o->k->overrides, kind, id);
		if ((v == NULL || v->ends) && (!o->compare || differs(o->k, kind, id, record)))
			ops_put(o, kind, id, json_str(record, "source"),
			    json_object_get(record, "value"), STR(""));
	}
	json_decref(record);
	return 1;
}

static void
ops_objects(struct ops *o)
{
	struct state_txn *t;
	const char *error = "";
	int got = -1;

	if (state_begin(o->k->state, &t, &error) == 1) {
		got = state_each(t, STATE_OBJECTS, STR(""), ops_object, o, &error);
		state_abort(&t);
	}
	if (got < 0)
		log_error("state: objects cannot be read: %s", error);
}

/* --- a fresh map ----------------------------------------------------------------------------- */

static void
ops_override(void *arg, const struct override *v)
{
	struct ops *o = arg;

	if (!v->ends && v->value != NULL)
		ops_put(o, v->kind, v->id, v->source, v->value, v->name);
}

struct still {
	struct overrides *o;
	struct changeset set;
};

/* Does the file still say what the override stands before? One that it does not ends. */
static void
still_one(void *arg, const struct override *v)
{
	struct still *s = arg;
	const struct digest *digest = NULL;
	struct conf_object o;
	enum change_op op;

	if (!str_eq(v->source, STR("file")))
		return;
	changeset_rewind(&s->set);
	while (digest == NULL && changeset_next(&s->set, &op, &o) == 1)
		if (o.kind == v->kind && str_eq(o.id, v->id))
			digest = &o.digest;
	(void)override_says(s->o, v->kind, v->id, digest);
}

static void
overrides_still(struct keeper *k, int changeset_fd)
{
	struct still s = {.o = k->overrides};
	const char *error;

	if (override_count(k->overrides) == 0 || changeset_open(changeset_fd, &s.set, &error) < 0)
		return;
	override_each(k->overrides, still_one, &s);
	changeset_close(&s.set);
}

static void
free_ops(void *arg)
{
	free(arg);
}

void
keeper_start_ops(struct keeper *k, int changeset_fd)
{
	struct ops o = {.k = k, .ws = &k->pending_ws};

	json_decref(k->refused);
	k->refused = json_array();
	if (k->state == NULL)
		return;
	check_init(&o.check);
	overrides_still(k, changeset_fd);
	ops_objects(&o);
	override_each(k->overrides, ops_override, &o);
	check_free(&o.check);
	if (o.v != NULL)
		ws_on_free(&k->pending_ws, free_ops, o.v);
	k->in.v = o.v;
	k->in.n = o.n;
}

static void
outcomes(struct keeper *k, const struct apply_op *v, uint32_t n, const struct conf_check *report)
{
	for (uint32_t i = 0; i < n; i++) {
		struct str text = str_n(report->text.p, report->text.n);

		if (v[i].outcome < OUTCOME_ABSENT)
			continue;
		text = str_sub(text, v[i].report_at, v[i].report_at + v[i].report_n);
		if (text.n == 0)
			text = str_of(apply_outcome_names[v[i].outcome]);
		refused_add(k, v[i].o.kind, v[i].o.id, v[i].o.source, text);
	}
}

void
keeper_start_outcomes(struct keeper *k, const struct conf_check *report)
{
	outcomes(k, k->in.v, k->in.n, report);
	k->start_whole = true;
	for (uint32_t i = 0; i < k->in.n; i++)
		k->start_whole &= k->in.v[i].outcome < OUTCOME_ABSENT;
	k->in.v = NULL;
	k->in.n = 0;
}

/* --- a map that was there -------------------------------------------------------------------- */

static bool
is_remembered(struct keeper *k, const struct conf_object *o)
{
	char key[REMEMBER_KEY];
	json_t *record =
	    remember_get(k->state, STATE_OBJECTS, remember_key_object(key, o->kind, o->id));

	json_decref(record);
	return record != NULL;
}

/* Admin's and the console's own in the map. */
static bool
is_kept(struct keeper *k, const struct conf_object *o)
{
	return o->override.n == 0 && override_find(k->overrides, o->kind, o->id) == NULL &&
	       (str_eq(o->source, STR("admin")) || str_eq(o->source, STR("console")));
}

static void
ops_extra(struct ops *o, const struct conf_object *c)
{
	struct apply_op *op;

	if (!is_kept(o->k, c) || is_remembered(o->k, c))
		return;
	op = ops_add(o, CHANGE_DELETE);
	op->o = (struct conf_object){.kind = c->kind,
	    .id = ws_str(o->ws, c->id),
	    .source = ws_str(o->ws, c->source),
	    .file = STR(""),
	    .override = STR("")};
}

/* The state is new: what the map has of others than the files is what there is to remember. */
static void
remember_map(struct ops *o, const struct conf_object *c)
{
	if (is_kept(o->k, c))
		keeper_note_object(&o->k->remember, STR(""), c, c->version);
}

static void
map_each(struct ops *o, void (*fn)(struct ops *o, const struct conf_object *c))
{
	struct conf_object c;

	for (unsigned kind = CONF_SETTINGS + 1; kind < CONF_KIND_COUNT; kind++)
		for (uint32_t number = 0;
		     table_next(o->k->table, (enum conf_kind)kind, &number, &c) == 1;)
			fn(o, &c);
}

static void
compare_commit(struct keeper *k, struct apply **a, struct conf_check *report)
{
	struct history_head h = {.generation = apply_generation(*a),
	    .source = STR("state"),
	    .comment = STR("map and state differed when the keeper started"),
	    .changed = apply_changed(*a)};
	struct remember ahead = {.n = 0};

	history_note(&ahead, &h, history_changes(*a, NULL));
	if (apply_commit(a, report) < 0) {
		remember_drop(&ahead);
		override_abort(k->overrides);
		log_error("keeper: a commit failed; leaving, to start afresh");
		keeper_leave(k, 1);
		return;
	}
	remember_cat(&k->remember, &ahead);
	override_commit(k->overrides, &k->remember);
	log_warn("keeper: map and state differed: %u objects are as the state says now", h.changed);
	keeper_committed(k);
}

static void
compare_apply(struct keeper *k, struct ops *o)
{
	struct apply_input in = {.changeset_fd = -1,
	    .deletions_max = UINT64_MAX,
	    .v = o->v,
	    .n = o->n,
	    .capture = true,
	    .override = override_says,
	    .arg = k->overrides};
	struct conf_check report;
	struct apply *a;

	check_init(&report);
	a = apply_compile(&k->store, &in, &report);
	outcomes(k, o->v, o->n, &report);
	if (a != NULL && apply_changed(a) > 0 && !apply_listeners_differ(a) && !apply_wants(a)) {
		compare_commit(k, &a, &report);
	} else {
		if (a != NULL && apply_changed(a) > 0)
			log_error(
			    "keeper: map and state differ in listeners or certificates; a reload "
			    "settles it");
		if (a != NULL)
			apply_abort(&a);
		override_abort(k->overrides);
	}
	check_free(&report);
}

void
keeper_compare(struct keeper *k)
{
	struct ops o = {.k = k, .compare = true};
	struct ws ws;

	if (k->state == NULL || !k->adopted || table_renew(k->table) < 0)
		return;
	json_decref(k->refused);
	k->refused = json_array();
	ws_init(&ws, NULL, 0);
	o.ws = &ws;
	check_init(&o.check);
	if (k->base == 0) {
		map_each(&o, remember_map);
		log_warn("state: new, beside a map with objects: it remembers what the map has");
	} else {
		ops_objects(&o);
		map_each(&o, ops_extra);
	}
	table_reset(k->table);
	if (o.n > 0)
		compare_apply(k, &o);
	check_free(&o.check);
	free(o.v);
	ws_free(&ws);
}
