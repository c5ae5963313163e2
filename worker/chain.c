/* SPDX-License-Identifier: Apache-2.0
 *
 * A route's policies: those that may answer or wait, one by one; then those that modify what is
 * forwarded.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "worker/chain.h"
#include "worker/forward.h"
#include "worker/plan.h"
#include "worker/steps.h"

static int
chain_answered(struct req *r, const struct policy_use *u)
{
	BUG_ON(!r->reply.set);
	r->policy = str_of(u->type->name);
	return step_to(r, STEP_REPLY);
}

int
step_policies(struct req *r)
{
	struct plan *p = r->plan;

	for (; r->policy_at < p->n_chain; r->policy_at++) {
		const struct policy_use *u = &p->chain[r->policy_at];
		enum verdict v =
		    u->type->hooks->answer ? u->type->hooks->answer(r, u) : VERDICT_PASS;

		switch (v) {
		case VERDICT_PASS:
			continue;
		case VERDICT_REPLY:
			return chain_answered(r, u);
		case VERDICT_WAIT:
			BUG_ON(r->waiting == WAIT_NOTHING); /* nobody would wake it */
			return STEP_WAIT;
		case VERDICT_CLOSE:
			r->policy = str_of(u->type->name);
			return req_abandon(r, r->reply.reason ? r->reply.reason : REASON_FORBIDDEN);
		}
	}
	/* A body limit of a policy holds as well as the route's, hence only here. */
	if (r->body_limit && r->in.has_length && r->in.length > r->body_limit)
		return req_fail(r, REASON_TOO_LARGE);
	return step_to(r, STEP_UPGRADE);
}

int
step_prepare(struct req *r)
{
	struct plan *p = r->plan;

	r->t.policies = clock_ns();
	if (!r->own_upstream && !p->service)
		return req_fail(r, REASON_NO_SERVICE);
	forward_request(r);
	for (unsigned i = 0; p && i < p->n_chain; i++)
		if (p->chain[i].type->hooks->request)
			p->chain[i].type->hooks->request(r, &p->chain[i]);
	/* Once for all of it: the workspace's mark is sticky. */
	if (r->ws.overflow)
		return req_fail(r, REASON_HEADERS_TOO_LARGE);
	return step_to(r, STEP_PICK);
}

void
chain_response(struct req *r)
{
	struct plan *p = r->plan;

	for (unsigned i = p ? p->n_chain : 0; i-- > 0;)
		if (p->chain[i].type->hooks->response)
			p->chain[i].type->hooks->response(r, &p->chain[i]);
}

void
chain_observe(const struct req *r)
{
	const struct plan *p = r->plan;

	for (unsigned i = 0; p && i < p->n_chain; i++)
		if (p->chain[i].type->hooks->observe)
			p->chain[i].type->hooks->observe(r, &p->chain[i]);
}
