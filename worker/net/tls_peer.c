/* SPDX-License-Identifier: Apache-2.0
 *
 * Who the peer is: its certificate judged beyond its chain (X.509-SVID), and told to people and
 * policies.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/enc.h"
#include "worker/net/tls_priv.h"

#define SCHEME "spiffe://"

bool
tls_peer_expired(const X509 *leaf)
{
	time_t now = (time_t)(clock_wall_us() / 1000000);

	return X509_cmp_time(X509_get0_notAfter(leaf), &now) <= 0;
}

/* --- SPIFFE: X509-SVID 2 to 5 ----------------------------------------------------------------- */

/* An IA5String as text. What a name is not made of (NUL, line ends, blanks) makes it none: it goes
 * to logs and headers. */
static struct str
ia5(const ASN1_STRING *a)
{
	const char *p = (const char *)ASN1_STRING_get0_data(a);
	size_t n = (size_t)ASN1_STRING_length(a);

	for (size_t i = 0; i < n; i++)
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			return STR_NONE;
	return str_n(p, n);
}

/* The one URI there may be: its number, and the first. */
static unsigned
uris(const GENERAL_NAMES *names, struct str *first_r)
{
	unsigned n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type == GEN_URI && n++ == 0)
			*first_r = ia5(g->d.uniformResourceIdentifier);
	}
	return n;
}

/* NULL and the id (in ws), or what is wrong. */
static const char *
svid_id(X509 *leaf, struct ws *ws, struct str *id_r)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	struct str uri = STR_NONE;
	unsigned n = uris(names, &uri);

	uri = ws_str(ws, uri);
	GENERAL_NAMES_free(names);
	if (n != 1)
		return n == 0 ? "it has no SPIFFE id" : "it has more than one URI";
	if (!str_starts(uri, STR(SCHEME)))
		return "it has no SPIFFE id";
	if (tls_spiffe_wrong(uri, false) != NULL)
		return "its SPIFFE id is malformed";
	*id_r = uri;
	return NULL;
}

/* A leaf is no CA, signs nothing but handshakes, and its id has a path: without one it is a whole
 * domain's. */
static const char *
svid_wrong(X509 *leaf, const struct tls_ctx *c, struct ws *ws)
{
	struct str id = STR_NONE, rest, domain;
	const char *wrong = svid_id(leaf, ws, &id);

	if (wrong != NULL)
		return wrong;
	if (X509_check_ca(leaf) != 0 ||
	    (X509_get_key_usage(leaf) != UINT32_MAX &&
		(X509_get_key_usage(leaf) & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0))
		return "it is a CA's, not an SVID";
	rest = str_sub(id, sizeof(SCHEME) - 1, id.n);
	if (!str_cut(&rest, '/', &domain) || !str_eq(domain, c->trust_domain))
		return "it is of another trust domain";
	if (rest.n == 0)
		return "its SPIFFE id has no path";
	return tls_spiffe_fits(&c->ids, id) ? NULL : "its SPIFFE id is not among those allowed";
}

int
tls_peer_fits(struct tls *t, X509 *leaf)
{
	const char *wrong = NULL;
	struct ws ws;

	if (!t->ctx->verify || t->ctx->trust_domain.n == 0)
		return 1;
	ws_init(&ws, NULL, 0);
	wrong = leaf != NULL ? svid_wrong(leaf, t->ctx, &ws) : "there is none";
	ws_free(&ws);
	if (wrong == NULL)
		return 1;
	tls_fail(t, EPROTO, TLS_FAIL_CERTIFICATE, "the %s's certificate is refused: %s",
	    t->server ? "client" : "server", wrong);
	return -1;
}

int
tls_peer_verify(X509_STORE_CTX *x, void *arg UNUSED)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = tls_of(ssl);

	if (X509_verify_cert(x) != 1)
		return 0;
	if (tls_peer_fits(t, X509_STORE_CTX_get0_cert(x)) == 1)
		return 1;
	X509_STORE_CTX_set_error(x, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

int
tls_peer_anybody(X509_STORE_CTX *x UNUSED, void *arg UNUSED)
{
	return 1;
}

/* --- facts ------------------------------------------------------------------------------------ */

/* One piece of memory, of the size it takes: there may be one for each connection. */
struct tls_kept {
	struct tls_facts facts;
	char text[];
};

void
tls_kept_free(struct tls_kept **kp)
{
	free(*kp);
	*kp = NULL;
}

static struct str
name_text(const X509_NAME *name, struct ws *ws)
{
	BIO *b = BIO_new(BIO_s_mem());
	struct str text = STR("");
	char *p = NULL;
	long n;

	if (b == NULL)
		return text;
	if (X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253) >= 0 &&
	    (n = BIO_get_mem_data(b, &p)) > 0)
		text = ws_str(ws, str_n(p, (size_t)n));
	BIO_free(b);
	return text;
}

static struct str
hex(const void *p, size_t n, struct ws *ws)
{
	char *out = ws_bytes(ws, 2 * n);

	enc_hex(p, n, out);
	return str_n(out, 2 * n);
}

static struct str
time_text(const ASN1_TIME *at, struct ws *ws)
{
	char text[32];
	struct tm tm;

	if (ASN1_TIME_to_tm(at, &tm) != 1 ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return STR("");
	return ws_str(ws, str_of(text));
}

/* The first of a kind. */
static struct str
alt_name(const GENERAL_NAMES *names, int type, struct ws *ws)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type == type)
			return ws_str(ws, ia5(g->d.ia5));
	}
	return STR("");
}

static void
facts_peer(struct tls_facts *f, X509 *leaf, struct ws *ws)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	f->peer = true;
	f->subject = name_text(X509_get_subject_name(leaf), ws);
	f->issuer = name_text(X509_get_issuer_name(leaf), ws);
	f->serial = hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), ws);
	if (X509_digest(leaf, EVP_sha256(), sum, &n) == 1)
		f->fingerprint = hex(sum, n, ws);
	f->dns = alt_name(names, GEN_DNS, ws);
	f->email = alt_name(names, GEN_EMAIL, ws);
	f->not_after = time_text(X509_get0_notAfter(leaf), ws);
	GENERAL_NAMES_free(names);
	(void)svid_id(leaf, ws, &f->spiffe);
}

static struct str
sni_text(const SSL *ssl, struct ws *ws)
{
	const char *z = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	char room[256];

	return z != NULL ? ws_str(ws, tls_sni_clean(z, room)) : STR("");
}

static struct tls_facts
facts_of(const struct tls *t, struct ws *ws)
{
	X509 *leaf = SSL_get0_peer_certificate(t->ssl);
	const unsigned char *alpn = NULL;
	struct tls_facts f = {.resumed = SSL_session_reused(t->ssl) == 1};
	unsigned n = 0;

	SSL_get0_alpn_selected(t->ssl, &alpn, &n);
	f.version = str_of(SSL_get_version(t->ssl));
	f.cipher = str_of(SSL_CIPHER_get_name(SSL_get_current_cipher(t->ssl)));
	f.sni = sni_text(t->ssl, ws);
	f.alpn = str_n((const char *)alpn, n);
	if (leaf != NULL && t->ctx->verify)
		facts_peer(&f, leaf, ws);
	ERR_clear_error();
	return f;
}

#define TEXT(member) offsetof(struct tls_facts, member)
static const size_t texts[] = {TEXT(version), TEXT(cipher), TEXT(sni), TEXT(alpn), TEXT(subject),
    TEXT(issuer), TEXT(serial), TEXT(fingerprint), TEXT(spiffe), TEXT(dns), TEXT(email),
    TEXT(not_after)};

static struct str *
text_at(struct tls_facts *f, size_t i)
{
	return (struct str *)(void *)((char *)f + texts[i]);
}

static struct tls_kept *
kept_new(struct tls_facts *f)
{
	struct tls_kept *k;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		n += text_at(f, i)->n;
	k = xmalloc(sizeof(*k) + n);
	k->facts = *f;
	n = 0;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct str *to = text_at(&k->facts, i);

		if (to->n > 0)
			memcpy(k->text + n, to->p, to->n);
		to->p = k->text + n;
		n += to->n;
	}
	return k;
}

const struct tls_facts *
tls_facts(const struct stream *s)
{
	struct tls *t = s->layer;
	struct tls_facts f;
	struct ws ws;

	if (t == NULL || s->connecting || s->refused)
		return NULL;
	if (t->kept != NULL)
		return &t->kept->facts;
	ws_init(&ws, NULL, 0);
	f = facts_of(t, &ws);
	t->kept = kept_new(&f);
	ws_free(&ws);
	return &t->kept->facts;
}

bool
tls_resumed(const struct stream *s)
{
	const struct tls *t = s->layer;

	return t != NULL && SSL_session_reused(t->ssl) == 1;
}
