/* SPDX-License-Identifier: Apache-2.0
 *
 * What nghttp2 has received, frame by frame, into streams. It calls from within mem_recv, so nobody
 * is told anything here: streams are noted, and told when it is through.
 */
#include "worker/http/h2_priv.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"

/* Frames of a stream often come in a row. */
static struct h2_stream *
stream_of(struct h2_conn *c, int32_t id)
{
	if (id <= 0)
		return NULL;
	if (c->recent && c->recent->id == id)
		return c->recent;
	return c->recent = nghttp2_session_get_stream_user_data(c->session, id);
}

/* --- heads ------------------------------------------------------------------------------------ */

static int
request_begins(struct h2_conn *c, int32_t id)
{
	struct h2_stream *s;

	/* Whoever does not answer the PING gets no more than what could have been on its way. */
	if (c->noticed && c->begun - c->noticed_at > c->limits.streams)
		h2_conn_goaway(c);
	if (c->refusing)
		return nghttp2_submit_rst_stream(c->session, 0, id, NGHTTP2_REFUSED_STREAM);
	s = c->heading = h2_stream_new(c, id);
	(void)nghttp2_session_set_stream_user_data(c->session, id, s);
	if (!c->on_begin(c, s)) {
		s->reset = true;
		h2_end(&s);
		return nghttp2_submit_rst_stream(c->session, 0, id, NGHTTP2_REFUSED_STREAM);
	}
	s->x.rx_any = true;
	return 0;
}

static int
on_begin_headers(nghttp2_session *session UNUSED, const nghttp2_frame *frame, void *arg)
{
	struct h2_conn *c = arg;
	struct h2_stream *s;

	c->heading = NULL;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		return request_begins(c, frame->hd.stream_id) == 0 ? 0
								   : NGHTTP2_ERR_CALLBACK_FAILURE;
	s = c->heading = stream_of(c, frame->hd.stream_id);
	if (s) {
		s->x.rx_any = true;
		s->trailing = s->x.rx_head;
	}
	return 0;
}

static int
on_header(nghttp2_session *session UNUSED, const nghttp2_frame *frame UNUSED, nghttp2_rcbuf *name,
    nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	bool literal = (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0;
	struct h2_conn *c = arg;
	struct h2_stream *s = c->heading;
	bool was = s && s->x.why;

	if (!s)
		return 0;
	if (!h2_field(s, name, value, literal) && !was && s->x.why == REASON_HEADERS_TOO_LARGE)
		(void)h2_count(c, H2_ABUSE_HEADERS);
	/* What goes on for long behind the limit is there to be decoded, not to be read. */
	if (s->head_size > 8 * c->limits.headers && !c->calm) {
		c->counts[H2_ABUSE_HEADERS] = UINT32_MAX - 1;
		(void)h2_count(c, H2_ABUSE_HEADERS);
	}
	return 0;
}

/* nghttp2 would leave it out and go on. */
static int
on_invalid_header(nghttp2_session *session UNUSED, const nghttp2_frame *frame,
    const uint8_t *name UNUSED, size_t name_n UNUSED, const uint8_t *value UNUSED,
    size_t value_n UNUSED, uint8_t flags UNUSED, void *arg)
{
	struct h2_stream *s = stream_of(arg, frame->hd.stream_id);

	if (s && !s->x.why)
		s->x.why = s->c->server ? REASON_BAD_HEADER : REASON_BAD_UPSTREAM;
	return 0;
}

static void
message_ends(struct h2_stream *s)
{
	s->rx_open = false;
	s->rx_whole = true;
	s->x.rx_end = s->rx_first == NULL; /* else when the last of it is handed out */
	h2_news(s);
}

static bool
is_interim(const struct h2_stream *s)
{
	return !s->c->server && s->x.rx->status >= 100 && s->x.rx->status < 200;
}

/* An answer may be under way already. */
static void
bad_trailers(struct h2_stream *s)
{
	(void)nghttp2_submit_rst_stream(s->c->session, 0, s->id, NGHTTP2_PROTOCOL_ERROR);
	h2_break(s, s->x.why);
}

static void
head_ends(struct h2_stream *s, bool end)
{
	if (s->trailing) {
		if (s->x.why)
			bad_trailers(s);
		else if (end)
			message_ends(s);
		return;
	}
	if (!s->x.why && h2_head_done(s, end) == 1) {
		if (is_interim(s)) {
			/* The limits are for all of them: there is no end to interim responses
			 * else. */
			head_init(s->x.rx, s->x.rx->ws, false);
			return;
		}
		s->x.rx_head = true;
	}
	if (end)
		message_ends(s);
	h2_news(s);
}

/* --- payload ---------------------------------------------------------------------------------- */

static struct h2_piece *
piece_new(struct h2_conn *c)
{
	struct h2_piece *p = c->pool->free_piece;

	if (p)
		c->pool->free_piece = p->next;
	else
		p = xmalloc(sizeof(*p));
	*p = (struct h2_piece){0};
	buf_take(&p->b, c->pool->bufs, c->pool->bufs->size);
	return p;
}

static void
piece_free(struct h2_conn *c, struct h2_piece *p)
{
	buf_give(&p->b, c->pool->bufs);
	p->next = c->pool->free_piece;
	c->pool->free_piece = p;
}

static void
keep(struct h2_stream *s, const char *p, size_t n)
{
	while (n > 0) {
		uint32_t k;

		if (!s->rx_last || buf_room(&s->rx_last->b) == 0) {
			struct h2_piece *piece = piece_new(s->c);

			if (s->rx_last)
				s->rx_last->next = piece;
			else
				s->rx_first = piece;
			s->rx_last = piece;
		}
		k = (uint32_t)MIN(n, (size_t)buf_room(&s->rx_last->b));
		(void)buf_put(&s->rx_last->b, p, k);
		s->rx_held += k;
		p += k;
		n -= k;
	}
}

static int
on_data(nghttp2_session *session, uint8_t flags UNUSED, int32_t id, const uint8_t *p, size_t n,
    void *arg)
{
	struct h2_stream *s = stream_of(arg, id);

	if (!s || s->reset) { /* nobody will take it; the connection's window must not leak */
		(void)nghttp2_session_consume_connection(session, n);
		return 0;
	}
	s->x.rx_bytes += n;
	s->x.rx_body |= !s->x.rx_head;
	keep(s, (const char *)p, n);
	h2_news(s);
	return 0;
}

int
h2_rx_peek(struct xchg *x, struct iovec v[XCHG_PARTS])
{
	struct h2_stream *s = h2_stream_of(x);
	struct h2_piece *p = s->rx_first;
	int n = 0;

	for (; p && n < XCHG_PARTS; p = p->next)
		if (buf_len(&p->b) > 0)
			v[n++] = (struct iovec){p->b.p + p->b.r, buf_len(&p->b)};
	x->rx_end |= s->rx_whole && p == NULL;
	if (n == 0 && x->gone && !x->rx_end)
		return -1;
	return n;
}

static void
credit(struct h2_stream *s, size_t n)
{
	struct h2_conn *c = s->c;

	if (n == 0 || !c->session)
		return;
	if (s->reset || nghttp2_session_consume(c->session, s->id, n) != 0)
		(void)nghttp2_session_consume_connection(c->session, n);
	h2_tx_soon(c);
}

void
h2_rx_consume(struct xchg *x, size_t n)
{
	struct h2_stream *s = h2_stream_of(x);

	credit(s, n);
	s->rx_held -= (uint32_t)n;
	while (n > 0 && s->rx_first) {
		struct h2_piece *p = s->rx_first;
		uint32_t k = (uint32_t)MIN(n, (size_t)buf_len(&p->b));

		buf_eat(&p->b, k);
		n -= k;
		if (buf_len(&p->b) > 0)
			return;
		s->rx_first = p->next;
		if (!s->rx_first)
			s->rx_last = NULL;
		piece_free(s->c, p);
	}
}

void
h2_rx_drop(struct h2_stream *s)
{
	struct h2_conn *c = s->c;
	struct h2_piece *p;

	if (s->rx_held > 0 && c->session) {
		(void)nghttp2_session_consume_connection(c->session, s->rx_held);
		h2_tx_soon(c);
	}
	while ((p = s->rx_first) != NULL) {
		s->rx_first = p->next;
		piece_free(c, p);
	}
	s->rx_last = NULL;
	s->rx_held = 0;
}

/* --- octets as they are: RFC 8441 ------------------------------------------------------------- */

#define RAW_AT_ONCE 512

void
h2_raw_begin(struct xchg *x)
{
	x->rx_end = x->tx_end = x->keepalive = false;
}

/* A piece that is nearly used up takes in the next, so that nothing short lies in two. */
static void
pull_up(struct h2_stream *s)
{
	struct h2_piece *p = s->rx_first, *next;

	while (p && (next = p->next) != NULL && buf_len(&p->b) < RAW_AT_ONCE) {
		uint32_t k;

		buf_compact(&p->b);
		k = MIN(buf_room(&p->b), buf_len(&next->b));
		(void)buf_put(&p->b, next->b.p + next->b.r, k);
		buf_eat(&next->b, k);
		if (buf_len(&next->b) > 0)
			return;
		p->next = next->next;
		if (s->rx_last == next)
			s->rx_last = p;
		piece_free(s->c, next);
	}
}

struct str
h2_raw_data(struct xchg *x)
{
	struct h2_stream *s = h2_stream_of(x);

	pull_up(s);
	return s->rx_first ? buf_str(&s->rx_first->b) : STR("");
}

/* What comes is there without being asked for. */
int
h2_raw_fill(struct xchg *x)
{
	const struct h2_stream *s = h2_stream_of(x);
	uint32_t seen = s->rx_first ? buf_len(&s->rx_first->b) : 0;

	return s->rx_held == seen && (s->rx_whole || x->gone) ? -1 : 0;
}

/* --- frames ----------------------------------------------------------------------------------- */

static int
on_frame(nghttp2_session *session UNUSED, const nghttp2_frame *frame, void *arg)
{
	bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	struct h2_conn *c = arg;
	struct h2_stream *s = stream_of(c, frame->hd.stream_id);

	switch (frame->hd.type) {
	case NGHTTP2_DATA:
		if (frame->hd.length <= frame->data.padlen && !end)
			(void)h2_count(c, H2_ABUSE_EMPTY);
		if (s && end && !s->reset)
			message_ends(s);
		break;
	case NGHTTP2_HEADERS:
		if (s && !s->reset)
			head_ends(s, end);
		break;
	case NGHTTP2_RST_STREAM:
		/* Behind its answer it costs nothing. */
		if (s && s->tx_open)
			(void)h2_count(c, H2_ABUSE_RESETS_IN);
		break;
	case NGHTTP2_SETTINGS:
		(void)h2_count(c, H2_ABUSE_SETTINGS);
		break;
	case NGHTTP2_PING:
		(void)h2_count(c, H2_ABUSE_PINGS);
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && c->noticed)
			h2_conn_goaway(c);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		(void)h2_count(c, H2_ABUSE_WINDOWS);
		break;
	case NGHTTP2_GOAWAY:
		c->draining = true;
		break;
	default:
		break;
	}
	return 0;
}

/* Priorities are nothing to us, and nghttp2 drops them without a word (RFC 9113 6.3). */
static int
on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	if (hd->type != NGHTTP2_PRIORITY)
		return 0;
	(void)h2_count(arg, H2_ABUSE_PRIORITY);
	if (hd->stream_id == 0)
		(void)nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
	return 0;
}

static int
on_invalid_frame(
    nghttp2_session *session UNUSED, const nghttp2_frame *frame UNUSED, int code UNUSED, void *arg)
{
	(void)h2_count(arg, H2_ABUSE_INVALID);
	return 0;
}

static enum reason
close_reason(const struct h2_stream *s, uint32_t code)
{
	if (s->c->server)
		return REASON_CLIENT_GONE;
	if (s->x.rx_head)
		return REASON_BODY_ABORTED;
	return code == NGHTTP2_REFUSED_STREAM ? REASON_CONNECT_FAILED : REASON_UPSTREAM_CLOSED;
}

/* Of a stream whose owner has not ended it yet: reset, or both ends are through. */
static int
on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct h2_conn *c = arg;
	struct h2_stream *s = stream_of(c, id);

	c->recent = NULL;
	if (!s)
		return 0;
	if (c->heading == s)
		c->heading = NULL;
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	s->refused = code == NGHTTP2_REFUSED_STREAM;
	if (s->rx_open || s->tx_open || code != NGHTTP2_NO_ERROR) {
		/* A server that has answered may not want the rest of the request. */
		if (!s->c->server && s->rx_whole && code == NGHTTP2_NO_ERROR) {
			s->tx_open = false;
			s->x.tx_dead = true;
			s->reset = true;
			h2_news(s);
		} else if (!s->rx_whole || s->tx_open) {
			h2_break(s, close_reason(s, code));
		}
	}
	s->reset = true;
	return 0;
}

void
h2_rx_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
}
