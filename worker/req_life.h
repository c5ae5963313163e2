/* SPDX-License-Identifier: Apache-2.0
 *
 * Birth and end of a request; what its steps share.
 */
#ifndef GW_REQ_LIFE_H
#define GW_REQ_LIFE_H

#include "worker/req.h"

/* After STEP_DONE: gives everything back and lets the connection go on. */
void req_end(struct req *r);
/* Id, trace, addresses: who asks. Once the head is there, or was refused. */
void req_identify(struct req *r);
/* Much was relayed: lets others have their turn, then runs the request again. */
void req_later(struct req *r);
/* Goes on at that step as soon as the others of this batch of events have come as far: writing is
 * done in a row. Returns STEP_WAIT. */
int req_soon(struct req *r, unsigned step);
/* The answer is out: what becomes of the connection (enum req_after). */
uint8_t req_after_answer(const struct req *r);
void req_pool_fini(struct worker *w);

#endif
