/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in force where a change is to be made: whose it is, its version, its value; and whether
 * the change's conditions hold. When a journal is replayed nobody knows whether the document was
 * applied before; in force then is what the state has folded.
 */
#include "conf/keeper_priv.h"

static void
force_source(struct force *f, struct str source)
{
	snprintf(f->source, sizeof(f->source), "%.*s", STR_ARG(source));
}

/* The source's own object as the state has it. 1 or 0. */
static int
force_remembered(struct keeper *k, const struct job_change *c, struct force *f)
{
	char key[REMEMBER_KEY];
	json_t *record =
	    remember_get(k->state, STATE_OBJECTS, remember_key_object(key, c->kind, c->id));

	if (record == NULL)
		return 0;
	f->there = true;
	f->version = json_u64(record, "version");
	force_source(f, json_str(record, "source"));
	f->value = json_incref(json_object_get(record, "value"));
	json_decref(record);
	return 1;
}

void
force_map(struct keeper *k, const struct job *j, const struct job_change *c, struct force *f)
{
	struct conf_object o;

	if (table_renew(k->table) < 0)
		return;
	if (table_find(k->table, (enum conf_kind)c->kind, c->id, &o) == 1 &&
	    !(j->replay && str_eq(o.source, j->source))) {
		f->there = true;
		f->version = o.version;
		force_source(f, o.source);
		if (o.override.n == 0 && c->asked != NULL && c->asked->op == DOC_PATCH)
			f->value = document_value(&o, false);
	}
	table_reset(k->table);
}

struct force
force_get(struct keeper *k, const struct job *j, const struct job_change *c)
{
	const struct override *v = override_find(k->overrides, (enum conf_kind)c->kind, c->id);
	struct force f = {.there = false};

	if (j->replay && force_remembered(k, c, &f) == 1)
		return f;
	force_map(k, j, c, &f);
	if (v == NULL)
		return f;
	f.hidden = !f.there && v->own;
	if (f.hidden || f.there)
		force_source(&f, v->source);
	f.there = v->own;
	if (v->own && f.value == NULL)
		(void)force_remembered(k, c, &f);
	return f;
}

/* --- conditions ------------------------------------------------------------------------------ */

/* In the order in which failures are told. 1 or 0: refused. */
int
force_check(const struct job *j, struct job_change *c, const struct force *f)
{
	const struct document_change *a = c->asked;
	bool needed = a->op == DOC_PATCH || a->op == DOC_DELETE;

	memcpy(c->owner, f->source, sizeof(c->owner));
	c->in_force = f->version;
	if (f->source[0] != '\0' && !str_eq(str_of(f->source), j->source))
		job_refuse_change(c, OUTCOME_OWNED, false);
	else if (f->there && a->op == DOC_CREATE)
		job_refuse_change(c, OUTCOME_EXISTS, false);
	else if (!f->there && needed && a->if_match == 0)
		job_refuse_change(c, OUTCOME_ABSENT, false);
	else if (f->there && a->if_none_match)
		job_refuse_change(c, OUTCOME_EXISTS, true);
	else if (!f->there && a->if_match != 0)
		job_refuse_change(c, OUTCOME_ABSENT, true);
	else if (a->if_match != 0 && a->if_match != IF_ANY && a->if_match != f->version)
		job_refuse_change(c, OUTCOME_PRECONDITION, true);
	return c->refused ? 0 : 1;
}
