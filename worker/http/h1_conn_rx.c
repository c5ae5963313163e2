/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiving half of an HTTP/1.1 connection: heads into the owner's struct head, payload decoded
 * where it lies in the read buffer. Reads only when asked to and when there is room.
 */
#include "shm/base/base.h"
#include "worker/http/h1_conn.h"

#define H1_BULK     64 /* large buffers out in a worker at most; slow readers hold them */
#define H1_BLANKS   4  /* empty lines before a request that are passed over */
#define H1_INTERIMS 16 /* interim responses before the final one; more is an attack or a loop */

void
h1_rx_reset(struct h1_conn *c)
{
	struct xchg *x = &c->x;

	*x = (struct xchg){.ops = x->ops, .on_event = x->on_event, .owner = x->owner};
	x->rx_eof = c->eof || c->stream.hup;
	c->rx_state = H1_RX_IDLE;
	c->parts = c->interims = c->blanks = 0;
	c->bulk = false;
	c->tail = 0;
	c->work = NULL;
}

void
h1_rx_begin(struct h1_conn *c)
{
	c->rx_state = H1_RX_HEAD;
	c->work = ws_alloc(c->x.rx->ws, sizeof(*c->work));
	if (!c->work)
		return;
	c->work->scan = (struct h1_scan){0};
	c->work->pipe = NULL;
	c->work->pipe_undo = false;
	c->work->tx = (struct h1_tx){0};
}

/* The head is refused, and perhaps was never parsed: its answer's shape depends on the method. */
static void
h1_rx_note_head(struct h1_conn *c)
{
	if (c->server && c->x.rx->method_text.n == 0 && str_starts(buf_str(&c->rx), STR("HEAD "))) {
		c->x.rx->method = METHOD_HEAD;
		c->x.rx->method_text = STR("HEAD");
	}
}

static void
h1_rx_fail(struct h1_conn *c, enum reason why, bool gone)
{
	if (c->rx_state == H1_RX_HEAD) { /* none of it was used up, all of it was received */
		c->x.rx_bytes += buf_len(&c->rx);
		h1_rx_note_head(c);
	}
	c->rx_state = H1_RX_FAILED;
	c->x.keepalive = false;
	if (!c->x.why)
		c->x.why = why;
	c->x.gone |= gone;
}

/* The peer ended while more of the message was due. */
static void
h1_rx_cut(struct h1_conn *c)
{
	if (c->server)
		h1_rx_fail(c, REASON_CLIENT_GONE, true);
	else
		h1_rx_fail(c, c->x.rx_head ? REASON_BODY_ABORTED : REASON_UPSTREAM_CLOSED, true);
}

static bool
h1_rx_room(struct h1_conn *c)
{
	struct buf *b = &c->rx;

	if (c->bulk && b->p == NULL)
		buf_take_bulk(b, c->bufs, H1_BULK);
	else
		buf_take(b, c->bufs, c->bufs->size);
	/* Cheap: a body is read only when what is left in the buffer is a piece of framing. */
	if (buf_room(b) < b->cap / 4 && b->r > 0)
		buf_compact(b);
	/* A head longer than a buffer: the scanner stops it at its limit. */
	if (buf_room(b) == 0 && c->rx_state == H1_RX_HEAD)
		buf_take(b, c->bufs, b->cap * 2);
	return buf_room(b) > 0;
}

/* Octets are counted for the message they belong to when they are used up, not when they are read.
 */
static void
h1_rx_eat(struct h1_conn *c, uint32_t n)
{
	buf_eat(&c->rx, n);
	c->x.rx_bytes += n;
}

static bool
h1_rx_answers_head(const struct h1_conn *c)
{
	return c->x.tx && c->x.tx->method == METHOD_HEAD;
}

int
h1_rx_none(struct h1_conn *c, ssize_t rc)
{
	if (rc == STREAM_AGAIN)
		return 0;
	c->eof = rc == STREAM_EOF;
	c->failed = rc == STREAM_ERROR;
	c->x.rx_eof = true;
	if (c->failed && c->server) {
		c->x.gone = true;
		c->x.why = REASON_CLIENT_GONE;
	}
	return -1;
}

/* 1 octets came, 0 none now or no room, -1 the peer sends nothing more. */
int
h1_rx_fill(struct h1_conn *c)
{
	struct buf *b = &c->rx;
	ssize_t n;

	if (c->eof || c->failed)
		return -1;
	if (!c->stream.readable || c->stream.connecting || h1_rx_piped(c) || !h1_rx_room(c))
		return 0;
	n = stream_read(&c->stream, b->p + b->w, buf_room(b));
	if (n > 0) {
		c->bulk = c->rx_state == H1_RX_BODY && (size_t)n >= c->bufs->size;
		b->w += (uint32_t)n;
		return 1;
	}
	if (buf_len(b) == 0)
		buf_give(b, c->bufs);
	return h1_rx_none(c, n);
}

static void
h1_rx_body_begin(struct h1_conn *c)
{
	struct xchg *x = &c->x;
	const struct head *h = x->rx;

	c->rx_kind = (uint8_t)h->body;
	c->work->rx_left = h->length;
	if (h->body == BODY_CHUNKED)
		h1_chunk_init(&c->work->chunk);
	c->rx_state = H1_RX_BODY;
	x->rx_head = true;
	x->rx_body = buf_len(&c->rx) > 0;
	c->bulk = h->body == BODY_LENGTH && h->length >= buf_len(&c->rx) + c->bufs->size;
	x->keepalive = h->keepalive && h->body != BODY_EOF;
	if (h->body == BODY_NONE || (h->body == BODY_LENGTH && h->length == 0)) {
		c->rx_state = H1_RX_DONE;
		x->rx_end = true;
	}
	if (c->rx.r == c->rx.w)
		buf_give(&c->rx, c->bufs);
}

/* 1 a final head is there, 0 an interim one was swallowed, -1 failed. */
static int
h1_rx_parse(struct h1_conn *c, uint32_t len)
{
	struct str data = str_n(c->rx.p + c->rx.r, len);
	struct head *h = c->x.rx;
	enum reason why = REASON_BAD_UPSTREAM;
	int rc;

	if (c->server)
		rc = h1_parse_request(data, &c->limits, h, &why);
	else
		rc = h1_parse_response(data, h1_rx_answers_head(c), &c->limits, h, &why);
	if (rc == 1 && !c->server && h->status == 101 && !c->x.upgrade)
		rc = -1;
	if (rc < 0) {
		h1_rx_fail(c, c->server ? why : REASON_BAD_UPSTREAM, false);
		return -1;
	}
	h1_rx_eat(c, len);
	c->work->scan = (struct h1_scan){0};
	if (c->server || h->status >= 200 || h->status == 101)
		return 1;
	if (++c->interims > H1_INTERIMS) {
		h1_rx_fail(c, REASON_BAD_UPSTREAM, false);
		return -1;
	}
	head_init(h, h->ws, false);
	return 0;
}

/* Looks for a head in what is there. 1 done (or failed), 0 more is needed. */
static int
h1_rx_scan(struct h1_conn *c)
{
	enum reason why = REASON_BAD_REQUEST;
	uint32_t len;
	int rc;

	if (!c->work) {
		h1_rx_fail(c, c->server ? REASON_HEADERS_TOO_LARGE : REASON_BAD_UPSTREAM, false);
		return 1;
	}
	while (buf_len(&c->rx)) {
		rc = h1_scan(&c->work->scan, buf_str(&c->rx), c->server, &c->limits, &len, &why);
		if (rc == 0)
			return 0;
		if (rc < 0) {
			h1_rx_fail(c, c->server ? why : REASON_BAD_UPSTREAM, false);
			return 1;
		}
		rc = h1_rx_parse(c, len);
		if (rc == 1)
			h1_rx_body_begin(c);
		if (rc != 0)
			return 1;
	}
	return 0;
}

/* Empty lines between requests are skipped (RFC 9112 2.2); the first other octet begins one. LATER:
 * nothing to parse yet. */
static enum h1_begin
h1_rx_first(struct h1_conn *c)
{
	struct str s = buf_str(&c->rx);
	enum h1_begin begin;

	if (c->rx_state == H1_RX_HEAD) {
		c->x.rx_any = true;
		return H1_BEGIN;
	}
	/* More than a few are no accident: they begin a request, and h1_scan refuses it. */
	while (s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n' && c->blanks < H1_BLANKS) {
		c->blanks++;
		buf_eat(&c->rx, 2);
		s = buf_str(&c->rx);
	}
	if (s.n == 0) {
		buf_give(&c->rx, c->bufs);
		return H1_BEGIN_LATER;
	}
	begin = c->on_begin(c);
	if (begin == H1_BEGIN) {
		h1_rx_begin(c);
		c->x.rx_any = true;
	}
	return begin;
}

void
h1_rx_head(struct h1_conn *c)
{
	do {
		enum h1_begin begin;

		if (buf_len(&c->rx) == 0)
			continue;
		begin = h1_rx_first(c);
		if (begin == H1_BEGIN_NOT)
			return;
		if (begin == H1_BEGIN && h1_rx_scan(c))
			return;
	} while (h1_rx_fill(c) > 0);
	if (c->eof || c->failed)
		h1_rx_cut(c);
}

void
h1_rx_end(struct h1_conn *c)
{
	c->rx_state = H1_RX_DONE;
	c->x.rx_end = true;
}

/* Decodes one more range of an undelimited or counted body. False: nothing there. */
static bool
h1_rx_plain(struct h1_conn *c, struct str data)
{
	size_t n = data.n;

	if (c->rx_kind == BODY_LENGTH) {
		n = MIN(n, c->work->rx_left);
		c->work->rx_left -= n;
	}
	if (n == 0)
		return false;
	c->work->part[c->parts++] = (struct h1_part){c->tail, (uint32_t)n};
	c->tail = 0;
	if (c->rx_kind == BODY_LENGTH && c->work->rx_left == 0)
		h1_rx_end(c);
	return true;
}

static bool
h1_rx_chunked(struct h1_conn *c, struct str data)
{
	struct str part = STR_NONE;
	uint32_t used = 0;
	int rc = h1_chunk_next(&c->work->chunk, data, c->x.rx, &part, &used);

	if (rc == 1) {
		c->work->part[c->parts++] =
		    (struct h1_part){c->tail + used - (uint32_t)part.n, (uint32_t)part.n};
		c->tail = 0;
		return true;
	}
	c->tail += used;
	if (rc == 2)
		h1_rx_end(c);
	else if (rc < 0)
		h1_rx_fail(c, c->server ? REASON_BAD_CHUNK : REASON_BODY_ABORTED, false);
	return false;
}

static void
h1_rx_decode(struct h1_conn *c)
{
	uint32_t at = c->tail;
	struct str data;

	for (unsigned i = 0; i < c->parts; i++)
		at += c->work->part[i].skip + c->work->part[i].n;
	while (c->rx_state == H1_RX_BODY && c->parts < XCHG_PARTS) {
		data = str_sub(buf_str(&c->rx), at, SIZE_MAX);
		if (!(c->rx_kind == BODY_CHUNKED ? h1_rx_chunked(c, data) : h1_rx_plain(c, data)))
			break;
		at += c->work->part[c->parts - 1].skip + c->work->part[c->parts - 1].n;
	}
	if (c->parts == 0 && c->tail) {
		h1_rx_eat(c, c->tail);
		c->tail = 0;
	}
}

int
h1_rx_peek(struct xchg *x, struct iovec v[XCHG_PARTS])
{
	struct h1_conn *c = container_of(x, struct h1_conn, x);
	char *p;

	if (c->parts == 0 && h1_rx_piped(c))
		h1_rx_unpipe(c);
	h1_rx_decode(c);
	while (c->parts == 0 && c->rx_state == H1_RX_BODY) {
		int rc = h1_rx_fill(c);

		if (rc < 0) {
			if (c->rx_kind == BODY_EOF && c->eof)
				h1_rx_end(c);
			else
				h1_rx_cut(c);
		}
		if (rc <= 0)
			break;
		h1_rx_decode(c);
	}
	if (c->rx_state == H1_RX_FAILED && c->parts == 0)
		return -1;
	p = c->rx.p + c->rx.r;
	for (unsigned i = 0; i < c->parts; i++) {
		p += c->work->part[i].skip;
		v[i] = (struct iovec){p, c->work->part[i].n};
		p += c->work->part[i].n;
	}
	if (c->parts == 0 && buf_len(&c->rx) == 0)
		buf_give(&c->rx, c->bufs);
	return c->parts;
}

void
h1_rx_consume(struct xchg *x, size_t n)
{
	struct h1_conn *c = container_of(x, struct h1_conn, x);
	unsigned i = 0;

	if (c->parts == 0 && h1_rx_piped(c)) {
		h1_rx_eat_pipe(c, n);
		return;
	}
	for (; i < c->parts && n > 0; i++) {
		struct h1_part *p = &c->work->part[i];
		uint32_t k = (uint32_t)MIN(n, p->n);

		h1_rx_eat(c, p->skip + k);
		p->skip = 0;
		p->n -= k;
		n -= k;
		if (p->n)
			break;
	}
	c->parts = (uint8_t)(c->parts - i);
	if (c->parts > 0)
		memmove(c->work->part, c->work->part + i, c->parts * sizeof(c->work->part[0]));
	if (c->parts == 0) {
		h1_rx_eat(c, c->tail);
		c->tail = 0;
	}
	if (buf_len(&c->rx) == 0)
		buf_give(&c->rx, c->bufs);
}
