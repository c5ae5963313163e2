/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of an HTTP/1.1 connection and its events. Receiving is in h1_conn_rx.c, sending in
 * h1_conn_tx.c.
 */
#include <sys/epoll.h>

#include "shm/base/base.h"
#include "worker/http/h1_conn.h"

static void
h1_again(struct defer *d)
{
	h1_conn_event(&container_of(d, struct h1_conn, again)->stream);
}

/* Reading takes longer than these take to come. */
static void
h1_fetch(const struct h1_conn *c)
{
	if (!c->work)
		return;
	prefetch(c->work, offsetof(struct h1_work, chunk));
	prefetch(c->x.owner, 4 * CACHE_LINE);
	prefetch(c->x.rx, sizeof(*c->x.rx));
	prefetch(c->x.tx, sizeof(c->x.tx->ws) + sizeof(c->x.tx->method) + 8);
}

/* Reads the beginning of a message before its turn, together with those of other connections. Ends
 * and errors are left for the event itself. */
static uint32_t
h1_ahead(struct watch *w, uint32_t events)
{
	struct h1_conn *c = container_of(w, struct h1_conn, stream.watch);
	struct stream *s = &c->stream;

	if ((events & ~(uint32_t)EPOLLOUT) != EPOLLIN || s->on_event != h1_conn_event)
		return events;
	if (s->layer || s->connecting || c->rx_state > H1_RX_HEAD || buf_len(&c->rx))
		return events;
	s->readable = true;
	h1_fetch(c);
	h1_rx_fill(c);
	if (c->x.on_ahead)
		c->x.on_ahead(&c->x);
	return s->readable ? events : events & ~(uint32_t)EPOLLIN;
}

void
h1_conn_start(struct h1_conn *c, bool server, struct buf_pool *bufs)
{
	c->stream.on_event = h1_conn_event;
	c->stream.watch.ahead = h1_ahead;
	c->server = server;
	c->bufs = bufs;
	c->rx = (struct buf){0};
	c->eof = c->failed = false;
	defer_init(&c->again, h1_again);
	c->x = (struct xchg){.ops = &h1_xchg_ops};
	h1_rx_reset(c);
}

void
h1_conn_begin(struct h1_conn *c, struct head *rx)
{
	h1_rx_reset(c);
	c->x.rx = rx;
	h1_rx_begin(c);
}

/* A reset is told by the event alone: nothing is read while nobody takes what was read, and a
 * pipeline may fill the buffer. */
static void
h1_broken(struct h1_conn *c)
{
	c->x.gone = true;
	if (!c->x.why)
		c->x.why = REASON_CLIENT_GONE;
}

/* One event to the owner, and nothing is touched after it: the owner may have closed the
 * connection. */
void
h1_conn_event(struct stream *s)
{
	struct h1_conn *c = container_of(s, struct h1_conn, stream);
	struct xchg *x = &c->x;

	x->rx_eof |= s->hup;
	h1_tx_flush(c);
	if (c->rx_state == H1_RX_IDLE || c->rx_state == H1_RX_HEAD) {
		h1_rx_head(c);
		/* Refused at its first octet, or not a request yet: nobody to tell. */
		if (c->stream.watch.fd < 0 || (!x->rx_head && !x->gone && !x->why && c->server))
			return;
	} else if (c->rx_state == H1_RX_DONE) {
		/* The next request, or the peer's end: the only way to notice that it is gone. */
		h1_rx_fill(c);
	}
	if (unlikely(s->broken) && c->server && c->rx_state > H1_RX_HEAD)
		h1_broken(c);
	if (x->on_event)
		x->on_event(x);
}

void
h1_conn_refuse(struct h1_conn *c, enum reason why)
{
	c->rx_state = H1_RX_FAILED;
	c->x.rx_bytes += buf_len(&c->rx);
	c->x.why = why;
	c->x.keepalive = false;
}

ssize_t
h1_conn_discard(struct h1_conn *c)
{
	ssize_t n = buf_len(&c->rx);
	int rc;

	c->work = NULL;
	if (n == 0) {
		rc = h1_rx_fill(c);
		if (rc <= 0)
			return rc;
		n = buf_len(&c->rx);
	}
	buf_give(&c->rx, c->bufs);
	return n;
}

bool
h1_conn_pending(const struct h1_conn *c)
{
	return buf_len(&c->rx) > 0;
}

void
h1_conn_close(struct h1_conn *c, bool reset)
{
	defer_cancel(&c->again);
	buf_give(&c->rx, c->bufs);
	c->stream.reset_on_close = reset;
	stream_close(&c->stream);
	c->x.on_event = NULL;
	c->work = NULL;
}

/* Makes the connection ready for the next exchange. What the client sent ahead stays in the buffer
 * and is looked at when the turn ends, so that one client's pipeline does not keep others waiting.
 */
static int
h1_finish(struct xchg *x)
{
	struct h1_conn *c = container_of(x, struct h1_conn, x);
	bool on = x->keepalive && x->rx_end && x->tx_end && !x->gone && !x->tx_dead && !c->parts;

	x->rx = x->tx = NULL;
	c->work = NULL;
	if (!on || c->failed)
		return 0;
	h1_rx_reset(c);
	if (!c->server)
		return !c->eof && buf_len(&c->rx) == 0;
	if (buf_len(&c->rx) || c->stream.readable || c->eof)
		loop_defer(c->stream.loop, &c->again);
	return 1;
}

const struct xchg_ops h1_xchg_ops = {
    .send_head = h1_tx_head,
    .send_body = h1_tx_body,
    .send_interim = h1_tx_interim,
    .peek = h1_rx_peek,
    .consume = h1_rx_consume,
    .peek_pipe = h1_rx_peek_pipe,
    .send_pipe = h1_tx_pipe,
    .finish = h1_finish,
    .raw_begin = h1_raw_begin,
    .raw_data = h1_raw_data,
    .raw_fill = h1_raw_fill,
    .raw_eat = h1_raw_eat,
};
