/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of a request and the engine that runs them.
 */
#ifndef GW_STEPS_H
#define GW_STEPS_H

#include "worker/req.h"

enum step {
#define STEP(NAME, fn, help) STEP_##NAME,
#include "worker/steps.def"
#undef STEP
	STEP_COUNT
};

enum { STEP_WAIT, STEP_MORE, STEP_DONE };
typedef int step_f(struct req *r);

#define STEP(NAME, fn, help) step_f fn;
#include "worker/steps.def"
#undef STEP

/* Runs steps until one waits or the request is over (then r is gone). Events and timers call it. */
void req_run(struct req *r);

/* A new request on a connection whose first octet is here. */
struct req *req_new(struct conn *c);

/* Goes on at another step. */
static inline int
step_to(struct req *r, enum step s)
{
	r->step = (uint8_t)s;
	return STEP_MORE;
}

/* Ends: an answer where none has begun, else the connection is reset. Returns STEP_MORE. */
int req_fail(struct req *r, enum reason why);
/* Is nobody there any more to take the answer? Its reset or a failed write; while the upstream is
 * asked, the end of what it sends too, unless the route has half_close. */
bool req_deserted(const struct req *r);
/* The client is gone, or must go: nothing more is sent. Returns STEP_MORE. */
int req_abandon(struct req *r, enum reason why);
/* The client did not send its body or take its response in time (conn.c). Runs the request. */
void req_client_late(struct req *r, enum reason why);

#endif
