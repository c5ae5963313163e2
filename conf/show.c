/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects as libconfig text.
 */
#include "conf/show.h"

#include "conf/field_text.h"
#include "conf/policy.h"
#include "conf/show_row.h"

static void show_rows(
    const struct fields *f, const void *self, bool all, unsigned depth, struct gbuf *out);

bool
show_wanted(const struct fields *f, const struct field *row, const void *self, bool all)
{
	if ((row->flags & FIELD_DERIVED) != 0)
		return false;
	if ((row->flags & (FIELD_REQUIRED | FIELD_SHOWN)) != 0)
		return true;
	if (all && (row->def != NULL || row->type == F_GROUP))
		return true;
	return !field_is_default(f, row, self);
}

static void
put_indent(unsigned depth, struct gbuf *out)
{
	while (depth-- > 0)
		gbuf_u8(out, '\t');
}

static void
put_octet(struct str s, size_t i, struct gbuf *out)
{
	static const char plain[] = "\n\r\t\f\\\"", letter[] = "nrtf\\\"";
	const char *escape = s.p[i] != '\0' ? strchr(plain, s.p[i]) : NULL;

	if (escape != NULL)
		gbuf_printf(out, "\\%c", letter[escape - plain]);
	else if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
		gbuf_printf(out, "\\x%02x", (unsigned char)s.p[i]);
	else
		gbuf_u8(out, (uint8_t)s.p[i]);
	/* Read again, "${" and "$$" would mean something. */
	if (s.p[i] == '$' && i + 1 < s.n && (s.p[i + 1] == '{' || s.p[i + 1] == '$'))
		gbuf_u8(out, '$');
}

static void
put_quoted(struct str s, struct gbuf *out)
{
	gbuf_u8(out, '"');
	for (size_t i = 0; i < s.n; i++)
		put_octet(s, i, out);
	gbuf_u8(out, '"');
}

static void
put_scalar(const struct field *row, const void *at, struct gbuf *out)
{
	struct gbuf text = {0};

	field_text(row, at, &text);
	if (field_quoted(row))
		put_quoted(str_n(text.p, text.n), out);
	else
		gbuf_str(out, str_n(text.p, text.n));
	gbuf_free(&text);
}

static void
put_strings(const struct strs *list, struct gbuf *out)
{
	gbuf_str(out, STR("["));
	for (uint32_t i = 0; i < list->n; i++) {
		gbuf_str(out, i == 0 ? STR(" ") : STR(", "));
		put_quoted(list->v[i], out);
	}
	gbuf_str(out, STR(" ]"));
}

static void
put_cidrs(const struct cidrs *list, struct gbuf *out)
{
	gbuf_str(out, STR("["));
	for (uint32_t i = 0; i < list->n; i++) {
		gbuf_str(out, i == 0 ? STR(" \"") : STR(", \""));
		cidr_text(&list->v[i], out);
		gbuf_str(out, STR("\""));
	}
	gbuf_str(out, STR(" ]"));
}

static void
put_group(const struct fields *f, const void *self, bool all, unsigned depth, struct gbuf *out)
{
	gbuf_str(out, STR("{\n"));
	show_rows(f, self, all, depth + 1, out);
	put_indent(depth, out);
	gbuf_str(out, STR("}"));
}

static void
put_list(const struct field *row, const struct conf_list *list, bool all, unsigned depth,
    struct gbuf *out)
{
	gbuf_str(out, STR("("));
	for (uint32_t i = 0; i < list->n; i++) {
		gbuf_str(out, i == 0 ? STR(" ") : STR(", "));
		put_group(row->sub, (const char *)list->v + i * row->sub->size, all, depth, out);
	}
	gbuf_str(out, STR(" )"));
}

static void
put_policies(const struct conf_list *list, bool all, unsigned depth, struct gbuf *out)
{
	const struct conf_policy *p = list->v;

	gbuf_str(out, STR("("));
	for (uint32_t i = 0; i < list->n; i++) {
		gbuf_str(out, i == 0 ? STR(" {\n") : STR(", {\n"));
		put_indent(depth + 1, out);
		gbuf_printf(out, "policy = \"%s\";\n", p[i].type->name);
		show_rows(p[i].type->fields, p[i].conf, all, depth + 1, out);
		put_indent(depth, out);
		gbuf_str(out, STR("}"));
	}
	gbuf_str(out, STR(" )"));
}

static void
put_value(const struct field *row, const void *at, bool all, unsigned depth, struct gbuf *out)
{
	switch (row->type) {
	case F_GROUP:
		put_group(row->sub, at, all, depth, out);
		return;
	case F_LIST:
		put_list(row, at, all, depth, out);
		return;
	case F_POLICIES:
		put_policies(at, all, depth, out);
		return;
	case F_STRINGS:
		put_strings(at, out);
		return;
	case F_CIDRS:
		put_cidrs(at, out);
		return;
	default:
		put_scalar(row, at, out);
		return;
	}
}

static void
show_rows(const struct fields *f, const void *self, bool all, unsigned depth, struct gbuf *out)
{
	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];

		if (!show_wanted(f, row, self, all))
			continue;
		put_indent(depth, out);
		gbuf_printf(out, "%s = ", row->name);
		put_value(row, field_at(row, self), all, depth, out);
		gbuf_str(out, STR(";\n"));
	}
}

void
show_libconfig(const struct fields *f, const void *self, bool all, unsigned depth, struct gbuf *out)
{
	show_rows(f, self, all, depth, out);
}

/* --- a whole file ----------------------------------------------------------------------------- */

static int
put_object(const struct conf_object *o, bool all, struct gbuf *out)
{
	bool settings = o->kind == CONF_SETTINGS;
	struct ws ws;
	void *self;

	ws_init(&ws, NULL, 0);
	self = object_body(o, &ws);
	if (self != NULL && settings) {
		show_rows(object_kinds[o->kind].fields, self, all, 0, out);
	} else if (self != NULL) {
		gbuf_printf(out, "\t{\n\t\tid = \"%.*s\";\n", STR_ARG(o->id));
		show_rows(object_kinds[o->kind].fields, self, all, 2, out);
		gbuf_str(out, STR("\t}"));
	}
	ws_free(&ws);
	return self != NULL ? 1 : -1;
}

int
show_objects(const struct conf_object *v, uint32_t n, bool all, struct gbuf *out)
{
	for (uint32_t i = 0; i < n; i++) {
		bool list = v[i].kind != CONF_SETTINGS;
		bool first = i == 0 || v[i - 1].kind != v[i].kind;
		bool last = i + 1 == n || v[i + 1].kind != v[i].kind;

		if (list && first)
			gbuf_printf(out, "\n%s = (\n", object_kinds[v[i].kind].list);
		if (put_object(&v[i], all, out) < 0)
			return -1;
		if (list)
			gbuf_str(out, last ? STR("\n);\n") : STR(",\n"));
	}
	return 1;
}
