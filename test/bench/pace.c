/* SPDX-License-Identifier: Apache-2.0
 *
 * Open-loop HTTP/1.1 load: request i is due at its own time, i / rate after the start, whatever
 * became of those before it. Its latency counts from then until the last octet of its answer, so
 * what a server that stalls makes others wait is in the numbers. (wrk and h2load --rps count from
 * when a request is written: those that had to wait for a connection look fast.)
 *
 * A request that is due goes to the connection that has been idle for longest. Where none is idle
 *it waits, and another connection is opened as long as -m allows. A connection that the server ends
 *is opened again; a request on it is lost then and not asked again.
 *
 * usage: pace [-c N] [-m N] [-r RATE] [-d SECONDS] [-w SECONDS] [-p PATH] [-s N] [-n] [-f]
 *             PORT
 *	-c  connections from the start, default 64       -m  at most, default as many as -c
 *	-r  requests a second, default 1000              -d  how long, default 5
 *	-w  before that, the same load, not counted      -n  a connection for each request
 *	-s  PATH's # stands for a number below this, another each time, all before one comes again
 *	-f  real-time priority where allowed: a probe that does not wait for its own core
 *
 * Prints one line of JSON; times in microseconds. "sent" is how late requests were sent: behind
 * answers that kept all connections busy, or because this program got no CPU. What was due and not
 * answered a second after the end is "unanswered", and in the percentiles with the time it waited.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND    1000000000LL
#define RETRY     (SECOND / 100) /* until a connection that failed is opened again */
#define GRACE     SECOND         /* for what is due at the end */
#define HEAD_SIZE 2048
#define EVENTS    256
#define OPEN      16 /* connections at once where none is idle */
#define DIGITS    21
#define STEP      61803 /* neighbours in time are far apart */

enum state {
	CLOSED, /* and to be opened again at `since` */
	CONNECTING,
	IDLE,
	BUSY
};

struct conn {
	struct conn *before;    /* made before it */
	TAILQ_ENTRY(conn) node; /* of `idle` or `closed`, by state */
	int fd;
	enum state state;
	bool end_after;
	int status;
	long long since; /* CLOSED: when to try again; BUSY: when its request was due */
	size_t n;        /* octets of the head */
	size_t left;     /* of the body; the head is whole where status is not 0 */
	char head[HEAD_SIZE];
};

TAILQ_HEAD(conns, conn);

/* What is counted from the end of the warm-up on. */
struct counts {
	unsigned long answered, lost, bad_status, refused, closed, opened;
};

static struct {
	struct conn *newest; /* of all that were made */
	unsigned connections, most, paths;
	double rate, seconds, warmup;
	const char *path;
	bool each, urgent;
	struct sockaddr_in to;

	char request[1024], after[1024]; /* `after`: what follows a number in the path */
	size_t after_n;
	size_t request_n, before_n; /* `before_n`: what goes before it */
	int epoll;
	struct conns idle, closed;
	unsigned made, open, busy;
	long long start, counted, end;
	unsigned long next, total, first; /* `first`: the first request that counts */
	struct counts counts;
	unsigned *latencies, *delays; /* microseconds */
	size_t n_latencies, n_delays;
} pace = {.connections = 64, .rate = 1000, .seconds = 5, .path = "/1024"};

static long long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static long long
due(unsigned long i)
{
	return pace.start + (long long)((double)i / pace.rate * 1e9);
}

static void
count(unsigned long *what)
{
	if (now() >= pace.counted)
		++*what;
}

static void
note(unsigned *to, size_t *n, long long took)
{
	to[(*n)++] = (unsigned)((took > 0 ? took : 0) / 1000);
}

static void
conn_idle(struct conn *c)
{
	c->state = IDLE;
	c->n = c->left = 0;
	c->status = 0;
	TAILQ_INSERT_TAIL(&pace.idle, c, node);
}

/* Closes it, to be opened again after `wait`. */
static void
conn_end(struct conn *c, long long wait)
{
	if (c->state == IDLE)
		TAILQ_REMOVE(&pace.idle, c, node);
	if (c->state == BUSY)
		pace.busy--;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = CLOSED;
	c->since = now() + wait;
	pace.open--;
	TAILQ_INSERT_TAIL(&pace.closed, c, node);
}

static void
conn_watch(struct conn *c, int op, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	if (epoll_ctl(pace.epoll, op, c->fd, &ev) < 0)
		err(1, "epoll_ctl");
}

static void
conn_open(struct conn *c)
{
	int on = 1;

	pace.open++;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		err(1, "socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->state = CONNECTING;
	c->n = c->left = 0;
	c->status = 0;
	if (connect(c->fd, (struct sockaddr *)&pace.to, sizeof(pace.to)) < 0 &&
	    errno != EINPROGRESS) {
		count(&pace.counts.refused);
		conn_end(c, RETRY);
		return;
	}
	conn_watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void
conn_new(void)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		err(1, "calloc");
	pace.made++;
	c->before = pace.newest;
	pace.newest = c;
	conn_open(c);
}

static void
conn_connected(struct conn *c)
{
	int error = 0;
	socklen_t n = sizeof(error);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error != 0) {
		count(&pace.counts.refused);
		conn_end(c, RETRY);
		return;
	}
	count(&pace.counts.opened);
	conn_watch(c, EPOLL_CTL_MOD, EPOLLIN);
	conn_idle(c);
}

/* The server went away, politely or not. */
static void
conn_lost(struct conn *c)
{
	count(c->state == BUSY ? &pace.counts.lost : &pace.counts.closed);
	conn_end(c, 0);
}

/* Request i, where each has a path of its own. */
static void
request_number(unsigned long i)
{
	char *to = pace.request + pace.before_n;
	int n = snprintf(to, DIGITS, "%lu", i * STEP % pace.paths);

	memcpy(to + n, pace.after, pace.after_n);
	pace.request_n = pace.before_n + (size_t)n + pace.after_n;
}

static void
conn_ask(struct conn *c, unsigned long i)
{
	long long t = now();

	TAILQ_REMOVE(&pace.idle, c, node);
	c->state = BUSY;
	c->since = due(i);
	pace.busy++;
	if (i >= pace.first)
		note(pace.delays, &pace.n_delays, t - c->since);
	if (pace.paths > 0)
		request_number(i);
	if (send(c->fd, pace.request, pace.request_n, MSG_NOSIGNAL) != (ssize_t)pace.request_n)
		conn_lost(c);
}

static void
conn_answered(struct conn *c)
{
	if (c->since >= pace.counted) {
		note(pace.latencies, &pace.n_latencies, now() - c->since);
		pace.counts.answered++;
		if (c->status < 200 || c->status > 299)
			pace.counts.bad_status++;
	}
	if (c->end_after && !pace.each)
		count(&pace.counts.closed);
	if (c->end_after || pace.each) {
		conn_end(c, 0);
		return;
	}
	pace.busy--;
	conn_idle(c);
}

/* The value of a header in the NUL-terminated head, or NULL. */
static const char *
header(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = strstr(head, "\r\n"); p != NULL; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, n) == 0 && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " ");
	}
	return NULL;
}

/* Looks whether the head is whole, and what of the body is missing then. */
static void
conn_head(struct conn *c)
{
	const char *end, *v;
	size_t here;

	c->head[c->n] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL) {
		if (c->n + 1 == HEAD_SIZE)
			errx(1, "an answer's head of more than %d octets", HEAD_SIZE);
		return;
	}
	v = header(c->head, "content-length");
	c->status = (int)strtoul(c->head + strcspn(c->head, " "), NULL, 10);
	if (v == NULL && c->status != 204)
		errx(1, "an answer without Content-Length: %.64s", c->head);
	c->left = v != NULL ? strtoul(v, NULL, 10) : 0;
	v = header(c->head, "connection");
	c->end_after = v != NULL && strncasecmp(v, "close", 5) == 0;
	here = c->n - (size_t)(end + 4 - c->head);
	if (here > c->left)
		errx(1, "more octets than the answer has");
	c->left -= here;
}

static void
conn_read(struct conn *c)
{
	static char body[65536];
	bool head = c->status == 0;
	ssize_t n = head ? recv(c->fd, c->head + c->n, HEAD_SIZE - 1 - c->n, 0)
			 : recv(c->fd, body, sizeof(body), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || c->state != BUSY) {
		conn_lost(c);
		return;
	}
	if (head) {
		c->n += (size_t)n;
		conn_head(c);
	} else {
		c->left -= (size_t)n;
	}
	if (c->status != 0 && c->left == 0)
		conn_answered(c);
}

/* Sends what is due and opens what may help. */
static void
issue(long long t)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&pace.closed)) != NULL && c->since <= t) {
		TAILQ_REMOVE(&pace.closed, c, node);
		conn_open(c);
	}
	while (pace.next < pace.total && due(pace.next) <= t) {
		c = TAILQ_FIRST(&pace.idle);
		if (c == NULL) {
			for (int n = 0; n < OPEN && pace.made < pace.most; n++)
				conn_new();
			return;
		}
		conn_ask(c, pace.next++);
	}
}

static void
turn(void)
{
	struct epoll_event ev[EVENTS];
	long long t = now(), wait = RETRY;
	int n;

	issue(t);
	if (pace.next < pace.total && !TAILQ_EMPTY(&pace.idle) && due(pace.next) - t < wait)
		wait = due(pace.next) - t;
	if (!TAILQ_EMPTY(&pace.closed) && wait > SECOND / 1000)
		wait = SECOND / 1000;
	n = epoll_pwait2(
	    pace.epoll, ev, EVENTS, &(struct timespec){.tv_nsec = wait > 0 ? (long)wait : 0}, NULL);
	for (int i = 0; i < n; i++) {
		struct conn *c = ev[i].data.ptr;

		if (c->state == CONNECTING)
			conn_connected(c);
		else if (c->state != CLOSED)
			conn_read(c);
	}
}

static int
smaller(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

/* By nearest rank; 0 of nothing. */
static unsigned
quantile(const unsigned *sorted, size_t n, double q)
{
	size_t rank = (size_t)(q * (double)n);

	if (n == 0)
		return 0;
	if ((double)rank < q * (double)n)
		rank++;
	return sorted[rank > 0 ? rank - 1 : 0];
}

/* What nobody answered has waited until now. Which were sent and which were not is known by their
 * number alone: the last ones. */
static unsigned long
give_up(void)
{
	const struct counts *n = &pace.counts;
	unsigned long counted = pace.total - pace.first, left = 0;
	long long t = now();

	if (n->answered + n->lost < counted)
		left = counted - n->answered - n->lost;
	for (unsigned long i = 0; i < left; i++)
		note(pace.latencies, &pace.n_latencies, t - due(pace.total - 1 - i));
	return left;
}

static void
report(unsigned long unanswered)
{
	const struct counts *n = &pace.counts;

	qsort(pace.latencies, pace.n_latencies, sizeof(unsigned), smaller);
	qsort(pace.delays, pace.n_delays, sizeof(unsigned), smaller);
	printf("{\"due\": %lu, \"answered\": %lu, \"unanswered\": %lu, \"lost\": %lu, "
	       "\"bad_status\": %lu, \"refused\": %lu, \"closed\": %lu, \"opened\": %lu, "
	       "\"connections\": %u, \"seconds\": %.3f",
	    pace.total - pace.first, n->answered, unanswered, n->lost, n->bad_status, n->refused,
	    n->closed, n->opened, pace.made, pace.seconds);
	printf(", \"p50\": %u, \"p90\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u",
	    quantile(pace.latencies, pace.n_latencies, .5),
	    quantile(pace.latencies, pace.n_latencies, .9),
	    quantile(pace.latencies, pace.n_latencies, .99),
	    quantile(pace.latencies, pace.n_latencies, .999),
	    quantile(pace.latencies, pace.n_latencies, 1));
	printf(", \"sent_p50\": %u, \"sent_p99\": %u}\n", quantile(pace.delays, pace.n_delays, .5),
	    quantile(pace.delays, pace.n_delays, .99));
}

static void
arguments(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "c:m:r:d:w:p:s:nf")) != -1) {
		switch (c) {
		case 'c':
			pace.connections = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			pace.most = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			pace.rate = strtod(optarg, NULL);
			break;
		case 'd':
			pace.seconds = strtod(optarg, NULL);
			break;
		case 'w':
			pace.warmup = strtod(optarg, NULL);
			break;
		case 'p':
			pace.path = optarg;
			break;
		case 's':
			pace.paths = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			pace.each = true;
			break;
		case 'f':
			pace.urgent = true;
			break;
		default:
			optind = argc;
		}
	}
	if (optind + 1 != argc || pace.rate <= 0 || pace.seconds <= 0 || pace.connections == 0)
		errx(64, "usage: pace [-c N] [-m N] [-r RATE] [-d SECONDS] [-w SECONDS] [-p PATH] "
			 "[-s N] [-n] [-f] PORT");
	if (pace.most < pace.connections)
		pace.most = pace.connections;
	pace.to = (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)strtoul(argv[optind], NULL, 10)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void
request_set_up(void)
{
	const char *number = pace.paths > 0 ? strchr(pace.path, '#') : NULL;
	int n = snprintf(pace.request, sizeof(pace.request),
	    "GET %s HTTP/1.1\r\nHost: bench\r\nUser-Agent: pace\r\n%s\r\n", pace.path,
	    pace.each ? "Connection: close\r\n" : "");

	if (n >= (int)sizeof(pace.request) - DIGITS)
		errx(64, "the path is too long");
	pace.request_n = (size_t)n;
	if (number == NULL) {
		pace.paths = 0;
		return;
	}
	pace.before_n = sizeof("GET ") - 1 + (size_t)(number - pace.path);
	pace.after_n = pace.request_n - pace.before_n - 1;
	memcpy(pace.after, pace.request + pace.before_n + 1, pace.after_n);
}

static void
set_up(void)
{
	struct rlimit files = {0};

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* wakes on time, not up to 50 us later */
	if (pace.urgent)
		sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 10});
	request_set_up();
	TAILQ_INIT(&pace.idle);
	TAILQ_INIT(&pace.closed);
	pace.epoll = epoll_create1(EPOLL_CLOEXEC);
	pace.first = (unsigned long)(pace.rate * pace.warmup);
	pace.total = pace.first + (unsigned long)(pace.rate * pace.seconds);
	pace.latencies = calloc(pace.total + 1, sizeof(unsigned));
	pace.delays = calloc(pace.total + 1, sizeof(unsigned));
	if (pace.epoll < 0 || pace.latencies == NULL || pace.delays == NULL)
		err(1, "set-up");
}

int
main(int argc, char **argv)
{
	arguments(argc, argv);
	set_up();
	pace.start = now() + SECOND / 10; /* connections are there by then */
	pace.counted = due(pace.first);
	pace.end = due(pace.total);
	for (unsigned i = 0; i < pace.connections; i++)
		conn_new();
	while ((pace.next < pace.total || pace.busy > 0) && now() < pace.end + GRACE)
		turn();
	report(give_up());
	return 0;
}
