/* SPDX-License-Identifier: Apache-2.0
 *
 * See accept.h. Accepting is level-triggered and in bounded batches. Where descriptors run out or
 * the limit is reached it pauses: the sockets leave the epoll set, for a socket that is ready and
 * cannot be accepted from would make the loop spin. It goes on when a connection ends, or after a
 * moment.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/object.h"
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "worker/accept.h"
#include "worker/keyring.h"
#include "worker/worker_priv.h"

#define ACCEPT_BATCH    64
#define ACCEPT_AGAIN_MS 200
#define ACCEPT_LOG_MS   10000 /* a lasting want is not worth a line each time */

static bool
listener_full(const struct listener *l)
{
	int64_t most = l->conf->limits.connections;

	return most > 0 && l->n_conns >= (uint64_t)most;
}

static void
listener_watch(struct listener *l)
{
	if (l->conf && l->watch.urgent != l->conf->urgent) {
		loop_del(l->w->loop, &l->watch);
		l->watch.urgent = l->conf->urgent;
	}
	if (l->fd < 0 || l->watch.fd >= 0 || !l->conf || l->w->paused || listener_full(l))
		return;
	if (loop_add(l->w->loop, &l->watch, l->fd, EPOLLIN) < 0)
		log_error("listener %s: cannot be watched: %s", l->id, strerror(errno));
}

static void
listeners_watch(struct worker *w)
{
	list_each (n, &w->listeners)
		listener_watch(container_of(n, struct listener, node));
}

static void
accept_pause(struct worker *w, const char *why)
{
	if (clock_ms() >= w->pause_logged_ms + ACCEPT_LOG_MS || w->pause_logged_ms == 0) {
		log_warn("accepting pauses: %s (%u connections open)", why, w->n_conns);
		w->pause_logged_ms = clock_ms();
	}
	metric_add(w->metrics, M_PROC_ACCEPT_PAUSES, 1);
	w->paused = true;
	list_each (n, &w->listeners)
		loop_del(w->loop, &container_of(n, struct listener, node)->watch);
	timer_set(w->timers, &w->accept_timer, clock_ms() + ACCEPT_AGAIN_MS);
}

static void
accept_unpause(struct worker *w)
{
	w->paused = false;
	timer_stop(&w->accept_timer);
	listeners_watch(w);
}

/* At the limit, one that is only kept alive can make room; whether somebody waits for it is known
 * when the sockets are looked at again. */
static bool
accept_possible(const struct worker *w)
{
	return w->n_conns < w->max_conns || !list_empty(&w->conns[CONN_IDLE]);
}

static void
accept_retry(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, accept_timer);

	if (accept_possible(w))
		accept_unpause(w);
	else
		timer_set(w->timers, t, clock_ms() + ACCEPT_AGAIN_MS);
}

void
accept_resume(struct worker *w)
{
	if (w->drain == DRAIN_CLOSING)
		return;
	if (!w->paused)
		listeners_watch(w);
	else if (accept_possible(w))
		accept_unpause(w);
}

/* Errors that are not for want of anything of ours. */
static int
accept_other(struct listener *l, int err)
{
	if (err == EAGAIN || err == EWOULDBLOCK)
		return 0;
	/* The socket was shut down (by the master, that waited for us in vain): it stays ready, and
	 * is to be watched no more. */
	if (err == EINVAL || err == EBADF || err == ENOTSOCK) {
		loop_del(l->w->loop, &l->watch);
		return -1;
	}
	return 1; /* ECONNABORTED and its like: that client is gone, the next may be there */
}

/* 1 accepted, 0 none queued, -1 not possible now. */
static int
accept_one(struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr peer = {0};
	int fd;

	fd = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			accept_pause(l->w, strerror(errno));
			return -1;
		}
		return accept_other(l, errno);
	}
	if (len > 0)
		addr_from_sockaddr((struct sockaddr *)&ss, len, &peer);
	conn_open(l->w, l, fd, &peer);
	return 1;
}

static void
accept_batch(struct listener *l, unsigned most)
{
	struct worker *w = l->w;

	while (most-- > 0) {
		if (!accept_possible(w)) {
			accept_pause(w, "connection limit");
			return;
		}
		if (accept_one(l) <= 0)
			return;
		/* Only now is it known that somebody wants the room. */
		if (w->n_conns > w->max_conns)
			conn_shed_idle(w);
		if (listener_full(l)) {
			loop_del(w->loop, &l->watch);
			metric_add(w->metrics, M_PROC_ACCEPT_PAUSES, 1);
			return;
		}
	}
}

static void
accept_event(struct watch *w, uint32_t events)
{
	(void)events;
	accept_batch(container_of(w, struct listener, watch), ACCEPT_BATCH);
}

void
listener_unref(struct listener **lp)
{
	struct listener *l = *lp;

	*lp = NULL;
	if (--l->refs > 0)
		return;
	BUG_ON(l->fd >= 0);
	tls_ctx_unref(&l->tls);
	keyring_scope_free(&l->scope);
	ws_free(&l->ws);
	free(l);
}

/* What is queued on the socket has been answered with a handshake: it is taken before the socket
 * goes. */
static void
listener_withdraw(struct listener *l)
{
	if (l->fd < 0)
		return;
	if (l->conf && !l->w->paused && !l->w->leaving)
		accept_batch(l, UINT32_MAX);
	loop_del(l->w->loop, &l->watch);
	close(l->fd);
	l->fd = -1;
}

static void
listener_forget_next(struct listener *l)
{
	if (l->next_fd >= 0)
		close(l->next_fd);
	l->next_fd = -1;
}

static void
listener_drop(struct listener *l)
{
	listener_withdraw(l);
	listener_forget_next(l);
	list_del(&l->node);
	listener_unref(&l);
}

static struct listener *
listener_find(struct worker *w, uint32_t number)
{
	list_each (n, &w->listeners) {
		struct listener *l = container_of(n, struct listener, node);

		if (l->number == number)
			return l;
	}
	return NULL;
}

static struct listener *
listener_new(struct worker *w, uint32_t number, const char *id)
{
	struct listener *l = xcalloc(1, sizeof(*l));

	l->refs = 1;
	l->w = w;
	l->number = number;
	l->watch = (struct watch){.fd = -1, .fn = accept_event};
	l->fd = l->next_fd = -1;
	snprintf(l->id, sizeof(l->id), "%s", id);
	ws_init(&l->ws, NULL, 0);
	list_push(&w->listeners, &l->node);
	return l;
}

/* The prepared socket becomes the one in use where the settings in force name its address. */
static void
listener_adopt_next(struct listener *l)
{
	if (l->next_fd < 0 || !l->conf || !addr_eq(&l->conf->address, &l->next_addr))
		return;
	listener_withdraw(l);
	l->fd = l->next_fd;
	l->addr = l->next_addr;
	l->next_fd = -1;
}

void
listener_add(struct worker *w, uint32_t number, const char *id, const struct addr *addr, int fd)
{
	struct listener *l = listener_find(w, number);

	/* A number that goes to another listener with the coming generation. */
	if (l && !str_eq(str_of(l->id), str_of(id)))
		l = NULL;
	if (!l)
		l = listener_new(w, number, id);
	listener_forget_next(l);
	l->next_fd = fd;
	l->next_addr = *addr;
	listener_adopt_next(l);
	if (w->drain != DRAIN_CLOSING)
		listener_watch(l);
}

static void
listener_secure(struct listener *l)
{
	const char *error = "";
	struct tls_ctx *ctx;

	keyring_scope_free(&l->scope);
	if (!l->conf->tls.enabled) {
		tls_ctx_unref(&l->tls);
		return;
	}
	ctx = keyring_profile(l->w->keyring, &l->conf->tls,
	    (l->conf->http1 ? TLS_HTTP1 : 0u) | (l->conf->http2.enabled ? TLS_HTTP2 : 0u), &error);
	if (!ctx) {
		log_error("listener %s: tls: %s; %s", l->id, error,
		    l->tls ? "it goes on with what it had" : "its clients are refused");
		metric_add(l->w->metrics, M_PROC_TLS_ERRORS, 1);
		return;
	}
	tls_ctx_unref(&l->tls);
	l->tls = ctx;
}

void
listeners_trust(struct worker *w)
{
	list_each (n, &w->listeners) {
		struct listener *l = container_of(n, struct listener, node);

		if (l->conf)
			listener_secure(l);
	}
	keyring_settled(w->keyring);
}

/* 1 settled, 0 the map has no such listener (any more), -1 unreadable: it goes on as before. */
static int
listener_settle(struct listener *l, struct table *t)
{
	struct conf_object o;
	struct conf_listener *conf;
	struct ws ws;
	int rc = table_object(t, CONF_LISTENER, l->number, &o);

	if (rc != 1)
		return rc;
	if (!str_eq(o.id, str_of(l->id)))
		return 0; /* the number went to another listener */
	ws_init(&ws, NULL, 0);
	conf = object_body(&o, &ws);
	if (!conf) {
		ws_free(&ws);
		return -1;
	}
	ws_free(&l->ws);
	l->ws = ws;
	l->conf = conf;
	listener_secure(l);
	listener_adopt_next(l);
	return 1;
}

void
listeners_settle(struct worker *w, struct table *t)
{
	list_each_safe (n, &w->listeners) {
		struct listener *l = container_of(n, struct listener, node);
		bool known = l->conf != NULL || l->waited;
		int rc = listener_settle(l, t);

		l->waited = true;
		if (rc < 0) {
			log_error("listener %s: malformed value in the map", l->id);
			metric_add(w->metrics, M_PROC_TABLE_ERRORS, 1);
		}
		/* One that came ahead of its generation waits for it, once. */
		if (rc == 0 && known)
			listener_drop(l);
		else if (w->drain != DRAIN_CLOSING)
			listener_watch(l);
	}
	keyring_settled(w->keyring);
}

void
accept_init(struct worker *w)
{
	timer_init(&w->accept_timer, accept_retry);
	for (unsigned i = 0; i < w->h->n_listens; i++) {
		const struct heritage_listen *hl = &w->h->listens[i];

		listener_add(w, hl->number, hl->id, &hl->addr, hl->fd);
	}
}

void
accept_stop(struct worker *w)
{
	timer_stop(&w->accept_timer);
	list_each (n, &w->listeners)
		listener_withdraw(container_of(n, struct listener, node));
}

void
accept_fini(struct worker *w)
{
	accept_stop(w);
	list_each_safe (n, &w->listeners)
		listener_drop(container_of(n, struct listener, node));
}
