/* SPDX-License-Identifier: Apache-2.0
 *
 * What the TLS files share. tls.h is the contract.
 *
 *	tls.c          the stream: octets, the handshake, the end
 *	tls_bio.c      OpenSSL's way to the socket
 *	tls_ctx.c      profiles: what both sides have in common
 *	tls_accept.c   of listeners: settings, SNI, ALPN, stapling
 *	tls_connect.c  to upstreams: names, sessions
 *	tls_cert.c     certificates, keys, trust
 *	tls_ticket.c   session tickets
 *	tls_peer.c     who the peer is: SPIFFE, facts
 *	tls_error.c    words and reasons
 */
#ifndef GW_TLS_PRIV_H
#define GW_TLS_PRIV_H

#include <openssl/ssl.h>

#include "shm/base/hash.h"
#include "shm/base/ws.h"
#include "worker/net/tls.h"

#define TLS_RECORD_MAX 16384

struct tls_cert {
	unsigned refs;
	X509 *leaf;
	STACK_OF(X509) * chain; /* what leads from the leaf to its CA */
	EVP_PKEY *key;
	char *ocsp;
	size_t ocsp_n;
	int64_t ocsp_until;
};

/* Trusted certificates with CRLs, decoded once for all profiles that trust the same. */
struct tls_store;

struct tls_ctx {
	unsigned refs;
	SSL_CTX *ssl;
	struct ws ws;
	bool server, verify;
	unsigned protocols; /* enum tls_protocol */
	struct tls_store *store;
	struct str trust_domain; /* SPIFFE; "" */
	struct strs ids;
	uint8_t judge[HASH_SHA256]; /* of all that peers are judged by */
	struct tls_tickets *tickets;
	unsigned (*pick)(void *arg, struct str sni, struct tls_cert *v_r[TLS_PICK_MAX]);
};

struct tls_session {
	unsigned refs;
	SSL_SESSION *ssl;
	uint8_t whose[HASH_SHA256]; /* of the profile's judge and the name that was proved */
};

/* One connection, in stream.layer. Much of a gateway's memory is this many times the connections:
 * what only few need is allocated apart. */
struct tls {
	SSL *ssl;
	struct stream *s;
	struct tls_ctx *ctx;
	union {
		struct {
			void *arg;                /* pick's */
			struct tls_cert **picked; /* while the handshake goes on; ends with NULL */
		};
		struct {
			struct tls_session **place; /* the owner's */
			uint8_t *whose;
		};
	};
	char *words;           /* why it failed */
	struct tls_kept *kept; /* facts, once asked for */
	int io_err;            /* errno of the socket */
	uint16_t record_max;
	uint16_t sealed; /* octets in a record that waits for room; all but the last were taken */
	uint8_t failure; /* enum tls_failure */
	bool server;     /* as ctx->server */
	bool dialing;    /* the TCP connection is on its way */
	bool raw_readable, raw_writable, raw_eof;
	bool read_wants_write;
	bool read_failed;
	bool notify_due; /* close_notify waits for room */
	bool notified;   /* it is out */
};

/* --- tls_bio.c --- */
BIO *tls_bio_new(struct tls *t);

/* --- tls.c --- */
/* Turns s into a TLS stream that has not begun: NULL with *error_r. */
struct tls *tls_layer(
    struct stream *s, struct tls_ctx *c, void (*on_event)(struct stream *), const char **error_r);
void tls_handshake(struct tls *t);
static inline struct tls *
tls_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* --- tls_error.c --- */
/* Words for settings: always -1, and OpenSSL's queue is empty after. */
int tls_wrong(const char *what, const char *why, const char **error_r);
const char *tls_reason(void); /* OpenSSL's, for its newest error */
/* What failed a connection; the first cause stays. */
void tls_fail(struct tls *t, int err, enum tls_failure f, const char *fmt, ...) PRINTF(4, 5);
/* The same for what SSL_get_error said. */
void tls_fail_ssl(struct tls *t, int why);

/* --- tls_ctx.c --- */
struct tls_ctx *tls_ctx_new(bool server, const char **error_r);
/* Adds a part to c->judge. */
void tls_ctx_judge(struct tls_ctx *c, const char *what, struct str octets);
/* Peers are judged by these from now on. */
int tls_ctx_trust(struct tls_ctx *c, struct str ca, struct str crl, const char **error_r) NODISCARD;
int tls_ctx_versions(struct tls_ctx *c, int min, int max, const char **error_r) NODISCARD;

/* --- tls_cert.c --- */
STACK_OF(X509) * tls_certs(struct str der); /* NULL: none, or malformed */
struct tls_store *tls_store_get(struct str ca, struct str crl, const char **error_r);
void tls_store_unref(struct tls_store **s);
X509_STORE *tls_store_x509(struct tls_store *s);
/* One of its CRLs should have been replaced by now. NULL: no. */
bool tls_store_over(const struct tls_store *s);
/* Names of the certificates of a CA, which a server tells its clients. */
STACK_OF(X509_NAME) * tls_ca_names(struct str ca);

/* --- tls_accept.c --- */
/* Lower case into out; a name no certificate can be for is "". */
struct str tls_sni_clean(const char *z, char out[256]);
/* Keys are let go: a connection may outlive its certificate by long. */
void tls_accept_done(struct tls *t);

/* --- tls_connect.c --- */
/* A session that a handshake failed with is not offered again. */
void tls_connect_failed(struct tls *t);

/* --- tls_ticket.c --- */
/* Server profiles: c->tickets (NULL: none are given). */
int tls_tickets_use(struct tls_ctx *c, const char **error_r) NODISCARD;

/* --- tls_peer.c --- */
/* The certificate is of the domain, and of the ids, the profile asks for: 1; -1 and t has failed.
 */
int tls_peer_fits(struct tls *t, X509 *leaf) NODISCARD;
/* For SSL_CTX_set_cert_verify_callback. */
int tls_peer_verify(X509_STORE_CTX *x, void *arg);
int tls_peer_anybody(X509_STORE_CTX *x, void *arg);
bool tls_peer_expired(const X509 *leaf);
void tls_kept_free(struct tls_kept **k);

#endif
