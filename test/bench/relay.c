/* SPDX-License-Identifier: Apache-2.0
 *
 * The floor of the benchmark: a TCP relay that looks at no byte. One thread, one epoll set; a
 * client connection and an upstream connection of its own make a pair. An exchange costs four
 * socket calls: recv from the client, send to the upstream, recv from the upstream, send to the
 * client (floor-check counts them). Nothing that forwards HTTP on this kernel can cost less without
 * io_uring.
 *
 * usage: relay LISTEN_PORT UPSTREAM_PORT      both on 127.0.0.1
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUF_SIZE 65536

/* One direction's source: what was read here waits in `buf` only while the other side takes no
 * more. */
struct side {
	int fd;
	struct side *peer;
	size_t off, len;
	bool eof, dead;
	char *buf; /* made when something has to wait */
	struct side *next_dead;
};

static struct {
	int epoll;
	int listener;
	struct sockaddr_in upstream;
	struct side *dead; /* freed after the turn: later events of it may name them */
	char buf[BUF_SIZE];
} relay;

static void
watch(struct side *s, int op)
{
	struct epoll_event ev = {.data.ptr = s};

	/* Reading stops while what this side read waits, its end included; writing is watched while
	 * the peer's waits. */
	if (s->len == 0 && !s->eof)
		ev.events |= EPOLLIN;
	if (s->peer->len > 0)
		ev.events |= EPOLLOUT;
	if (epoll_ctl(relay.epoll, op, s->fd, &ev) < 0)
		err(1, "epoll_ctl");
}

static void
pair_close(struct side *s)
{
	if (s->dead)
		return;
	for (int i = 0; i < 2; i++, s = s->peer) {
		s->dead = true;
		close(s->fd);
		s->next_dead = relay.dead;
		relay.dead = s;
	}
}

static void
dead_free(void)
{
	while (relay.dead != NULL) {
		struct side *s = relay.dead;

		relay.dead = s->next_dead;
		free(s->buf);
		free(s);
	}
}

/* Keeps what could not be sent and turns reading off until it is. */
static void
keep(struct side *s, const char *rest, size_t n)
{
	if (s->buf == NULL && (s->buf = malloc(BUF_SIZE)) == NULL)
		err(1, "malloc");
	memcpy(s->buf, rest, n);
	s->off = 0;
	s->len = n;
	watch(s, EPOLL_CTL_MOD);
	watch(s->peer, EPOLL_CTL_MOD);
}

static void
forward(struct side *s)
{
	ssize_t n = recv(s->fd, relay.buf, sizeof(relay.buf), 0), sent;

	if (n < 0) {
		if (errno != EAGAIN)
			pair_close(s);
		return;
	}
	if (n == 0) {
		s->eof = true;
		if (s->peer->eof) {
			pair_close(s);
			return;
		}
		shutdown(s->peer->fd, SHUT_WR);
		watch(s, EPOLL_CTL_MOD);
		return;
	}
	sent = send(s->peer->fd, relay.buf, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		pair_close(s);
	else if (sent < n)
		keep(s, relay.buf + (sent > 0 ? sent : 0), (size_t)(n - (sent > 0 ? sent : 0)));
}

/* `s` can be written again: what its peer read goes on. */
static void
flush(struct side *s)
{
	struct side *from = s->peer;
	ssize_t sent = send(s->fd, from->buf + from->off, from->len, MSG_NOSIGNAL);

	if (sent < 0) {
		if (errno != EAGAIN)
			pair_close(s);
		return;
	}
	from->off += (size_t)sent;
	from->len -= (size_t)sent;
	if (from->len == 0) {
		watch(s, EPOLL_CTL_MOD);
		watch(from, EPOLL_CTL_MOD);
	}
}

static struct side *
side_new(int fd)
{
	struct side *s = calloc(1, sizeof(*s));
	int on = 1;

	if (s == NULL)
		err(1, "calloc");
	s->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return s;
}

static void
pair_open(void)
{
	int client = accept4(relay.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct side *c, *u;
	int up;

	if (client < 0)
		return;
	up = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (up < 0)
		err(1, "socket");
	if (connect(up, (struct sockaddr *)&relay.upstream, sizeof(relay.upstream)) < 0 &&
	    errno != EINPROGRESS)
		err(1, "connect");
	c = side_new(client);
	u = side_new(up);
	c->peer = u;
	u->peer = c;
	watch(c, EPOLL_CTL_ADD);
	watch(u, EPOLL_CTL_ADD);
}

static void
turn(void)
{
	struct epoll_event ev[512];
	int n = epoll_wait(relay.epoll, ev, 512, -1);

	for (int i = 0; i < n; i++) {
		struct side *s = ev[i].data.ptr;

		if (s == NULL) {
			pair_open();
			continue;
		}
		if (!s->dead && (ev[i].events & EPOLLERR) != 0)
			pair_close(s);
		if (!s->dead && (ev[i].events & EPOLLOUT) != 0 && s->peer->len > 0)
			flush(s);
		if (!s->dead && (ev[i].events & (EPOLLIN | EPOLLHUP)) != 0 && s->len == 0)
			forward(s);
	}
	dead_free();
}

static struct sockaddr_in
loopback(const char *port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int
main(int argc, char **argv)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	struct sockaddr_in at;
	int on = 1;

	if (argc != 3)
		errx(64, "usage: relay LISTEN_PORT UPSTREAM_PORT");
	at = loopback(argv[1]);
	relay.upstream = loopback(argv[2]);
	relay.epoll = epoll_create1(EPOLL_CLOEXEC);
	relay.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(relay.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(relay.listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(relay.listener, 4096) < 0)
		err(1, "port %s", argv[1]);
	if (epoll_ctl(relay.epoll, EPOLL_CTL_ADD, relay.listener, &ev) < 0)
		err(1, "epoll_ctl");
	for (;;)
		turn();
}
