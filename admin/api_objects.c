/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that show objects: a page of a kind, one of them.
 */
#include <inttypes.h>

#include "admin/admin_priv.h"
#include "conf/document.h"
#include "conf/route.h"
#include "conf/show.h"

#define LIST_MAX     1000
#define LIST_DEFAULT 100
/* Objects a filtered page looks at: a page may be short, "next" says whether there is more. */
#define LIST_LOOKS 20000

json_t *
object_settings(const struct conf_object *o, bool all)
{
	struct ws ws;
	void *body;
	json_t *j;

	ws_init(&ws, NULL, 0);
	body = object_body(o, &ws);
	j = body != NULL ? show_json(object_kinds[o->kind].fields, body, all) : NULL;
	ws_free(&ws);
	return j;
}

static json_t *
object_meta(const struct conf_object *o)
{
	json_t *j = json_pack(
	    "{s:o, s:I}", "source", json_of_str(o->source), "version", (json_int_t)o->version);

	if (o->override.n > 0)
		json_object_set_new(j, "override", json_of_str(o->override));
	if (o->file.n > 0) {
		json_object_set_new(j, "file", json_of_str(o->file));
		json_object_set_new(j, "line", json_integer(o->line));
	}
	return j;
}

/* An object as the API shows it: its settings, id, _meta; a service with _status. */
static json_t *
object_form(struct admin *a, const struct conf_object *o, bool all)
{
	json_t *j = object_settings(o, all);

	if (j == NULL)
		j = json_pack("{s:s}", "error", "malformed value");
	json_object_set_new(j, "id", json_of_str(o->id));
	json_object_set_new(j, "_meta", object_meta(o));
	if (o->kind == CONF_SERVICE)
		json_object_set_new(j, "_status", service_state(a, o));
	return j;
}

struct list_filter {
	uint64_t limit;
	struct str after, source, q, service;
};

/* False after a 400 was answered. */
static bool
filter_read(struct call *c, struct list_filter *f)
{
	if (call_number(c, "limit", 1, LIST_MAX, LIST_DEFAULT, &f->limit) < 0)
		return false;
	f->after = f->source = f->q = f->service = STR("");
	(void)call_query(c, "after", 0, &f->after);
	(void)call_query(c, "source", 0, &f->source);
	(void)call_query(c, "q", 0, &f->q);
	(void)call_query(c, "service", 0, &f->service);
	return true;
}

static bool
goes_to(const struct conf_object *o, struct str service)
{
	const struct conf_route *r;
	struct ws ws;
	bool goes;

	if (o->kind != CONF_ROUTE)
		return false;
	ws_init(&ws, NULL, 0);
	r = object_body(o, &ws);
	goes = r != NULL && str_eq(r->service, service);
	ws_free(&ws);
	return goes;
}

static bool
filter_takes(const struct list_filter *f, const struct conf_object *o)
{
	return (f->source.n == 0 || str_eq(o->source, f->source)) &&
	       (f->q.n == 0 || str_find(o->id, f->q) >= 0) &&
	       (f->service.n == 0 || goes_to(o, f->service));
}

/* Fills `list`; true when there may be more after *last_r. */
static bool
list_page(struct call *c, const struct list_filter *f, json_t *list, struct str *last_r)
{
	bool all = call_flag(c, "all");
	struct str after = f->after;
	struct conf_object o;

	for (unsigned looks = 0; table_after(c->a->table, c->kind, after, &o) == 1; looks++) {
		if (json_array_size(list) == f->limit || looks == LIST_LOOKS) {
			*last_r = after;
			return true;
		}
		after = o.id;
		if (filter_takes(f, &o))
			json_array_append_new(list, object_form(c->a, &o, all));
	}
	return false;
}

void
api_list(struct call *c)
{
	struct list_filter f;
	struct str last = STR("");
	json_t *list;

	if (!filter_read(c, &f))
		return;
	list = json_array();
	bool more = list_page(c, &f, list, &last);

	call_json(c, 200,
	    json_pack("{s:o, s:o, s:I}", object_kinds[c->kind].list, list, "next",
		more ? json_of_str(last) : json_null(), "total",
		(json_int_t)table_count(c->a->table, c->kind)));
}

static void
answer_libconfig(struct call *c, const struct conf_object *o)
{
	struct gbuf out = {0};

	if (show_objects(o, 1, call_flag(c, "all"), &out) < 0)
		session_problem(c->s, 500, "the stored value is malformed");
	else
		session_answer(c->s, 200, "text/plain; charset=utf-8", str_n(out.p, out.n));
	gbuf_free(&out);
}

void
api_get(struct call *c)
{
	struct conf_object o;
	struct str format;
	uint64_t known;

	if (call_condition(c, STR("If-None-Match"), &known) < 0)
		return;
	if (table_find(c->a->table, c->kind, c->arg[0], &o) != 1) {
		session_problem(
		    c->s, 404, "no %s \"%.*s\"", object_kinds[c->kind].word, STR_ARG(c->arg[0]));
		return;
	}
	session_header(c->s, "ETag: \"%" PRIu64 "\"", o.version);
	if (known == o.version || known == IF_ANY)
		session_answer(c->s, 304, "", STR(""));
	else if (call_query(c, "format", 0, &format) == 1 && str_eq(format, STR("libconfig")))
		answer_libconfig(c, &o);
	else
		call_json(c, 200, object_form(c->a, &o, call_flag(c, "all")));
}
