/* SPDX-License-Identifier: Apache-2.0
 *
 * /metrics: the Prometheus text format (0.0.4) from shared memory. Workers only bump counters; the
 * cost of a scrape is here.
 */
#include <inttypes.h>

#include "admin/admin_priv.h"
#include "conf/service.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"

#define LOAD(word) atomic_load_explicit(&(word), memory_order_relaxed)

struct exposition {
	struct admin *a;
	struct gbuf *out;
	struct row_name {
		enum metric_scope scope; /* PROC: nobody's, not written */
		struct str id;           /* in the map */
	} * row;                         /* of metrics; [0] is "(other)", in every scope */
	uint32_t rows, rows_used;
};

void
openmetrics_family(struct gbuf *out, const char *name, const char *type, const char *help)
{
	gbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void
openmetrics_simple(
    struct gbuf *out, const char *name, const char *type, const char *help, uint64_t v)
{
	openmetrics_family(out, name, type, help);
	gbuf_printf(out, "%s %" PRIu64 "\n", name, v);
}

/* A label value: backslash, quote and newline escaped. */
void
openmetrics_label(struct gbuf *out, const char *name, struct str v)
{
	gbuf_printf(out, "%s=\"", name);
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == '\n') {
			gbuf_str(out, STR("\\n"));
			continue;
		}
		if (v.p[i] == '"' || v.p[i] == '\\')
			gbuf_u8(out, '\\');
		gbuf_u8(out, (uint8_t)v.p[i]);
	}
	gbuf_u8(out, '"');
}

static const char *
kind_word(enum metric_kind kind)
{
	return kind == METRIC_COUNTER ? "counter" : "gauge";
}

/* Rows of one name stand together. */
static bool
first_of_name(unsigned i)
{
	return i == 0 || strcmp(metric_table[i].exported, metric_table[i - 1].exported) != 0;
}

/* The label of a row of the table, "name=value". */
static void
own_label(struct gbuf *out, const char *label)
{
	const char *eq = strchr(label, '=');

	gbuf_printf(out, "%.*s=\"%s\"", (int)(eq - label), label, eq + 1);
}

static void
write_proc(struct exposition *x)
{
	for (unsigned i = 0; i < METRIC_ALL_COUNT; i++) {
		const struct metric_info *m = &metric_table[i];

		if (m->scope != METRIC_PROC)
			continue;
		if (first_of_name(i))
			openmetrics_family(x->out, m->exported, kind_word(m->kind), m->help);
		gbuf_printf(x->out, "%s", m->exported);
		if (m->label[0] != '\0') {
			gbuf_u8(x->out, '{');
			own_label(x->out, m->label);
			gbuf_u8(x->out, '}');
		}
		gbuf_printf(x->out, " %" PRIu64 "\n", metric_sum(x->a->metrics, i));
	}
	openmetrics_family(x->out, "gateway_errors_total", "counter",
	    "Requests that ended early or were answered here, by reason");
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++)
		gbuf_printf(x->out, "gateway_errors_total{reason=\"%s\"} %" PRIu64 "\n",
		    reason_table[i].word, metric_reason_sum(x->a->metrics, i));
}

/* Whose row it is. A number may have been given to another object since the row was taken. */
static void
name_row(struct exposition *x, uint32_t i)
{
	enum metric_scope scope;
	uint32_t number, incarnation;
	struct conf_object o;

	if (metric_row_key(x->a->metrics, i, &scope, &number, &incarnation) != 1)
		return;
	x->rows_used++;
	if (table_object(
		x->a->table, scope == METRIC_ROUTE ? CONF_ROUTE : CONF_SERVICE, number, &o) == 1 &&
	    metric_incarnation(o.id) == incarnation)
		x->row[i] = (struct row_name){scope, o.id};
}

static void
name_rows(struct exposition *x)
{
	x->rows = metric_rows(x->a->metrics);
	x->row = xcalloc(x->rows, sizeof(*x->row));
	x->row[0].id = STR("(other)");
	for (uint32_t i = 1; i < x->rows; i++)
		name_row(x, i);
}

static bool
row_name(const struct exposition *x, uint32_t row, enum metric_scope scope, struct str *name_r)
{
	if (row != 0 && x->row[row].scope != scope)
		return false;
	*name_r = x->row[row].id;
	return true;
}

static void
row_labels(struct gbuf *out, enum metric_scope scope, struct str name, const char *extra)
{
	gbuf_u8(out, '{');
	openmetrics_label(out, scope == METRIC_ROUTE ? "route" : "service", name);
	if (extra[0] != '\0') {
		gbuf_u8(out, ',');
		own_label(out, extra);
	}
	gbuf_u8(out, '}');
}

static void
write_labelled(struct exposition *x, unsigned id, bool first)
{
	const struct metric_info *m = &metric_table[id];

	if (first)
		openmetrics_family(x->out, m->exported, kind_word(m->kind), m->help);
	for (uint32_t row = 0; row < x->rows; row++) {
		struct str name;

		if (!row_name(x, row, m->scope, &name))
			continue;
		gbuf_printf(x->out, "%s", m->exported);
		row_labels(x->out, m->scope, name, m->label);
		gbuf_printf(x->out, " %" PRIu64 "\n", metric_row_sum(x->a->metrics, row, id));
	}
}

static void
write_rows(struct exposition *x)
{
	for (unsigned i = 0; i < METRIC_ALL_COUNT; i++) {
		const struct metric_info *m = &metric_table[i];

		if (m->scope == METRIC_PROC)
			continue;
		write_labelled(x, i, first_of_name(i));
	}
}

static void
write_buckets(struct exposition *x, const struct histogram_info *h, struct str name,
    const uint64_t buckets[METRIC_BUCKETS], uint64_t sum_us)
{
	uint64_t total = 0;
	const char *scope = h->scope == METRIC_ROUTE ? "route" : "service";

	for (unsigned b = 0; b < METRIC_BUCKETS; b++) {
		total += buckets[b];
		gbuf_printf(x->out, "%s_bucket{", h->exported);
		openmetrics_label(x->out, scope, name);
		if (metric_bucket_us[b] == UINT64_MAX)
			gbuf_printf(x->out, ",le=\"+Inf\"} %" PRIu64 "\n", total);
		else
			gbuf_printf(x->out, ",le=\"%g\"} %" PRIu64 "\n",
			    (double)metric_bucket_us[b] / 1e6, total);
	}
	gbuf_printf(x->out, "%s_sum{", h->exported);
	openmetrics_label(x->out, scope, name);
	gbuf_printf(x->out, "} %.6f\n%s_count{", (double)sum_us / 1e6, h->exported);
	openmetrics_label(x->out, scope, name);
	gbuf_printf(x->out, "} %" PRIu64 "\n", total);
}

static void
write_histogram(struct exposition *x, enum histogram_id id)
{
	const struct histogram_info *h = &histogram_table[id];

	openmetrics_family(x->out, h->exported, "histogram", h->help);
	for (uint32_t row = 0; row < x->rows; row++) {
		uint64_t buckets[METRIC_BUCKETS], sum_us;
		struct str name;

		if (!row_name(x, row, h->scope, &name))
			continue;
		metric_row_histogram(x->a->metrics, row, id, buckets, &sum_us);
		write_buckets(x, h, name, buckets, sum_us);
	}
}

enum endpoint_series { EP_UP, EP_INFLIGHT, EP_PICKS, EP_FAILURES, EP_EJECTIONS, EP_COUNT };
static const struct {
	const char *name, *type, *help;
} endpoint_series[EP_COUNT] = {
    [EP_UP] = {"gateway_endpoint_up", "gauge", "1 when the endpoint may be picked now"},
    [EP_INFLIGHT] = {"gateway_endpoint_in_flight", "gauge",
	"Requests in flight to the endpoint, over all workers"},
    [EP_PICKS] = {"gateway_endpoint_picks_total", "counter", "Times the endpoint was picked"},
    [EP_FAILURES] = {"gateway_endpoint_failures_total", "counter",
	"Attempts that failed at the endpoint"},
    [EP_EJECTIONS] = {"gateway_endpoint_ejections_total", "counter",
	"Times passive health marked it down"},
};

static uint64_t
endpoint_value(struct exposition *x, const struct endpoint_ref *e, enum endpoint_series which)
{
	struct endpoint_row *row = arena_endpoint(x->a->arena, e->row);

	if (row == NULL || e->unresolved)
		return 0;
	switch (which) {
	case EP_UP:
		return endpoint_usable(row, clock_ms(), clock_wall_us());
	case EP_INFLIGHT:
		return (uint64_t)LOAD(row->inflight);
	case EP_PICKS:
		return LOAD(row->picks);
	case EP_FAILURES:
		return LOAD(row->failures);
	default:
		return LOAD(row->ejections);
	}
}

/* Two host names may have one address; it has one row, and one name here. */
static bool
written_before(const struct endpoint_set *set, uint32_t i, struct str name)
{
	struct endpoint_ref e;

	for (uint32_t k = 0; k < i; k++)
		if (endpoint_set_get(set, k, &e) == 1 && str_eq(e.name, name))
			return true;
	return false;
}

static void
write_endpoint_set(struct exposition *x, const struct conf_object *o, enum endpoint_series which)
{
	struct endpoint_set set;

	if (table_endpoints(x->a->table, o->number, &set) != 1)
		return;
	for (uint32_t i = 0; i < set.n; i++) {
		struct endpoint_ref e;

		if (endpoint_set_get(&set, i, &e) != 1 || written_before(&set, i, e.name))
			continue;
		gbuf_printf(x->out, "%s{", endpoint_series[which].name);
		openmetrics_label(x->out, "service", o->id);
		gbuf_u8(x->out, ',');
		openmetrics_label(x->out, "endpoint", e.name);
		gbuf_printf(x->out, "} %" PRIu64 "\n", endpoint_value(x, &e, which));
	}
}

static void
write_endpoints(struct exposition *x)
{
	for (unsigned which = 0; which < EP_COUNT; which++) {
		uint32_t number = 0;
		struct conf_object o;

		openmetrics_family(x->out, endpoint_series[which].name, endpoint_series[which].type,
		    endpoint_series[which].help);
		while (table_next(x->a->table, CONF_SERVICE, &number, &o) == 1)
			write_endpoint_set(x, &o, which);
	}
}

static void
write_instance(struct exposition *x)
{
	struct admin *a = x->a;
	struct procs *p = a->procs;
	struct table_fill f;

	table_fill(a->table, &f);
	openmetrics_simple(
	    x->out, "gateway_ready", "gauge", "1 when every process is up", LOAD(p->ready));
	openmetrics_simple(
	    x->out, "gateway_draining", "gauge", "1 while the instance drains", LOAD(p->draining));
	openmetrics_simple(x->out, "gateway_generation", "gauge",
	    "Generation of the configuration in force", table_generation(a->table));
	openmetrics_family(x->out, "gateway_reloads_total", "counter", "Reloads by verdict");
	gbuf_printf(
	    x->out, "gateway_reloads_total{result=\"ok\"} %" PRIu64 "\n", LOAD(p->reloads_ok));
	gbuf_printf(x->out, "gateway_reloads_total{result=\"failed\"} %" PRIu64 "\n",
	    LOAD(p->reloads_failed));
	openmetrics_simple(x->out, "gateway_overrides", "gauge",
	    "Objects of files or console that a rollback stands before", LOAD(p->overrides));
	openmetrics_simple(x->out, "gateway_last_reload_ok", "gauge",
	    "1 when the last reload succeeded", LOAD(p->last_reload_ok));
	openmetrics_simple(
	    x->out, "gateway_map_used_bytes", "gauge", "Octets of the map in use", f.used_bytes);
	openmetrics_simple(
	    x->out, "gateway_map_bytes", "gauge", "Octets the map may grow to", f.map_bytes);
	openmetrics_simple(
	    x->out, "gateway_map_readers", "gauge", "Reader slots of the map in use", f.readers);
	openmetrics_simple(
	    x->out, "gateway_objects", "gauge", "Configuration objects in the map", f.objects);
	openmetrics_simple(x->out, "gateway_endpoint_rows_used", "gauge",
	    "Endpoint rows of the arena in use", arena_endpoints_used(a->arena));
	openmetrics_simple(x->out, "gateway_endpoint_rows", "gauge", "Endpoint rows of the arena",
	    arena_head(a->arena)->endpoints);
	openmetrics_simple(x->out, "gateway_service_rows_used", "gauge",
	    "Service rows of the arena in use", table_count(a->table, CONF_SERVICE));
	openmetrics_simple(x->out, "gateway_service_rows", "gauge", "Service rows of the arena",
	    arena_head(a->arena)->services);
	openmetrics_simple(x->out, "gateway_metric_rows_used", "gauge",
	    "Metric rows taken by routes and services since the start", x->rows_used);
	openmetrics_simple(x->out, "gateway_metric_rows", "gauge", "Metric rows", x->rows - 1);
	openmetrics_family(x->out, "gateway_build_info", "gauge", "Version, as a label");
	gbuf_printf(x->out, "gateway_build_info{version=\"%s\"} 1\n", GW_VERSION);
}

struct ring_sum {
	uint64_t fill, capacity, corrupt;
};

static void
write_rings(struct exposition *x)
{
	struct ring_sum sum = {0};

	for (unsigned slot = 0; slot < SLOT_MAX; slot++) {
		struct ring *g = ring_at(&x->a->access_region, slot);

		if (g == NULL)
			break;
		sum.fill += ring_fill(g);
		sum.capacity += ring_capacity(g);
		sum.corrupt += ring_corrupt(g);
		ring_close(&g);
	}
	openmetrics_simple(x->out, "gateway_access_ring_bytes", "gauge",
	    "Unread octets in the access-log rings", sum.fill);
	openmetrics_simple(x->out, "gateway_access_ring_capacity_bytes", "gauge",
	    "Capacity of the access-log rings", sum.capacity);
	openmetrics_simple(x->out, "gateway_access_ring_corrupt_total", "counter",
	    "Times a ring was reset for malformed content", sum.corrupt);
}

enum proc_series { PS_UP, PS_RSS, PS_CPU, PS_FDS, PS_RESTARTS, PS_COUNT };
static const struct {
	const char *name, *type, *help;
} proc_series[PS_COUNT] = {
    [PS_UP] = {"gateway_process_up", "gauge",
	"1 when the process is up, 0 while it starts or waits to"},
    [PS_RSS] = {"gateway_process_resident_bytes", "gauge",
	"Resident memory by process, shared pages included"},
    [PS_CPU] = {"gateway_process_cpu_seconds_total", "counter",
	"User and system CPU time by process"},
    [PS_FDS] = {"gateway_process_descriptors", "gauge", "Open descriptors by process"},
    [PS_RESTARTS] = {"gateway_process_restarts_total", "counter", "Times the process was replaced"},
};

static void
write_proc_value(struct gbuf *out, const struct proc_row *row, enum proc_series which)
{
	switch (which) {
	case PS_UP:
		gbuf_printf(out, "%d\n", LOAD(row->state) == PROC_UP);
		break;
	case PS_RSS:
		gbuf_printf(out, "%" PRIu64 "\n", LOAD(row->rss));
		break;
	case PS_CPU:
		gbuf_printf(out, "%.6f\n", (double)LOAD(row->cpu_us) / 1e6);
		break;
	case PS_FDS:
		gbuf_printf(out, "%" PRIu64 "\n", LOAD(row->fds));
		break;
	default:
		gbuf_printf(out, "%u\n", (unsigned)LOAD(row->restarts));
	}
}

static void
write_processes(struct exposition *x)
{
	for (unsigned which = 0; which < PS_COUNT; which++) {
		openmetrics_family(x->out, proc_series[which].name, proc_series[which].type,
		    proc_series[which].help);
		for (unsigned i = 0; i < PROCS_MAX; i++) {
			const struct proc_row *row = &x->a->procs->row[i];

			if (LOAD(row->state) == PROC_EMPTY)
				continue;
			gbuf_printf(x->out, "%s{kind=\"%s\",slot=\"%u\"} ", proc_series[which].name,
			    proc_kind_word(LOAD(row->kind)), (unsigned)LOAD(row->slot));
			write_proc_value(x->out, row, which);
		}
	}
}

void
openmetrics_write(struct admin *a, struct gbuf *out)
{
	struct exposition x = {.a = a, .out = out};

	name_rows(&x);
	write_instance(&x);
	openmetrics_console(a, out);
	openmetrics_certificates(a, out);
	write_proc(&x);
	write_rows(&x);
	for (unsigned i = 0; i < HISTOGRAM_COUNT; i++)
		write_histogram(&x, i);
	write_endpoints(&x);
	write_rings(&x);
	write_processes(&x);
	free(x.row);
}
