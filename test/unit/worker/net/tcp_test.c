/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams over real sockets of every family, driven by a real loop, turn by turn (E-2).
 */
#include "test/unit/harness.h"

#include <errno.h>
#include <sys/stat.h>

#include "worker/net/stream.h"

static struct loop *loop;
static struct stream client, server;
static unsigned client_events, server_events;
static int listener = -1;
static char dir[] = "/tmp/gw-tcp-XXXXXX";

static void
on_client(struct stream *s)
{
	(void)s;
	client_events++;
}

static void
on_server(struct stream *s)
{
	(void)s;
	server_events++;
}

static int
setup(void **state)
{
	(void)state;
	loop = loop_new();
	client = server = (struct stream){.watch.fd = -1};
	client_events = server_events = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	stream_close(&client);
	stream_close(&server);
	if (listener >= 0)
		close(listener);
	listener = -1;
	loop_free(&loop);
	return 0;
}

/* Listens at the address, whose port becomes a free one. False where the family is not to be had.
 */
static bool
listen_at(struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_sockaddr(a, &ss);

	listener = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&ss, len) < 0)
		return false;
	assert_int_equal(listen(listener, 8), 0);
	len = sizeof(ss);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&ss, &len), 0);
	addr_from_sockaddr((struct sockaddr *)&ss, len, a);
	return true;
}

static void
turns(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		loop_turn(loop, 20);
}

static void
join(const struct addr *a)
{
	int fd;

	assert_int_equal(stream_tcp_connect(&client, loop, a, on_client), 1);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(stream_tcp_accept(&server, loop, fd, false, on_server), 1);
	for (unsigned i = 0; i < 50 && client.connecting; i++)
		turns(1);
	assert_false(client.connecting);
	assert_int_equal(client.err, 0);
	assert_true(client.writable);
}

static ssize_t
say(struct stream *s, const char *text)
{
	struct iovec v[2] = {
	    {(void *)(uintptr_t)text, 1}, {(void *)(uintptr_t)(text + 1), strlen(text) - 1}};

	return stream_write(s, v, 2);
}

static void
await(const bool *what)
{
	for (unsigned i = 0; i < 100 && !*what; i++)
		turns(1);
	assert_true(*what);
}

static void
exchange(const struct addr *a)
{
	char buf[64];

	join(a);
	assert_int_equal(stream_read(&server, buf, sizeof(buf)), STREAM_AGAIN);
	assert_false(server.readable);
	assert_int_equal(stream_idle_ok(&client), 1);
	assert_int_equal(say(&client, "hello"), 5);
	await(&server.readable);
	assert_int_equal(stream_idle_ok(&server), 0); /* not silent */
	assert_int_equal(stream_read(&server, buf, 3), 3);
	assert_true(server.readable);
	assert_int_equal(stream_read(&server, buf, sizeof(buf)), 2);
	assert_false(server.readable); /* drained by a short read: no further call is needed */
	client.ops->shutdown_write(&client);
	await(&server.readable);
	assert_true(server.hup);
	assert_int_equal(say(&server, "bye"), 3); /* half-closed is not closed */
	assert_int_equal(stream_read(&server, buf, sizeof(buf)), STREAM_EOF);
	assert_true(server.eof);
	await(&client.readable);
	assert_int_equal(stream_read(&client, buf, sizeof(buf)), 3);
	stream_close(&server);
	await(&client.readable);
	assert_int_equal(stream_idle_ok(&client), 0);
	assert_int_equal(stream_read(&client, buf, sizeof(buf)), STREAM_EOF);
	assert_true(client_events > 0 && server_events > 0);
}

static void
over_ipv4(void **state)
{
	struct addr a = {.family = AF_INET, .ip = {127, 0, 0, 1}};

	(void)state;
	assert_true(listen_at(&a));
	exchange(&a);
}

static void
over_ipv6(void **state)
{
	struct addr a = {.family = AF_INET6, .ip = {[15] = 1}};

	(void)state;
	if (!listen_at(&a))
		skip();
	exchange(&a);
}

static void
over_a_unix_socket(void **state)
{
	struct addr a = {.family = AF_UNIX};

	(void)state;
	snprintf(a.path, sizeof(a.path), "%s/s", dir);
	unlink(a.path);
	assert_true(listen_at(&a));
	exchange(&a);
	unlink(a.path);
}

static void
nobody_listens(void **state)
{
	struct addr a = {.family = AF_INET, .ip = {127, 0, 0, 1}}, u = {.family = AF_UNIX};
	int r;

	(void)state;
	assert_true(listen_at(&a));
	close(listener);
	listener = -1;
	r = stream_tcp_connect(&client, loop, &a, on_client);
	for (unsigned i = 0; r == 1 && i < 50 && client.connecting; i++)
		turns(1);
	assert_int_equal(client.err, ECONNREFUSED);
	if (r == 1) {
		char c;

		assert_int_equal(stream_read(&client, &c, 1), STREAM_ERROR);
		assert_int_equal(say(&client, "xy"), STREAM_ERROR);
		assert_int_equal(stream_idle_ok(&client), 0);
		assert_int_equal(client_events, 1);
	}
	stream_close(&client);
	snprintf(u.path, sizeof(u.path), "%s/nothing", dir);
	assert_int_equal(stream_tcp_connect(&client, loop, &u, on_client), -1);
	assert_int_equal(client.err, ENOENT);
	stream_close(&client); /* harmless */
}

static void
a_full_socket_says_again_and_then_writable(void **state)
{
	static char big[65536];
	struct addr a = {.family = AF_INET, .ip = {127, 0, 0, 1}};
	struct iovec v = {big, sizeof(big)};
	ssize_t n;
	size_t in = 0, out = 0;

	(void)state;
	assert_true(listen_at(&a));
	join(&a);
	while ((n = stream_write(&client, &v, 1)) > 0)
		out += (size_t)n;
	assert_int_equal(n, STREAM_AGAIN);
	assert_false(client.writable);
	for (unsigned i = 0; i < 10000 && in < out; i++) {
		turns(1);
		while (server.readable && (n = stream_read(&server, big, sizeof(big))) > 0)
			in += (size_t)n;
	}
	assert_int_equal(in, out);
	await(&client.writable);
}

/* Few octets or many, in ranges of any length, an empty one among them: they arrive as they are. */
static void
ranges_arrive_in_order(void **state)
{
	static const size_t totals[] = {3, 60, 1000, 4095, 4096, 4097, 20000};
	static char sent[20000], got[sizeof(sent)];
	struct addr a = {.family = AF_INET, .ip = {127, 0, 0, 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 7 + i / 251);
	assert_true(listen_at(&a));
	join(&a);
	for (unsigned i = 0; i < ARRAY_LEN(totals); i++) {
		size_t n = totals[i], in = 0;
		size_t cuts[] = {0, 1, 1, 1 + n / 20, 1 + n / 3, n};
		struct iovec v[5];

		for (unsigned k = 0; k < 5; k++)
			v[k] = (struct iovec){sent + cuts[k], cuts[k + 1] - cuts[k]};
		assert_int_equal(stream_write(&client, v, 5), n);
		for (unsigned t = 0; t < 100 && in < n; t++) {
			ssize_t more;

			turns(1);
			while (in < n && (more = stream_read(&server, got + in, n - in)) > 0)
				in += (size_t)more;
		}
		assert_int_equal(in, n);
		assert_memory_equal(got, sent, n);
	}
}

static void
a_reset_is_an_error_there(void **state)
{
	struct addr a = {.family = AF_INET, .ip = {127, 0, 0, 1}};
	char c;

	(void)state;
	assert_true(listen_at(&a));
	join(&a);
	turns(1);
	server.reset_on_close = true;
	stream_close(&server);
	stream_close(&server); /* once more is harmless */
	while (client.err == 0 && stream_read(&client, &c, 1) == STREAM_AGAIN)
		turns(1);
	assert_int_equal(client.err, ECONNRESET);
	assert_int_equal(say(&client, "xy"), STREAM_ERROR); /* and no SIGPIPE */
}

static int
group_setup(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
group_teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(over_ipv4, setup, teardown),
    TEST_WITH(over_ipv6, setup, teardown),
    TEST_WITH(over_a_unix_socket, setup, teardown),
    TEST_WITH(nobody_listens, setup, teardown),
    TEST_WITH(a_full_socket_says_again_and_then_writable, setup, teardown),
    TEST_WITH(ranges_arrive_in_order, setup, teardown),
    TEST_WITH(a_reset_is_an_error_there, setup, teardown),
};
RUN_TESTS_WITH(tests, group_setup, group_teardown)
