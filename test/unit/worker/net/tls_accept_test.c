/* SPDX-License-Identifier: Apache-2.0
 *
 * Profiles of listeners: which certificate is shown to whom, and what is agreed., S-SEC-4,
 * E-8, S-EC-1.
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

static const struct CMUnitTest tests[] = {
    CASE(a_name_picks_its_certificate),
    CASE(nobody_to_show),
    CASE(two_kinds_of_key_side_by_side),
    CASE(a_response_is_stapled_while_it_is_good),
    CASE(a_protocol_in_common),
    CASE(versions_and_ciphers_are_what_is_set),
    CASE(words_openssl_does_not_know),
};
RUN_TESTS(tests)
