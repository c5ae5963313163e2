/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates, keys, revocation lists and OCSP responses for tests, made by OpenSSL as they are
 * asked for. Included after harness.h. What is made lives until the program ends or is freed by its
 * OpenSSL function.
 */
#ifndef GW_TEST_PKI_H
#define GW_TEST_PKI_H

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "shm/base/buf.h"

#define PKI_NOW INT64_C(1795226400) /* 2026-11-21T02:00:00Z */
#define PKI_DAY INT64_C(86400)

struct pki_opts {
	const char *cn, *san; /* "DNS:a.test,URI:spiffe://d/x"; NULL: none */
	EVP_PKEY *key;
	X509 *issuer; /* NULL: signs itself */
	EVP_PKEY *issuer_key;
	bool ca;
	const char *eku;
	int64_t from, to; /* 0: yesterday, in 90 days */
	long serial;      /* 0: some */
};

UNUSED static EVP_PKEY *
pki_ec(void)
{
	return EVP_EC_gen("P-256");
}
UNUSED static EVP_PKEY *
pki_rsa(unsigned bits)
{
	return EVP_RSA_gen(bits);
}
UNUSED static EVP_PKEY *
pki_ed25519(void)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

UNUSED static void
pki_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

UNUSED static const EVP_MD *
pki_md(const EVP_PKEY *key)
{
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
}

UNUSED static X509 *
pki_cert(const struct pki_opts *o)
{
	static long serial = 1000;
	X509 *x = X509_new(), *issuer = o->issuer != NULL ? o->issuer : x;
	X509_NAME *name = X509_get_subject_name(x);
	EVP_PKEY *by = o->issuer_key != NULL ? o->issuer_key : o->key;

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), o->serial != 0 ? o->serial : serial++);
	if (o->cn != NULL)
		X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
		    (const unsigned char *)(uintptr_t)o->cn, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(issuer));
	ASN1_TIME_set(X509_getm_notBefore(x), o->from != 0 ? o->from : PKI_NOW - PKI_DAY);
	ASN1_TIME_set(X509_getm_notAfter(x), o->to != 0 ? o->to : PKI_NOW + 90 * PKI_DAY);
	X509_set_pubkey(x, o->key);
	if (o->ca)
		pki_ext(x, issuer, NID_basic_constraints, "critical,CA:TRUE");
	if (o->san != NULL)
		pki_ext(x, issuer, NID_subject_alt_name, o->san);
	if (o->eku != NULL)
		pki_ext(x, issuer, NID_ext_key_usage, o->eku);
	assert_true(X509_sign(x, by, pki_md(by)) > 0);
	return x;
}

/* --- texts: the caller frees (gbuf_free) ------------------------------------------------------ */

UNUSED static void
pki_take(BIO *b, struct gbuf *out)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);

	gbuf_put(out, p, (size_t)n);
	BIO_free(b);
}

UNUSED static void
pki_pem_cert(struct gbuf *out, X509 *x)
{
	BIO *b = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_X509(b, x), 1);
	pki_take(b, out);
}

UNUSED static void
pki_pem_key(struct gbuf *out, const EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL), 1);
	pki_take(b, out);
}

/* until: its nextUpdate; revoked: a serial, 0 none */
UNUSED static void
pki_pem_crl(struct gbuf *out, X509 *issuer, EVP_PKEY *key, int64_t until, long revoked)
{
	X509_CRL *crl = X509_CRL_new();
	BIO *b = BIO_new(BIO_s_mem());
	ASN1_TIME *t = ASN1_TIME_set(NULL, PKI_NOW - PKI_DAY);

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer));
	X509_CRL_set1_lastUpdate(crl, t);
	if (revoked != 0) {
		X509_REVOKED *r = X509_REVOKED_new();
		ASN1_INTEGER *serial = ASN1_INTEGER_new();

		ASN1_INTEGER_set(serial, revoked);
		X509_REVOKED_set_serialNumber(r, serial);
		X509_REVOKED_set_revocationDate(r, t);
		X509_CRL_add0_revoked(crl, r);
		ASN1_INTEGER_free(serial);
	}
	ASN1_TIME_set(t, until);
	X509_CRL_set1_nextUpdate(crl, t);
	ASN1_TIME_free(t);
	assert_true(X509_CRL_sign(crl, key, pki_md(key)) > 0);
	assert_int_equal(PEM_write_bio_X509_CRL(b, crl), 1);
	X509_CRL_free(crl);
	pki_take(b, out);
}

struct pki_ocsp_opts {
	X509 *leaf, *issuer, *signer; /* signer: NULL: the issuer */
	EVP_PKEY *key;                /* the signer's */
	int status;                   /* V_OCSP_CERTSTATUS_* */
	int64_t from, until;          /* 0: an hour ago, in a day; -1: no end */
};

UNUSED static void
pki_ocsp(struct gbuf *out, const struct pki_ocsp_opts *o)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), o->leaf, o->issuer);
	ASN1_TIME *from = ASN1_GENERALIZEDTIME_set(NULL, o->from != 0 ? o->from : PKI_NOW - 3600);
	ASN1_TIME *until =
	    ASN1_GENERALIZEDTIME_set(NULL, o->until != 0 ? o->until : PKI_NOW + PKI_DAY);
	ASN1_TIME *revoked = o->status == V_OCSP_CERTSTATUS_REVOKED
				 ? ASN1_GENERALIZEDTIME_set(NULL, PKI_NOW - 7200)
				 : NULL;
	OCSP_RESPONSE *r;
	unsigned char *der = NULL;
	int n;

	assert_non_null(OCSP_basic_add1_status(
	    basic, id, o->status, 0, revoked, from, o->until == -1 ? NULL : until));
	assert_int_equal(OCSP_basic_sign(basic, o->signer != NULL ? o->signer : o->issuer, o->key,
			     EVP_sha256(), NULL, o->signer != NULL ? 0 : OCSP_NOCERTS),
	    1);
	r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	n = i2d_OCSP_RESPONSE(r, &der);
	assert_true(n > 0);
	gbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(r);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	ASN1_TIME_free(revoked);
}

#endif
