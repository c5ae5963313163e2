/* SPDX-License-Identifier: Apache-2.0
 *
 * Profiles of listeners: versions, ciphers, whose certificate is shown, whom clients have to be.
 */
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "worker/net/tls_priv.h"

/* With what keeps keys safe when a long-lived one is stolen later, and authenticates what it
 * encrypts: the rest has been broken one by one. The cheapest first. */
static const char ciphers_default[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
				      "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
				      "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
static const char suites_default[] =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
static const char groups_default[] = "X25519:P-256:P-384";

/* Octets of a client's chain. A ticket has its leaf, and has to be shorter than 65,280. */
#define CHAIN_MAX 60000

/* --- whose certificate ------------------------------------------------------------------------ */

struct str
tls_sni_clean(const char *z, char out[256])
{
	size_t n = z != NULL ? strlen(z) : 0;

	if (n > 0 && z[n - 1] == '.')
		n--;
	if (n == 0 || n > 253)
		return STR("");
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)z[i]) && strchr("-_.", z[i]) == NULL)
			return STR("");
		out[i] = (char)tolower((unsigned char)z[i]);
	}
	return str_n(out, n);
}

/* They are kept until the handshake is over, for what is to be stapled. */
static bool
show(struct tls *t, struct tls_cert *const *v)
{
	bool any = false;

	for (; v != NULL && *v != NULL; v++)
		any |= SSL_use_cert_and_key(t->ssl, (*v)->leaf, (*v)->key, (*v)->chain, 1) == 1;
	return any;
}

static void
picked_drop(struct tls *t)
{
	for (struct tls_cert **c = t->picked; c != NULL && *c != NULL; c++)
		tls_cert_unref(c);
	free(t->picked);
	t->picked = NULL;
}

void
tls_accept_done(struct tls *t)
{
	if (t->ssl != NULL)
		SSL_certs_clear(t->ssl);
	picked_drop(t);
}

/* Once for each handshake, in every version, with and without a name, resumed or not: the only
 * place where unrecognized_name can be said. */
static int
on_name(SSL *ssl, int *alert, void *arg UNUSED)
{
	struct tls *t = tls_of(ssl);
	const char *z = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	char room[256];
	struct str sni = tls_sni_clean(z, room);
	unsigned n;

	picked_drop(t);
	t->picked = xcalloc(TLS_PICK_MAX + 1, sizeof(*t->picked));
	n = t->ctx->pick(t->arg, sni, t->picked);
	if (n == 0) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		tls_fail(
		    t, EPROTO, TLS_FAIL_NAME, "TLS: no certificate for \"%.*s\"", STR_ARG(sni));
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	return z != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* Only where the handshake is a full one: to put a certificate in place costs OpenSSL a comparison
 * of keys. */
static int
on_certificate(SSL *ssl, void *arg UNUSED)
{
	struct tls *t = tls_of(ssl);

	if (show(t, t->picked))
		return 1;
	tls_fail(t, EPROTO, TLS_FAIL_OTHER, "TLS: the certificate is not usable: %s", tls_reason());
	return 0;
}

/* RFC 6066 8: of the certificate OpenSSL has chosen by now. */
static int
on_status(SSL *ssl, void *arg UNUSED)
{
	struct tls *t = tls_of(ssl);
	const X509 *leaf = SSL_get_certificate(ssl);
	struct tls_cert **c = t->picked;
	unsigned char *copy;

	while (c != NULL && *c != NULL && (*c)->leaf != leaf)
		c++;
	if (c == NULL || *c == NULL || (*c)->ocsp == NULL ||
	    (*c)->ocsp_until <= (int64_t)(clock_wall_us() / 1000000))
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup((*c)->ocsp, (*c)->ocsp_n);
	if (copy == NULL || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)(*c)->ocsp_n) != 1) {
		OPENSSL_free(copy);
		return SSL_TLSEXT_ERR_NOACK;
	}
	return SSL_TLSEXT_ERR_OK;
}

/* --- which protocol: RFC 7301 ----------------------------------------------------------------- */

static const struct {
	struct str name;
	enum tls_protocol what;
} protocols[] = {
    /* the best first */
    {STR("h2"), TLS_HTTP2},
    {STR("http/1.1"), TLS_HTTP1},
    {STR("http/1.0"), TLS_HTTP1},
};

static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
    unsigned in_n, void *arg)
{
	const struct tls_ctx *c = arg;

	(void)ssl;
	for (size_t k = 0; k < ARRAY_LEN(protocols); k++) {
		for (unsigned i = 0; i < in_n; i += 1u + in[i]) {
			struct str one = str_n((const char *)in + i + 1, in[i]);

			if ((c->protocols & protocols[k].what) == 0 || one.n > in_n - i - 1 ||
			    !str_eq(one, protocols[k].name))
				continue;
			*out = in + i + 1;
			*out_n = in[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* --- settings --------------------------------------------------------------------------------- */

typedef int words_f(SSL_CTX *ssl, const char *words);

static int
groups_set(SSL_CTX *ssl, const char *words)
{
	return (int)SSL_CTX_set1_groups_list(ssl, words);
}

/* OpenSSL passes over suites it does not know. */
static int
suites_set(SSL_CTX *ssl, const char *words)
{
	static const struct str known[] = {STR("TLS_AES_128_GCM_SHA256"),
	    STR("TLS_AES_256_GCM_SHA384"), STR("TLS_CHACHA20_POLY1305_SHA256"),
	    STR("TLS_AES_128_CCM_SHA256"), STR("TLS_AES_128_CCM_8_SHA256")};
	struct str rest = str_of(words), one;

	while (str_cut(&rest, ':', &one)) {
		size_t i = 0;

		while (i < ARRAY_LEN(known) && !str_eq(one, known[i]))
			i++;
		if (i == ARRAY_LEN(known))
			return 0;
	}
	return SSL_CTX_set_ciphersuites(ssl, words);
}

/* And ciphers, as long as there is one it knows: each is tried alone. Operators (!RC4, @STRENGTH)
 * have a meaning in a list only. */
static int
ciphers_set(SSL_CTX *ssl, const char *words)
{
	struct str rest = str_of(words), one;

	while (str_cut(&rest, ':', &one)) {
		char z[128];

		if (one.n > 0 && strchr("!-+@", one.p[0]) != NULL)
			continue;
		if (one.n >= sizeof(z))
			return 0;
		snprintf(z, sizeof(z), "%.*s", STR_ARG(one));
		if (SSL_CTX_set_cipher_list(ssl, z) != 1)
			return 0;
	}
	return SSL_CTX_set_cipher_list(ssl, words);
}

static int
words_set(struct tls_ctx *c, words_f *fn, const char *what, struct str words, const char *def,
    const char **error_r)
{
	struct str z = words.n > 0 ? ws_str(&c->ws, words) : str_of(def);
	char text[160];

	if (strlen(z.p) == z.n && fn(c->ssl, z.p) == 1)
		return 1;
	snprintf(
	    text, sizeof(text), "not what OpenSSL knows: %.*s", (int)MIN(z.n, (size_t)100), z.p);
	return tls_wrong(what, text, error_r);
}

static int
words_all(struct tls_ctx *c, const struct conf_listener_tls *conf, const char **error_r)
{
	if (tls_ctx_versions(c, conf->min_version, conf->max_version, error_r) < 0 ||
	    words_set(c, ciphers_set, "ciphers", conf->ciphers, ciphers_default, error_r) < 0 ||
	    words_set(c, suites_set, "ciphersuites", conf->ciphersuites, suites_default, error_r) <
		0)
		return -1;
	return words_set(c, groups_set, "groups", conf->groups, groups_default, error_r);
}

const char *
tls_words_wrong(const struct conf_listener_tls *conf)
{
	const char *error = NULL;
	struct tls_ctx *c = tls_ctx_new(true, &error);

	ERR_clear_error();
	if (c != NULL && words_all(c, conf, &error) == 1)
		error = NULL;
	tls_ctx_unref(&c);
	return error;
}

/* --- clients' certificates -------------------------------------------------------------------- */

static int
clients(struct tls_ctx *c, const struct tls_server_opts *o, const char **error_r)
{
	const struct conf_listener_tls *conf = o->conf;
	int mode = SSL_VERIFY_PEER;

	tls_ctx_judge(c, "mode", str_n((const char *)&conf->client.mode, sizeof(int32_t)));
	if (conf->client.mode == TLS_CLIENT_NONE)
		return 1;
	if (conf->client.mode == TLS_CLIENT_REQUIRED)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	tls_ctx_judge(c, "depth", str_n((const char *)&conf->client.depth, sizeof(int64_t)));
	tls_ctx_judge(c, "domain", conf->client.trust_domain);
	c->trust_domain = ws_str(&c->ws, conf->client.trust_domain);
	if (tls_ctx_trust(c, o->ca, o->crl, error_r) < 0)
		return -1;
	SSL_CTX_set_verify(c->ssl, mode, NULL);
	SSL_CTX_set_verify_depth(c->ssl, (int)conf->client.depth);
	SSL_CTX_set_max_cert_list(c->ssl, CHAIN_MAX);
	SSL_CTX_set_client_CA_list(c->ssl, tls_ca_names(o->ca));
	return 1;
}

/* Sessions are good where clients are judged alike, and nowhere else; and where ciphers are the
 * same, for in TLS 1.2 a session brings its own along. */
static int
sessions(struct tls_ctx *c, const struct tls_server_opts *o, const char **error_r)
{
	_Static_assert(HASH_SHA256 <= SSL_MAX_SID_CTX_LENGTH, "a session's context");
	tls_ctx_judge(c, "ciphers", o->conf->ciphers);
	if (SSL_CTX_set_session_id_context(c->ssl, c->judge, sizeof(c->judge)) != 1)
		return tls_wrong("sessions", tls_reason(), error_r);
	if (o->tickets != NULL && o->conf->tickets)
		c->tickets = tls_tickets_ref(o->tickets);
	return tls_tickets_use(c, error_r);
}

struct tls_ctx *
tls_server_new(const struct tls_server_opts *o, const char **error_r)
{
	struct tls_ctx *c;

	ERR_clear_error();
	c = tls_ctx_new(true, error_r);
	if (c == NULL)
		return NULL;
	c->pick = o->pick;
	SSL_CTX_set_options(c->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_tlsext_servername_callback(c->ssl, on_name);
	SSL_CTX_set_cert_cb(c->ssl, on_certificate, NULL);
	SSL_CTX_set_tlsext_status_cb(c->ssl, on_status);
	SSL_CTX_set_alpn_select_cb(c->ssl, on_alpn, c);
	c->protocols = o->protocols != 0 ? o->protocols : TLS_HTTP1;
	if (words_all(c, o->conf, error_r) < 0 || clients(c, o, error_r) < 0 ||
	    sessions(c, o, error_r) < 0)
		tls_ctx_unref(&c);
	return c;
}

int
tls_accept(struct stream *s, struct tls_ctx *c, void *arg, void (*on_event)(struct stream *),
    const char **error_r)
{
	struct tls *t;

	BUG_ON(!c->server);
	t = tls_layer(s, c, on_event, error_r);
	if (t == NULL) {
		stream_close(s);
		return -1;
	}
	t->arg = arg;
	SSL_set_accept_state(t->ssl);
	tls_handshake(t);
	return 1;
}
