/* SPDX-License-Identifier: Apache-2.0
 *
 * See pool.h. Connections are recycled objects: once warm, nothing here allocates.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "worker/up/pool.h"
#include "worker/up/shared.h"

#define POOL_JUST_USED_MS 1000

/* What an upstream may send as a head; more is a bad response. */
static const struct h1_limits pool_limits = {
    .request_line = 8 * 1024, .headers = 64 * 1024, .count = 256};

struct pool_row {
	struct list idle; /* next == NULL: never used */
	struct list shared;
	unsigned dialing;
	unsigned n;
	struct secure *secure; /* what TLS new connections speak; NULL: none so far */
};

struct pool {
	struct up *up;
	uint32_t rows;
	struct pool_row *row; /* by arena row; untouched pages cost nothing */
	struct list free;
	struct list shared;
	struct list waiting;
	struct defer wake;
	struct list woken;
	void (*wake_fn)(struct list *waiter);
	unsigned n_idle, n_secure;
};

static struct pool_row *
pool_row(struct pool *p, uint32_t row)
{
	struct pool_row *r;

	if (row >= p->rows)
		return NULL;
	r = &p->row[row];
	if (!r->idle.next) {
		list_init(&r->idle);
		list_init(&r->shared);
	}
	return r;
}

/* Who has to wait again does so behind the others. */
static void
pool_wake(struct defer *d)
{
	struct pool *p = container_of(d, struct pool, wake);
	struct list *n;

	while ((n = list_shift(&p->waiting)) != NULL)
		list_push(&p->woken, n);
	while ((n = list_shift(&p->woken)) != NULL)
		p->wake_fn(n);
}

struct pool *
pool_new(struct up *u, uint32_t rows)
{
	struct pool *p = xcalloc(1, sizeof(*p));

	p->up = u;
	p->rows = rows;
	p->row = xcalloc(rows, sizeof(*p->row));
	list_init(&p->free);
	list_init(&p->shared);
	list_init(&p->waiting);
	list_init(&p->woken);
	defer_init(&p->wake, pool_wake);
	return p;
}

static void
pool_unsecure(struct pool *p, struct pool_row *r)
{
	if (!r->secure)
		return;
	secure_unref(&r->secure);
	p->n_secure--;
}

void
pool_free(struct pool **pp)
{
	struct pool *p = *pp;

	if (!p)
		return;
	/* Idle connections find the pool by this very pointer. */
	pool_close_idle(p);
	shared_close_all(p);
	defer_cancel(&p->wake);
	for (uint32_t i = 0; i < p->rows && p->n_secure > 0; i++)
		pool_unsecure(p, &p->row[i]);
	*pp = NULL;
	list_each_safe (n, &p->free)
		free(container_of(n, struct upconn, node));
	free(p->row);
	free(p);
}

/* Off the idle list; what it is now is the caller's business. */
static void
pool_take(struct pool *p, struct upconn *c)
{
	list_del(&c->node);
	timer_rest(&c->timer);
	pool_row(p, c->row)->n--;
	p->n_idle--;
	metric_sub(p->up->metrics, M_PROC_UP_IDLE, 1);
	metric_add(p->up->metrics, M_PROC_UP_ACTIVE, 1);
}

void
pool_close(struct pool *p, struct upconn **cp)
{
	struct upconn *c = *cp;

	*cp = NULL;
	if (!c)
		return;
	timer_stop(&c->timer);
	h1_conn_close(&c->h1, false);
	secure_unref(&c->secure);
	metric_sub(p->up->metrics, M_PROC_UP_ACTIVE, 1);
	list_push(&p->free, &c->node);
}

static void
pool_drop(struct upconn *c)
{
	struct pool *p = c->up->pool;

	pool_take(p, c);
	pool_close(p, &c);
}

/* Whatever comes on an idle connection was not asked for. But an event may be the late one of
 * octets that were read with an earlier, and then nothing comes. */
static void
pool_idle_event(struct stream *s)
{
	if (stream_idle_ok(s) != 1)
		pool_drop(container_of(s, struct upconn, h1.stream));
}

static void
pool_idle_over(struct timer *t)
{
	pool_drop(container_of(t, struct upconn, timer));
}

static struct upconn *
pool_blank(struct pool *p)
{
	struct list *n = list_first(&p->free);
	struct upconn *c;

	if (n) {
		list_del(n);
		return container_of(n, struct upconn, node);
	}
	c = xcalloc(1, sizeof(*c));
	c->up = p->up;
	c->h1.stream.watch.fd = -1;
	list_init(&c->node);
	timer_init(&c->timer, pool_idle_over);
	return c;
}

struct upconn *
pool_connect(struct pool *p, const struct pool_id *id, const struct addr *to, int *errno_r)
{
	struct upconn *c = pool_blank(p);

	c->row = id->row;
	c->incarnation = id->incarnation;
	c->requests = 0;
	c->peer_idle = 0;
	c->greeting_n = 0;
	c->shared = NULL;
	if (stream_tcp_connect(&c->h1.stream, p->up->loop, to, h1_conn_event) < 0) {
		*errno_r = c->h1.stream.err;
		list_push(&p->free, &c->node);
		return NULL;
	}
	h1_conn_start(&c->h1, false, p->up->bufs);
	c->h1.limits = pool_limits;
	if (id->secure)
		c->secure = secure_ref(id->secure);
	metric_add(p->up->metrics, M_PROC_UP_CONNECTS, 1);
	metric_add(p->up->metrics, M_PROC_UP_ACTIVE, 1);
	return c;
}

/* The socket is new and empty, and a header shorter than any segment. */
int
pool_greet(struct upconn *c, struct str greeting)
{
	struct iovec v = {(void *)(uintptr_t)greeting.p, greeting.n};

	BUG_ON(greeting.n > sizeof(c->greeting));
	if (greeting.n == 0)
		return 1;
	if (stream_write(&c->h1.stream, &v, 1) != (ssize_t)greeting.n)
		return -1;
	memcpy(c->greeting, greeting.p, greeting.n);
	c->greeting_n = (uint8_t)greeting.n;
	return 1;
}

static struct upconn *
pool_newest(struct pool_row *r, const struct pool_id *id)
{
	list_each (n, &r->idle) {
		struct upconn *c = container_of(n, struct upconn, node);

		if (c->secure == id->secure &&
		    str_eq(str_n(c->greeting, c->greeting_n), id->greeting))
			return c;
	}
	return NULL;
}

struct upconn *
pool_get(struct pool *p, const struct pool_id *id, bool careful)
{
	struct pool_row *r = pool_row(p, id->row);
	struct upconn *c;
	bool look;

	while (r && (c = pool_newest(r, id))) {
		if (careful && clock_ms() - c->idle_since > POOL_JUST_USED_MS &&
		    c->incarnation == id->incarnation)
			return NULL; /* the others are older still */
		pool_take(p, c);
		/* An event that is still to be handed out: octets that came unasked would be taken
		 * for the answer to the next request. */
		look = careful || loop_pending(&c->h1.stream.watch);
		if (c->incarnation == id->incarnation &&
		    (!look || stream_idle_ok(&c->h1.stream) == 1)) {
			c->h1.stream.on_event = h1_conn_event;
			metric_add(p->up->metrics, M_PROC_UP_REUSED, 1);
			return c;
		}
		pool_close(p, &c);
	}
	return NULL;
}

static uint64_t
pool_keep_ms(const struct upconn *c, const struct pool_limits *l)
{
	uint64_t ms = l->idle_timeout;

	/* Gone a little before the endpoint closes it: fewer requests meet a connection that is
	 * being closed. */
	if (c->peer_idle) {
		uint64_t peer = c->peer_idle > 1000 ? c->peer_idle - 500 : c->peer_idle / 2;

		ms = ms ? MIN(ms, peer) : peer;
	}
	return ms;
}

bool
pool_current(const struct pool *p, uint32_t row, uint32_t incarnation)
{
	struct endpoint_row *e = arena_endpoint(p->up->arena, row);

	return e && atomic_load_explicit(&e->incarnation, memory_order_relaxed) == incarnation;
}

/* Its endpoint is in no set any more. */
static bool
pool_orphan(const struct pool *p, const struct upconn *c)
{
	return !pool_current(p, c->row, c->incarnation);
}

/* Nothing behind the answer. An event may have come for octets that were read before it, and what
 * TLS has may be a ticket and no more: then it is looked at. */
static bool
pool_silent(struct upconn *c)
{
	struct stream *s = &c->h1.stream;

	if (s->readable && stream_idle_ok(s) != 1)
		return false;
	s->readable = s->readable && s->layer;
	return true;
}

/* One that began with a client's address is of use while that client is there: the oldest is the
 * one to go when there is no room. */
static void
pool_make_room(struct pool_row *r, const struct upconn *c, const struct pool_limits *l)
{
	if (c->greeting_n > 0 && r->n > 0 && r->n >= l->idle)
		pool_drop(container_of(r->idle.prev, struct upconn, node));
}

void
pool_put(struct pool *p, struct upconn **cp, const struct pool_limits *l)
{
	struct upconn *c = *cp;
	struct pool_row *r = pool_row(p, c->row);
	uint64_t keep = pool_keep_ms(c, l);
	bool fit;

	fit = r && (l->requests == 0 || c->requests < l->requests) && pool_silent(c) &&
	      !c->h1.stream.hup && !h1_conn_pending(&c->h1) && !pool_orphan(p, c) &&
	      c->secure == (c->secure ? r->secure : NULL);
	if (fit)
		pool_make_room(r, c, l);
	if (!fit || r->n >= l->idle) {
		pool_close(p, cp);
		return;
	}
	*cp = NULL;
	c->h1.x.on_event = NULL;
	c->h1.stream.on_event = pool_idle_event;
	c->idle_since = clock_ms();
	list_unshift(&r->idle, &c->node);
	r->n++;
	p->n_idle++;
	if (keep)
		timer_set(loop_timers(p->up->loop), &c->timer, clock_ms() + keep);
	metric_sub(p->up->metrics, M_PROC_UP_ACTIVE, 1);
	metric_add(p->up->metrics, M_PROC_UP_IDLE, 1);
}

unsigned
pool_idle(const struct pool *p)
{
	return p->n_idle;
}

static void
pool_close_if(struct pool *p, bool (*fn)(const struct pool *p, const struct upconn *c))
{
	for (uint32_t i = 0; i < p->rows && p->n_idle > 0; i++) {
		if (!p->row[i].idle.next)
			continue;
		list_each_safe (n, &p->row[i].idle) {
			struct upconn *c = container_of(n, struct upconn, node);

			if (fn(p, c))
				pool_drop(c);
		}
	}
}

struct secure *
pool_secure(struct pool *p, uint32_t row, uint32_t incarnation, struct trust_profile *profile,
    struct str name)
{
	struct pool_row *r = pool_row(p, row);

	if (!r)
		return NULL;
	if (likely(r->secure && secure_is(r->secure, profile, name, incarnation)))
		return r->secure;
	list_each_safe (n, &r->idle) {
		struct upconn *c = container_of(n, struct upconn, node);

		if (c->secure)
			pool_drop(c);
	}
	pool_unsecure(p, r);
	r->secure = secure_new(profile, name, incarnation);
	p->n_secure++;
	return r->secure;
}

struct list *
pool_shared(struct pool *p, uint32_t row)
{
	struct pool_row *r = pool_row(p, row);

	return r ? &r->shared : NULL;
}

struct list *
pool_shared_all(struct pool *p)
{
	return &p->shared;
}

unsigned
pool_dialing(struct pool *p, uint32_t row, int by)
{
	struct pool_row *r = pool_row(p, row);

	if (!r)
		return 0;
	r->dialing += (unsigned)by;
	if (by < 0 && !list_empty(&p->waiting))
		loop_defer(p->up->loop, &p->wake);
	return r->dialing;
}

void
pool_wait(struct pool *p, struct list *waiter, void (*fn)(struct list *waiter))
{
	p->wake_fn = fn;
	list_push(&p->waiting, waiter);
}

void
pool_shared_idle(struct pool *p, bool idle)
{
	if (idle) {
		metric_sub(p->up->metrics, M_PROC_UP_ACTIVE, 1);
		metric_add(p->up->metrics, M_PROC_UP_IDLE, 1);
	} else {
		metric_sub(p->up->metrics, M_PROC_UP_IDLE, 1);
		metric_add(p->up->metrics, M_PROC_UP_ACTIVE, 1);
	}
}

static bool
pool_any(const struct pool *p, const struct upconn *c)
{
	(void)p;
	(void)c;
	return true;
}

static bool
pool_stale(const struct pool *p, const struct upconn *c)
{
	return pool_orphan(p, c) || (c->secure && c->secure->profile->gone);
}

void
pool_sweep(struct pool *p)
{
	pool_close_if(p, pool_stale);
	shared_sweep(p);
	for (uint32_t i = 0, left = p->n_secure; i < p->rows && left > 0; i++) {
		struct pool_row *r = &p->row[i];

		if (!r->secure)
			continue;
		left--;
		if (r->secure->profile->gone || !pool_current(p, i, r->secure->incarnation))
			pool_unsecure(p, r);
	}
}

void
pool_close_idle(struct pool *p)
{
	pool_close_if(p, pool_any);
}
