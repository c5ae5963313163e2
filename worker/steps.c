/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine: runs a request's steps until one waits. Everything that can happen to a request comes
 * through req_run.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"
#include "worker/conn.h"
#include "worker/http/proto.h"
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

void
req_run(struct req *r)
{
	static const char *const words[] = {"wait", "more", "done"};
	int rc;

	CHECK_MAGIC(r, REQ_MAGIC);
	if (r->cx->gone && r->step < STEP_FINISH)
		req_abandon(r, r->cx->why ? r->cx->why : REASON_CLIENT_GONE);
	else if (r->waiting == WAIT_TIMER)
		return; /* one waker only: its timer */
	do {
		unsigned at = r->step;

		rc = step_table[at].fn(r);
		log_debug(
		    "request %.*s step %s: %s", STR_ARG(r->id), step_table[at].name, words[rc]);
	} while (rc == STEP_MORE);
	if (rc == STEP_DONE)
		req_end(r);
}

int
req_abandon(struct req *r, enum reason why)
{
	if (!r->reason)
		r->reason = why;
	r->after = AFTER_RESET;
	return step_to(r, STEP_FINISH);
}

int
req_fail(struct req *r, enum reason why)
{
	if (r->cx->gone)
		return req_abandon(r, r->cx->why ? r->cx->why : REASON_CLIENT_GONE);
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
