/* SPDX-License-Identifier: Apache-2.0
 *
 * See conn_h2.h.
 */
#include "worker/conn_h2.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/enc.h"
#include "shm/base/log.h"
#include "worker/accept.h"
#include "worker/conn.h"
#include "worker/http/h2.h"
#include "worker/steps.h"
#include "worker/worker_priv.h"

#define LOG_EVERY_MS 1000

struct conn_h2 {
	struct h2_conn h2;
	struct conn *carrier;
	struct list members; /* struct conn, by mate */
	uint64_t since_ms;
	bool aging; /* the carrier's deadline is that of its age */
	bool said;  /* why it was ended */
};

int
conn_h2_looks(const struct conn *c, struct str octets)
{
	const struct conf_listener *l = c->listener->conf;

	if (!l->http2.enabled || !l->http2.prior_knowledge || c->requests > 0 ||
	    memcmp(octets.p, H2_PREFACE, MIN(octets.n, (size_t)H2_PREFACE_N)) != 0)
		return -1;
	return octets.n >= H2_PREFACE_N;
}

static struct h2_limits
limits_of(const struct conf_listener *l)
{
	return (struct h2_limits){
	    .headers = (uint32_t)l->limits.headers,
	    .count = (uint32_t)l->limits.header_count,
	    .request_line = (uint32_t)l->limits.request_line,
	    .streams = (uint32_t)l->http2.streams,
	    .window = (uint32_t)l->http2.window,
	    .conn_window = (uint32_t)l->http2.connection_window,
	    .merge_slashes = true, /* routes that want them kept: route.c */
	    .connect = true,
	};
}

/* --- age -------------------------------------------------------------------------------------- */

static uint64_t
age_most(const struct conn_h2 *f)
{
	return f->carrier->listener->conf->http2.max_age;
}

static bool
too_old(const struct conn_h2 *f)
{
	return age_most(f) > 0 && clock_ms() - f->since_ms >= age_most(f);
}

uint64_t
conn_h2_deadline(struct conn *c, uint64_t ms)
{
	struct conn_h2 *f = c->h2;
	uint64_t left;

	f->aging = false;
	if (age_most(f) == 0 || f->h2.noticed)
		return ms;
	left = too_old(f) ? 1 : f->since_ms + age_most(f) - clock_ms();
	f->aging = ms == 0 || left < ms;
	return f->aging ? left : ms;
}

bool
conn_h2_aged(struct conn *c)
{
	struct conn_h2 *f = c->h2;

	if (f->aging && too_old(f)) /* a reload may have allowed it more since */
		h2_conn_drain(&f->h2);
	return f->aging;
}

/* --- members ---------------------------------------------------------------------------------- */

static void
member_event(struct xchg *x)
{
	struct conn *m = x->owner;

	CHECK_MAGIC(m, CONN_MAGIC);
	if (m->req)
		req_run(m->req);
}

/* The first frame of a request: its head may not be whole yet. */
static bool
member_begin(struct h2_conn *h, struct h2_stream *s)
{
	struct conn_h2 *f = h->owner;
	struct conn *c = f->carrier, *m;

	conn_set_busy(c);
	c->requests++;
	m = conn_member(c, &s->x);
	list_push(&f->members, &m->mate);
	s->x.owner = m;
	s->x.on_event = member_event;
	m->req = req_new(m);
	s->x.rx = &m->req->in;
	if (too_old(f) || !conn_may_keep(c))
		h2_conn_drain(h); /* this one is its last */
	return true;
}

bool
conn_h2_refuse(struct req *r)
{
	if (!r->conn->carrier || r->response_started || r->cx->gone)
		return false;
	h2_stream_of(r->cx)->refused = true;
	return true;
}

void
conn_h2_leave(struct conn *m)
{
	struct h2_stream *s = h2_stream_of(m->x);

	list_del(&m->mate);
	h2_end(&s);
}

/* --- the carrier ------------------------------------------------------------------------------ */

static void
say_abuse(struct conn *c, const struct h2_conn *h)
{
	struct worker *w = c->w;
	char peer[128];
	struct addr a;

	metric_add(w->metrics, (enum metric_all)(M_PROC_H2_CALM_RESETS_IN + h->abuse), 1);
	if (w->h2_logged_ms != 0 && clock_ms() < w->h2_logged_ms + LOG_EVERY_MS)
		return;
	addr_kept_get(&c->peer, &a);
	addr_text(&a, peer, sizeof(peer));
	log_warn("listener %s: HTTP/2 connection of %s ended: too many %s", c->listener->id, peer,
	    h2_abuse_words[h->abuse]);
	w->h2_logged_ms = clock_ms();
}

/* Over, or without a request. */
static void
carrier_look(struct h2_conn *h)
{
	struct conn_h2 *f = h->owner;
	struct conn *c = f->carrier;

	if (h->n_streams > 0)
		return;
	if (h->calm && !f->said) {
		f->said = true;
		say_abuse(c, h);
	}
	if (h->failed || ((h->eof || h->draining) && h2_conn_flushed(h)))
		conn_shut(c);
	else
		conn_set_idle(c);
}

static void
carrier_event(struct stream *s)
{
	struct conn *c = container_of(s, struct conn, h1.stream);

	CHECK_MAGIC(c, CONN_MAGIC);
	h2_conn_event(&c->h2->h2);
}

int
conn_h2_start(struct conn *c, struct str first)
{
	struct h2_limits l = limits_of(c->listener->conf);
	struct conn_h2 *f = xcalloc(1, sizeof(*f));

	f->carrier = c;
	list_init(&f->members);
	f->since_ms = clock_ms();
	f->h2 = (struct h2_conn){.stream = &c->h1.stream,
	    .secure = c->h1.stream.layer != NULL,
	    .owner = f,
	    .on_begin = member_begin,
	    .on_conn = carrier_look};
	c->h2 = f;
	c->h1.stream.on_event = carrier_event;
	conn_set_idle(c);
	metric_add(c->w->metrics, M_PROC_H2_CONNS, 1);
	if (h2_conn_start(&f->h2, true, c->w->h2_pool, &l, first) > 0)
		return 1;
	c->h2 = NULL;
	free(f);
	return -1;
}

/* --- Upgrade: h2c ----------------------------------------------------------------------------- */

#define SETTINGS_MAX 120 /* twenty of them */

/* HTTP2-Settings, once, in base64url. Octets, or -1. */
static ssize_t
upgrade_settings(const struct head *h, char out[SETTINGS_MAX])
{
	const struct hdr *f = head_find(h, STR("HTTP2-Settings"));
	const struct hdr *named = head_get(h, HDR_CONNECTION);

	while (named && !str_list_has(named->value, STR("HTTP2-Settings")))
		named = head_next(h, named);
	return named && f && !head_next(h, f) ? enc_unbase64url(f->value, out, SETTINGS_MAX) : -1;
}

static bool
upgrade_wanted(const struct req *r)
{
	const struct conn *c = r->conn;
	const struct conf_listener *l = c->listener->conf;

	/* Through a proxy that passes it on unseen, all that came after would bear its name. */
	return r->in.upgrade.n > 0 && !r->peer_trusted && !c->carrier && l->http2.enabled &&
	       l->http2.upgrade && c->h1.stream.layer == NULL && r->in.body == BODY_NONE &&
	       r->cx->rx_end && str_list_has(r->in.upgrade, STR("h2c"));
}

/* The socket of a request that was just read takes so little. */
static bool
upgrade_said(struct conn *c)
{
	static const char text[] =
	    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
	struct iovec v = {(void *)(uintptr_t)text, sizeof(text) - 1};

	return stream_write(&c->h1.stream, &v, 1) == (ssize_t)(sizeof(text) - 1);
}

/* The request lives on as a member of what was its connection. */
static void
upgrade_move(struct req *r, struct h2_stream *s)
{
	struct conn *c = r->conn, *m;

	c->req = NULL;
	conn_set_busy(c);
	m = conn_member(c, &s->x);
	list_push(&c->h2->members, &m->mate);
	s->x.owner = m;
	s->x.on_event = member_event;
	s->x.rx_bytes = c->h1.x.rx_bytes;
	r->in.upgrade = STR("");
	r->in.first[HDR_UPGRADE] = 0; /* it asks for nothing else any more */
	m->req = r;
	m->requests = 1;
	r->conn = m;
	r->cx = &s->x;
	conn_set_request(m);
}

int
conn_h2_upgrade(struct req *r)
{
	struct conn *c = r->conn;
	char settings[SETTINGS_MAX];
	struct h2_stream *s;
	struct buf rest;
	ssize_t n;

	if (!upgrade_wanted(r) || (n = upgrade_settings(&r->in, settings)) < 0)
		return 0;
	rest = c->h1.rx;
	c->h1.rx = (struct buf){0};
	if (!upgrade_said(c) || conn_h2_start(c, STR_NONE) < 0) {
		buf_give(&rest, &c->w->bufs);
		return -1;
	}
	s = h2_upgraded(&c->h2->h2, str_n(settings, (size_t)n), &r->in);
	if (s) {
		upgrade_move(r, s);
		h2_conn_feed(&c->h2->h2, buf_str(&rest));
	}
	buf_give(&rest, &c->w->bufs);
	return s ? 1 : -1;
}

void
conn_h2_end(struct conn *c)
{
	struct conn_h2 *f = c->h2;

	BUG_ON(!list_empty(&f->members));
	if (!f->h2.failed) {
		h2_conn_goaway(&f->h2);
		h2_conn_push(&f->h2);
	}
	h2_conn_free(&f->h2);
	c->h2 = NULL;
	free(f);
}

bool
conn_h2_quiet(const struct conn *c)
{
	return h2_conn_flushed(&c->h2->h2) && list_empty(&c->h2->h2.tell.node);
}

void
conn_h2_drain(struct conn *c)
{
	h2_conn_drain(&c->h2->h2);
}

void
conn_h2_drain_all(struct worker *w)
{
	list_each (n, &w->conns[CONN_H2])
		conn_h2_drain(container_of(n, struct conn, node));
}
