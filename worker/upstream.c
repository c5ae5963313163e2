/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps towards the upstream: an endpoint, a connection to it, the request head. A try that fails
 * comes back to PICK when another is safe.
 */
#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "worker/conn.h"
#include "worker/conn_h2.h"
#include "worker/forward.h"
#include "worker/generation.h"
#include "worker/grpc.h"
#include "worker/http/proto.h"
#include "worker/plan.h"
#include "worker/proxied.h"
#include "worker/req_life.h"
#include "worker/steps.h"
#include "worker/up/attempt.h"
#include "worker/upstream.h"
#include "worker/worker_priv.h"

static void
upstream_event(struct attempt *a)
{
	req_run(a->owner);
}

/* NULL: the request's memory is used up. */
static struct attempt *
upstream_attempt(struct req *r)
{
	const struct plan *p = r->plan;
	struct attempt_conf c = {
	    .idempotent = r->in.method < METHOD_COUNT && method_idempotent(r->in.method),
	    .own_connection = r->websocket != NULL,
	    .body = r->in.body != BODY_NONE && !(r->in.body == BODY_LENGTH && r->in.length == 0),
	};

	if (r->own_upstream) {
		c.connect_ms = c.first_byte_ms = c.idle_ms = 10000;
	} else {
		c.service = p->service;
		c.service_id = p->service_id;
		c.service_number = p->service_number;
		c.metric_row = p->metric_service;
		c.trust = &r->plan->trust;
		c.connect_ms = p->connect_ms;
		c.first_byte_ms = p->first_byte_ms;
		c.idle_ms = p->idle_ms;
		if (p->total_ms)
			c.total_at_ms = r->t.start / 1000000 + p->total_ms;
		if (r->deadline_ms)
			c.total_at_ms =
			    MIN(c.total_at_ms ? c.total_at_ms : UINT64_MAX, r->deadline_ms);
	}
	if (proxied_greeting(r, &c.greeting) < 0)
		return NULL;
	r->attempt = attempt_new(r->worker->up, &c, &r->ws);
	r->attempt->owner = r;
	r->attempt->tally = metric_row_at(r->worker->metrics, r->metric_route, METRIC_ROUTE);
	r->attempt->on_event = upstream_event;
	return r->attempt;
}

int
upstream_failed(struct req *r, enum reason why)
{
	bool refused = attempt_refused(r->attempt);
	enum retry next;

	why = attempt_reason(r->attempt, why);
	next = attempt_failed(r->attempt, why);
	r->ux = NULL;
	/* What was sent of its body is not kept, but a caller tries again by itself what nobody
	 * has looked at. */
	if (next == RETRY_NO && refused && r->grpc && conn_h2_refuse(r))
		return req_abandon(r, why);
	if (next == RETRY_NO || r->response_started)
		return req_fail(r, why);
	r->failing = true;
	r->fail_reason = why;
	r->up_deaf = false;
	head_init(&r->out, &r->ws, false);
	return step_to(r, STEP_PICK);
}

int
step_pick(struct req *r)
{
	struct attempt *a;
	struct table *t;

	/* Nothing is begun, nor tried again, for a client that has left. */
	if (unlikely(req_deserted(r)))
		return req_abandon(r, REASON_CLIENT_GONE);
	a = r->attempt ? r->attempt : upstream_attempt(r);
	if (!a)
		return req_fail(r, REASON_INTERNAL);
	if (r->own_upstream) {
		attempt_own(a, &r->worker->admin, STR("admin"));
	} else {
		t = worker_table(r->worker);
		if (!t)
			return req_fail(r, REASON_INTERNAL);
		if (attempt_pick(a, t) != 1)
			return req_fail(r, r->failing ? r->fail_reason : REASON_NO_ENDPOINT);
	}
	r->attempts++;
	/* Copied: the set it lies in may be replaced while the request goes on. */
	r->endpoint = ws_str(&r->ws, a->to->name);
	r->t.connect_start = clock_ns();
	return step_to(r, STEP_CONNECT);
}

int
step_connect(struct req *r)
{
	struct attempt *a = r->attempt;
	int rc = attempt_connect(a);

	if (rc == 0)
		return STEP_WAIT;
	if (rc < 0)
		return upstream_failed(r, a->why);
	/* Equal times mean reused, even where a new connection took no time. */
	r->t.connect_end = clock_ns() + !a->reused;
	return step_to(r, STEP_SEND);
}

/* The client waits for a word before it sends its body: everything that could refuse it has had its
 * say. */
static int
upstream_continue(struct req *r)
{
	struct xchg *x = r->cx;

	if (!r->in.expect_continue || r->in.minor == 0)
		return 1;
	r->in.expect_continue = false;
	if (x->rx_end || x->rx_body)
		return 1;
	return x->ops->send_interim(x, 100);
}

int
step_send(struct req *r)
{
	struct attempt *a = r->attempt;
	struct xchg_send s = {.keepalive = !r->own_upstream,
	    .connection = r->websocket     ? STR("Upgrade")
			  : r->te_trailers ? STR("TE")
					   : STR("")};
	struct xchg *x;

	if (upstream_continue(r) < 0)
		return req_abandon(r, REASON_CLIENT_GONE);
	x = attempt_begin(a, &r->out);
	if (!x)
		return upstream_failed(r, REASON_UPSTREAM_CLOSED);
	x->upgrade = r->websocket != NULL;
	forward_host(r, a->to->host);
	if (r->grpc)
		grpc_forward(r);
	s.target = forward_target(r, a->to->base_path);
	if (s.target.p == NULL || x->ops->send_head(x, &r->in, &s) < 0) {
		attempt_failed(a, REASON_INTERNAL);
		return req_fail(r, REASON_INTERNAL);
	}
	r->ux = x;
	return req_soon(r, STEP_AWAIT);
}
