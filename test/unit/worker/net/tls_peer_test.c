/* SPDX-License-Identifier: Apache-2.0
 *
 * Who the peer is: clients' certificates, and X.509-SVIDs on both sides.,
 * S-AI-1.
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
	struct identity whole = identity_make("x", &ends.ca, "URI:spiffe://prod.example", 10);
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
	kept_out(a.server, &whole, "its SPIFFE id has no path");
	kept_out(a.server, &ca, "");
	tls_ctx_unref(&a.server);
	identity_free(&good);
	identity_free(&none);
	identity_free(&two);
	identity_free(&other);
	identity_free(&longer);
	identity_free(&https);
	identity_free(&odd);
	identity_free(&whole);
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

/* RFC 9525 2: hosts are named by names of the kind for it alone. */
static void
a_common_name_is_no_host(void **state)
{
	struct identity cn = identity_make("a.example", &ends.ca, NULL, 10);
	struct conf_listener_tls conf = ends_conf();
	struct tls_ctx *server = ends_server(&conf, NULL, NULL, NULL), *client = ends_client(NULL);

	(void)state;
	ends_show("a.example", cert_new(&cn, NULL, 0));
	ends_meet(server, client, "a.example", NULL);
	assert_true(ends.c.refused);
	assert_int_equal(tls_failure(&ends.c), TLS_FAIL_CERTIFICATE);
	ends_part();
	tls_ctx_unref(&client);
	tls_ctx_unref(&server);
	identity_free(&cn);
}

static const struct CMUnitTest tests[] = {
    CASE(clients_prove_who_they_are),
    CASE(who_they_are_is_told),
    CASE(the_revoked_are_kept_out),
    CASE(an_issuer_may_be_trusted_alone_and_chains_be_too_long),
    CASE(svids_of_the_domain_are_let_in),
    CASE(servers_are_who_they_have_to_be),
    CASE(a_common_name_is_no_host),
};
RUN_TESTS(tests)
