/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is told what. Errors of the change set go into the report as they are found; those of an
 * operation are gathered and follow at the end, each operation's in one piece.
 */
#include <stdarg.h>

#include "conf/apply_priv.h"
#include "shm/base/num.h"

const char *const apply_outcome_names[OUTCOME_COUNT] = {
    [OUTCOME_NONE] = "none",
    [OUTCOME_UNCHANGED] = "unchanged",
    [OUTCOME_CREATED] = "created",
    [OUTCOME_REPLACED] = "replaced",
    [OUTCOME_DELETED] = "deleted",
    [OUTCOME_KEPT] = "kept",
    [OUTCOME_ABSENT] = "absent",
    [OUTCOME_EXISTS] = "exists",
    [OUTCOME_OWNED] = "owned",
    [OUTCOME_PRECONDITION] = "precondition",
    [OUTCOME_REFUSED] = "refused",
};

static bool
lenient(const struct apply *a, const struct change *c)
{
	if (c->by == BY_WHOLE)
		return a->whole_lenient;
	return c->by != BY_SET && (a->in->v[c->by].flags & APPLY_LENIENT) != 0;
}

static void
say(struct apply *a, const struct change *c, const struct conf_place *at, const char *text)
{
	struct conf_check one;

	if (c->by == BY_SET || c->by == BY_WHOLE) {
		check_error_at(a->report, at, "%s", text);
		return;
	}
	check_init(&one);
	check_error_at(&one, at, "%s", text);
	gbuf_str(&a->fate[c->by].words, str_n(one.text.p, one.text.n));
	a->fate[c->by].errors++;
	check_free(&one);
}

static void
take_out(struct apply *a, struct change *c)
{
	struct ws_mark mark = ws_mark(&a->scratch);

	if (c->out)
		return;
	c->out = a->dropped = true;
	if (c->by < BY_WHOLE)
		a->fate[c->by].out = true;
	if (c->released)
		apply_count(a, c->o.kind, apply_old_body(a, c), 1);
	c->released = false;
	ws_reset(&a->scratch, mark);
}

static void
outcome_set(struct apply *a, const struct change *c, enum apply_outcome outcome)
{
	struct apply_op *op;

	if (c->by >= BY_WHOLE)
		return;
	op = &a->in->v[c->by];
	op->outcome = outcome;
	if (c->old != NULL || c->fresh)
		op->version = c->old != NULL ? c->old->version : 0;
}

void
apply_refuse(struct apply *a, struct change *c, enum apply_outcome outcome, const char *setting,
    const char *fmt, ...)
{
	struct conf_place at = {.file = c->o.file, .line = c->o.line};
	char path[160], text[800];
	va_list ap;
	int n;

	n = snprintf(path, sizeof(path), "%s[%.*s]%s%s", object_kinds[c->o.kind].list,
	    STR_ARG(c->o.id), setting != NULL ? "." : "", setting != NULL ? setting : "");
	at.path = str_n(path, MIN((size_t)n, sizeof(path) - 1));
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* To delete what is not there is no fault of somebody who may be behind the times. */
	if (outcome != OUTCOME_ABSENT || c->op != CHANGE_DELETE || !lenient(a, c))
		say(a, c, &at, text);
	outcome_set(a, c, outcome);
	if (lenient(a, c))
		take_out(a, c);
	else
		a->errors++;
}

void
apply_error(struct apply *a, const char *path, const char *fmt, ...)
{
	struct conf_place at = {.path = str_of(path)};
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	check_error_at(a->report, &at, "%s", text);
	a->errors++;
}

void
apply_fatal(struct apply *a, const char *error)
{
	struct db_fill fill;
	char size[32], used[32];

	a->fatal = true;
	if (strstr(error, "MDB_MAP_FULL") == NULL && strstr(error, "MDB_TXN_FULL") == NULL) {
		apply_error(a, "map", "%s", error);
		return;
	}
	db_fill(a->s->map.db, &fill);
	size[num_size_text(fill.map_bytes, size)] = '\0';
	used[num_size_text(ALIGN_UP(fill.used_bytes, (uint64_t)1024), used)] = '\0';
	apply_error(a, "map",
	    "full: limits.map_size is %s, %s were in use before this change; raise it and restart",
	    size, used);
}

void
apply_forget(struct apply *a)
{
	for (uint32_t i = 0; i < a->in->n; i++) {
		struct apply_fate *f = &a->fate[i];

		if (f->out)
			continue;
		f->words.n = 0;
		f->errors = 0;
		a->in->v[i].outcome = OUTCOME_NONE;
	}
}

/* Refused as a whole: who was not refused himself was not come to, and is as he was. */
static void
take_back(struct apply *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		const struct change *c = a->v[i];

		if (c->by < BY_WHOLE && a->in->v[c->by].outcome < OUTCOME_ABSENT)
			outcome_set(a, c, OUTCOME_NONE);
	}
	for (uint32_t i = 0; i < a->in->n; i++)
		if (a->in->v[i].outcome < OUTCOME_ABSENT)
			a->in->v[i].outcome = OUTCOME_NONE;
}

void
apply_tell(struct apply *a, bool ok)
{
	if (!ok)
		take_back(a);
	for (uint32_t i = 0; i < a->in->n; i++) {
		struct apply_fate *f = &a->fate[i];
		struct apply_op *op = &a->in->v[i];

		op->report_at = (uint32_t)a->report->text.n;
		op->report_n = (uint32_t)f->words.n;
		if (f->words.n > 0)
			gbuf_put(&a->report->text, f->words.p, f->words.n);
		a->report->errors += f->errors;
	}
}
