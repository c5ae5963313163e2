/* SPDX-License-Identifier: Apache-2.0
 *
 * Verdicts about endpoints: kept in the state, in force through the row's atomics, so every worker
 * has them when the answer is sent. No generation, no transaction of the map.
 *
 * What admin says of one side (verdict, weight) leaves the other as it was; what the console says
 * is the whole of it, for its objects are states. The console may also speak of endpoints that are
 * not there yet.
 */
#include "conf/keeper_priv.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/num.h"

#define WEIGHT_MAX 1000

struct order {
	struct keeper *k;
	struct str service, endpoint;
	bool console, erase, check_only;
	bool has_verdict, has_weight;
	struct state_verdict v;
	uint32_t matched;
	const char *error; /* the state's */
};

/* --- what is asked --------------------------------------------------------------------------- */

static int
read_verdict(const json_t *j, struct order *o, const char **error_r)
{
	const char *word = json_string_value(j);

	for (unsigned i = 0; word != NULL && i < VERDICT_WEIGHT; i++)
		if (strcmp(word, endpoint_verdict_names[i]) == 0) {
			o->v.verdict = (enum endpoint_verdict)i;
			o->has_verdict = true;
			return 1;
		}
	*error_r = "verdict: unknown; allowed: \"up\", \"down\", \"drain\", \"none\"";
	return -1;
}

static int
read_weight(const json_t *j, struct order *o, const char **error_r)
{
	json_int_t v = json_integer_value(j);

	if (!json_is_integer(j) || v < 0 || v > WEIGHT_MAX) {
		*error_r = "weight: not one; allowed: 0 to 1000";
		return -1;
	}
	o->v.weight = (uint32_t)v;
	o->has_weight = true;
	return 1;
}

/* "10m" from now, or a time; the console's clock may be ahead of ours. */
static int
read_expires(const json_t *j, struct order *o, const char **error_r)
{
	struct str s = str_n(json_string_value(j), json_string_length(j));
	const char *error;
	uint64_t ms;

	if (!json_is_string(j))
		*error_r = "expires: not a string; allowed: \"10m\" or an RFC 3339 time";
	else if (num_duration(s, &ms, &error) == 1 && ms > 0)
		o->v.expires_us = clock_wall_us() + MIN(ms, UINT64_MAX / 4000) * 1000;
	else if ((o->v.expires_us = remember_time(s)) == 0)
		*error_r = "expires: not a time; allowed: \"10m\" or an RFC 3339 time";
	else if (o->v.expires_us <= clock_wall_us() && !o->console)
		*error_r = "expires: is past";
	else
		return 1;
	return o->v.expires_us != 0 && *error_r == NULL ? 1 : -1;
}

static int
read_value(const json_t *value, struct order *o, const char **error_r)
{
	json_t *j = (json_t *)(uintptr_t)value, *member;
	const char *name;
	int ok = 1;

	*error_r = NULL;
	json_object_foreach(j, name, member)
	{
		if (strcmp(name, "verdict") == 0)
			ok = read_verdict(member, o, error_r);
		else if (strcmp(name, "weight") == 0)
			ok = read_weight(member, o, error_r);
		else if (strcmp(name, "expires") == 0)
			ok = read_expires(member, o, error_r);
		else if (strcmp(name, "_meta") != 0)
			*error_r = "unknown member; allowed: verdict, weight, expires";
		if (ok < 0 || *error_r != NULL)
			return -1;
	}
	if (o->has_verdict || o->has_weight)
		return 1;
	*error_r = "says nothing; allowed: verdict, weight or both, and expires";
	return -1;
}

/* --- doing it -------------------------------------------------------------------------------- */

static struct endpoint_row *
row_of(struct keeper *k, const struct endpoint_ref *e)
{
	struct endpoint_row *row = arena_endpoint(k->store.arena, e->row);

	return row != NULL && endpoint_row_is(row, e->incarnation) ? row : NULL;
}

/* Says it of one endpoint, in the state. */
static int
order_put(struct order *o, struct str endpoint)
{
	struct state_verdict now;

	if (o->check_only)
		return 1;
	(void)!verdicts_get(o->k->verdicts, o->service, endpoint, &now);
	if (o->erase || o->console)
		now = (struct state_verdict){.weight = WEIGHT_UNSET};
	if (o->has_verdict)
		now.verdict = o->v.verdict;
	if (o->has_verdict && o->v.verdict == VERDICT_NONE && !o->has_weight)
		now.weight = WEIGHT_UNSET;
	if (o->has_weight)
		now.weight = o->v.weight;
	now.expires_us = o->v.expires_us;
	if (now.expires_us != 0 && now.expires_us <= clock_wall_us())
		now = (struct state_verdict){.weight = WEIGHT_UNSET};
	now.set_us = clock_wall_us();
	now.author = o->v.author;
	return verdicts_put(o->k->verdicts, o->service, endpoint, &now, &o->error);
}

static bool
order_names(const struct order *o, struct str endpoint)
{
	return str_eq(o->endpoint, VERDICTS_ALL) || str_eq(o->endpoint, endpoint);
}

/* What was said of endpoints that are gone. */
static void
erase_one(void *arg, struct str service UNUSED, struct str endpoint)
{
	struct order *o = arg;

	if (!order_names(o, endpoint))
		return;
	o->matched++;
	if (order_put(o, endpoint) < 0)
		o->matched = 0;
}

/* fn for each endpoint of the service. 1; 0 there is no such service, or it has none. */
static int
each_endpoint(struct keeper *k, struct str service,
    int (*fn)(void *arg, const struct endpoint_ref *e), void *arg)
{
	struct conf_object c;
	struct endpoint_set set;
	struct endpoint_ref e;

	if (table_find(k->table, CONF_SERVICE, service, &c) != 1 ||
	    table_endpoints(k->table, c.number, &set) != 1)
		return 0;
	for (uint32_t i = 0; i < set.n; i++)
		if (endpoint_set_get(&set, i, &e) != 1 || fn(arg, &e) < 0)
			return -1;
	return 1;
}

static int
put_one(void *arg, const struct endpoint_ref *e)
{
	struct order *o = arg;

	if (!order_names(o, e->name))
		return 1;
	o->matched++;
	return order_put(o, e->name);
}

static int
settle_one(void *arg, const struct endpoint_ref *e)
{
	struct order *o = arg;
	struct endpoint_row *row = row_of(o->k, e);

	if (row != NULL && order_names(o, e->name))
		verdicts_row(o->k->verdicts, o->service, e->name, row);
	return 1;
}

static int
order_do(struct order *o)
{
	if (o->console)
		return order_put(o, o->endpoint); /* it may come to be */
	if (o->erase)
		verdicts_each(o->k->verdicts, o->service, erase_one, o);
	return each_endpoint(o->k, o->service, put_one, o);
}

static int
order_run(struct order *o, uint32_t *status_r, const char **error_r)
{
	int ok;

	*status_r = 503;
	*error_r = "the map cannot be read";
	if (table_renew(o->k->table) < 0)
		return -1;
	ok = order_do(o);
	if (!o->check_only)
		(void)each_endpoint(o->k, o->service, settle_one, o);
	table_reset(o->k->table);
	if (ok < 0) {
		*status_r = 507;
		*error_r = o->error != NULL ? o->error : "the endpoints cannot be read";
		return -1;
	}
	if (o->console || o->matched > 0)
		return 1;
	*status_r = 404;
	*error_r = ok == 0 ? "there is no such service with endpoints"
			   : "the service has no such endpoint";
	return -1;
}

int
keeper_verdict_change(struct keeper *k, const struct job *j, const struct document_change *c,
    bool check_only, uint32_t *status_r, const char **error_r)
{
	ssize_t slash = str_chr(c->id, '/');
	struct order o = {.k = k,
	    .console = str_eq(j->source, STR("console")),
	    .erase = c->op == DOC_DELETE,
	    .check_only = check_only,
	    .v = {.weight = WEIGHT_UNSET, .author = j->d.author}};
	int ok;

	*status_r = 422;
	*error_r = "the id is SERVICE/ENDPOINT";
	if (slash <= 0)
		return -1;
	o.service = str_sub(c->id, 0, (size_t)slash);
	o.endpoint = str_sub(c->id, (size_t)slash + 1, c->id.n);
	if (o.v.author.n == 0)
		o.v.author = j->source;
	if (!o.erase && read_value(c->value, &o, error_r) < 0)
		return -1;
	ok = order_run(&o, status_r, error_r);
	if (ok == 1 && !check_only)
		log_info("endpoint %.*s: %s%s by %.*s", STR_ARG(c->id),
		    o.erase ? "withdrawn" : endpoint_verdict_names[o.v.verdict],
		    o.has_weight ? ", weight" : "", STR_ARG(o.v.author));
	return ok;
}

/* --- expiry ---------------------------------------------------------------------------------- */

struct expiry {
	struct gbuf services; /* a line each */
};

static void
expired(void *arg, struct str service, struct str endpoint)
{
	struct expiry *x = arg;

	log_info("endpoint %.*s of service %.*s: its verdict has expired", STR_ARG(endpoint),
	    STR_ARG(service));
	gbuf_str(&x->services, service);
	gbuf_str(&x->services, STR("\n"));
}

/* The rows go back to what else there is to say of them. */
static void
expiry_settle(struct keeper *k, struct str services)
{
	struct order o = {.k = k, .endpoint = VERDICTS_ALL};

	while (str_cut(&services, '\n', &o.service))
		if (o.service.n > 0)
			(void)each_endpoint(k, o.service, settle_one, &o);
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
	struct expiry x = {.services = {.p = NULL}};

	if (k->expiry.fn == NULL)
		timer_init(&k->expiry, expiry_run);
	next = verdicts_expire(k->verdicts, wall_us, expired, &x);
	if (x.services.n > 0 && table_renew(k->table) == 1) {
		expiry_settle(k, str_n(x.services.p, x.services.n));
		table_reset(k->table);
	}
	gbuf_free(&x.services);
	if (next != 0)
		timer_set(loop_timers(k->loop), &k->expiry,
		    clock_ms() + MAX(next - MIN(next, wall_us / 1000), UINT64_C(1)));
}
