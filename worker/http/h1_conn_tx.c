/* SPDX-License-Identifier: Apache-2.0
 *
 * The sending half of an HTTP/1.1 connection. Head, chunk framing and payload leave in one writev;
 * payload is never copied: what the socket does not take stays with the caller, framing that is
 * half out stays here.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "worker/http/h1_conn.h"
#include "worker/net/pipe.h"

static const struct str h1_chunk_end = {"\r\n", 2};
static const struct str h1_chunk_end_last = {"\r\n0\r\n\r\n", 7};
static const struct str h1_last_chunk = {"0\r\n\r\n", 5};

/* What version the peer's side of the body can carry. */
static void
h1_tx_settle(struct h1_conn *c, struct head *h)
{
	unsigned minor = c->x.rx ? c->x.rx->minor : 1;

	if (!c->server)
		return;
	if (minor == 0 && h->body == BODY_CHUNKED)
		h->body = BODY_EOF;
	else if (minor > 0 && h->body == BODY_EOF)
		h->body = BODY_CHUNKED;
	if (h->body == BODY_EOF)
		c->x.keepalive = false;
}

int
h1_tx_head(struct xchg *x, struct head *h, const struct xchg_send *s)
{
	struct h1_conn *c = container_of(x, struct h1_conn, x);
	unsigned minor = x->rx ? x->rx->minor : 1;
	struct str out;

	if (!c->work)
		return -1;
	h1_tx_settle(c, h);
	if (c->server) {
		x->keepalive &= s->keepalive;
		out = h1_write_response(h, (uint8_t)minor, x->keepalive, s->connection);
	} else {
		out = h1_write_request(h, s->target, s->keepalive, s->connection);
	}
	if (out.p && c->work->tx.head.n) /* an interim response is not all out yet */
		out = ws_cat(h->ws, 2, (struct str[]){c->work->tx.head, out});
	if (out.p == NULL)
		return -1;
	x->tx = h;
	x->tx_head = true;
	c->work->tx.head = out;
	c->work->tx.kind = h->body;
	c->work->tx.left = h->body == BODY_LENGTH ? h->length : 0;
	x->tx_plain = !c->stream.layer && (h->body == BODY_LENGTH || h->body == BODY_EOF);
	return 1;
}

static size_t
h1_tx_cut(struct str *s, size_t w)
{
	size_t n = MIN(s->n, w);

	*s = str_sub(*s, n, s->n);
	return w - n;
}

static bool
h1_tx_clear(const struct h1_tx *t)
{
	return t->head.n == 0 && t->pre_at == t->pre_n && t->post.n == 0;
}

/* The peer takes nothing more. A client still reads what the server had to say before it hung up.
 */
static void
h1_tx_dead(struct h1_conn *c)
{
	struct xchg *x = &c->x;

	x->tx_dead = true;
	x->keepalive = false;
	c->work->tx.head = c->work->tx.post = STR_NONE;
	if (!c->server) {
		if (c->rx_state == H1_RX_HEAD)
			h1_rx_head(c);
		return;
	}
	x->gone = true;
	if (!x->why)
		x->why = REASON_CLIENT_GONE;
}

/* Strikes w octets off what was due; returns how many of them were payload (`offered` at most). */
static uint64_t
h1_tx_took(struct h1_tx *t, size_t w, uint64_t offered)
{
	size_t pre = (size_t)(t->pre_n - t->pre_at);
	uint64_t payload;

	w = h1_tx_cut(&t->head, w);
	t->pre_at = (uint8_t)(t->pre_at + MIN(pre, w));
	w -= MIN(pre, w);
	payload = MIN(offered, w);
	h1_tx_cut(&t->post, w - payload);
	/* The chunk stays open: its end is made anew when the rest of it is offered. */
	if (payload < offered)
		t->post = STR_NONE;
	return payload;
}

/* One writev of everything due, with `most` octets of payload at most. Payload octets taken, or -1.
 */
static ssize_t
h1_tx_write(struct h1_conn *c, const struct iovec *v, int n, uint64_t most)
{
	struct iovec out[XCHG_PARTS + 3];
	struct h1_tx *t = &c->work->tx;
	uint64_t payload = 0;
	int k = 0;
	ssize_t w;

	if (t->head.n)
		out[k++] = (struct iovec){(void *)(uintptr_t)t->head.p, t->head.n};
	if (t->pre_at < t->pre_n)
		out[k++] = (struct iovec){c->work->pre + t->pre_at, (size_t)(t->pre_n - t->pre_at)};
	for (int i = 0; i < n && payload < most; i++) {
		size_t len = (size_t)MIN((uint64_t)v[i].iov_len, most - payload);

		out[k++] = (struct iovec){v[i].iov_base, len};
		payload += len;
	}
	if (t->post.n)
		out[k++] = (struct iovec){(void *)(uintptr_t)t->post.p, t->post.n};
	if (k == 0)
		return 0;
	w = stream_write(&c->stream, out, k);
	if (w < 0 && w != STREAM_AGAIN) {
		h1_tx_dead(c);
		return -1;
	}
	w = MAX(w, 0);
	c->x.tx_bytes += (uint64_t)w;
	c->x.tx_any |= w > 0;
	return (ssize_t)h1_tx_took(t, (size_t)w, payload);
}

static struct str
h1_tx_end_framing(struct h1_conn *c, bool in_chunk)
{
	struct head *h = c->x.tx;
	struct str parts[2] = {in_chunk ? h1_chunk_end : STR_NONE, STR_NONE};

	if (h->n_trailers == 0)
		return in_chunk ? h1_chunk_end_last : h1_last_chunk;
	parts[1] = h1_write_trailers(h);
	return ws_cat(h->ws, 2, parts);
}

/* Opens a chunk for `total` octets unless one is open, and closes it behind them when they fill it.
 */
static uint64_t
h1_tx_frame(struct h1_conn *c, uint64_t total, bool last)
{
	struct h1_tx *t = &c->work->tx;

	if (t->chunk_left == 0 && total > 0) {
		t->pre_at = 0;
		t->pre_n = (uint8_t)h1_chunk_line(total, c->work->pre);
		t->chunk_left = total;
	}
	if (total > t->chunk_left || (total == t->chunk_left && !last))
		t->post = total ? h1_chunk_end : STR_NONE;
	else if (total == t->chunk_left)
		t->post = h1_tx_end_framing(c, total > 0);
	return MIN(total, t->chunk_left);
}

static uint64_t
h1_tx_most(struct h1_conn *c, uint64_t total, bool last)
{
	if (c->work->tx.kind == BODY_CHUNKED)
		return h1_tx_frame(c, total, last);
	if (c->work->tx.kind == BODY_LENGTH)
		return MIN(total, c->work->tx.left);
	return total;
}

/* Framing left from before goes first. 1 it is out, 0 the socket is full, -1 dead. */
static int
h1_tx_ready(struct h1_conn *c)
{
	if (c->x.tx_dead || c->x.gone || !c->work)
		return -1;
	if (!c->stream.writable || c->stream.connecting)
		return 0;
	if (c->work->tx.post.n == 0)
		return 1;
	if (h1_tx_write(c, NULL, 0, 0) < 0)
		return -1;
	return c->work->tx.post.n == 0;
}

/* All payload was taken before; framing may still be due. */
static ssize_t
h1_tx_rest(struct h1_conn *c)
{
	if (h1_tx_write(c, NULL, 0, 0) < 0)
		return -1;
	c->x.tx_end = h1_tx_clear(&c->work->tx);
	return 0;
}

/* One write: framing that is due, and as much payload as one chunk has. */
static ssize_t
h1_tx_some(struct h1_conn *c, const struct iovec *v, int n, uint64_t total, bool last)
{
	struct h1_tx *t = &c->work->tx;
	ssize_t took = h1_tx_write(c, v, n, h1_tx_most(c, total, last));

	if (took < 0)
		return -1;
	if (t->kind == BODY_CHUNKED)
		t->chunk_left -= (uint64_t)took;
	else if (t->kind == BODY_LENGTH)
		t->left -= (uint64_t)took;
	t->last = last && (uint64_t)took == total && t->left == 0;
	c->x.tx_end = t->last && h1_tx_clear(t);
	return took;
}

/* v without its first `took` octets. */
static int
h1_tx_behind(const struct iovec *v, int n, size_t took, struct iovec out[XCHG_PARTS])
{
	int k = 0;

	for (int i = 0; i < n; i++) {
		size_t skip = MIN(took, v[i].iov_len);

		took -= skip;
		if (skip < v[i].iov_len)
			out[k++] =
			    (struct iovec){(char *)v[i].iov_base + skip, v[i].iov_len - skip};
	}
	return k;
}

ssize_t
h1_tx_body(struct xchg *x, const struct iovec *v, int n, bool last)
{
	struct h1_conn *c = container_of(x, struct h1_conn, x);
	struct h1_tx *t = &c->work->tx;
	uint64_t total = 0, dropped;
	struct iovec rest[XCHG_PARTS];
	ssize_t took, more = 0;
	int rc = h1_tx_ready(c);

	if (rc <= 0)
		return rc;
	if (t->last)
		return h1_tx_rest(c);
	for (int i = 0; i < n; i++)
		total += v[i].iov_len;
	dropped = t->kind == BODY_NONE ? total : 0;
	total -= dropped;
	took = h1_tx_some(c, v, n, total, last);
	/* A chunk that was begun with less is out. The socket has room as far as anybody knows, and
	 * would not speak up again: what came since is the next chunk. */
	if (took > 0 && (uint64_t)took < total && t->kind == BODY_CHUNKED && t->chunk_left == 0 &&
	    h1_tx_clear(t))
		more = h1_tx_some(
		    c, rest, h1_tx_behind(v, n, (size_t)took, rest), total - (uint64_t)took, last);
	return took < 0 || more < 0 ? -1 : took + more + (ssize_t)dropped;
}

/* What is in the pipe is followed by no framing, and nothing that is due comes before it. */
ssize_t
h1_tx_pipe(struct xchg *x, struct pipe *p, bool last)
{
	struct h1_conn *c = container_of(x, struct h1_conn, x);
	struct h1_tx *t = &c->work->tx;
	int rc = h1_tx_ready(c);
	ssize_t took;

	if (rc <= 0)
		return rc;
	if (!h1_tx_clear(t) && h1_tx_write(c, NULL, 0, 0) < 0)
		return -1;
	if (!h1_tx_clear(t))
		return 0;
	took = pipe_drain(p, &c->stream, t->kind == BODY_LENGTH ? t->left : SIZE_MAX);
	if (took < 0 && took != STREAM_AGAIN) {
		h1_tx_dead(c);
		return -1;
	}
	took = MAX(took, 0);
	x->tx_bytes += (uint64_t)took;
	x->tx_any |= took > 0;
	if (t->kind == BODY_LENGTH)
		t->left -= (uint64_t)took;
	t->last = last && p->n == 0 && t->left == 0;
	x->tx_end = t->last;
	return took;
}

int
h1_tx_interim(struct xchg *x, unsigned status)
{
	struct h1_conn *c = container_of(x, struct h1_conn, x);

	BUG_ON(status != 100 || x->tx_head);
	c->work->tx.head = STR("HTTP/1.1 100 Continue\r\n\r\n");
	if (c->stream.writable && h1_tx_write(c, NULL, 0, 0) < 0)
		return -1;
	return 1;
}

/* What nobody will offer payload for: an interim response, the framing behind the last payload. */
void
h1_tx_flush(struct h1_conn *c)
{
	struct h1_tx *t;

	if (!c->work || !c->stream.writable || c->x.tx_dead || c->x.gone)
		return;
	t = &c->work->tx;
	if ((t->head.n && !c->x.tx_head) || t->post.n)
		h1_tx_write(c, NULL, 0, 0);
	if (t->last)
		c->x.tx_end = h1_tx_clear(t);
}
