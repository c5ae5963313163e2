/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that show what is configured: services, endpoints, routes, the whole configuration.
 */
#include "admin/admin_priv.h"
#include "conf/route.h"
#include "conf/service.h"
#include "conf/show.h"
#include "shm/base/clock.h"
#include "shm/base/num.h"

#define LOAD(word) atomic_load_explicit(&(word), memory_order_relaxed)

/* The one word for an endpoint that people look for first. */
const char *
endpoint_state_word(struct admin *a, const struct endpoint_ref *e)
{
	const struct endpoint_row *row = arena_endpoint(a->arena, e->row);
	uint64_t until;

	if (e->unresolved)
		return "unresolved";
	if (row == NULL)
		return "unknown";
	until = LOAD(row->verdict_until_us);
	uint32_t verdict = LOAD(row->verdict);

	if (until != 0 && until <= clock_wall_us())
		verdict = VERDICT_NONE;
	if (verdict == VERDICT_DOWN)
		return "down";
	if (verdict == VERDICT_DRAIN)
		return "drain";
	return endpoint_usable(row, clock_ms(), clock_wall_us()) ? "up" : "ejected";
}

static void
endpoint_row_json(json_t *j, const struct endpoint_ref *e, const struct endpoint_row *row)
{
	uint32_t weight = LOAD(row->weight), verdict = LOAD(row->verdict);
	uint64_t ejected = LOAD(row->ejected_until_ms), now = clock_ms();

	json_object_set_new(j, "weight", json_integer(weight != WEIGHT_UNSET ? weight : e->weight));
	json_object_set_new(j, "verdict",
	    json_string(verdict < VERDICT_COUNT ? endpoint_verdict_names[verdict] : "unknown"));
	json_object_set_new(j, "verdict_until", json_of_wall(LOAD(row->verdict_until_us)));
	json_object_set_new(j, "in_flight", json_integer((json_int_t)LOAD(row->inflight)));
	json_object_set_new(j, "picks", json_integer((json_int_t)LOAD(row->picks)));
	json_object_set_new(j, "failures", json_integer((json_int_t)LOAD(row->failures)));
	json_object_set_new(j, "consecutive_failures", json_integer(LOAD(row->fails)));
	json_object_set_new(j, "ejections", json_integer(LOAD(row->ejections)));
	json_object_set_new(
	    j, "ejected_for_ms", json_integer(ejected > now ? (json_int_t)(ejected - now) : 0));
}

json_t *
endpoint_json(struct admin *a, struct str service, const struct endpoint_ref *e)
{
	char addr[128];
	const struct endpoint_row *row = arena_endpoint(a->arena, e->row);
	json_t *j = json_object();

	json_object_set_new(j, "service", json_of_str(service));
	json_object_set_new(j, "endpoint", json_of_str(e->name));
	json_object_set_new(j, "state", json_string(endpoint_state_word(a, e)));
	if (e->unresolved) {
		json_object_set_new(j, "error", json_of_str(e->error));
		return j;
	}
	json_object_set_new(
	    j, "address", json_stringn(addr, addr_text(&e->addr, addr, sizeof(addr))));
	json_object_set_new(j, "host", json_of_str(e->host));
	json_object_set_new(j, "base_path", json_of_str(e->base_path));
	json_object_set_new(j, "configured_weight", json_integer(e->weight));
	if (row != NULL)
		endpoint_row_json(j, e, row);
	return j;
}

static void
endpoints_append(struct call *c, const struct conf_object *o, json_t *list)
{
	struct endpoint_set set;

	if (table_endpoints(c->a->table, o->number, &set) != 1)
		return;
	for (uint32_t i = 0; i < set.n; i++) {
		struct endpoint_ref e;

		if (endpoint_set_get(&set, i, &e) == 1)
			json_array_append_new(list, endpoint_json(c->a, o->id, &e));
	}
}

void
api_endpoints(struct call *c)
{
	json_t *list;
	uint32_t number = 0;
	struct conf_object o;
	struct str only;
	bool filtered = call_query(c, "service", 0, &only) == 1;

	if (filtered && table_find(c->a->table, CONF_SERVICE, only, &o) != 1) {
		session_problem(c->s, 404, "no service \"%.*s\"", STR_ARG(only));
		return;
	}
	list = json_array();
	while (table_next(c->a->table, CONF_SERVICE, &number, &o) == 1)
		if (!filtered || str_eq(o.id, only))
			endpoints_append(c, &o, list);
	call_json(c, 200, json_pack("{s:o}", "endpoints", list));
}

static json_t *
service_json(struct call *c, const struct conf_object *o)
{
	struct endpoint_set set = {0};
	unsigned usable = 0;
	int64_t inflight = 0;

	if (table_endpoints(c->a->table, o->number, &set) != 1)
		set.n = 0;
	for (uint32_t i = 0; i < set.n; i++) {
		struct endpoint_ref e;

		if (endpoint_set_get(&set, i, &e) != 1 || e.unresolved)
			continue;
		usable += strcmp(endpoint_state_word(c->a, &e), "up") == 0;
		inflight += endpoint_inflight(c->a->arena, e.row);
	}
	json_t *j = json_object();

	json_object_set_new(j, "id", json_of_str(o->id));
	json_object_set_new(j, "endpoints", json_integer(set.n));
	json_object_set_new(j, "usable", json_integer(usable));
	json_object_set_new(j, "in_flight", json_integer(inflight));
	json_object_set_new(j, "status",
	    json_string(usable == 0      ? "down"
			: usable < set.n ? "degraded"
					 : "up"));
	return j;
}

void
api_services(struct call *c)
{
	json_t *list = json_array();
	uint32_t number = 0;
	struct conf_object o;

	while (table_next(c->a->table, CONF_SERVICE, &number, &o) == 1)
		json_array_append_new(list, service_json(c, &o));
	call_json(c, 200, json_pack("{s:o}", "services", list));
}

/* An object as JSON: id, origin, then its settings. NULL when its value is malformed. */
static json_t *
object_json(struct call *c, const struct conf_object *o, bool all)
{
	struct ws ws;
	void *body;
	json_t *j;

	ws_init(&ws, NULL, 0);
	body = object_body(o, &ws);
	j = body != NULL ? show_json(object_kinds[o->kind].fields, body, all) : NULL;
	ws_free(&ws);
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
	(void)c;
	return j;
}

static json_t *
objects_json(struct call *c, enum conf_kind kind, bool all)
{
	json_t *list = json_array();
	uint32_t number = 0;
	struct conf_object o;

	while (table_next(c->a->table, kind, &number, &o) == 1)
		json_array_append_new(list, object_json(c, &o, all));
	return list;
}

void
api_routes(struct call *c)
{
	call_json(c, 200, json_pack("{s:o}", "routes", objects_json(c, CONF_ROUTE, false)));
}

/* The settings object stands at the top level, the others in their lists. */
static void
config_text_kind(struct call *c, enum conf_kind kind, bool all, struct gbuf *out)
{
	const struct object_kind *k = &object_kinds[kind];
	uint32_t number = 0, n = 0;
	struct conf_object o;

	if (kind != CONF_SETTINGS)
		gbuf_printf(out, "%s = (\n", k->list);
	while (table_next(c->a->table, kind, &number, &o) == 1) {
		struct ws ws;
		void *body;

		ws_init(&ws, NULL, 0);
		body = object_body(&o, &ws);
		if (kind != CONF_SETTINGS)
			gbuf_printf(out, "%s\t{\n\t\tid = \"%.*s\";\n", n++ > 0 ? ",\n" : "",
			    STR_ARG(o.id));
		if (body != NULL)
			show_libconfig(k->fields, body, all, kind == CONF_SETTINGS ? 0 : 2, out);
		if (kind != CONF_SETTINGS)
			gbuf_printf(out, "\t}");
		ws_free(&ws);
	}
	if (kind != CONF_SETTINGS)
		gbuf_printf(out, "%s);\n", n > 0 ? "\n" : "");
}

void
api_config(struct call *c)
{
	struct str v;
	bool all = call_query(c, "all", 0, &v) == 1;
	bool text = call_query(c, "format", 0, &v) == 1 && str_eq(v, STR("libconfig"));
	json_t *j = json_object();
	struct gbuf out = {0};

	for (unsigned kind = 0; kind < CONF_KIND_COUNT; kind++) {
		const char *list = kind == CONF_SETTINGS ? "settings" : object_kinds[kind].list;

		if (text)
			config_text_kind(c, kind, all, &out);
		else
			json_object_set_new(j, list, objects_json(c, kind, all));
	}
	if (text)
		session_answer(c->s, 200, "text/plain; charset=utf-8", (struct str){out.p, out.n});
	else
		call_json(c, 200, json_incref(j));
	json_decref(j);
	gbuf_free(&out);
}
