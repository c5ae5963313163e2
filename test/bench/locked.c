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
 *	        meanwhile. SUBSCRIBE routes says when. What is published together is one reload.
 *
 * usage: locked [-b] [-u] [-n] [-r MICROSECONDS] LISTEN_PORT REDIS_PORT      all on 127.0.0.1
 * On SIGTERM it prints how many locks it took, how often one was held by another, and its reloads.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
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

struct route {
	char *path;
	unsigned short port;
};

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
};

TAILQ_HEAD(pairs, pair);

/* Replies come in the order of the questions. A NULL pair: nobody waits for this one. */
struct question {
	struct pair *pair;
	void (*answered)(struct pair *p, char first);
	STAILQ_ENTRY(question) node;
};

STAILQ_HEAD(questions, question);

struct text {
	char *p;
	size_t n, size;
};

static struct {
	bool bare, by_request, never;
	long long retry; /* ns until a lock that is held is asked for again, about */
	int epoll, listener, redis, bell;
	unsigned short redis_port;
	uint64_t requests, held, taken, reloads;
	struct route *routes; /* open addressing */
	size_t slots;
	struct text said; /* the last HGETALL, whose octets the routes' paths are */
	struct text out, in;
	struct questions questions;
	struct pairs waiting, dead;
	char buf[BUF_SIZE];
} locked = {.retry = 1000000};

static volatile sig_atomic_t ended;

static long long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct sockaddr_in
loopback(unsigned short port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int
connect_to(unsigned short port)
{
	struct sockaddr_in to = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		err(1, "port %u", port);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void
room(struct text *t, size_t n)
{
	if (t->n + n <= t->size)
		return;
	t->size = 2 * (t->n + n);
	t->p = realloc(t->p, t->size);
	if (t->p == NULL)
		err(1, "realloc");
}

/* Waits for more of an answer. */
static void
more(int fd, struct text *t)
{
	ssize_t n;

	room(t, BUF_SIZE);
	n = recv(fd, t->p + t->n, t->size - t->n, 0);
	if (n <= 0)
		errx(1, "Redis went away");
	t->n += (size_t)n;
}

/* --- routes ------------------------------------------------------------------------------------
 */
static size_t
hash(const char *p, size_t n)
{
	uint64_t h = 14695981039346656037ULL; /* FNV-1a */

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 1099511628211ULL;
	return (size_t)(h ^ h >> 32);
}

static struct route *
route_at(const char *path, size_t n)
{
	size_t i = hash(path, n) & (locked.slots - 1);

	for (;; i = (i + 1) & (locked.slots - 1)) {
		struct route *r = &locked.routes[i];

		if (r->path == NULL || (strncmp(r->path, path, n) == 0 && r->path[n] == '\0'))
			return r;
	}
}

/* "$12\r\n" or "*12\r\n" at *at of what was said; waits for it. */
static size_t
length(int fd, struct text *t, size_t *at)
{
	char *end;
	size_t n;

	for (;;) {
		end = *at < t->n ? memchr(t->p + *at, '\n', t->n - *at) : NULL;
		if (end != NULL)
			break;
		more(fd, t);
	}
	n = strtoul(t->p + *at + 1, NULL, 10);
	*at = (size_t)(end + 1 - t->p);
	return n;
}

/* A bulk string, as its place; it ends with NUL. */
static size_t
bulk(int fd, struct text *t, size_t *at)
{
	size_t n = length(fd, t, at), here = *at;

	while (t->n < here + n + 2)
		more(fd, t);
	t->p[here + n] = '\0';
	*at = here + n + 2;
	return here;
}

/* All routes anew. The table is made when all was read: places are no pointers before. */
static void
reload(void)
{
	static const char ask[] = "*2\r\n$7\r\nHGETALL\r\n$6\r\nroutes\r\n";
	int fd = connect_to(locked.redis_port);
	size_t at = 0, n, *places;

	locked.said.n = 0;
	if (send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) < 0)
		err(1, "Redis");
	n = length(fd, &locked.said, &at);
	places = calloc(n + 1, sizeof(*places));
	if (places == NULL)
		err(1, "calloc");
	for (size_t i = 0; i < n; i++)
		places[i] = bulk(fd, &locked.said, &at);
	close(fd);
	for (locked.slots = 16; locked.slots < n; locked.slots *= 2)
		continue;
	free(locked.routes);
	locked.routes = calloc(locked.slots, sizeof(*locked.routes));
	if (locked.routes == NULL)
		err(1, "calloc");
	for (size_t i = 0; i + 1 < n; i += 2) {
		char *path = locked.said.p + places[i];

		*route_at(path, strlen(path)) = (struct route){
		    path, (unsigned short)strtoul(locked.said.p + places[i + 1], NULL, 10)};
	}
	free(places);
	locked.reloads++;
}

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
	watch(client, p, 0);
} /* NOLINT(clang-analyzer-unix.Malloc): the epoll set holds it now */

/* --- the lock ----------------------------------------------------------------------------------
 */
/* Words of a command, to be written at the end of the turn. */
static void
ask(struct pair *p, void (*answered)(struct pair *p, char first), const char *const *words)
{
	struct question *q = calloc(1, sizeof(*q));
	struct text *out = &locked.out;
	size_t n = 0;

	if (q == NULL)
		err(1, "calloc");
	while (words[n] != NULL)
		n++;
	room(out, 32);
	out->n += (size_t)snprintf(out->p + out->n, 32, "*%zu\r\n", n);
	for (size_t i = 0; i < n; i++) {
		room(out, strlen(words[i]) + 32);
		out->n += (size_t)snprintf(out->p + out->n, strlen(words[i]) + 32, "$%zu\r\n%s\r\n",
		    strlen(words[i]), words[i]);
	}
	q->pair = p;
	q->answered = answered;
	if (p != NULL)
		p->asked++;
	STAILQ_INSERT_TAIL(&locked.questions, q, node);
} /* NOLINT(clang-analyzer-unix.Malloc): its list holds it now */

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
count_read(struct pair *p, char first)
{
	(void)first; /* one endpoint: whatever it is, it is the smallest */
	if (!p->dead && !locked.bare)
		count(p, "1");
	ASK(NULL, NULL, "DEL", lock_name(p));
	if (!p->dead)
		go_on(p);
}

static void
lock_answered(struct pair *p, char first)
{
	if (first == '+') {
		locked.taken++;
		if (locked.bare || p->dead)
			count_read(p, first);
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

/* The end of the reply at `at`, NULL where it is not whole: a line, or with "$3" another of so many
 * octets. */
static char *
reply_end(char *at, const char *stop)
{
	char *end = memchr(at, '\n', (size_t)(stop - at));
	size_t n;

	if (end == NULL || *at != '$' || at[1] == '-')
		return end != NULL ? end + 1 : NULL;
	n = strtoul(at + 1, NULL, 10) + 2;
	return (size_t)(stop - end - 1) >= n ? end + 1 + n : NULL;
}

static void
redis_read(void)
{
	struct text *t = &locked.in;
	char *at, *end;

	more(locked.redis, t);
	for (at = t->p; at < t->p + t->n; at = end) {
		struct question *q = STAILQ_FIRST(&locked.questions);

		end = reply_end(at, t->p + t->n);
		if (end == NULL)
			break;
		if (q == NULL || *at == '-')
			errx(1, "Redis: %.*s", (int)(end - at), at);
		STAILQ_REMOVE_HEAD(&locked.questions, node);
		if (q->pair != NULL) {
			q->pair->asked--;
			q->answered(q->pair, *at);
		}
		free(q);
	}
	t->n -= (size_t)(at - t->p);
	memmove(t->p, at, t->n);
}

static void
redis_write(void)
{
	for (size_t off = 0; off < locked.out.n;) {
		ssize_t n =
		    send(locked.redis, locked.out.p + off, locked.out.n - off, MSG_NOSIGNAL);

		if (n < 0)
			err(1, "Redis");
		off += (size_t)n;
	}
	locked.out.n = 0;
}

/* --- events ------------------------------------------------------------------------------------
 */
static const struct route *
route_of(const struct pair *p)
{
	const char *path = memchr(p->head, ' ', p->head_n), *end;
	const struct route *r;

	if (path++ == NULL)
		return NULL;
	end = memchr(path, ' ', p->head_n - (size_t)(path - p->head));
	r = end != NULL ? route_at(path, (size_t)(end - path)) : NULL;
	return r != NULL && r->path != NULL ? r : NULL;
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

/* Something was published: all routes anew, once for what has come. */
static void
bell_rung(void)
{
	if (recv(locked.bell, locked.buf, sizeof(locked.buf), 0) <= 0)
		errx(1, "Redis went away");
	reload();
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
		bell_rung();
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

static void
turn(void)
{
	long wait = TAILQ_EMPTY(&locked.waiting) ? IDLE_WAIT : LOCK_WAIT;
	struct epoll_event ev[EVENTS];
	int n = epoll_pwait2(locked.epoll, ev, EVENTS, &(struct timespec){.tv_nsec = wait}, NULL);

	for (int i = 0; i < n; i++)
		event(ev[i].data.u64);
	ask_again();
	redis_write();
	dead_free();
}

static void
on_term(int signo)
{
	(void)signo;
	ended = 1;
}

static void
set_up(unsigned short port)
{
	static const char subscribe[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$6\r\nroutes\r\n";
	struct sockaddr_in at = loopback(port);
	int on = 1;

	STAILQ_INIT(&locked.questions);
	TAILQ_INIT(&locked.waiting);
	TAILQ_INIT(&locked.dead);
	signal(SIGTERM, on_term);
	locked.epoll = epoll_create1(EPOLL_CLOEXEC);
	locked.redis = connect_to(locked.redis_port);
	locked.bell = connect_to(locked.redis_port);
	if (send(locked.bell, subscribe, sizeof(subscribe) - 1, MSG_NOSIGNAL) < 0 ||
	    recv(locked.bell, locked.buf, sizeof(locked.buf), 0) <= 0)
		err(1, "Redis");
	reload();
	locked.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(locked.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(locked.listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(locked.listener, 4096) < 0)
		err(1, "port %u", port);
	watch(locked.listener, &locked.listener, 0);
	watch(locked.redis, &locked.redis, 0);
	watch(locked.bell, &locked.bell, 0);
}

int
main(int argc, char **argv)
{
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
	locked.redis_port = (unsigned short)strtoul(argv[optind + 1], NULL, 10);
	set_up((unsigned short)strtoul(argv[optind], NULL, 10));
	while (!ended)
		turn();
	printf("%llu locks, %llu times held by another, %llu reloads\n",
	    (unsigned long long)locked.taken, (unsigned long long)locked.held,
	    (unsigned long long)locked.reloads);
	return 0;
}
