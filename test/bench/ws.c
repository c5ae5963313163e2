/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket clients for the benchmark: each sends a message, waits until it has come back (through
 * a proxy from wsecho.c), and sends the next.
 *
 * usage: ws [-n CONNECTIONS] [-s OCTETS] [-d SECONDS] PORT      on 127.0.0.1
 *
 * Prints one line: how many messages came back in how many seconds.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX 65535

struct conn {
	int fd;
	size_t got; /* octets of the message on its way back */
};

static struct {
	unsigned connections, seconds;
	size_t size;                                             /* of a message */
	size_t out_n, in_n;                                      /* with the frame's header */
	unsigned char out[MESSAGE_MAX + 8], in[MESSAGE_MAX + 4]; /* as sent, as expected */
	unsigned char buf[MESSAGE_MAX + 4];
	unsigned long messages;
} ws = {.connections = 64, .seconds = 5, .size = 1024};

static const char handshake[] = "GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
				"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static size_t
frame_head(unsigned char *p, unsigned char masked)
{
	p[0] = 0x82;
	if (ws.size < 126) {
		p[1] = (unsigned char)(masked | ws.size);
		return 2;
	}
	p[1] = masked | 126;
	p[2] = (unsigned char)(ws.size >> 8);
	p[3] = (unsigned char)ws.size;
	return 4;
}

static void
frames_make(void)
{
	static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
	size_t out = frame_head(ws.out, 0x80), in = frame_head(ws.in, 0);

	memcpy(ws.out + out, mask, 4);
	out += 4;
	for (size_t i = 0; i < ws.size; i++) {
		ws.in[in + i] = (unsigned char)('a' + i % 26);
		ws.out[out + i] = ws.in[in + i] ^ mask[i & 3];
	}
	ws.out_n = out + ws.size;
	ws.in_n = in + ws.size;
}

static void
message_send(struct conn *c)
{
	if (send(c->fd, ws.out, ws.out_n, MSG_NOSIGNAL) != (ssize_t)ws.out_n)
		err(1, "a message was not taken");
}

static void
message_read(struct conn *c)
{
	ssize_t n = recv(c->fd, ws.buf, ws.in_n - c->got, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		errx(1, "a WebSocket ended");
	if (memcmp(ws.buf, ws.in + c->got, (size_t)n) != 0)
		errx(1, "a message came back as another");
	c->got += (size_t)n;
	if (c->got < ws.in_n)
		return;
	c->got = 0;
	ws.messages++;
	message_send(c);
}

static void
conn_open(struct conn *c, const struct sockaddr_in *to)
{
	char buf[4096];
	size_t n = 0;
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		err(1, "connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (send(c->fd, handshake, sizeof(handshake) - 1, MSG_NOSIGNAL) < 0)
		err(1, "send");
	do {
		ssize_t got = recv(c->fd, buf + n, sizeof(buf) - n - 1, 0);

		if (got <= 0)
			errx(1, "no answer to the handshake");
		n += (size_t)got;
		buf[n] = '\0';
	} while (strstr(buf, "\r\n\r\n") == NULL);
	if (strncmp(buf, "HTTP/1.1 101", 12) != 0)
		errx(1, "the handshake was answered %.12s", buf);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
arguments(int argc, char **argv, struct sockaddr_in *to_r)
{
	int c;

	while ((c = getopt(argc, argv, "n:s:d:")) != -1) {
		switch (c) {
		case 'n':
			ws.connections = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			ws.size = strtoul(optarg, NULL, 10);
			break;
		case 'd':
			ws.seconds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		default:
			optind = argc;
		}
	}
	if (optind + 1 != argc || ws.size > MESSAGE_MAX || ws.connections == 0)
		errx(64, "usage: ws [-n CONNECTIONS] [-s OCTETS] [-d SECONDS] PORT");
	*to_r = (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)strtoul(argv[optind], NULL, 10)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int
main(int argc, char **argv)
{
	struct epoll_event ev[256];
	struct sockaddr_in to;
	struct conn *conns;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	double start;

	arguments(argc, argv, &to);
	frames_make();
	conns = calloc(ws.connections, sizeof(*conns));
	if (conns == NULL || epoll_fd < 0)
		err(1, "set-up");
	for (unsigned i = 0; i < ws.connections; i++) {
		ev[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = &conns[i]};
		conn_open(&conns[i], &to);
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conns[i].fd, &ev[0]) < 0)
			err(1, "epoll_ctl");
	}
	for (unsigned i = 0; i < ws.connections; i++)
		message_send(&conns[i]);
	start = now();
	while (now() < start + ws.seconds) {
		int n = epoll_wait(epoll_fd, ev, 256, 100);

		for (int i = 0; i < n; i++)
			message_read(ev[i].data.ptr);
	}
	printf("%lu messages in %.3f s\n", ws.messages, now() - start);
	free(conns);
	return 0;
}
