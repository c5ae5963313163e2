/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS as a stream: the handshake in pieces, under attack and cut off; octets where the socket is
 * small; the ends. S-SEC-4, E-8.
 */
#include "test/unit/worker/net/tls_kit.h"

#define CASE(f) TEST_WITH(f, ends_setup, ends_teardown)

static struct tls_ctx *
server_of(int32_t version)
{
	struct conf_listener_tls conf = ends_conf();

	conf.min_version = conf.max_version = version;
	return ends_server(&conf, NULL, NULL, NULL);
}

static const int32_t versions[] = {TLS_1_2, TLS_1_3};

/* --- a peer of raw octets --- */

static int
raw_meet(struct tls_ctx *server)
{
	int fd[2];

	pair_make(fd);
	ends_accept(fd[0], server);
	return fd[1];
}

/* The server's last words: an alert's number, -1 none came before the end, -2 a reset. */
static int
alert_of(int fd)
{
	unsigned char buf[4096];
	ssize_t n, have = 0;

	fcntl(fd, F_SETFL, 0);
	while ((n = recv(fd, buf + have, sizeof(buf) - (size_t)have, 0)) > 0)
		have += n;
	close(fd);
	if (n < 0)
		return -2;
	return have >= 7 && buf[0] == 21 ? buf[6] : -1;
}

static void
sent(struct tls_ctx *server, const char *p, size_t n, enum tls_failure why, int alert)
{
	int fd = raw_meet(server);

	assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), n);
	for (unsigned i = 0; i < 100 && ends.s.connecting; i++)
		ends_turn();
	assert_true(ends.s.refused);
	assert_int_equal(tls_failure(&ends.s), why);
	assert_true(strlen(tls_error(&ends.s)) > 0);
	stream_close(&ends.s);
	assert_int_equal(alert_of(fd), alert);
}

static void
what_is_not_tls_gets_an_alert(void **state)
{
	struct tls_ctx *server = server_of(TLS_1_3);
	static char large[65536];

	(void)state;
	/* The first record names a version nobody has; a fatal alert all the same. */
	sent(server, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 36, TLS_FAIL_PROTOCOL, -1);
	sent(server, "\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9, TLS_FAIL_PROTOCOL, 10);
	sent(server, "\x17\x03\x03\x00\x05hello", 10, TLS_FAIL_PROTOCOL, 10);
	sent(server, "\x16\x03\x01\xff\xff", 5, TLS_FAIL_PROTOCOL, 22);
	memset(large, 0x16, sizeof(large)); /* more than is read: no reset of our last words */
	sent(server, large, sizeof(large), TLS_FAIL_PROTOCOL, -1);
	tls_ctx_unref(&server);
}

static void
who_leaves_in_the_middle(void **state)
{
	struct tls_ctx *server = server_of(TLS_1_3);
	int fd = raw_meet(server);
	char c;

	(void)state;
	assert_int_equal(send(fd, "\x16\x03\x01\x01\x00\x01", 6, 0), 6);
	ends_turn();
	assert_true(ends.s.connecting);
	assert_int_equal(stream_read(&ends.s, &c, 1), STREAM_AGAIN);
	close(fd);
	for (unsigned i = 0; i < 100 && ends.s.connecting; i++)
		ends_turn();
	assert_true(ends.s.refused && ends.s.hup);
	assert_int_equal(tls_failure(&ends.s), TLS_FAIL_CLOSED);
	assert_has(tls_error(&ends.s), "the client closed the connection during the TLS handshake");
	assert_int_equal(stream_read(&ends.s, &c, 1), STREAM_ERROR);
	assert_int_equal(ends.s.err, ECONNRESET);
	tls_ctx_unref(&server);
}

/* --- a hello in pieces: OpenSSL's client over memory, its octets handed over one by one --- */

static void
hand_over(SSL *ssl, int fd, bool slowly)
{
	char buf[8192];
	int n;

	while ((n = BIO_read(SSL_get_wbio(ssl), buf, slowly ? 1 : (int)sizeof(buf))) > 0) {
		assert_int_equal(send(fd, buf, (size_t)n, MSG_NOSIGNAL), n);
		if (slowly)
			loop_turn(ends.loop, 5);
	}
	while ((n = (int)recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		BIO_write(SSL_get_rbio(ssl), buf, n);
}

static void
octet_by_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct tls_ctx *server = server_of(versions[i]);
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		int fd = raw_meet(server), rc = 0;
		SSL *ssl = SSL_new(ctx);
		char buf[16];

		SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
		SSL_set_connect_state(ssl);
		SSL_set_tlsext_host_name(ssl, "a.example");
		for (unsigned k = 0; k < 100 && (rc != 1 || ends.s.connecting); k++) {
			rc = odd_handshake(ssl);
			hand_over(ssl, fd, true);
			ends_turn();
		}
		assert_int_equal(rc, 1);
		assert_false(ends.s.connecting || ends.s.refused);
		assert_int_equal(SSL_write(ssl, "hello", 5), 5);
		hand_over(ssl, fd, true);
		assert_int_equal(ends_read(&ends.s, buf, sizeof(buf)), 5);
		stream_close(&ends.s);
		SSL_free(ssl);
		SSL_CTX_free(ctx);
		close(fd);
		tls_ctx_unref(&server);
	}
}

/* --- out, where there is little room --- */

static struct odd {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
} odd;

static void
odd_meet(struct tls_ctx *server, void (*dress)(SSL *ssl))
{
	int fd[2], rc = 0, small = 1;

	/* Not TCP, whose timers wait for what a small window leaves over. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	odd.ctx = SSL_CTX_new(TLS_client_method());
	odd.fd = fd[1];
	odd.ssl = odd_client(odd.ctx, fd[1]);
	SSL_set_tlsext_host_name(odd.ssl, "a.example");
	if (dress)
		dress(odd.ssl);
	ends_accept(fd[0], server);
	for (unsigned i = 0; i < 500 && (ends.s.connecting || rc == 0); i++) {
		if (rc == 0)
			rc = odd_handshake(odd.ssl);
		loop_turn(ends.loop, 1);
	}
	assert_int_equal(rc, 1);
	assert_false(ends.s.connecting || ends.s.refused);
}

static void
odd_part(void)
{
	stream_close(&ends.s);
	SSL_free(odd.ssl);
	SSL_CTX_free(odd.ctx);
	close(odd.fd);
}

#define LARGE 400000

/* The owner changes its mind about all that it has not been told was taken: what it gives in one
 * call is other octets, and other pieces, than in the one before. */
static unsigned rnd_state;
static unsigned
rnd(unsigned n)
{
	rnd_state = rnd_state * 1103515245u + 12345u;
	return (rnd_state >> 8) % n;
}

/* What was taken goes to `out` at n. The first octet must be as it was after AGAIN; `owed` is it.
 */
static ssize_t
say_some(char *out, size_t n, int *owed)
{
	static char fresh[40000];
	struct iovec v[4];
	size_t at = 0, total = 1 + rnd(rnd(3) == 0 ? sizeof(fresh) - 1 : 300);
	ssize_t put;

	for (size_t i = 0; i < total; i++)
		fresh[i] = (char)rnd(256);
	if (*owed >= 0)
		fresh[0] = (char)*owed;
	for (unsigned i = 0; i < ARRAY_LEN(v); i++) {
		size_t part = i == ARRAY_LEN(v) - 1 ? total - at : rnd((unsigned)(total - at) + 1);

		v[i] = (struct iovec){fresh + at, part};
		at += part;
	}
	put = stream_write(&ends.s, v, (int)ARRAY_LEN(v));
	if (put > 0)
		memcpy(out + n, fresh, MIN((size_t)put, LARGE - n));
	if (!ends.s.writable)
		*owed = (unsigned char)fresh[put > 0 ? put : 0];
	else
		*owed = -1;
	return put;
}

static size_t
odd_take(char *in, size_t n, size_t max)
{
	int got;

	while (n < max && (got = SSL_read(odd.ssl, in + n, (int)MIN(max - n, (size_t)5000))) > 0)
		n += (size_t)got;
	ERR_clear_error();
	return n;
}

/* Returns how often a write had to wait. `now_and_then`: what the peer does in between. */
static unsigned
talk(void (*now_and_then)(size_t have))
{
	char *out = malloc(LARGE), *in = malloc(LARGE);
	size_t n = 0, have = 0;
	unsigned waits = 0;
	int owed = -1;

	for (unsigned i = 0; i < 100000 && have < LARGE; i++) {
		ssize_t put = n < LARGE ? say_some(out, n, &owed) : 0;
		char none[16];

		assert_true(put >= 0 || put == STREAM_AGAIN);
		if (put > 0)
			n = MIN(n + (size_t)put, (size_t)LARGE);
		if (!ends.s.writable || n == LARGE) {
			struct iovec v = {.iov_base = out, .iov_len = 1};

			waits++;
			if (now_and_then)
				now_and_then(have);
			have = odd_take(in, have, LARGE);
			loop_turn(ends.loop, 1);
			if (ends.s.readable &&
			    stream_read(&ends.s, none, sizeof(none)) != STREAM_AGAIN)
				fail_msg("%s", tls_error(&ends.s));
			/* past the end: what is stuck still has to be asked for */
			if (n == LARGE && ends.s.writable)
				assert_true(stream_write(&ends.s, &v, 1) >= STREAM_AGAIN);
		}
	}
	assert_int_equal(have, LARGE);
	assert_memory_equal(in, out, LARGE);
	free(out);
	free(in);
	return waits;
}

static void
an_owner_that_changes_its_mind(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 6; seed++) {
		struct tls_ctx *server = server_of(versions[seed % 2]);

		rnd_state = seed;
		odd_meet(server, NULL);
		assert_true(talk(NULL) > 3);
		odd_part();
		tls_ctx_unref(&server);
	}
}

static void
short_records(SSL *ssl)
{
	SSL_set_tlsext_max_fragment_length(ssl, TLSEXT_max_fragment_length_512);
}

static void
records_as_long_as_the_peer_takes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct tls_ctx *server = server_of(versions[i]);

		rnd_state = 77;
		odd_meet(server, short_records);
		assert_true(talk(NULL) > 3);
		odd_part();
		tls_ctx_unref(&server);
	}
}

static unsigned updates;

/* One for each record that is stuck: to a second one OpenSSL answers at once, finds its own record
 * in the way, and gives up (bad length). */
static void
new_keys(size_t have)
{
	static size_t next;

	if (updates == 0)
		next = 0;
	if (have < next)
		return;
	next = have + 40000;
	updates++;
	assert_int_equal(SSL_key_update(odd.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
	assert_int_equal(SSL_do_handshake(odd.ssl), 1);
}

/* Our answer to a key update has to leave between two records, and finds no room at first. */
static void
new_keys_in_mid_stall(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 4; seed++) {
		struct tls_ctx *server = server_of(TLS_1_3);

		rnd_state = seed;
		updates = 0;
		odd_meet(server, NULL);
		assert_true(talk(new_keys) > 3);
		assert_true(updates > 3);
		odd_part();
		tls_ctx_unref(&server);
	}
}

/* --- in --- */

static void
connected(struct tls_ctx **server, struct tls_ctx **client, int32_t version)
{
	*server = server_of(version);
	*client = ends_client(NULL);
	ends_meet(*server, *client, "a.example", NULL);
	assert_false(ends.s.refused || ends.c.refused);
}

static void
parted(struct tls_ctx **server, struct tls_ctx **client)
{
	ends_part();
	tls_ctx_unref(server);
	tls_ctx_unref(client);
}

/* Octets OpenSSL has already are no event: `readable` tells of them. */
static void
a_record_read_in_parts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct iovec v = {(void *)(uintptr_t) "0123456789", 10};
		struct tls_ctx *server, *client;
		char buf[16];

		connected(&server, &client, versions[i]);
		assert_int_equal(stream_write(&ends.c, &v, 1), 10);
		assert_int_equal(stream_write(&ends.c, &v, 1), 10);
		assert_int_equal(ends_read(&ends.s, buf, 4), 4);
		assert_true(ends.s.readable);
		assert_int_equal(stream_read(&ends.s, buf, 16), 6);
		assert_true(ends.s.readable);
		assert_int_equal(stream_read(&ends.s, buf, 16), 10);
		assert_false(ends.s.readable);
		assert_int_equal(stream_read(&ends.s, buf, 16), STREAM_AGAIN);
		assert_int_equal(stream_read(&ends.s, buf, 0), 0);
		parted(&server, &client);
	}
}

/* --- ends --- */

static void
each_way_ends_by_itself(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct tls_ctx *server, *client;
		char buf[16];

		connected(&server, &client, versions[i]);
		ends.c.ops->shutdown_write(&ends.c);
		assert_int_equal(ends_read(&ends.s, buf, 16), STREAM_EOF);
		assert_true(ends.s.eof);
		assert_int_equal(stream_read(&ends.s, buf, 16), STREAM_EOF);
		ends_say(&ends.s, &ends.c, "still here");
		stream_close(&ends.s);
		assert_int_equal(ends_read(&ends.c, buf, 16), STREAM_EOF);
		parted(&server, &client);
	}
}

static void
an_end_of_tcp_is_no_end(void **state)
{
	struct tls_ctx *server, *client;
	char buf[16];

	(void)state;
	connected(&server, &client, TLS_1_3);
	assert_int_equal(shutdown(ends.c.watch.fd, SHUT_WR), 0);
	assert_int_equal(ends_read(&ends.s, buf, 16), STREAM_ERROR);
	assert_int_equal(ends.s.err, ECONNRESET);
	assert_has(tls_error(&ends.s), "the client closed the connection without ending TLS");
	assert_int_equal(tls_failure(&ends.s), TLS_FAIL_CLOSED);
	assert_false(ends.s.refused);
	parted(&server, &client);

	connected(&server, &client, TLS_1_3);
	ends.c.reset_on_close = true;
	stream_close(&ends.c);
	assert_int_equal(ends_read(&ends.s, buf, 16), STREAM_ERROR);
	assert_int_equal(ends.s.err, ECONNRESET);
	assert_true(ends.s.broken && ends.s.hup);
	parted(&server, &client);
}

/* What was said before the end is read, whatever became of our own words. */
static void
a_failed_write_does_not_end_reading(void **state)
{
	struct iovec v = {(void *)(uintptr_t) "last words", 10};
	struct tls_ctx *server, *client;
	char buf[16];

	(void)state;
	connected(&server, &client, TLS_1_3);
	assert_int_equal(stream_write(&ends.c, &v, 1), 10);
	stream_close(&ends.c);
	for (unsigned i = 0; i < 50 && stream_write(&ends.s, &v, 1) > 0; i++)
		usleep(1000);
	assert_int_not_equal(ends.s.err, 0);
	assert_int_equal(ends_read(&ends.s, buf, 16), 10);
	assert_memory_equal(buf, "last words", 10);
	parted(&server, &client);
}

/* An end that finds no room waits for it. */
static void
an_end_after_a_stall(void **state)
{
	struct tls_ctx *server = server_of(TLS_1_3);
	static char buf[30000];
	struct iovec v = {buf, sizeof(buf)};
	size_t n = 0, have = 0;
	ssize_t put;

	(void)state;
	odd_meet(server, NULL);
	while ((put = stream_write(&ends.s, &v, 1)) > 0 && ends.s.writable)
		n += (size_t)put;
	n += put > 0 ? (size_t)put : 0;
	ends.s.ops->shutdown_write(&ends.s); /* the octet that is owed goes with what is stuck */
	v.iov_len = 1;
	for (unsigned i = 0; i < 10000 && have < n + 1; i++) {
		int got = SSL_read(odd.ssl, buf, sizeof(buf));

		have += got > 0 ? (size_t)got : 0;
		loop_turn(ends.loop, 1);
		if (ends.s.writable && v.iov_len > 0 && stream_write(&ends.s, &v, 1) == 1)
			v.iov_len = 0;
	}
	assert_int_equal(have, n + 1);
	for (unsigned i = 0; i < 100 && (SSL_get_shutdown(odd.ssl) & SSL_RECEIVED_SHUTDOWN) == 0;
	     i++) {
		ends.s.ops->shutdown_write(&ends.s);
		(void)SSL_read(odd.ssl, buf, sizeof(buf));
		loop_turn(ends.loop, 1);
	}
	assert_true(SSL_get_shutdown(odd.ssl) & SSL_RECEIVED_SHUTDOWN);
	odd_part();
	tls_ctx_unref(&server);
}

/* --- idle --- */

static void
silence_is_fine_and_tickets_are_silence(void **state)
{
	struct tls_tickets *tickets = tls_tickets_new(STR("0123456789abcdef"), 3600);
	struct conf_listener_tls conf = ends_conf();
	struct tls_ctx *server = ends_server(&conf, NULL, NULL, tickets);
	struct tls_ctx *client = ends_client(NULL);
	struct iovec v = {(void *)(uintptr_t) "?", 1};
	struct tls_session *session = NULL;
	char c;

	(void)state;
	ends_meet(server, client, "a.example", &session);
	for (unsigned i = 0; i < 100 && session == NULL; i++) {
		assert_int_equal(stream_idle_ok(&ends.c), 1);
		ends_turn();
	}
	assert_non_null(session);
	assert_int_equal(stream_idle_ok(&ends.c), 1);
	assert_int_equal(stream_idle_ok(&ends.s), 1);
	assert_int_equal(stream_peek(&ends.c, &c, 1), STREAM_ERROR);
	ends.c.err = 0;
	assert_int_equal(stream_write(&ends.s, &v, 1), 1);
	for (unsigned i = 0; i < 100 && stream_idle_ok(&ends.c) == 1; i++)
		ends_turn();
	assert_int_equal(stream_idle_ok(&ends.c), 0);
	assert_int_equal(stream_read(&ends.c, &c, 1), 1);
	assert_int_equal(stream_idle_ok(&ends.c), 1);
	stream_close(&ends.s);
	for (unsigned i = 0; i < 100 && stream_idle_ok(&ends.c) == 1; i++)
		ends_turn();
	assert_int_equal(stream_idle_ok(&ends.c), 0);
	tls_session_unref(&session);
	parted(&server, &client);
	tls_tickets_unref(&tickets);
}

static const struct CMUnitTest tests[] = {
    CASE(what_is_not_tls_gets_an_alert),
    CASE(who_leaves_in_the_middle),
    CASE(octet_by_octet),
    CASE(an_owner_that_changes_its_mind),
    CASE(records_as_long_as_the_peer_takes),
    CASE(new_keys_in_mid_stall),
    CASE(a_record_read_in_parts),
    CASE(each_way_ends_by_itself),
    CASE(an_end_of_tcp_is_no_end),
    CASE(a_failed_write_does_not_end_reading),
    CASE(an_end_after_a_stall),
    CASE(silence_is_fine_and_tickets_are_silence),
};
RUN_TESTS(tests)
