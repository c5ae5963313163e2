/* SPDX-License-Identifier: Apache-2.0
 *
 * Both bodies on their way, straight from the buffer one side was read into to the other side's
 * socket. Nothing is read while the other side is full, and one relay does not keep the loop for
 * itself.
 */
#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "shm/base/num.h"
#include "worker/chain.h"
#include "worker/conn.h"
#include "worker/forward.h"
#include "worker/http/proto.h"
#include "worker/plan.h"
#include "worker/pump.h"
#include "worker/req_life.h"
#include "worker/steps.h"
#include "worker/up/attempt.h"
#include "worker/upstream.h"
#include "worker/worker_priv.h"

#define RELAY_TURN (256 * 1024) /* octets one direction moves before others have their turn */

static enum pump
relay_pump(struct req *r, struct xchg *from, struct xchg *to, struct pumped *p)
{
	enum pump rc;

	p->pipes = &r->worker->pipes;
	do
		rc = pump_once(from, to, p);
	while (rc == PUMP_LATER && p->moved < RELAY_TURN);
	if (p->piped)
		metric_add(r->worker->metrics, M_PROC_BYTES_PIPED, p->piped);
	if (rc == PUMP_LATER)
		req_later(r);
	return rc;
}

/* The client's body to the upstream. */
static enum pump
relay_request(struct req *r, bool *progress_r)
{
	struct pumped p = {
	    .filter = r->filter_in, .count = &r->body_in, .received = true, .limit = r->body_limit};
	enum pump rc;

	*progress_r = false;
	if (r->ux->tx_end)
		return PUMP_DONE;
	if (r->up_deaf)
		return PUMP_DEAF;
	rc = relay_pump(r, r->cx, r->ux, &p);
	r->attempt->body_used |= p.progress;
	if (r->cx->rx_end && !r->t.request_body)
		r->t.request_body = clock_ns();
	if (rc == PUMP_DONE && !r->t.sent)
		r->t.sent = clock_ns();
	r->up_deaf = rc == PUMP_DEAF;
	*progress_r = p.progress;
	return rc;
}

/* What was wrong with a message: the protocol's word, or the filter's. */
static enum reason
relay_why(const struct xchg *from, const struct filter *f, enum reason otherwise)
{
	if (from->why)
		return from->why;
	return f ? f->why : otherwise;
}

/* The request's body ends the request: too large, or malformed. */
static int
relay_refuse(struct req *r, enum pump rc)
{
	enum reason why = relay_why(r->cx, r->filter_in, REASON_BAD_CHUNK);

	attempt_end(r->attempt, false);
	r->ux = NULL;
	return req_fail(r, rc == PUMP_LARGE ? REASON_TOO_LARGE : why);
}

/* Who is waited for while the response head is due, and how long. */
static void
relay_await_deadlines(struct req *r, enum pump rc, bool progress)
{
	struct attempt *a = r->attempt;
	enum attempt_phase want = PHASE_FIRST_BYTE;

	conn_wait(r->conn, rc == PUMP_DRY && !r->grpc ? CONN_WAIT_BODY : CONN_WAIT_NONE, progress);
	/* A call is a conversation: who is silent is not late. */
	if (rc == PUMP_DRY && r->grpc)
		want = PHASE_IDLE;
	else if (rc == PUMP_DRY || rc == PUMP_LATER)
		want = PHASE_NONE;
	else if (rc == PUMP_FULL)
		want = PHASE_IDLE;
	if (a->phase != want || (progress && want == PHASE_IDLE))
		attempt_phase(a, want);
}

int
step_await(struct req *r)
{
	struct attempt *a = r->attempt;
	bool progress;
	enum pump rc;

	if (a->state == ATTEMPT_FAILED)
		return upstream_failed(
		    r, a->why == REASON_UPSTREAM_IDLE ? REASON_FIRST_BYTE_TIMEOUT : a->why);
	rc = relay_request(r, &progress);
	if (rc == PUMP_LARGE || rc == PUMP_BAD)
		return relay_refuse(r, rc);
	if (r->ux->rx_head)
		return step_to(r, r->out.status == 101 ? STEP_SWITCH : STEP_RESPONSE);
	if (r->ux->gone || r->ux->why)
		return upstream_failed(r, r->ux->why);
	relay_await_deadlines(r, rc, progress);
	return STEP_WAIT;
}

/* Keep-Alive: timeout=5 */
static void
relay_keep_alive(struct req *r)
{
	struct str rest = head_value(&r->out, HDR_KEEP_ALIVE), member;
	struct upconn *c = r->attempt->c; /* NULL: a shared one, which has no such field */
	const char *error;
	uint64_t s;

	while (c && str_list_next(&rest, &member) == 1)
		if (str_istarts(member, STR("timeout=")) &&
		    num_u64(str_sub(member, 8, member.n), 86400, &s, &error) == 1)
			c->peer_idle = s * 1000;
}

/* A stream may last: from its head on only the pauses in it are timed. */
static void
relay_stream(struct req *r)
{
	if (head_media_type(&r->out, STR("text/event-stream")))
		r->stream = STR("events");
	else if (r->plan && r->plan->route->streaming)
		r->stream = STR("streaming");
	else
		return;
	r->attempt->conf.total_at_ms = r->deadline_ms;
}

int
step_response(struct req *r)
{
	struct attempt *a = r->attempt;
	struct head *h = &r->out;
	/* A response that comes before its request is through: the rest of that is not waited for.
	 */
	struct xchg_send s = {.keepalive = conn_may_keep(r->conn) && r->cx->rx_end};

	r->t.first_byte = clock_ns();
	attempt_answered(
	    a, h->status, (r->t.first_byte - (r->t.sent ? r->t.sent : r->t.head)) / 1000);
	relay_keep_alive(r);
	relay_stream(r);
	if (head_strip_hop(h) < 0)
		return upstream_failed(r, REASON_BAD_UPSTREAM);
	forward_response(r);
	chain_response(r);
	if (r->ws.overflow || r->cx->ops->send_head(r->cx, h, &s) < 0) {
		attempt_end(a, false);
		r->ux = NULL;
		return req_fail(r, REASON_INTERNAL);
	}
	r->response_started = true;
	attempt_phase(a, PHASE_IDLE);
	return req_soon(r, STEP_RELAY);
}

static void
relay_deadlines(struct req *r, enum pump rq, bool rq_progress, enum pump rs, bool rs_progress)
{
	enum attempt_phase want = rs == PUMP_DRY ? PHASE_IDLE : PHASE_NONE;
	struct attempt *a = r->attempt;

	if (rs == PUMP_FULL)
		conn_wait(r->conn, CONN_WAIT_WRITE, rs_progress);
	else
		conn_wait(r->conn, rq == PUMP_DRY && !r->grpc ? CONN_WAIT_BODY : CONN_WAIT_NONE,
		    rq_progress);
	if (a->phase != want || (want == PHASE_IDLE && (rs_progress || rq_progress)))
		attempt_phase(a, want);
}

/* The response cannot be completed: the client must see that (no last chunk, a reset), and the
 * endpoint is to blame; not for having had nothing to say on a stream. */
static int
relay_broken(struct req *r, enum reason why)
{
	if (r->stream.n && why == REASON_UPSTREAM_IDLE)
		attempt_end(r->attempt, false);
	else
		attempt_failed(r->attempt, why);
	r->ux = NULL;
	return req_abandon(r, why);
}

int
step_relay(struct req *r)
{
	struct attempt *a = r->attempt;
	struct pumped p = {.filter = r->filter_out, .count = &r->body_out};
	enum pump rq, rs;
	bool progress;

	if (a->state == ATTEMPT_FAILED)
		return relay_broken(r, a->why);
	rq = relay_request(r, &progress);
	if (rq == PUMP_LARGE || rq == PUMP_BAD)
		return relay_refuse(r, rq);
	rs = relay_pump(r, r->ux, r->cx, &p);
	switch (rs) {
	case PUMP_DONE:
		r->after = req_after_answer(r);
		return step_to(r, STEP_FINISH);
	case PUMP_BAD:
		return relay_broken(r, relay_why(r->ux, r->filter_out, REASON_BODY_ABORTED));
	case PUMP_DEAF:
		return req_abandon(r, REASON_CLIENT_GONE);
	default:
		relay_deadlines(r, rq, progress, rs, p.progress);
		return STEP_WAIT;
	}
}
