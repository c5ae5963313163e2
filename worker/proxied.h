/* SPDX-License-Identifier: Apache-2.0
 *
 * The PROXY protocol on both sides of the worker: what a connection of a load balancer begins with,
 * and what an upstream is told. The octets themselves are worker/net/proxy_header.h's.
 */
#ifndef GW_PROXIED_H
#define GW_PROXIED_H

#include "conf/listener.h"
#include "shm/base/str.h"

struct conn;
struct req;
struct stream;
struct worker;

/* Of a connection that has to begin with a header, and later of one whose header named a client. */
struct proxied {
	uint8_t mode;      /* enum proxy_mode, when it was accepted */
	struct addr via;   /* who connected */
	struct addr local; /* the address the client connected to */
};

/* What a connection from there is to begin with; NULL: it is plain. Freed by free(). */
struct proxied *proxied_expect(const struct conf_listener *l, const struct addr *peer);
/* The stream has news. 1: the header is here and taken off, *peer is whom it names, and *p is gone
 * where it names nobody; 0: not yet; -1: *error_r says what is wrong, or is NULL where the peer
 * left without an octet. */
int proxied_read(
    struct proxied **p, struct stream *s, struct addr *peer, const char **error_r) NODISCARD;
/* Counts and logs a connection that ends for want of its header. */
void proxied_refused(struct worker *w, const struct conn *c, const char *error, bool late);

/* The header a connection for this request has to begin with, in its workspace; STR_NONE where none
 * is wanted. 1, or -1: the workspace is full. */
int proxied_greeting(struct req *r, struct str *greeting_r) NODISCARD;

#endif
