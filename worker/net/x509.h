/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates and keys as files have them (PEM), made into what bundles have (DER), and what
 * people want to know of them. A library of the secrets process and of `gateway -t`; nothing here
 * is for a request's path. Octets are hostile: they are what somebody wrote into a file.
 */
#ifndef GW_X509_H
#define GW_X509_H

#include "conf/bundle.h"
#include "shm/base/buf.h"
#include "shm/base/ws.h"

/* What one certificate says, for people and for metrics. Slices in ws. */
struct x509_facts {
	struct str subject, issuer; /* RFC 2253 */
	struct str serial;          /* hex */
	struct str fingerprint;     /* SHA-256, hex */
	struct str key;             /* "EC P-256", "RSA 2048" */
	struct str spiffe;          /* the URI, where it is an X.509-SVID's; else empty */
	int64_t not_before, not_after;
	uint8_t key_type; /* enum bundle_key */
	struct str
	    *names; /* DNS names it is for, lower case; the common name where there is none */
	uint32_t n_names;
	uint32_t chain; /* certificates in the file */
};

/* All errors: a text for people without a word of the octets, static or kept until the next call.
 * Of a PEM text blocks of other kinds are passed over. der_r is untouched by what fails. */

/* Every certificate of a PEM text, the leaf first, as DER into der_r (appended). 1 or -1. */
int x509_chain(struct str pem, struct gbuf *der_r, const char **error_r) NODISCARD;
/* The same of a list of trusted certificates that nobody here wrote: those that are malformed are
 * passed over and counted. */
int x509_trusted(
    struct str pem, struct gbuf *der_r, unsigned *bad_r, const char **error_r) NODISCARD;
int x509_facts(struct str chain_der, struct x509_facts *f_r, struct ws *ws,
    const char **error_r) NODISCARD; /* of the leaf */
/* The first private key of a PEM text, as PKCS #8 DER. */
int x509_key(struct str pem, struct gbuf *der_r, const char **error_r) NODISCARD;
/* Does a PEM text have just these octets, of a chain or of a key? Nothing is decoded: who has
 * looked at them once need not again. A key in an older form is another. */
bool x509_same(struct str pem, bool key, struct str der);
/* Does the key belong to the chain's leaf, have keys and signatures this many bits of security
 * (tls_bits_min; 0: whatever they have), does each certificate's issuer follow it? The last is only
 * *warning_r. 1 or -1. */
int x509_pair(struct str chain_der, struct str key_der, unsigned bits, const char **warning_r,
    const char **error_r) NODISCARD;
/* Every CRL of a PEM text as DER; until_r: when the first one has to be replaced, 0 unknown. */
int x509_crls(struct str pem, struct gbuf *der_r, int64_t *until_r, const char **error_r) NODISCARD;
/* An OCSP response, DER or base64: good, for the chain's leaf, signed by its issuer (where the
 * chain has it), and not over. until_r: its nextUpdate. 0: it was, and nothing but its time is
 * wrong with it (*error_r says so). */
int x509_ocsp(struct str octets, struct str chain_der, int64_t now, struct gbuf *der_r,
    int64_t *until_r, const char **error_r) NODISCARD;

/* "2026-11-21T02:00:00Z", from seconds since 1970, until the next call; "?" for what is no time. */
const char *x509_day(int64_t at);

#endif
