/* SPDX-License-Identifier: Apache-2.0
 *
 * See conn_h2.h.
 */
#include "worker/conn_h2.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
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
	    .streams = (uint32_t)l->http2.streams,
	    .window = (uint32_t)l->http2.window,
	    .conn_window = (uint32_t)l->http2.connection_window,
	    .merge_slashes = true, /* routes that want them kept: route.c */
	};
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

	if (!conn_may_keep(c)) {
		h2_conn_drain(h);
		return false;
	}
	conn_set_busy(c);
	c->requests++;
	m = conn_member(c, &s->x);
	list_push(&f->members, &m->mate);
	s->x.owner = m;
	s->x.on_event = member_event;
	m->req = req_new(m);
	s->x.rx = &m->req->in;
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
	if (h->calm)
		say_abuse(c, h);
	if (h->failed || h->eof || (h->draining && h2_conn_flushed(h)))
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

void
conn_h2_end(struct conn *c)
{
	struct conn_h2 *f = c->h2;

	BUG_ON(!list_empty(&f->members));
	if (!f->h2.failed) {
		h2_conn_drain(&f->h2);
		h2_conn_push(&f->h2);
	}
	h2_conn_free(&f->h2);
	c->h2 = NULL;
	free(f);
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
