/* SPDX-License-Identifier: Apache-2.0
 *
 * What a document came to, as JSON: an outcome for every change, or a problem document (RFC 9457)
 * with the same beside its errors.
 */
#include <stdarg.h>

#include "conf/keeper_priv.h"

static const struct {
	uint32_t status;
	const char *title, *detail;
} titles[] = {
    {400, "Bad Request", "the document is malformed"},
    {404, "Not Found", "what is to be changed is not there"},
    {409, "Conflict", "an object belongs to another source, or exists already"},
    {410, "Gone", "history does not have it any more"},
    {412, "Precondition Failed", "an object is of another version than expected"},
    {422, "Unprocessable Content", "the checks found errors; nothing was changed"},
    {503, "Service Unavailable", "it cannot be done now"},
    {507, "Insufficient Storage", "there is no room for it; nothing was changed"},
};

/* --- words ----------------------------------------------------------------------------------- */

/* Which errors are told is decided by who reads them: "where" is empty for what is about the whole.
 */
static json_t *
error_of(struct str where, struct str message)
{
	json_t *e = json_object();

	(void)json_object_set_new(e, "where", json_of(where));
	(void)json_object_set_new(e, "message", json_of(message));
	return e;
}

/* "routes[x].path: what is wrong" */
static void
add_line(json_t *errors, struct str line, bool split)
{
	ssize_t cut = str_find(line, STR(": "));
	ssize_t blank = str_chr(line, ' ');

	if (!split)
		(void)json_array_append_new(errors, json_of(line));
	else if (cut > 0 && (blank < 0 || blank > cut))
		(void)json_array_append_new(errors, error_of(str_sub(line, 0, (size_t)cut),
							str_sub(line, (size_t)cut + 2, line.n)));
	else
		(void)json_array_append_new(errors, error_of(STR(""), line));
}

static void
add_lines(json_t *errors, struct str text, bool split)
{
	struct str line;

	while (str_cut(&text, '\n', &line))
		if (line.n > 0)
			add_line(errors, line, split);
}

/* What the outcome alone says. 0: nothing. */
static int
outcome_words(const struct job_change *c, char *out, size_t cap)
{
	unsigned long long v = (unsigned long long)c->in_force;
	int n = 0;

	if (!c->refused || c->n_text > 0)
		return 0;
	if (c->outcome == OUTCOME_OWNED)
		n = snprintf(out, cap, "belongs to source \"%s\"", c->owner);
	else if (c->outcome == OUTCOME_EXISTS)
		n = snprintf(out, cap, "exists already, in version %llu", v);
	else if (c->outcome == OUTCOME_ABSENT)
		n = snprintf(out, cap, "is not there");
	else if (c->outcome == OUTCOME_PRECONDITION)
		n = snprintf(out, cap, "is of version %llu, not %llu", v,
		    c->asked == NULL ? 0ULL : (unsigned long long)c->asked->if_match);
	else
		n = snprintf(out, cap, "refused");
	return MIN(n, (int)cap - 1);
}

static void
add_outcome(json_t *errors, const struct job_change *c, bool split)
{
	char text[160], where[120];
	int n = outcome_words(c, text, sizeof(text));

	if (n == 0)
		return;
	if (!split) {
		(void)json_array_append_new(errors, json_of(str_n(text, (size_t)n)));
		return;
	}
	if (c->kind >= 0 && c->kind < CONF_KIND_COUNT)
		snprintf(
		    where, sizeof(where), "%s[%.*s]", object_kinds[c->kind].list, STR_ARG(c->id));
	else
		snprintf(where, sizeof(where), "%s[%.*s]", document_kind_word(c->kind),
		    (int)MIN(c->id.n, (size_t)90), c->id.p);
	(void)json_array_append_new(errors, error_of(str_of(where), str_n(text, (size_t)n)));
}

/* --- members --------------------------------------------------------------------------------- */

static json_t *
change_of(const struct job *j, const struct job_change *c)
{
	json_t *o = json_object(), *errors = json_array();
	/* The whole was refused later: by the master, or for want of room. */
	bool undone = j->status >= 400 && c->outcome >= OUTCOME_CREATED &&
		      c->outcome <= OUTCOME_DELETED && !c->refused;
	enum apply_outcome outcome = undone ? OUTCOME_NONE : c->outcome;

	(void)json_object_set_new(o, "kind", json_string(document_kind_word(c->kind)));
	(void)json_object_set_new(o, "id", json_of(c->id));
	(void)json_object_set_new(o, "result", json_string(apply_outcome_names[outcome]));
	if (c->in_force != 0 && !undone)
		(void)json_object_set_new(o, "version", json_integer((json_int_t)c->in_force));
	if (c->refused && c->outcome == OUTCOME_OWNED)
		(void)json_object_set_new(o, "source", json_string(c->owner));
	if (c->n_text > 0 && (size_t)c->at + c->n_text <= j->check.text.n)
		add_lines(errors, str_n(j->check.text.p + c->at, c->n_text), false);
	add_outcome(errors, c, false);
	if (json_array_size(errors) > 0)
		(void)json_object_set(o, "errors", errors);
	json_decref(errors);
	return o;
}

static void
set_changes(const struct job *j, json_t *body)
{
	json_t *changes = json_array();

	for (uint32_t i = 0; i < j->n; i++)
		(void)json_array_append_new(changes, change_of(j, &j->c[i]));
	(void)json_object_set_new(body, "generation", json_integer((json_int_t)j->generation));
	(void)json_object_set_new(body, "changed", json_integer(j->changed));
	(void)json_object_set_new(body, "refused", json_integer(j->refused));
	(void)json_object_set_new(body, "dry_run", json_boolean(j->read && j->d.dry_run));
	(void)json_object_set_new(body, "changes", changes);
	if (j->guard)
		(void)json_object_set_new(body, "guard", json_true());
	if (j->dropped != NULL)
		(void)json_object_set(body, "dropped", j->dropped);
	if (j->read && j->d.comment.n > 0)
		(void)json_object_set_new(body, "comment", json_of(j->d.comment));
}

static json_t *
all_errors(const struct job *j, bool split)
{
	json_t *errors = json_array();

	add_lines(errors, str_n(j->check.text.p, j->check.text.n), split);
	for (uint32_t i = 0; i < j->n; i++)
		add_outcome(errors, &j->c[i], split);
	return errors;
}

static json_t *
problem(uint32_t status, struct str detail)
{
	json_t *body = json_object();
	unsigned i = 0;

	while (i + 1 < ARRAY_LEN(titles) && titles[i].status != status)
		i++;
	(void)json_object_set_new(body, "type", json_string("about:blank"));
	(void)json_object_set_new(body, "title", json_string(titles[i].title));
	(void)json_object_set_new(body, "status", json_integer(status));
	(void)json_object_set_new(
	    body, "detail", detail.n > 0 ? json_of(detail) : json_string(titles[i].detail));
	return body;
}

json_t *
problem_body(uint32_t status, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return problem(status, str_of(text));
}

json_t *
job_body(const struct job *j)
{
	json_t *body, *errors, *one;
	char detail[700] = "";

	if (j->status < 400) {
		body = json_object();
		set_changes(j, body);
		(void)json_object_set_new(body, "errors", all_errors(j, false));
		return body;
	}
	errors = all_errors(j, true);
	one = json_array_get(errors, 0);
	if (json_array_size(errors) == 1)
		snprintf(detail, sizeof(detail), "%.*s%s%.*s",
		    (int)MIN(json_str(one, "where").n, (size_t)150), json_str(one, "where").p,
		    json_str(one, "where").n > 0 ? ": " : "",
		    (int)MIN(json_str(one, "message").n, (size_t)500), json_str(one, "message").p);
	body = problem(j->status, str_of(detail));
	set_changes(j, body);
	(void)json_object_set_new(body, "errors", errors);
	return body;
}
