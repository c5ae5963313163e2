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

static inline struct str
octets_str(const struct octets *o)
{
	return str_n(o->p, o->n);
}

/* --- certificates --- */

static inline void
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
static inline struct identity
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

static inline struct identity
identity_make(const char *name, const struct identity *issuer, const char *san, long days)
{
	return identity_new(EVP_EC_gen("P-256"), name, issuer, san, days * DAY, false);
}

static inline void
identity_free(struct identity *i)
{
	EVP_PKEY_free(i->key);
	X509_free(i->cert);
	*i = (struct identity){.key = NULL};
}

static inline void
octets_cert(struct octets *o, X509 *x)
{
	unsigned char *p = (unsigned char *)o->p + o->n;
	int n = i2d_X509(x, NULL);

	assert_true(n > 0 && o->n + (size_t)n <= sizeof(o->p));
	o->n += (size_t)i2d_X509(x, &p);
}

static inline struct octets
cert_der(const struct identity *i)
{
	struct octets o = {.n = 0};

	octets_cert(&o, i->cert);
	return o;
}

static inline struct octets
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
static inline struct octets
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

static inline struct tls_cert *
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

static inline void
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

/* A client that is OpenSSL's own, for what ours never does. Non-blocking: step with the loop. */
static inline SSL *
odd_client(SSL_CTX *ctx, int fd)
{
	SSL *ssl = SSL_new(ctx);

	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	SSL_set_connect_state(ssl);
	return ssl;
}

/* 1 done, 0 under way, -1 failed. */
static inline int
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
