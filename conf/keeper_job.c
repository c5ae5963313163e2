/* SPDX-License-Identifier: Apache-2.0
 *
 * One document: what it asks for is held against what is in force (keeper_force.c), its values
 * become objects, those become one transaction; then what belongs to no generation.
 */
#include <stdarg.h>

#include "conf/keeper_priv.h"

void
job_refuse(struct job *j, uint32_t status, const char *fmt, ...)
{
	char text[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	check_error(&j->check, NULL, "%s", text);
	j->status = status;
}

void
job_read(struct job *j)
{
	if (document_read(j->text, &j->d, &j->ws, &j->check) < 0) {
		j->status = 400;
		return;
	}
	j->read = true;
	if (j->d.for_console)
		j->source = STR("console");
	if (j->d.has_console && !str_eq(j->source, STR("console")))
		job_refuse(j, 400, "console: only the console has a position");
}

/* --- operations ------------------------------------------------------------------------------ */

void
job_refuse_change(struct job_change *c, enum apply_outcome outcome, bool condition)
{
	c->refused = true;
	c->outcome = outcome;
	c->condition = condition;
}

static struct apply_op *
op_add(struct job *j, struct job_change *c, enum change_op op)
{
	struct apply_op *o = &j->ops[j->n_ops];

	*o = (struct apply_op){.op = op, .flags = j->d.partial ? APPLY_LENIENT : 0};
	o->o.kind = (enum conf_kind)c->kind;
	o->o.id = c->id;
	o->o.source = j->source;
	o->o.file = o->o.override = STR("");
	c->has_op = true;
	c->op = j->n_ops++;
	return o;
}

int
job_op(struct keeper *k UNUSED, struct job *j, struct job_change *c, const json_t *value,
    struct str source, struct str override)
{
	struct apply_op *o;
	struct conf_object with;

	c->at = (uint32_t)j->check.text.n;
	if (value != NULL && document_object((enum conf_kind)c->kind, c->id, source, value, &j->ws,
				 &with, &j->check) < 0) {
		c->n_text = (uint32_t)j->check.text.n - c->at;
		job_refuse_change(c, OUTCOME_REFUSED, false);
		return -1;
	}
	o = op_add(j, c, value != NULL ? CHANGE_PUT : CHANGE_DELETE);
	if (value != NULL)
		o->o = with;
	o->o.source = source;
	o->o.override = override;
	return 1;
}

/* A refused object of a snapshot stays as it is: it must not count as missing from it. */
static void
op_keep(struct job *j, struct job_change *c)
{
	op_add(j, c, CHANGE_PUT)->flags |= APPLY_SKIP;
	c->has_op = false;
}

static int
put_change(struct keeper *k, struct job *j, struct job_change *c, struct force *f)
{
	const struct document_change *a = c->asked;

	if (a->op == DOC_DELETE) {
		c->forget = f->hidden;
		/* Replayed: it may be gone already. */
		if (f->hidden || j->replay) {
			struct force now = {.there = false};

			force_map(k, &(struct job){.source = STR("")}, c, &now);
			json_decref(now.value);
			if (!now.there) {
				c->forget = true;
				c->outcome = OUTCOME_DELETED;
				return 1;
			}
		}
		return job_op(k, j, c, NULL, j->source, STR(""));
	}
	if (a->op == DOC_PATCH) {
		if (f->value != NULL)
			c->value = document_patch(f->value, a->value);
		if (c->value != NULL)
			return job_op(k, j, c, c->value, j->source, STR(""));
		job_refuse_change(c, OUTCOME_REFUSED, false);
		return -1;
	}
	return job_op(k, j, c, a->value, j->source, STR(""));
}

static void
object_change(struct keeper *k, struct job *j, struct job_change *c)
{
	struct force f = force_get(k, j, c);

	if (force_check(j, c, &f) == 1)
		(void)put_change(k, j, c, &f);
	else if (c->asked->value != NULL && c->asked->op != DOC_PATCH && !j->d.partial) {
		/* Refused already; what else is wrong with it is told all the same. */
		struct conf_object o;

		c->at = (uint32_t)j->check.text.n;
		(void)!document_object((enum conf_kind)c->kind, c->id, j->source, c->asked->value,
		    &j->ws, &o, &j->check);
		c->n_text = (uint32_t)j->check.text.n - c->at;
	}
	if (c->refused && j->d.whole)
		op_keep(j, c);
	json_decref(f.value);
}

/* --- what belongs to no generation ----------------------------------------------------------- */

static int
other_run(struct keeper *k, struct job *j, struct job_change *c, bool check_only)
{
	const char *error = "it cannot be done";
	uint32_t status = 422;
	int ok;

	if (c->kind == DOC_VERDICT)
		ok = keeper_verdict_change(k, j, c->asked, check_only, &status, &error);
	else
		ok = keeper_endpoints_change(k, j, c->asked, check_only, &status, &error);
	if (ok >= 0) {
		c->outcome = ok == 1 ? OUTCOME_REPLACED : OUTCOME_UNCHANGED;
		return ok;
	}
	c->refused = true;
	c->outcome = status == 404 ? OUTCOME_ABSENT : OUTCOME_REFUSED;
	c->status = status;
	c->at = (uint32_t)j->check.text.n;
	check_error(
	    &j->check, NULL, "%s %.*s: %s", document_kind_word(c->kind), STR_ARG(c->id), error);
	c->n_text = (uint32_t)j->check.text.n - c->at;
	return -1;
}

/* Does the document bring the service itself? Then it need not be there yet. */
static bool
brings_service(const struct job *j, struct str id)
{
	ssize_t slash = str_chr(id, '/');

	id = slash < 0 ? id : str_sub(id, 0, (size_t)slash);
	for (uint32_t i = 0; i < j->n; i++)
		if (j->c[i].kind == CONF_SERVICE && j->c[i].has_op && str_eq(j->c[i].id, id))
			return true;
	return false;
}

static void
others(struct keeper *k, struct job *j, bool check_only)
{
	for (uint32_t i = 0; i < j->n; i++) {
		struct job_change *c = &j->c[i];

		if (c->kind < CONF_KIND_COUNT || c->refused ||
		    (check_only && brings_service(j, c->id)))
			continue;
		if (other_run(k, j, c, check_only) == 1 && !check_only)
			j->changed++;
		j->endpoints |= c->kind == DOC_ENDPOINTS && !check_only;
	}
}

/* --- changes of a document ------------------------------------------------------------------- */

static void
read_changes(struct keeper *k, struct job *j)
{
	j->n = j->d.n;
	j->c = ws_zalloc(&j->ws, (j->n + 1) * sizeof(*j->c));
	j->ops = ws_zalloc(&j->ws, (j->n + 1) * sizeof(*j->ops));
	for (uint32_t i = 0; i < j->n; i++) {
		struct job_change *c = &j->c[i];

		c->asked = &j->d.v[i];
		c->kind = c->asked->kind;
		c->id = c->asked->id;
		if (c->asked->error.n > 0) {
			c->at = (uint32_t)j->check.text.n;
			check_error(&j->check, NULL, "%.*s", STR_ARG(c->asked->error));
			c->n_text = (uint32_t)j->check.text.n - c->at;
			c->status = 400;
			job_refuse_change(c, OUTCOME_REFUSED, false);
			if (j->d.whole && c->kind >= 0 && c->kind < CONF_KIND_COUNT)
				op_keep(j, c);
		} else if (c->kind < CONF_KIND_COUNT) {
			object_change(k, j, c);
		}
		if (i % 256 == 0)
			beat_now(k->beat);
	}
}

static uint32_t
change_status(const struct job_change *c)
{
	if (!c->refused)
		return 200;
	if (c->status != 0)
		return c->status;
	if (c->condition)
		return 412;
	switch (c->outcome) {
	case OUTCOME_OWNED:
	case OUTCOME_EXISTS:
		return 409;
	case OUTCOME_ABSENT:
		return 404;
	case OUTCOME_PRECONDITION:
		return 412;
	default:
		return 422;
	}
}

/* The first class of failures there is. 200: none. */
static uint32_t
worst(const struct job *j)
{
	static const uint32_t order[] = {400, 409, 404, 412, 422, 507, 503};
	uint32_t best = ARRAY_LEN(order), status = 200;

	for (uint32_t i = 0; i < j->n; i++)
		for (uint32_t at = 0; at < best; at++)
			if (change_status(&j->c[i]) == order[at]) {
				best = at;
				status = order[at];
			}
	return status;
}

static uint32_t
refused(const struct job *j)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < j->n; i++) {
		const struct job_change *c = &j->c[i];

		/* What shall not be there and is not there is as it should be. */
		if (c->refused && c->outcome == OUTCOME_ABSENT && c->asked != NULL &&
		    c->asked->op == DOC_DELETE && c->asked->if_match == 0)
			continue;
		n += c->refused;
	}
	return n;
}

/* --- the transaction ------------------------------------------------------------------------- */

static uint64_t
count_of(struct keeper *k, struct str source)
{
	struct conf_object o;
	uint64_t n = 0;

	if (table_renew(k->table) < 0)
		return 0;
	for (unsigned kind = 0; kind < CONF_KIND_COUNT; kind++)
		for (uint32_t number = 0;
		     table_next(k->table, (enum conf_kind)kind, &number, &o) == 1;)
			n += str_eq(o.source, source);
	table_reset(k->table);
	return n;
}

static uint64_t
deletions_max(struct keeper *k, const struct job *j)
{
	if (!j->d.whole || j->d.allow_deletions || !str_eq(j->source, STR("console")))
		return UINT64_MAX;
	if (j->n == 0)
		return 0;
	return (uint64_t)(k->deletions * (double)count_of(k, j->source));
}

/* What apply had to say, behind what the job has said. */
static void
take_report(struct job *j, const struct conf_check *report)
{
	uint32_t base = (uint32_t)j->check.text.n;

	gbuf_str(&j->check.text, str_n(report->text.p, report->text.n));
	j->check.errors += report->errors;
	j->check.warnings += report->warnings;
	for (uint32_t i = 0; i < j->n; i++) {
		struct job_change *c = &j->c[i];
		struct apply_op *o = &j->ops[c->op];

		if (!c->has_op)
			continue;
		c->outcome = o->outcome;
		c->in_force = o->version;
		if (o->outcome < OUTCOME_ABSENT)
			continue;
		c->refused = true;
		c->at = base + o->report_at;
		c->n_text = o->report_n;
		if (o->owner[0] != '\0')
			memcpy(c->owner, o->owner, sizeof(c->owner));
	}
}

/* What was refused by itself was not said: no override ends by it. */
static void
spare_overrides(struct keeper *k, const struct job *j)
{
	for (uint32_t i = 0; i < j->n_ops; i++)
		if (j->ops[i].outcome >= OUTCOME_ABSENT)
			override_spare(k->overrides, j->ops[i].o.kind, j->ops[i].o.id);
}

struct apply *
job_compile(struct keeper *k, struct job *j)
{
	struct conf_check report;
	struct apply_input in = {.changeset_fd = -1,
	    .whole = j->d.whole ? j->source : STR_NONE,
	    .deletions_max = deletions_max(k, j),
	    .v = j->ops,
	    .n = j->n_ops,
	    .capture = true,
	    .override = override_says,
	    .arg = k->overrides};
	struct apply *a;

	check_init(&report);
	a = apply_compile(&k->store, &in, &report);
	take_report(j, &report);
	spare_overrides(k, j);
	if (a == NULL) {
		override_abort(k->overrides);
		j->status = worst(j);
		if (j->status == 200) {
			j->status = 422;
			j->guard = in.deletions_max != UINT64_MAX &&
				   str_find(str_n(report.text.p, report.text.n),
				       STR("would be deleted")) >= 0;
		}
		if (report.errors == 0)
			check_error(&j->check, NULL, "the map refused it");
	}
	check_free(&report);
	return a;
}

/* --- running it ------------------------------------------------------------------------------ */

static bool
is_whole(const struct job *j)
{
	return j->n_ops > 0 || j->d.whole;
}

/* What a dry run or a failure leaves nothing of. */
static void
set_aside(struct keeper *k, struct job *j, struct apply **a)
{
	j->changed = apply_changed(*a);
	apply_abort(a);
	override_abort(k->overrides);
}

/* 1 through the map or nothing to do there, 0 it needs the master, -1 refused. */
static int
run_objects(struct keeper *k, struct job *j)
{
	struct apply *a;

	if (!is_whole(j))
		return 1;
	a = job_compile(k, j);
	if (a == NULL)
		return -1;
	if (j->d.dry_run) {
		set_aside(k, j, &a);
		return 1;
	}
	if (apply_listeners_differ(a) || apply_wants(a)) {
		apply_abort(&a);
		override_abort(k->overrides);
		return 0;
	}
	job_commit(k, j, &a);
	return j->status == 0 ? 1 : -1;
}

void
job_end(struct keeper *k, struct job *j)
{
	if (j->status == 0) {
		others(k, j, j->d.dry_run);
		if (!j->d.dry_run)
			job_note(k, j);
	}
	j->refused = refused(j);
	/* Of kinds that are no objects nothing was kept from happening by another's failure. */
	if (j->status == 0)
		j->status = j->d.partial || j->changed > 0 ? 200 : worst(j);
	j->generation = k->store.meta.generation;
}

void
job_reset(struct job *j)
{
	for (uint32_t i = 0; i < j->n; i++) {
		json_decref(j->c[i].value);
		json_decref(j->c[i].before);
	}
	j->c = NULL;
	j->n = j->n_ops = 0;
	j->changed = j->refused = 0;
	json_decref(j->dropped);
	j->dropped = NULL;
	check_free(&j->check);
}

int
job_prepare(struct keeper *k, struct job *j)
{
	uint32_t status;

	job_reset(j);
	if (j->d.rollback != 0)
		job_rollback(k, j);
	else if (j->d.drop_override.n > 0)
		job_drop(k, j);
	else
		read_changes(k, j);
	if (j->status == 0 && !j->d.partial)
		others(k, j, true);
	status = worst(j);
	if (j->status == 0 && !j->d.partial && status != 200)
		j->status = status;
	if (j->status == 0)
		return 1;
	override_abort(k->overrides);
	return -1;
}

int
job_run(struct keeper *k, struct job *j)
{
	int ok = job_prepare(k, j);

	if (ok == 1)
		ok = run_objects(k, j);
	if (ok == 0)
		return 0;
	job_end(k, j);
	return 1;
}
