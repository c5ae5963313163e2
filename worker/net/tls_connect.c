/* SPDX-License-Identifier: Apache-2.0
 *
 * Profiles to upstreams: whom they have to be, who we are, and the sessions they give us.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "worker/net/tls_priv.h"

/* --- sessions --------------------------------------------------------------------------------- */

void
tls_session_unref(struct tls_session **sp)
{
	struct tls_session *s = *sp;

	*sp = NULL;
	if (s == NULL || --s->refs > 0)
		return;
	SSL_SESSION_free(s->ssl);
	free(s);
}

void
tls_session_forget(struct stream *s)
{
	struct tls *t = s->layer;

	if (t != NULL && !t->server)
		t->place = NULL;
}

void
tls_connect_failed(struct tls *t)
{
	if (t->place != NULL)
		tls_session_unref(t->place);
}

/* The newest is the one to resume with. 1: the reference is ours. */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = tls_of(ssl);
	struct tls_session *s;

	if (t->place == NULL || SSL_SESSION_is_resumable(session) != 1)
		return 0;
	tls_session_unref(t->place);
	s = xcalloc(1, sizeof(*s));
	*s = (struct tls_session){.refs = 1, .ssl = session};
	memcpy(s->whose, t->whose, sizeof(s->whose));
	*t->place = s;
	return 1;
}

static bool
session_good(const struct tls *t, const struct tls_session *s)
{
	int64_t now = (int64_t)(clock_wall_us() / 1000000);
	const X509 *peer = SSL_SESSION_get0_peer(s->ssl);

	return memcmp(s->whose, t->whose, sizeof(s->whose)) == 0 &&
	       now < SSL_SESSION_get_time(s->ssl) + SSL_SESSION_get_timeout(s->ssl) &&
	       !(t->ctx->verify &&
		   (peer == NULL || tls_peer_expired(peer) || tls_store_over(t->ctx->store)));
}

/* A session is of one profile and one name: whatever else changed means a whole handshake. */
static void
session_use(struct tls *t, const struct tls_how *how)
{
	const struct str v[] = {{(const char *)t->ctx->judge, sizeof(t->ctx->judge)}, how->name};

	if (how->session == NULL)
		return;
	t->place = how->session;
	t->whose = xmalloc(HASH_SHA256);
	hash_sha256(v, ARRAY_LEN(v), t->whose);
	if (*t->place == NULL)
		return;
	if (session_good(t, *t->place))
		(void)SSL_set_session(t->ssl, (*t->place)->ssl);
	else
		tls_session_unref(t->place);
}

/* --- profiles --------------------------------------------------------------------------------- */

static int
own(struct tls_ctx *c, const struct tls_client_opts *o, const char **error_r)
{
	struct bundle_cert b = {.chain = o->chain, .key = o->key};
	struct tls_cert *cert;
	int rc;

	tls_ctx_judge(c, "own", o->chain);
	if ((o->chain.n > 0) != (o->key.n > 0))
		return tls_wrong(
		    "client certificate and key", "one is there without the other", error_r);
	if (o->chain.n == 0)
		return 1;
	cert = tls_cert_new(&b, error_r);
	if (cert == NULL) {
		char text[256];

		snprintf(text, sizeof(text), "%s", *error_r);
		return tls_wrong("client", text, error_r);
	}
	rc = SSL_CTX_use_cert_and_key(c->ssl, cert->leaf, cert->key, cert->chain, 1);
	tls_cert_unref(&cert);
	return rc == 1 ? 1 : tls_wrong("client certificate", tls_reason(), error_r);
}

static void
spiffe(struct tls_ctx *c, const struct conf_service_tls *conf)
{
	struct str *v = ws_alloc(&c->ws, (conf->spiffe.ids.n + 1) * sizeof(*v));

	tls_ctx_judge(c, "domain", conf->spiffe.trust_domain);
	c->trust_domain = ws_str(&c->ws, conf->spiffe.trust_domain);
	for (uint32_t i = 0; i < conf->spiffe.ids.n; i++) {
		tls_ctx_judge(c, "id", conf->spiffe.ids.v[i]);
		v[i] = ws_str(&c->ws, conf->spiffe.ids.v[i]);
	}
	c->ids = (struct strs){.v = v, .n = conf->spiffe.ids.n};
}

/* Without a CA of our own: the system's, from its files, which suits a process that may read. */
static int
servers(struct tls_ctx *c, const struct tls_client_opts *o, const char **error_r)
{
	SSL_CTX_set_verify(c->ssl, o->conf->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (!o->conf->verify) {
		tls_ctx_judge(c, "anybody", STR_NONE);
		SSL_CTX_set_cert_verify_callback(c->ssl, tls_peer_anybody, NULL);
		return 1;
	}
	spiffe(c, o->conf);
	if (o->ca.n > 0)
		return tls_ctx_trust(c, o->ca, o->crl, error_r);
	c->verify = true;
	tls_ctx_judge(c, "system", STR_NONE);
	SSL_CTX_set_cert_verify_callback(c->ssl, tls_peer_verify, NULL);
	if (SSL_CTX_set_default_verify_paths(c->ssl) != 1)
		return tls_wrong("the system's certificates", tls_reason(), error_r);
	return 1;
}

/* RFC 7301. Where nothing is offered servers take HTTP/1.1. */
static int
offer(struct tls_ctx *c, unsigned protocols)
{
	static const unsigned char h2[] = "\2h2";

	if (protocols != TLS_HTTP2)
		return 1;
	return SSL_CTX_set_alpn_protos(c->ssl, h2, sizeof(h2) - 1) == 0 ? 1 : -1;
}

struct tls_ctx *
tls_client_new(const struct tls_client_opts *o, const char **error_r)
{
	struct tls_ctx *c;

	ERR_clear_error();
	c = tls_ctx_new(false, error_r);
	if (c == NULL)
		return NULL;
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ssl, on_session);
	if (tls_ctx_versions(c, o->conf->min_version, TLS_1_3, error_r) < 0 ||
	    offer(c, o->protocols) < 0 || servers(c, o, error_r) < 0 || own(c, o, error_r) < 0)
		tls_ctx_unref(&c);
	ERR_clear_error();
	return c;
}

/* --- connecting ------------------------------------------------------------------------------- */

/* For an address the certificate must name that very address, and SNI says nothing (RFC 6066 3). A
 * common name is no host's (RFC 9525 2). An SVID need not name any host. */
static int
name_set(struct tls *t, struct str name, const char **error_r)
{
	bool needed = t->ctx->verify && t->ctx->trust_domain.n == 0;
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
	char z[256];
	ASN1_OCTET_STRING *ip;

	if (name.n == 0 && !needed)
		return 1;
	if (name.n == 0 || name.n >= sizeof(z) || memchr(name.p, '\0', name.n))
		return tls_wrong("TLS", "the server's name is empty or too long", error_r);
	snprintf(z, sizeof(z), "%.*s", STR_ARG(name));
	ip = a2i_IPADDRESS(z);
	ASN1_OCTET_STRING_free(ip);
	if (needed)
		X509_VERIFY_PARAM_set_hostflags(param,
		    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if ((needed && ip != NULL && X509_VERIFY_PARAM_set1_ip_asc(param, z) != 1) ||
	    (needed && ip == NULL && X509_VERIFY_PARAM_set1_host(param, z, 0) != 1) ||
	    (ip == NULL && SSL_set_tlsext_host_name(t->ssl, z) != 1))
		return tls_wrong(z, "not a server's name", error_r);
	ERR_clear_error();
	return 1;
}

int
tls_connect(struct stream *s, struct tls_ctx *c, const struct tls_how *how,
    void (*on_event)(struct stream *), const char **error_r)
{
	struct tls *t;

	BUG_ON(c->server);
	t = tls_layer(s, c, on_event, error_r);
	if (t == NULL || name_set(t, how->name, error_r) < 0) {
		s->reset_on_close = true;
		stream_close(s);
		return -1;
	}
	SSL_set_connect_state(t->ssl);
	session_use(t, how);
	if (!t->dialing)
		tls_handshake(t);
	return 1;
}
