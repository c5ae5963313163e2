/* SPDX-License-Identifier: Apache-2.0
 *
 * A body from one exchange to another: straight from the buffer it was read into, by way of
 * a pipe where the kernel may do it alone, or through a filter where one is set. Nothing is taken
 * from the sender while the receiver is full, but for what a filter's one buffer holds.
 */
#ifndef GW_PUMP_H
#define GW_PUMP_H

#include "worker/filter.h"
#include "worker/http/proto.h"

enum pump {
	PUMP_DONE,  /* the whole message is out */
	PUMP_DRY,   /* nothing to send now */
	PUMP_FULL,  /* the receiver takes nothing now */
	PUMP_LATER, /* more may be there: again */
	PUMP_LARGE, /* the body is larger than allowed */
	PUMP_BAD,   /* the sender's message is malformed or cut short, or filter->why */
	PUMP_DEAF   /* the receiver takes nothing more */
};

struct pumped {
	struct filter *filter;   /* NULL: as it is */
	uint64_t *count;         /* payload octets so far */
	bool received;           /* `count` and `limit` are of what comes, not of what leaves */
	uint64_t limit;          /* 0: none */
	bool progress;           /* set when something came or left */
	uint64_t moved;          /* how much, in both directions: how long it took */
	struct pipe_pool *pipes; /* for what nobody looks at; NULL: through memory */
	uint64_t piped;          /* of `moved`, what went through one */
};

/* One peek and one send. */
enum pump pump_once(struct xchg *from, struct xchg *to, struct pumped *p);

#endif
