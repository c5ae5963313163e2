/* SPDX-License-Identifier: Apache-2.0
 *
 * See conn.h. One function changes a state; every state has a list, and one timer carries whatever
 * deadline holds.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "worker/accept.h"
#include "worker/conn_h2.h"
#include "worker/drain.h"
#include "worker/handshake.h"
#include "worker/net/tls.h"
#include "worker/proxied.h"
#include "worker/steps.h"
#include "worker/worker_priv.h"

#define LINGER_MS     5000
#define LINGER_OCTETS (64 * 1024)

#define BIT(s) (1u << CONN_##s)
static const struct {
	const char *name;
	unsigned from; /* states it may be entered from */
} conn_states[CONN_STATE_COUNT] = {
    [CONN_FREE] = {"free", BIT(PROXY) | BIT(TLS) | BIT(FRESH) | BIT(HEAD) | BIT(REQUEST) |
			       BIT(IDLE) | BIT(H2) | BIT(LINGER)},
    [CONN_PROXY] = {"proxy", BIT(FREE)},
    [CONN_TLS] = {"tls", BIT(FREE) | BIT(PROXY)},
    [CONN_FRESH] = {"fresh", BIT(FREE) | BIT(PROXY) | BIT(TLS)},
    [CONN_HEAD] = {"head", BIT(FREE) | BIT(FRESH) | BIT(IDLE)},
    [CONN_REQUEST] = {"request", BIT(HEAD)},
    [CONN_IDLE] = {"idle", BIT(FRESH) | BIT(TLS) | BIT(REQUEST) | BIT(H2)},
    [CONN_H2] = {"h2", BIT(IDLE)},
    [CONN_LINGER] = {"linger", BIT(REQUEST)},
};
#undef BIT

static uint64_t
conn_state_ms(const struct conn *c)
{
	const struct conf_listener *l = c->listener->conf;

	switch (c->state) {
	case CONN_PROXY:
		return l->proxy_protocol.timeout;
	case CONN_TLS:
		return l->tls.handshake_timeout;
	case CONN_FRESH:
	case CONN_HEAD:
		return l->timeouts.header;
	case CONN_IDLE:
		return l->timeouts.idle;
	case CONN_LINGER:
		return LINGER_MS;
	default:
		return 0;
	}
}

static void
conn_deadline_in(struct conn *c, uint64_t ms)
{
	if (ms)
		timer_set(c->w->timers, &c->timer, clock_ms() + ms);
	else
		timer_rest(&c->timer);
}

static void
conn_deadline_set(struct conn *c)
{
	uint64_t ms = conn_state_ms(c);

	conn_deadline_in(c, c->h2 ? conn_h2_deadline(c, ms) : ms);
}

/* A head and the request it begins are one to whoever looks for connections. */
static enum conn_state
conn_list(enum conn_state s)
{
	return s == CONN_HEAD ? CONN_REQUEST : s;
}

static void
conn_move(struct conn *c, enum conn_state to)
{
	enum conn_state list = conn_list(to);

	if (to != CONN_FREE && list == conn_list(c->state))
		return;
	list_del(&c->node);
	if (to == CONN_FREE)
		list_unshift(&c->w->conns[list], &c->node); /* warm ones first */
	else
		list_push(&c->w->conns[list], &c->node);
}

static void
conn_set_state(struct conn *c, enum conn_state to)
{
	struct metrics *m = c->w->metrics;

	BUG_ON(!(conn_states[to].from & 1u << c->state));
	log_debug("connection %d: %s -> %s", c->h1.stream.watch.fd, conn_states[c->state].name,
	    conn_states[to].name);
	if (c->state == CONN_IDLE)
		metric_sub(m, M_PROC_CONNS_IDLE, 1);
	if (to == CONN_IDLE)
		metric_add(m, M_PROC_CONNS_IDLE, 1);
	conn_move(c, to);
	c->state = (uint8_t)to;
	c->wait = CONN_WAIT_NONE;
	if (to == CONN_FREE)
		timer_stop(&c->timer);
	else
		conn_deadline_set(c);
}

/* What only a connection of its own has. */
static void
conn_gone(struct conn *c)
{
	struct worker *w = c->w;

	c->listener->n_conns--;
	w->n_conns--;
	metric_sub(w->metrics, M_PROC_CONNS_ACTIVE, 1);
	accept_resume(w);
}

static void
conn_close(struct conn *c, bool reset)
{
	struct worker *w = c->w;

	BUG_ON(c->req);
	if (c->carrier) {
		conn_h2_leave(c);
	} else {
		if (c->h2)
			conn_h2_end(c);
		h1_conn_close(&c->h1, reset);
		free(c->proxied);
	}
	c->proxied = NULL;
	addr_kept_free(&c->peer);
	conn_set_state(c, CONN_FREE);
	if (!c->carrier)
		conn_gone(c);
	c->carrier = NULL;
	listener_unref(&c->listener);
	drain_check(w);
}

static void
conn_deadline(struct timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);

	switch (c->state) {
	case CONN_PROXY:
		proxied_refused(c->w, c, "not complete in time", true);
		conn_close(c, false);
		break;
	case CONN_TLS:
		handshake_late(c);
		conn_close(c, false);
		break;
	case CONN_HEAD:
		if (c->carrier)
			c->x->why = REASON_REQUEST_TIMEOUT;
		else
			h1_conn_refuse(&c->h1, REASON_REQUEST_TIMEOUT);
		req_run(c->req);
		break;
	case CONN_REQUEST:
		req_client_late(c->req,
		    c->wait == CONN_WAIT_BODY ? REASON_REQUEST_TIMEOUT : REASON_CLIENT_SLOW);
		break;
	default:
		if (c->h2 && conn_h2_aged(c))
			conn_deadline_set(c);
		else
			conn_close(c, false);
	}
}

static void
conn_event(struct xchg *x)
{
	struct conn *c = x->owner;

	CHECK_MAGIC(c, CONN_MAGIC);
	if (c->req)
		req_run(c->req);
	else if (x->gone)
		conn_close(c, false);
}

static void
conn_limits(struct conn *c)
{
	const struct conf_listener *l = c->listener->conf;

	c->h1.limits = (struct h1_limits){
	    .request_line = (uint32_t)l->limits.request_line,
	    .headers = (uint32_t)l->limits.headers,
	    .count = (uint32_t)l->limits.header_count,
	    .merge_slashes = true, /* routes that want them kept: route.c */
	};
}

/* The first octets of a request, or HTTP/2's preface. */
static enum h1_begin
conn_begin(struct h1_conn *h)
{
	struct conn *c = container_of(h, struct conn, h1);
	int looks = conn_h2_looks(c, buf_str(&h->rx));

	if (looks == 0)
		return H1_BEGIN_LATER;
	if (looks == 1) {
		struct buf b = h->rx;

		h->rx = (struct buf){0};
		if (conn_h2_start(c, buf_str(&b)) < 0)
			conn_close(c, true);
		buf_give(&b, &c->w->bufs);
		return H1_BEGIN_NOT;
	}
	conn_set_state(c, CONN_HEAD);
	conn_limits(c);
	c->req = req_new(c);
	h->x.rx = &c->req->in;
	return H1_BEGIN;
}

static void
conn_tls_event(struct stream *s)
{
	struct conn *c = container_of(s, struct conn, h1.stream);
	int rc = handshake_run(c, conn_tls_event);

	if (rc == 0)
		return;
	if (rc < 0) {
		conn_close(c, false);
		return;
	}
	if (!c->misled && str_eq(tls_facts(s)->alpn, STR("h2"))) {
		if (conn_h2_start(c, STR_NONE) < 0)
			conn_close(c, true);
		else if (s->readable)
			s->on_event(s);
		return;
	}
	s->on_event = h1_conn_event;
	conn_set_state(c, CONN_FRESH);
	if (s->readable)
		h1_conn_event(s);
}

/* Before the first octet of the client's own: the state it goes on in. */
static enum conn_state
conn_first(struct conn *c)
{
	bool tls = c->listener->conf->tls.enabled;

	c->h1.stream.on_event = tls ? conn_tls_event : h1_conn_event;
	return tls ? CONN_TLS : CONN_FRESH;
}

/* The client's own octets come behind the header. */
static void
conn_proxy_event(struct stream *s)
{
	struct conn *c = container_of(s, struct conn, h1.stream);
	const char *error = NULL;
	struct addr peer;
	int rc;

	addr_kept_get(&c->peer, &peer);
	rc = proxied_read(&c->proxied, s, &peer, &error);

	if (rc == 0)
		return;
	if (rc < 0) {
		if (error)
			proxied_refused(c->w, c, error, false);
		conn_close(c, false);
		return;
	}
	addr_kept_set(&c->peer, &peer);
	metric_add(c->w->metrics, M_PROC_CONNS_PROXIED, 1);
	conn_set_state(c, conn_first(c));
	if (s->readable)
		s->on_event(s);
}

static struct conn *
conn_blank(struct worker *w)
{
	struct list *n = list_first(&w->conns[CONN_FREE]);
	struct conn *c;

	if (n)
		return container_of(n, struct conn, node);
	c = xcalloc(1, sizeof(*c));
	c->magic = CONN_MAGIC;
	c->w = w;
	list_init(&c->node);
	list_init(&c->mate);
	c->h1.stream.watch.fd = -1;
	return c;
}

bool
conn_open(struct worker *w, struct listener *l, int fd, const struct addr *peer)
{
	struct conn *c = conn_blank(w);

	if (stream_tcp_accept(&c->h1.stream, w->loop, fd, l->conf->urgent, h1_conn_event) < 0) {
		metric_add(w->metrics, M_PROC_CONNS_REFUSED, 1);
		list_del(&c->node);
		list_unshift(&w->conns[CONN_FREE], &c->node);
		return false;
	}
	h1_conn_start(&c->h1, true, &w->bufs);
	c->h1.on_begin = conn_begin;
	c->h1.x.owner = c;
	c->h1.x.on_event = conn_event;
	c->x = &c->h1.x;
	timer_init(&c->timer, conn_deadline);
	addr_kept_set(&c->peer, peer);
	c->requests = c->lingered = 0;
	c->misled = false;
	c->listener = l;
	l->refs++;
	l->n_conns++;
	w->n_conns++;
	metric_add(w->metrics, M_PROC_CONNS_ACCEPTED, 1);
	metric_add(w->metrics, M_PROC_CONNS_ACTIVE, 1);
	if (l->conf->proxy_protocol.mode != PROXY_OFF)
		c->proxied = proxied_expect(l->conf, peer);
	if (c->proxied)
		c->h1.stream.on_event = conn_proxy_event;
	conn_set_state(c, c->proxied ? CONN_PROXY : conn_first(c));
	return true;
}

struct stream *
conn_stream(struct conn *c)
{
	return c->carrier ? &c->carrier->h1.stream : &c->h1.stream;
}

void
conn_set_idle(struct conn *c)
{
	if (c->state != CONN_IDLE)
		conn_set_state(c, CONN_IDLE);
}

void
conn_set_busy(struct conn *c)
{
	if (c->state != CONN_H2)
		conn_set_state(c, CONN_H2);
}

void
conn_shut(struct conn *c)
{
	conn_close(c, false);
}

struct conn *
conn_member(struct conn *carrier, struct xchg *x)
{
	struct conn *m = conn_blank(carrier->w);
	struct addr peer;

	timer_init(&m->timer, conn_deadline);
	addr_kept_get(&carrier->peer, &peer);
	addr_kept_set(&m->peer, &peer);
	m->proxied = carrier->proxied;
	m->requests = m->lingered = 0;
	m->misled = false;
	m->carrier = carrier;
	m->x = x;
	m->listener = carrier->listener;
	m->listener->refs++;
	conn_set_state(m, CONN_HEAD);
	return m;
}

void
conn_set_request(struct conn *c)
{
	conn_set_state(c, CONN_REQUEST);
}

void
conn_wait(struct conn *c, enum conn_wait what, bool progress)
{
	const struct conf_listener *l = c->listener->conf;

	if (c->wait == what && !progress)
		return;
	if (c->wait == CONN_WAIT_NONE && what == CONN_WAIT_NONE)
		return;
	c->wait = (uint8_t)what;
	conn_deadline_in(c, what == CONN_WAIT_BODY    ? l->timeouts.body
			    : what == CONN_WAIT_WRITE ? l->timeouts.write
						      : 0);
}

bool
conn_may_keep(const struct conn *c)
{
	int64_t most = c->listener->conf->limits.requests_per_connection;

	return c->w->drain != DRAIN_CLOSING && (most == 0 || c->requests < (uint64_t)most);
}

/* The answer is out; what the client still sends is dropped, so that no reset destroys it on the
 * way (RFC 9112 9.6). */
static void
conn_linger_event(struct stream *s)
{
	struct conn *c = container_of(s, struct conn, h1.stream);
	ssize_t n;

	while ((n = h1_conn_discard(&c->h1)) > 0) {
		c->lingered += (uint32_t)n;
		if (c->lingered > LINGER_OCTETS)
			break;
	}
	if (n != 0)
		conn_close(c, false);
}

static void
conn_linger(struct conn *c)
{
	struct stream *s = &c->h1.stream;

	conn_set_state(c, CONN_LINGER);
	s->ops->shutdown_write(s);
	defer_cancel(&c->h1.again);
	s->on_event = conn_linger_event;
	conn_linger_event(s);
}

void
conn_after(struct conn *c, unsigned after)
{
	struct xchg *x = c->x;

	if (c->carrier) {
		conn_close(c, false);
		return;
	}
	if (after == AFTER_KEEP && x->ops->finish(x) == 1) {
		conn_set_state(c, CONN_IDLE);
		return;
	}
	/* A client that said it was through and sent more all the same. */
	if (after == AFTER_CLOSE &&
	    (h1_conn_pending(&c->h1) || (c->h1.stream.readable && !c->h1.eof)))
		after = AFTER_LINGER;
	if (after == AFTER_LINGER && !x->gone && c->state == CONN_REQUEST)
		conn_linger(c);
	else
		conn_close(c, after == AFTER_RESET);
}

static bool
conn_quiet(const struct conn *c)
{
	return list_empty(&c->h1.again.node) && (c->h2 == NULL || conn_h2_quiet(c));
}

/* Kept open and silent; one that has sent octets already gets its answer first. */
void
conn_close_idle(struct worker *w)
{
	list_each_safe (n, &w->conns[CONN_IDLE]) {
		struct conn *c = container_of(n, struct conn, node);

		if (conn_quiet(c))
			conn_close(c, false);
		else if (c->h2)
			conn_h2_drain(c);
	}
}

void
conn_shed_idle(struct worker *w)
{
	list_each (n, &w->conns[CONN_IDLE]) {
		struct conn *c = container_of(n, struct conn, node);

		if (!conn_quiet(c))
			continue;
		metric_add(w->metrics, M_PROC_CONNS_REFUSED, 1);
		conn_close(c, false);
		return;
	}
}

void
conn_abort_all(struct worker *w, unsigned reason)
{
	for (unsigned s = CONN_FREE + 1; s < CONN_STATE_COUNT; s++)
		list_each_safe (n, &w->conns[s]) {
			struct conn *c = container_of(n, struct conn, node);

			if (c->req) {
				req_abandon(c->req, reason);
				c->req->waiting = 0;
				req_run(c->req);
			} else {
				conn_close(c, false);
			}
		}
}

void
conn_fini(struct worker *w)
{
	list_each_safe (n, &w->conns[CONN_FREE])
		free(container_of(n, struct conn, node));
}
