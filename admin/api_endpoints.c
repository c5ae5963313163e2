/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls about endpoints: what they are doing, verdicts, and sets of their own rhythm.
 */
#include "admin/admin_priv.h"
#include "shm/base/clock.h"
#include "shm/base/num.h"

#define LOAD(word) atomic_load_explicit(&(word), memory_order_relaxed)

/* The one word for an endpoint that people look for first. */
static const char *
state_word(struct admin *a, const struct endpoint_ref *e)
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
	json_object_set_new(j, "state", json_string(state_word(a, e)));
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

json_t *
service_state(struct admin *a, const struct conf_object *o)
{
	struct endpoint_set set = {0};
	unsigned usable = 0;
	int64_t inflight = 0;

	if (table_endpoints(a->table, o->number, &set) != 1)
		set.n = 0;
	for (uint32_t i = 0; i < set.n; i++) {
		struct endpoint_ref e;

		if (endpoint_set_get(&set, i, &e) != 1 || e.unresolved)
			continue;
		usable += strcmp(state_word(a, &e), "up") == 0;
		inflight += endpoint_inflight(a->arena, e.row);
	}
	json_t *j = json_object();

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

	while (table_next(c->a->table, CONF_SERVICE, &number, &o) == 1) {
		json_t *j = service_state(c->a, &o);

		json_object_set_new(j, "id", json_of_str(o.id));
		json_array_append_new(list, j);
	}
	call_json(c, 200, json_pack("{s:o}", "services", list));
}

/* --- what is asked of the keeper -------------------------------------------------------------- */

static void
endpoints_change(struct call *c, const char *op, json_t *value)
{
	json_t *one = json_pack(
	    "{s:s, s:s, s:o}", "op", op, "kind", "endpoints", "id", json_of_str(c->arg[0]));

	if (value != NULL)
		json_object_set_new(one, "value", value);
	change_send(c, json_pack("{s:[o]}", "changes", one));
}

/* The service whose endpoints the path names. False after 404 was answered. */
static bool
service_there(struct call *c)
{
	struct conf_object o;

	if (table_find(c->a->table, CONF_SERVICE, c->arg[0], &o) == 1)
		return true;
	session_problem(c->s, 404, "no service \"%.*s\"", STR_ARG(c->arg[0]));
	return false;
}

void
api_endpoint_list(struct call *c)
{
	json_t *list = json_array();
	struct conf_object o;

	if (table_find(c->a->table, CONF_SERVICE, c->arg[0], &o) == 1) {
		endpoints_append(c, &o, list);
		call_json(c, 200, json_pack("{s:O}", "endpoints", list));
	} else {
		session_problem(c->s, 404, "no service \"%.*s\"", STR_ARG(c->arg[0]));
	}
	json_decref(list);
}

static void
endpoints_from_body(struct call *c, const char *op)
{
	json_t *in = service_there(c) ? call_body(c) : NULL;

	if (in != NULL)
		endpoints_change(c, op, in);
}

void
api_endpoints_put(struct call *c)
{
	endpoints_from_body(c, "put");
}

void
api_endpoints_add(struct call *c)
{
	endpoints_from_body(c, "add");
}

void
api_endpoints_reset(struct call *c)
{
	if (service_there(c))
		endpoints_change(c, "delete", NULL);
}

/* Its name, as lists show it, is the address: most are http://ADDRESS. */
void
api_endpoints_remove(struct call *c)
{
	struct str e = c->arg[1];
	bool url = str_find(e, STR("://")) >= 0 || str_starts(e, STR("unix:"));
	struct str full = url ? e : ws_printf(c->ws, "http://%.*s", STR_ARG(e));

	if (service_there(c))
		endpoints_change(
		    c, "remove", json_pack("{s:[{s:o}]}", "endpoints", "url", json_of_str(full)));
}

/* {"verdict": "down"} or {"weight": 5} or both, with {"expires": "10m"}; judged by the keeper. */
void
api_verdict(struct call *c)
{
	struct str id = ws_printf(c->ws, "%.*s/%.*s", STR_ARG(c->arg[0]), STR_ARG(c->arg[1]));
	json_t *in = call_body(c), *one;

	if (in == NULL)
		return;
	one = json_pack("{s:s, s:s, s:o, s:o}", "op", "put", "kind", "verdict", "id",
	    json_of_str(id), "value", in);
	change_send(c, json_pack("{s:[o]}", "changes", one));
}
