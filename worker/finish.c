/* SPDX-License-Identifier: Apache-2.0
 *
 * The last steps: the upstream is given back, what is left of the request body is dropped where
 * that is quick, everything is counted and logged. Every request that had an octet comes through
 * here once.
 */
#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "worker/chain.h"
#include "worker/conn.h"
#include "worker/forward.h"
#include "worker/generation.h"
#include "worker/grpc.h"
#include "worker/http/proto.h"
#include "worker/obs/access.h"
#include "worker/plan.h"
#include "worker/req_life.h"
#include "worker/steps.h"
#include "worker/up/attempt.h"
#include "worker/websocket.h"
#include "worker/worker_priv.h"

#define FINISH_DROP        (64 * 1024)
#define STATUS_CLIENT_GONE 499 /* in log and counters only: nobody is there to get it */

uint8_t
req_after_answer(const struct req *r)
{
	const struct xchg *x = r->cx;

	if (x->keepalive)
		return AFTER_KEEP;
	/* The client said it sends nothing more, and everything it sent was read: nothing can cross
	 * our close. */
	return x->rx_end && !r->in.keepalive && !r->reply.close ? AFTER_CLOSE : AFTER_LINGER;
}

/* The rest of a request body that nobody wanted, so that the next request can be found behind it.
 */
static int
finish_drop(struct req *r)
{
	struct xchg *x = r->cx;
	struct iovec v[XCHG_PARTS];
	uint64_t dropped = 0;
	int n;

	do {
		size_t size = 0;

		n = x->ops->peek(x, v);
		if (n < 0 || dropped > FINISH_DROP) {
			r->after = AFTER_LINGER;
			return STEP_MORE;
		}
		for (int i = 0; i < n; i++)
			size += v[i].iov_len;
		x->ops->consume(x, size);
		dropped += size;
		r->body_in += size;
	} while (n > 0);
	if (x->rx_end)
		return STEP_MORE;
	conn_wait(r->conn, CONN_WAIT_BODY, dropped > 0);
	return STEP_WAIT;
}

int
step_finish(struct req *r)
{
	if (!r->t.end) {
		r->t.end = clock_ns();
		conn_wait(r->conn, CONN_WAIT_NONE, false);
		if (r->websocket)
			websocket_end(r);
		if (r->attempt)
			attempt_end(r->attempt, r->ux && r->after != AFTER_RESET);
		r->ux = NULL;
	}
	if (r->cx->gone)
		r->after = AFTER_RESET;
	if (r->after == AFTER_KEEP && finish_drop(r) == STEP_WAIT)
		return STEP_WAIT;
	return step_to(r, STEP_LOG);
}

static enum metric_all
finish_class(unsigned status)
{
	static const enum metric_all of[] = {M_ROUTE_R_NONE, M_ROUTE_R_1XX, M_ROUTE_R_2XX,
	    M_ROUTE_R_3XX, M_ROUTE_R_4XX, M_ROUTE_R_5XX};

	return of[status / 100 < ARRAY_LEN(of) ? status / 100 : 0];
}

static void
finish_count(struct req *r)
{
	struct metrics *m = r->worker->metrics;

	metric_add(m, M_PROC_REQUESTS, 1);
	metric_add(m, M_PROC_BYTES_IN, r->bytes_in);
	metric_add(m, M_PROC_BYTES_OUT, r->bytes_out);
	if (r->reason)
		metric_reason(m, r->reason);
	if (!r->plan)
		return;
	if (r->grpc && r->plan->service && grpc_status(r) >= 0)
		metric_row_add(m, r->plan->metric_service,
		    (enum metric_all)(M_SERVICE_S_GRPC_OK + grpc_status(r)), 1);
	metric_row_add(m, r->metric_route, finish_class(r->out.status), 1);
	metric_row_add(m, r->metric_route, M_ROUTE_R_BYTES_IN, r->body_in);
	metric_row_add(m, r->metric_route, M_ROUTE_R_BYTES_OUT, r->body_out);
	if (!websocket_was_open(r)) /* how long a WebSocket was open says nothing of answers */
		metric_row_observe(
		    m, r->metric_route, H_R_DURATION, (r->t.end - r->t.start) / 1000);
}

int
step_log(struct req *r)
{
	struct worker *w = r->worker;

	/* Gone before its head was there: a line has an id all the same. */
	if (r->id.n == 0)
		req_identify(r);
	/* A head that came from the upstream and was not passed on is not what the client saw. */
	if (!r->response_started)
		r->out.status = 0;
	if (r->reason == REASON_CLIENT_GONE && !websocket_was_open(r)) {
		r->sent_status = r->out.status;
		r->out.status = STATUS_CLIENT_GONE;
	}
	r->bytes_in = r->cx->rx_bytes;
	r->bytes_out = r->cx->tx_bytes;
	chain_observe(r);
	finish_count(r);
	if (r->gen->s->access_log.enabled && !r->logged_off)
		access_log(r, w->ring, w->metrics, w->h->event_fd);
	return STEP_DONE;
}
