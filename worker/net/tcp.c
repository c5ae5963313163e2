/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams over plain sockets, TCP and Unix alike. Registered once, edge-triggered: an event says
 * that something may be done, the first call that cannot says that it may not any more.
 */
#include "worker/net/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TCP_FLAT   4096 /* measured: with 8 KiB nothing is gained any more */
#define ALL_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define TCP_SPLICE (SPLICE_F_MOVE | SPLICE_F_NONBLOCK)

static ssize_t
failed(struct stream *s, int err)
{
	s->err = err;
	s->readable = s->writable = true; /* so that the owner tries and learns */
	return STREAM_ERROR;
}

/* What a receiving call that was made comes to. A failed write does not end reading: what the peer
 * said before it hung up is still there, and the kernel hands it out before the error. */
static ssize_t
tcp_got(struct stream *s, ssize_t got)
{
	if (got > 0)
		return got;
	if (got == 0) {
		s->eof = true;
		return STREAM_EOF;
	}
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return failed(s, errno);
	s->readable = false;
	return STREAM_AGAIN;
}

/* What a call is answered without being made; 0: it is made. */
static inline ssize_t
tcp_barred(const struct stream *s, bool over)
{
	if (s->connecting)
		return STREAM_AGAIN;
	return over ? STREAM_ERROR : 0;
}

/* A short read has drained the socket, and what comes later is an edge of its own, unless the end
 * of the stream was reported already: its edge may be behind us. */
static ssize_t
tcp_read(struct stream *s, void *p, size_t n)
{
	ssize_t got = tcp_barred(s, s->refused);

	if (got != 0)
		return got;
	do {
		got = recv(s->watch.fd, p, n, 0);
	} while (got < 0 && errno == EINTR);
	if (got > 0 && (size_t)got < n && !s->hup)
		s->readable = false;
	return tcp_got(s, got);
}

ssize_t
tcp_splice_from(struct stream *s, int pipe, size_t n)
{
	ssize_t got = tcp_barred(s, s->refused);

	if (got != 0)
		return got;
	do {
		got = splice(s->watch.fd, NULL, pipe, NULL, n, TCP_SPLICE);
	} while (got < 0 && errno == EINTR);
	return tcp_got(s, got);
}

/* Several small ranges as one, or 0 where they are not small. */
static size_t
tcp_flat(const struct iovec *v, int n, char flat[TCP_FLAT])
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		if (v[i].iov_len > TCP_FLAT - len)
			return 0;
		len += v[i].iov_len;
	}
	for (int i = 0; i < n; i++)
		flat = str_put(flat, str_n(v[i].iov_base, v[i].iov_len));
	return len;
}

/* One range costs the kernel less than a vector, by more than it costs to put small ones together:
 * a head and its body. */
static ssize_t
tcp_put(int fd, const struct iovec *v, int n)
{
	static char flat[TCP_FLAT];
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)n};
	size_t len;

	if (n == 1)
		return send(fd, v->iov_base, v->iov_len, MSG_NOSIGNAL);
	len = tcp_flat(v, n, flat);
	if (len > 0)
		return send(fd, flat, len, MSG_NOSIGNAL);
	return sendmsg(fd, &m, MSG_NOSIGNAL);
}

static ssize_t
tcp_sent(struct stream *s, ssize_t put)
{
	if (put >= 0)
		return put;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return failed(s, errno);
	s->writable = false;
	return STREAM_AGAIN;
}

static ssize_t
tcp_write(struct stream *s, const struct iovec *v, int n)
{
	ssize_t put = tcp_barred(s, s->err != 0);

	if (put != 0)
		return put;
	do {
		put = tcp_put(s->watch.fd, v, n);
	} while (put < 0 && errno == EINTR);
	return tcp_sent(s, put);
}

ssize_t
tcp_splice_to(struct stream *s, int pipe, size_t n)
{
	ssize_t put = tcp_barred(s, s->err != 0);

	if (put != 0)
		return put;
	do {
		put = splice(pipe, NULL, s->watch.fd, NULL, n, TCP_SPLICE);
	} while (put < 0 && errno == EINTR);
	return tcp_sent(s, put);
}

static void
tcp_shutdown_write(struct stream *s)
{
	if (s->watch.fd >= 0 && !s->connecting)
		shutdown(s->watch.fd, SHUT_WR);
}

void
tcp_close(struct stream *s)
{
	static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	int fd = s->watch.fd;

	loop_forget(s->loop, &s->watch);
	if (s->reset_on_close)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	s->readable = s->writable = s->connecting = false;
}

static const struct stream_ops tcp_ops = {
    .name = "tcp",
    .read = tcp_read,
    .write = tcp_write,
    .shutdown_write = tcp_shutdown_write,
    .close = tcp_close,
};

static int
socket_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

int
tcp_connected(struct stream *s, uint32_t events)
{
	int err;

	if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0)
		return 0;
	s->connecting = false;
	err = socket_error(s->watch.fd);
	if (err == 0)
		return 1;
	s->refused = true;
	failed(s, err);
	return -1;
}

void
tcp_edges(struct stream *s, uint32_t events, bool *readable, bool *writable)
{
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		s->hup = true;
	if ((events & (EPOLLHUP | EPOLLERR)) != 0)
		s->broken = true;
	if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		*readable = true;
	if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
		*writable = true;
}

static void
tcp_event(struct watch *w, uint32_t events)
{
	struct stream *s = container_of(w, struct stream, watch);

	if (s->connecting && tcp_connected(s, events) == 0)
		return;
	tcp_edges(s, events, &s->readable, &s->writable);
	s->on_event(s);
}

static void
no_delay(int fd)
{
	static const int on = 1;

	setsockopt(
	    fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a Unix socket has no such option */
}

static int
tcp_register(struct stream *s, int fd)
{
	s->watch.fn = tcp_event;
	if (loop_add(s->loop, &s->watch, fd, ALL_EVENTS) > 0)
		return 1;
	s->err = errno;
	s->watch.fd = -1;
	close(fd);
	return -1;
}

int
stream_tcp_accept(
    struct stream *s, struct loop *loop, int fd, bool urgent, void (*on_event)(struct stream *))
{
	*s = (struct stream){.ops = &tcp_ops, .loop = loop, .watch.fd = -1, .on_event = on_event};
	s->watch.urgent = urgent;
	s->readable = s->writable =
	    true; /* a client speaks first: worth a try before the first event */
	no_delay(fd);
	return tcp_register(s, fd);
}

int
stream_tcp_connect(
    struct stream *s, struct loop *loop, const struct addr *to, void (*on_event)(struct stream *))
{
	struct sockaddr_storage ss;
	socklen_t len = addr_sockaddr(to, &ss);
	int fd;

	*s = (struct stream){.ops = &tcp_ops, .loop = loop, .watch.fd = -1, .on_event = on_event};
	fd = socket(to->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		s->err = errno;
		return -1;
	}
	if (to->family != AF_UNIX)
		no_delay(fd);
	if (connect(fd, (struct sockaddr *)&ss, len) == 0) {
		s->writable = true;
	} else if (errno == EINPROGRESS) {
		s->connecting = true;
	} else {
		s->err = errno;
		close(fd);
		return -1;
	}
	return tcp_register(s, fd);
}
