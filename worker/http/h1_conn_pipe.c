/* SPDX-License-Identifier: Apache-2.0
 *
 * Payload that nobody looks at, received into a pipe instead of the buffer. Order: what is in the
 * buffer comes first; while a pipe has octets nothing is read behind them. A pipe is held no longer
 * than it holds octets, so that a slow sender has none. It goes with the message's workspace in any
 * case, and what it holds with it: the next message is found all the same.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "worker/http/h1_conn.h"
#include "worker/net/pipe.h"

/* Where it pays: octets on a plain socket, none of them framing, and many: of fewer than fill a
 * buffer a copy costs less. */
static bool
h1_rx_may_pipe(const struct h1_conn *c)
{
	if (!c->bulk || c->rx_state != H1_RX_BODY || c->stream.layer || !c->stream.readable)
		return false;
	if (c->eof || c->failed || buf_len(&c->rx))
		return false;
	return c->rx_kind == BODY_EOF ||
	       (c->rx_kind == BODY_LENGTH && c->work->rx_left >= c->bufs->size);
}

static void
h1_rx_undo_pipe(void *work)
{
	struct h1_work *w = work;

	pipe_give(&w->pipe);
}

static void
h1_rx_take_pipe(struct h1_conn *c, struct pipe_pool *pool)
{
	struct h1_work *w = c->work;

	w->pipe = pipe_take(pool);
	if (w->pipe && !w->pipe_undo) {
		ws_on_free(c->x.rx->ws, h1_rx_undo_pipe, w);
		w->pipe_undo = true;
	}
}

static void
h1_rx_fill_pipe(struct h1_conn *c)
{
	struct h1_work *w = c->work;
	bool counted = c->rx_kind == BODY_LENGTH;
	ssize_t n = pipe_fill(w->pipe, &c->stream, counted ? w->rx_left : SIZE_MAX);

	if (n <= 0) {
		pipe_give(&w->pipe);
		h1_rx_none(c, n);
		return;
	}
	c->bulk = (size_t)n >= c->bufs->size;
	if (!counted)
		return;
	w->rx_left -= (uint64_t)n;
	if (w->rx_left == 0)
		h1_rx_end(c);
}

struct pipe *
h1_rx_peek_pipe(struct xchg *x, struct pipe_pool *pool)
{
	struct h1_conn *c = container_of(x, struct h1_conn, x);

	if (c->parts || !c->work)
		return NULL;
	if (!c->work->pipe && h1_rx_may_pipe(c)) {
		h1_rx_take_pipe(c, pool);
		if (c->work->pipe)
			h1_rx_fill_pipe(c);
	}
	return c->work->pipe;
}

void
h1_rx_unpipe(struct h1_conn *c)
{
	struct h1_work *w = c->work;

	BUG_ON(buf_len(&c->rx) || c->parts);
	buf_take(&c->rx, c->bufs, c->bufs->size);
	c->rx.w = (uint32_t)pipe_read(w->pipe, c->rx.p, c->rx.cap);
	w->part[c->parts++] = (struct h1_part){0, c->rx.w};
	if (w->pipe->n == 0)
		pipe_give(&w->pipe);
}

void
h1_rx_eat_pipe(struct h1_conn *c, size_t n)
{
	c->x.rx_bytes += n;
	if (c->work->pipe->n == 0)
		pipe_give(&c->work->pipe);
}
