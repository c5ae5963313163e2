/* SPDX-License-Identifier: Apache-2.0
 *
 * A client connection: its states, deadlines and requests, one after the other. Made by accept.c,
 * recycled. Most are idle most of the time: what a request alone needs is the request's, and what
 * is here costs that much for each of ten thousand.
 */
#ifndef GW_CONN_H
#define GW_CONN_H

#include "shm/base/addr.h"
#include "shm/base/timer.h"
#include "worker/http/h1_conn.h"

struct conn_h2; /* conn_h2.h */
struct listener;
struct proxied;
struct req;
struct worker;

enum conn_state {
	CONN_FREE,    /* recycled */
	CONN_PROXY,   /* accepted, its PROXY header is not complete */
	CONN_TLS,     /* in its handshake, or before its first octet */
	CONN_FRESH,   /* accepted, no octet yet */
	CONN_HEAD,    /* in a request head */
	CONN_REQUEST, /* a request is being answered */
	CONN_IDLE,    /* kept alive between requests */
	CONN_H2,      /* a carrier of requests by HTTP/2 */
	CONN_LINGER,  /* answered for the last time: what still comes is dropped */
	CONN_STATE_COUNT
};

/* What a request waits for from its client; each has a deadline of its own. */
enum conn_wait { CONN_WAIT_NONE, CONN_WAIT_BODY, CONN_WAIT_WRITE };

struct conn {
	uint32_t magic;
#define CONN_MAGIC 0x636f6e6eu
	uint8_t state, wait;
	bool misled; /* plain HTTP where TLS is spoken */
	uint32_t requests;
	uint32_t lingered; /* octets dropped */
	struct worker *w;
	struct listener *listener; /* one reference */
	struct list node;          /* among those of its state */
	struct timer timer;        /* the deadline of its state, or of what it waits for */
	struct h1_conn h1;
	struct xchg *x;       /* of its request: h1's, or a stream's of the carrier */
	struct conn_h2 *h2;   /* it is a carrier; NULL */
	struct conn *carrier; /* it is a member; NULL */
	struct list mate;     /* member: among the carrier's */
	struct req *req;
	struct addr_kept peer;   /* who connected, or whom the PROXY header names */
	struct proxied *proxied; /* NULL: it is a plain one */
};

/* Takes an accepted, non-blocking socket. False: it could not be registered, and was closed. */
bool conn_open(struct worker *w, struct listener *l, int fd, const struct addr *peer);
/* The request waits for its client; `progress` starts the time anew. */
void conn_wait(struct conn *c, enum conn_wait what, bool progress);
/* The head is complete. */
void conn_set_request(struct conn *c);
/* The request is over and gone; `after`: enum req_after. */
void conn_after(struct conn *c, unsigned after);
/* Whether a response about to be sent may leave the connection open. */
bool conn_may_keep(const struct conn *c);
/* Where it comes from: its socket, or its carrier's. */
struct stream *conn_stream(struct conn *c);

/* For carriers (conn_h2.c): idle, with requests, to be closed; a member, in CONN_HEAD. */
void conn_set_idle(struct conn *c);
void conn_set_busy(struct conn *c);
void conn_shut(struct conn *c);
struct conn *conn_member(struct conn *carrier, struct xchg *x);

void conn_close_idle(struct worker *w);
/* Closes the connection that has been idle for longest, where there is one. */
void conn_shed_idle(struct worker *w);
/* Ends every connection and request, with this reason in the log. */
void conn_abort_all(struct worker *w, unsigned reason);
void conn_fini(struct worker *w);

#endif
