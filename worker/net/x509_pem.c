/* SPDX-License-Identifier: Apache-2.0
 *
 * PEM to DER: chains, keys and revocation lists. Blocks of another kind are passed over, so that
 * one file may hold a chain and its key. Whatever of a key lies in our memory is wiped.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>

#include "worker/net/x509_priv.h"

/* --- words ------------------------------------------------------------------------------------ */

static struct x509_words {
	char text[512], nth[16];
} words;

const char *
x509_say(const char *fmt, ...)
{
	char text[sizeof(words.text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(words.text, text, sizeof(text));
	ERR_clear_error();
	return words.text;
}

const char *
x509_reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = e != 0 ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return text != NULL ? text : "no reason given";
}

const char *
x509_nth(unsigned n)
{
	static const char *const few[] = {"th", "st", "nd", "rd"};
	bool teen = n % 100 >= 11 && n % 100 <= 13;

	snprintf(words.nth, sizeof(words.nth), "%u%s", n, few[teen || n % 10 > 3 ? 0 : n % 10]);
	return words.nth;
}

/* --- blocks ----------------------------------------------------------------------------------- */

struct block {
	char *name, *header;
	unsigned char *der;
	long n;
};

#define FLAGS (PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE) /* given back wiped */

static void
block_free(struct block *b)
{
	OPENSSL_secure_free(b->name);
	OPENSSL_secure_free(b->header);
	OPENSSL_secure_clear_free(b->der, (size_t)b->n);
	*b = (struct block){.name = NULL};
}

/* 1, 0 at the end, -1 malformed. */
static int
block_next(BIO *bio, struct block *b_r)
{
	struct block b = {.name = NULL};

	ERR_clear_error();
	if (PEM_read_bio_ex(bio, &b.name, &b.header, &b.der, &b.n, FLAGS) == 1) {
		*b_r = b;
		return 1;
	}
	return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? 0 : -1;
}

static BIO *
bio_of(struct str pem, const char **error_r)
{
	BIO *bio = NULL;

	if (pem.n > 0 && pem.n <= BUNDLE_MAX)
		bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (bio == NULL)
		*error_r = pem.n == 0 ? "empty" : "too large";
	return bio;
}

/* 1 taken, 0 none of ours, -1 with *error_r; `nth` of the kind it is. */
typedef int block_f(const struct block *b, unsigned nth, void *arg, const char **error_r);

/* How many were taken, or -1. */
static int
blocks_each(struct str pem, block_f *fn, void *arg, const char **error_r)
{
	BIO *bio = bio_of(pem, error_r);
	struct block b;
	int n = 0, got, taken = 0;

	if (bio == NULL)
		return -1;
	while (taken >= 0 && (got = block_next(bio, &b)) == 1) {
		taken = fn(&b, (unsigned)n + 1, arg, error_r);
		n += taken == 1;
		block_free(&b);
	}
	BIO_free(bio);
	if (taken >= 0 && got < 0) {
		*error_r = x509_say("not well-formed PEM: %s", x509_reason());
		return -1;
	}
	ERR_clear_error();
	return taken < 0 ? -1 : n;
}

static bool
is_any(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/* --- certificates ----------------------------------------------------------------------------- */

X509 *
x509_next(struct str *rest)
{
	const unsigned char *p = (const unsigned char *)rest->p;
	X509 *x = NULL;

	ERR_clear_error();
	if (rest->n > 0)
		x = d2i_X509(NULL, &p, (long)rest->n);
	if (x != NULL)
		*rest = str_sub(*rest, (size_t)((const char *)p - rest->p), rest->n);
	ERR_clear_error();
	return x;
}

X509 *
x509_leaf(struct str chain, const char **error_r)
{
	X509 *x = x509_next(&chain);

	if (x == NULL)
		*error_r = "there is no certificate in it";
	return x;
}

static int
take_cert(const struct block *b, unsigned nth, void *arg, const char **error_r)
{
	static const char *const names[] = {PEM_STRING_X509, PEM_STRING_X509_OLD, NULL};
	struct str der = str_n((const char *)b->der, (size_t)b->n), rest = der;
	X509 *x;

	if (!is_any(b->name, names))
		return 0;
	x = x509_next(&rest);
	if (x == NULL || rest.n > 0) {
		X509_free(x);
		*error_r = x509_say("the %s certificate in it is malformed", x509_nth(nth));
		return -1;
	}
	X509_free(x);
	gbuf_str(arg, der);
	return 1;
}

int
x509_chain(struct str pem, struct gbuf *der_r, const char **error_r)
{
	struct gbuf der = {0};
	int n = blocks_each(pem, take_cert, &der, error_r);

	if (n > 0)
		gbuf_str(der_r, str_n(der.p, der.n));
	gbuf_free(&der);
	if (n == 0)
		*error_r = "there is no certificate in it (PEM)";
	return n > 0 ? 1 : -1;
}

struct some {
	struct gbuf *der;
	unsigned seen, bad;
};

static int
take_some(const struct block *b, unsigned nth, void *arg, const char **error_r)
{
	struct some *s = arg;
	int taken = take_cert(b, nth, s->der, error_r);

	s->seen += taken != 0;
	s->bad += taken < 0;
	return taken < 0 ? 0 : taken;
}

int
x509_trusted(struct str pem, struct gbuf *der_r, unsigned *bad_r, const char **error_r)
{
	struct gbuf der = {0};
	struct some s = {.der = &der};
	int n = blocks_each(pem, take_some, &s, error_r);

	if (n > 0) {
		gbuf_str(der_r, str_n(der.p, der.n));
		*bad_r = s.bad;
	}
	gbuf_free(&der);
	if (n == 0)
		*error_r = "there is no certificate in it (PEM)";
	return n > 0 ? 1 : -1;
}

/* --- keys ------------------------------------------------------------------------------------- */

static int
info_put(PKCS8_PRIV_KEY_INFO *info, struct gbuf *out)
{
	unsigned char *der = NULL;
	int n = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;

	PKCS8_PRIV_KEY_INFO_free(info);
	if (n <= 0)
		return -1;
	gbuf_put(out, der, (size_t)n);
	OPENSSL_clear_free(der, (size_t)n);
	return 1;
}

/* The older forms are taken apart; what is inside PKCS #8 is for x509_pair to say, for to decode a
 * key is what takes longest of all. */
static int
key_put(const struct block *b, struct gbuf *out)
{
	bool rsa = strcmp(b->name, PEM_STRING_RSA) == 0;
	const unsigned char *p = b->der;
	EVP_PKEY *key;
	int rc = -1;

	if (strcmp(b->name, PEM_STRING_PKCS8INF) == 0)
		return info_put(d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, b->n), out);
	key = d2i_PrivateKey(rsa ? EVP_PKEY_RSA : EVP_PKEY_EC, NULL, &p, b->n);
	if (key != NULL)
		rc = info_put(EVP_PKEY2PKCS8(key), out);
	EVP_PKEY_free(key);
	return rc;
}

/* Taken is the first one only. */
static int
take_key(const struct block *b, unsigned nth, void *arg, const char **error_r)
{
	static const char *const names[] = {
	    PEM_STRING_PKCS8INF, PEM_STRING_RSA, PEM_STRING_ECPRIVATEKEY, NULL};
	int rc;

	if (nth > 1)
		return 0;
	if (strcmp(b->name, PEM_STRING_PKCS8) == 0 ||
	    (b->header != NULL && strstr(b->header, "ENCRYPTED") != NULL)) {
		*error_r = "the key has a passphrase, and nobody to ask for it; allowed: keys "
			   "without (openssl pkey -in FILE -out NEW)";
		return -1;
	}
	if (!is_any(b->name, names))
		return 0;
	rc = key_put(b, arg);
	if (rc < 0)
		*error_r = x509_say("the key is malformed, or of a kind that is not known");
	return rc;
}

int
x509_key(struct str pem, struct gbuf *der_r, const char **error_r)
{
	int n = blocks_each(pem, take_key, der_r, error_r);

	if (n == 0)
		*error_r = "there is no private key in it (PEM)";
	return n > 0 ? 1 : -1;
}

/* --- the same again -----------------------------------------------------------------------------
 */

struct same {
	struct str rest;
	const char *const *names;
	unsigned most;
};

static int
take_same(const struct block *b, unsigned nth, void *arg, const char **error_r)
{
	struct same *s = arg;
	struct str der = str_n((const char *)b->der, (size_t)b->n);

	if (!is_any(b->name, s->names) || nth > s->most)
		return 0;
	*error_r = "another";
	if (!str_starts(s->rest, der))
		return -1;
	s->rest = str_sub(s->rest, der.n, s->rest.n);
	return 1;
}

bool
x509_same(struct str pem, bool key, struct str der)
{
	static const char *const certs[] = {PEM_STRING_X509, PEM_STRING_X509_OLD, NULL};
	static const char *const keys[] = {PEM_STRING_PKCS8INF, NULL};
	struct same s = {.rest = der, .names = key ? keys : certs, .most = key ? 1 : UINT32_MAX};
	const char *ignored;

	return blocks_each(pem, take_same, &s, &ignored) > 0 && s.rest.n == 0;
}

/* --- revocation lists ------------------------------------------------------------------------- */

struct crls {
	struct gbuf der;
	int64_t until;
};

/* OpenSSL takes a list of changes for a whole one: whoever was revoked before would be let in. */
static const char *
crl_wrong(const X509_CRL *crl, bool whole, unsigned nth)
{
	if (crl == NULL || !whole)
		return x509_say("the %s revocation list in it is malformed", x509_nth(nth));
	if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
		return x509_say("the %s revocation list in it has changes only (a delta); allowed: "
				"complete lists",
		    x509_nth(nth));
	return NULL;
}

static int
take_crl(const struct block *b, unsigned nth, void *arg, const char **error_r)
{
	const unsigned char *p = b->der;
	struct crls *c = arg;
	const char *wrong;
	X509_CRL *crl;
	int64_t until;

	if (strcmp(b->name, PEM_STRING_X509_CRL) != 0)
		return 0;
	crl = d2i_X509_CRL(NULL, &p, b->n);
	wrong = crl_wrong(crl, p == b->der + b->n, nth);
	if (wrong != NULL) {
		X509_CRL_free(crl);
		*error_r = wrong;
		return -1;
	}
	if (x509_time(X509_CRL_get0_nextUpdate(crl), &until) && (c->until == 0 || until < c->until))
		c->until = until;
	X509_CRL_free(crl);
	gbuf_put(&c->der, b->der, (size_t)b->n);
	return 1;
}

int
x509_crls(struct str pem, struct gbuf *der_r, int64_t *until_r, const char **error_r)
{
	struct crls c = {.until = 0};
	int n = blocks_each(pem, take_crl, &c, error_r);

	if (n > 0) {
		gbuf_str(der_r, str_n(c.der.p, c.der.n));
		*until_r = c.until;
	}
	gbuf_free(&c.der);
	if (n == 0)
		*error_r = "there is no revocation list in it (PEM)";
	return n > 0 ? 1 : -1;
}
