/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS to upstreams against OpenSSL's server in a process of its own, with certificates made
 * here. F-SEC-03: whoever cannot prove its name is refused, in words.
 */
#include "test/unit/worker/net/tls_kit.h"

#include <signal.h>
#include <sys/wait.h>

#define LARGE (3u << 20)

/* What the server does once somebody is connected. */
enum part {
	ECHO,     /* sends back what comes, until the client ends TLS */
	SLAM,     /* hangs up in the middle of the handshake */
	TRUNCATE, /* hangs up after "part", without ending TLS */
	FAREWELL  /* ends TLS after "bye" */
};

static struct kit {
	struct identity ca, other_ca, good, elsewhere, expired, client;
	struct loop *loop;
	struct stream s;
	struct tls_ctx *ctx;
	struct addr at;
	pid_t server;
	unsigned events;
} kit;

/* --- the server: a child, blocking; its exit is its verdict --- */

static int
echo(SSL *ssl)
{
	char *buf = malloc(LARGE);
	int n, have = 0, put = 0;

	/* All of it first: both directions fill up on the way. */
	while (have < (int)LARGE && (n = SSL_read(ssl, buf + have, (int)LARGE - have)) > 0) {
		have += n;
		if (have < 4096)
			put += SSL_write(ssl, buf + put, have - put);
	}
	if (put < have && SSL_write(ssl, buf + put, have - put) <= 0)
		return 1;
	free(buf);
	return SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN || have == (int)LARGE ? 0 : 1;
}

static int
serve(int listener, const struct identity *who, enum part part, bool want_client, int max_version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int fd = accept(listener, NULL, NULL), ok;
	char buf[64];
	SSL *ssl;

	if (part == SLAM)
		return recv(fd, buf, sizeof(buf), 0) > 0 ? 0 : 1;
	SSL_CTX_use_certificate(ctx, who->cert);
	SSL_CTX_use_PrivateKey(ctx, who->key);
	SSL_CTX_set_max_proto_version(ctx, max_version);
	if (want_client) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), kit.ca.cert);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	ok = SSL_accept(ssl);
	if (ok != 1)
		return 2;
	if (part == ECHO)
		return echo(ssl);
	SSL_write(ssl, part == TRUNCATE ? "part" : "bye", part == TRUNCATE ? 4 : 3);
	if (part == FAREWELL)
		SSL_shutdown(ssl);
	return 0;
}

static void
server_start(const struct identity *who, enum part part, bool want_client, int max_version)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	kit.at = (struct addr){.family = AF_INET, .ip = {127, 0, 0, 1}};
	len = addr_sockaddr(&kit.at, &ss);
	assert_int_equal(bind(listener, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	len = sizeof(ss);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&ss, &len), 0);
	addr_from_sockaddr((struct sockaddr *)&ss, len, &kit.at);
	kit.server = fork();
	if (kit.server == 0) {
		(void)signal(SIGPIPE, SIG_IGN);
		alarm(20);
		_exit(serve(listener, who, part, want_client, max_version));
	}
	close(listener);
}

static int
server_end(void)
{
	int status;

	assert_int_equal(waitpid(kit.server, &status, 0), kit.server);
	kit.server = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- the client --- */

static void
on_event(struct stream *s)
{
	assert_ptr_equal(s, &kit.s);
	kit.events++;
}

static int
ctx_make(bool verify, const struct identity *ca, const struct identity *own)
{
	struct conf_service_tls conf = {.verify = verify, .min_version = TLS_1_2};
	struct octets ca_der = {.n = 0}, cert = {.n = 0}, key = {.n = 0};
	struct tls_client_opts o = {.conf = &conf};
	const char *error = "";

	if (ca)
		ca_der = cert_der(ca);
	if (own) {
		cert = cert_der(own);
		key = key_der(own);
	}
	o.ca = octets_str(&ca_der);
	o.chain = octets_str(&cert);
	o.key = octets_str(&key);
	kit.ctx = tls_client_new(&o, &error);
	return kit.ctx ? 1 : -1;
}

static void
turn(void)
{
	loop_turn(kit.loop, 20);
}

/* Until the handshake is over, one way or the other. */
static void
join(const char *name)
{
	struct tls_how how = {.name = str_of(name)};
	const char *error;

	assert_int_equal(stream_tcp_connect(&kit.s, kit.loop, &kit.at, NULL), 1);
	assert_int_equal(tls_connect(&kit.s, kit.ctx, &how, on_event, &error), 1);
	for (unsigned i = 0; i < 500 && kit.s.connecting; i++)
		turn();
	assert_false(kit.s.connecting);
	assert_int_equal(kit.events, 1);
}

/* The next octets, EOF or ERROR. */
static ssize_t
next(char *buf, size_t n)
{
	ssize_t got;

	for (unsigned i = 0; i < 500; i++) {
		got = stream_read(&kit.s, buf, n);
		if (got != STREAM_AGAIN)
			return got;
		assert_false(kit.s.readable);
		turn();
	}
	return STREAM_AGAIN;
}

static ssize_t
say(const char *text)
{
	struct iovec v[3] = {{(void *)(uintptr_t)text, 1}, {NULL, 0},
	    {(void *)(uintptr_t)(text + 1), strlen(text) - 1}};

	return stream_write(&kit.s, v, 3);
}

static void
refused(const char *words)
{
	char buf[8];
	struct iovec v = {.iov_base = buf, .iov_len = 1};

	assert_true(kit.s.refused);
	assert_true(kit.s.readable && kit.s.writable);
	assert_int_equal(stream_read(&kit.s, buf, sizeof(buf)), STREAM_ERROR);
	assert_int_equal(stream_write(&kit.s, &v, 1), STREAM_ERROR);
	assert_int_not_equal(kit.s.err, 0);
	assert_has(tls_error(&kit.s), words);
	stream_close(&kit.s);
	(void)server_end();
}

static void
hello_and_goodbye(void)
{
	char buf[64];

	assert_int_equal(kit.s.err, 0);
	assert_int_equal(say("hello"), 5);
	assert_int_equal(next(buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_string_equal(tls_error(&kit.s), "");
	stream_close(&kit.s);
	assert_int_equal(server_end(), 0);
}

static int
setup(void **state)
{
	(void)state;
	kit.loop = loop_new();
	kit.s = (struct stream){.watch.fd = -1};
	kit.events = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	stream_close(&kit.s);
	tls_ctx_unref(&kit.ctx);
	if (kit.server > 0)
		kill(kit.server, SIGKILL);
	if (kit.server > 0)
		(void)server_end();
	loop_free(&kit.loop);
	return 0;
}

static void
the_name_is_proved(void **state)
{
	(void)state;
	server_start(&kit.good, ECHO, false, 0);
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	join("redis.example");
	assert_true(str_eq(tls_facts(&kit.s)->version, STR("TLSv1.3")));
	hello_and_goodbye();
}

static void
an_address_is_proved_too(void **state)
{
	(void)state;
	server_start(&kit.good, ECHO, false, 0);
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	join("127.0.0.1");
	hello_and_goodbye();
}

static void
tls_1_2_will_do_and_1_1_will_not(void **state)
{
	(void)state;
	server_start(&kit.good, ECHO, false, TLS1_2_VERSION);
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	join("redis.example");
	assert_true(str_eq(tls_facts(&kit.s)->version, STR("TLSv1.2")));
	hello_and_goodbye();
	kit.events = 0;
	server_start(&kit.good, ECHO, false, TLS1_1_VERSION);
	join("redis.example");
	refused("version");
}

static void
another_ca(void **state)
{
	(void)state;
	server_start(&kit.good, ECHO, false, 0);
	assert_int_equal(ctx_make(true, &kit.other_ca, NULL), 1);
	join("redis.example");
	refused("certificate is refused: unable to get local issuer certificate");
}

static void
the_system_does_not_know_it(void **state)
{
	(void)state;
	server_start(&kit.good, ECHO, false, 0);
	assert_int_equal(ctx_make(true, NULL, NULL), 1);
	join("redis.example");
	refused("certificate is refused");
}

static void
another_name(void **state)
{
	(void)state;
	server_start(&kit.elsewhere, ECHO, false, 0);
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	join("redis.example");
	refused("certificate is refused: hostname mismatch");
	kit.events = 0;
	server_start(&kit.elsewhere, ECHO, false, 0);
	join("127.0.0.1");
	refused("certificate is refused: IP address mismatch");
}

static void
too_old(void **state)
{
	(void)state;
	server_start(&kit.expired, ECHO, false, 0);
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	join("redis.example");
	refused("certificate has expired");
}

static void
anybody_will_do(void **state)
{
	(void)state;
	server_start(&kit.expired, ECHO, false, 0);
	assert_int_equal(ctx_make(false, NULL, NULL), 1);
	join("whoever.example");
	hello_and_goodbye();
}

static void
we_prove_who_we_are(void **state)
{
	char buf[16];

	(void)state;
	server_start(&kit.good, ECHO, true, 0);
	assert_int_equal(ctx_make(true, &kit.ca, &kit.client), 1);
	join("redis.example");
	hello_and_goodbye();
	tls_ctx_unref(&kit.ctx);

	/* In TLS 1.3 the server's refusal comes after our side of the handshake. */
	kit.events = 0;
	server_start(&kit.good, ECHO, true, 0);
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	join("redis.example");
	assert_int_equal(next(buf, sizeof(buf)), STREAM_ERROR);
	assert_has(tls_error(&kit.s), "certificate required");
	stream_close(&kit.s);
	assert_int_equal(server_end(), 2);
}

static void
gone_in_mid_handshake(void **state)
{
	(void)state;
	server_start(&kit.good, SLAM, false, 0);
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	join("redis.example");
	assert_int_equal(kit.s.err, ECONNRESET);
	assert_true(kit.s.refused);
	assert_true(strlen(tls_error(&kit.s)) > 0);
}

static void
nobody_listens(void **state)
{
	(void)state;
	server_start(&kit.good, ECHO, false, 0);
	kill(kit.server, SIGKILL);
	(void)server_end();
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	join("redis.example");
	assert_int_equal(kit.s.err, ECONNREFUSED);
	assert_true(kit.s.refused);
	assert_string_equal(tls_error(&kit.s), strerror(ECONNREFUSED));
}

/* What ends without TLS's own end may have been cut off by anybody. */
static void
an_end_is_an_end_only_when_said(void **state)
{
	char buf[16];

	(void)state;
	server_start(&kit.good, FAREWELL, false, 0);
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	join("redis.example");
	assert_int_equal(next(buf, sizeof(buf)), 3);
	assert_int_equal(next(buf, sizeof(buf)), STREAM_EOF);
	assert_int_equal(next(buf, sizeof(buf)), STREAM_EOF);
	assert_true(kit.s.eof);
	stream_close(&kit.s);
	assert_int_equal(server_end(), 0);

	kit.events = 0;
	server_start(&kit.good, TRUNCATE, false, 0);
	join("redis.example");
	assert_int_equal(next(buf, sizeof(buf)), 4);
	assert_int_equal(next(buf, sizeof(buf)), STREAM_ERROR);
	assert_int_equal(kit.s.err, ECONNRESET);
	assert_has(tls_error(&kit.s), "without ending TLS");
}

static void
send_large(const char *buf)
{
	size_t at = 0;

	for (unsigned i = 0; i < 20000 && at < LARGE; i++) {
		/* In pieces of odd sizes, and other ones at each try. */
		size_t a = MIN(LARGE - at, (size_t)(1 + i * 37 % 5000));
		size_t b = MIN(LARGE - at - a, (size_t)(i * 7919 % 60000));
		struct iovec v[2] = {{(void *)(uintptr_t)(buf + at), a},
		    {(void *)(uintptr_t)(buf + at + a), LARGE - at - a}};
		ssize_t put;

		if (i % 2 == 0 && kit.s.writable)
			v[1].iov_len = MAX(b, MIN(LARGE - at - a, (size_t)16384));
		put = stream_write(&kit.s, v, 2);
		if (put == STREAM_AGAIN) {
			assert_false(kit.s.writable);
			turn();
			continue;
		}
		assert_true(put > 0);
		at += (size_t)put;
	}
	assert_int_equal(at, LARGE);
}

static void
large_both_ways(void **state)
{
	char *out = malloc(LARGE), *in = malloc(LARGE);
	size_t have = 0;

	(void)state;
	for (size_t i = 0; i < LARGE; i++)
		out[i] = (char)(i * 2654435761u >> 13);
	server_start(&kit.good, ECHO, false, 0);
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	join("redis.example");
	send_large(out);
	while (have < LARGE) {
		ssize_t n = next(in + have, LARGE - have);

		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_memory_equal(in, out, LARGE);
	assert_int_equal(server_end(), 0);
	free(out);
	free(in);
}

static void
rejected(
    const struct octets *ca, const struct octets *cert, const struct octets *key, const char *words)
{
	struct conf_service_tls conf = {.verify = true, .min_version = TLS_1_2};
	struct tls_client_opts o = {
	    .conf = &conf, .ca = octets_str(ca), .chain = octets_str(cert), .key = octets_str(key)};
	const char *error = "";

	assert_null(tls_client_new(&o, &error));
	assert_has(error, words);
}

static void
octets_that_are_no_good(void **state)
{
	struct octets cert = cert_der(&kit.client), key = key_der(&kit.client), none = {.n = 0};
	struct octets foreign = key_der(&kit.good), torn = cert_der(&kit.ca);
	struct octets rubbish = {.p = "rubbish", .n = 7};
	struct tls_how how = {.name = STR_NONE};
	const char *error = "";

	(void)state;
	torn.n /= 2;
	rejected(&rubbish, &none, &none, "CA certificates");
	rejected(&torn, &none, &none, "CA certificates");
	rejected(&none, &cert, &none, "one is there without the other");
	rejected(&none, &none, &key, "one is there without the other");
	rejected(&none, &key, &key, "client: certificate");
	rejected(&none, &cert, &cert, "client: key");
	rejected(&none, &cert, &foreign, "client: key");

	server_start(&kit.good, ECHO, false, 0);
	assert_int_equal(ctx_make(true, &kit.ca, NULL), 1);
	assert_int_equal(stream_tcp_connect(&kit.s, kit.loop, &kit.at, NULL), 1);
	assert_int_equal(tls_connect(&kit.s, kit.ctx, &how, on_event, &error), -1);
	assert_has(error, "name is empty");
	assert_int_equal(kit.s.watch.fd, -1);
}

static int
group_setup(void **state)
{
	(void)state;
	kit.ca = identity_make("CA", NULL, NULL, 10);
	kit.other_ca = identity_make("another CA", NULL, NULL, 10);
	kit.good = identity_make("redis", &kit.ca, "DNS:redis.example,IP:127.0.0.1", 10);
	kit.elsewhere = identity_make("other", &kit.ca, "DNS:other.example", 10);
	kit.expired = identity_make("redis", &kit.ca, "DNS:redis.example", -1);
	kit.client = identity_make("gateway", &kit.ca, "DNS:gateway.example", 10);
	return 0;
}

static int
group_teardown(void **state)
{
	struct identity *all[] = {
	    &kit.ca, &kit.other_ca, &kit.good, &kit.elsewhere, &kit.expired, &kit.client};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		identity_free(all[i]);
	return 0;
}

#define CASE(f) TEST_WITH(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(the_name_is_proved),
    CASE(an_address_is_proved_too),
    CASE(tls_1_2_will_do_and_1_1_will_not),
    CASE(another_ca),
    CASE(the_system_does_not_know_it),
    CASE(another_name),
    CASE(too_old),
    CASE(anybody_will_do),
    CASE(we_prove_who_we_are),
    CASE(gone_in_mid_handshake),
    CASE(nobody_listens),
    CASE(an_end_is_an_end_only_when_said),
    CASE(large_both_ways),
    CASE(octets_that_are_no_good),
};
RUN_TESTS_WITH(tests, group_setup, group_teardown)
