/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS on a stream, either side, by OpenSSL, non-blocking. A stream that is open (or connecting) is
 * turned into a TLS one where it stands: same struct, same descriptor, same watch, other
 * operations. Whatever was read from it before (a PROXY header) was not TLS's.
 *
 *	stream_tcp_accept(s, ...);    tls_accept(s, ctx, arg, on_event);
 *	stream_tcp_connect(s, ...);   tls_connect(s, ctx, &how, on_event);
 *
 * The handshake is part of connecting: s->connecting until it is over, reads and writes say AGAIN,
 * and on_event tells of its end; when it failed s->refused is set and tls_error() has the words.
 * How long it may take is the owner's to say. From then on a stream like any other: `readable`,
 * `hup`, `broken`, `eof` as in stream.h. An end of TCP without an end of TLS (close_notify) is
 * STREAM_ERROR with ECONNRESET and never STREAM_EOF, so that nothing cut short passes for whole.
 * After STREAM_AGAIN a write's first octet is the same as before: of a record that waits all but
 * the last octet was taken.
 *
 * What a certificate, a key or a CRL is comes as DER octets (conf/bundle.h), never as a path.
 */
#ifndef GW_TLS_H
#define GW_TLS_H

#include "conf/bundle.h"
#include "conf/tls.h"
#include "worker/net/stream.h"

struct tls_ctx;     /* one profile; counted: connections hold theirs */
struct tls_cert;    /* a decoded chain with its key; counted */
struct tls_tickets; /* what tickets are sealed with; counted */
struct tls_session; /* what a client resumes with; counted */

/* --- certificates ----------------------------------------------------------------------------- */

/* Decodes. NULL with *error_r. */
struct tls_cert *tls_cert_new(const struct bundle_cert *c, const char **error_r);
struct tls_cert *tls_cert_ref(struct tls_cert *c);
void tls_cert_unref(struct tls_cert **c);

/* --- tickets: RFC 5077, RFC 8446 4.6.1 -------------------------------------------------------- */

/* Keys are derived (HKDF) from the secret and the time: for lifetime_s each, the one before and the
 * one after are taken too, so that whoever has the secret resumes, in any worker and on any host.
 * Of the secret a digest is kept. NULL: OpenSSL has not what it takes. */
struct tls_tickets *tls_tickets_new(struct str secret, uint64_t lifetime_s);
struct tls_tickets *tls_tickets_ref(struct tls_tickets *t);
void tls_tickets_unref(struct tls_tickets **t);

/* --- profiles --------------------------------------------------------------------------------- */

#define TLS_PICK_MAX 4 /* certificates for one name, one of each kind of key at most */

/* Which protocols are spoken over TLS (ALPN, RFC 7301). */
enum tls_protocol { TLS_HTTP1 = 1, TLS_HTTP2 = 2 };

struct tls_server_opts {
	unsigned protocols; /* enum tls_protocol, any of them; 0: HTTP/1 alone */
	const struct conf_listener_tls *conf;
	struct str ca, crl;          /* DER, where client.mode asks for certificates */
	struct tls_tickets *tickets; /* a reference is taken; NULL: none are given */
	/* Who is to be shown to a client that asked for `sni` (lower case, "" for none): fills
	 * v_r with references, which are dropped after; 0: nobody, and the handshake ends with
	 * unrecognized_name. arg: tls_accept's. Called within a handshake: it must not block. */
	unsigned (*pick)(void *arg, struct str sni, struct tls_cert *v_r[TLS_PICK_MAX]);
};
struct tls_client_opts {
	unsigned protocols; /* offered; 0: none is named */
	const struct conf_service_tls *conf;
	struct str ca, crl;    /* DER; without a CA: the system's files, for who may read them */
	struct str chain, key; /* DER: ours; empty: none */
};

/* NULL with *error_r: which setting is no good and why. */
struct tls_ctx *tls_server_new(const struct tls_server_opts *o, const char **error_r);
struct tls_ctx *tls_client_new(const struct tls_client_opts *o, const char **error_r);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void tls_ctx_unref(struct tls_ctx **c);
/* Of security (NIST SP 800-57): OpenSSL shows no certificate with less, unless a listener's ciphers
 * have @SECLEVEL. */
unsigned tls_bits_min(void);
/* Would OpenSSL take these words? For checking settings: NULL or what is wrong. */
const char *tls_words_wrong(const struct conf_listener_tls *conf);

/* --- connections ------------------------------------------------------------------------------ */

/* Octets of the client may be here already. 1 under way (s->connecting), done, or failed at once:
 * s->refused, with words and a reason as if an event had told of it. -1 with words in *error_r: it
 * could not begin, and s is closed. */
int tls_accept(struct stream *s, struct tls_ctx *c, void *arg, void (*on_event)(struct stream *),
    const char **error_r) NODISCARD;

struct tls_how {
	struct str name; /* whom the certificate must be for, and SNI unless it is an address; ""
			    only where nobody looks (verify off, SPIFFE) */
	/* Resumes *session where there is one, and leaves there what the server gives next. May be
	 * NULL. A session of another profile or name is dropped, and so is one that a handshake
	 * failed with; any number of connections may share the place. The place must outlive the
	 * connection, or tls_session_forget(s) be called. */
	struct tls_session **session;
};
int tls_connect(struct stream *s, struct tls_ctx *c, const struct tls_how *how,
    void (*on_event)(struct stream *), const char **error_r) NODISCARD;
void tls_session_unref(struct tls_session **session);
void tls_session_forget(struct stream *s);

/* Why connecting, reading or writing failed; "" while nothing did. For a plain stream "". */
const char *tls_error(const struct stream *s);
/* A word for counting: "timeout" is the owner's. */
enum tls_failure {
	TLS_FAIL_NONE,
	TLS_FAIL_PROTOCOL,    /* not TLS, or malformed */
	TLS_FAIL_VERSION,     /* no version, cipher or group in common */
	TLS_FAIL_NAME,        /* strict SNI, no certificate */
	TLS_FAIL_ALPN,        /* no protocol in common */
	TLS_FAIL_CERTIFICATE, /* the peer's is missing, not trusted, revoked, not of the domain */
	TLS_FAIL_REFUSED,     /* the peer sent an alert */
	TLS_FAIL_CLOSED,      /* the peer left */
	TLS_FAIL_OTHER,
	TLS_FAIL_COUNT
};
enum tls_failure tls_failure(const struct stream *s);

/* What was agreed and who the peer is. Text is borrowed for as long as the stream is open; made at
 * the first call, and then kept. NULL: a plain stream, or not connected. */
struct tls_facts {
	struct str version; /* "TLSv1.3" */
	struct str cipher;  /* "TLS_AES_128_GCM_SHA256" */
	struct str sni;     /* lower case; "" */
	struct str alpn;    /* "http/1.1"; "" */
	bool resumed;
	bool peer;                  /* it showed a certificate, and it was verified */
	struct str subject, issuer; /* RFC 2253 */
	struct str serial;          /* hex */
	struct str fingerprint;     /* SHA-256, hex, lower case */
	struct str spiffe;          /* the SPIFFE id, "" */
	struct str dns, email;      /* first of each, "" */
	struct str not_after;       /* RFC 3339 */
};
const struct tls_facts *tls_facts(const struct stream *s);
/* The same as facts' `resumed`, where nothing else is asked: it allocates nothing. */
bool tls_resumed(const struct stream *s);

/* A stream that did its duty stays silent: 1 fine, 0 octets or an end came. Session tickets and
 * key updates are taken in on the way. Called by stream_idle_ok. */
int tls_idle_ok(struct stream *s);

#endif
