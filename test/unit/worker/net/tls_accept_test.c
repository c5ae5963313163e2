/* SPDX-License-Identifier: Apache-2.0
 *
 * Profiles of listeners: which certificate is shown to whom, what is agreed, tickets, clients'
 * certificates, SPIFFE on both sides., S-SEC-4, E-8, S-EC-1, R-7.1.
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

/* --- OpenSSL's client, for what ours does not do --- */

struct odd {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd, rc;
};

static struct odd
odd_meet(struct tls_ctx *server, const char *sni, void (*dress)(SSL *ssl))
{
	struct odd o = {.ctx = SSL_CTX_new(TLS_client_method())};
	int fd[2];

	pair_make(fd);
	o.fd = fd[1];
	o.ssl = odd_client(o.ctx, fd[1]);
	if (sni)
		SSL_set_tlsext_host_name(o.ssl, sni);
	if (dress)
		dress(o.ssl);
	ends_accept(fd[0], server);
	for (unsigned i = 0; i < 200 && (ends.s.connecting || o.rc == 0); i++) {
		if (o.rc == 0)
			o.rc = odd_handshake(o.ssl);
		if (ends.s.connecting)
			ends_turn();
	}
	return o;
}

static void
odd_part(struct odd *o)
{
	SSL_free(o->ssl);
	SSL_CTX_free(o->ctx);
	close(o->fd);
	stream_close(&ends.s);
}

/* --- SNI --- */

static void
asked_for(struct tls_ctx *server, const char *sni, const char *pick_saw, const char *cn)
{
	struct odd o = odd_meet(server, sni, NULL);
	char name[64] = "";

	assert_int_equal(o.rc, 1);
	assert_string_equal(ends.sni, pick_saw);
	X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(o.ssl)),
	    NID_commonName, name, sizeof(name));
	assert_string_equal(name, cn);
	fact(tls_facts(&ends.s)->sni, pick_saw);
	odd_part(&o);
}

static void
a_name_picks_its_certificate(void **state)
{
	struct identity b = identity_make("b", &ends.ca, "DNS:b.example", 10);
	struct identity other = identity_make("other", &ends.ca, "DNS:other.example", 10);

	(void)state;
	ends_show("b.example", cert_new(&b, NULL, 0));
	ends_show("", cert_new(&other, NULL, 0));
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct conf_listener_tls conf = conf_of(versions[i]);
		struct tls_ctx *server = ends_server(&conf, NULL, NULL, NULL);

		asked_for(server, "a.example", "a.example", "a");
		asked_for(server, "B.eXample", "b.example", "b");
		asked_for(server, "b.example.", "b.example", "b");
		asked_for(server, "c.example", "c.example", "other");
		asked_for(server, "a example", "", "other");
		asked_for(server, "a.example\x01", "", "other");
		asked_for(server, NULL, "", "other");
		tls_ctx_unref(&server);
	}
	identity_free(&b);
	identity_free(&other);
}

static void
nobody_to_show(void **state)
{
	struct tls_ctx *client = ends_client(NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct conf_listener_tls conf = conf_of(versions[i]);
		struct tls_ctx *server = ends_server(&conf, NULL, NULL, NULL);

		ends_meet(server, client, "unknown.example", NULL);
		assert_true(ends.s.refused && ends.c.refused);
		assert_int_equal(tls_failure(&ends.s), TLS_FAIL_NAME);
		assert_has(tls_error(&ends.s), "no certificate for \"unknown.example\"");
		assert_int_equal(tls_failure(&ends.c), TLS_FAIL_REFUSED);
		assert_has(tls_error(&ends.c), "unrecognized name");
		assert_null(tls_facts(&ends.s));
		ends_part();
		tls_ctx_unref(&server);
	}
	tls_ctx_unref(&client);
}

static void
only_rsa(SSL *ssl)
{
	assert_int_equal(SSL_set1_sigalgs_list(ssl, "RSA-PSS+SHA256:RSA+SHA256"), 1);
	SSL_set_cipher_list(ssl, "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256");
}

static void
only_ec(SSL *ssl)
{
	assert_int_equal(SSL_set1_sigalgs_list(ssl, "ECDSA+SHA256"), 1);
}

static void
two_kinds_of_key_side_by_side(void **state)
{
	struct identity rsa =
	    identity_new(EVP_RSA_gen(2048), "rsa", &ends.ca, "DNS:a.example", 10 * DAY, false);

	(void)state;
	ends_show("a.example", cert_new(&rsa, NULL, 0));
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct conf_listener_tls conf = conf_of(versions[i]);
		struct tls_ctx *server = ends_server(&conf, NULL, NULL, NULL);
		struct odd o = odd_meet(server, "a.example", only_rsa);

		assert_int_equal(o.rc, 1);
		assert_int_equal(
		    EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(o.ssl))),
		    EVP_PKEY_RSA);
		odd_part(&o);
		o = odd_meet(server, "a.example", only_ec);
		assert_int_equal(o.rc, 1);
		assert_int_equal(
		    EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(o.ssl))),
		    EVP_PKEY_EC);
		odd_part(&o);
		tls_ctx_unref(&server);
	}
	identity_free(&rsa);
}

/* --- OCSP --- */

static void
wants_status(SSL *ssl)
{
	SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
}

static void
stapled(struct tls_ctx *server, void (*dress)(SSL *ssl), const char *wanted)
{
	struct odd o = odd_meet(server, "s.example", dress);
	const unsigned char *p = NULL;
	long n = SSL_get_tlsext_status_ocsp_resp(o.ssl, &p);

	assert_int_equal(o.rc, 1);
	assert_int_equal(n, wanted ? (long)strlen(wanted) : -1);
	if (wanted)
		assert_memory_equal(p, wanted, strlen(wanted));
	odd_part(&o);
}

static void
a_response_is_stapled_while_it_is_good(void **state)
{
	struct identity ec = identity_make("ec", &ends.ca, "DNS:s.example", 10);
	struct identity rsa =
	    identity_new(EVP_RSA_gen(2048), "rsa", &ends.ca, "DNS:s.example", 10 * DAY, false);
	int64_t until = (int64_t)(clock_wall_us() / 1000000) + 100;

	(void)state;
	ends_show("s.example", cert_new(&ec, "of the first", until));
	ends_show("s.example", cert_new(&rsa, "of the second", until));
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct conf_listener_tls conf = conf_of(versions[i]);
		struct tls_ctx *server = ends_server(&conf, NULL, NULL, NULL);

		stapled(server, NULL, NULL);
		stapled(server, wants_status, "of the first");
		clock_fake(clock_ns(), (uint64_t)(until + 1) * 1000000);
		stapled(server, wants_status, NULL);
		clock_fake(0, 0);
		clock_tick();
		tls_ctx_unref(&server);
	}
	identity_free(&ec);
	identity_free(&rsa);
}

/* --- what is agreed --- */

static void
offers_h1(SSL *ssl)
{
	SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
}
static void
offers_h2_alone(SSL *ssl)
{
	SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2", 3);
}

static void
a_protocol_in_common(void **state)
{
	struct conf_listener_tls conf = ends_conf();
	struct tls_ctx *server = ends_server(&conf, NULL, NULL, NULL);
	struct odd o = odd_meet(server, "a.example", offers_h1);

	(void)state;
	assert_int_equal(o.rc, 1);
	fact(tls_facts(&ends.s)->alpn, "http/1.1");
	odd_part(&o);
	o = odd_meet(server, "a.example", NULL);
	assert_int_equal(o.rc, 1);
	fact(tls_facts(&ends.s)->alpn, "");
	odd_part(&o);
	o = odd_meet(server, "a.example", offers_h2_alone);
	assert_int_equal(o.rc, -1);
	assert_int_equal(tls_failure(&ends.s), TLS_FAIL_ALPN);
	odd_part(&o);
	tls_ctx_unref(&server);
}

static void
at_most_1_2(SSL *ssl)
{
	SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
}
static void
at_most_1_1(SSL *ssl)
{
	SSL_set_security_level(ssl, 0);
	SSL_set_min_proto_version(ssl, TLS1_VERSION);
	SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
}
static void
old_ciphers(SSL *ssl)
{
	at_most_1_2(ssl);
	SSL_set_cipher_list(ssl, "AES128-SHA:ECDHE-ECDSA-AES128-SHA");
}

static void
not_met(struct tls_ctx *server, void (*dress)(SSL *ssl), enum tls_failure why)
{
	struct odd o = odd_meet(server, "a.example", dress);

	assert_int_equal(o.rc, -1);
	assert_true(ends.s.refused);
	assert_int_equal(tls_failure(&ends.s), why);
	odd_part(&o);
}

static void
versions_and_ciphers_are_what_is_set(void **state)
{
	struct conf_listener_tls conf = ends_conf();
	struct tls_ctx *server = ends_server(&conf, NULL, NULL, NULL);
	struct odd o = odd_meet(server, "a.example", NULL);

	(void)state;
	fact(tls_facts(&ends.s)->version, "TLSv1.3");
	fact(tls_facts(&ends.s)->cipher, "TLS_AES_128_GCM_SHA256");
	odd_part(&o);
	o = odd_meet(server, "a.example", at_most_1_2);
	fact(tls_facts(&ends.s)->version, "TLSv1.2");
	fact(tls_facts(&ends.s)->cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
	odd_part(&o);
	not_met(server, at_most_1_1, TLS_FAIL_VERSION);
	not_met(server, old_ciphers, TLS_FAIL_VERSION);
	tls_ctx_unref(&server);

	conf.min_version = TLS_1_3;
	conf.ciphersuites = STR("TLS_CHACHA20_POLY1305_SHA256");
	conf.groups = STR("P-384");
	server = ends_server(&conf, NULL, NULL, NULL);
	not_met(server, at_most_1_2, TLS_FAIL_VERSION);
	o = odd_meet(server, "a.example", NULL); /* by way of a retry: its first guess is X25519 */
	assert_int_equal(o.rc, 1);
	fact(tls_facts(&ends.s)->cipher, "TLS_CHACHA20_POLY1305_SHA256");
	odd_part(&o);
	tls_ctx_unref(&server);
}

static void
words_openssl_does_not_know(void **state)
{
	struct conf_listener_tls conf = ends_conf();

	(void)state;
	assert_null(tls_words_wrong(&conf));
	conf.ciphers = STR("ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:@STRENGTH");
	assert_null(tls_words_wrong(&conf));
	conf.ciphers = STR("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-NONSENSE");
	assert_has(tls_words_wrong(&conf), "ciphers: not what OpenSSL knows: ECDHE-RSA");
	conf = ends_conf();
	conf.ciphersuites = STR("TLS_AES_128_GCM_SHA256:TLS_NONSENSE");
	assert_has(tls_words_wrong(&conf), "ciphersuites");
	conf = ends_conf();
	conf.groups = STR("X25519:P-1");
	assert_has(tls_words_wrong(&conf), "groups");
	conf = ends_conf();
	conf.min_version = TLS_1_3;
	conf.max_version = TLS_1_2;
	assert_has(tls_words_wrong(&conf), "versions: the least is above the highest");
}

/* --- tickets --- */

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
met(struct tls_ctx *server, const struct identity *own)
{
	struct tls_ctx *client = ends_client(own);
	char buf[8];

	ends_meet(server, client, "a.example", NULL);
	/* In TLS 1.3 a client hears of a refusal after its side of the handshake. */
	if (ends.s.refused && !ends.c.refused)
		assert_int_equal(ends_read(&ends.c, buf, sizeof(buf)), STREAM_ERROR);
	tls_ctx_unref(&client);
}

static void
let_in(struct tls_ctx *server, const struct identity *own)
{
	met(server, own);
	if (ends.s.refused)
		fail_msg("%s", tls_error(&ends.s));
	assert_int_equal(tls_facts(&ends.s)->peer, own != NULL);
	ends_part();
}

static void
kept_out(struct tls_ctx *server, const struct identity *own, const char *words)
{
	met(server, own);
	assert_true(ends.s.refused);
	assert_has(tls_error(&ends.s), words);
	assert_int_equal(tls_failure(&ends.s), TLS_FAIL_CERTIFICATE);
	assert_int_equal(tls_failure(&ends.c), TLS_FAIL_REFUSED);
	ends_part();
}

static void
clients_prove_who_they_are(void **state)
{
	struct identity good = identity_make("joe", &ends.ca, "email:joe@a.example,DNS:joe", 10);
	struct identity old = identity_make("old", &ends.ca, NULL, -1);
	struct identity foreign = identity_make("foreign", &ends.other_ca, NULL, 10);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct asked a = {.conf = conf_of(versions[i]), .ca = cert_der(&ends.ca)};

		a.conf.client.mode = TLS_CLIENT_REQUIRED;
		asked_start(&a);
		let_in(a.server, &good);
		kept_out(a.server, NULL, "peer did not return a certificate");
		kept_out(a.server, &old, "certificate is refused: certificate has expired");
		kept_out(a.server, &foreign, "certificate is refused: unable to get");
		tls_ctx_unref(&a.server);

		a.conf.client.mode = TLS_CLIENT_OPTIONAL;
		asked_start(&a);
		let_in(a.server, &good);
		let_in(a.server, NULL);
		kept_out(a.server, &foreign, "certificate is refused: unable to get");
		tls_ctx_unref(&a.server);
	}
	identity_free(&good);
	identity_free(&old);
	identity_free(&foreign);
}

static void
who_they_are_is_told(void **state)
{
	struct identity joe =
	    identity_make("joe", &ends.ca, "email:joe@a.example,DNS:x.example,DNS:y.example", 10);
	struct asked a = {.conf = ends_conf(), .ca = cert_der(&ends.ca)};
	const struct tls_facts *f;

	(void)state;
	a.conf.client.mode = TLS_CLIENT_REQUIRED;
	asked_start(&a);
	met(a.server, &joe);
	f = tls_facts(&ends.s);
	assert_ptr_equal(f, tls_facts(&ends.s));
	assert_true(f->peer && !f->resumed);
	fact(f->subject, "CN=joe");
	fact(f->issuer, "CN=CA");
	fact(f->email, "joe@a.example");
	fact(f->dns, "x.example");
	fact(f->spiffe, "");
	fact(f->sni, "a.example");
	assert_int_equal(f->fingerprint.n, 64);
	assert_int_equal(f->not_after.n, 20);
	assert_true(f->serial.n > 0);
	ends_part();
	tls_ctx_unref(&a.server);
	identity_free(&joe);
}

static void
the_revoked_are_kept_out(void **state)
{
	struct identity good = identity_make("good", &ends.ca, NULL, 10);
	struct identity bad = identity_make("bad", &ends.ca, NULL, 10);
	struct asked a = {.conf = ends_conf(),
	    .ca = cert_der(&ends.ca),
	    .crl = crl_der(&ends.ca, &bad, 10 * DAY)};

	(void)state;
	a.conf.client.mode = TLS_CLIENT_OPTIONAL;
	asked_start(&a);
	let_in(a.server, &good);
	kept_out(a.server, &bad, "certificate revoked");
	tls_ctx_unref(&a.server);

	a.crl = crl_der(&ends.ca, NULL, -1);
	asked_start(&a);
	kept_out(a.server, &good, "CRL has expired");
	tls_ctx_unref(&a.server);

	a.crl = crl_der(&ends.other_ca, NULL, DAY);
	asked_start(&a);
	kept_out(a.server, &good, "unable to get certificate CRL");
	tls_ctx_unref(&a.server);
	identity_free(&good);
	identity_free(&bad);
}

static void
an_issuer_may_be_trusted_alone_and_chains_be_too_long(void **state)
{
	struct identity issuer =
	    identity_new(EVP_EC_gen("P-256"), "issuer", &ends.ca, NULL, 10 * DAY, true);
	struct identity joe = identity_make("joe", &issuer, NULL, 10);
	struct asked a = {.conf = ends_conf(), .ca = cert_der(&issuer)};

	(void)state;
	a.conf.client.mode = TLS_CLIENT_REQUIRED;
	a.conf.client.depth = 0;
	asked_start(&a);
	let_in(a.server, &joe);
	tls_ctx_unref(&a.server);
	a.ca = cert_der(&ends.ca);
	asked_start(&a);
	kept_out(a.server, &joe, "certificate is refused"); /* it did not send its issuer */
	tls_ctx_unref(&a.server);
	octets_cert(&a.ca, issuer.cert);
	asked_start(&a);
	let_in(a.server, &joe);
	tls_ctx_unref(&a.server);
	identity_free(&joe);
	identity_free(&issuer);
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

/* --- SPIFFE, S-AI-1 --- */

#define BILLING "spiffe://prod.example/billing"

static void
svids_of_the_domain_are_let_in(void **state)
{
	struct identity good = identity_make("x", &ends.ca, "URI:" BILLING, 10);
	struct identity none = identity_make("x", &ends.ca, "DNS:prod.example", 10);
	struct identity two = identity_make("x", &ends.ca, "URI:" BILLING ",URI:" BILLING "2", 10);
	struct identity other = identity_make("x", &ends.ca, "URI:spiffe://test.example/b", 10);
	struct identity longer =
	    identity_make("x", &ends.ca, "URI:spiffe://prod.example.evil/b", 10);
	struct identity https = identity_make("x", &ends.ca, "URI:https://prod.example/b", 10);
	struct identity odd = identity_make("x", &ends.ca, "URI:" BILLING "/../root", 10);
	struct identity ca =
	    identity_new(EVP_EC_gen("P-256"), "x", &ends.ca, "URI:" BILLING, 10 * DAY, true);
	struct asked a = {.conf = ends_conf(), .ca = cert_der(&ends.ca)};

	(void)state;
	a.conf.client.mode = TLS_CLIENT_REQUIRED;
	a.conf.client.trust_domain = STR("prod.example");
	asked_start(&a);
	met(a.server, &good);
	assert_false(ends.s.refused);
	fact(tls_facts(&ends.s)->spiffe, BILLING);
	ends_part();
	kept_out(a.server, &none, "it has no SPIFFE id");
	kept_out(a.server, &two, "it has more than one URI");
	kept_out(a.server, &other, "it is of another trust domain");
	kept_out(a.server, &longer, "it is of another trust domain");
	kept_out(a.server, &https, "it has no SPIFFE id");
	kept_out(a.server, &odd, "its SPIFFE id is malformed");
	kept_out(a.server, &ca, "");
	tls_ctx_unref(&a.server);
	identity_free(&good);
	identity_free(&none);
	identity_free(&two);
	identity_free(&other);
	identity_free(&longer);
	identity_free(&https);
	identity_free(&odd);
	identity_free(&ca);
}

static struct tls_ctx *
spiffe_client(const char *domain, const char *id)
{
	struct str one = str_of(id);
	struct conf_service_tls conf = {.verify = true, .min_version = TLS_1_2};
	struct octets ca = cert_der(&ends.ca);
	struct tls_client_opts o = {.conf = &conf, .ca = octets_str(&ca)};
	const char *error = "";
	struct tls_ctx *c;

	conf.spiffe.trust_domain = str_of(domain);
	conf.spiffe.ids = (struct strs){.v = &one, .n = id ? 1 : 0};
	c = tls_client_new(&o, &error);
	assert_non_null(c);
	return c;
}

static void
server_is(struct tls_ctx *server, const char *domain, const char *id, const char *refusal)
{
	struct tls_ctx *client = spiffe_client(domain, id);

	ends_meet(server, client, "", NULL);
	assert_int_equal(ends.c.refused, refusal != NULL);
	if (refusal) {
		assert_has(tls_error(&ends.c), refusal);
		assert_int_equal(tls_failure(&ends.c), TLS_FAIL_CERTIFICATE);
	} else {
		fact(tls_facts(&ends.c)->spiffe, BILLING);
	}
	ends_part();
	tls_ctx_unref(&client);
}

static void
servers_are_who_they_have_to_be(void **state)
{
	struct identity svid = identity_make("x", &ends.ca, "URI:" BILLING, 10);
	struct tls_tickets *tickets = tls_tickets_new(secret_a, 3600);
	struct conf_listener_tls conf = ends_conf();
	struct tls_ctx *server = ends_server(&conf, NULL, NULL, tickets), *client;
	struct tls_session *session = NULL;

	(void)state;
	ends_show("", cert_new(&svid, NULL, 0));
	server_is(server, "prod.example", NULL, NULL);
	server_is(server, "prod.example", BILLING, NULL);
	server_is(server, "prod.example", "spiffe://prod.example/*", NULL);
	server_is(server, "prod.example", "spiffe://prod.example/payments", "not among those");
	server_is(server, "test.example", NULL, "another trust domain");

	client = spiffe_client("prod.example", BILLING);
	ends_meet(server, client, "", &session);
	ends_say(&ends.s, &ends.c, "a ticket");
	ends_part();
	assert_non_null(session);
	ends_meet(server, client, "", &session);
	assert_true(tls_facts(&ends.c)->resumed);
	fact(tls_facts(&ends.c)->spiffe, BILLING);
	ends_part();
	tls_ctx_unref(&client);
	client = spiffe_client("prod.example", "spiffe://prod.example/payments");
	ends_meet(server, client, "", &session);
	assert_true(ends.c.refused);
	ends_part();
	tls_session_unref(&session);
	tls_ctx_unref(&client);
	tls_ctx_unref(&server);
	tls_tickets_unref(&tickets);
	identity_free(&svid);
}

static const struct CMUnitTest tests[] = {
    CASE(a_name_picks_its_certificate),
    CASE(nobody_to_show),
    CASE(two_kinds_of_key_side_by_side),
    CASE(a_response_is_stapled_while_it_is_good),
    CASE(a_protocol_in_common),
    CASE(versions_and_ciphers_are_what_is_set),
    CASE(words_openssl_does_not_know),
    CASE(whoever_has_the_secret_resumes),
    CASE(keys_come_and_go_with_time),
    CASE(no_tickets_where_none_are_wanted),
    CASE(sessions_are_of_one_name),
    CASE(a_place_that_goes_is_forgotten),
    CASE(clients_prove_who_they_are),
    CASE(who_they_are_is_told),
    CASE(the_revoked_are_kept_out),
    CASE(an_issuer_may_be_trusted_alone_and_chains_be_too_long),
    CASE(resumed_as_long_as_it_is_judged_alike),
    CASE(svids_of_the_domain_are_let_in),
    CASE(servers_are_who_they_have_to_be),
};
RUN_TESTS(tests)
