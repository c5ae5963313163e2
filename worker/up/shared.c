/* SPDX-License-Identifier: Apache-2.0
 *
 * See shared.h.
 */
#include "worker/up/shared.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"

/* What an upstream may send: heads as over HTTP/1.1, payload as much as a turn moves. */
static const struct h2_limits shared_limits = {
    .headers = 64 * 1024,
    .count = 256,
    .streams = 0, /* it begins none */
    .window = 256 * 1024,
    .conn_window = 4 << 20,
};

static bool
shared_is(const struct shared *sh, const struct pool_id *id)
{
	const struct upconn *c = sh->base;

	return c->secure == id->secure && c->incarnation == id->incarnation &&
	       str_eq(str_n(c->greeting, c->greeting_n), id->greeting);
}

static bool
shared_spent(const struct shared *sh)
{
	return sh->limits.requests > 0 && sh->h2.begun >= sh->limits.requests;
}

struct shared *
shared_find(struct pool *p, const struct pool_id *id)
{
	struct list *row = pool_shared(p, id->row);

	if (!row)
		return NULL;
	list_each (n, row) {
		struct shared *sh = container_of(n, struct shared, node);

		if (shared_is(sh, id) && !shared_spent(sh) && h2_room(&sh->h2) > 0)
			return sh;
	}
	return NULL;
}

static void
shared_close(struct shared *sh)
{
	struct pool *p = sh->pool;

	BUG_ON(sh->h2.n_streams > 0);
	timer_stop(&sh->timer);
	list_del(&sh->node);
	list_del(&sh->all);
	if (!sh->h2.failed) {
		h2_conn_goaway(&sh->h2);
		h2_conn_push(&sh->h2);
	}
	h2_conn_free(&sh->h2);
	if (sh->idle)
		pool_shared_idle(p, false);
	pool_close(p, &sh->base);
	free(sh);
}

static void
shared_set_idle(struct shared *sh, bool idle)
{
	if (sh->idle == idle)
		return;
	sh->idle = idle;
	pool_shared_idle(sh->pool, idle);
	if (idle && sh->limits.idle_timeout)
		timer_set(loop_timers(sh->base->up->loop), &sh->timer,
		    clock_ms() + sh->limits.idle_timeout);
	else
		timer_stop(&sh->timer);
}

static void
shared_idle_over(struct timer *t)
{
	shared_close(container_of(t, struct shared, timer));
}

/* Over, or without an exchange. */
static void
shared_look(struct h2_conn *h)
{
	struct shared *sh = h->owner;

	if (h->n_streams > 0)
		return;
	if (h->failed || h->eof || h->draining || shared_spent(sh) || sh->limits.idle == 0)
		shared_close(sh);
	else
		shared_set_idle(sh, true);
}

static void
shared_event(struct stream *s)
{
	struct upconn *c = container_of(s, struct upconn, h1.stream);

	h2_conn_event(&c->shared->h2);
}

struct shared *
shared_new(struct pool *p, struct upconn **cp, const struct pool_limits *l)
{
	struct shared *sh = xcalloc(1, sizeof(*sh));
	struct upconn *c = *cp;

	*cp = NULL;
	sh->pool = p;
	sh->base = c;
	sh->limits = *l;
	timer_init(&sh->timer, shared_idle_over);
	sh->h2 = (struct h2_conn){.stream = &c->h1.stream,
	    .secure = c->secure != NULL,
	    .owner = sh,
	    .on_conn = shared_look};
	if (h2_conn_start(&sh->h2, false, c->up->h2, &shared_limits, STR_NONE) < 0) {
		pool_close(p, &c);
		free(sh);
		return NULL;
	}
	c->shared = sh;
	c->h1.stream.on_event = shared_event;
	list_push(pool_shared(p, c->row), &sh->node);
	list_push(pool_shared_all(p), &sh->all);
	return sh;
}

struct h2_stream *
shared_begin(struct shared *sh, struct head *rx)
{
	struct h2_stream *s = h2_begin(&sh->h2, rx);

	if (!s)
		return NULL;
	shared_set_idle(sh, false);
	if (shared_spent(sh)) /* the last one */
		sh->h2.draining = true;
	return s;
}

static bool
shared_stale(const struct shared *sh)
{
	const struct upconn *c = sh->base;

	return !pool_current(sh->pool, c->row, c->incarnation) ||
	       (c->secure && c->secure->profile->gone);
}

static void
shared_retire(struct shared *sh)
{
	if (sh->h2.n_streams == 0)
		shared_close(sh);
	else
		h2_conn_drain(&sh->h2);
}

void
shared_sweep(struct pool *p)
{
	list_each_safe (n, pool_shared_all(p)) {
		struct shared *sh = container_of(n, struct shared, all);

		if (shared_stale(sh))
			shared_retire(sh);
	}
}

void
shared_close_all(struct pool *p)
{
	list_each_safe (n, pool_shared_all(p))
		shared_close(container_of(n, struct shared, all));
}
