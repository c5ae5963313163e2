/* SPDX-License-Identifier: Apache-2.0
 *
 * What a certificate says, and whether chain and key belong together.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "conf/tls.h"
#include "shm/base/enc.h"
#include "worker/net/x509_priv.h"

#define HOST_LEN 253

/* --- keys and times --------------------------------------------------------------------------- */

enum bundle_key
x509_key_type(const EVP_PKEY *key)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		return BUNDLE_KEY_RSA;
	case EVP_PKEY_EC:
		return BUNDLE_KEY_EC;
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		return BUNDLE_KEY_EDDSA;
	default:
		return BUNDLE_KEY_OTHER;
	}
}

void
x509_key_words(const EVP_PKEY *key, char *out, size_t cap)
{
	char group[64] = "";
	const char *nist;
	size_t n;

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		snprintf(out, cap, "RSA %d", EVP_PKEY_get_bits(key));
		return;
	case EVP_PKEY_RSA_PSS:
		snprintf(out, cap, "RSA-PSS %d", EVP_PKEY_get_bits(key));
		return;
	case EVP_PKEY_ED25519:
		snprintf(out, cap, "Ed25519");
		return;
	case EVP_PKEY_ED448:
		snprintf(out, cap, "Ed448");
		return;
	case EVP_PKEY_EC:
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), &n);
		nist = EC_curve_nid2nist(OBJ_sn2nid(group));
		snprintf(out, cap, "EC %s", nist != NULL ? nist : group);
		return;
	default:
		snprintf(out, cap, "other");
	}
}

bool
x509_time(const ASN1_TIME *t, int64_t *at_r)
{
	struct tm tm;

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*at_r = timegm(&tm);
	return true;
}

/* --- names ------------------------------------------------------------------------------------ */

/* As SNI asks for it: lower case, no dot at the end, a star only in front of the first dot. What is
 * no host name is none of ours. */
static bool
host_name(struct str s, struct ws *ws, struct str *name_r)
{
	struct str body;
	char *out;

	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n == 0 || s.n > HOST_LEN)
		return false;
	body = str_starts(s, STR("*.")) ? str_sub(s, 2, s.n) : s;
	if (body.n == 0 || body.p[0] == '.' || str_find(body, STR("..")) >= 0)
		return false;
	out = ws_bytes(ws, s.n);
	if (out == NULL)
		return false;
	for (size_t i = 0; i < s.n; i++)
		out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
	for (size_t i = s.n - body.n; i < s.n; i++) {
		char c = out[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
		    c != '.')
			return false;
	}
	*name_r = str_n(out, s.n);
	return true;
}

static struct str
asn1_str(const ASN1_STRING *s)
{
	return str_n((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* RFC 6125 6.4.4: the common name counts only where there is no name of the other kind. */
static void
common_name(X509 *x, struct x509_facts *f, struct ws *ws)
{
	const X509_NAME *subject = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), n;
	unsigned char *utf8 = NULL;

	if (at < 0)
		return;
	n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (n > 0 && host_name(str_n((char *)utf8, (size_t)n), ws, &f->names[0]))
		f->n_names = 1;
	OPENSSL_free(utf8);
}

/* X509-SVID 2: one URI, and that is the id. */
static void
spiffe_id(const GENERAL_NAMES *all, struct x509_facts *f, struct ws *ws)
{
	struct str id = STR_NONE;
	unsigned n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);

		if (g->type != GEN_URI)
			continue;
		id = asn1_str(g->d.uniformResourceIdentifier);
		n++;
	}
	if (n == 1 && tls_spiffe_wrong(id, false) == NULL)
		f->spiffe = ws_str(ws, id);
}

static bool
names_of(X509 *x, struct x509_facts *f, struct ws *ws)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int n = all != NULL ? sk_GENERAL_NAME_num(all) : 0;
	bool any = false;

	f->names = ws_zalloc(ws, (size_t)MAX(n, 1) * sizeof(f->names[0]));
	for (int i = 0; i < n && f->names != NULL; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);

		if (g->type != GEN_DNS)
			continue;
		any = true;
		if (host_name(asn1_str(g->d.dNSName), ws, &f->names[f->n_names]))
			f->n_names++;
	}
	if (all != NULL)
		spiffe_id(all, f, ws);
	GENERAL_NAMES_free(all);
	if (!any && f->names != NULL)
		common_name(x, f, ws);
	return f->names != NULL;
}

/* --- facts ------------------------------------------------------------------------------------ */

static struct str
name_words(const X509_NAME *name, struct ws *ws)
{
	BIO *b = BIO_new(BIO_s_mem());
	struct str s = STR("");
	char *p;
	long n;

	if (b == NULL)
		return s;
	if (X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253) >= 0) {
		n = BIO_get_mem_data(b, &p);
		s = ws_str(ws, str_n(p, (size_t)MAX(n, 0)));
	}
	BIO_free(b);
	return s;
}

static struct str
hex(const unsigned char *p, size_t n, struct ws *ws)
{
	char *out = ws_bytes(ws, 2 * n);

	if (out == NULL)
		return STR_NONE;
	enc_hex(p, n, out);
	return str_n(out, 2 * n);
}

/* They have been looked at: their lengths are enough. */
static uint32_t
count(struct str chain)
{
	uint32_t n = 0;
	int tag, class;
	long len;

	while (chain.n > 0) {
		const unsigned char *p = (const unsigned char *)chain.p;

		if ((ASN1_get_object(&p, &len, &tag, &class, (long)chain.n) & 0x80) != 0)
			break;
		chain = str_sub(chain, (size_t)((const char *)p - chain.p) + (size_t)len, chain.n);
		n++;
	}
	return n;
}

static const char *
leaf_facts(X509 *x, struct x509_facts *f, struct ws *ws)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	EVP_PKEY *key = X509_get0_pubkey(x);
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	char words[80];

	if (key == NULL)
		return "its public key is malformed, or of a kind that is not known";
	if (!x509_time(X509_get0_notBefore(x), &f->not_before) ||
	    !x509_time(X509_get0_notAfter(x), &f->not_after))
		return "its validity is malformed";
	if (X509_digest(x, EVP_sha256(), md, &n) != 1 || !names_of(x, f, ws))
		return "out of memory";
	f->subject = name_words(X509_get_subject_name(x), ws);
	f->issuer = name_words(X509_get_issuer_name(x), ws);
	f->serial = hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), ws);
	f->fingerprint = hex(md, n, ws);
	f->key_type = (uint8_t)x509_key_type(key);
	x509_key_words(key, words, sizeof(words));
	f->key = ws_str(ws, str_of(words));
	return NULL;
}

const char *
x509_day(int64_t at)
{
	static char text[32];
	time_t t = (time_t)at;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(text, sizeof(text), "%FT%TZ", &tm) == 0)
		return "?";
	return text;
}

int
x509_facts(struct str chain_der, struct x509_facts *f_r, struct ws *ws, const char **error_r)
{
	struct x509_facts f = {.spiffe = STR("")};
	X509 *x = x509_leaf(chain_der, error_r);
	const char *wrong;

	if (x == NULL)
		return -1;
	wrong = leaf_facts(x, &f, ws);
	X509_free(x);
	ERR_clear_error();
	if (wrong != NULL) {
		*error_r = wrong;
		return -1;
	}
	f.chain = count(chain_der);
	*f_r = f;
	return 1;
}

/* --- pairs ------------------------------------------------------------------------------------ */

static const char *
chain_warning(X509 *leaf, struct str rest)
{
	X509 *x = leaf, *next;
	const char *warning = NULL;
	unsigned n = 1;

	while (warning == NULL && (next = x509_next(&rest)) != NULL) {
		if (X509_check_issued(next, x) != X509_V_OK)
			warning = x509_say("the certificate behind the %s is not its issuer: "
					   "clients may not be able to verify it",
			    x509_nth(n));
		if (x != leaf)
			X509_free(x);
		x = next;
		n++;
	}
	if (x != leaf)
		X509_free(x);
	return warning;
}

/* As OpenSSL looks at it before it shows a certificate: whoever is signed by itself is not judged
 * by that signature. */
static const char *
weak_one(X509 *x, unsigned nth, unsigned bits)
{
	const EVP_PKEY *key = X509_get0_pubkey(x);
	int digest = NID_undef, sign = 0, has = -1;
	char kind[80];

	if (key != NULL && EVP_PKEY_get_security_bits(key) < (int)bits) {
		x509_key_words(key, kind, sizeof(kind));
		return x509_say("the key (%s) of the %s certificate is so weak that OpenSSL does "
				"not use it",
		    kind, x509_nth(nth));
	}
	if ((X509_get_extension_flags(x) & EXFLAG_SS) != 0)
		return NULL;
	if (X509_get_signature_info(x, &digest, &sign, &has, NULL) != 1)
		has = -1;
	if (has >= (int)bits)
		return NULL;
	return x509_say("the signature (%s) of the %s certificate is so weak that OpenSSL does "
			"not use it",
	    digest != NID_undef ? OBJ_nid2sn(digest) : "unknown", x509_nth(nth));
}

static const char *
weak(X509 *leaf, struct str rest, unsigned bits)
{
	const char *wrong = bits > 0 ? weak_one(leaf, 1, bits) : NULL;
	X509 *x;

	for (unsigned n = 2; bits > 0 && wrong == NULL && (x = x509_next(&rest)) != NULL; n++) {
		wrong = weak_one(x, n, bits);
		X509_free(x);
	}
	return wrong;
}

static const char *
pair(X509 *leaf, struct str key_der, struct str rest, unsigned bits, const char **warning_r)
{
	const unsigned char *p = (const unsigned char *)key_der.p;
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, (long)key_der.n);
	EVP_PKEY *public = X509_get0_pubkey(leaf);
	const char *wrong = NULL;

	if (key == NULL || public == NULL)
		wrong = key == NULL ? "the key is malformed, or of a kind that is not known"
				    : "the certificate's key is malformed";
	else if (EVP_PKEY_eq(key, public) != 1)
		wrong = "does not belong to the certificate";
	else
		wrong = weak(leaf, rest, bits);
	if (wrong == NULL)
		*warning_r = chain_warning(leaf, rest);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return wrong;
}

int
x509_pair(struct str chain_der, struct str key_der, unsigned bits, const char **warning_r,
    const char **error_r)
{
	const char *warning = NULL, *wrong;
	X509 *leaf = x509_next(&chain_der);

	if (leaf == NULL) {
		*error_r = "there is no certificate in it";
		return -1;
	}
	wrong = pair(leaf, key_der, chain_der, bits, &warning);
	X509_free(leaf);
	if (wrong != NULL) {
		*error_r = wrong;
		return -1;
	}
	*warning_r = warning;
	return 1;
}
