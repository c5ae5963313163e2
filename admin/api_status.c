/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that show the instance as a whole: status, workers, stats, metrics.
 */
#include <sys/stat.h>

#include <unistd.h>

#include "admin/admin_priv.h"
#include "shm/base/clock.h"

#define LOAD(word) atomic_load_explicit(&(word), memory_order_relaxed)

static const char *
admin_state_word(struct admin *a)
{
	if (LOAD(a->procs->draining))
		return "draining";
	return LOAD(a->procs->ready) ? "ready" : "starting";
}

static unsigned
workers_up(struct admin *a)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PROCS_MAX; i++)
		n += LOAD(a->procs->row[i].kind) == PROC_WORKER &&
		     LOAD(a->procs->row[i].state) == PROC_UP;
	return n;
}

static json_t *
reload_json(struct admin *a, bool with_error)
{
	struct procs *p = a->procs;
	bool ok = LOAD(p->last_reload_ok);
	json_t *j = json_object();

	json_object_set_new(j, "succeeded", json_integer((json_int_t)LOAD(p->reloads_ok)));
	json_object_set_new(j, "failed", json_integer((json_int_t)LOAD(p->reloads_failed)));
	json_object_set_new(j, "last", json_of_wall(LOAD(p->last_reload_us)));
	json_object_set_new(j, "last_ok", json_boolean(ok));
	if (with_error && !ok) {
		size_t n = strnlen(p->last_reload_error, sizeof(p->last_reload_error));

		json_object_set_new(j, "last_error", json_of_str(str_n(p->last_reload_error, n)));
	}
	return j;
}

static json_t *
status_json(struct call *c, bool full)
{
	struct admin *a = c->a;
	const struct conf_settings *s = admin_settings(a, c->ws);
	uint64_t up_us = clock_wall_us() - a->h->started_wall_us;
	json_t *j = json_object();

	json_object_set_new(j, "status", json_string(admin_state_word(a)));
	json_object_set_new(j, "instance", json_of_str(s != NULL ? s->instance : STR("")));
	json_object_set_new(j, "version", json_string(GW_VERSION));
	json_object_set_new(j, "started", json_of_wall(a->h->started_wall_us));
	json_object_set_new(j, "uptime_seconds", json_integer((json_int_t)(up_us / 1000000)));
	json_object_set_new(j, "generation", json_integer((json_int_t)table_generation(a->table)));
	json_object_set_new(j, "workers", json_integer(workers_up(a)));
	json_object_set_new(
	    j, "routes", json_integer((json_int_t)table_count(a->table, CONF_ROUTE)));
	json_object_set_new(
	    j, "services", json_integer((json_int_t)table_count(a->table, CONF_SERVICE)));
	json_object_set_new(j, "reloads", reload_json(a, full));
	return j;
}

void
api_status(struct call *c)
{
	call_json(c, 200, status_json(c, false));
}

/* Processes that ended and wait for the end of their back-off. */
static json_t *
waiting_json(struct admin *a)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < PROCS_MAX; i++) {
		struct proc_row *row = &a->procs->row[i];

		if (LOAD(row->state) == PROC_DEAD)
			json_array_append_new(
			    list, json_sprintf("%s %u", proc_kind_word(LOAD(row->kind)),
				      (unsigned)LOAD(row->slot)));
	}
	return list;
}

/* Endpoints whose names did not resolve: each stays down until a reload finds it. */
static json_t *
unresolved_json(struct admin *a)
{
	json_t *list = json_array();
	uint32_t number = 0;
	struct conf_object o;

	while (table_next(a->table, CONF_SERVICE, &number, &o) == 1) {
		struct endpoint_set set;

		if (table_endpoints(a->table, o.number, &set) != 1)
			continue;
		for (uint32_t i = 0; i < set.n; i++) {
			struct endpoint_ref e;

			if (endpoint_set_get(&set, i, &e) == 1 && e.unresolved)
				json_array_append_new(list, endpoint_json(a, o.id, &e));
		}
	}
	return list;
}

static json_t *
fill_json(struct admin *a)
{
	struct table_fill f;
	struct arena_head *h = arena_head(a->arena);

	table_fill(a->table, &f);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "map_used_bytes",
	    (json_int_t)f.used_bytes, "map_bytes", (json_int_t)f.map_bytes, "map_readers",
	    (json_int_t)f.readers, "objects", (json_int_t)f.objects, "endpoint_rows_used",
	    (json_int_t)arena_endpoints_used(a->arena), "endpoint_rows", (json_int_t)h->endpoints);
}

void
api_status_full(struct call *c)
{
	struct admin *a = c->a;
	json_t *j = status_json(c, true);

	json_object_set_new(j, "config_file", json_string(a->h->conf_file));
	json_object_set_new(j, "run_directory", json_string(a->h->run_dir));
	json_object_set_new(j, "master_pid", json_integer(a->h->master));
	json_object_set_new(j, "console", console_json(c));
	json_object_set_new(j, "fill", fill_json(a));
	json_object_set_new(j, "waiting_to_start", waiting_json(a));
	json_object_set_new(j, "unresolved", unresolved_json(a));
	json_object_set_new(j, "metrics_listener",
	    a->metrics_error == NULL ? json_string("ok") : json_string(a->metrics_error));
	call_json(c, 200, j);
}

static json_t *
proc_json(struct admin *a, struct proc_row *row)
{
	static const char *const states[] = {"empty", "starting", "up", "draining", "dead"};
	uint32_t state = LOAD(row->state), slot = LOAD(row->slot);
	uint64_t beat = LOAD(row->beat_ms), now = clock_ms();
	json_t *j = json_object();

	json_object_set_new(j, "kind", json_string(proc_kind_word(LOAD(row->kind))));
	json_object_set_new(j, "slot", json_integer(slot));
	json_object_set_new(j, "pid", json_integer(LOAD(row->pid)));
	json_object_set_new(
	    j, "state", json_string(state < ARRAY_LEN(states) ? states[state] : "unknown"));
	json_object_set_new(j, "started", json_of_wall(LOAD(row->started_us)));
	json_object_set_new(j, "restarts", json_integer(LOAD(row->restarts)));
	json_object_set_new(j, "generation", json_integer((json_int_t)LOAD(row->generation)));
	json_object_set_new(
	    j, "heartbeat_age_ms", json_integer((json_int_t)(now > beat ? now - beat : 0)));
	json_object_set_new(j, "rss_bytes", json_integer((json_int_t)LOAD(row->rss)));
	json_object_set_new(j, "cpu_us", json_integer((json_int_t)LOAD(row->cpu_us)));
	json_object_set_new(j, "fds", json_integer((json_int_t)LOAD(row->fds)));
	if (LOAD(row->kind) == PROC_WORKER) {
		json_object_set_new(j, "connections",
		    json_integer((json_int_t)metric_slot(a->metrics, slot, M_PROC_CONNS_ACTIVE)));
		json_object_set_new(j, "requests",
		    json_integer((json_int_t)metric_slot(a->metrics, slot, M_PROC_REQUESTS)));
	}
	return j;
}

void
api_workers(struct call *c)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < PROCS_MAX; i++) {
		struct proc_row *row = &c->a->procs->row[i];

		if (LOAD(row->state) != PROC_EMPTY)
			json_array_append_new(list, proc_json(c->a, row));
	}
	call_json(c, 200, json_pack("{s:o}", "processes", list));
}

void
api_stats(struct call *c)
{
	struct metrics *m = c->a->metrics;
	json_t *counters = json_object(), *reasons = json_object();

	for (unsigned i = 0; i < METRIC_ALL_COUNT; i++)
		if (metric_table[i].scope == METRIC_PROC)
			json_object_set_new(counters, metric_table[i].exported,
			    json_integer((json_int_t)metric_sum(m, i)));
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		uint64_t n = metric_reason_sum(m, i);

		if (n > 0)
			json_object_set_new(
			    reasons, reason_table[i].word, json_integer((json_int_t)n));
	}
	call_json(c, 200, json_pack("{s:o, s:o}", "counters", counters, "reasons", reasons));
}

void
api_metrics(struct call *c)
{
	struct gbuf out = {0};

	openmetrics_write(c->a, &out);
	session_answer(
	    c->s, 200, "text/plain; version=0.0.4; charset=utf-8", (struct str){out.p, out.n});
	gbuf_free(&out);
}
