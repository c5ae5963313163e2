/* SPDX-License-Identifier: Apache-2.0
 *
 * An attempt at an https endpoint, against a server that is driven by hand: the phases of its
 * connection, what ends it, whose connection it is afterwards, and sessions. S-SEC-4
 */
#include "test/unit/worker/net/tls_kit.h"
#include "shm/metric.h"
#include "test/unit/worker/up/arena_kit.h"
#include "test/unit/worker/up/bundle_kit.h"
#include "worker/up/attempt.h"

#define PEER_NAME "a.example"

struct fixture {
	struct arena_kit kit;
	struct region region;
	struct metrics *metrics;
	struct loop *loop;
	struct buf_pool bufs;
	struct up *up;
	struct endpoint_ref to;
	struct conf_service service;
	struct trust_memo memo;
	struct ws ws;
	int listener, peer;
	struct identity ca, leaf;
	struct octets ca_der;
	SSL_CTX *server;
	SSL *ssl; /* the peer's, on f->peer */
	unsigned told;
};

static void
metrics_make(struct fixture *f)
{
	const char *error = "";
	int fd =
	    region_create(REGION_METRICS, metric_region_size(1, 16), metric_layout(1, 16), &error);

	if (region_attach(fd, REGION_METRICS, 0, true, &f->region, &error) < 0)
		fail_msg("%s", error);
	close(fd);
	metric_region_init(&f->region, 1, 16);
	f->metrics = metrics_open(&f->region, 0);
}

static void
listen_make(struct fixture *f)
{
	struct sockaddr_storage ss;
	socklen_t len;

	f->to.addr.family = AF_UNIX;
	snprintf(f->to.addr.path, sizeof(f->to.addr.path), "%s/sock", f->kit.dir);
	len = addr_sockaddr(&f->to.addr, &ss);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(f->listener, 32), 0);
}

static void
trust_make(struct fixture *f)
{
	const struct kit_blob v[] = {{BUNDLE_CHAIN, "file:/ca.pem", octets_str(&f->ca_der)}};
	struct bundle *b = kit_bundle(v, ARRAY_LEN(v));

	up_trust(f->up, b);
	bundle_unref(&b);
}

static void
server_make(struct fixture *f)
{
	f->ca = identity_make("ca", NULL, NULL, 10);
	f->leaf = identity_make("leaf", &f->ca, "DNS:" PEER_NAME, 10);
	f->ca_der = cert_der(&f->ca);
	f->server = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(f->server, f->leaf.cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(f->server, f->leaf.key), 1);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->peer = -1;
	arena_kit_open(&f->kit, 8);
	arena_kit_row(&f->kit, &f->to.row, &f->to.incarnation);
	metrics_make(f);
	listen_make(f);
	server_make(f);
	fake_clock_at(0);
	f->loop = loop_new();
	buf_pool_init(&f->bufs, 4096, 16);
	f->up = up_new(f->loop, f->kit.arena, 0, f->metrics, &f->bufs);
	f->to.tls = true;
	f->to.host = STR(PEER_NAME ":443");
	f->to.name = STR("https://192.0.2.1:443");
	f->service = (struct conf_service){.tls = {.verify = true, .ca = {"/ca.pem", 7}},
	    .pool = {.idle = 8, .idle_timeout = 5000},
	    .retry = {.attempts = 2}};
	ws_init(&f->ws, NULL, 0);
	*state = f;
	return 0;
}

static void
peer_close(struct fixture *f)
{
	SSL_free(f->ssl);
	f->ssl = NULL;
	if (f->peer >= 0)
		close(f->peer);
	f->peer = -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	ws_free(&f->ws);
	up_free(&f->up);
	assert_int_equal(f->bufs.n_out, 0);
	assert_int_equal(metric_sum(f->metrics, M_PROC_UP_ACTIVE), 0);
	assert_int_equal(metric_sum(f->metrics, M_PROC_UP_IDLE), 0);
	buf_pool_fini(&f->bufs);
	loop_free(&f->loop);
	metrics_close(&f->metrics);
	region_detach(&f->region);
	peer_close(f);
	close(f->listener);
	SSL_CTX_free(f->server);
	identity_free(&f->leaf);
	identity_free(&f->ca);
	arena_kit_close(&f->kit);
	fake_clock_stop();
	free(f);
	return 0;
}

static void
told(struct attempt *a)
{
	struct fixture *f = a->owner;

	f->told++;
}

static struct attempt *
attempt(struct fixture *f)
{
	const struct attempt_conf conf = {.service = &f->service,
	    .service_id = STR("s"),
	    .connect_ms = 1000,
	    .trust = &f->memo,
	    .idempotent = true};
	struct attempt *a = attempt_new(f->up, &conf, &f->ws);

	a->owner = f;
	a->on_event = told;
	a->to = &f->to;
	a->tries = 1;
	f->told = 0;
	return a;
}

static void
peer_accept(struct fixture *f)
{
	peer_close(f);
	f->peer = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(f->peer >= 0);
	f->ssl = SSL_new(f->server);
	assert_int_equal(SSL_set_fd(f->ssl, f->peer), 1);
	SSL_set_accept_state(f->ssl);
}

/* Both ends have their turns until the attempt's owner is told. */
static void
shake(struct fixture *f)
{
	int rc = 0;

	for (unsigned i = 0; i < 20 && !f->told; i++) {
		if (rc == 0)
			rc = odd_handshake(f->ssl);
		loop_turn(f->loop, 0);
	}
	assert_int_equal(f->told, 1);
	if (rc == 0)
		(void)odd_handshake(f->ssl);
}

static void
until_ready(struct fixture *f, struct attempt *a)
{
	assert_int_equal(attempt_connect(a), 0);
	peer_accept(f);
	shake(f);
	assert_int_equal(attempt_connect(a), 1);
}

/* Kept, as after a whole answer. */
static void
keep(struct fixture *f, struct attempt *a)
{
	const struct pool_limits l = {.idle = 8, .idle_timeout = 5000};

	pool_put(f->up->pool, &a->c, &l);
	assert_null(a->c);
}

static uint64_t
count(struct fixture *f, enum metric_all m)
{
	return metric_sum(f->metrics, m);
}

static void
a_connection_is_ready_when_its_handshake_is(void **state)
{
	struct fixture *f = *state;
	struct attempt *a;

	trust_make(f);
	a = attempt(f);
	assert_int_equal(attempt_connect(a), 0);
	assert_int_equal(a->state, ATTEMPT_CONNECTING);
	/* TCP stands, and nothing was told. */
	loop_turn(f->loop, 0);
	assert_int_equal(attempt_connect(a), 0);
	assert_int_equal(f->told, 0);
	peer_accept(f);
	shake(f);
	assert_int_equal(a->state, ATTEMPT_READY);
	assert_int_equal(attempt_connect(a), 1);
	assert_false(a->reused);
	assert_string_equal(SSL_get_servername(f->ssl, TLSEXT_NAMETYPE_host_name), PEER_NAME);
	assert_int_equal(count(f, M_PROC_UP_TLS_FULL), 1);
	assert_int_equal(count(f, M_PROC_UP_TLS_RESUMED), 0);
}

/* Nothing was sent: another endpoint may have it, whatever the method. */
static void
a_handshake_that_fails_was_no_connection(void **state)
{
	struct fixture *f = *state;
	struct attempt *a;

	trust_make(f);
	f->service.tls.server_name = STR("b.example");
	a = attempt(f);
	a->conf.idempotent = false;
	assert_int_equal(attempt_connect(a), 0);
	peer_accept(f);
	shake(f);
	assert_int_equal(attempt_connect(a), -1);
	assert_int_equal(a->why, REASON_UPSTREAM_TLS);
	assert_int_equal(count(f, M_PROC_UP_TLS_F_CERTIFICATE), 1);
	assert_int_equal(count(f, M_PROC_UP_TLS_FULL), 0);
	assert_int_equal(attempt_failed(a, a->why), RETRY_NEXT);
	assert_int_equal(count(f, M_PROC_UP_ACTIVE), 0);
}

/* Of TLS 1.3 our side is through before the server has looked at our certificate, or missed it.
 * What was sent may have been on its way: no other endpoint gets it. */
static void
an_alert_behind_the_handshake_is_tls_too(void **state)
{
	struct fixture *f = *state;
	struct attempt *a;
	struct head rx;
	struct xchg *x;

	trust_make(f);
	SSL_CTX_set_verify(f->server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	a = attempt(f);
	until_ready(f, a);
	head_init(&rx, &f->ws, false);
	x = attempt_begin(a, &rx);
	loop_turn(f->loop, 0);
	assert_int_equal(x->why, REASON_UPSTREAM_CLOSED);
	assert_int_equal(attempt_reason(a, x->why), REASON_UPSTREAM_TLS);
	assert_int_equal(attempt_reason(a, REASON_BAD_UPSTREAM), REASON_BAD_UPSTREAM);
	assert_int_equal(count(f, M_PROC_UP_TLS_F_REFUSED), 1);
	assert_int_equal(attempt_failed(a, REASON_UPSTREAM_TLS), RETRY_NO);
}

static void
its_time_is_the_connections(void **state)
{
	struct fixture *f = *state;
	struct attempt *a;

	trust_make(f);
	a = attempt(f);
	assert_int_equal(attempt_connect(a), 0);
	fake_clock_advance(600);
	loop_turn(f->loop, 0);
	assert_int_equal(f->told, 0);
	fake_clock_advance(600);
	loop_turn(f->loop, 0);
	assert_int_equal(f->told, 1);
	assert_int_equal(attempt_connect(a), -1);
	assert_int_equal(a->why, REASON_CONNECT_TIMEOUT);
	assert_int_equal(count(f, M_PROC_UP_TLS_F_TIMEOUT), 1);
	assert_int_equal(attempt_failed(a, a->why), RETRY_NEXT);
}

/* Without what settings ask for nobody is connected to, and least of all in the clear. */
static void
without_trust_there_is_no_connection(void **state)
{
	struct fixture *f = *state;
	struct attempt *a = attempt(f);

	assert_int_equal(attempt_connect(a), -1);
	assert_int_equal(a->why, REASON_UPSTREAM_TLS);
	assert_int_equal(attempt_failed(a, a->why), RETRY_NEXT);
	trust_make(f);
	f->service.tls.ca = STR("/other.pem");
	f->memo = (struct trust_memo){0};
	a = attempt(f);
	assert_int_equal(attempt_connect(a), -1);
	assert_int_equal(a->why, REASON_UPSTREAM_TLS);
	f->service.tls.ca = STR("/ca.pem");
	f->memo = (struct trust_memo){0};
	f->to.row = 1000; /* of another version's arena */
	a = attempt(f);
	assert_int_equal(attempt_connect(a), -1);
	assert_int_equal(count(f, M_PROC_UP_TLS_F_SETTINGS), 3);
	assert_int_equal(count(f, M_PROC_UP_CONNECTS), 0);
	assert_true(accept(f->listener, NULL, NULL) < 0);
}

/* Two tickets come behind a TLS 1.3 handshake; payload is another thing. */
static void
tickets_leave_an_idle_connection(void **state)
{
	struct fixture *f = *state;
	struct attempt *a;

	trust_make(f);
	a = attempt(f);
	until_ready(f, a);
	keep(f, a);
	loop_turn(f->loop, 0);
	assert_int_equal(pool_idle(f->up->pool), 1);
	assert_int_equal(SSL_new_session_ticket(f->ssl), 1);
	assert_int_equal(odd_handshake(f->ssl), 1);
	loop_turn(f->loop, 0);
	assert_int_equal(pool_idle(f->up->pool), 1);
	/* One in the socket that nobody has told of is taken in by who looks. */
	assert_int_equal(SSL_new_session_ticket(f->ssl), 1);
	assert_int_equal(odd_handshake(f->ssl), 1);
	a = attempt(f);
	a->conf.idempotent = false;
	assert_int_equal(attempt_connect(a), 1);
	assert_true(a->reused);
	keep(f, a);
	assert_int_equal(SSL_write(f->ssl, "H", 1), 1);
	loop_turn(f->loop, 0);
	assert_int_equal(pool_idle(f->up->pool), 0);
}

static void
its_end_closes_it(void **state)
{
	struct fixture *f = *state;
	struct attempt *a;

	trust_make(f);
	for (unsigned i = 0; i < 2; i++) {
		a = attempt(f);
		until_ready(f, a);
		keep(f, a);
		loop_turn(f->loop, 0);
		assert_int_equal(pool_idle(f->up->pool), 1);
		if (i == 0)
			SSL_shutdown(f->ssl);
		else
			peer_close(f);
		loop_turn(f->loop, 0);
		assert_int_equal(pool_idle(f->up->pool), 0);
	}
}

/* The same name and trust; other names, other trust and plain ones are others. */
static void
a_connection_is_reused_by_its_like(void **state)
{
	struct fixture *f = *state;
	struct pool_id plain = {.row = f->to.row, .incarnation = f->to.incarnation};
	struct attempt *a;

	trust_make(f);
	a = attempt(f);
	until_ready(f, a);
	keep(f, a);
	assert_null(pool_get(f->up->pool, &plain, false));
	/* The same name, said by the service. */
	f->service.tls.server_name = STR(PEER_NAME);
	a = attempt(f);
	assert_int_equal(attempt_connect(a), 1);
	assert_true(a->reused);
	keep(f, a);
	f->service.tls.server_name = STR("b.example");
	a = attempt(f);
	assert_int_equal(attempt_connect(a), 0);
	assert_false(a->reused);
	assert_int_equal(pool_idle(f->up->pool), 0);
	attempt_end(a, false);
	f->service.tls.server_name = STR_NONE;
	a = attempt(f);
	assert_int_equal(attempt_connect(a), 0);
	attempt_end(a, false);
}

/* One that is in use goes on, and is not kept; an idle one goes at once. */
static void
another_trust_ends_the_idle(void **state)
{
	struct fixture *f = *state;
	const struct pool_limits l = {.idle = 8, .idle_timeout = 5000};
	struct identity other = identity_make("other", NULL, NULL, 10);
	struct octets mine = f->ca_der;
	struct attempt *used, *idle;

	trust_make(f);
	used = attempt(f);
	until_ready(f, used);
	idle = attempt(f);
	until_ready(f, idle);
	keep(f, idle);
	trust_make(f); /* the same again */
	assert_int_equal(pool_idle(f->up->pool), 1);
	f->ca_der = cert_der(&other);
	trust_make(f);
	assert_int_equal(pool_idle(f->up->pool), 0);
	assert_int_equal(used->state, ATTEMPT_READY);
	pool_put(f->up->pool, &used->c, &l);
	assert_int_equal(pool_idle(f->up->pool), 0);
	f->ca_der = mine;
	identity_free(&other);
}

static void
a_session_is_resumed(void **state)
{
	struct fixture *f = *state;
	struct attempt *a;

	trust_make(f);
	for (unsigned i = 0; i < 3; i++) {
		a = attempt(f);
		until_ready(f, a);
		assert_int_equal(SSL_session_reused(f->ssl), i > 0);
		keep(f, a);
		loop_turn(f->loop, 0); /* tickets */
		pool_close_idle(f->up->pool);
	}
	assert_int_equal(count(f, M_PROC_UP_TLS_FULL), 1);
	assert_int_equal(count(f, M_PROC_UP_TLS_RESUMED), 2);
	/* Not for another name, though the server would. */
	f->service.tls.server_name = STR("b.example");
	a = attempt(f);
	assert_int_equal(attempt_connect(a), 0);
	peer_accept(f);
	shake(f);
	assert_int_equal(attempt_connect(a), -1);
	assert_int_equal(count(f, M_PROC_UP_TLS_F_CERTIFICATE), 1);
	assert_int_equal(SSL_session_reused(f->ssl), 0);
}

static void
a_name_is_the_host_alone(void **state)
{
	static const struct {
		const char *host, *name;
	} of[] = {{"a.example", "a.example"}, {"a.example:8443", "a.example"},
	    {"a.example.:1", "a.example"}, {"192.0.2.1:1", "192.0.2.1"}, {"[::1]", "::1"},
	    {"[2001:db8::1]:443", "2001:db8::1"}, {"", ""}, {"[", ""}, {":1", ""}};
	struct conf_service_tls conf = {.verify = true};
	struct str s;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(of); i++) {
		s = secure_name(&conf, str_of(of[i].host));
		assert_int_equal(s.n, strlen(of[i].name));
		assert_memory_equal(s.p, of[i].name, s.n);
	}
	conf.server_name = STR("b.example");
	assert_true(str_eq(secure_name(&conf, STR("[::1]:443")), STR("b.example")));
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_connection_is_ready_when_its_handshake_is, setup, teardown),
    TEST_WITH(a_handshake_that_fails_was_no_connection, setup, teardown),
    TEST_WITH(an_alert_behind_the_handshake_is_tls_too, setup, teardown),
    TEST_WITH(its_time_is_the_connections, setup, teardown),
    TEST_WITH(without_trust_there_is_no_connection, setup, teardown),
    TEST_WITH(tickets_leave_an_idle_connection, setup, teardown),
    TEST_WITH(its_end_closes_it, setup, teardown),
    TEST_WITH(a_connection_is_reused_by_its_like, setup, teardown),
    TEST_WITH(another_trust_ends_the_idle, setup, teardown),
    TEST_WITH(a_session_is_resumed, setup, teardown),
    TEST(a_name_is_the_host_alone),
};
RUN_TESTS(tests)
