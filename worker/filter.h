/* SPDX-License-Identifier: Apache-2.0
 *
 * A body that is changed on its way: octets in, octets out, through one buffer that is there only
 * while it holds something. A policy sets req.filter_in (the request's body) in its `request` hook,
 * req.filter_out (the answer's) in `response`, at most one each, and makes the head fit:
 * BODY_CHUNKED and no Content-Length, since how long the body will be is not known. Answers of the
 * gateway's own are not filtered. Where none is set nothing is copied (worker/pump.h).
 */
#ifndef GW_FILTER_H
#define GW_FILTER_H

#include <sys/uio.h>

#include "shm/base/buf.h"
#include "worker/req.h"

struct filter;
struct filter_ops {
	/* Takes octets of `in`, in order, and puts what they become into f->out, as far as there is
	 * room (buf_room; the whole buffer at each call). *used_r: how many it took, all of them
	 * unless it has no room; what it needs to look at together it has to keep itself. `end`:
	 * the message ends behind `in`; called again, with what is left of it or with nothing,
	 * until the message is all in f->out.
	 * 1 it is (only with `end`), 0 go on, -1 malformed (f->why): the message ends here. */
	int (*feed)(struct filter *f, struct str in, bool end, size_t *used_r);
};

struct filter {
	const struct filter_ops *ops;
	struct req *r;
	struct buf_pool *bufs;
	struct buf out;  /* what nobody took yet */
	bool done;       /* the message is all in out, or gone */
	enum reason why; /* BAD_BODY unless feed says otherwise */
};

/* One for a body of r, `size` zeroed octets that begin with a struct filter, in the request's
 * workspace; its buffer goes back with that. NULL over the workspace's limit (sticky). */
void *filter_new(struct req *r, const struct filter_ops *ops, size_t size);
/* Feeds it as much of the n ranges as it takes; only while filter_ready is empty. 1, or -1: f->why,
 * also when it neither takes nor gives anything. */
int filter_feed(struct filter *f, const struct iovec *v, int n, bool end, size_t *used_r) NODISCARD;
/* Octets that are to be sent, in one piece; the message's last when f->done. */
struct str filter_ready(const struct filter *f);
void filter_sent(struct filter *f, size_t n);

#endif
