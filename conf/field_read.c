/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading groups by field table.
 */
#include "conf/field_read.h"

#include "conf/expand.h"
#include "conf/field_text.h"
#include "conf/policy.h"
#include "shm/base/bug.h"

#define POLICIES_MAX 64 /* in one list */

static void read_row(const struct field *row, const struct node *n, void *at, struct conf_check *c);

struct field_place
field_enter(struct conf_check *c, const struct node *n)
{
	struct field_place before = {c->node, c->at.file, c->at.line};

	c->node = n;
	c->at.file = str_of(n->file);
	c->at.line = n->line;
	return before;
}

void
field_leave(struct conf_check *c, struct field_place before)
{
	c->node = before.node;
	c->at.file = before.file;
	c->at.line = before.line;
}

static void *
room(struct conf_check *c, size_t n)
{
	void *p = ws_zalloc(c->ws, n);

	if (p == NULL)
		oom_fail(n);
	return p;
}

/* --- complaints ------------------------------------------------------------------------------- */

static void
put_found(const struct field *row, const struct node *n, struct str text, struct gbuf *out)
{
	if ((row->flags & FIELD_SECRET) != 0) {
		gbuf_str(out, STR("what stands there"));
		return;
	}
	switch (n->type) {
	case NODE_STRING:
		gbuf_printf(out, "\"%.*s\"", STR_ARG(str_sub(text, 0, 200)));
		return;
	case NODE_INT:
		gbuf_printf(out, "%lld", (long long)n->i);
		return;
	case NODE_FLOAT:
		gbuf_printf(out, "%g", n->f);
		return;
	case NODE_BOOL:
		gbuf_str(out, n->b ? STR("true") : STR("false"));
		return;
	default:
		gbuf_printf(out, "%s", node_word(n));
		return;
	}
}

/* "found: why; allowed: what". */
static void
complain(const struct field *row, const struct node *n, struct str text, const char *why,
    struct conf_check *c)
{
	struct gbuf out = {0};
	const char *nearest = NULL;

	put_found(row, n, text, &out);
	gbuf_printf(&out, ": %s", why);
	if (row->type == F_ENUM && n->type == NODE_STRING)
		nearest = check_nearest(text, row->names);
	if (nearest != NULL)
		gbuf_printf(&out, "; did you mean \"%s\"?", nearest);
	gbuf_str(&out, STR("; allowed: "));
	field_allowed(row, &out);
	check_error(c, NULL, "%.*s", (int)out.n, out.p);
	gbuf_free(&out);
}

static void
complain_type(const struct field *row, const struct node *n, struct conf_check *c)
{
	const char *why = row->type == F_STRING || row->type == F_ENUM || row->type == F_ADDR
			      ? "not a string; it needs quotes"
			      : "not what belongs here";

	if (n->type == NODE_GROUP || n->type == NODE_LIST)
		why = "not what belongs here";
	complain(row, n, STR_NONE, why, c);
}

static bool
is_read_elsewhere(struct str name, const char *const *also)
{
	for (; also != NULL && *also != NULL; also++)
		if (str_eq(name, str_of(*also)))
			return true;
	return false;
}

static const char *
nearest_row(const struct fields *f, struct str name, const char *const *also)
{
	const char *nearest = NULL;
	unsigned best = UINT32_MAX;

	for (unsigned i = 0; i < f->n; i++)
		if ((f->v[i].flags & FIELD_DERIVED) == 0 &&
		    check_near(name, str_of(f->v[i].name), &best))
			nearest = f->v[i].name;
	for (; also != NULL && *also != NULL; also++)
		if (check_near(name, str_of(*also), &best))
			nearest = *also;
	return nearest;
}

static void
put_names(const struct fields *f, const char *const *also, struct gbuf *out)
{
	const char *comma = "";

	for (; also != NULL && *also != NULL; also++, comma = ", ")
		gbuf_printf(out, "%s%s", comma, *also);
	for (unsigned i = 0; i < f->n; i++) {
		if ((f->v[i].flags & (FIELD_DERIVED | FIELD_HIDDEN)) != 0)
			continue;
		gbuf_printf(out, "%s%s", comma, f->v[i].name);
		comma = ", ";
	}
}

static void
complain_unknown(
    const struct fields *f, const struct node *n, const char *const *also, struct conf_check *c)
{
	const char *nearest = nearest_row(f, n->name, also);
	struct gbuf names = {0};

	if (nearest != NULL) {
		check_error(c, NULL, "unknown setting; did you mean \"%s\"?", nearest);
		return;
	}
	put_names(f, also, &names);
	check_error(c, NULL, "unknown setting; allowed here: %.*s", (int)names.n, names.p);
	gbuf_free(&names);
}

/* --- scalars ---------------------------------------------------------------------------------- */

int
field_read_string(const struct node *n, struct conf_check *c, struct str *s_r)
{
	if (!c->expand) {
		*s_r = n->s;
		return 1;
	}
	return expand(n->s, c->ws, c, s_r);
}

static void
make_absolute(struct str *path, struct conf_check *c)
{
	if (c->base == NULL || path->n == 0 || path->p[0] == '/' || str_eq(*path, STR("stdout")) ||
	    str_eq(*path, STR("stderr")) || str_starts(*path, STR("secret://")))
		return;
	*path = ws_printf(c->ws, "%s/%.*s", c->base, STR_ARG(*path));
}

/* A password written down by mistake is no text with variables: complaints would cite it. */
static int
read_text(const struct field *row, const struct node *n, struct conf_check *c, struct str *s_r)
{
	bool plain = !str_starts(n->s, STR("secret://")) && !str_starts(n->s, STR("/"));

	if ((row->flags & FIELD_SECRET) == 0 || !plain)
		return field_read_string(n, c, s_r);
	*s_r = n->s;
	return 1;
}

/* A number may stand in quotes too: that is the only way to take it from the environment. */
static void
read_word(const struct field *row, const struct node *n, void *at, struct conf_check *c)
{
	const char *error;
	struct str text;

	if (read_text(row, n, c, &text) < 0)
		return;
	if (field_parse(row, text, at, c->ws, &error) < 0)
		complain(row, n, text, error, c);
	else if ((row->flags & FIELD_PATH) != 0)
		make_absolute(at, c);
}

static bool
take_int(const struct field *row, int64_t v, void *at)
{
	switch (row->type) {
	case F_INT:
		*(int64_t *)at = v;
		return true;
	case F_FLOAT:
		*(double *)at = (double)v;
		return true;
	case F_SIZE:
		*(uint64_t *)at = (uint64_t)v;
		return v >= 0;
	case F_DURATION:
		*(uint64_t *)at = 0;
		return v == 0;
	default:
		return false;
	}
}

static void
read_int(const struct field *row, const struct node *n, void *at, struct conf_check *c)
{
	bool taken = take_int(row, n->i, at);

	if (!taken && row->type == F_DURATION)
		complain(row, n, STR_NONE, "a duration needs a unit, and quotes", c);
	else if (!taken && row->type == F_SIZE)
		complain(row, n, STR_NONE, "out of range", c);
	else if (!taken)
		complain_type(row, n, c);
	else if (!field_in_range(row, at))
		complain(row, n, STR_NONE, "out of range", c);
}

static void
read_float(const struct field *row, const struct node *n, void *at, struct conf_check *c)
{
	if (row->type != F_FLOAT) {
		complain_type(row, n, c);
		return;
	}
	*(double *)at = n->f;
	if (!field_in_range(row, at))
		complain(row, n, STR_NONE, "out of range", c);
}

static void
read_scalar(const struct field *row, const struct node *n, void *at, struct conf_check *c)
{
	if (n->type == NODE_STRING)
		read_word(row, n, at, c);
	else if (n->type == NODE_INT)
		read_int(row, n, at, c);
	else if (n->type == NODE_FLOAT)
		read_float(row, n, at, c);
	else if (n->type == NODE_BOOL && row->type == F_BOOL)
		*(bool *)at = n->b;
	else
		complain_type(row, n, c);
}

/* --- lists and groups ------------------------------------------------------------------------- */

static void
read_member(const struct field *row, const struct node *n, void *at, struct conf_check *c)
{
	const char *error;
	struct str text;

	if (n->type != NODE_STRING)
		complain_type(row, n, c);
	else if (field_read_string(n, c, &text) == 1 &&
		 field_parse_member(row, text, at, &error) < 0)
		complain(row, n, text, error, c);
}

static void
read_words(const struct field *row, const struct node *n, void *at, struct conf_check *c)
{
	if (n->type != NODE_LIST) {
		read_scalar(row, n, at, c);
		return;
	}
	if (n->n == 0 && (row->flags & FIELD_REQUIRED) != 0)
		complain(row, n, STR_NONE, "empty", c);
	if (field_room(row, n->n, at, c->ws) < 0)
		oom_fail(n->n);
	for (const struct node *child = n->first; child != NULL; child = child->next) {
		struct field_place before = field_enter(c, child);

		read_member(row, child, at, c);
		field_leave(c, before);
	}
}

static void
read_group(const struct field *row, const struct node *n, void *at, struct conf_check *c)
{
	if (n->type != NODE_GROUP) {
		complain_type(row, n, c);
		return;
	}
	field_read(row->sub, n, NULL, at, c);
}

static void
read_list(
    const struct field *row, const struct node *n, struct conf_list *list, struct conf_check *c)
{
	uint32_t i = 0;
	char *v;

	if (n->type != NODE_LIST) {
		complain_type(row, n, c);
		return;
	}
	v = room(c, n->n * row->sub->size);
	*list = (struct conf_list){v, n->n};
	for (const struct node *child = n->first; child != NULL; child = child->next, i++) {
		struct field_place before = field_enter(c, child);
		size_t path = check_push_index(c, i);

		fields_default(row->sub, v + i * row->sub->size);
		if (child->type != NODE_GROUP)
			complain_type(row, child, c);
		else
			field_read(row->sub, child, NULL, v + i * row->sub->size, c);
		check_cut(c, path);
		field_leave(c, before);
	}
}

static const char *const policy_also[] = {"policy", NULL};

static void
complain_policy(struct str name, struct conf_check *c)
{
	const struct policy_type *const *t = policy_types();
	const char *nearest = NULL, *comma = "";
	unsigned best = UINT32_MAX;
	struct gbuf names = {0};

	for (; t != NULL && *t != NULL; t++, comma = ", ") {
		gbuf_printf(&names, "%s\"%s\"", comma, (*t)->name);
		if (check_near(name, str_of((*t)->name), &best))
			nearest = (*t)->name;
	}
	if (nearest != NULL)
		check_error(c, "policy", "\"%.*s\": no such policy; did you mean \"%s\"?",
		    STR_ARG(name), nearest);
	else
		check_error(c, "policy", "\"%.*s\": no such policy; allowed: %.*s", STR_ARG(name),
		    (int)names.n, names.n > 0 ? names.p : "");
	gbuf_free(&names);
}

/* 1 when `p` was filled. */
static int
read_policy(const struct node *n, struct conf_policy *p, struct conf_check *c)
{
	const struct node *which = node_get(n, STR("policy"));
	struct str name;

	if (n->type != NODE_GROUP) {
		check_error(c, NULL,
		    "%s: not what belongs here; allowed: { policy = \"name\"; ... }", node_word(n));
		return -1;
	}
	if (which == NULL || which->type != NODE_STRING) {
		check_error(c, which != NULL ? "policy" : NULL,
		    "policy is missing; allowed: policy = \"name\"");
		return -1;
	}
	if (field_read_string(which, c, &name) < 0)
		return -1;
	p->type = policy_type_find(name);
	if (p->type == NULL) {
		complain_policy(name, c);
		return -1;
	}
	p->conf = room(c, p->type->fields->size);
	field_read(p->type->fields, n, policy_also, p->conf, c);
	return 1;
}

static void
read_policies(
    const struct field *row, const struct node *n, struct conf_list *list, struct conf_check *c)
{
	struct conf_policy *v;
	uint32_t i = 0;

	if (n->type != NODE_LIST) {
		complain_type(row, n, c);
		return;
	}
	if (n->n > POLICIES_MAX) {
		check_error(c, NULL, "%u policies; allowed: up to %u", n->n, POLICIES_MAX);
		return;
	}
	v = room(c, n->n * sizeof(*v));
	*list = (struct conf_list){v, 0};
	for (const struct node *child = n->first; child != NULL; child = child->next, i++) {
		struct field_place before = field_enter(c, child);
		size_t path = check_push_index(c, i);

		if (read_policy(child, &v[list->n], c) == 1)
			list->n++;
		check_cut(c, path);
		field_leave(c, before);
	}
}

/* --- rows ------------------------------------------------------------------------------------- */

static void
read_row(const struct field *row, const struct node *n, void *at, struct conf_check *c)
{
	switch (row->type) {
	case F_GROUP:
		read_group(row, n, at, c);
		return;
	case F_LIST:
		read_list(row, n, at, c);
		return;
	case F_POLICIES:
		read_policies(row, n, at, c);
		return;
	case F_STRINGS:
	case F_CIDRS:
		read_words(row, n, at, c);
		return;
	default:
		read_scalar(row, n, at, c);
		return;
	}
}

/* After a value that was refused, so that checks see something sane. */
static void
back_to_default(const struct field *row, void *at, struct conf_check *c)
{
	const char *error;

	if (row->def != NULL && field_default(row, at, c->ws, &error) < 0)
		BUG_ON(!c->ws->overflow);
}

static void
read_child(const struct fields *f, const struct node *n, const char *const *also, void *self,
    struct conf_check *c)
{
	const struct field *row = fields_find(f, n->name);
	struct field_place before = field_enter(c, n);
	size_t path = check_push(c, n->name);
	uint32_t errors = c->errors;

	if (row == NULL || (row->flags & FIELD_DERIVED) != 0) {
		complain_unknown(f, n, also, c);
	} else {
		read_row(row, n, field_at(row, self), c);
		if (c->errors != errors && row->type < F_STRINGS)
			back_to_default(row, field_at(row, self), c);
	}
	check_cut(c, path);
	field_leave(c, before);
}

static void
check_required(const struct fields *f, const struct node *group, struct conf_check *c)
{
	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];
		struct gbuf allowed = {0};

		if ((row->flags & FIELD_REQUIRED) == 0 ||
		    node_get(group, str_of(row->name)) != NULL)
			continue;
		field_allowed(row, &allowed);
		check_error(c, row->name, "is missing; needed: %.*s", (int)allowed.n, allowed.p);
		gbuf_free(&allowed);
	}
}

void
field_read(const struct fields *f, const struct node *group, const char *const *also, void *self,
    struct conf_check *c)
{
	fields_default(f, self);
	for (const struct node *n = group->first; n != NULL; n = n->next)
		if (!is_read_elsewhere(n->name, also))
			read_child(f, n, also, self, c);
	check_required(f, group, c);
	if (f->check != NULL)
		f->check(self, c);
}
