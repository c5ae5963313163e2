/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes out. nghttp2 says which frame is next and how long a DATA frame may be; frames gather
 * in one buffer, so that the answers of a turn leave in one write. Payload that does not fit in
 * there any more goes to the socket from where it lies.
 */
#include "worker/http/h2_priv.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"

#define H2_FRAME_HEAD 9
#define H2_BLOCK_MOST 16384        /* in a frame that any peer takes */
#define H2_OUT_MOST   (64u * 1024) /* waiting for the socket; then nothing more is asked for */

/* --- the buffer ------------------------------------------------------------------------------- */

static void
out_dead(struct h2_conn *c)
{
	buf_give(&c->out, c->pool->bufs);
	h2_fail(c);
}

/* Whatever the socket takes of the buffer and of `v` behind it; what it does not take of v is
 * copied. */
static void
out_write(struct h2_conn *c, const struct iovec *v, int n)
{
	struct iovec all[XCHG_PARTS + 2];
	uint32_t had = buf_len(&c->out);
	size_t behind;
	ssize_t w = 0;
	int k = 0;

	if (had > 0)
		all[k++] = (struct iovec){c->out.p + c->out.r, had};
	for (int i = 0; i < n; i++)
		all[k++] = v[i];
	if (k > 0 && c->stream->writable && !c->stream->connecting)
		w = stream_write(c->stream, all, k);
	if (w < 0 && w != STREAM_AGAIN) {
		out_dead(c);
		return;
	}
	w = MAX(w, 0);
	c->tx_bytes += (uint64_t)w;
	buf_eat(&c->out, (uint32_t)MIN((size_t)w, (size_t)had));
	behind = (size_t)w > had ? (size_t)w - had : 0;
	for (int i = 0; i < n; i++) {
		size_t skip = MIN(behind, v[i].iov_len), left = v[i].iov_len - skip;

		behind -= skip;
		if (left == 0)
			continue;
		if (c->out.r > 0)
			buf_compact(&c->out);
		buf_take(&c->out, c->pool->bufs,
		    MAX(buf_len(&c->out) + (uint32_t)left, c->pool->bufs->size));
		(void)buf_put(&c->out, (const char *)v[i].iov_base + skip, (uint32_t)left);
	}
	if (buf_len(&c->out) == 0)
		buf_give(&c->out, c->pool->bufs);
}

static void
out_put(struct h2_conn *c, const struct iovec *v, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += v[i].iov_len;
	buf_take(&c->out, c->pool->bufs, c->pool->bufs->size);
	if (total > buf_room(&c->out)) {
		out_write(c, v, n);
		return;
	}
	for (int i = 0; i < n; i++)
		(void)buf_put(&c->out, v[i].iov_base, (uint32_t)v[i].iov_len);
}

bool
h2_conn_flushed(const struct h2_conn *c)
{
	return buf_len(&c->out) == 0 &&
	       (!c->session || !nghttp2_session_want_write(c->session) || c->failed);
}

static bool
out_full(const struct h2_conn *c)
{
	return buf_len(&c->out) >= H2_OUT_MOST || (!c->stream->writable && buf_len(&c->out) > 0);
}

/* Room came in the socket: those that were cut short may offer again. */
static void
out_tell(struct h2_conn *c)
{
	list_each (n, &c->streams) {
		struct h2_stream *s = container_of(n, struct h2_stream, node);

		if (s->blocked && s->v == NULL) {
			s->blocked = false;
			h2_news(s);
		}
	}
}

/* --- heads ------------------------------------------------------------------------------------ */

/* nghttp2 keeps to the order of frames and to what a stream may send; the block in a frame of a
 * head is made here, and only what its own says about the table's size is heeded. */

static void
read_resizes(struct h2_conn *c, const uint8_t *p, const uint8_t *end)
{
	while (p < end && (*p & 0xe0) == 0x20) {
		uint64_t v = *p++ & 0x1f;

		for (unsigned shift = 0; v >= 0x1f && p < end && shift < 32; shift += 7) {
			v += (uint64_t)(*p & 0x7f) << shift;
			if ((*p++ & 0x80) == 0)
				break;
		}
		hpack_resize(c->hpack, (uint32_t)MIN(v, UINT32_MAX));
	}
}

static void
frame_head(uint8_t *p, size_t n, uint8_t type, uint8_t flags, int32_t id)
{
	p[0] = (uint8_t)(n >> 16);
	p[1] = (uint8_t)(n >> 8);
	p[2] = (uint8_t)n;
	p[3] = type;
	p[4] = flags;
	for (unsigned i = 0; i < 4; i++)
		p[5 + i] = (uint8_t)((uint32_t)id >> (24 - 8 * i));
}

/* A block of any size. */
static size_t
put_block_cut(struct h2_conn *c, const struct h2_nv *nv, size_t count, uint8_t flags, int32_t id)
{
	uint8_t *block = xmalloc(hpack_bound(nv, count)), head[H2_FRAME_HEAD];
	size_t n = hpack_encode(c->hpack, nv, count, block), at = 0;
	uint8_t type = NGHTTP2_HEADERS;

	do {
		size_t part = MIN(n - at, (size_t)H2_BLOCK_MOST);
		struct iovec v[] = {{head, H2_FRAME_HEAD}, {block + at, part}};
		bool end = at + part == n;

		frame_head(head, part, type,
		    (uint8_t)((flags & ~NGHTTP2_FLAG_END_HEADERS) |
			      (end ? NGHTTP2_FLAG_END_HEADERS : 0)),
		    id);
		out_put(c, v, 2);
		type = NGHTTP2_CONTINUATION;
		flags = 0;
		at += part;
	} while (at < n && !c->failed);
	free(block);
	return n;
}

static size_t
put_block(struct h2_conn *c, const struct h2_nv *nv, size_t count, uint8_t flags, int32_t id)
{
	size_t most = hpack_bound(nv, count), n;
	uint8_t *p;

	buf_take(&c->out, c->pool->bufs, c->pool->bufs->size);
	if (most > H2_BLOCK_MOST || most + H2_FRAME_HEAD > buf_room(&c->out))
		return put_block_cut(c, nv, count, flags, id);
	p = (uint8_t *)c->out.p + c->out.w;
	n = hpack_encode(c->hpack, nv, count, p + H2_FRAME_HEAD);
	frame_head(p, n, NGHTTP2_HEADERS, flags, id);
	c->out.w += (uint32_t)(H2_FRAME_HEAD + n);
	return n;
}

/* on_sent has said whose it is. The frame of an answer whose owner gave up is left out: a reset
 * follows. A request's is not made then. */
static void
put_head(struct h2_conn *c, const uint8_t *p, size_t n)
{
	int32_t id = (int32_t)((p[5] & 0x7fu) << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 |
			       (uint32_t)p[8]);

	read_resizes(c, p + H2_FRAME_HEAD, p + n);
	if (c->framed != NULL)
		c->framer->x.tx_bytes +=
		    put_block(c, c->framed, c->n_framed, p[4], id) + H2_FRAME_HEAD;
	else if (!c->server)
		h2_fail(c);
	c->framed = NULL;
}

static void
ask(struct h2_conn *c)
{
	while (!c->failed && (c->lent || buf_len(&c->out) < H2_OUT_MOST)) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(c->session, &p);
		struct iovec v;

		if (n < 0)
			h2_fail(c);
		if (n <= 0) { /* nothing is left that could point into a head */
			c->lent = false;
			return;
		}
		if (n >= H2_FRAME_HEAD && p[3] == NGHTTP2_HEADERS) {
			put_head(c, p, (size_t)n);
			continue;
		}
		v = (struct iovec){(void *)(uintptr_t)p, (size_t)n};
		out_put(c, &v, 1);
	}
}

void
h2_conn_push(struct h2_conn *c)
{
	bool full;

	if (!c->session || c->failed)
		return;
	do { /* what a full buffer held back goes too: a socket with room says nothing more */
		ask(c);
		full = buf_len(&c->out) >= H2_OUT_MOST;
		if (buf_len(&c->out) > 0 && !c->failed)
			out_write(c, NULL, 0);
	} while (full && buf_len(&c->out) == 0);
	if (buf_len(&c->out) == 0)
		out_tell(c);
}

void
h2_tx_soon(struct h2_conn *c)
{
	if (!c->feeding)
		loop_defer(c->pool->loop, &c->flush);
}

/* --- payload ---------------------------------------------------------------------------------- */

static ssize_t
on_read(nghttp2_session *session UNUSED, int32_t id UNUSED, uint8_t *buf UNUSED, size_t most,
    uint32_t *flags, nghttp2_data_source *source, void *arg UNUSED)
{
	struct h2_stream *s = source->ptr;
	size_t left = s->offered - s->taken, n = MIN(left, most);

	if (n == 0 && !(s->last && s->v != NULL)) {
		s->deferred = true;
		if (s->starved)
			h2_news(s);
		s->starved = false;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (s->last && n == left) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (s->x.tx->n_trailers > 0)
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	}
	return (ssize_t)n;
}

/* The next n octets of what is offered. */
static int
gather(struct h2_stream *s, size_t n, struct iovec out[XCHG_PARTS])
{
	int k = 0;

	while (n > 0 && s->n_v > 0) {
		size_t part = MIN(s->v->iov_len - s->v_at, n);

		if (part > 0)
			out[k++] = (struct iovec){(char *)s->v->iov_base + s->v_at, part};
		s->v_at += part;
		n -= part;
		if (s->v_at == s->v->iov_len) {
			s->v++;
			s->n_v--;
			s->v_at = 0;
		}
	}
	return k;
}

static int
on_send_data(nghttp2_session *session UNUSED, nghttp2_frame *frame, const uint8_t *head, size_t n,
    nghttp2_data_source *source, void *arg)
{
	struct iovec v[XCHG_PARTS + 1];
	struct h2_stream *s = source->ptr;
	struct h2_conn *c = arg;
	int k;

	v[0] = (struct iovec){(void *)(uintptr_t)head, H2_FRAME_HEAD};
	k = 1 + gather(s, n, v + 1);
	s->taken += n;
	s->x.tx_any = true;
	s->x.tx_bytes += n + H2_FRAME_HEAD;
	out_put(c, v, k);
	/* What a receiver says to payload: some send an update for each 4 KiB, and a PING with it.
	 */
	h2_earn(c, H2_ABUSE_WINDOWS, 2 + (uint32_t)(n / 1024));
	h2_earn(c, H2_ABUSE_PINGS, 1);
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		s->tx_open = false;
	return c->failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Those with which exchanges end for our or the other side's reasons say nothing about this peer.
 */
static bool
peers_fault(uint32_t code)
{
	return code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL &&
	       code != NGHTTP2_INTERNAL_ERROR && code != NGHTTP2_REFUSED_STREAM;
}

/* The block of a frame that nghttp2 hands out next. */
static void
head_framed(struct h2_stream *s)
{
	struct h2_conn *c = s->c;

	c->framer = s;
	c->framed = s->nv;
	c->n_framed = s->n_nv;
	s->x.tx_any = true;
	if (s->interims > 0) {
		static const struct h2_nv interim = {
		    .name = {":status", 7}, .value = {"100", 3}, .id = H2_ID_STATUS};

		s->interims--;
		c->framed = &interim;
		c->n_framed = 1;
	} else {
		s->nv = NULL;
	}
}

static int
on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_stream *s;

	if (frame->hd.type == NGHTTP2_RST_STREAM && peers_fault(frame->rst_stream.error_code))
		(void)h2_count(arg, H2_ABUSE_RESETS_OUT);
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!s)
		return 0;
	head_framed(s);
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		s->tx_open = false;
	return 0;
}

/* --- messages --------------------------------------------------------------------------------- */

/* Nothing goes to nghttp2 before the first payload or its absence is known: a head without any ends
 * the stream itself. */
int
h2_tx_head(struct xchg *x, struct head *h, const struct xchg_send *how)
{
	struct h2_stream *s = h2_stream_of(x);

	if (h->body == BODY_EOF || h2_is_opened(s, h))
		h->body = BODY_CHUNKED;
	x->tx = h;
	x->tx_head = true;
	s->how = *how;
	return 1;
}

/* nghttp2 hears no more of a request than its method, by which it knows what may answer it. */
static int
submit_empty(struct h2_stream *s, nghttp2_data_provider *body)
{
	struct str method = s->x.tx->method_text;
	nghttp2_session *session = s->c->session;
	nghttp2_nv v = {(uint8_t *)(uintptr_t) ":method", (uint8_t *)(uintptr_t)method.p, 7,
	    method.n, NGHTTP2_NV_FLAG_NO_COPY_NAME};

	if (s->c->server)
		return nghttp2_submit_response(session, s->id, NULL, 0, body) == 0 ? 1 : -1;
	s->id = nghttp2_submit_request(session, NULL, &v, 1, body, s);
	if (s->id > 0)
		return 1;
	s->id = 0;
	return -1;
}

static int
submit(struct h2_stream *s, bool bare)
{
	nghttp2_data_provider body = {.source.ptr = s, .read_callback = on_read};

	s->nv = h2_fields(s, s->x.tx, &s->n_nv);
	if (s->nv == NULL || submit_empty(s, bare ? NULL : &body) < 0)
		return -1;
	s->submitted = s->c->lent = true;
	return 1;
}

/* A frame that waits, as a request's does where the peer allows fewer than it did when that began:
 * the head may change before it is made. */
static int
keep_fields(struct h2_stream *s)
{
	struct ws *ws = s->x.tx->ws;
	struct h2_nv *v;

	if (s->nv == NULL || s->kept)
		return 1;
	v = ws_alloc(ws, s->n_nv * sizeof(*v));
	for (size_t i = 0; v && i < s->n_nv; i++) {
		v[i] = s->nv[i];
		v[i].name = ws_str(ws, v[i].name);
		v[i].value = ws_str(ws, v[i].value);
		if (v[i].name.p == NULL || v[i].value.p == NULL)
			return -1;
	}
	s->nv = v;
	s->kept = true;
	return v ? 1 : -1;
}

/* Behind the last payload. */
static int
submit_trailers(struct h2_stream *s)
{
	s->nv = h2_trailers(s->x.tx, &s->n_nv);
	s->c->lent = true;
	return s->nv && nghttp2_submit_trailer(s->c->session, s->id, NULL, 0) == 0 ? 1 : -1;
}

static bool
bodiless(const struct h2_stream *s)
{
	return s->x.tx->body == BODY_NONE;
}

static ssize_t
offer(struct h2_stream *s, const struct iovec *v, int n, size_t total, bool last)
{
	struct h2_conn *c = s->c;
	static const struct iovec nothing;
	bool cut;

	s->v = n > 0 ? v : &nothing;
	s->n_v = n;
	s->v_at = s->taken = 0;
	s->offered = total;
	s->last = last;
	if (s->deferred) {
		s->deferred = false;
		(void)nghttp2_session_resume_data(c->session, s->id);
	}
	ask(c);
	cut = s->taken < total || (last && s->tx_open);
	s->v = NULL;
	s->n_v = 0;
	s->offered = s->taken;
	s->blocked = cut && out_full(c);
	s->starved = cut && !s->blocked;
	return (ssize_t)s->taken;
}

static size_t
length(const struct iovec *v, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += v[i].iov_len;
	return total;
}

/* The last octet was taken: trailers, or the end that nghttp2 has sent with it. */
static int
finish_sending(struct h2_stream *s)
{
	if (s->tx_open && !s->reset && s->x.tx->n_trailers > 0 && !s->trailed) {
		s->trailed = true;
		if (submit_trailers(s) < 0)
			return -1;
		ask(s->c);
	}
	s->x.tx_end = !s->tx_open && !s->x.gone;
	return 1;
}

ssize_t
h2_tx_body(struct xchg *x, const struct iovec *v, int n, bool last)
{
	struct h2_stream *s = h2_stream_of(x);
	size_t total = length(v, n), dropped = bodiless(s) ? total : 0;
	struct h2_conn *c = s->c;
	ssize_t took = 0;

	if (s->submitted && !s->tx_open && !x->gone) { /* its end went with what others sent */
		x->tx_end = true;
		return 0;
	}
	if (s->reset || c->failed || !c->session)
		return -1;
	if (out_full(c)) {
		s->blocked = true;
		return 0;
	}
	total -= dropped;
	if (!s->submitted && submit(s, last && total == 0 && x->tx->n_trailers == 0) < 0)
		return -1;
	if (s->tx_open)
		took = offer(s, dropped ? NULL : v, dropped ? 0 : n, total, last);
	if (last && (size_t)took == total && finish_sending(s) < 0)
		return -1;
	if (keep_fields(s) < 0)
		return -1;
	if (buf_len(&c->out) > 0)
		h2_tx_soon(c);
	/* The stream may be closed by now: that was its end. */
	return x->tx_end || (!c->failed && !s->reset) ? took + (ssize_t)dropped : -1;
}

int
h2_tx_interim(struct xchg *x, unsigned status)
{
	struct h2_stream *s = h2_stream_of(x);

	BUG_ON(status != 100 || x->tx_head);
	if (s->reset || s->c->failed ||
	    nghttp2_submit_headers(s->c->session, 0, s->id, NULL, NULL, 0, NULL) != 0)
		return -1;
	s->interims++;
	h2_tx_soon(s->c);
	return 1;
}

static int
h2_finish(struct xchg *x UNUSED)
{
	return 0; /* a stream carries one exchange */
}

const struct xchg_ops h2_xchg_ops = {
    .send_head = h2_tx_head,
    .send_body = h2_tx_body,
    .send_interim = h2_tx_interim,
    .peek = h2_rx_peek,
    .consume = h2_rx_consume,
    .finish = h2_finish,
    .raw_begin = h2_raw_begin,
    .raw_data = h2_raw_data,
    .raw_fill = h2_raw_fill,
    .raw_eat = h2_rx_consume,
};

void
h2_tx_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
}
