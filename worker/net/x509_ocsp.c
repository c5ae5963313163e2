/* SPDX-License-Identifier: Apache-2.0
 *
 * OCSP responses before they are stapled (RFC 6960): what a client would refuse is not shown to it.
 */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <time.h>

#include "worker/net/x509_priv.h"

#define SKEW         300 /* s, of clocks */
#define RESPONSE_MAX (256 * 1024)

/* --- octets ----------------------------------------------------------------------------------- */

static int
base64_value(char c)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* Base64 over lines; a line of dashes (PEM) is passed over. */
static int
unbase64(struct str s, struct gbuf *out)
{
	uint32_t bits = 0;
	unsigned n = 0;
	struct str line;

	while (str_cut(&s, '\n', &line) == 1) {
		if (str_starts(line, STR("-----")))
			continue;
		for (size_t i = 0; i < line.n; i++) {
			int v = base64_value(line.p[i]);

			if (v < 0 && strchr("= \t\r", line.p[i]) == NULL)
				return -1;
			if (v < 0)
				continue;
			bits = bits << 6 | (uint32_t)v;
			n += 6;
			if (n >= 8)
				gbuf_u8(out, (uint8_t)(bits >> (n -= 8)));
		}
	}
	return out->n > 0 ? 1 : -1;
}

/* --- what it says ----------------------------------------------------------------------------- */

static OCSP_SINGLERESP *
answer_for(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *one = OCSP_resp_get0(basic, i);
		const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(one);
		ASN1_OBJECT *md = NULL;
		ASN1_INTEGER *serial = NULL;
		OCSP_CERTID *want;
		bool same;

		if (OCSP_id_get0_info(NULL, &md, NULL, &serial, (OCSP_CERTID *)(uintptr_t)id) != 1)
			continue;
		same = ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0;
		if (same && issuer != NULL) {
			want = OCSP_cert_to_id(EVP_get_digestbyobj(md), leaf, issuer);
			same = want != NULL && OCSP_id_cmp(want, id) == 0;
			OCSP_CERTID_free(want);
		}
		if (same)
			return one;
	}
	return NULL;
}

static const char *
answer_wrong(OCSP_SINGLERESP *one, int64_t now, int64_t *until_r)
{
	ASN1_GENERALIZEDTIME *revoked = NULL, *this = NULL, *next = NULL;
	int64_t from, until, when = 0;
	int reason = 0, status = OCSP_single_get0_status(one, &reason, &revoked, &this, &next);

	if (status == V_OCSP_CERTSTATUS_REVOKED)
		return x509_say("it says that the certificate is revoked, since %s",
		    x509_time(revoked, &when) ? x509_day(when) : "?");
	if (status != V_OCSP_CERTSTATUS_GOOD)
		return "it says that the certificate is not known";
	if (!x509_time(this, &from) || !x509_time(next, &until))
		return "it does not say until when it is good (nextUpdate)";
	if (from > now + SKEW)
		return x509_say("it is good from %s on only", x509_day(from));
	*until_r = until;
	return NULL;
}

/* Of the issuer, or of whom it gave the right to (RFC 6960 4.2.2.2), whose certificate the response
 * brings along. */
static const char *
signature_wrong(OCSP_BASICRESP *basic, X509 *issuer, int64_t now)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *certs = sk_X509_new_null();
	const char *wrong = "out of memory";

	if (store != NULL && certs != NULL && sk_X509_push(certs, issuer) > 0 &&
	    X509_STORE_add_cert(store, issuer) == 1) {
		X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)now);
		(void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
		wrong = NULL;
		if (OCSP_basic_verify(basic, certs, store, 0) != 1)
			wrong = x509_say("it is not signed by the certificate's issuer, nor by one "
					 "who may (%s)",
			    x509_reason());
	}
	sk_X509_free(certs);
	X509_STORE_free(store);
	return wrong;
}

static const char *
response_wrong(OCSP_RESPONSE *r, struct str chain, int64_t now, int64_t *until_r)
{
	OCSP_BASICRESP *basic = NULL;
	OCSP_SINGLERESP *one;
	const char *wrong;
	X509 *leaf, *issuer;

	if (OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		return x509_say(
		    "the responder refused: %s", OCSP_response_status_str(OCSP_response_status(r)));
	basic = OCSP_response_get1_basic(r);
	if (basic == NULL)
		return "malformed, or not a basic response";
	leaf = x509_next(&chain);
	issuer = leaf != NULL ? x509_next(&chain) : NULL;
	if (leaf != NULL && issuer == NULL && X509_check_issued(leaf, leaf) == X509_V_OK &&
	    X509_up_ref(leaf) == 1)
		issuer = leaf;
	one = leaf != NULL ? answer_for(basic, leaf, issuer) : NULL;
	wrong = one != NULL ? answer_wrong(one, now, until_r) : "it is for another certificate";
	if (wrong == NULL && issuer != NULL)
		wrong = signature_wrong(basic, issuer, now);
	X509_free(issuer);
	X509_free(leaf);
	OCSP_BASICRESP_free(basic);
	return wrong;
}

static const char *
der_wrong(struct str der, struct str chain, int64_t now, int64_t *until_r)
{
	const unsigned char *p = (const unsigned char *)der.p;
	OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)der.n);
	const char *wrong = "not an OCSP response (DER or base64)";

	if (r != NULL && (const char *)p == der.p + der.n)
		wrong = response_wrong(r, chain, now, until_r);
	OCSP_RESPONSE_free(r);
	ERR_clear_error();
	return wrong;
}

int
x509_ocsp(struct str octets, struct str chain_der, int64_t now, struct gbuf *der_r,
    int64_t *until_r, const char **error_r)
{
	struct gbuf plain = {0};
	const char *wrong = "not an OCSP response (DER or base64)";
	int64_t until = 0;
	int rc = 1;

	if (octets.n > 0 && octets.n <= RESPONSE_MAX && octets.p[0] == 0x30)
		gbuf_str(&plain, octets);
	else
		rc = octets.n <= RESPONSE_MAX ? unbase64(octets, &plain) : -1;
	if (rc == 1)
		wrong = der_wrong(str_n(plain.p, plain.n), chain_der, now, &until);
	rc = wrong != NULL ? -1 : until > now;
	if (rc == 1) {
		gbuf_str(der_r, str_n(plain.p, plain.n));
		*until_r = until;
	} else
		*error_r = rc < 0 ? wrong : x509_say("it was good until %s", x509_day(until));
	gbuf_free(&plain);
	return rc;
}
