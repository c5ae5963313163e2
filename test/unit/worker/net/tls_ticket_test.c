/* SPDX-License-Identifier: Apache-2.0
 *
 * Session tickets: whoever has the secret resumes, as long as the peer is judged alike.,
 * S-EC-1.
 */
#include "test/unit/worker/net/tls_kit.h"

#define CASE(f) TEST_WITH(f, ends_setup, ends_teardown)

static const int32_t versions[] = {TLS_1_2, TLS_1_3};

static struct conf_listener_tls
conf_of(int32_t version)
{
	struct conf_listener_tls conf = ends_conf();

	conf.min_version = conf.max_version = version;
	return conf;
}

static void
fact(struct str is, const char *wanted)
{
	if (!str_eq(is, str_of(wanted)))
		fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(is), wanted);
}

static const struct str secret_a = STR("0123456789abcdef0123456789abcdef");
static const struct str secret_b = STR("another of the kind, as long as ...");

/* A handshake and an answer, with which tickets come. */
static bool
resumes(struct tls_ctx *server, struct tls_ctx *client, struct tls_session **session)
{
	bool resumed;

	ends_meet(server, client, "a.example", session);
	if (ends.s.refused || ends.c.refused)
		fail_msg("%s; %s", tls_error(&ends.s), tls_error(&ends.c));
	ends_say(&ends.c, &ends.s, "ping");
	ends_say(&ends.s, &ends.c, "pong");
	resumed = tls_resumed(&ends.s);
	assert_int_equal(resumed, tls_facts(&ends.c)->resumed);
	ends_part();
	return resumed;
}

static void
whoever_has_the_secret_resumes(void **state)
{
	struct tls_tickets *one = tls_tickets_new(secret_a, 3600);
	struct tls_tickets *two = tls_tickets_new(secret_a, 3600);
	struct tls_tickets *other = tls_tickets_new(secret_b, 3600);
	struct tls_ctx *client = ends_client(NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct conf_listener_tls conf = conf_of(versions[i]);
		struct tls_ctx *here = ends_server(&conf, NULL, NULL, one);
		struct tls_ctx *there = ends_server(&conf, NULL, NULL, two);
		struct tls_ctx *stranger = ends_server(&conf, NULL, NULL, other);
		struct tls_session *session = NULL;

		assert_false(resumes(here, client, &session));
		assert_non_null(session);
		assert_true(resumes(there, client, &session));
		assert_true(resumes(here, client, &session));
		assert_false(resumes(stranger, client, &session));
		assert_true(resumes(stranger, client, &session));
		tls_session_unref(&session);
		tls_ctx_unref(&here);
		tls_ctx_unref(&there);
		tls_ctx_unref(&stranger);
	}
	tls_tickets_unref(&one);
	tls_tickets_unref(&two);
	tls_tickets_unref(&other);
	tls_ctx_unref(&client);
}

static void
at(uint64_t s)
{
	clock_fake(s * 1000000000, s * 1000000);
}

/* A session of its own lifetime is put aside by its client: here it is asked for a ticket each time
 * anew, and the server alone lives in another time. */
static void
keys_come_and_go_with_time(void **state)
{
	struct tls_tickets *tickets = tls_tickets_new(secret_a, 3600);
	struct conf_listener_tls conf = conf_of(TLS_1_3);
	struct tls_ctx *client = ends_client(NULL);
	struct tls_ctx *server = ends_server(&conf, NULL, NULL, tickets);
	uint64_t now = clock_wall_us() / 1000000 / 3600 * 3600;
	static const struct when {
		int64_t sealed, opened;
		bool good;
	} when[] = {{0, 0, true}, {0, -1, true}, {-1, 0, true}, {-3600, 3599 - 3600, true},
	    {-3600 * 2, 0, false}, {0, -3601, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(when); i++) {
		struct tls_session *session = NULL;

		at(now + (uint64_t)when[i].sealed);
		assert_false(resumes(server, client, &session));
		at(now + (uint64_t)when[i].opened);
		assert_int_equal(resumes(server, client, &session), when[i].good);
		tls_session_unref(&session);
	}
	clock_fake(0, 0);
	clock_tick();
	tls_ctx_unref(&server);
	tls_ctx_unref(&client);
	tls_tickets_unref(&tickets);
}

static void
no_tickets_where_none_are_wanted(void **state)
{
	struct tls_tickets *tickets = tls_tickets_new(secret_a, 3600);
	struct tls_ctx *client = ends_client(NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct conf_listener_tls conf = conf_of(versions[i]);
		struct tls_session *session = NULL;
		struct tls_ctx *server;

		conf.tickets = false;
		server = ends_server(&conf, NULL, NULL, tickets);
		assert_false(resumes(server, client, &session));
		assert_false(resumes(server, client, &session));
		tls_session_unref(&session);
		tls_ctx_unref(&server);
	}
	tls_tickets_unref(&tickets);
	tls_ctx_unref(&client);
}

/* TLS 1.2: OpenSSL would go on with a session's cipher, whatever the settings are by now. */
static void
sessions_are_of_their_ciphers(void **state)
{
	struct tls_tickets *tickets = tls_tickets_new(secret_a, 3600);
	struct conf_listener_tls conf = conf_of(TLS_1_2);
	struct tls_ctx *client = ends_client(NULL), *loose, *tight;
	struct tls_session *session = NULL;

	(void)state;
	conf.ciphers = STR("ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256");
	loose = ends_server(&conf, NULL, NULL, tickets);
	conf.ciphers = STR("");
	tight = ends_server(&conf, NULL, NULL, tickets);
	assert_false(resumes(loose, client, &session));
	assert_true(resumes(loose, client, &session));
	assert_false(resumes(tight, client, &session));
	assert_true(resumes(tight, client, &session));
	tls_session_unref(&session);
	tls_ctx_unref(&loose);
	tls_ctx_unref(&tight);
	tls_tickets_unref(&tickets);
	tls_ctx_unref(&client);
}

/* A session says what was proved to another profile: it is not for this one. */
static void
sessions_are_of_one_name(void **state)
{
	struct tls_tickets *tickets = tls_tickets_new(secret_a, 3600);
	struct conf_listener_tls conf = ends_conf();
	struct tls_ctx *server = ends_server(&conf, NULL, NULL, tickets);
	struct tls_ctx *client = ends_client(NULL);
	struct tls_session *session = NULL;

	(void)state;
	assert_false(resumes(server, client, &session));
	ends_show("127.0.0.1", tls_cert_ref(ends.shown[0].cert));
	ends_show("", tls_cert_ref(ends.shown[0].cert));
	ends_meet(server, client, "127.0.0.1", &session);
	assert_false(ends.s.refused || ends.c.refused);
	assert_false(tls_resumed(&ends.c));
	ends_part();
	assert_null(session);
	tls_ctx_unref(&server);
	tls_ctx_unref(&client);
	tls_tickets_unref(&tickets);
}

static void
a_place_that_goes_is_forgotten(void **state)
{
	struct tls_tickets *tickets = tls_tickets_new(secret_a, 3600);
	struct conf_listener_tls conf = ends_conf();
	struct tls_ctx *server = ends_server(&conf, NULL, NULL, tickets);
	struct tls_ctx *client = ends_client(NULL);
	struct tls_session **place = calloc(1, sizeof(struct tls_session *));

	(void)state;
	ends_meet(server, client, "a.example", place);
	tls_session_forget(&ends.c);
	tls_session_unref(place);
	free(place);
	ends_say(&ends.s, &ends.c, "the ticket comes before this");
	tls_ctx_unref(&server);
	tls_ctx_unref(&client);
	tls_tickets_unref(&tickets);
}

/* --- clients' certificates --- */

struct asked {
	struct conf_listener_tls conf;
	struct octets ca, crl;
	struct tls_tickets *tickets;
	struct tls_ctx *server;
};

static void
asked_start(struct asked *a)
{
	a->server = ends_server(&a->conf, a->ca.n > 0 ? &a->ca : NULL, &a->crl, a->tickets);
}

static void
resumed_as_long_as_it_is_judged_alike(void **state)
{
	struct identity joe = identity_make("joe", &ends.ca, NULL, 1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct asked a = {.conf = conf_of(versions[i]),
		    .ca = cert_der(&ends.ca),
		    .tickets = tls_tickets_new(secret_a, 20 * DAY)};
		struct tls_ctx *client = ends_client(&joe);
		struct tls_session *session = NULL;

		a.conf.client.mode = TLS_CLIENT_REQUIRED;
		asked_start(&a);
		assert_false(resumes(a.server, client, &session));
		tls_ctx_unref(&a.server);
		asked_start(&a); /* a reload */
		ends_meet(a.server, client, "a.example", &session);
		assert_true(tls_resumed(&ends.s));
		fact(tls_facts(&ends.s)->subject, "CN=joe");
		ends_say(&ends.s, &ends.c, "here is a ticket");
		ends_part();
		tls_ctx_unref(&a.server);

		octets_cert(&a.ca, ends.other_ca.cert); /* another CA */
		asked_start(&a);
		assert_false(resumes(a.server, client, &session));
		assert_true(resumes(a.server, client, &session));
		tls_ctx_unref(&a.server);

		a.crl = crl_der(&ends.ca, NULL, DAY); /* a CRL */
		asked_start(&a);
		assert_false(resumes(a.server, client, &session));
		assert_true(resumes(a.server, client, &session));

		/* It expires in between; only we know of that time, so the whole handshake is
		 * as good as before. */
		at((uint64_t)time(NULL) + 2 * (uint64_t)DAY);
		ends_meet(a.server, client, "a.example", &session);
		assert_false(tls_resumed(&ends.s));
		ends_part();
		clock_fake(0, 0);
		clock_tick();
		tls_session_unref(&session);
		tls_ctx_unref(&a.server);
		tls_ctx_unref(&client);
		tls_tickets_unref(&a.tickets);
	}
	identity_free(&joe);
}

/* A revocation list that is over refuses everybody, and resumption must not be a way around. */
static void
sessions_end_with_the_lists(void **state)
{
	struct identity joe = identity_make("joe", &ends.ca, NULL, 30);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct asked a = {.conf = conf_of(versions[i]),
		    .ca = cert_der(&ends.ca),
		    .crl = crl_der(&ends.ca, NULL, 600),
		    .tickets = tls_tickets_new(secret_a, 20 * DAY)};
		struct tls_ctx *client = ends_client(&joe);
		struct tls_session *session = NULL;

		a.conf.client.mode = TLS_CLIENT_REQUIRED;
		asked_start(&a);
		assert_false(resumes(a.server, client, &session));
		assert_true(resumes(a.server, client, &session));
		/* Only we know of that time: OpenSSL finds all of it as good as before. */
		at((uint64_t)time(NULL) + 700);
		ends_meet(a.server, client, "a.example", &session);
		assert_false(tls_resumed(&ends.s));
		ends_part();
		clock_fake(0, 0);
		clock_tick();
		tls_session_unref(&session);
		tls_ctx_unref(&a.server);
		tls_ctx_unref(&client);
		tls_tickets_unref(&a.tickets);
	}
	identity_free(&joe);
}

static const struct CMUnitTest tests[] = {
    CASE(whoever_has_the_secret_resumes),
    CASE(keys_come_and_go_with_time),
    CASE(no_tickets_where_none_are_wanted),
    CASE(sessions_are_of_one_name),
    CASE(sessions_are_of_their_ciphers),
    CASE(sessions_end_with_the_lists),
    CASE(a_place_that_goes_is_forgotten),
    CASE(resumed_as_long_as_it_is_judged_alike),
};
RUN_TESTS(tests)
