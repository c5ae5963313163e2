/* SPDX-License-Identifier: Apache-2.0
 *
 * DER octets become OpenSSL's objects: certificates with their keys, and what is trusted.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/list.h"
#include "worker/net/tls_priv.h"

STACK_OF(X509) * tls_certs(struct str der)
{
	STACK_OF(X509) *v = der.n > 0 ? sk_X509_new_null() : NULL;
	const unsigned char *p = (const unsigned char *)der.p, *end = der.n > 0 ? p + der.n : p;

	while (v != NULL && p < end) {
		X509 *x = d2i_X509(NULL, &p, (long)(end - p));

		if (x == NULL || sk_X509_push(v, x) <= 0) {
			X509_free(x);
			sk_X509_pop_free(v, X509_free);
			return NULL;
		}
	}
	return v;
}

/* --- certificates with their keys --- */

static EVP_PKEY *
key_of(struct str der)
{
	const unsigned char *p = (const unsigned char *)der.p;
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)der.n);
	EVP_PKEY *key = info != NULL ? EVP_PKCS82PKEY(info) : NULL;

	PKCS8_PRIV_KEY_INFO_free(info);
	return key;
}

static int
cert_fill(struct tls_cert *c, const struct bundle_cert *b, const char **error_r)
{
	c->chain = tls_certs(b->chain);
	if (c->chain == NULL)
		return tls_wrong("certificate", tls_reason(), error_r);
	c->leaf = sk_X509_shift(c->chain);
	c->key = key_of(b->key);
	if (c->key == NULL)
		return tls_wrong("key", tls_reason(), error_r);
	if (X509_check_private_key(c->leaf, c->key) != 1)
		return tls_wrong("key", "it does not belong to the certificate", error_r);
	if (b->ocsp.n > 0) {
		c->ocsp = xmalloc(b->ocsp.n);
		memcpy(c->ocsp, b->ocsp.p, b->ocsp.n);
		c->ocsp_n = b->ocsp.n;
		c->ocsp_until = b->ocsp_until;
	}
	return 1;
}

struct tls_cert *
tls_cert_new(const struct bundle_cert *b, const char **error_r)
{
	struct tls_cert *c = xcalloc(1, sizeof(*c));

	ERR_clear_error();
	c->refs = 1;
	if (cert_fill(c, b, error_r) < 0)
		tls_cert_unref(&c);
	return c;
}

struct tls_cert *
tls_cert_ref(struct tls_cert *c)
{
	c->refs++;
	return c;
}

void
tls_cert_unref(struct tls_cert **cp)
{
	struct tls_cert *c = *cp;

	*cp = NULL;
	if (c == NULL || --c->refs > 0)
		return;
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	free(c->ocsp);
	free(c);
}

/* --- trust --- */

struct tls_store {
	struct list node; /* in stores */
	unsigned refs;
	uint8_t what[HASH_SHA256];
	X509_STORE *x509;
	int64_t until; /* the first of its CRLs is over then; INT64_MAX: never */
};

/* Few are different however many profiles there are. */
static struct list stores = LIST_INIT(stores);

static int
store_certs(X509_STORE *x, struct str der, const char **error_r)
{
	STACK_OF(X509) *v = tls_certs(der);
	bool ok = v != NULL;

	for (int i = 0; ok && i < sk_X509_num(v); i++)
		ok = X509_STORE_add_cert(x, sk_X509_value(v, i)) == 1;
	sk_X509_pop_free(v, X509_free);
	return ok ? 1
		  : tls_wrong(
			"CA certificates", der.n > 0 ? tls_reason() : "there are none", error_r);
}

static void
store_until(struct tls_store *s, const X509_CRL *crl)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	struct tm tm;

	if (next != NULL && ASN1_TIME_to_tm(next, &tm) == 1)
		s->until = MIN(s->until, (int64_t)timegm(&tm));
}

static int
store_crls(struct tls_store *s, struct str der, const char **error_r)
{
	const unsigned char *p = (const unsigned char *)der.p, *end;
	bool ok = true;

	if (der.n == 0)
		return 1;
	end = p + der.n;
	while (ok && p < end) {
		X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)(end - p));

		ok = crl != NULL && X509_STORE_add_crl(s->x509, crl) == 1;
		if (ok)
			store_until(s, crl);
		X509_CRL_free(crl);
	}
	if (!ok)
		return tls_wrong("CRL", tls_reason(), error_r);
	X509_STORE_set_flags(s->x509, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return 1;
}

/* What is trusted need not be a root: an operator may trust one of its issuing CAs alone. */
static struct tls_store *
store_new(const uint8_t *what, struct str ca, struct str crl, const char **error_r)
{
	struct tls_store *s = xcalloc(1, sizeof(*s));

	s->refs = 1;
	s->until = INT64_MAX;
	list_init(&s->node);
	memcpy(s->what, what, sizeof(s->what));
	s->x509 = X509_STORE_new();
	if (s->x509 == NULL)
		(void)tls_wrong("CA certificates", tls_reason(), error_r);
	if (s->x509 == NULL || store_certs(s->x509, ca, error_r) < 0 ||
	    store_crls(s, crl, error_r) < 0) {
		tls_store_unref(&s);
		return NULL;
	}
	X509_STORE_set_flags(s->x509, X509_V_FLAG_PARTIAL_CHAIN);
	list_push(&stores, &s->node);
	return s;
}

struct tls_store *
tls_store_get(struct str ca, struct str crl, const char **error_r)
{
	const struct str v[] = {{(const char *)&ca.n, sizeof(ca.n)}, ca, crl};
	uint8_t what[HASH_SHA256];

	hash_sha256(v, ARRAY_LEN(v), what);
	list_each (n, &stores) {
		struct tls_store *s = container_of(n, struct tls_store, node);

		if (memcmp(s->what, what, sizeof(what)) == 0) {
			s->refs++;
			return s;
		}
	}
	return store_new(what, ca, crl, error_r);
}

void
tls_store_unref(struct tls_store **sp)
{
	struct tls_store *s = *sp;

	*sp = NULL;
	if (s == NULL || --s->refs > 0)
		return;
	list_del(&s->node);
	X509_STORE_free(s->x509);
	free(s);
}

bool
tls_store_over(const struct tls_store *s)
{
	return s != NULL && s->until <= (int64_t)(clock_wall_us() / 1000000);
}

X509_STORE *
tls_store_x509(struct tls_store *s)
{
	return s->x509;
}

STACK_OF(X509_NAME) * tls_ca_names(struct str ca)
{
	STACK_OF(X509) *v = tls_certs(ca);
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();

	for (int i = 0; v != NULL && names != NULL && i < sk_X509_num(v); i++) {
		X509_NAME *name = X509_NAME_dup(X509_get_subject_name(sk_X509_value(v, i)));

		if (name == NULL || sk_X509_NAME_push(names, name) <= 0)
			X509_NAME_free(name);
	}
	sk_X509_pop_free(v, X509_free);
	return names;
}
