/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests of TLS share: certificates made here, profiles of them, and two ends of a connection
 * in one loop. Included once by each program.
 */
#ifndef GW_TLS_KIT_H
#define GW_TLS_KIT_H

#include "test/unit/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "worker/net/tls.h"

#define assert_has(text, part) assert_non_null(strstr(text, part))
#define DAY                    (24 * 3600L)
#define KIT_DER                8192

struct identity {
	EVP_PKEY *key;
	X509 *cert;
};

struct octets {
	char p[KIT_DER];
	size_t n;
};

UNUSED static struct str
octets_str(const struct octets *o)
{
	return str_n(o->p, o->n);
}

/* --- certificates --- */

UNUSED static void
kit_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX v3;
	X509_EXTENSION *e;

	X509V3_set_ctx_nodb(&v3);
	X509V3_set_ctx(&v3, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &v3, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* issuer NULL: a CA of its own; `ca`: one below the issuer. san: "DNS:...", NULL: none. Good until
 * `seconds` from now. */
UNUSED static struct identity
identity_new(EVP_PKEY *key, const char *name, const struct identity *issuer, const char *san,
    long seconds, bool ca)
{
	struct identity i = {.key = key, .cert = X509_new()};
	static long serial;
	X509_NAME *subject;

	assert_non_null(i.key);
	assert_int_equal(X509_set_version(i.cert, 2), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(i.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(i.cert), -10 * DAY);
	X509_gmtime_adj(X509_getm_notAfter(i.cert), seconds);
	X509_set_pubkey(i.cert, i.key);
	subject = X509_get_subject_name(i.cert);
	X509_NAME_add_entry_by_txt(
	    subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(i.cert, issuer ? X509_get_subject_name(issuer->cert) : subject);
	if (!issuer || ca)
		kit_extension(i.cert, i.cert, NID_basic_constraints, "critical,CA:TRUE");
	if (san)
		kit_extension(i.cert, issuer ? issuer->cert : i.cert, NID_subject_alt_name, san);
	assert_true(X509_sign(i.cert, issuer ? issuer->key : i.key, EVP_sha256()) > 0);
	return i;
}

UNUSED static struct identity
identity_make(const char *name, const struct identity *issuer, const char *san, long days)
{
	return identity_new(EVP_EC_gen("P-256"), name, issuer, san, days * DAY, false);
}

UNUSED static void
identity_free(struct identity *i)
{
	EVP_PKEY_free(i->key);
	X509_free(i->cert);
	*i = (struct identity){.key = NULL};
}

UNUSED static void
octets_cert(struct octets *o, X509 *x)
{
	unsigned char *p = (unsigned char *)o->p + o->n;
	int n = i2d_X509(x, NULL);

	assert_true(n > 0 && o->n + (size_t)n <= sizeof(o->p));
	o->n += (size_t)i2d_X509(x, &p);
}

UNUSED static struct octets
cert_der(const struct identity *i)
{
	struct octets o = {.n = 0};

	octets_cert(&o, i->cert);
	return o;
}

UNUSED static struct octets
key_der(const struct identity *i)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(i->key);
	struct octets o = {.n = 0};
	unsigned char *p = (unsigned char *)o.p;

	o.n = (size_t)i2d_PKCS8_PRIV_KEY_INFO(info, &p);
	PKCS8_PRIV_KEY_INFO_free(info);
	return o;
}

/* A CRL of the CA; `revoked` may be NULL. */
UNUSED static struct octets
crl_der(const struct identity *ca, const struct identity *revoked, long seconds)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *at = X509_gmtime_adj(NULL, -DAY), *until = X509_gmtime_adj(NULL, seconds);
	struct octets o = {.n = 0};
	unsigned char *p = (unsigned char *)o.p;

	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert));
	X509_CRL_set1_lastUpdate(crl, at);
	X509_CRL_set1_nextUpdate(crl, until);
	if (revoked) {
		X509_REVOKED *r = X509_REVOKED_new();

		X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked->cert));
		X509_REVOKED_set_revocationDate(r, at);
		X509_CRL_add0_revoked(crl, r);
	}
	assert_true(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0);
	o.n = (size_t)i2d_X509_CRL(crl, &p);
	X509_CRL_free(crl);
	ASN1_TIME_free(at);
	ASN1_TIME_free(until);
	return o;
}

UNUSED static struct tls_cert *
cert_new(const struct identity *i, const char *ocsp, int64_t ocsp_until)
{
	struct octets chain = cert_der(i), key = key_der(i);
	struct bundle_cert b = {.chain = octets_str(&chain),
	    .key = octets_str(&key),
	    .ocsp = str_of(ocsp),
	    .ocsp_until = ocsp_until};
	const char *error = "";
	struct tls_cert *c = tls_cert_new(&b, &error);

	if (!c)
		fail_msg("%s", error);
	return c;
}

/* --- two ends in one loop --- */

UNUSED static void
pair_make(int fd[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
	fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[1], (struct sockaddr *)&a, n), 0);
	fd[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd[0] >= 0);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	close(listener);
}

struct shown {
	const char *name; /* "": of clients who ask for nobody that is there */
	struct tls_cert *cert;
};

static struct ends {
	struct identity ca, other_ca, leaf;
	struct loop *loop;
	struct shown shown[8];
	unsigned n_shown;
	char sni[256]; /* what pick was asked for */
	unsigned picks, events;
	struct stream s, c; /* the server's and the client's */
} ends;

UNUSED static unsigned
ends_pick(void *arg, struct str sni, struct tls_cert *v_r[TLS_PICK_MAX])
{
	unsigned n = 0;

	assert_ptr_equal(arg, &ends);
	ends.picks++;
	snprintf(ends.sni, sizeof(ends.sni), "%.*s", STR_ARG(sni));
	for (unsigned i = 0; i < ends.n_shown; i++)
		if (str_eq(sni, str_of(ends.shown[i].name)))
			v_r[n++] = tls_cert_ref(ends.shown[i].cert);
	for (unsigned i = 0; i < ends.n_shown && n == 0; i++)
		if (ends.shown[i].name[0] == '\0')
			v_r[n++] = tls_cert_ref(ends.shown[i].cert);
	return n;
}

UNUSED static void
ends_show(const char *name, struct tls_cert *cert)
{
	assert_true(ends.n_shown < ARRAY_LEN(ends.shown));
	ends.shown[ends.n_shown++] = (struct shown){name, cert};
}

UNUSED static void
ends_event(struct stream *s UNUSED)
{
	ends.events++;
}

UNUSED static struct conf_listener_tls
ends_conf(void)
{
	struct conf_listener_tls conf = {.enabled = true, .tickets = true};

	conf.min_version = TLS_1_2;
	conf.max_version = TLS_1_3;
	conf.client.depth = 3;
	return conf;
}

/* Of clients `ca` and `crl` may be NULL. */
UNUSED static struct tls_ctx *
ends_server(const struct conf_listener_tls *conf, const struct octets *ca, const struct octets *crl,
    struct tls_tickets *tickets)
{
	struct tls_server_opts o = {.conf = conf, .tickets = tickets, .pick = ends_pick};
	const char *error = "";
	struct tls_ctx *c;

	o.ca = ca ? octets_str(ca) : STR_NONE;
	o.crl = crl ? octets_str(crl) : STR_NONE;
	c = tls_server_new(&o, &error);
	if (!c)
		fail_msg("%s", error);
	return c;
}

/* Trusts ends.ca; own may be NULL. */
UNUSED static struct tls_ctx *
ends_client(const struct identity *own)
{
	struct conf_service_tls conf = {.verify = true, .min_version = TLS_1_2};
	struct octets ca = cert_der(&ends.ca), cert = {.n = 0}, key = {.n = 0};
	struct tls_client_opts o = {.conf = &conf};
	const char *error = "";
	struct tls_ctx *c;

	if (own) {
		cert = cert_der(own);
		key = key_der(own);
	}
	o.ca = octets_str(&ca);
	o.chain = octets_str(&cert);
	o.key = octets_str(&key);
	c = tls_client_new(&o, &error);
	if (!c)
		fail_msg("%s", error);
	return c;
}

UNUSED static void
ends_turn(void)
{
	loop_turn(ends.loop, 10);
}

UNUSED static void
ends_accept(int fd, struct tls_ctx *server)
{
	const char *error = "";

	assert_int_equal(stream_tcp_accept(&ends.s, ends.loop, fd, false, ends_event), 1);
	assert_int_equal(tls_accept(&ends.s, server, &ends, ends_event, &error), 1);
}

/* Both handshakes, however they end. */
UNUSED static void
ends_meet(
    struct tls_ctx *server, struct tls_ctx *client, const char *name, struct tls_session **session)
{
	struct tls_how how = {.name = str_of(name), .session = session};
	const char *error = "";
	int fd[2];

	pair_make(fd);
	ends_accept(fd[0], server);
	assert_int_equal(stream_tcp_accept(&ends.c, ends.loop, fd[1], false, ends_event), 1);
	assert_int_equal(tls_connect(&ends.c, client, &how, ends_event, &error), 1);
	for (unsigned i = 0; i < 200 && (ends.s.connecting || ends.c.connecting); i++)
		ends_turn();
	assert_false(ends.s.connecting || ends.c.connecting);
}

/* As read, but waits. */
UNUSED static ssize_t
ends_read(struct stream *s, void *p, size_t n)
{
	ssize_t got = STREAM_AGAIN;

	for (unsigned i = 0; i < 200 && (got = stream_read(s, p, n)) == STREAM_AGAIN; i++)
		ends_turn();
	return got;
}

UNUSED static void
ends_say(struct stream *from, struct stream *to, const char *text)
{
	struct iovec v = {(void *)(uintptr_t)text, strlen(text)};
	char buf[256];

	assert_int_equal(stream_write(from, &v, 1), v.iov_len);
	assert_int_equal(ends_read(to, buf, sizeof(buf)), v.iov_len);
	assert_memory_equal(buf, text, v.iov_len);
}

UNUSED static void
ends_part(void)
{
	stream_close(&ends.c);
	stream_close(&ends.s);
}

UNUSED static int
ends_setup(void **state)
{
	(void)state;
	ends.ca = identity_make("CA", NULL, NULL, 100);
	ends.other_ca = identity_make("another CA", NULL, NULL, 100);
	ends.leaf = identity_make("a", &ends.ca, "DNS:a.example,IP:127.0.0.1", 100);
	ends.loop = loop_new();
	ends_show("a.example", cert_new(&ends.leaf, NULL, 0));
	ends.s.watch.fd = ends.c.watch.fd = -1;
	return 0;
}

UNUSED static int
ends_teardown(void **state)
{
	(void)state;
	ends_part();
	for (unsigned i = 0; i < ends.n_shown; i++)
		tls_cert_unref(&ends.shown[i].cert);
	identity_free(&ends.ca);
	identity_free(&ends.other_ca);
	identity_free(&ends.leaf);
	loop_free(&ends.loop);
	ends = (struct ends){.n_shown = 0};
	return 0;
}

/* A client that is OpenSSL's own, for what ours never does. Non-blocking: step with the loop. */
UNUSED static SSL *
odd_client(SSL_CTX *ctx, int fd)
{
	SSL *ssl = SSL_new(ctx);

	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	SSL_set_connect_state(ssl);
	return ssl;
}

/* 1 done, 0 under way, -1 failed. */
UNUSED static int
odd_handshake(SSL *ssl)
{
	int rc, why;

	ERR_clear_error();
	rc = SSL_do_handshake(ssl);
	if (rc == 1)
		return 1;
	why = SSL_get_error(ssl, rc);
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

#endif
