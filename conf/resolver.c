/* SPDX-License-Identifier: Apache-2.0
 *
 * See resolver.h.
 */
#include "conf/resolver.h"

#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "conf/resolve_priv.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define V6_KNOWN_MS 10000 /* interfaces come and go rarely */

/* A descriptor of the channel's. */
struct socket {
	struct list node;
	struct watch watch;
	struct resolver *r;
};

struct resolver {
	struct loop *loop;
	ares_channel channel;
	char *servers;
	struct list sockets; /* some of them free: fd -1 */
	struct timer timer;
	unsigned open;  /* questions */
	unsigned depth; /* inside of c-ares */
	bool have_v6;
	uint64_t v6_ms;
	struct timespec conf_time;
	ino_t conf_ino;
};

struct question {
	struct resolver *r;
	resolver_f *fn;
	void *arg;
};

/* --- the channel in the loop ------------------------------------------------------------------ */

static void
rearm(struct resolver *r)
{
	struct timeval tv, *next = ares_timeout(r->channel, NULL, &tv);

	timer_stop(&r->timer);
	if (next != NULL)
		timer_set(loop_timers(r->loop), &r->timer,
		    clock_ms() + (uint64_t)(next->tv_sec * 1000 + next->tv_usec / 1000 + 1));
}

static void
process(struct resolver *r, ares_socket_t in, ares_socket_t out)
{
	r->depth++;
	ares_process_fd(r->channel, in, out);
	r->depth--;
	rearm(r);
}

static void
on_socket(struct watch *w, uint32_t events)
{
	struct socket *s = container_of(w, struct socket, watch);

	process(s->r, (events & ~(uint32_t)EPOLLOUT) != 0 ? w->fd : ARES_SOCKET_BAD,
	    (events & EPOLLOUT) != 0 ? w->fd : ARES_SOCKET_BAD);
}

static void
on_time(struct timer *t)
{
	process(container_of(t, struct resolver, timer), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static struct socket *
socket_of(struct resolver *r, int fd)
{
	struct socket *s;

	list_each (n, &r->sockets) {
		s = container_of(n, struct socket, node);
		if (s->watch.fd == fd)
			return s;
	}
	if (fd >= 0)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->r = r;
	watch_init(&s->watch, on_socket);
	list_push(&r->sockets, &s->node);
	return s;
}

/* Both 0: it is about to be closed. */
static void
on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = arg;
	struct socket *s = socket_of(r, fd);
	uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
	int ok = 1;

	if (events == 0) {
		if (s != NULL)
			loop_del(r->loop, &s->watch);
		return;
	}
	if (s != NULL)
		ok = loop_mod(r->loop, &s->watch, events);
	else
		ok = loop_add(r->loop, &socket_of(r, -1)->watch, fd, events);
	if (ok < 0)
		log_error("resolver: a socket cannot be watched");
}

/* --- answers ---------------------------------------------------------------------------------- */

static uint32_t
ttl_of(const struct ares_addrinfo *info)
{
	int ttl = INT32_MAX;

	for (const struct ares_addrinfo_node *i = info->nodes; i != NULL; i = i->ai_next)
		ttl = MIN(ttl, i->ai_ttl);
	for (const struct ares_addrinfo_cname *i = info->cnames; i != NULL; i = i->next)
		ttl = MIN(ttl, i->ttl);
	return ttl > 0 && ttl != INT32_MAX ? (uint32_t)ttl : 0;
}

static bool
have_v6(struct resolver *r)
{
	if (r->v6_ms == 0 || clock_ms() > r->v6_ms + V6_KNOWN_MS) {
		r->have_v6 = resolve_have_v6();
		r->v6_ms = MAX(clock_ms(), UINT64_C(1));
	}
	return r->have_v6;
}

static void
answered(void *arg, int status, int timeouts UNUSED, struct ares_addrinfo *info)
{
	struct question *q = arg;
	struct resolver_answer a = {.error = "the answer holds no address"};
	struct addr found[RESOLVE_ADDRS];

	q->r->open--;
	if (status == ARES_SUCCESS && info != NULL) {
		a.n = resolve_collect(info, have_v6(q->r), found);
		a.v = found;
		a.ttl_s = ttl_of(info);
		if (a.n > 0)
			a.error = NULL;
	} else {
		a.error = ares_strerror(status);
	}
	if (info != NULL)
		ares_freeaddrinfo(info);
	q->fn(q->arg, &a);
	free(q);
}

/* --- the life of it --------------------------------------------------------------------------- */

/* Is resolv.conf another than when the channel was opened? */
static bool
conf_changed(struct resolver *r)
{
	struct stat st = {.st_ino = 0};
	bool changed;

	if (stat(RESOLV_CONF, &st) < 0)
		st = (struct stat){.st_ino = 0};
	changed = st.st_ino != r->conf_ino || st.st_mtim.tv_sec != r->conf_time.tv_sec ||
		  st.st_mtim.tv_nsec != r->conf_time.tv_nsec;
	r->conf_ino = st.st_ino;
	r->conf_time = st.st_mtim;
	return changed;
}

static int
open_channel(struct resolver *r, ares_channel *channel_r, const char **error_r)
{
	int rc;

	if (resolve_channel(channel_r, on_state, r, error_r) < 0)
		return -1;
	if (r->servers == NULL)
		return 1;
	rc = ares_set_servers_ports_csv(*channel_r, r->servers);
	if (rc == ARES_SUCCESS)
		return 1;
	ares_destroy(*channel_r);
	*error_r = ares_strerror(rc);
	return -1;
}

struct resolver *
resolver_new(struct loop *l, const char *servers, const char **error_r)
{
	struct resolver *r = xcalloc(1, sizeof(*r));

	r->loop = l;
	list_init(&r->sockets);
	timer_init(&r->timer, on_time);
	if (servers != NULL)
		r->servers = str_z(str_of(servers));
	(void)conf_changed(r);
	if (open_channel(r, &r->channel, error_r) == 1)
		return r;
	free(r->servers);
	free(r);
	return NULL;
}

/* Only while nothing is under way: a channel cannot go while it is worked in. */
static void
reopen(struct resolver *r)
{
	const char *error = "";
	ares_channel channel;

	if (open_channel(r, &channel, &error) < 0) {
		log_warn("resolver: " RESOLV_CONF " has changed and cannot be used: %s", error);
		return;
	}
	ares_destroy(r->channel);
	ares_library_cleanup(); /* one of the two */
	r->channel = channel;
	log_info("resolver: " RESOLV_CONF " has changed");
}

void
resolver_ask(struct resolver *r, const char *name, resolver_f *fn, void *arg)
{
	struct question *q = xmalloc(sizeof(*q));

	if (r->open == 0 && r->depth == 0 && conf_changed(r))
		reopen(r);
	*q = (struct question){r, fn, arg};
	r->open++;
	r->depth++;
	resolve_ask(r->channel, name, answered, q);
	r->depth--;
	if (r->depth == 0)
		rearm(r);
}
