/* SPDX-License-Identifier: Apache-2.0
 *
 * See plan.h. Two ways in: an array by route number for the generation that holds, and a table by
 * content for the time after it changed. Plans nobody holds are kept, the longest unused one goes
 * when there are too many.
 */
#include "worker/plan.h"

#include "conf/object.h"
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"

#define PLAN_NUMBER_MAX                                                                            \
	16000000 /* the array grows with the highest number; the map must not make it absurd */

struct plan_slot {
	struct plan *plan;
	uint64_t generation; /* it was looked up in */
};

struct plans {
	struct metrics *metrics;
	unsigned max, n;
	struct htab by_digest;
	struct list unused; /* refs == 0, longest unused first */
	struct plan_slot *slot;
	uint32_t n_slots;
};

struct plans *
plans_new(struct metrics *m, unsigned max)
{
	struct plans *ps = xcalloc(1, sizeof(*ps));

	ps->metrics = m;
	ps->max = max;
	list_init(&ps->unused);
	return ps;
}

static void
plan_free(struct plans *ps, struct plan *p)
{
	list_del(&p->unused);
	htab_del(&ps->by_digest, &p->node);
	if (p->route_number < ps->n_slots && ps->slot[p->route_number].plan == p)
		ps->slot[p->route_number].plan = NULL;
	ws_free(&p->ws);
	free(p);
	metric_set(ps->metrics, M_PROC_PLANS, --ps->n);
}

static void
plan_free_node(struct hnode *n, void *arg)
{
	plan_free(arg, container_of(n, struct plan, node));
}

void
plans_free(struct plans **psp)
{
	struct plans *ps = *psp;

	*psp = NULL;
	if (!ps)
		return;
	htab_each(&ps->by_digest, plan_free_node, ps);
	htab_free(&ps->by_digest);
	free(ps->slot);
	free(ps);
}

void
plan_ref(struct plan *p)
{
	if (p->refs++ == 0)
		list_del(&p->unused);
}

static void
plans_trim(struct plans *ps)
{
	struct list *n;

	while (ps->n > ps->max && (n = list_first(&ps->unused)))
		plan_free(ps, container_of(n, struct plan, unused));
}

void
plan_unref(struct plans *ps, struct plan **pp)
{
	struct plan *p = *pp;

	*pp = NULL;
	BUG_ON(p->refs == 0);
	if (--p->refs > 0)
		return;
	list_push(&ps->unused, &p->unused);
	if (unlikely(ps->n > ps->max))
		plans_trim(ps);
}

void
plans_forget(struct plans *ps)
{
	for (uint32_t i = 0; i < ps->n_slots; i++)
		ps->slot[i].plan = NULL;
}

unsigned
plans_count(const struct plans *ps)
{
	return ps->n;
}

/* --- compiling ----------------------------------------------------------------------------------
 */

static void
plan_break(struct plan *p, const char *what, const char *why)
{
	struct str s = ws_printf(&p->ws, "%s: %s", what, why);

	if (!p->broken)
		p->broken = s.p ? s.p : "out of memory";
	log_error("route %.*s: %s", STR_ARG(p->id), p->broken);
}

static void
plan_use(struct plan *p, const struct conf_policy *c)
{
	struct policy_use *u = &p->chain[p->n_chain];
	const struct policy_hooks *h = c->type->hooks;
	const char *error = "unknown error";

	*u = (struct policy_use){.type = c->type, .conf = c->conf, .index = p->n_chain++};
	if (h->compiled_size)
		u->compiled = ws_zalloc(&p->ws, h->compiled_size);
	if (h->compile && h->compile(u->conf, u->compiled, &p->ws, &error) < 0)
		plan_break(p, c->type->name, error);
}

static void
plan_chain(struct plan *p)
{
	const struct conf_list *lists[2] = {
	    p->service ? &p->service->policies : NULL, &p->route->policies};
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++)
		n += lists[i] ? lists[i]->n : 0;
	p->chain = ws_zalloc(&p->ws, (n + 1) * sizeof(*p->chain));
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t k = 0; lists[i] && k < lists[i]->n; k++)
			plan_use(p, (const struct conf_policy *)lists[i]->v + k);
}

static uint64_t
plan_settled(uint64_t routes, const uint64_t *services)
{
	return routes ? routes : services ? *services : 0;
}

static void
plan_settle(struct plan *p)
{
	const struct conf_route *r = p->route;
	const struct conf_service *s = p->service;

	p->connect_ms = plan_settled(r->timeouts.connect, s ? &s->timeouts.connect : NULL);
	p->first_byte_ms = plan_settled(r->timeouts.first_byte, s ? &s->timeouts.first_byte : NULL);
	p->idle_ms = plan_settled(r->timeouts.idle, s ? &s->timeouts.idle : NULL);
	p->total_ms = plan_settled(r->timeouts.total, s ? &s->timeouts.total : NULL);
	p->body_limit = r->limits.body;
}

static uint32_t
plan_metric_row(struct plans *ps, enum metric_scope scope, uint32_t number, struct str id)
{
	return metric_row(ps->metrics, scope, number, metric_incarnation(id));
}

struct plan_source {
	struct conf_object route, service; /* borrowed from the map */
	bool has_service;
	struct digest digest;
};

static struct plan *
plan_compile(struct plans *ps, const struct plan_source *src)
{
	struct plan *p = xcalloc(1, sizeof(*p));
	const char *error = "unknown error";

	list_init(&p->unused);
	ws_init(&p->ws, NULL, 0);
	p->digest = src->digest;
	p->route_number = src->route.number;
	p->id = ws_str(&p->ws, src->route.id);
	p->route = object_body(&src->route, &p->ws);
	if (p->route && src->has_service) {
		p->service_number = src->service.number;
		p->service_id = ws_str(&p->ws, src->service.id);
		p->service = object_body(&src->service, &p->ws);
	}
	if (!p->route || (src->has_service && !p->service)) {
		ws_free(&p->ws);
		free(p);
		return NULL;
	}
	p->matcher = matcher_new(p->route, &p->ws, &error);
	if (!p->matcher)
		plan_break(p, "conditions", error);
	plan_chain(p);
	plan_settle(p);
	p->metric_route = plan_metric_row(ps, METRIC_ROUTE, p->route_number, p->id);
	if (p->service)
		p->metric_service =
		    plan_metric_row(ps, METRIC_SERVICE, p->service_number, p->service_id);
	return p;
}

/* --- looking up ---------------------------------------------------------------------------------
 */

static bool
plan_same(const struct hnode *n, const void *key)
{
	return digest_eq(&container_of(n, struct plan, node)->digest, key);
}

static uint64_t
plan_hash(const struct digest *d)
{
	uint64_t h;

	memcpy(&h, d->b, sizeof(h));
	return h;
}

/* The content of a plan is the route's and its service's, and the numbers they go by: counters and
 * endpoints hang on those. */
static struct digest
plan_digest(const struct plan_source *s)
{
	struct {
		struct digest route, service;
		uint32_t route_number, service_number;
	} key = {.route = s->route.digest, .route_number = s->route.number};

	if (s->has_service) {
		key.service = s->service.digest;
		key.service_number = s->service.number;
	}
	return digest_of(str_n((const char *)&key, sizeof(key)));
}

/* The id of a route's service, decoded for that alone: rare, at a change of generation. */
static int
plan_service_id(const struct conf_object *route, struct ws *ws, struct str *id_r)
{
	const struct conf_route *r = object_body(route, ws);

	if (!r)
		return -1;
	*id_r = r->service;
	return 1;
}

static int
plan_source(struct table *t, uint32_t number, struct plan_source *s)
{
	struct str service;
	struct ws ws;
	int rc = table_object(t, CONF_ROUTE, number, &s->route);

	if (rc != 1)
		return rc;
	ws_init(&ws, NULL, 0);
	rc = plan_service_id(&s->route, &ws, &service);
	s->has_service = false;
	if (rc == 1 && service.n) {
		rc = table_find(t, CONF_SERVICE, service, &s->service);
		s->has_service = rc == 1;
	}
	ws_free(&ws);
	if (rc < 0)
		return -1;
	s->digest = plan_digest(s);
	return 1;
}

static struct plan_slot *
plan_slot(struct plans *ps, uint32_t route)
{
	if (route > PLAN_NUMBER_MAX)
		return NULL;
	if (route >= ps->n_slots) {
		uint32_t n = MAX(route + 1, MAX(ps->n_slots * 2, 64u));

		ps->slot = xrealloc(ps->slot, n * sizeof(*ps->slot));
		memset(ps->slot + ps->n_slots, 0, (n - ps->n_slots) * sizeof(*ps->slot));
		ps->n_slots = n;
	}
	return &ps->slot[route];
}

static struct plan *
plan_find(struct plans *ps, struct table *t, uint32_t route)
{
	struct plan_source src;
	struct hnode *n;
	struct plan *p;
	int rc = plan_source(t, route, &src);

	if (rc < 0)
		metric_add(ps->metrics, M_PROC_TABLE_ERRORS, 1);
	if (rc != 1)
		return NULL;
	n = htab_get(&ps->by_digest, plan_hash(&src.digest), plan_same, &src.digest);
	if (n)
		return container_of(n, struct plan, node);
	p = plan_compile(ps, &src);
	if (!p) {
		log_error("route number %u: malformed value in the map", route);
		metric_add(ps->metrics, M_PROC_TABLE_ERRORS, 1);
		return NULL;
	}
	htab_put(&ps->by_digest, &p->node, plan_hash(&p->digest));
	metric_add(ps->metrics, M_PROC_PLAN_MISSES, 1);
	metric_set(ps->metrics, M_PROC_PLANS, ++ps->n);
	list_push(&ps->unused, &p->unused);
	return p;
}

struct plan *
plan_get(struct plans *ps, struct table *t, uint32_t route)
{
	uint64_t generation = table_generation(t);
	struct plan_slot *s = plan_slot(ps, route);

	if (!s)
		return NULL;
	if (unlikely(!s->plan || s->generation != generation)) {
		s->plan = plan_find(ps, t, route);
		s->generation = generation;
		if (!s->plan)
			return NULL;
	}
	plan_ref(s->plan);
	plans_trim(ps);
	return s->plan;
}
