/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways back, as changes of a job. A rollback takes the net of what history has since that
 * generation: admin's objects simply change; of files and console, whose own values would come back
 * with their next word, the old values become overrides. Dropping an override gives the source its
 * say again.
 */
#include "conf/history.h"
#include "conf/keeper_priv.h"

/* --- rollback -------------------------------------------------------------------------------- */

struct back {
	struct keeper *k;
	struct job *j;
	struct str name;
};

static int
kind_of(struct str word)
{
	return str_eq(word, str_of(object_kinds[CONF_SETTINGS].word)) ? CONF_SETTINGS
								      : document_kind(word);
}

/* What its source says of it: as history has it. */
static void
own_before(struct back *b, struct job_change *c, struct str source)
{
	struct conf_object o;
	struct conf_check check;

	check_init(&check);
	c->own = c->before != NULL;
	if (c->own && document_object((enum conf_kind)c->kind, c->id, source, c->before, &b->j->ws,
			  &o, &check) == 1)
		c->own_digest = o.digest;
	check_free(&check);
}

/* Whose it is now, and what its source says of it now. 1 it is there, 0. Replayed, the map may be
 * back already: then that does not count. */
static int
owner_now(struct back *b, struct job_change *c)
{
	const struct override *v = override_find(b->k->overrides, (enum conf_kind)c->kind, c->id);
	struct conf_object o;
	bool there = false;

	if (table_renew(b->k->table) < 0)
		return 0;
	if (table_find(b->k->table, (enum conf_kind)c->kind, c->id, &o) == 1) {
		there = c->own = true;
		c->own_digest = o.digest;
		c->source = ws_str(&b->j->ws, o.source);
	}
	table_reset(b->k->table);
	if (v != NULL) {
		c->own = v->own;
		c->own_digest = v->digest;
		c->source = ws_str(&b->j->ws, v->source);
	} else if (b->j->replay) {
		own_before(b, c, c->source);
	}
	return there;
}

/* Back to what the source says of itself? Then there is no need for an override. */
static bool
is_own(const struct job *j, const struct job_change *c)
{
	if (c->value == NULL)
		return !c->own;
	return c->own && digest_eq(&j->ops[c->op].o.digest, &c->own_digest);
}

static void
back_override(struct back *b, struct job_change *c)
{
	if (c->has_op && is_own(b->j, c)) {
		b->j->ops[c->op].o.override = STR("");
		override_end(b->k->overrides, (enum conf_kind)c->kind, c->id);
	} else if (!(c->value == NULL && !c->own)) {
		c->override = b->name;
	}
}

static void
back_change(struct back *b, struct job_change *c)
{
	bool there = owner_now(b, c) == 1, admin = str_eq(c->source, STR("admin"));

	if (c->value == NULL && !there) { /* replayed */
		c->outcome = OUTCOME_DELETED;
		c->forget = admin;
	} else if (job_op(b->k, b->j, c, c->value, c->source, admin ? STR("") : b->name) < 0) {
		return;
	}
	if (!admin)
		back_override(b, c);
}

static void
back_one(struct back *b, const json_t *entry)
{
	struct str id = json_str(entry, "id");
	int kind = kind_of(json_str(entry, "kind"));
	json_t *to = json_object_get(entry, "after"), *from = json_object_get(entry, "before");
	struct job_change *c;

	if (kind == CONF_SETTINGS) {
		check_warn(&b->j->check, NULL,
		    "settings are left as they are: they come from the files alone");
		return;
	}
	if (kind < 0 || !object_id_ok(id))
		return;
	c = &b->j->c[b->j->n++];
	c->kind = kind;
	c->id = ws_str(&b->j->ws, id);
	c->source = ws_str(&b->j->ws, json_str(entry, "source"));
	c->value = json_is_object(to) ? json_incref(to) : NULL;
	c->before = json_is_object(from) ? json_incref(from) : NULL;
	back_change(b, c);
}

void
job_rollback(struct keeper *k, struct job *j)
{
	struct back b = {
	    k, j, ws_printf(&j->ws, "rollback-%llu", (unsigned long long)j->d.rollback)};
	uint64_t now = k->store.meta.generation;
	const char *error = "";
	json_t *net, *entry;
	uint32_t status;
	size_t i;

	/* What is noted and not yet written belongs to history too. */
	if (keeper_fold(k) < 0) {
		job_refuse(j, 507, "the state cannot be written to");
		return;
	}
	net = history_net(k->state, now, now, j->d.rollback, &status, &error);
	if (net == NULL) {
		job_refuse(j, status, "rollback: generation %llu: %s",
		    (unsigned long long)j->d.rollback, error);
		return;
	}
	j->c = ws_zalloc(&j->ws, (json_array_size(net) + 1) * sizeof(*j->c));
	j->ops = ws_zalloc(&j->ws, (json_array_size(net) + 1) * sizeof(*j->ops));
	json_array_foreach(net, i, entry) back_one(&b, entry);
	json_decref(net);
}

/* --- drop_override --------------------------------------------------------------------------- */

struct drop {
	struct job *j;
	const struct override **v;
	uint32_t n;
};

static void
drop_find(void *arg, const struct override *v)
{
	struct drop *d = arg;

	if (str_eq(v->name, d->j->d.drop_override))
		d->v[d->n++] = v;
}

static void
drop_tell(struct job *j, const struct override *v)
{
	json_t *e = json_object();

	(void)json_object_set_new(e, "kind", json_string(document_kind_word(v->kind)));
	(void)json_object_set_new(e, "id", json_of(v->id));
	(void)json_object_set_new(e, "source", json_of(v->source));
	(void)json_array_append_new(j->dropped, e);
}

/* The console's own value is in the state; what the files say only they know. */
static void
drop_console(struct keeper *k, struct job *j, const struct override *v)
{
	struct job_change *c = &j->c[j->n];
	char key[REMEMBER_KEY];
	json_t *record;

	record = remember_get(k->state, STATE_OBJECTS, remember_key_object(key, v->kind, v->id));
	c->kind = (int)v->kind;
	c->id = ws_str(&j->ws, v->id);
	c->value = json_incref(json_object_get(record, "value"));
	json_decref(record);
	if (c->value == NULL && v->value == NULL)
		return;
	j->n++;
	override_end(k->overrides, v->kind, v->id);
	(void)!job_op(k, j, c, c->value, ws_str(&j->ws, v->source), STR(""));
}

static void
drop_all(struct keeper *k, struct job *j, const struct drop *d)
{
	bool files = false;

	for (uint32_t i = 0; i < d->n; i++) {
		const struct override *v = d->v[i];

		drop_tell(j, v);
		if (str_eq(v->source, STR("console"))) {
			drop_console(k, j, v);
		} else if (!j->d.dry_run) {
			files = true;
			override_drop(k->overrides, &k->remember, v->kind, v->id);
		}
	}
	if (files)
		keeper_ask_reload(k);
}

void
job_drop(struct keeper *k, struct job *j)
{
	uint32_t n = override_count(k->overrides);
	struct drop d = {j, ws_zalloc(&j->ws, (n + 1) * sizeof(*d.v)), 0};

	j->dropped = json_array();
	j->c = ws_zalloc(&j->ws, (n + 1) * sizeof(*j->c));
	j->ops = ws_zalloc(&j->ws, (n + 1) * sizeof(*j->ops));
	override_each(k->overrides, drop_find, &d);
	/* Once more, after it waited for the master: the files' part is gone by then. */
	if (d.n == 0 && !j->replay)
		job_refuse(j, 404, "drop_override: there is no override \"%.*s\"",
		    STR_ARG(j->d.drop_override));
	else
		drop_all(k, j, &d);
}
