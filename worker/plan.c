/* SPDX-License-Identifier: Apache-2.0
 *
 * See plan.h. Three tables: what is known of each route, by number, a cache line each in blocks
 * that are made as they are asked for; plans by content; services by id. A change of generation
 * voids nothing: what is known is compared with the map's digests when it is asked for again.
 */
#include "worker/plan.h"

#include "conf/object.h"
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"

#define NUMBER_MAX 16000000 /* the blocks' array grows with the highest number: not absurdly */
#define BLOCK      16       /* routes known together */
#define NEAR_ID    24       /* octets of an id that lies with the rest */
#define TRIM_VISIT 8        /* blocks looked at for each plan or block that is one too many */
#define PLAN_ROOM  992      /* of a block of a plan's workspace: most need one */

/* A route: where it leads, as of the time it was looked up. */
struct known {
	struct plan *plan; /* a reference; NULL: nothing is known */
	uint64_t seen;     /* plans.now of that time */
	struct digest digest;
	union {
		char near[NEAR_ID];
		char *far;
	} id;
	uint32_t metric_row;
	uint8_t id_len;
	bool recent; /* asked for since the hand came by */
};

_Static_assert(sizeof(struct known) == CACHE_LINE, "one miss for a route");

struct block {
	alignas(CACHE_LINE) struct known v[BLOCK];
	unsigned n; /* in use */
};

struct plan_service {
	uint32_t refs; /* plans */
	uint32_t number, metric_row;
	struct hnode node; /* by id, as long as it is known by that */
	bool known;
	uint64_t seen; /* plans.now when the map had it so */
	struct digest digest;
	struct str id;
	const struct conf_service *conf;
	struct ws ws;
};

struct plans {
	struct metrics *metrics;
	unsigned max, n;
	uint64_t generation; /* of the map, when it was looked at last */
	uint64_t now;        /* moves when anything may have changed */
	struct block **block;
	uint32_t n_blocks, n_made, hand;
	struct htab by_content, services;
	struct ws_pool pool;
};

struct plans *
plans_new(struct metrics *m, unsigned max)
{
	struct plans *ps = xcalloc(1, sizeof(*ps));

	ps->metrics = m;
	ps->max = max;
	ps->now = 1;
	ws_pool_init(&ps->pool, PLAN_ROOM, 0);
	return ps;
}

void
plans_forget(struct plans *ps)
{
	ps->now++;
}

unsigned
plans_count(const struct plans *ps)
{
	return ps->n;
}

unsigned
plans_routes(const struct plans *ps)
{
	return ps->n_made * BLOCK;
}

/* --- services -----------------------------------------------------------------------------------
 */

static void
service_disown(struct plans *ps, struct plan_service *s)
{
	if (s->known)
		htab_del(&ps->services, &s->node);
	s->known = false;
}

static void
service_unref(struct plans *ps, struct plan_service **sp)
{
	struct plan_service *s = *sp;

	*sp = NULL;
	if (!s || --s->refs > 0)
		return;
	service_disown(ps, s);
	ws_free(&s->ws);
	free(s);
}

static bool
service_same(const struct hnode *n, const void *id)
{
	return str_eq(container_of(n, struct plan_service, node)->id, *(const struct str *)id);
}

static struct plan_service *
service_make(struct plans *ps, const struct conf_object *o, uint64_t hash)
{
	struct plan_service *s = xcalloc(1, sizeof(*s));

	s->refs = 1;
	s->number = o->number;
	s->digest = o->digest;
	s->seen = ps->now;
	ws_init(&s->ws, &ps->pool, 0);
	s->id = ws_str(&s->ws, o->id);
	s->conf = object_body(o, &s->ws);
	if (!s->conf) {
		service_unref(ps, &s);
		return NULL;
	}
	s->metric_row =
	    metric_row(ps->metrics, METRIC_SERVICE, s->number, metric_incarnation(s->id));
	htab_put(&ps->services, &s->node, hash);
	s->known = true;
	return s;
}

/* As the snapshot has it: 1 and a reference, 0 none of that id, -1 malformed. */
static int
service_get(struct plans *ps, struct table *t, struct str id, struct plan_service **s_r)
{
	uint64_t hash = hash_keyed(id);
	struct hnode *n = htab_get(&ps->services, hash, service_same, &id);
	struct plan_service *s = n ? container_of(n, struct plan_service, node) : NULL;
	struct conf_object o;
	int rc = 1;

	*s_r = NULL;
	if (!s || s->seen != ps->now) {
		rc = id.n ? table_find(t, CONF_SERVICE, id, &o) : 0;
		if (s && (rc != 1 || s->number != o.number || !digest_eq(&s->digest, &o.digest))) {
			service_disown(ps, s);
			s = NULL;
		}
		if (rc != 1)
			return rc;
	}
	if (s)
		s->refs++;
	else
		s = service_make(ps, &o, hash);
	if (!s)
		return -1;
	s->seen = ps->now;
	*s_r = s;
	return 1;
}

/* --- compiling ----------------------------------------------------------------------------------
 */

static void
plan_break(struct plan *p, struct str id, const char *what, const char *why)
{
	struct str s = ws_printf(&p->ws, "%s: %s", what, why);

	if (!p->broken)
		p->broken = s.p ? s.p : "out of memory";
	log_error("route %.*s: %s", STR_ARG(id), p->broken);
}

static void
plan_use(struct plan *p, struct str id, const struct conf_policy *c)
{
	struct policy_use *u = &p->chain[p->n_chain];
	const struct policy_hooks *h = c->type->hooks;
	const char *error = "unknown error";

	*u = (struct policy_use){.type = c->type, .conf = c->conf, .index = p->n_chain++};
	if (h->compiled_size)
		u->compiled = ws_zalloc(&p->ws, h->compiled_size);
	if (h->compile && h->compile(u->conf, u->compiled, &p->ws, &error) < 0)
		plan_break(p, id, c->type->name, error);
}

static void
plan_chain(struct plan *p, struct str id)
{
	const struct conf_list *lists[2] = {
	    p->service ? &p->service->policies : NULL, &p->route->policies};
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++)
		n += lists[i] ? lists[i]->n : 0;
	p->chain = ws_zalloc(&p->ws, (n + 1) * sizeof(*p->chain));
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t k = 0; lists[i] && k < lists[i]->n; k++)
			plan_use(p, id, (const struct conf_policy *)lists[i]->v + k);
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

/* It serves no new request. */
static void
plan_disown(struct plans *ps, struct plan *p)
{
	if (p->known)
		htab_del(&ps->by_content, &p->node);
	p->known = false;
}

static void
plan_free(struct plans *ps, struct plan *p)
{
	plan_disown(ps, p);
	service_unref(ps, &p->of);
	ws_free(&p->ws);
	free(p);
	metric_set(ps->metrics, M_PROC_PLANS, --ps->n);
}

void
plan_unref(struct plans *ps, struct plan **pp)
{
	struct plan *p = *pp;

	*pp = NULL;
	BUG_ON(p->refs == 0);
	if (--p->refs == 0)
		plan_free(ps, p);
}

/* The route and its service: 1, or -1 malformed. */
static int
plan_read(struct plans *ps, struct table *t, struct plan *p, const struct conf_object *o)
{
	struct conf_object shared = *o;

	p->content = shared.body = ws_str(&p->ws, route_shared(o->body));
	p->route = object_body(&shared, &p->ws);
	if (!p->route || service_get(ps, t, p->route->service, &p->of) < 0)
		return -1;
	if (p->of) {
		p->service = p->of->conf;
		p->service_id = p->of->id;
		p->service_number = p->of->number;
		p->metric_service = p->of->metric_row;
	}
	return 1;
}

/* NULL: malformed. One reference, the caller's. */
static struct plan *
plan_compile(struct plans *ps, struct table *t, const struct conf_object *o, uint64_t hash)
{
	struct plan *p = xcalloc(1, sizeof(*p));
	const char *error = "unknown error";

	p->refs = 1;
	ws_init(&p->ws, &ps->pool, 0);
	metric_set(ps->metrics, M_PROC_PLANS, ++ps->n);
	if (plan_read(ps, t, p, o) < 0) {
		plan_free(ps, p);
		return NULL;
	}
	p->matcher = matcher_new(p->route, &p->ws, &error);
	if (!p->matcher)
		plan_break(p, o->id, "conditions", error);
	plan_chain(p, o->id);
	plan_settle(p);
	htab_put(&ps->by_content, &p->node, hash);
	p->known = true;
	metric_add(ps->metrics, M_PROC_PLAN_MISSES, 1);
	return p;
}

/* --- what is known of routes --------------------------------------------------------------------
 */

static struct str
known_id(const struct known *k)
{
	return str_n(k->id_len > NEAR_ID ? k->id.far : k->id.near, k->id_len);
}

static void
known_drop(struct plans *ps, struct block *b, struct known *k)
{
	if (!k->plan)
		return;
	plan_unref(ps, &k->plan);
	if (k->id_len > NEAR_ID)
		free(k->id.far);
	b->n--;
}

static void
known_keep(struct plans *ps, struct block *b, struct known *k, const struct conf_object *o)
{
	uint8_t n = (uint8_t)o->id.n; /* 63 at most: object_decode looked */

	k->digest = o->digest;
	k->metric_row = metric_row(ps->metrics, METRIC_ROUTE, o->number, metric_incarnation(o->id));
	k->id_len = n;
	if (n > NEAR_ID)
		k->id.far = xmalloc(n);
	memcpy(n > NEAR_ID ? k->id.far : k->id.near, o->id.p, n);
	b->n++;
}

static void
block_free(struct plans *ps, uint32_t i)
{
	free(ps->block[i]);
	ps->block[i] = NULL;
	ps->n_made--;
}

/* The hand goes round the blocks: what was not asked for since it came by last is let go of. */
static void
block_visit(struct plans *ps, struct block *b)
{
	for (unsigned i = 0; i < BLOCK; i++) {
		if (!b->v[i].recent)
			known_drop(ps, b, &b->v[i]);
		b->v[i].recent = false;
	}
}

/* Room for one plan more, as far as nobody holds those there are; block `keep` stays. */
static void
plans_trim(struct plans *ps, uint32_t keep)
{
	unsigned visits = TRIM_VISIT;

	for (uint32_t seen = 0; visits > 0 && seen < ps->n_blocks; seen++) {
		uint32_t i = ps->hand;

		if (ps->n < ps->max && plans_routes(ps) <= ps->max * PLAN_ROUTES)
			return;
		ps->hand = i + 1 < ps->n_blocks ? i + 1 : 0;
		if (!ps->block[i])
			continue;
		block_visit(ps, ps->block[i]);
		if (ps->block[i]->n == 0 && i != keep)
			block_free(ps, i);
		visits--;
	}
}

void
plans_free(struct plans **psp)
{
	struct plans *ps = *psp;

	*psp = NULL;
	if (!ps)
		return;
	for (uint32_t i = 0; i < ps->n_blocks; i++) {
		for (unsigned k = 0; ps->block[i] && k < BLOCK; k++)
			known_drop(ps, ps->block[i], &ps->block[i]->v[k]);
		free(ps->block[i]);
	}
	free(ps->block);
	htab_free(&ps->by_content);
	htab_free(&ps->services);
	ws_pool_fini(&ps->pool);
	free(ps);
}

static struct block *
block_make(struct plans *ps, uint32_t i)
{
	uint32_t n = ps->n_blocks;

	if (i >= n) {
		n = MAX(i + 1, MAX(n * 2, 16u));
		ps->block = xrealloc(ps->block, n * sizeof(*ps->block));
		memset(ps->block + ps->n_blocks, 0, (n - ps->n_blocks) * sizeof(*ps->block));
		ps->n_blocks = n;
	}
	ps->block[i] = aligned_alloc(CACHE_LINE, sizeof(struct block));
	if (!ps->block[i])
		oom_fail(sizeof(struct block));
	memset(ps->block[i], 0, sizeof(struct block));
	ps->n_made++;
	return ps->block[i];
}

/* --- looking up ---------------------------------------------------------------------------------
 */

static bool
plan_same(const struct hnode *n, const void *content)
{
	return str_eq(container_of(n, struct plan, node)->content, *(const struct str *)content);
}

/* Is its service what it was? 1, 0, or -1 malformed. One that is not serves nobody from now on. */
static int
plan_holds(struct plans *ps, struct table *t, struct plan *p)
{
	struct plan_service *s;
	bool same;

	if (!p->known)
		return 0;
	if (p->route->service.n == 0 || (p->of && p->of->known && p->of->seen == ps->now))
		return 1;
	if (service_get(ps, t, p->route->service, &s) < 0)
		return -1;
	same = s == p->of;
	service_unref(ps, &s);
	if (!same)
		plan_disown(ps, p);
	return same;
}

/* The plan for this content: 1 and a reference, or -1. */
static int
plan_find(struct plans *ps, struct table *t, const struct conf_object *o, struct plan **p_r)
{
	struct str content = route_shared(o->body);
	uint64_t hash = hash_keyed(content);
	struct hnode *n = htab_get(&ps->by_content, hash, plan_same, &content);
	struct plan *p = n ? container_of(n, struct plan, node) : NULL;
	int rc = p ? plan_holds(ps, t, p) : 0;

	if (rc == 1)
		p->refs++;
	if (rc == 0)
		p = plan_compile(ps, t, o, hash);
	if (rc < 0 || !p)
		return -1;
	*p_r = p;
	return 1;
}

static int
known_learn(struct plans *ps, struct table *t, uint32_t route, struct block *b)
{
	struct known *k = &b->v[route % BLOCK];
	struct conf_object o;
	struct plan *p = NULL;
	int rc = table_object(t, CONF_ROUTE, route, &o);

	if (rc == 1 && k->plan && digest_eq(&k->digest, &o.digest)) {
		rc = plan_holds(ps, t, k->plan);
		if (rc == 1) {
			k->seen = ps->now;
			return 1;
		}
		rc = rc == 0 ? 1 : rc;
	}
	known_drop(ps, b, k);
	if (rc == 1) {
		plans_trim(ps, route / BLOCK);
		rc = plan_find(ps, t, &o, &p);
	}
	if (rc == 1) {
		known_keep(ps, b, k, &o);
		k->plan = p;
		k->seen = ps->now;
	}
	return rc;
}

static void
known_changed(void *arg, enum conf_kind kind, uint32_t number)
{
	struct plans *ps = arg;
	uint32_t at = number / BLOCK;

	if (kind == CONF_SERVICE)
		ps->now++; /* any route's plan may be by it */
	else if (kind == CONF_ROUTE && at < ps->n_blocks && ps->block[at])
		ps->block[at]->v[number % BLOCK].seen = 0;
}

/* A new generation: what it left alone is known as well as before. */
static void
plans_follow(struct plans *ps, struct table *t)
{
	if (table_changes(t, ps->generation, known_changed, ps) == 0)
		ps->now++;
	ps->generation = table_generation(t);
}

struct plan *
plan_get(struct plans *ps, struct table *t, uint32_t route, struct plan_route *route_r)
{
	uint32_t at = route / BLOCK;
	struct block *b = at < ps->n_blocks ? ps->block[at] : NULL;
	struct known *k;

	if (unlikely(table_generation(t) != ps->generation))
		plans_follow(ps, t);
	if (unlikely(!b)) {
		if (route > NUMBER_MAX)
			return NULL;
		b = block_make(ps, at);
	}
	k = &b->v[route % BLOCK];
	if (unlikely(!k->plan || k->seen != ps->now)) {
		int rc = known_learn(ps, t, route, b);

		if (rc < 0) {
			log_error("route number %u: malformed value in the map", route);
			metric_add(ps->metrics, M_PROC_TABLE_ERRORS, 1);
		}
		if (rc != 1)
			return NULL;
	}
	if (!k->recent)
		k->recent = true;
	k->plan->refs++;
	*route_r = (struct plan_route){known_id(k), k->metric_row};
	return k->plan;
}
