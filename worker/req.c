/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of a request, and what policies may ask of it. Requests are recycled: once warm, none of
 * this allocates.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "worker/accept.h"
#include "worker/generation.h"
#include "worker/net/tls.h"
#include "worker/plan.h"
#include "worker/req_life.h"
#include "worker/steps.h"
#include "worker/proxied.h"
#include "worker/worker_priv.h"

/* Besides the heads: what the gateway and policies make of them. */
#define REQ_WS_EXTRA (128 * 1024)

static void
req_woken(struct timer *t)
{
	struct req *r = container_of(t, struct req, timer);

	r->waiting = WAIT_NOTHING;
	req_run(r);
}

static void
req_again(struct defer *d)
{
	req_run(container_of(d, struct req, again));
}

static struct req *
req_blank(struct worker *w)
{
	struct list *n = list_first(&w->free_reqs);
	struct req *r;

	if (!n)
		return xcalloc(1, sizeof(*r));
	list_del(n);
	r = container_of(n, struct req, node);
	memset(r, 0, offsetof(struct req, in));
	return r;
}

struct req *
req_new(struct conn *c)
{
	struct worker *w = c->w;
	struct req *r = req_blank(w);
	const struct conf_listener *l = c->listener->conf;

	r->magic = REQ_MAGIC;
	r->worker = w;
	r->conn = c;
	r->cx = c->x;
	ws_init(&r->ws, &w->ws_pool, 4 * l->limits.headers + REQ_WS_EXTRA);
	head_init(&r->in, &r->ws, true);
	head_init(&r->out, &r->ws, false);
	timer_init(&r->timer, req_woken);
	defer_init(&r->again, req_again);
	r->gen = gen_ref(w->gen);
	r->generation = r->gen->number;
	addr_kept_get(&c->peer, &r->peer);
	addr_kept_get(&c->peer, &r->client);
	r->local = c->proxied ? &c->proxied->local : &c->listener->addr;
	r->match.n_params = 0;
	r->match.allow = 0;
	r->match.rest = r->match.pattern = STR("");
	r->via = c->proxied ? &c->proxied->via : NULL;
	r->handshake = tls_facts(conn_stream(c));
	r->tls = r->handshake != NULL;
	r->body_limit = l->limits.body;
	r->t.start = clock_ns();
	r->step = STEP_HEAD;
	c->requests++;
	metric_add(w->metrics, M_PROC_REQUESTS_ACTIVE, 1);
	return r;
}

void
req_end(struct req *r)
{
	struct worker *w = r->worker;
	struct conn *c = r->conn;
	unsigned after = r->after;

	timer_stop(&r->timer);
	defer_cancel(&r->again);
	ws_free(&r->ws); /* the attempt goes with it */
	if (r->plan)
		plan_unref(w->plans, &r->plan);
	gen_unref(&r->gen);
	metric_sub(w->metrics, M_PROC_REQUESTS_ACTIVE, 1);
	r->magic = 0;
	list_unshift(&w->free_reqs, &r->node);
	c->req = NULL;
	conn_after(c, after);
}

void
req_pool_fini(struct worker *w)
{
	list_each_safe (n, &w->free_reqs)
		free(container_of(n, struct req, node));
}

void
req_later(struct req *r)
{
	loop_defer(r->worker->loop, &r->again);
}

int
req_soon(struct req *r, unsigned step)
{
	step_to(r, step);
	loop_soon(r->worker->loop, &r->again);
	return STEP_WAIT;
}

void
req_reply(struct req *r, uint16_t status, enum reason why, struct str content_type, struct str body)
{
	r->reply = (struct reply){.set = true,
	    .status = status,
	    .reason = why,
	    .content_type = content_type,
	    .body = body};
}

void
req_reply_reason(struct req *r, enum reason why)
{
	uint16_t status = reason_table[why].status;

	req_reply(r, status ? status : 502, why, STR(""), STR(""));
}

void
req_wait_ms(struct req *r, uint64_t ms)
{
	BUG_ON(r->waiting != WAIT_NOTHING);
	r->waiting = WAIT_TIMER;
	/* The clock is cut to whole milliseconds: one more, so that it is never less. */
	timer_set(r->worker->timers, &r->timer, clock_ms() + ms + 1);
}

void *
req_policy_state(struct req *r, unsigned index, size_t size)
{
	BUG_ON(!r->plan || index >= r->plan->n_chain);
	if (!r->policy_state) {
		r->policy_state = ws_zalloc(&r->ws, r->plan->n_chain * sizeof(void *));
		if (!r->policy_state)
			return NULL;
	}
	if (!r->policy_state[index])
		r->policy_state[index] = ws_zalloc(&r->ws, size);
	return r->policy_state[index];
}
