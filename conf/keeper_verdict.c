/* SPDX-License-Identifier: Apache-2.0
 *
 * Verdicts of operators about endpoints: kept in the state, in force through the row's atomics, so
 * every worker has them when the answer is sent. No generation, no transaction of the map.
 */
#include "conf/keeper_priv.h"
#include "conf/table.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

struct command {
	struct str service, endpoint;
	uint32_t what, value;
	uint64_t expires_ms;
	uint32_t matched;
	const char *error;
};

static struct endpoint_row *
row_of(struct keeper *k, const struct endpoint_ref *e)
{
	struct endpoint_row *row = arena_endpoint(k->store.arena, e->row);

	if (row == NULL ||
	    atomic_load_explicit(&row->incarnation, memory_order_acquire) != e->incarnation)
		return NULL;
	return row;
}

static int
command_endpoint(struct keeper *k, struct command *c, const struct endpoint_ref *e)
{
	if (!str_eq(c->endpoint, STR("*")) && !str_eq(c->endpoint, e->name))
		return 1;
	c->matched++;
	return verdicts_set(k->verdicts, c->service, e->name, c->what, c->value, c->expires_ms,
	    row_of(k, e), &c->error);
}

static int
command_service(struct keeper *k, struct command *c)
{
	struct conf_object o;
	struct endpoint_set set;
	struct endpoint_ref e;

	if (table_find(k->table, CONF_SERVICE, c->service, &o) != 1) {
		c->error = "no such service";
		return -1;
	}
	if (table_endpoints(k->table, o.number, &set) != 1) {
		c->error = "the service has no endpoints";
		return -1;
	}
	for (uint32_t i = 0; i < set.n; i++)
		if (endpoint_set_get(&set, i, &e) != 1 || command_endpoint(k, c, &e) < 0)
			return -1;
	if (c->matched > 0)
		return 1;
	c->error = "the service has no such endpoint";
	return -1;
}

static int
command_run(struct keeper *k, struct command *c)
{
	int ok;

	if (table_renew(k->table) < 0) {
		c->error = "the map cannot be read";
		return -1;
	}
	ok = command_service(k, c);
	table_reset(k->table);
	return ok;
}

void
keeper_endpoint_set(struct keeper *k, struct msg *m)
{
	struct command c = {.error = "the endpoints cannot be read"};
	uint32_t id = m->id;
	int ok;

	c.service = msg_str(m);
	c.endpoint = msg_str(m);
	c.what = msg_u32(m);
	c.value = msg_u32(m);
	c.expires_ms = msg_u64(m);
	if (msg_end(m) < 0) {
		log_error("keeper: malformed ENDPOINT_SET");
		return;
	}
	ok = command_run(k, &c);
	if (ok == 1)
		log_info("endpoint %.*s of service %.*s: %s", STR_ARG(c.endpoint),
		    STR_ARG(c.service), endpoint_verdict_names[c.what]);
	msg_begin(&k->out, MSG_ENDPOINT_DONE, id);
	msg_put_u32(&k->out, ok == 1);
	msg_put_u32(&k->out, c.matched);
	msg_put_str(&k->out, ok == 1 ? STR("") : str_of(c.error));
	if (keeper_send(k->h->line[LINE_ADMIN_KEEPER], &k->out) < 0)
		log_warn("keeper: admin does not take an answer");
	keeper_expiry_start(k);
}

/* --- expiry ---------------------------------------------------------------------------------- */

/* The row goes back to what the configuration says. */
static void
expired(void *arg, struct str service, struct str endpoint)
{
	static const struct state_verdict nothing = {
	    .verdict = VERDICT_NONE, .weight = WEIGHT_UNSET};
	struct keeper *k = arg;
	struct conf_object o;
	struct endpoint_set set;
	struct endpoint_ref e;

	log_info("endpoint %.*s of service %.*s: its verdict has expired", STR_ARG(endpoint),
	    STR_ARG(service));
	if (table_find(k->table, CONF_SERVICE, service, &o) != 1 ||
	    table_endpoints(k->table, o.number, &set) != 1)
		return;
	for (uint32_t i = 0; i < set.n; i++) {
		struct endpoint_row *row;

		if (endpoint_set_get(&set, i, &e) != 1 || !str_eq(e.name, endpoint))
			continue;
		row = row_of(k, &e);
		if (row != NULL)
			verdict_to_row(row, &nothing);
	}
}

static void
expiry_run(struct timer *t)
{
	struct keeper *k = container_of(t, struct keeper, expiry);

	keeper_expiry_start(k);
}

void
keeper_expiry_start(struct keeper *k)
{
	uint64_t wall_us = clock_wall_us(), next;

	if (k->expiry.fn == NULL)
		timer_init(&k->expiry, expiry_run);
	if (table_renew(k->table) < 0)
		return;
	next = verdicts_expire(k->verdicts, wall_us, expired, k);
	table_reset(k->table);
	if (next != 0)
		timer_set(loop_timers(k->loop), &k->expiry,
		    clock_ms() + MAX(next - MIN(next, wall_us / 1000), UINT64_C(1)));
}
