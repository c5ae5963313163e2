/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies from one HTTP/1.1 connection to another by way of a pipe: the octets, the counts, the
 * messages behind them, and what becomes of octets in the pipe that go another way.
 */
#include "test/unit/harness.h"

#include <signal.h>
#include <sys/socket.h>

#include "worker/http/h1_conn.h"
#include "worker/net/pipe.h"
#include "worker/pump.h"

#define BUFFER 2048
#define PIPE   65536

struct side {
	struct h1_conn h1;
	struct ws ws;
	struct head rx, tx;
	int peer;
	unsigned begins;
};

static struct {
	struct loop *loop;
	struct buf_pool bufs;
	struct pipe_pool pipes;
	struct side from, to; /* a server's, a client's */
	uint64_t count;
	struct pumped p;
	size_t head, in, out; /* the head's length; of the body: said so far, heard so far */
	bool head_out;
} k;

static enum h1_begin
on_begin(struct h1_conn *h)
{
	struct side *s = container_of(h, struct side, h1);

	s->begins++;
	head_init(&s->rx, &s->ws, true);
	h->x.rx = &s->rx;
	return H1_BEGIN;
}

static void
on_event(struct xchg *x)
{
	(void)x;
}

static void
side_open(struct side *s, bool server)
{
	int fds[2], small = 8192;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	s->peer = fds[1];
	ws_init(&s->ws, NULL, 0);
	assert_int_equal(stream_tcp_accept(&s->h1.stream, k.loop, fds[0], false, h1_conn_event), 1);
	h1_conn_start(&s->h1, server, &k.bufs);
	s->h1.limits = (struct h1_limits){.request_line = 4096, .headers = 8192, .count = 50};
	s->h1.on_begin = on_begin;
	s->h1.x.on_event = on_event;
}

static void
side_close(struct side *s)
{
	h1_conn_close(&s->h1, false);
	close(s->peer);
	ws_free(&s->ws);
}

static void
begin(void)
{
	memset(&k, 0, sizeof(k));
	(void)signal(SIGPIPE, SIG_IGN);
	k.loop = loop_new();
	buf_pool_init(&k.bufs, BUFFER, 8);
	pipe_pool_init(&k.pipes, PIPE);
	k.pipes.most = 2;
	side_open(&k.from, true);
	side_open(&k.to, false);
	k.p = (struct pumped){.count = &k.count, .received = true, .pipes = &k.pipes};
}

static void
over(void)
{
	side_close(&k.from);
	side_close(&k.to);
	assert_int_equal(k.bufs.n_out, 0);
	assert_int_equal(k.pipes.n_out, 0);
	buf_pool_fini(&k.bufs);
	pipe_pool_fini(&k.pipes);
	loop_free(&k.loop);
}

static char
octet(size_t at)
{
	return (char)(at * 31 + at / 251);
}

/* The head of a POST with so many octets, to the one and on to the other. */
static void
post(size_t total)
{
	struct xchg_send how = {.target = STR("/"), .keepalive = true};
	char head[128];
	int n = snprintf(
	    head, sizeof(head), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", total);

	assert_int_equal(send(k.from.peer, head, (size_t)n, 0), n);
	loop_turn(k.loop, 0);
	assert_true(k.from.h1.x.rx_head);
	head_init(&k.to.rx, &k.to.ws, false);
	h1_conn_begin(&k.to.h1, &k.to.rx);
	assert_int_equal(k.to.h1.x.ops->send_head(&k.to.h1.x, &k.from.rx, &how), 1);
	k.head_out = false;
	k.head = (size_t)n;
	k.in = k.out = 0;
	k.count = k.p.piped = 0;
}

static void
say(size_t total)
{
	char buf[5000];
	size_t n = MIN(sizeof(buf), total - k.in);
	ssize_t put;

	for (size_t i = 0; i < n; i++)
		buf[i] = octet(k.in + i);
	put = n > 0 ? send(k.from.peer, buf, n, MSG_NOSIGNAL) : 0;
	k.in += put > 0 ? (size_t)put : 0;
	loop_turn(k.loop, 0);
}

static void
hear(void)
{
	char buf[3000];
	ssize_t n = recv(k.to.peer, buf, sizeof(buf), 0);
	ssize_t at = 0;

	if (n > 0 && !k.head_out) {
		char *end = memmem(buf, (size_t)n, "\r\n\r\n", 4);

		assert_non_null(end);
		at = end + 4 - buf;
		k.head_out = true;
	}
	for (; at < n; at++)
		assert_int_equal(buf[at], octet(k.out++));
	loop_turn(k.loop, 0);
}

static enum pump
pump(void)
{
	return pump_once(&k.from.h1.x, &k.to.h1.x, &k.p);
}

/* All of it, heard as slowly as `lazy` says. */
static void
relay(size_t total, unsigned lazy)
{
	enum pump rc = PUMP_LATER;

	for (unsigned turn = 0; rc != PUMP_DONE || k.out < total; turn++) {
		assert_true(turn < 100000);
		say(total);
		if (rc != PUMP_DONE)
			rc = pump();
		assert_true(rc <= PUMP_LATER);
		if (turn % lazy == 0 || rc == PUMP_DONE)
			hear();
	}
	assert_int_equal(k.out, total);
	assert_int_equal(k.count, total);
	assert_true(k.from.h1.x.rx_end);
	assert_int_equal(k.from.h1.x.rx_bytes, k.head + total);
	assert_true(k.to.h1.x.tx_bytes > total);
	assert_int_equal(k.pipes.n_out, 0); /* none is held for what is over */
}

/* Lengths around what is worth a pipe, messages one behind another. */
static void
every_length(void **state)
{
	static const size_t at[] = {0, 1, BUFFER, 2 * BUFFER, PIPE, 3 * PIPE};

	(void)state;
	for (unsigned lazy = 1; lazy < 8; lazy += 3)
		for (size_t i = 0; i < ARRAY_LEN(at); i++)
			for (size_t n = at[i] > 2 ? at[i] - 2 : 0; n < at[i] + 3; n++) {
				begin();
				post(n);
				relay(n, lazy);
				if (n > 10000)
					assert_true(k.p.piped > n / 2);
				if (n < BUFFER)
					assert_int_equal(k.p.piped, 0);
				over();
			}
}

static void
answer(void)
{
	struct xchg *x = &k.from.h1.x;
	struct xchg_send how = {.keepalive = true};
	char text[256];

	head_init(&k.from.tx, &k.from.ws, false);
	k.from.tx.status = 204;
	assert_int_equal(x->ops->send_head(x, &k.from.tx, &how), 1);
	assert_int_equal(x->ops->send_body(x, NULL, 0, true), 0);
	assert_true(recv(k.from.peer, text, sizeof(text), 0) > 0);
}

/* What follows a body on the connection is found where the body ends. */
static void
the_next_request(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 1; i < 4; i++) {
		post(100000);
		relay(100000, 2);
		assert_true(k.p.piped > 0);
		answer();
		assert_int_equal(k.from.h1.x.ops->finish(&k.from.h1.x), 1);
		loop_turn(k.loop, 0);
		assert_int_equal(k.from.begins, i);
	}
	over();
}

/* Pumps until the receiver takes nothing more and a pipe is full of what it does not take. */
static void
stuff(size_t total)
{
	post(total);
	for (unsigned i = 0; i < 200; i++) {
		say(total);
		if (i % 2)
			assert_true(pump() <= PUMP_LATER);
	}
	assert_true(h1_rx_piped(&k.from.h1));
}

/* Octets in the pipe, and the next request already behind them: not read before they are out. */
static void
a_request_behind_a_full_pipe(void **state)
{
	static const char next[] = "GET /n HTTP/1.1\r\nHost: h\r\n\r\n";
	const size_t total = 40000;

	(void)state;
	begin();
	stuff(total);
	assert_int_equal(k.in, total);
	assert_int_equal(send(k.from.peer, next, sizeof(next) - 1, 0), sizeof(next) - 1);
	loop_turn(k.loop, 0);
	relay(total, 1);
	answer();
	assert_int_equal(k.from.h1.x.ops->finish(&k.from.h1.x), 1);
	loop_turn(k.loop, 0);
	assert_int_equal(k.from.begins, 2);
	assert_true(k.from.h1.x.rx_head);
	over();
}

/* Nobody passes them on any more: they are dropped like others, or end the connection. */
static void
looked_at_after_all(void **state)
{
	struct xchg *x = &k.from.h1.x;
	struct iovec v[XCHG_PARTS];
	const size_t total = 60000;
	size_t at;

	(void)state;
	begin();
	stuff(total);
	at = k.count;
	while (!x->rx_end || h1_rx_piped(&k.from.h1) || k.from.h1.parts) {
		int n = x->ops->peek(x, v);

		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			for (size_t j = 0; j < v[i].iov_len; j++)
				assert_int_equal(((char *)v[i].iov_base)[j], octet(at + j));
			at += v[i].iov_len;
			x->ops->consume(x, v[i].iov_len / 2);
			x->ops->consume(x, v[i].iov_len - v[i].iov_len / 2);
		}
		say(total);
	}
	assert_int_equal(at, total);
	assert_int_equal(k.pipes.n_out, 0);
	assert_true(x->rx_bytes > total);
	over();
	begin();
	stuff(30000);
	assert_true(x->rx_end);
	answer();
	ws_free(&k.from.ws);
	assert_int_equal(k.pipes.n_out + k.pipes.n_free, 0); /* it was not empty */
	assert_int_equal(x->ops->finish(x), 1);
	post(100);
	assert_int_equal(k.from.begins, 2);
	over();
}

/* Whoever goes in the middle: no pipe is left, and the other side learns of it. */
static void
ends_in_the_middle(void **state)
{
	enum pump rc;

	(void)state;
	begin();
	stuff(100000);
	close(k.to.peer);
	k.to.peer = dup(STDIN_FILENO);
	loop_turn(k.loop, 0);
	for (rc = PUMP_FULL; rc == PUMP_FULL || rc == PUMP_LATER;)
		rc = pump();
	assert_int_equal(rc, PUMP_DEAF);
	over();
	begin();
	stuff(1000000);
	close(k.from.peer);
	k.from.peer = dup(STDIN_FILENO);
	for (rc = PUMP_FULL; rc == PUMP_FULL || rc == PUMP_LATER || rc == PUMP_DRY; hear()) {
		loop_turn(k.loop, 0);
		rc = pump();
	}
	assert_int_equal(rc, PUMP_BAD);
	assert_int_equal(k.from.h1.x.why, REASON_CLIENT_GONE);
	for (unsigned i = 0; i < 1000; i++)
		hear();
	assert_true(k.in < 1000000);
	assert_int_equal(k.out, k.in); /* what it had said was passed on */
	over();
}

/* Too large by what is in the pipe: none of that leaves. */
static void
limits_hold(void **state)
{
	enum pump rc = PUMP_LATER;

	(void)state;
	begin();
	k.p.limit = 50000;
	post(100000);
	for (unsigned i = 0; i < 1000 && rc != PUMP_LARGE; i++) {
		say(100000);
		rc = pump();
		hear();
	}
	assert_int_equal(rc, PUMP_LARGE);
	assert_true(k.out <= 50000);
	over();
}

/* Switched off, none left, or the receiver frames them: through buffers. */
static void
without_pipes(void **state)
{
	(void)state;
	begin();
	k.p.pipes = NULL;
	post(100000);
	relay(100000, 2);
	assert_int_equal(k.p.piped, 0);
	over();
	begin();
	k.pipes.most = 0;
	post(100000);
	relay(100000, 2);
	assert_int_equal(k.p.piped, 0);
	over();
	begin();
	post(100000);
	k.to.h1.x.tx_plain = false;
	relay(100000, 2);
	assert_int_equal(k.p.piped, 0);
	over();
}

static const struct CMUnitTest tests[] = {
    TEST(every_length),
    TEST(the_next_request),
    TEST(a_request_behind_a_full_pipe),
    TEST(looked_at_after_all),
    TEST(ends_in_the_middle),
    TEST(limits_hold),
    TEST(without_pipes),
};
RUN_TESTS(tests)
