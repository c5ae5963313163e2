/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/2 origin of the benchmark's gRPC rows, with prior knowledge: every call is answered,
 * once it is whole, by a head, one message and trailers. The last number in the path is the
 * message's size: /bench.Bench/1024.
 *
 * usage: h2origin PORT      on 127.0.0.1
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_SIZE      65536
#define OUT_SIZE     131072
#define FRAME_MOST   (16384 + 9)
#define MESSAGE_HEAD 5
#define WINDOW       (1 << 30)
#define NV(name, value)                                                                            \
	{                                                                                          \
		(uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1,     \
		    sizeof(value) - 1,                                                             \
		    NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                   \
	}

struct conn {
	int fd;
	bool want_write;
	nghttp2_session *session;
	size_t out_at, out_n;
	uint8_t out[OUT_SIZE];
};

struct call {
	size_t size, sent; /* of the message with its prefix */
};

static int epoll_fd;
static nghttp2_session_callbacks *callbacks;
static nghttp2_option *option;

/* --- calls ------------------------------------------------------------------------------------ */

static int
on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct call *c;

	(void)arg;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		err(1, "calloc");
	c->size = 1024 + MESSAGE_HEAD;
	return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, c);
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
    const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
	struct call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	size_t digits = value_n;

	(void)flags;
	(void)arg;
	if (c == NULL || name_n != 5 || memcmp(name, ":path", 5) != 0)
		return 0;
	while (digits > 0 && isdigit(value[digits - 1]))
		digits--;
	if (digits < value_n) /* NUL-terminated, nghttp2 promises */
		c->size = strtoul((const char *)value + digits, NULL, 10) + MESSAGE_HEAD;
	return 0;
}

static ssize_t
message_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t most, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	static const nghttp2_nv trailers[] = {NV("grpc-status", "0")};
	struct call *c = source->ptr;
	size_t n = c->size - c->sent < most ? c->size - c->sent : most;

	(void)arg;
	memset(to, 'x', n);
	if (c->sent == 0 && n >= MESSAGE_HEAD) {
		uint32_t length = htonl((uint32_t)(c->size - MESSAGE_HEAD));

		to[0] = 0;
		memcpy(to + 1, &length, sizeof(length));
	}
	c->sent += n;
	if (c->sent == c->size) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(session, id, trailers, 1) != 0)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	return (ssize_t)n;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	static const nghttp2_nv head[] = {
	    NV(":status", "200"), NV("content-type", "application/grpc")};
	nghttp2_data_provider body = {.read_callback = message_read};

	(void)arg;
	if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return 0;
	body.source.ptr = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (body.source.ptr == NULL)
		return 0;
	return nghttp2_submit_response(session, frame->hd.stream_id, head, 2, &body);
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	(void)code;
	(void)arg;
	free(nghttp2_session_get_stream_user_data(session, id));
	return 0;
}

/* --- connections ------------------------------------------------------------------------------ */

static void
conn_close(struct conn *c)
{
	nghttp2_session_del(c->session);
	close(c->fd);
	free(c);
}

static void
watch(struct conn *c, int op)
{
	struct epoll_event ev = {
	    .events = c->want_write ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};

	if (epoll_ctl(epoll_fd, op, c->fd, &ev) < 0)
		err(1, "epoll_ctl");
}

/* Frames gather and leave together. 1 all sent, 0 the socket is full, -1 it is over. */
static int
conn_write(struct conn *c)
{
	for (;;) {
		const uint8_t *p;
		ssize_t n;

		while (c->out_at == 0 && c->out_n + FRAME_MOST <= OUT_SIZE &&
		       (n = nghttp2_session_mem_send(c->session, &p)) != 0) {
			if (n < 0)
				return -1;
			memcpy(c->out + c->out_n, p, (size_t)n);
			c->out_n += (size_t)n;
		}
		if (c->out_n == 0)
			return 1;
		n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->out_at += (size_t)n;
		if (c->out_at == c->out_n)
			c->out_at = c->out_n = 0;
	}
}

/* 1 go on, -1 it is over. */
static int
conn_read(struct conn *c)
{
	static uint8_t in[IN_SIZE];
	ssize_t n = recv(c->fd, in, sizeof(in), 0);

	if (n < 0)
		return errno == EAGAIN ? 1 : -1;
	return n > 0 && nghttp2_session_mem_recv(c->session, in, (size_t)n) == n ? 1 : -1;
}

static void
conn_event(struct conn *c, unsigned events)
{
	int rc = (events & EPOLLIN) != 0 ? conn_read(c) : 1;

	if (rc > 0)
		rc = conn_write(c);
	if (rc < 0 || (events & (EPOLLERR | EPOLLHUP)) != 0) {
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
	static const nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
	struct conn *c;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = calloc(1, sizeof(*c));
	if (c == NULL || nghttp2_session_server_new2(&c->session, callbacks, c, option) != 0)
		err(1, "no memory");
	c->fd = fd;
	if (nghttp2_submit_settings(c->session, 0, settings, 2) != 0 ||
	    nghttp2_session_set_local_window_size(c->session, 0, 0, WINDOW) != 0)
		errx(1, "settings");
	watch(c, EPOLL_CTL_ADD); /* the epoll set holds it now */
	conn_event(c, 0);
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

	if (port == 0)
		errx(64, "usage: h2origin PORT");
	if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
		errx(1, "no memory");
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	nghttp2_option_set_no_closed_streams(option, 1);
	run(listen_at(port));
}
