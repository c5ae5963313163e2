/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine: runs a request's steps until one waits. Everything that can happen to a request comes
 * through req_run.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"
#include "worker/conn.h"
#include "worker/grpc.h"
#include "worker/http/proto.h"
#include "worker/plan.h"
#include "worker/req_life.h"
#include "worker/steps.h"

static const struct {
	const char *name;
	step_f *fn;
} step_table[STEP_COUNT] = {
#define STEP(NAME, fn, help) {#NAME, fn},
#include "worker/steps.def"
#undef STEP
};

/* The end of its sending side counts behind a whole request only: in a body it cuts that short. */
static bool
req_half_closed(const struct req *r)
{
	if (!r->cx->rx_end || r->step < STEP_POLICIES || r->step > STEP_RELAY)
		return false;
	return !r->plan || !r->plan->route->half_close;
}

bool
req_deserted(const struct req *r)
{
	const struct xchg *x = r->cx;

	if (likely(!x->gone && !x->rx_eof))
		return false;
	return x->gone ? r->step < STEP_FINISH : req_half_closed(r);
}

static int
req_desert(struct req *r)
{
	return req_abandon(r, r->cx->why ? r->cx->why : REASON_CLIENT_GONE);
}

void
req_run(struct req *r)
{
	static const char *const words[] = {"wait", "more", "done"};
	int rc;

	CHECK_MAGIC(r, REQ_MAGIC);
	if (req_deserted(r))
		req_desert(r);
	else if (r->waiting == WAIT_TIMER)
		return; /* one waker only: its timer */
	do {
		unsigned at = r->step;

		rc = step_table[at].fn(r);
		log_debug(
		    "request %.*s step %s: %s", STR_ARG(r->id), step_table[at].name, words[rc]);
		/* Known before there was something to wait for: no event will come. */
		if (rc == STEP_WAIT && req_deserted(r))
			rc = req_desert(r);
	} while (rc == STEP_MORE);
	if (rc == STEP_DONE)
		req_end(r);
}

int
req_abandon(struct req *r, enum reason why)
{
	if (!r->reason)
		r->reason = why;
	r->after = grpc_break(r, why) ? AFTER_CLOSE : AFTER_RESET;
	return step_to(r, STEP_FINISH);
}

int
req_fail(struct req *r, enum reason why)
{
	if (r->cx->gone)
		return req_desert(r);
	if (r->response_started)
		return req_abandon(r, why);
	req_reply_reason(r, why);
	return step_to(r, STEP_REPLY);
}

void
req_client_late(struct req *r, enum reason why)
{
	/* While the rest of a body is only dropped, or the answer is stuck: no answer any more. */
	if (r->step >= STEP_FINISH)
		r->after = AFTER_CLOSE;
	else if (reason_table[why].status)
		req_fail(r, why);
	else
		req_abandon(r, why);
	if (r->reply.set)
		r->reply.close = true;
	r->waiting = WAIT_NOTHING;
	timer_stop(&r->timer);
	req_run(r);
}
