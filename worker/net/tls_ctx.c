/* SPDX-License-Identifier: Apache-2.0
 *
 * Profiles: what those of listeners and those to upstreams have in common.
 */
#include "shm/base/bug.h"
#include "worker/net/tls_priv.h"

/* No renegotiation and no compression; octets that are retried may lie elsewhere by then; a
 * connection that is idle holds no buffers. What is missing in a chain is not searched for. */
static void
ctx_options(SSL_CTX *ssl)
{
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				  SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_read_ahead(ssl, 1);
}

struct tls_ctx *
tls_ctx_new(bool server, const char **error_r)
{
	struct tls_ctx *c = xcalloc(1, sizeof(*c));

	c->refs = 1;
	c->server = server;
	ws_init(&c->ws, NULL, 0);
	c->ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (c->ssl == NULL) {
		(void)tls_wrong("TLS", tls_reason(), error_r);
		tls_ctx_unref(&c);
		return NULL;
	}
	ctx_options(c->ssl);
	return c;
}

struct tls_ctx *
tls_ctx_ref(struct tls_ctx *c)
{
	c->refs++;
	return c;
}

void
tls_ctx_unref(struct tls_ctx **cp)
{
	struct tls_ctx *c = *cp;

	*cp = NULL;
	if (c == NULL || --c->refs > 0)
		return;
	SSL_CTX_free(c->ssl);
	tls_store_unref(&c->store);
	tls_tickets_unref(&c->tickets);
	ws_free(&c->ws);
	free(c);
}

void
tls_ctx_judge(struct tls_ctx *c, const char *what, struct str octets)
{
	const struct str v[] = {
	    {(const char *)c->judge, sizeof(c->judge)}, {what, strlen(what) + 1}, octets};
	uint8_t sum[HASH_SHA256];

	hash_sha256(v, ARRAY_LEN(v), sum);
	memcpy(c->judge, sum, sizeof(sum));
}

int
tls_ctx_trust(struct tls_ctx *c, struct str ca, struct str crl, const char **error_r)
{
	tls_ctx_judge(c, "ca", ca);
	tls_ctx_judge(c, "crl", crl);
	c->verify = true;
	c->store = tls_store_get(ca, crl, error_r);
	if (c->store == NULL)
		return -1;
	SSL_CTX_set1_cert_store(c->ssl, tls_store_x509(c->store));
	SSL_CTX_set_cert_verify_callback(c->ssl, tls_peer_verify, NULL);
	return 1;
}

static int
version_number(int version)
{
	return version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

int
tls_ctx_versions(struct tls_ctx *c, int min, int max, const char **error_r)
{
	if (min > max)
		return tls_wrong("versions", "the least is above the highest", error_r);
	if (SSL_CTX_set_min_proto_version(c->ssl, version_number(min)) != 1 ||
	    SSL_CTX_set_max_proto_version(c->ssl, version_number(max)) != 1)
		return tls_wrong("versions", tls_reason(), error_r);
	return 1;
}

unsigned
tls_bits_min(void)
{
	static const uint16_t bits[] = {0, 80, 112, 128, 192, 256}; /* of levels: ciphers(1ssl) */
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());
	int level = c != NULL ? SSL_CTX_get_security_level(c) : 0;

	SSL_CTX_free(c);
	return bits[MIN(MAX(level, 0), (int)ARRAY_LEN(bits) - 1)];
}
