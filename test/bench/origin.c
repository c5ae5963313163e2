/* SPDX-License-Identifier: Apache-2.0
 *
 * The origin server of the benchmark: answers as cheaply as a correct HTTP/1.1 server can, so that
 * the time measured is the proxy's. Keep-alive, pipelining; request bodies with Content-Length or
 * chunked are read and dropped, and the answer comes after the whole of it. The last number in the
 * path is the size of the body: /1024, /x/1048576.
 *
 * usage: origin PORT [WORKERS]      on 127.0.0.1, one process per worker, default 1
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_SIZE   16384
#define FILL_SIZE 65536

struct conn {
	int fd;
	bool want_write;
	bool close_after;
	bool due;     /* a head was read and is not answered yet: its body comes first */
	size_t in;    /* octets in buf */
	size_t skip;  /* of a request body, still to come */
	bool chunked; /* a chunked body is being skipped: up to its empty last chunk */
	char head[160];
	size_t head_off, head_len;
	size_t body_left;
	char buf[IN_SIZE];
};

static char fill[FILL_SIZE];
static int epoll_fd;

static void
conn_close(struct conn *c)
{
	close(c->fd);
	free(c);
}

static void
watch(struct conn *c, int op)
{
	struct epoll_event ev = {.events = c->want_write ? EPOLLOUT : EPOLLIN, .data.ptr = c};

	if (epoll_ctl(epoll_fd, op, c->fd, &ev) < 0)
		err(1, "epoll_ctl");
}

/* 1 all sent, 0 the socket is full, -1 the client went away. */
static int
answer_send(struct conn *c)
{
	while (c->head_off < c->head_len || c->body_left > 0) {
		struct iovec v[2] = {{c->head + c->head_off, c->head_len - c->head_off},
		    {fill, c->body_left < FILL_SIZE ? c->body_left : FILL_SIZE}};
		struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
		ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
		size_t head;

		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		head = (size_t)n < v[0].iov_len ? (size_t)n : v[0].iov_len;
		c->head_off += head;
		c->body_left -= (size_t)n - head;
	}
	return 1;
}

/* The value of a header in the NUL-terminated head, or NULL. */
static const char *
header(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = strstr(head, "\r\n"); p != NULL; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
			for (p += n + 1; *p == ' '; p++)
				continue;
			return p;
		}
	}
	return NULL;
}

static void
answer_make(struct conn *c, const char *head)
{
	const char *end, *digits, *v;
	size_t size = 1024;

	for (end = head + strcspn(head, " ") + 1, digits = end; *end != ' ' && *end != '\r'; end++)
		if (*end == '/')
			digits = end + 1;
	if (isdigit((unsigned char)*digits))
		size = strtoul(digits, NULL, 10);
	v = header(head, "content-length");
	c->skip = v != NULL ? strtoul(v, NULL, 10) : 0;
	v = header(head, "transfer-encoding");
	c->chunked = v != NULL && strncasecmp(v, "chunked", 7) == 0;
	v = header(head, "connection");
	c->close_after = v != NULL && strncasecmp(v, "close", 5) == 0;
	c->head_len = (size_t)snprintf(c->head, sizeof(c->head),
	    "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: application/octet-stream\r\n"
	    "Content-Length: %zu\r\n%s\r\n",
	    size, c->close_after ? "Connection: close\r\n" : "");
	c->head_off = 0;
	c->body_left = strncmp(head, "HEAD ", 5) == 0 ? 0 : size;
	c->due = true;
}

/* Drops `n` octets from the front of the buffer. */
static void
consume(struct conn *c, size_t n)
{
	c->in -= n;
	if (c->in > 0)
		memmove(c->buf, c->buf + n, c->in);
}

/* 1 the request body is gone, 0 more must come. */
static int
body_skip(struct conn *c)
{
	if (c->chunked) {
		char *end = memmem(c->buf, c->in, "0\r\n\r\n", 5);

		if (end == NULL) {
			if (c->in > 4)
				consume(c, c->in - 4);
			return 0;
		}
		c->chunked = false;
		consume(c, (size_t)(end + 5 - c->buf));
	}
	if (c->skip > 0) {
		size_t n = c->skip < c->in ? c->skip : c->in;

		c->skip -= n;
		consume(c, n);
	}
	return c->skip == 0;
}

/* Answers whole requests in the buffer until one is not whole or the socket is full. -1: close. */
static int
serve(struct conn *c)
{
	for (;;) {
		char *end;
		int rc;

		if (c->due && !body_skip(c))
			return 1;
		c->due = false;
		rc = answer_send(c);
		if (rc <= 0)
			return rc;
		if (c->close_after && c->head_len > 0)
			return -1;
		end = memmem(c->buf, c->in, "\r\n\r\n", 4);
		if (end == NULL)
			return c->in < sizeof(c->buf) ? 1 : -1;
		end[2] = '\0';
		answer_make(c, c->buf);
		consume(c, (size_t)(end + 4 - c->buf));
	}
}

static void
conn_event(struct conn *c, unsigned events)
{
	int rc;

	if ((events & EPOLLOUT) == 0) {
		ssize_t n = recv(c->fd, c->buf + c->in, sizeof(c->buf) - c->in, 0);

		if (n <= 0) {
			if (n == 0 || errno != EAGAIN)
				conn_close(c);
			return;
		}
		c->in += (size_t)n;
	}
	rc = serve(c);
	if (rc < 0) {
		conn_close(c);
		return;
	}
	if (c->want_write != (rc == 0)) {
		c->want_write = rc == 0;
		watch(c, EPOLL_CTL_MOD);
	}
}

static void
conn_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
	struct conn *c;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		err(1, "calloc");
	c->fd = fd;
	watch(c, EPOLL_CTL_ADD); /* the epoll set holds it now */
} /* NOLINT(clang-analyzer-unix.Malloc): see the line above */

static int
listen_at(unsigned short port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0)
		err(1, "port %u", port);
	return fd;
}

static void
run(int listener)
{
	struct epoll_event ev[512] = {{.events = EPOLLIN, .data.ptr = NULL}};

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &ev[0]) < 0)
		err(1, "epoll_ctl");
	for (;;) {
		int n = epoll_wait(epoll_fd, ev, 512, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == NULL)
				conn_accept(listener);
			else
				conn_event(ev[i].data.ptr, ev[i].events);
		}
	}
}

int
main(int argc, char **argv)
{
	unsigned short port = argc > 1 ? (unsigned short)strtoul(argv[1], NULL, 10) : 0;
	int workers = argc > 2 ? atoi(argv[2]) : 1;

	if (port == 0 || workers < 1)
		errx(64, "usage: origin PORT [WORKERS]");
	memset(fill, 'x', sizeof(fill));
	for (int i = 1; i < workers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			break;
		}
	}
	run(listen_at(port));
}
