/* SPDX-License-Identifier: Apache-2.0
 *
 * Octets through pipes between real sockets, and how many pipes there are.
 */
#include "test/unit/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "worker/net/pipe.h"

#define SIZE 65536

static struct {
	struct loop *loop;
	struct stream a, b; /* what A's peer says is passed on to B's */
	int to_a, from_b;
	struct pipe_pool pool;
} k;

static void
on_event(struct stream *s)
{
	(void)s;
}

/* One end is ours. */
static int
couple(struct stream *s)
{
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(stream_tcp_accept(s, k.loop, fds[0], false, on_event), 1);
	return fds[1];
}

/* The same over TCP. */
static int
couple_tcp(struct stream *s)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr any = {.family = AF_INET, .ip = {127, 0, 0, 1}};
	int listener = socket(AF_INET, SOCK_STREAM, 0), mine = socket(AF_INET, SOCK_STREAM, 0), fd;

	len = addr_sockaddr(&any, &ss);
	assert_int_equal(bind(listener, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(connect(mine, (struct sockaddr *)&ss, len), 0);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	close(listener);
	assert_int_equal(fcntl(mine, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(stream_tcp_accept(s, k.loop, fd, false, on_event), 1);
	return mine;
}

static void
begin(int (*fn)(struct stream *))
{
	(void)signal(SIGPIPE, SIG_IGN);
	k.loop = loop_new();
	k.to_a = fn(&k.a);
	k.from_b = fn(&k.b);
	pipe_pool_init(&k.pool, SIZE);
	k.pool.most = 4;
}

static void
over(void)
{
	stream_close(&k.a);
	stream_close(&k.b);
	close(k.to_a);
	close(k.from_b);
	pipe_pool_fini(&k.pool);
	loop_free(&k.loop);
}

static char
octet(size_t at)
{
	return (char)(at * 31 + at / 251);
}

/* As much as the socket takes of what is due up to `total`. */
static size_t
feed(size_t at, size_t total)
{
	char buf[4096];
	size_t n = MIN(sizeof(buf), total - at);
	ssize_t put;

	for (size_t i = 0; i < n; i++)
		buf[i] = octet(at + i);
	put = n > 0 ? send(k.to_a, buf, n, MSG_NOSIGNAL) : 0;
	return put > 0 ? (size_t)put : 0;
}

static size_t
taste(size_t at)
{
	char buf[4096];
	ssize_t n = recv(k.from_b, buf, sizeof(buf), 0);

	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(buf[i], octet(at + (size_t)i));
	return n > 0 ? (size_t)n : 0;
}

/* A reader slower than the sender: what the socket does not take waits in the pipe. */
static void
pass(size_t total)
{
	struct pipe *p = pipe_take(&k.pool);
	size_t in = 0, out = 0;
	bool waited = false;

	assert_non_null(p);
	for (unsigned turn = 0; out < total; turn++) {
		assert_true(turn < 100000);
		in += feed(in, total);
		in += feed(in, total);
		loop_turn(k.loop, 0);
		if (p->n == 0 && k.a.readable && pipe_fill(p, &k.a, SIZE) < 0)
			assert_false(k.a.readable);
		if (p->n > 0 && pipe_drain(p, &k.b, SIZE) < 0)
			assert_false(k.b.writable);
		waited |= p->n > 0;
		assert_true(p->n <= SIZE);
		if (turn % 3 == 0 || in == total)
			out += taste(out);
	}
	assert_int_equal(p->n, 0);
	assert_true(waited);
	pipe_give(&p);
	assert_null(p);
}

static void
every_octet_in_order(void **state)
{
	(void)state;
	begin(couple);
	pass(3000000);
	over();
	begin(couple_tcp);
	pass(12000000);
	over();
}

static void
no_more_than_asked_for(void **state)
{
	struct pipe *p;
	char buf[100];

	(void)state;
	begin(couple_tcp);
	p = pipe_take(&k.pool);
	assert_int_equal(pipe_fill(p, &k.a, SIZE), STREAM_AGAIN);
	assert_false(k.a.readable);
	feed(0, 1000);
	for (unsigned i = 0; i < 100 && !k.a.readable; i++)
		loop_turn(k.loop, 10);
	assert_int_equal(pipe_fill(p, &k.a, 600), 600);
	assert_true(k.a.readable);
	assert_int_equal(stream_read(&k.a, buf, sizeof(buf)), 100);
	assert_int_equal(buf[0], octet(600));
	assert_int_equal(pipe_drain(p, &k.b, 250), 250);
	assert_int_equal(p->n, 350);
	/* The rest is wanted in memory. */
	assert_int_equal(pipe_read(p, buf, sizeof(buf)), 100);
	assert_int_equal(buf[0], octet(250));
	assert_int_equal(pipe_drain(p, &k.b, SIZE), 250);
	assert_int_equal(pipe_read(p, buf, sizeof(buf)), 0);
	pipe_give(&p);
	over();
}

static void
ends_and_errors(void **state)
{
	struct pipe *p;

	(void)state;
	begin(couple_tcp);
	p = pipe_take(&k.pool);
	feed(0, 1000);
	assert_int_equal(shutdown(k.to_a, SHUT_WR), 0);
	for (unsigned i = 0; i < 100 && !k.a.hup; i++)
		loop_turn(k.loop, 10);
	assert_int_equal(pipe_fill(p, &k.a, SIZE), 1000);
	close(k.from_b);
	k.from_b = dup(STDIN_FILENO);
	assert_int_equal(pipe_drain(p, &k.b, 500), 500); /* and is answered by a reset */
	for (unsigned i = 0; i < 100 && !k.b.broken; i++)
		loop_turn(k.loop, 10);
	assert_int_equal(pipe_drain(p, &k.b, SIZE), STREAM_ERROR);
	assert_int_not_equal(k.b.err, 0);
	assert_int_equal(p->n, 500);
	pipe_give(&p);
	p = pipe_take(&k.pool);
	assert_int_equal(p->n, 0);
	assert_int_equal(pipe_fill(p, &k.a, SIZE), STREAM_EOF);
	assert_true(k.a.eof);
	pipe_give(&p);
	over();
}

static void
a_reset_is_no_end(void **state)
{
	static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	struct pipe *p;

	(void)state;
	begin(couple_tcp);
	p = pipe_take(&k.pool);
	assert_int_equal(setsockopt(k.to_a, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(k.to_a);
	k.to_a = dup(STDIN_FILENO);
	for (unsigned i = 0; i < 100 && !k.a.broken; i++)
		loop_turn(k.loop, 10);
	assert_int_equal(pipe_fill(p, &k.a, SIZE), STREAM_ERROR);
	assert_int_equal(k.a.err, ECONNRESET);
	pipe_give(&p);
	over();
}

/* Never more than allowed, the same again, and few when nobody wants them. */
static void
the_pool(void **state)
{
	struct pipe *p[5];

	(void)state;
	begin(couple);
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(p[i] = pipe_take(&k.pool));
	assert_null(p[4] = pipe_take(&k.pool));
	pipe_give(&p[4]); /* harmless */
	for (unsigned i = 0; i < 4; i++)
		pipe_give(&p[i]);
	assert_int_equal(k.pool.n_free, 4);
	pipe_pool_trim(&k.pool);
	assert_int_equal(k.pool.n_free, 2);
	pipe_pool_trim(&k.pool);
	pipe_pool_trim(&k.pool);
	assert_int_equal(k.pool.n_free, 0);
	p[0] = pipe_take(&k.pool);
	k.pool.most = 0; /* switched off: this one does not stay */
	assert_null(pipe_take(&k.pool));
	pipe_give(&p[0]);
	assert_int_equal(k.pool.n_free, 0);
	over();
}

static void
octets_of_another_never_come(void **state)
{
	struct pipe *p;

	(void)state;
	begin(couple);
	p = pipe_take(&k.pool);
	feed(0, 100);
	loop_turn(k.loop, 0);
	assert_int_equal(pipe_fill(p, &k.a, SIZE), 100);
	pipe_give(&p);
	assert_int_equal(k.pool.n_free, 0); /* closed with what it held */
	assert_int_equal(k.pool.n_out, 0);
	over();
}

/* No descriptor: no pipe, and the system is left alone until somebody tidied up. */
static void
none_to_be_had(void **state)
{
	struct rlimit was, few;
	struct pipe *p;

	(void)state;
	begin(couple);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = (struct rlimit){.rlim_cur = 3, .rlim_max = was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_null(pipe_take(&k.pool));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_null(pipe_take(&k.pool));
	pipe_pool_trim(&k.pool);
	assert_non_null(p = pipe_take(&k.pool));
	pipe_give(&p);
	over();
}

static const struct CMUnitTest tests[] = {
    TEST(every_octet_in_order),
    TEST(no_more_than_asked_for),
    TEST(ends_and_errors),
    TEST(a_reset_is_no_end),
    TEST(the_pool),
    TEST(octets_of_another_never_come),
    TEST(none_to_be_had),
};
RUN_TESTS(tests)
