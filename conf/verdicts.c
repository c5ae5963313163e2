/* SPDX-License-Identifier: Apache-2.0
 *
 * See verdicts.h.
 */
#include "conf/verdicts.h"

#include "shm/base/bug.h"
#include "shm/base/hash.h"
#include "shm/base/log.h"

struct entry {
	struct hnode node;
	struct str service, endpoint; /* both in `text` */
	struct state_verdict v;
	char text[];
};

struct verdicts {
	struct state *state;
	struct htab tab;
};

struct identity {
	struct str service, endpoint;
};

static uint64_t
identity_hash(const struct identity *id)
{
	return hash_keyed(id->service) * 31 + hash_keyed(id->endpoint);
}

static bool
entry_is(const struct hnode *n, const void *key)
{
	const struct entry *e = container_of(n, struct entry, node);
	const struct identity *id = key;

	return str_eq(e->service, id->service) && str_eq(e->endpoint, id->endpoint);
}

static struct entry *
entry_find(const struct verdicts *v, struct str service, struct str endpoint)
{
	struct identity id = {service, endpoint};
	struct hnode *n = htab_get(&v->tab, identity_hash(&id), entry_is, &id);

	return n == NULL ? NULL : container_of(n, struct entry, node);
}

static void
entry_put(struct verdicts *v, struct str service, struct str endpoint,
    const struct state_verdict *verdict)
{
	struct entry *e = entry_find(v, service, endpoint);
	struct identity id = {service, endpoint};

	if (e == NULL) {
		e = xcalloc(1, sizeof(*e) + service.n + endpoint.n + 1);
		if (service.n > 0)
			memcpy(e->text, service.p, service.n);
		if (endpoint.n > 0)
			memcpy(e->text + service.n, endpoint.p, endpoint.n);
		e->service = str_n(e->text, service.n);
		e->endpoint = str_n(e->text + service.n, endpoint.n);
		htab_put(&v->tab, &e->node, identity_hash(&id));
	}
	e->v = *verdict;
	e->v.author = STR_NONE;
}

static void
entry_drop(struct verdicts *v, struct entry *e)
{
	htab_del(&v->tab, &e->node);
	free(e);
}

static void
entry_load(void *arg, struct str service, struct str endpoint, const struct state_verdict *verdict)
{
	entry_put(arg, service, endpoint, verdict);
}

struct verdicts *
verdicts_new(struct state *state)
{
	struct verdicts *v = xcalloc(1, sizeof(*v));
	const char *error;

	v->state = state;
	if (state != NULL && state_verdict_each(state, entry_load, v, &error) < 0)
		log_error("state: verdicts cannot be read: %s", error);
	return v;
}

static const struct state_verdict nothing = {.verdict = VERDICT_NONE, .weight = WEIGHT_UNSET};

int
verdicts_get(
    const struct verdicts *v, struct str service, struct str endpoint, struct state_verdict *v_r)
{
	const struct entry *e = entry_find(v, service, endpoint);

	*v_r = e != NULL ? e->v : nothing;
	return e != NULL ? 1 : 0;
}

int
verdicts_put(struct verdicts *v, struct str service, struct str endpoint,
    const struct state_verdict *now, const char **error_r)
{
	bool gone = now->verdict == VERDICT_NONE && now->weight == WEIGHT_UNSET;
	struct entry *e = entry_find(v, service, endpoint);
	int ok = 1;

	if (v->state != NULL)
		ok = gone ? state_verdict_del(v->state, service, endpoint, error_r)
			  : state_verdict_put(v->state, service, endpoint, now, error_r);
	if (ok < 0)
		return -1;
	if (!gone)
		entry_put(v, service, endpoint, now);
	else if (e != NULL)
		entry_drop(v, e);
	return 1;
}

/* --- rows ------------------------------------------------------------------------------------ */

/* The one place that stores these atomics. */
static void
to_row(struct endpoint_row *row, const struct state_verdict *v)
{
	atomic_store_explicit(&row->weight, v->weight, memory_order_relaxed);
	atomic_store_explicit(&row->verdict_until_us, v->expires_us, memory_order_relaxed);
	atomic_store_explicit(&row->verdict, (uint32_t)v->verdict, memory_order_release);
	atomic_store_explicit(&row->last_change_us, v->set_us, memory_order_relaxed);
}

static const struct entry *
entry_of(const struct verdicts *v, struct str service, struct str endpoint)
{
	const struct entry *e = entry_find(v, service, endpoint);

	return e != NULL ? e : entry_find(v, service, VERDICTS_ALL);
}

void
verdicts_row(
    const struct verdicts *v, struct str service, struct str endpoint, struct endpoint_row *row)
{
	const struct entry *e = entry_of(v, service, endpoint);

	to_row(row, e != NULL ? &e->v : &nothing);
}

void
verdicts_apply(
    const struct verdicts *v, struct str service, struct str endpoint, struct endpoint_row *row)
{
	const struct entry *e = entry_of(v, service, endpoint);

	if (e != NULL)
		to_row(row, &e->v);
}

struct known {
	struct str service;
	verdicts_gone_f *fn;
	void *arg;
};

static void
known_one(struct hnode *n, void *arg)
{
	const struct entry *e = container_of(n, struct entry, node);
	const struct known *k = arg;

	if (str_eq(e->service, k->service))
		k->fn(k->arg, e->service, e->endpoint);
}

void
verdicts_each(struct verdicts *v, struct str service, verdicts_gone_f *fn, void *arg)
{
	struct known k = {service, fn, arg};

	htab_each(&v->tab, known_one, &k);
}

/* --- expiry ---------------------------------------------------------------------------------- */

struct expiry {
	struct verdicts *v;
	uint64_t wall_us, next_us;
	verdicts_gone_f *fn;
	void *arg;
};

static void
expire_one(struct hnode *n, void *arg)
{
	struct entry *e = container_of(n, struct entry, node);
	struct expiry *x = arg;
	const char *error;

	if (e->v.expires_us == 0)
		return;
	if (e->v.expires_us > x->wall_us) {
		if (x->next_us == 0 || e->v.expires_us < x->next_us)
			x->next_us = e->v.expires_us;
		return;
	}
	x->fn(x->arg, e->service, e->endpoint);
	if (x->v->state != NULL &&
	    state_verdict_del(x->v->state, e->service, e->endpoint, &error) < 0)
		log_warn("state: an expired verdict cannot be deleted: %s", error);
	entry_drop(x->v, e);
}

uint64_t
verdicts_expire(struct verdicts *v, uint64_t wall_us, verdicts_gone_f *fn, void *arg)
{
	struct expiry x = {.v = v, .wall_us = wall_us, .fn = fn, .arg = arg};

	htab_each(&v->tab, expire_one, &x);
	return x.next_us == 0 ? 0 : x.next_us / 1000 + 1;
}
