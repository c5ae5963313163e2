/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of an HTTP/2 connection: what the socket has goes to nghttp2, and when that is through with
 * it those streams are told that have news, one after the other.
 */
#include "worker/http/h2_priv.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"

#define H2_READ_MOST (256 * 1024) /* in one go; then others have their turn */
#define H2_SPAN_MS   10000
#define H2_TABLE     4096 /* HPACK, either way */

static const uint32_t abuse_most[H2_ABUSE_COUNT] = {
#define ABUSE(NAME, most, word, help) [H2_ABUSE_##NAME] = (most),
#include "shm/h2_abuse.def"
#undef ABUSE
};
const char *const h2_abuse_words[H2_ABUSE_COUNT] = {
#define ABUSE(NAME, most, word, help) [H2_ABUSE_##NAME] = (word),
#include "shm/h2_abuse.def"
#undef ABUSE
};

/* --- what connections share ------------------------------------------------------------------- */

struct h2_pool *
h2_pool_new(struct loop *loop, struct buf_pool *bufs)
{
	struct h2_pool *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
	p->bufs = bufs;
	list_init(&p->free);
	h2_mem_init(&p->mem);
	if (nghttp2_session_callbacks_new(&p->callbacks) != 0 ||
	    nghttp2_option_new(&p->option) != 0)
		oom_fail(sizeof(*p));
	h2_rx_callbacks(p->callbacks);
	h2_tx_callbacks(p->callbacks);
	/* Credit is given when somebody took the octets, and never before. */
	nghttp2_option_set_no_auto_window_update(p->option, 1);
	nghttp2_option_set_no_closed_streams(p->option, 1);
	nghttp2_option_set_max_reserved_remote_streams(p->option, 0);
	return p;
}

void
h2_pool_free(struct h2_pool **pp)
{
	struct h2_pool *p = *pp;
	struct h2_piece *piece;

	*pp = NULL;
	if (!p)
		return;
	list_each_safe (n, &p->free)
		free(container_of(n, struct h2_stream, node));
	while ((piece = p->free_piece) != NULL) {
		p->free_piece = piece->next;
		free(piece);
	}
	nghttp2_session_callbacks_del(p->callbacks);
	nghttp2_option_del(p->option);
	h2_known_free(p);
	h2_mem_fini(&p->mem);
	free(p);
}

unsigned
h2_pool_trim(struct h2_pool *p, unsigned keep)
{
	unsigned n = 0, freed = h2_mem_trim(&p->mem, keep);

	list_each_safe (it, &p->free) {
		if (++n <= keep || n % 2 == 0)
			continue;
		list_del(it);
		free(container_of(it, struct h2_stream, node));
		freed++;
	}
	return freed;
}

/* --- streams ---------------------------------------------------------------------------------- */

struct h2_stream *
h2_stream_new(struct h2_conn *c, int32_t id)
{
	struct list *n = list_first(&c->pool->free);
	struct h2_stream *s = n ? container_of(n, struct h2_stream, node) : xmalloc(sizeof(*s));

	if (n)
		list_del(n);
	*s = (struct h2_stream){.c = c, .id = id, .rx_open = true, .tx_open = true};
	s->x.ops = &h2_xchg_ops;
	list_init(&s->node);
	list_init(&s->news);
	list_push(&c->streams, &s->node);
	c->n_streams++;
	c->begun++;
	if (c->server)
		c->last_id = MAX(c->last_id, id);
	return s;
}

void
h2_news(struct h2_stream *s)
{
	if (!list_empty(&s->news))
		return;
	list_push(&s->c->news, &s->news);
	if (!s->c->feeding)
		loop_defer(s->c->pool->loop, &s->c->tell);
}

void
h2_break(struct h2_stream *s, enum reason why)
{
	s->reset = true;
	s->rx_open = s->tx_open = false;
	s->x.gone = s->x.tx_dead = s->x.rx_eof = true;
	s->x.keepalive = false;
	if (!s->x.why)
		s->x.why = why;
	h2_news(s);
}

/* An owner that has heard everything: the exchange was whole, or nobody listens any more. */
static uint32_t
end_code(const struct h2_stream *s)
{
	if (!s->c->server)
		return s->x.why == REASON_BAD_UPSTREAM ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_CANCEL;
	if (s->refused)
		return NGHTTP2_REFUSED_STREAM;
	if (!s->tx_open)
		return NGHTTP2_NO_ERROR; /* RFC 9113 8.1: the rest of the request is not needed */
	return s->x.tx_head ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL;
}

void
h2_end(struct h2_stream **sp)
{
	struct h2_stream *s = *sp;
	struct h2_conn *c = s->c;

	*sp = NULL;
	h2_rx_drop(s);
	c->head_octets -= s->head_held;
	/* One may be given up for each that was wanted. */
	if (s->rx_whole && !s->tx_open && !s->x.gone)
		h2_earn(c, H2_ABUSE_RESETS_IN, 1);
	if (c->heading == s)
		c->heading = NULL;
	if (c->recent == s)
		c->recent = NULL;
	if (s->id > 0 && c->session) {
		(void)nghttp2_session_set_stream_user_data(c->session, s->id, NULL);
		if (!s->reset && (s->rx_open || s->tx_open) &&
		    nghttp2_submit_rst_stream(c->session, 0, s->id, end_code(s)) == 0)
			h2_tx_soon(c);
	}
	list_del(&s->node);
	list_del(&s->news);
	c->n_streams--;
	list_unshift(&c->pool->free, &s->node);
	/* The owner of the connection may want to close it now. */
	if (c->n_streams == 0 && !c->feeding)
		loop_defer(c->pool->loop, &c->tell);
}

/* --- telling ---------------------------------------------------------------------------------- */

/* The owner of a stream may end that one, others, or the connection. */
static void
tell(struct h2_conn *c)
{
	struct list *n;

	while ((n = list_first(&c->news)) != NULL) {
		struct h2_stream *s = container_of(n, struct h2_stream, news);

		list_del(n);
		if (s->x.on_event)
			s->x.on_event(&s->x);
		if (!c->session)
			return;
	}
	if (c->on_conn && (c->failed || c->n_streams == 0))
		c->on_conn(c);
}

/* More may lie in the socket than one turn takes. */
static void
tell_later(struct defer *d)
{
	struct h2_conn *c = container_of(d, struct h2_conn, tell);

	if (c->stream->readable && !c->eof && !c->failed)
		h2_conn_event(c);
	else
		tell(c);
}

void
h2_fail(struct h2_conn *c)
{
	if (c->failed)
		return;
	c->failed = true;
	list_each (n, &c->streams) {
		struct h2_stream *s = container_of(n, struct h2_stream, node);
		enum reason why = c->server ? REASON_CLIENT_GONE : REASON_UPSTREAM_CLOSED;

		if (!c->server && s->x.rx_head)
			why = REASON_BODY_ABORTED;
		if (!s->reset)
			h2_break(s, why);
	}
	if (!c->feeding)
		loop_defer(c->pool->loop, &c->tell);
}

static void
calm(struct h2_conn *c, enum h2_abuse what)
{
	c->calm = true;
	c->abuse = what;
	(void)nghttp2_session_terminate_session(c->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

#define EARNED_MOST (1u << 20)

void
h2_earn(struct h2_conn *c, enum h2_abuse what, uint32_t n)
{
	c->earned[what] = MIN(c->earned[what] + n, EARNED_MOST);
}

bool
h2_count(struct h2_conn *c, enum h2_abuse what)
{
	uint64_t now = clock_ms();

	if (c->earned[what] > 0) {
		c->earned[what]--;
		return !c->calm;
	}
	if (now - c->window_start > H2_SPAN_MS) {
		c->window_start = now;
		memset(c->counts, 0, sizeof(c->counts));
	}
	if (++c->counts[what] <= abuse_most[what] || c->calm)
		return !c->calm;
	calm(c, what);
	return false;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void
feed(struct h2_conn *c, const char *p, size_t n)
{
	ssize_t used;

	c->rx_bytes += n;
	used = nghttp2_session_mem_recv(c->session, (const uint8_t *)p, n);
	if (used == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS && !c->calm)
		calm(c, H2_ABUSE_CONTINUATIONS);
	/* What it does not take whole it has given up on; a last frame may say why. */
	if (used < 0 || (size_t)used != n) {
		h2_conn_push(c);
		h2_fail(c);
	}
}

static bool
over(const struct h2_conn *c)
{
	return c->failed ||
	       (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session));
}

static void
take_in(struct h2_conn *c)
{
	struct buf b = {0};
	size_t had = 0;

	buf_take(&b, c->pool->bufs, c->pool->bufs->size);
	while (!over(c) && c->stream->readable && !c->eof && had < H2_READ_MOST) {
		ssize_t n = stream_read(c->stream, b.p, b.cap);

		if (n > 0) {
			feed(c, b.p, (size_t)n);
			had += (size_t)n;
			continue;
		}
		if (n == STREAM_EOF || n == STREAM_ERROR)
			c->eof = true;
		if (n == STREAM_ERROR)
			h2_fail(c);
		break;
	}
	buf_give(&b, c->pool->bufs);
	if (had >= H2_READ_MOST)
		loop_defer(c->pool->loop, &c->tell);
}

/* The peer's end of the connection: no request of it can be answered any more where both ends are
 * closed; one that only stopped sending may still listen. */
static void
at_eof(struct h2_conn *c)
{
	list_each (n, &c->streams) {
		struct h2_stream *s = container_of(n, struct h2_stream, node);

		s->x.rx_eof = true;
		if (s->rx_open)
			h2_break(s, c->server      ? REASON_CLIENT_GONE
				    : s->x.rx_head ? REASON_BODY_ABORTED
						   : REASON_UPSTREAM_CLOSED);
		else
			h2_news(s);
	}
}

void
h2_conn_event(struct h2_conn *c)
{
	bool was_eof = c->eof;

	c->feeding = true;
	take_in(c);
	if (c->stream->broken)
		h2_fail(c);
	if (c->eof && !was_eof && !c->failed)
		at_eof(c);
	if (!c->failed)
		h2_conn_push(c);
	if (!c->failed && over(c))
		h2_fail(c);
	c->feeding = false;
	tell(c);
}

/* --- life ------------------------------------------------------------------------------------- */

static int
settings(struct h2_conn *c)
{
	nghttp2_settings_entry e[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->limits.streams},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, c->limits.window},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, c->limits.headers},
	    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	    {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	    {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
	};
	size_t n = ARRAY_LEN(e) - !(c->server && c->limits.connect);

	if (c->server) { /* a server has nothing to say about pushes */
		e[3] = e[4];
		e[4] = e[5];
		n--;
	}
	if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, e, n) != 0)
		return -1;
	return nghttp2_session_set_local_window_size(
		   c->session, NGHTTP2_FLAG_NONE, 0, (int32_t)c->limits.conn_window) == 0
		   ? 1
		   : -1;
}

static void
flush_later(struct defer *d)
{
	struct h2_conn *c = container_of(d, struct h2_conn, flush);

	h2_conn_push(c);
	if (!c->failed && over(c))
		h2_fail(c);
}

static void
conn_blank(struct h2_conn *c)
{
	c->eof = c->failed = c->draining = c->noticed = c->refusing = c->feeding = c->calm =
	    c->lent = false;
	c->framed = NULL;
	c->recent = NULL;
	list_init(&c->streams);
	list_init(&c->news);
	c->n_streams = c->begun = 0;
	c->heading = NULL;
	c->last_id = 0;
	c->head_octets = 0;
	c->out = (struct buf){0};
	c->rx_bytes = c->tx_bytes = 0;
	c->window_start = clock_ms();
	memset(c->counts, 0, sizeof(c->counts));
	memset(c->earned, 0, sizeof(c->earned));
	defer_init(&c->flush, flush_later);
	defer_init(&c->tell, tell_later);
}

int
h2_conn_start(
    struct h2_conn *c, bool server, struct h2_pool *p, const struct h2_limits *l, struct str first)
{
	nghttp2_session *session = NULL;
	int rc;

	c->pool = p;
	c->server = server;
	c->limits = *l;
	conn_blank(c);
	rc = server
		 ? nghttp2_session_server_new3(&session, p->callbacks, c, p->option, &p->mem.ops)
		 : nghttp2_session_client_new3(&session, p->callbacks, c, p->option, &p->mem.ops);
	c->session = session;
	if (rc != 0 || settings(c) < 0) {
		nghttp2_session_del(session);
		c->session = NULL;
		return -1;
	}
	c->hpack = xmalloc(sizeof(*c->hpack));
	hpack_init(c->hpack);
	h2_conn_feed(c, first);
	h2_tx_soon(c);
	return 1;
}

void
h2_conn_feed(struct h2_conn *c, struct str octets)
{
	if (octets.n == 0)
		return;
	c->feeding = true;
	feed(c, octets.p, octets.n);
	c->feeding = false;
	loop_defer(c->pool->loop, &c->tell);
}

struct h2_stream *
h2_upgraded(struct h2_conn *c, struct str settings, struct head *rx)
{
	struct h2_stream *s;

	if (nghttp2_session_upgrade2(c->session, (const uint8_t *)settings.p, settings.n,
		rx->method == METHOD_HEAD, NULL) != 0)
		return NULL;
	s = h2_stream_new(c, 1);
	(void)nghttp2_session_set_stream_user_data(c->session, 1, s);
	s->protocol = STR("");
	s->rx_open = false;
	s->rx_whole = true;
	s->x.rx = rx;
	s->x.rx_any = s->x.rx_head = s->x.rx_end = true;
	return s;
}

void
h2_conn_goaway(struct h2_conn *c)
{
	if (c->refusing || c->failed || !c->session)
		return;
	c->draining = c->refusing = true;
	(void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
	    MAX(nghttp2_session_get_last_proc_stream_id(c->session), c->last_id), NGHTTP2_NO_ERROR,
	    NULL, 0);
	h2_tx_soon(c);
}

/* RFC 9113 6.8: a notice first; what was on its way to us when it came is known by the answer to a
 * PING behind it. */
void
h2_conn_drain(struct h2_conn *c)
{
	if (c->noticed || c->failed || !c->session)
		return;
	if (!c->server) {
		h2_conn_goaway(c);
		return;
	}
	c->draining = c->noticed = true;
	c->noticed_at = c->begun;
	(void)nghttp2_submit_shutdown_notice(c->session);
	(void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
	h2_earn(c, H2_ABUSE_PINGS, 1);
	h2_tx_soon(c);
}

void
h2_conn_free(struct h2_conn *c)
{
	nghttp2_session *session = c->session;

	defer_cancel(&c->flush);
	defer_cancel(&c->tell);
	c->failed = true;
	c->session = NULL;
	nghttp2_session_del(session);
	BUG_ON(!list_empty(&c->streams));
	hpack_fini(c->hpack);
	free(c->hpack);
	c->hpack = NULL;
	buf_give(&c->out, c->pool->bufs);
}

struct h2_stream *
h2_begin(struct h2_conn *c, struct head *rx)
{
	struct h2_stream *s;

	if (h2_room(c) == 0)
		return NULL;
	s = h2_stream_new(c, 0);
	s->x.rx = rx;
	return s;
}

uint32_t
h2_room(const struct h2_conn *c)
{
	uint32_t most;

	if (c->failed || c->draining || c->eof || !c->session ||
	    !nghttp2_session_check_request_allowed(c->session))
		return 0;
	most = nghttp2_session_get_remote_settings(
	    c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	return most > c->n_streams ? most - c->n_streams : 0;
}
