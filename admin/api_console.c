/* SPDX-License-Identifier: Apache-2.0
 *
 * How it stands with the console: what the redis process says of it in shared memory.
 */
#include "admin/admin_priv.h"

#define LOAD(word) atomic_load_explicit(&(word), memory_order_relaxed)

static const char *const state_words[] = {
    [CONSOLE_OFF] = "off", [CONSOLE_CONNECTING] = "connecting", [CONSOLE_LIVE] = "live"};

static json_t *
shared_text(const char *text, size_t cap)
{
	return json_of_str(str_n(text, strnlen(text, cap)));
}

/* What the instance serves by, in words. */
static const char *
serving_words(const struct console_status *s, bool configured, uint32_t state)
{
	bool same = LOAD(s->number) == LOAD(s->seen);

	if (!configured)
		return "files and admin API; there is no console";
	if (state != CONSOLE_LIVE)
		return "serving the last good configuration: the console is away";
	if (LOAD(s->in_sync) != 0)
		return "the console's configuration";
	if (LOAD(s->seen) == 0)
		return "serving the last good configuration: nothing is published in Redis";
	if (same && LOAD(s->refused) > 0)
		return "the console's configuration, without what is wrong in it";
	return same ? "the console's configuration, but see error"
		    : "serving the last good configuration: the console has another version";
}

json_t *
console_json(struct call *c)
{
	struct console_status *s = &c->a->procs->console;
	const struct conf_settings *set = admin_settings(c->a, c->ws);
	bool configured = set != NULL && set->redis.addresses.n > 0;
	uint32_t state = LOAD(s->state);
	bool sync = LOAD(s->in_sync) != 0;
	json_t *j = json_object();

	if (state >= CONSOLE_STATE_COUNT)
		state = CONSOLE_OFF;
	if (configured && state == CONSOLE_OFF)
		state = CONSOLE_CONNECTING;
	json_object_set_new(j, "state", json_string(state_words[state]));
	json_object_set_new(j, "serving", json_string(serving_words(s, configured, state)));
	json_object_set_new(j, "server", shared_text(s->server, sizeof(s->server)));
	json_object_set_new(j, "since", json_of_wall(LOAD(s->since_us)));
	json_object_set_new(j, "epoch", shared_text(s->epoch, sizeof(s->epoch)));
	json_object_set_new(j, "number", json_integer((json_int_t)LOAD(s->number)));
	json_object_set_new(j, "seen_number", json_integer((json_int_t)LOAD(s->seen)));
	json_object_set_new(j, "hash", shared_text(s->hash, sizeof(s->hash)));
	json_object_set_new(j, "in_sync", json_boolean(sync));
	json_object_set_new(j, "last_change", json_of_wall(LOAD(s->applied_us)));
	json_object_set_new(j, "refused", json_integer((json_int_t)LOAD(s->refused)));
	json_object_set_new(j, "connects", json_integer((json_int_t)LOAD(s->connects)));
	json_object_set_new(j, "failures", json_integer((json_int_t)LOAD(s->failures)));
	json_object_set_new(j, "timeouts", json_integer((json_int_t)LOAD(s->timeouts)));
	json_object_set_new(j, "changes", json_integer((json_int_t)LOAD(s->changes)));
	json_object_set_new(j, "snapshots", json_integer((json_int_t)LOAD(s->snapshots)));
	json_object_set_new(j, "reconciles", json_integer((json_int_t)LOAD(s->reconciles)));
	json_object_set_new(j, "guard_refusals", json_integer((json_int_t)LOAD(s->guard_refusals)));
	json_object_set_new(j, "error", shared_text(s->error, sizeof(s->error)));
	return j;
}

void
openmetrics_console(struct admin *a, struct gbuf *out)
{
	struct console_status *s = &a->procs->console;
	const struct {
		const char *name, *type, *help;
		uint64_t value;
	} rows[] = {
	    {"connected", "gauge", "1 while the console's Redis is connected",
		LOAD(s->state) == CONSOLE_LIVE},
	    {"in_sync", "gauge", "1 when what the console has is in force here", LOAD(s->in_sync)},
	    {"number", "gauge", "The console's version in force here", LOAD(s->number)},
	    {"seen_number", "gauge", "The console's version last seen in Redis", LOAD(s->seen)},
	    {"last_change_timestamp_seconds", "gauge", "When a change of it was applied last",
		LOAD(s->applied_us) / 1000000},
	    {"connects_total", "counter", "Connections made to Redis", LOAD(s->connects)},
	    {"failures_total", "counter", "Connections to Redis that failed or broke",
		LOAD(s->failures)},
	    {"timeouts_total", "counter", "Commands Redis did not answer in time",
		LOAD(s->timeouts)},
	    {"changes_total", "counter", "Changes of the console applied", LOAD(s->changes)},
	    {"snapshots_total", "counter", "Times the whole of it was read", LOAD(s->snapshots)},
	    {"reconciles_total", "counter", "Comparisons without a bell", LOAD(s->reconciles)},
	    {"guard_refusals_total", "counter",
		"Snapshots refused because they deleted too much unmarked",
		LOAD(s->guard_refusals)},
	    {"refused_objects", "gauge", "Objects of the console that are refused now",
		LOAD(s->refused)},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		char name[64];

		snprintf(name, sizeof(name), "gateway_console_%s", rows[i].name);
		openmetrics_simple(out, name, rows[i].type, rows[i].help, rows[i].value);
	}
}
