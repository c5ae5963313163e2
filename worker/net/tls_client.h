/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of TLS as a stream over a stream: TLS 1.2 and newer by OpenSSL, non-blocking.
 * Its owner embeds a struct tls_client, connects t->tcp, starts TLS on it, and from then on speaks
 * to &t->s alone. The handshake is part of connecting: reads and writes say AGAIN until it is over,
 * an event tells of it either way, and when it failed s.refused is set and tls_client_error has the
 * words. How long it may take is the owner's to say.
 *
 *	ctx = tls_client_ctx_new(&opts, &error);         once for many connections
 *	stream_tcp_connect(&t->tcp, loop, &addr, NULL);
 *	tls_client_start(t, ctx, name, on_event);
 *	... stream_read(&t->s, ...), stream_write(&t->s, ...)
 *	stream_close(&t->s);                             closes t->tcp too
 */
#ifndef GW_TLS_CLIENT_H
#define GW_TLS_CLIENT_H

#include "shm/base/str.h"
#include "worker/net/stream.h"

/* All borrowed for the call only. */
struct tls_client_opts {
	bool verify;                 /* the server's chain and name; off: anybody will do */
	struct str ca;               /* PEM, certificates to trust; empty: the system's */
	struct str certificate, key; /* PEM: ours, with what leads to its CA; both or neither */
};

struct tls_client_ctx;
/* NULL: *error_r says which of the octets are no good, and why. */
struct tls_client_ctx *tls_client_ctx_new(
    const struct tls_client_opts *o, const char **error_r) NODISCARD;
/* After the connections made with it. */
void tls_client_ctx_free(struct tls_client_ctx **c);

struct tls_client {
	struct stream s;   /* what the owner reads and writes */
	struct stream tcp; /* what it is made of; connected by the owner, then left alone */
	void *ssl;         /* SSL */
	bool verify;
	bool read_wants_write, write_wants_read;
	char error[192];
};

/* t->tcp is connected, or connecting. name: whom the certificate must be for, and SNI unless it is
 * an address. 1; -1 with *error_r: t->tcp is closed then. */
int tls_client_start(struct tls_client *t, struct tls_client_ctx *c, struct str name,
    void (*on_event)(struct stream *), const char **error_r) NODISCARD;
/* Why reading or writing said ERROR, or connecting failed; "" while nothing did. */
const char *tls_client_error(const struct tls_client *t);
/* "TLSv1.3", once connected. */
const char *tls_client_version(const struct tls_client *t);

#endif
