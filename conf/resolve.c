/* SPDX-License-Identifier: Apache-2.0
 *
 * c-ares, driven by poll until everything is answered or the deadline passes. Answers are sorted: a
 * server that rotates them must not look like a changed configuration at every load.
 */
#include "conf/resolve_priv.h"

#include <ifaddrs.h>
#include <poll.h>
#include <sys/time.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/num.h"

#define IN_FLIGHT 256 /* a resolver drops what floods it */
#define TRY_MS    1500
#define TRIES     3

struct resolver {
	ares_channel channel;
	struct ws *ws;
	uint64_t deadline_ms, timeout_ms;
	uint32_t in_flight;
	bool have_v6;
};

struct question {
	struct resolver *r;
	struct resolve_name *name;
};

/* --- answers ---------------------------------------------------------------------------------- */

bool
resolve_have_v6(void)
{
	struct ifaddrs *list, *i;
	bool found = false;

	if (getifaddrs(&list) < 0)
		return true;
	for (i = list; i != NULL && !found; i = i->ifa_next) {
		const struct sockaddr_in6 *sin6 = (const void *)i->ifa_addr;

		found = sin6 != NULL && sin6->sin6_family == AF_INET6 &&
			!IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr) &&
			!IN6_IS_ADDR_LINKLOCAL(&sin6->sin6_addr);
	}
	freeifaddrs(list);
	return found;
}

static int
by_address(const void *va, const void *vb)
{
	const struct addr *a = va, *b = vb;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->ip, b->ip, a->family == AF_INET ? 4 : 16);
}

static uint32_t
sort_unique(struct addr *v, uint32_t n)
{
	uint32_t kept = 0;

	if (n > 1)
		qsort(v, n, sizeof(*v), by_address);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || !addr_eq(&v[kept - 1], &v[i]))
			v[kept++] = v[i];
	return kept;
}

static bool
is_loopback(const struct addr *a)
{
	static const uint8_t one[16] = {[15] = 1};

	return memcmp(a->ip, one, sizeof(one)) == 0;
}

static uint32_t
collect(const struct ares_addrinfo *info, bool v6, struct addr *v)
{
	uint32_t n = 0;

	for (const struct ares_addrinfo_node *i = info->nodes; i != NULL; i = i->ai_next) {
		if (n == RESOLVE_ADDRS)
			break;
		addr_from_sockaddr(i->ai_addr, i->ai_addrlen, &v[n]);
		v[n].port = 0;
		if (v[n].family == AF_INET ||
		    (v[n].family == AF_INET6 && (v6 || is_loopback(&v[n]))))
			n++;
	}
	return n;
}

uint32_t
resolve_collect(const struct ares_addrinfo *info, bool have_v6, struct addr v[RESOLVE_ADDRS])
{
	uint32_t n = collect(info, have_v6, v);

	if (n == 0)
		n = collect(info, true, v);
	return sort_unique(v, n);
}

static void
take_answer(struct question *q, const struct ares_addrinfo *info)
{
	struct addr found[RESOLVE_ADDRS], *v;
	uint32_t n = resolve_collect(info, q->r->have_v6, found);

	if (n == 0) {
		q->name->error = STR("the answer holds no address");
		return;
	}
	v = ws_alloc(q->r->ws, n * sizeof(*v));
	if (v == NULL)
		oom_fail(n * sizeof(*v));
	memcpy(v, found, n * sizeof(*v));
	q->name->v = v;
	q->name->n = n;
}

static struct str
too_late(struct resolver *r)
{
	char word[32];

	num_duration_text(r->timeout_ms, word);
	return ws_printf(r->ws, "no answer within %s", word);
}

static void
answered(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct question *q = arg;

	(void)timeouts;
	q->r->in_flight--;
	if (status == ARES_SUCCESS && info != NULL)
		take_answer(q, info);
	else if (status == ARES_ECANCELLED || status == ARES_EDESTRUCTION)
		q->name->error = too_late(q->r);
	else
		q->name->error = ws_str(q->r->ws, str_of(ares_strerror(status)));
	if (info != NULL)
		ares_freeaddrinfo(info);
}

/* --- the loop --------------------------------------------------------------------------------- */

void
resolve_ask(ares_channel channel, const char *name, ares_addrinfo_callback fn, void *arg)
{
	static const struct ares_addrinfo_hints hints = {
	    .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

	ares_getaddrinfo(channel, name, NULL, &hints, fn, arg);
}

static void
ask(struct resolver *r, struct resolve_name *name)
{
	struct question *q = ws_alloc(r->ws, sizeof(*q));
	struct str z = ws_str(r->ws, name->name);

	if (q == NULL || z.p == NULL)
		oom_fail(sizeof(*q));
	*q = (struct question){r, name};
	r->in_flight++; /* the answer may come before the call returns */
	resolve_ask(r->channel, z.p, answered, q);
}

static int
wait_ms(struct resolver *r, uint64_t left_ms)
{
	struct timeval max = {(time_t)(left_ms / 1000), (suseconds_t)(left_ms % 1000 * 1000)}, tv;
	struct timeval *next = ares_timeout(r->channel, &max, &tv);

	return (int)(next->tv_sec * 1000 + next->tv_usec / 1000 + 1);
}

static void
turn(struct resolver *r, uint64_t left_ms)
{
	ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
	struct pollfd fds[ARES_GETSOCK_MAXNUM];
	/* Bit i: readable, bit 16 + i: writable. c-ares' own macros shift into the sign. */
	unsigned mask = (unsigned)ares_getsock(r->channel, sockets, ARES_GETSOCK_MAXNUM);
	nfds_t n = 0;

	for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
		short events =
		    (short)((mask >> i & 1 ? POLLIN : 0) | (mask >> (16 + i) & 1 ? POLLOUT : 0));

		if (events != 0)
			fds[n++] = (struct pollfd){.fd = sockets[i], .events = events};
	}
	(void)poll(fds, n, wait_ms(r, left_ms));
	for (nfds_t i = 0; i < n; i++) {
		bool in = (fds[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
		bool out = (fds[i].revents & POLLOUT) != 0;

		if (in || out)
			ares_process_fd(r->channel, in ? fds[i].fd : ARES_SOCKET_BAD,
			    out ? fds[i].fd : ARES_SOCKET_BAD);
	}
	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* its time-outs */
}

static uint64_t
now_ms(void)
{
	return clock_precise_ns() / 1000000;
}

static void
run(struct resolver *r, struct resolve_name *v, uint32_t n)
{
	uint32_t next = 0;
	uint64_t now;

	while ((now = now_ms()) < r->deadline_ms) {
		while (next < n && r->in_flight < IN_FLIGHT)
			ask(r, &v[next++]);
		if (r->in_flight > 0)
			turn(r, r->deadline_ms - now);
		else if (next == n)
			return;
	}
	ares_cancel(r->channel);
	while (next < n)
		v[next++].error = too_late(r);
}

int
resolve_channel(ares_channel *channel_r, ares_sock_state_cb state, void *arg, const char **error_r)
{
	struct ares_options options = {
	    .timeout = TRY_MS, .tries = TRIES, .sock_state_cb = state, .sock_state_cb_data = arg};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
	int rc = ares_library_init(ARES_LIB_INIT_ALL);

	if (state != NULL)
		mask |= ARES_OPT_SOCK_STATE_CB;
	if (rc == ARES_SUCCESS)
		rc = ares_init_options(channel_r, &options, mask);
	if (rc == ARES_SUCCESS)
		return 1;
	*error_r = ares_strerror(rc);
	return -1;
}

void
resolve_names(struct resolve_name *v, uint32_t n, uint64_t timeout_ms, struct ws *ws)
{
	struct resolver r = {.ws = ws, .timeout_ms = timeout_ms};
	const char *error;

	if (n == 0)
		return;
	if (resolve_channel(&r.channel, NULL, NULL, &error) < 0) {
		for (uint32_t i = 0; i < n; i++)
			v[i].error = ws_str(ws, str_of(error));
		return;
	}
	r.have_v6 = resolve_have_v6();
	r.deadline_ms = now_ms() + timeout_ms;
	run(&r, v, n);
	ares_destroy(r.channel);
	ares_library_cleanup();
}
