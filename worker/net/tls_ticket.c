/* SPDX-License-Identifier: Apache-2.0
 *
 * Session tickets: RFC 5077 4, RFC 8446 4.6.1. The keys of an epoch are derived from the secret
 * (RFC 5869), so that every worker and every host with the secret seals alike, and nobody has to be
 * told of a rotation.
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "worker/net/tls_priv.h"

#define NAME_LEN     16
#define LIFETIME_MAX 604800 /* RFC 8446 4.6.1: a week */

struct ticket_key {
	uint64_t epoch;
	bool made;
	struct ticket_octets {
		uint8_t name[NAME_LEN], cipher[32], mac[32];
	} o;
};

struct tls_tickets {
	unsigned refs;
	uint8_t secret[HASH_SHA256];
	uint64_t lifetime_s;
	struct ticket_key keys[3]; /* of the epoch before, this one, the next; by epoch modulo 3 */
	EVP_KDF *kdf;
	EVP_CIPHER *aes;
};

/* --- keys --- */

static int
derive(const struct tls_tickets *t, uint64_t epoch, struct ticket_octets *out)
{
	static const char salt[] = "gateway session tickets 1";
	char info[64], sha[] = "SHA256";
	EVP_KDF_CTX *k = EVP_KDF_CTX_new(t->kdf);
	size_t n = (size_t)snprintf(info, sizeof(info), "%llu %llu", (unsigned long long)epoch,
	    (unsigned long long)t->lifetime_s);
	OSSL_PARAM v[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha, 0),
	    OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)t->secret, sizeof(t->secret)),
	    OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, sizeof(salt) - 1),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, n),
	    OSSL_PARAM_construct_end()};
	int ok = k != NULL ? EVP_KDF_derive(k, (unsigned char *)out, sizeof(*out), v) : 0;

	EVP_KDF_CTX_free(k);
	return ok == 1 ? 1 : -1;
}

static const struct ticket_octets *
key_at(struct tls_tickets *t, uint64_t epoch)
{
	struct ticket_key *k = &t->keys[epoch % ARRAY_LEN(t->keys)];

	if (!k->made || k->epoch != epoch) {
		k->made = derive(t, epoch, &k->o) == 1;
		k->epoch = epoch;
	}
	return k->made ? &k->o : NULL;
}

static uint64_t
epoch_now(const struct tls_tickets *t)
{
	return clock_wall_us() / 1000000 / t->lifetime_s;
}

struct tls_tickets *
tls_tickets_new(struct str secret, uint64_t lifetime_s)
{
	struct tls_tickets *t = xcalloc(1, sizeof(*t));

	t->refs = 1;
	t->lifetime_s = MAX(lifetime_s, (uint64_t)1);
	hash_sha256(&secret, 1, t->secret);
	t->kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	t->aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (t->kdf == NULL || t->aes == NULL)
		tls_tickets_unref(&t);
	return t;
}

struct tls_tickets *
tls_tickets_ref(struct tls_tickets *t)
{
	t->refs++;
	return t;
}

void
tls_tickets_unref(struct tls_tickets **tp)
{
	struct tls_tickets *t = *tp;

	*tp = NULL;
	if (t == NULL || --t->refs > 0)
		return;
	EVP_KDF_free(t->kdf);
	EVP_CIPHER_free(t->aes);
	OPENSSL_cleanse(t, sizeof(*t));
	free(t);
}

/* --- sealing and opening --- */

static int
mac_key(EVP_MAC_CTX *mac, const struct ticket_octets *k)
{
	char sha[] = "SHA256";
	OSSL_PARAM v[] = {OSSL_PARAM_construct_octet_string(
			      OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)k->mac, sizeof(k->mac)),
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha, 0),
	    OSSL_PARAM_construct_end()};

	return EVP_MAC_CTX_set_params(mac, v);
}

static int
ticket_seal(struct tls_tickets *t, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *c,
    EVP_MAC_CTX *mac)
{
	const struct ticket_octets *k = key_at(t, epoch_now(t));

	if (k == NULL || RAND_bytes(iv, EVP_CIPHER_get_iv_length(t->aes)) != 1 ||
	    EVP_EncryptInit_ex2(c, t->aes, k->cipher, iv, NULL) != 1 || mac_key(mac, k) != 1)
		return -1;
	memcpy(name, k->name, NAME_LEN);
	return 1;
}

/* 0: not ours, or too old; the handshake is a full one. 2: good, and a new one is due: always in
 * TLS 1.3, where a ticket is for one time. */
static int
ticket_open(struct tls_tickets *t, const unsigned char *name, const unsigned char *iv,
    EVP_CIPHER_CTX *c, EVP_MAC_CTX *mac, bool renew)
{
	uint64_t now = epoch_now(t);

	for (uint64_t e = now > 0 ? now - 1 : 0; e <= now + 1; e++) {
		const struct ticket_octets *k = key_at(t, e);

		if (k == NULL || memcmp(name, k->name, NAME_LEN) != 0)
			continue;
		if (EVP_DecryptInit_ex2(c, t->aes, k->cipher, iv, NULL) != 1 ||
		    mac_key(mac, k) != 1)
			return -1;
		return renew || e < now ? 2 : 1;
	}
	return 0;
}

static int
on_key(
    SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *c, EVP_MAC_CTX *mac, int seal)
{
	struct tls_tickets *t = tls_of(ssl)->ctx->tickets;

	if (seal)
		return ticket_seal(t, name, iv, c, mac);
	return ticket_open(t, name, iv, c, mac, SSL_version(ssl) >= TLS1_3_VERSION);
}

/* --- may it be resumed? --- */

/* The name in the hello, as it stands there: SSL_get_servername tells the session's, from here on.
 * RFC 6066 3: u16 octets of list, then type (0: host_name), u16 length, name. */
static struct str
hello_name(SSL *ssl)
{
	const unsigned char *p;
	size_t n, len;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) != 1 || n < 5)
		return STR("");
	len = (size_t)p[3] << 8 | p[4];
	return len <= n - 5 ? str_n((const char *)p + 5, len) : STR("");
}

/* RFC 6066 3: in TLS 1.2 a session is of one name, and nobody would ask which certificate belongs
 * to another. */
static bool
other_name(SSL *ssl, const SSL_SESSION *session)
{
	return SSL_version(ssl) < TLS1_3_VERSION &&
	       !str_eq(hello_name(ssl), str_of(SSL_SESSION_get0_hostname(session)));
}

/* Nobody looks at the certificate of a session again: one that has expired since ends it, and so do
 * revocation lists that have: they say nothing of today. */
static bool
peer_over(const SSL *ssl, SSL_SESSION *session)
{
	const X509 *peer = SSL_SESSION_get0_peer(session);

	return peer != NULL && (tls_peer_expired(peer) || tls_store_over(tls_of(ssl)->ctx->store));
}

static SSL_TICKET_RETURN
on_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name UNUSED, size_t name_len UNUSED,
    SSL_TICKET_STATUS status, void *arg UNUSED)
{
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (peer_over(ssl, session) || other_name(ssl, session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

int
tls_tickets_use(struct tls_ctx *c, const char **error_r)
{
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	if (c->tickets == NULL) {
		SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET);
		return SSL_CTX_set_num_tickets(c->ssl, 0) == 1
			   ? 1
			   : tls_wrong("tickets", tls_reason(), error_r);
	}
	SSL_CTX_set_timeout(c->ssl, (long)MIN(c->tickets->lifetime_s, (uint64_t)LIFETIME_MAX));
	if (SSL_CTX_set_num_tickets(c->ssl, 1) != 1 ||
	    SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, on_key) != 1 ||
	    SSL_CTX_set_session_ticket_cb(c->ssl, NULL, on_opened, NULL) != 1)
		return tls_wrong("tickets", tls_reason(), error_r);
	return 1;
}
