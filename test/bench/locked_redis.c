/* SPDX-License-Identifier: Apache-2.0
 *
 * See locked_redis.h.
 */
#include "test/bench/locked_redis.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 65536

struct question {
	void *who;
	void (*answered)(void *who, char first);
	STAILQ_ENTRY(question) node;
};

STAILQ_HEAD(questions, question);

struct text {
	char *p;
	size_t n, size;
};

static struct {
	int fd, bell;
	unsigned short port;
	struct text out, in;
	struct questions questions;
} redis;

static struct {
	struct route *v; /* open addressing */
	size_t slots;
	struct text said; /* the last HGETALL, whose octets the paths are */
	bool old;
	long long next; /* not before */
	struct reloads reloads;
} routes;

long long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int
connect_to(unsigned short port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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

	room(t, READ_SIZE);
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
	size_t i = hash(path, n) & (routes.slots - 1);

	for (;; i = (i + 1) & (routes.slots - 1)) {
		struct route *r = &routes.v[i];

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
	int fd = connect_to(redis.port);
	size_t at = 0, n, *places;

	routes.said.n = 0;
	if (send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) < 0)
		err(1, "Redis");
	n = length(fd, &routes.said, &at);
	places = calloc(n + 1, sizeof(*places));
	if (places == NULL)
		err(1, "calloc");
	for (size_t i = 0; i < n; i++)
		places[i] = bulk(fd, &routes.said, &at);
	close(fd);
	for (routes.slots = 16; routes.slots < n; routes.slots *= 2)
		continue;
	free(routes.v);
	routes.v = calloc(routes.slots, sizeof(*routes.v));
	if (routes.v == NULL)
		err(1, "calloc");
	for (size_t i = 0; i + 1 < n; i += 2) {
		char *path = routes.said.p + places[i];

		*route_at(path, strlen(path)) = (struct route){
		    path, (unsigned short)strtoul(routes.said.p + places[i + 1], NULL, 10)};
	}
	free(places);
}

void
routes_renew(void)
{
	long long began = now(), took;

	if (!routes.old || began < routes.next)
		return;
	reload();
	took = now() - began;
	routes.old = false;
	routes.next = began + 2 * took;
	routes.reloads.n++;
	routes.reloads.ns += took;
}

long long
routes_wait(void)
{
	long long left = routes.next - now();

	return !routes.old ? -1 : left > 0 ? left : 0;
}

struct reloads
routes_reloads(void)
{
	return routes.reloads;
}

const struct route *
routes_find(const char *path, size_t n)
{
	const struct route *r = route_at(path, n);

	return r->path != NULL ? r : NULL;
}

/* --- commands and answers --------------------------------------------------------------------- */

void
redis_ask(void *who, void (*answered)(void *who, char first), const char *const *words)
{
	struct question *q = calloc(1, sizeof(*q));
	struct text *out = &redis.out;
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
	q->who = who;
	q->answered = answered;
	STAILQ_INSERT_TAIL(&redis.questions, q, node);
} /* NOLINT(clang-analyzer-unix.Malloc): its list holds it now */

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

void
redis_read(void)
{
	struct text *t = &redis.in;
	char *at, *end;

	more(redis.fd, t);
	for (at = t->p; at < t->p + t->n; at = end) {
		struct question *q = STAILQ_FIRST(&redis.questions);

		end = reply_end(at, t->p + t->n);
		if (end == NULL)
			break;
		if (q == NULL || *at == '-')
			errx(1, "Redis: %.*s", (int)(end - at), at);
		STAILQ_REMOVE_HEAD(&redis.questions, node);
		if (q->who != NULL)
			q->answered(q->who, *at);
		free(q);
	}
	t->n -= (size_t)(at - t->p);
	memmove(t->p, at, t->n);
}

void
redis_write(void)
{
	for (size_t off = 0; off < redis.out.n;) {
		ssize_t n = send(redis.fd, redis.out.p + off, redis.out.n - off, MSG_NOSIGNAL);

		if (n < 0)
			err(1, "Redis");
		off += (size_t)n;
	}
	redis.out.n = 0;
}

void
redis_bell(void)
{
	static char said[READ_SIZE];

	if (recv(redis.bell, said, sizeof(said), 0) <= 0)
		errx(1, "Redis went away");
	routes.old = true;
}

int
redis_fd(void)
{
	return redis.fd;
}

int
redis_bell_fd(void)
{
	return redis.bell;
}

void
redis_open(unsigned short port)
{
	static const char subscribe[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$6\r\nroutes\r\n";

	STAILQ_INIT(&redis.questions);
	redis.port = port;
	redis.fd = connect_to(port);
	redis.bell = connect_to(port);
	if (send(redis.bell, subscribe, sizeof(subscribe) - 1, MSG_NOSIGNAL) < 0)
		err(1, "Redis");
	redis_bell(); /* it answers */
	routes_renew();
}
