/* SPDX-License-Identifier: Apache-2.0
 *
 * The origin of the benchmark's WebSockets: takes every handshake and sends each message back.
 * Messages are one frame of at most 64 KiB; a ping would be no message and is not sent here. The
 * clients of the benchmark (ws.c) all show the nonce of RFC 6455's example, so its answer is known.
 *
 * usage: wsecho PORT      on 127.0.0.1, one process
 */
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_SIZE (68 * 1024)

struct conn {
	int fd;
	bool open; /* the handshake is done */
	size_t n;
	unsigned char buf[IN_SIZE];
};

static int epoll_fd;

static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
			       "Connection: Upgrade\r\n"
			       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char healthy[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

static void
consume(struct conn *c, size_t n)
{
	c->n -= n;
	if (c->n > 0)
		memmove(c->buf, c->buf + n, c->n);
}

/* The socket blocks when written to: one message is under way at a time, and it fits. */
static bool
put(int fd, const void *head, size_t head_n, void *body, size_t n)
{
	struct iovec v[2] = {{(void *)(uintptr_t)head, head_n}, {body, n}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)(head_n + n);
}

/* 1 the handshake is answered, 0 more is needed, -1 none, or no way to answer. */
static int
greet(struct conn *c)
{
	unsigned char *end = memmem(c->buf, c->n, "\r\n\r\n", 4);
	bool ok;

	if (end == NULL)
		return c->n < IN_SIZE ? 0 : -1;
	c->open = memmem(c->buf, (size_t)(end - c->buf), "dGhlIHNhbXBsZSBub25jZQ==", 24) != NULL;
	ok = c->open ? put(c->fd, accepted, sizeof(accepted) - 1, NULL, 0)
		     : put(c->fd, healthy, sizeof(healthy) - 1, NULL, 0);
	consume(c, (size_t)(end + 4 - c->buf));
	return ok ? 1 : -1;
}

/* 1 a frame went back, 0 more is needed, -1 the connection is over. */
static int
echo(struct conn *c)
{
	unsigned char head[4] = {c->buf[0], 0}, *mask, *body;
	size_t n, at = 2, out = 2;

	if (c->n < 8)
		return 0;
	n = c->buf[1] & 0x7f;
	if (n == 126) {
		n = (size_t)c->buf[2] << 8 | c->buf[3];
		at = 4;
	}
	if ((c->buf[0] & 0x0f) == 8 || n == 127 || (c->buf[1] & 0x80) == 0)
		return -1;
	if (c->n < at + 4 + n)
		return 0;
	mask = c->buf + at;
	body = mask + 4;
	for (size_t i = 0; i < n; i++)
		body[i] ^= mask[i & 3];
	head[1] = (unsigned char)(n < 126 ? n : 126);
	if (n >= 126) {
		head[2] = (unsigned char)(n >> 8);
		head[3] = (unsigned char)n;
		out = 4;
	}
	if (!put(c->fd, head, out, body, n))
		return -1;
	consume(c, at + 4 + n);
	return 1;
}

static void
conn_event(struct conn *c)
{
	ssize_t got = recv(c->fd, c->buf + c->n, IN_SIZE - c->n, MSG_DONTWAIT);
	int rc;

	if (got < 0 && errno == EAGAIN)
		return;
	rc = got <= 0 ? -1 : 1;
	if (got > 0)
		c->n += (size_t)got;
	while (rc == 1)
		rc = c->open ? echo(c) : greet(c);
	if (rc < 0) {
		close(c->fd);
		free(c);
	}
}

static void
conn_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
	struct epoll_event ev = {.events = EPOLLIN};
	struct conn *c;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		err(1, "calloc");
	c->fd = fd;
	ev.data.ptr = c;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) /* the set holds it now */
		err(1, "epoll_ctl");
} /* NOLINT(clang-analyzer-unix.Malloc): see the line above */

static int
listen_at(unsigned short port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0)
		err(1, "port %u", port);
	return fd;
}

int
main(int argc, char **argv)
{
	struct epoll_event ev[256] = {{.events = EPOLLIN, .data.ptr = NULL}};
	int listener;

	if (argc != 2)
		errx(64, "usage: wsecho PORT");
	listener = listen_at((unsigned short)strtoul(argv[1], NULL, 10));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &ev[0]) < 0)
		err(1, "epoll_ctl");
	for (;;) {
		int n = epoll_wait(epoll_fd, ev, 256, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == NULL)
				conn_accept(listener);
			else
				conn_event(ev[i].data.ptr);
		}
	}
}
