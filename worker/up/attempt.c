/* SPDX-License-Identifier: Apache-2.0
 *
 * See attempt.h. Judging what a failure means for the endpoint is in judge.c.
 */
#include <errno.h>

#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "worker/up/attempt.h"
#include "worker/up/judge.h"
#include "worker/up/shared.h"

static void
attempt_tell(struct attempt *a)
{
	if (a->on_event)
		a->on_event(a);
}

static void
attempt_deadline(struct timer *t)
{
	static const enum reason why[] = {
	    [PHASE_NONE] = REASON_TOTAL_TIMEOUT,
	    [PHASE_CONNECT] = REASON_CONNECT_TIMEOUT,
	    [PHASE_FIRST_BYTE] = REASON_FIRST_BYTE_TIMEOUT,
	    [PHASE_IDLE] = REASON_UPSTREAM_IDLE,
	};
	struct attempt *a = container_of(t, struct attempt, timer);

	if (!list_empty(&a->waiter))
		a->ours = true; /* another's connection was late: that one is judged */
	if (a->shaking)
		secure_failed(a, SECURE_TIMEOUT, "the handshake was not over in time");
	if (a->conf.total_at_ms && clock_ms() >= a->conf.total_at_ms) {
		a->why = REASON_TOTAL_TIMEOUT;
		a->timed_out = true;
	} else {
		a->why = why[a->phase];
	}
	a->state = ATTEMPT_FAILED;
	attempt_tell(a);
}

void
attempt_phase(struct attempt *a, enum attempt_phase phase)
{
	const uint64_t ms[] = {
	    [PHASE_NONE] = 0,
	    [PHASE_CONNECT] = a->conf.connect_ms,
	    [PHASE_FIRST_BYTE] = a->conf.first_byte_ms,
	    [PHASE_IDLE] = a->conf.idle_ms,
	};
	uint64_t at = ms[phase] ? clock_ms() + ms[phase] : UINT64_MAX;

	a->phase = phase;
	if (a->conf.total_at_ms)
		at = MIN(at, a->conf.total_at_ms);
	if (at == UINT64_MAX)
		timer_rest(&a->timer);
	else
		timer_set(loop_timers(a->up->loop), &a->timer, at);
}

static void
attempt_free(void *arg)
{
	struct attempt *a = arg;

	attempt_end(a, false);
	endpoints_unref(&a->set);
	a->on_event = NULL;
	list_unshift(&a->up->free_attempts, &a->node); /* warm ones first */
}

static struct attempt *
attempt_blank(struct up *u)
{
	struct list *n = list_shift(&u->free_attempts);
	struct attempt *a;

	if (n)
		return container_of(n, struct attempt, node);
	a = xmalloc(sizeof(*a));
	list_init(&a->node);
	timer_init(&a->timer, attempt_deadline);
	return a;
}

void
attempts_free(struct up *u)
{
	struct list *n;

	while ((n = list_shift(&u->free_attempts)) != NULL) {
		struct attempt *a = container_of(n, struct attempt, node);

		timer_stop(&a->timer);
		free(a);
	}
}

struct attempt *
attempt_new(struct up *u, const struct attempt_conf *conf, struct ws *ws)
{
	struct attempt *a = attempt_blank(u);

	memset(&a->waiter, 0, offsetof(struct attempt, tried) - offsetof(struct attempt, waiter));
	a->tried.n = 0;
	a->up = u;
	a->conf = *conf;
	list_init(&a->waiter);
	ws_on_free(ws, attempt_free, a);
	return a;
}

static bool
attempt_take(struct attempt *a, const struct endpoint_ref *e)
{
	struct up *u = a->up;

	if (endpoint_take(u->arena, u->slot, e->row, e->incarnation) != 1)
		return false;
	atomic_fetch_add_explicit(
	    &arena_endpoint(u->arena, e->row)->picks, 1, memory_order_relaxed);
	a->taken = true;
	a->to = e;
	return true;
}

int
attempt_pick(struct attempt *a, struct table *t)
{
	const struct conf_service *s = a->conf.service;
	const struct endpoint_ref *e;
	struct epset *set;

	BUG_ON(a->taken || a->c);
	a->state = ATTEMPT_IDLE;
	/* Once more to the endpoint whose pooled connection was stale. */
	if (a->fresh && a->to && attempt_take(a, a->to))
		return 1;
	a->fresh = false;
	set = endpoints_get(a->up, t, a->conf.service_number);
	if (!set)
		return 0;
	endpoints_ref(set);
	endpoints_unref(&a->set);
	a->set = set;
	a->to = NULL;
	/* A row that was given to another endpoint since the set was read: leave it out and look
	 * on. */
	for (unsigned i = 0; i < PICK_TRIED; i++) {
		e = pick_endpoint(a->up, set, (enum balancer)s->balancer, &a->tried);
		if (!e)
			return 0;
		tried_add(&a->tried, e->row);
		if (attempt_take(a, e)) {
			a->tries++;
			return 1;
		}
	}
	return 0;
}

void
attempt_own(struct attempt *a, const struct addr *to, struct str name)
{
	a->own = (struct endpoint_ref){.row = POOL_ROW_NONE, .addr = *to, .name = name};
	a->to = &a->own;
	a->tries++;
}

static void
attempt_ahead(const struct xchg *x)
{
	const struct attempt *a = x->owner;

	prefetch(a->owner, ATTEMPT_OWNER_NEAR);
	prefetch(a->tally, METRIC_ROW_NEAR);
}

static void
attempt_xchg_event(struct xchg *x)
{
	attempt_tell(x->owner);
}

/* What others waited for is there, or will not be. */
static void
attempt_dialled(struct attempt *a)
{
	if (!a->dialing)
		return;
	a->dialing = false;
	pool_dialing(a->up->pool, a->to->row, -1);
}

static int
attempt_cannot(struct attempt *a, enum reason why)
{
	attempt_dialled(a);
	a->why = why;
	a->state = ATTEMPT_FAILED;
	return -1;
}

/* Exchanges of this service are had side by side. */
static bool
attempt_shares(const struct attempt *a)
{
	return a->conf.service && a->conf.service->protocol == SERVICE_HTTP2 &&
	       !a->conf.own_connection && a->to->row != POOL_ROW_NONE;
}

static struct pool_limits
attempt_limits(const struct attempt *a)
{
	const struct conf_service *s = a->conf.service;

	return (struct pool_limits){
	    (uint32_t)s->pool.idle, s->pool.idle_timeout, (uint32_t)s->pool.requests};
}

/* A new connection stands: from here on it is everybody's. */
static int
attempt_share(struct attempt *a)
{
	struct pool_limits l = attempt_limits(a);
	const struct tls_facts *f = tls_facts(&a->c->h1.stream);

	if (f && !str_eq(f->alpn, STR("h2"))) {
		secure_failed(a, TLS_FAIL_ALPN, "the server does not speak HTTP/2");
		return attempt_cannot(a, REASON_UPSTREAM_TLS);
	}
	a->shared = shared_new(a->up->pool, &a->c, &l);
	attempt_dialled(a);
	return a->shared ? 1 : attempt_cannot(a, REASON_CONNECT_FAILED);
}

static int
attempt_ready(struct attempt *a)
{
	if (a->c && attempt_shares(a) && attempt_share(a) < 0)
		return -1;
	a->state = ATTEMPT_READY;
	a->stood = true;
	if (a->c)
		a->c->h1.x.owner = a;
	attempt_phase(a, PHASE_NONE);
	return 1;
}

/* The handshake is over, this way or that. */
static int
attempt_shaken(struct attempt *a)
{
	const struct stream *s = &a->c->h1.stream;

	a->shaking = false;
	if (s->err != 0 || s->refused) {
		secure_failed(a, tls_failure(s), tls_error(s));
		return attempt_cannot(a, REASON_UPSTREAM_TLS);
	}
	secure_stands(a->c);
	return attempt_ready(a);
}

static void attempt_connected(struct stream *s);

/* TCP stands, or not: what the connection begins with, and the handshake. As attempt_connect. */
static int
attempt_stand(struct attempt *a)
{
	struct upconn *c = a->c;
	const char *error = "";

	if (c->h1.stream.err != 0 || pool_greet(c, a->conf.greeting) < 0)
		return attempt_cannot(a, REASON_CONNECT_FAILED);
	if (!c->secure)
		return attempt_ready(a);
	if (secure_begin(c, attempt_connected, &error) < 0) {
		secure_failed(a, TLS_FAIL_OTHER, error);
		return attempt_cannot(a, REASON_UPSTREAM_TLS);
	}
	a->shaking = true;
	return c->h1.stream.connecting ? 0 : attempt_shaken(a);
}

static void
attempt_connected(struct stream *s)
{
	struct upconn *c = container_of(s, struct upconn, h1.stream);
	struct attempt *a = c->h1.x.owner;
	int rc;

	if (s->connecting)
		return;
	rc = a->shaking ? attempt_shaken(a) : attempt_stand(a);
	if (rc == 0)
		return;
	if (a->c)
		s->on_event = h1_conn_event;
	attempt_tell(a);
}

static int
attempt_open(struct attempt *a, const struct pool_id *id)
{
	int err = 0, rc = 0;

	a->reused = false;
	a->c = pool_connect(a->up->pool, id, &a->to->addr, &err);
	/* Our own want of descriptors says nothing about the endpoint. */
	if (!a->c)
		return attempt_cannot(
		    a, err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS
			   ? REASON_OVERLOADED
			   : REASON_CONNECT_FAILED);
	if (!a->c->h1.stream.connecting)
		rc = attempt_stand(a);
	if (rc != 0) {
		if (a->c)
			a->c->h1.stream.on_event = h1_conn_event;
		return rc;
	}
	a->state = ATTEMPT_CONNECTING;
	a->c->h1.x.owner = a;
	a->c->h1.stream.on_event = attempt_connected;
	attempt_phase(a, PHASE_CONNECT);
	return 0;
}

/* What a connection to a->to has to be. An endpoint that is asked for TLS is never spoken to
 * without. */
static int
attempt_identity(struct attempt *a, struct pool_id *id_r)
{
	const struct conf_service *s = a->conf.service;
	const struct endpoint_ref *to = a->to;
	const char *error = "the endpoint has no place in the pool";
	struct trust_profile *p;
	struct pool_id id = {
	    .row = to->row, .incarnation = to->incarnation, .greeting = a->conf.greeting};

	if (to->tls) {
		BUG_ON(!s || !a->conf.trust);
		p = trust_profile(a->up->trust, &s->tls, attempt_shares(a) ? TLS_HTTP2 : 0u,
		    a->conf.trust, &error);
		if (p)
			id.secure = pool_secure(a->up->pool, to->row, to->incarnation, p,
			    secure_name(&s->tls, to->host));
		if (!id.secure) {
			a->ours = true;
			secure_failed(a, SECURE_SETTINGS, error);
			return attempt_cannot(a, REASON_UPSTREAM_TLS);
		}
	}
	*id_r = id;
	return 1;
}

static void
attempt_woken(struct list *waiter)
{
	struct attempt *a = container_of(waiter, struct attempt, waiter);

	a->state = ATTEMPT_IDLE;
	attempt_tell(a);
}

/* Another's connection is on its way: most of those who come at once can share it. */
static int
attempt_wait(struct attempt *a)
{
	a->state = ATTEMPT_CONNECTING;
	pool_wait(a->up->pool, &a->waiter, attempt_woken);
	if (a->phase != PHASE_CONNECT)
		attempt_phase(a, PHASE_CONNECT);
	return 0;
}

int
attempt_connect(struct attempt *a)
{
	struct pool_id id;

	switch (a->state) {
	case ATTEMPT_READY:
		if (!a->shared || h2_room(&a->shared->h2) > 0)
			return attempt_ready(a);
		a->shared = NULL; /* others were quicker */
		break;
	case ATTEMPT_CONNECTING:
		return 0;
	case ATTEMPT_FAILED:
		return -1;
	default:
		break;
	}
	if (attempt_identity(a, &id) < 0)
		return -1;
	if (!a->fresh && attempt_shares(a)) {
		a->shared = shared_find(a->up->pool, &id);
		if (a->shared) {
			a->reused = true;
			metric_add(a->up->metrics, M_PROC_UP_REUSED, 1);
			return attempt_ready(a);
		}
		/* One that begins with a client's address is nobody else's. */
		if (a->conf.greeting.n == 0 && pool_dialing(a->up->pool, a->to->row, 0) > 0)
			return attempt_wait(a);
		a->dialing = true;
		pool_dialing(a->up->pool, a->to->row, 1);
	} else if (!a->fresh && !a->conf.own_connection && a->to->row != POOL_ROW_NONE) {
		a->c = pool_get(a->up->pool, &id, !a->conf.idempotent || a->conf.body);
		if (a->c) {
			a->reused = true;
			return attempt_ready(a);
		}
	}
	return attempt_open(a, &id);
}

struct xchg *
attempt_xchg(const struct attempt *a)
{
	if (a->hs)
		return &a->hs->x;
	return a->c ? &a->c->h1.x : NULL;
}

struct xchg *
attempt_begin(struct attempt *a, struct head *rx)
{
	struct xchg *x;

	if (a->shared) {
		a->hs = shared_begin(a->shared, rx);
		a->shared = NULL;
		if (!a->hs)
			return NULL;
	} else {
		h1_conn_begin(&a->c->h1, rx);
		a->c->requests++;
	}
	x = attempt_xchg(a);
	x->owner = a;
	x->on_event = attempt_xchg_event;
	x->on_ahead = attempt_ahead;
	return x;
}

void
attempt_end(struct attempt *a, bool reusable)
{
	struct up *u = a->up;

	timer_rest(&a->timer);
	attempt_dialled(a);
	list_del(&a->waiter);
	a->shared = NULL;
	if (a->hs) {
		a->hs->x.on_event = NULL;
		h2_end(&a->hs);
	}
	if (a->c) {
		struct xchg *x = &a->c->h1.x;

		x->on_event = NULL;
		x->on_ahead = NULL;
		if (reusable && a->conf.service && !a->conf.own_connection && x->rx_head &&
		    x->ops->finish(x) == 1) {
			struct pool_limits l = attempt_limits(a);

			pool_put(u->pool, &a->c, &l);
		} else {
			pool_close(u->pool, &a->c);
		}
	}
	if (a->taken) {
		a->taken = false;
		endpoint_release(u->arena, u->slot, a->to->row, a->to->incarnation);
	}
	a->state = ATTEMPT_IDLE;
	a->stood = a->shaking = a->ours = false;
}

enum reason
attempt_reason(struct attempt *a, enum reason why)
{
	const struct upconn *c = a->c;

	if (why != REASON_UPSTREAM_CLOSED || !c || !c->secure || c->h1.x.rx_any ||
	    tls_failure(&c->h1.stream) != TLS_FAIL_REFUSED)
		return why;
	secure_failed(a, TLS_FAIL_REFUSED, tls_error(&c->h1.stream));
	return REASON_UPSTREAM_TLS;
}

bool
attempt_refused(const struct attempt *a)
{
	return a->hs && a->hs->refused;
}

enum retry
attempt_failed(struct attempt *a, enum reason why)
{
	const struct conf_service *s = a->conf.service;
	const struct xchg *x = attempt_xchg(a);
	bool looked_at = a->stood && !attempt_refused(a);
	struct retry_facts f = {
	    .connected = looked_at,
	    .reused = a->reused,
	    .response = x && x->rx_any,
	    .sent = looked_at && x && x->tx_any,
	    .idempotent = a->conf.idempotent,
	    .body_used = a->body_used,
	    .over = a->timed_out || why == REASON_FIRST_BYTE_TIMEOUT || why == REASON_OVERLOADED,
	    .fresh_used = a->fresh_used,
	    .tries = a->tries,
	    .allowed = s ? (unsigned)s->retry.attempts : 1,
	};
	enum retry next = retry_decide(&f);

	if (next != RETRY_FRESH)
		judge_failed(a, why);
	attempt_end(a, false);
	a->fresh = next == RETRY_FRESH;
	a->fresh_used |= a->fresh;
	if (next != RETRY_NO && s)
		metric_row_add(a->up->metrics, a->conf.metric_row, M_SERVICE_S_RETRIES, 1);
	return next;
}
