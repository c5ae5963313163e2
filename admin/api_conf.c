/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole configuration: as it is in force here, and in the form that is the same, octet for
 * octet, on every instance that has the same objects.
 */
#include "admin/admin_priv.h"
#include "conf/show.h"

/* An object as `config` shows it: its settings, and where they come from. */
static json_t *
object_json(const struct conf_object *o, bool all)
{
	json_t *j = object_settings(o, all);

	if (j == NULL)
		return json_pack(
		    "{s:o, s:s}", "id", json_of_str(o->id), "error", "malformed value");
	json_object_set_new(j, "id", json_of_str(o->id));
	json_object_set_new(j, "source", json_of_str(o->source));
	if (o->file.n > 0) {
		json_object_set_new(j, "file", json_of_str(o->file));
		json_object_set_new(j, "line", json_integer(o->line));
	}
	json_object_set_new(j, "generation", json_integer((json_int_t)o->version));
	return j;
}

static json_t *
objects_json(struct call *c, enum conf_kind kind, bool all)
{
	json_t *list = json_array();
	uint32_t number = 0;
	struct conf_object o;

	while (table_next(c->a->table, kind, &number, &o) == 1)
		json_array_append_new(list, object_json(&o, all));
	return list;
}

/* The settings object stands at the top level, the others in their lists, by id. */
static void
object_text(const struct conf_object *o, bool first, bool all, struct gbuf *out)
{
	const struct fields *fields = object_kinds[o->kind].fields;
	bool top = o->kind == CONF_SETTINGS;
	struct ws ws;
	void *body;

	ws_init(&ws, NULL, 0);
	body = object_body(o, &ws);
	if (!top)
		gbuf_printf(out, "%s\t{\n\t\tid = \"%.*s\";\n", first ? "" : ",\n", STR_ARG(o->id));
	if (body != NULL)
		show_libconfig(fields, body, all, top ? 0 : 2, out);
	if (!top)
		gbuf_printf(out, "\t}");
	ws_free(&ws);
}

static void
kind_text(struct call *c, enum conf_kind kind, bool all, struct str source, struct gbuf *out)
{
	struct str after = STR("");
	struct conf_object o;
	bool first = true;

	if (kind != CONF_SETTINGS)
		gbuf_printf(out, "%s = (\n", object_kinds[kind].list);
	while (table_after(c->a->table, kind, after, &o) == 1) {
		after = o.id;
		if (source.n > 0 && !str_eq(o.source, source))
			continue;
		object_text(&o, first, all, out);
		first = false;
	}
	if (kind != CONF_SETTINGS)
		gbuf_printf(out, "%s);\n", first ? "" : "\n");
}

static void
answer_text(struct call *c, struct gbuf *out)
{
	session_answer(c->s, 200, "text/plain; charset=utf-8", str_n(out->p, out->n));
	gbuf_free(out);
}

/* ?format=libconfig. 1 or 0; -1 after a 400 was answered. */
static int
wants_text(struct call *c)
{
	struct str v;

	if (call_query(c, "format", 0, &v) != 1 || str_eq(v, STR("json")))
		return 0;
	if (str_eq(v, STR("libconfig")))
		return 1;
	session_problem(
	    c->s, 400, "format: \"%.*s\"; allowed: \"json\", \"libconfig\"", STR_ARG(v));
	return -1;
}

void
api_config(struct call *c)
{
	bool all = call_flag(c, "all");
	int text = wants_text(c);
	struct gbuf out = {0};
	json_t *j;

	if (text < 0)
		return;
	for (unsigned kind = 0; text && kind < CONF_KIND_COUNT; kind++)
		kind_text(c, kind, all, STR(""), &out);
	if (text) {
		answer_text(c, &out);
		return;
	}
	j = json_object();
	for (unsigned kind = 0; kind < CONF_KIND_COUNT; kind++)
		json_object_set_new(j, kind == CONF_SETTINGS ? "settings" : object_kinds[kind].list,
		    objects_json(c, kind, all));
	call_json(c, 200, j);
}

/* --- export ----------------------------------------------------------------------------------- */

/* One object a line, members sorted, what is said and not defaults: equal objects, equal octets. */
static void
export_kind(struct call *c, enum conf_kind kind, bool first, struct str source, struct gbuf *out)
{
	struct str after = STR("");
	struct conf_object o;
	const char *sep = "";

	gbuf_printf(out, "%s\"%s\": [", first ? "" : ",\n", object_kinds[kind].list);
	while (table_after(c->a->table, kind, after, &o) == 1) {
		json_t *j;
		char *text;

		after = o.id;
		if (source.n > 0 && !str_eq(o.source, source))
			continue;
		j = object_settings(&o, false);
		if (j == NULL)
			continue;
		json_object_set_new(j, "id", json_of_str(o.id));
		text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
		json_decref(j);
		gbuf_printf(out, "%s\n", sep);
		gbuf_str(out, str_of(text));
		free(text);
		sep = ",";
	}
	gbuf_printf(out, "\n]");
}

/* The kind ?kind= names, CONF_KIND_COUNT for all. -1 after a 400 was answered. */
static int
export_only(struct call *c)
{
	struct str v;

	if (call_query(c, "kind", 0, &v) != 1)
		return CONF_KIND_COUNT;
	for (unsigned k = CONF_SETTINGS + 1; k < CONF_KIND_COUNT; k++)
		if (str_eq(v, str_of(object_kinds[k].list)) ||
		    str_eq(v, str_of(object_kinds[k].word)))
			return (int)k;
	session_problem(c->s, 400,
	    "kind: \"%.*s\"; allowed: \"listeners\", \"services\", \"routes\", \"certificates\"",
	    STR_ARG(v));
	return -1;
}

void
api_export(struct call *c)
{
	int text = wants_text(c), only = text >= 0 ? export_only(c) : -1;
	struct str source = STR("");
	struct gbuf out = {0};
	bool first = true;

	if (only < 0)
		return;
	(void)call_query(c, "source", 0, &source);
	if (!text)
		gbuf_str(&out, STR("{\n"));
	for (unsigned kind = CONF_SETTINGS + 1; kind < CONF_KIND_COUNT; kind++) {
		if (only != CONF_KIND_COUNT && kind != (unsigned)only)
			continue;
		if (text)
			kind_text(c, kind, false, source, &out);
		else
			export_kind(c, kind, first, source, &out);
		first = false;
	}
	if (text) {
		answer_text(c, &out);
		return;
	}
	gbuf_str(&out, STR("\n}\n"));
	session_answer(c->s, 200, "application/json", str_n(out.p, out.n));
	gbuf_free(&out);
}
