/* SPDX-License-Identifier: Apache-2.0
 *
 * A proxy of the kind that the gateway is meant to replace, to be measured beside it: its routes
 * live in Redis, each request takes a lock in Redis to choose its endpoint, and each change makes
 * it read and build all routes anew. A comparison for the benchmark, no part of the gateway.
 *
 * Everything but that is made as cheap as it can be here. One thread, one epoll set, octets relayed
 * without a copy more than the kernel's: like relay.c, a connection upstream of its own for each
 * client. What a client sends at once is taken for one request (the benchmark's clients do not send
 * the next before the answer), only its path is looked at, and no header is touched.
 *
 *	lock    SET lock:NAME 1 NX PX 5000; when it is held, again after -r, more or less by
 *	        half. Under it, what it is there for: the endpoint's count of
 *	        requests is read (HGET) and counted up (HINCRBY); then DEL lock:NAME, and the
 *	        request goes on without waiting for what these two say. Its answer counts down
 *	        again. NAME is the service's: one for all requests. With -b nothing is read and
 *	        counted: a bare SET and DEL. With -u NAME is another for each request, so that
 *	        nobody waits for anybody: the cheapest a lock in Redis can be. With -n there is
 *	        no lock and no count. All goes over one connection, written together once a
 *	        turn and read together.
 *	routes  HGETALL routes, path -> endpoint's port, into a hash table; nothing is served
 *	        meanwhile. SUBSCRIBE routes says when. What is published together is one reload,
 *	        and at least half of the time is left to requests: after a reload the next one waits
 *	        as long as that one took.
 *
 * usage: locked [-b] [-u] [-n] [-r MICROSECONDS] LISTEN_PORT REDIS_PORT      all on 127.0.0.1
 * On SIGTERM it prints how many locks it took, how often one was held by another, and its reloads.
 */
#include "test/bench/locked_redis.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS    512
#define BUF_SIZE  65536
#define HEAD_SIZE 4096
#define LOCK_WAIT 50000 /* ns between looks whether somebody may ask again */
#define IDLE_WAIT 100000000
#define NAME_SIZE 32

/* A client and its own connection upstream. */
struct pair {
	int client, up;
	uint64_t number;
	unsigned short port, wanted; /* of `up`; of the endpoint to be asked */
	bool dead, counted;
	unsigned asked; /* replies of Redis that still name it */
	long long again;
	size_t head_n;
	char head[HEAD_SIZE];   /* the request, until its lock is had */
	TAILQ_ENTRY(pair) node; /* of `waiting` or `dead` */
	TAILQ_ENTRY(pair) every;
};

TAILQ_HEAD(pairs, pair);

static struct {
	bool bare, by_request, never;
	long long retry; /* ns until a lock that is held is asked for again, about */
	int epoll, listener;
	char redis, bell; /* only their addresses count: what is watched for whom */
	uint64_t requests, held, taken;
	struct pairs waiting, dead, all; /* all: the epoll set alone is no hold on them */
	char buf[BUF_SIZE];
} locked = {.retry = 1000000};

static volatile sig_atomic_t ended;

/* --- pairs -------------------------------------------------------------------------------------
 */
static void
pair_close(struct pair *p)
{
	if (p->dead)
		return;
	p->dead = true;
	close(p->client);
	if (p->up >= 0)
		close(p->up);
	if (p->again != 0)
		TAILQ_REMOVE(&locked.waiting, p, node);
	TAILQ_INSERT_TAIL(&locked.dead, p, node);
}

/* Those that nothing names any more. */
static void
dead_free(void)
{
	for (struct pair *p = TAILQ_FIRST(&locked.dead), *next; p != NULL; p = next) {
		next = TAILQ_NEXT(p, node);
		if (p->asked == 0) {
			TAILQ_REMOVE(&locked.dead, p, node);
			TAILQ_REMOVE(&locked.all, p, every);
			free(p);
		}
	}
}

static void
watch(int fd, void *what, unsigned side)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uintptr_t)what | side};

	if (epoll_ctl(locked.epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		err(1, "epoll_ctl");
}

static void
pair_open(void)
{
	int client = accept4(locked.listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
	struct pair *p;

	if (client < 0)
		return;
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		err(1, "calloc");
	p->client = client;
	p->up = -1;
	TAILQ_INSERT_TAIL(&locked.all, p, every);
	watch(client, p, 0);
} /* NOLINT(clang-analyzer-unix.Malloc): its list holds it now */

/* --- the lock ----------------------------------------------------------------------------------
 */
/* A pair lives until it was answered. */
static void
ask(struct pair *p, void (*answered)(void *who, char first), const char *const *words)
{
	if (p != NULL)
		p->asked++;
	redis_ask(p, answered, words);
}

#define ASK(p, answered, ...) ask(p, answered, (const char *const[]){__VA_ARGS__, NULL})

static const char *
lock_name(const struct pair *p)
{
	static char name[NAME_SIZE];

	snprintf(name, sizeof(name), "lock:%llu",
	    locked.by_request ? (unsigned long long)p->number : 0ULL);
	return name;
}

static const char *
endpoint(const struct pair *p)
{
	static char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%u", p->wanted);
	return name;
}

static void
count(struct pair *p, const char *by)
{
	p->counted = *by != '-';
	ASK(NULL, NULL, "HINCRBY", "requests", endpoint(p), by);
}

/* The endpoint is chosen; it is asked. */
static void
go_on(struct pair *p)
{
	if (p->up >= 0 && p->port != p->wanted) {
		close(p->up);
		p->up = -1;
	}
	if (p->up < 0) {
		p->up = connect_to(p->port = p->wanted);
		watch(p->up, p, 1);
	}
	if (send(p->up, p->head, p->head_n, MSG_NOSIGNAL) != (ssize_t)p->head_n)
		pair_close(p);
}

static void
chosen(struct pair *p)
{
	if (!p->dead && !locked.bare)
		count(p, "1");
	ASK(NULL, NULL, "DEL", lock_name(p));
	if (!p->dead)
		go_on(p);
}

static void
count_read(void *who, char first)
{
	struct pair *p = who;

	(void)first; /* one endpoint: whatever it is, it is the smallest */
	p->asked--;
	chosen(p);
}

static void
lock_answered(void *who, char first)
{
	struct pair *p = who;

	p->asked--;
	if (first == '+') {
		locked.taken++;
		if (locked.bare || p->dead)
			chosen(p);
		else
			ASK(p, count_read, "HGET", "requests", endpoint(p));
		return;
	}
	locked.held++;
	if (p->dead)
		return;
	p->again = now() + locked.retry / 2 +
		   (long long)((p->number + locked.held) * 7919 % (uint64_t)locked.retry);
	TAILQ_INSERT_TAIL(&locked.waiting, p, node);
}

static void
lock_ask(struct pair *p)
{
	ASK(p, lock_answered, "SET", lock_name(p), "1", "NX", "PX", "5000");
}

/* --- events ------------------------------------------------------------------------------------
 */
static const struct route *
route_of(const struct pair *p)
{
	const char *path = memchr(p->head, ' ', p->head_n), *end;

	if (path++ == NULL)
		return NULL;
	end = memchr(path, ' ', p->head_n - (size_t)(path - p->head));
	return end != NULL ? routes_find(path, (size_t)(end - path)) : NULL;
}

static void
client_read(struct pair *p)
{
	static const char none[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
	ssize_t n = recv(p->client, p->head, sizeof(p->head), 0);
	const struct route *r;

	if (n <= 0 || p->again != 0 || p->asked > 0) {
		pair_close(p); /* it went away, or does what this proxy does not know */
		return;
	}
	p->head_n = (size_t)n;
	r = route_of(p);
	if (r == NULL) {
		if (send(p->client, none, sizeof(none) - 1, MSG_NOSIGNAL) < 0)
			pair_close(p);
		return;
	}
	p->wanted = r->port;
	p->number = ++locked.requests;
	if (locked.never)
		go_on(p);
	else
		lock_ask(p);
}

static void
up_read(struct pair *p)
{
	ssize_t n = recv(p->up, locked.buf, sizeof(locked.buf), 0);

	if (p->counted)
		count(p, "-1");
	if (n <= 0 || send(p->client, locked.buf, (size_t)n, MSG_NOSIGNAL) != n)
		pair_close(p);
}

static void
event(uint64_t what)
{
	struct pair *p = (struct pair *)(uintptr_t)(what & ~(uint64_t)1);

	if (what == (uintptr_t)&locked.listener)
		pair_open();
	else if (what == (uintptr_t)&locked.redis)
		redis_read();
	else if (what == (uintptr_t)&locked.bell)
		redis_bell();
	else if (!p->dead && (what & 1) != 0)
		up_read(p);
	else if (!p->dead)
		client_read(p);
}

/* Those that waited long enough ask again. */
static void
ask_again(void)
{
	long long t = now();

	for (struct pair *p = TAILQ_FIRST(&locked.waiting), *next; p != NULL; p = next) {
		next = TAILQ_NEXT(p, node);
		if (p->again <= t) {
			TAILQ_REMOVE(&locked.waiting, p, node);
			p->again = 0;
			lock_ask(p);
		}
	}
}

/* Until somebody may ask again, or the routes may be read again, in ns. */
static long
patience(void)
{
	long long most = TAILQ_EMPTY(&locked.waiting) ? IDLE_WAIT : LOCK_WAIT;
	long long renewal = routes_wait();

	return (long)(renewal >= 0 && renewal < most ? renewal : most);
}

static void
turn(void)
{
	struct timespec wait = {.tv_nsec = patience()};
	struct epoll_event ev[EVENTS];
	int n = epoll_pwait2(locked.epoll, ev, EVENTS, &wait, NULL);

	for (int i = 0; i < n; i++)
		event(ev[i].data.u64);
	ask_again();
	redis_write();
	dead_free();
	routes_renew();
}

static void
on_term(int signo)
{
	(void)signo;
	ended = 1;
}

static void
set_up(unsigned short port, unsigned short redis_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;

	TAILQ_INIT(&locked.waiting);
	TAILQ_INIT(&locked.dead);
	TAILQ_INIT(&locked.all);
	signal(SIGTERM, on_term);
	locked.epoll = epoll_create1(EPOLL_CLOEXEC);
	redis_open(redis_port);
	locked.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(locked.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(locked.listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(locked.listener, 4096) < 0)
		err(1, "port %u", port);
	watch(locked.listener, &locked.listener, 0);
	watch(redis_fd(), &locked.redis, 0);
	watch(redis_bell_fd(), &locked.bell, 0);
}

int
main(int argc, char **argv)
{
	struct reloads r;
	int c;

	while ((c = getopt(argc, argv, "bunr:")) != -1) {
		locked.bare |= c == 'b';
		locked.by_request |= c == 'u';
		locked.never |= c == 'n';
		if (c == 'r')
			locked.retry = (long long)strtoul(optarg, NULL, 10) * 1000;
	}
	if (optind + 2 != argc || locked.retry <= 0)
		errx(64, "usage: locked [-b] [-u] [-n] [-r MICROSECONDS] LISTEN_PORT REDIS_PORT");
	set_up((unsigned short)strtoul(argv[optind], NULL, 10),
	    (unsigned short)strtoul(argv[optind + 1], NULL, 10));
	while (!ended)
		turn();
	r = routes_reloads();
	printf("%llu locks, %llu times held by another, %llu reloads in %lld ms\n",
	    (unsigned long long)locked.taken, (unsigned long long)locked.held,
	    (unsigned long long)r.n, r.ns / 1000000);
	return 0;
}
