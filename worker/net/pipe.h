/* SPDX-License-Identifier: Apache-2.0
 *
 * Octets from one plain socket to another by way of a pipe: the kernel hands its pages on, and
 * nobody copies them or looks at them (splice(2)). A process has a bounded pool of pipes; who finds
 * it empty uses a buffer.
 */
#ifndef GW_PIPE_H
#define GW_PIPE_H

#include "worker/net/stream.h"

struct pipe_pool {
	struct pipe *free;
	unsigned n_free, n_out; /* lying about; in use */
	unsigned most;          /* of both; 0: none are made */
	uint32_t size;          /* octets that are wanted of each */
	bool refused;           /* the system gave none: not asked again before the next trim */
};

struct pipe {
	struct pipe_pool *pool;
	struct pipe *next;
	int in, out; /* its ends: what goes into it, what comes out of it */
	size_t n;    /* octets in it */
};

/* SIGPIPE is ignored by who uses these: splice() to a socket that is closed raises it. */
void pipe_pool_init(struct pipe_pool *pool, uint32_t size);
void pipe_pool_fini(struct pipe_pool *pool); /* none is out */
/* Closes every second one of those that lie about; the system is asked again for what it refused.
 */
void pipe_pool_trim(struct pipe_pool *pool);

struct pipe *pipe_take(struct pipe_pool *pool); /* an empty one; NULL: none to be had */
/* Back to its pool; closed if there are octets in it. NULL is fine. */
void pipe_give(struct pipe **p);

/* As stream_read and stream_write. `s` is plain (s->layer is NULL); the pipe is empty before
 * pipe_fill, which leaves `most` octets in it at the most. A short pipe_fill does not say that the
 * socket is drained: the pipe may be full with less. */
ssize_t pipe_fill(struct pipe *p, struct stream *s, size_t most) NODISCARD;
ssize_t pipe_drain(struct pipe *p, struct stream *s, size_t most) NODISCARD;
/* Into memory after all: octets, at least one if there is one. */
size_t pipe_read(struct pipe *p, void *to, size_t n);

#endif
