/* SPDX-License-Identifier: Apache-2.0
 *
 * One HTTP exchange (a request and its response) on a connection, seen the same way from either
 * side and whatever the protocol: a server's exchange receives a request and sends a response, a
 * client's the other way round. h1_conn.h implements it; h2 next.
 *
 * The owner pulls: nothing is read from a socket unless the owner peeks and there is room, so a
 * slow reader on one side stops the writer on the other. The protocol never calls the owner from
 * within an operation: events come from the loop only, one at a time, and say no more than "look
 * again".
 */
#ifndef GW_PROTO_H
#define GW_PROTO_H

#include <sys/uio.h>

#include "shm/reason.h"
#include "worker/http/head.h"

struct pipe; /* worker/net/pipe.h */
struct pipe_pool;
struct xchg;

/* What goes with a head besides the head. */
struct xchg_send {
	struct str target;     /* requests: path and query */
	struct str connection; /* more members for Connection ("TE"), or "" */
	bool keepalive;        /* this side would go on after the exchange */
};

#define XCHG_PARTS 8 /* ranges of payload handed out at once */

struct xchg_ops {
	/* The head is queued and goes out with the first body octets, or at send_body with none.
	 * Settles h->body to what the peer's version can carry. `h` stays borrowed until the
	 * exchange ends. 1, or -1: no memory left for it. */
	int (*send_head)(struct xchg *x, struct head *h, const struct xchg_send *s);
	/* Payload octets taken (handed to the socket), 0 when it is full, -1 when the peer takes no
	 * more. `last` with the last of them (n may be 0): tx_end is set once all is out. What is
	 * not taken is offered again, the same octets first. */
	ssize_t (*send_body)(struct xchg *x, const struct iovec *v, int n, bool last);
	/* Server: an interim response (100). Only before send_head. */
	int (*send_interim)(struct xchg *x, unsigned status);
	/* Ranges of received payload; reads the socket when none is there. 0: none now (rx_end
	 * tells whether more can come); -1: the message is malformed or cut short (`why`). The
	 * ranges hold until the next call on x. */
	int (*peek)(struct xchg *x, struct iovec v[XCHG_PARTS]);
	void (*consume)(struct xchg *x, size_t n);
	/* As peek and send_body, for payload that nobody looks at: it stays in the kernel. A pipe
	 * (from the pool, or with octets left from before) whose octets come next, and are
	 * `consume`d as they leave it; NULL: peek says what there is. send_pipe takes them out of
	 * it, only where tx_plain. peek_pipe is NULL where a protocol has no such thing; peek after
	 * peek_pipe finds the same octets. */
	struct pipe *(*peek_pipe)(struct xchg *x, struct pipe_pool *pool);
	ssize_t (*send_pipe)(struct xchg *x, struct pipe *p, bool last);
	/* The owner is through. 1: the connection goes on with the next exchange; 0: it has to be
	 * closed. */
	int (*finish)(struct xchg *x);
	/* What became of a 101 (or of an extended CONNECT): from `raw_begin` on octets pass as they
	 * are. `raw_data`: received and not eaten, in one piece, at least 512 of them where there
	 * are so many; until the next fill or eat. `raw_fill`: 1 more of it came, 0 none now or no
	 * room, -1 the peer sends no more. send_body adds nothing then. */
	void (*raw_begin)(struct xchg *x);
	struct str (*raw_data)(struct xchg *x);
	int (*raw_fill)(struct xchg *x);
	void (*raw_eat)(struct xchg *x, size_t n);
};

struct xchg {
	const struct xchg_ops *ops;
	/* Something changed: a head or its error, payload, room to write, the end of the
	 * connection. May end the exchange. */
	void (*on_event)(struct xchg *x);
	/* NULL, or: octets were read for it, and on_event follows when the others of the batch had
	 * theirs read. May have fetched what it will look at; changes nothing. */
	void (*on_ahead)(const struct xchg *x);
	void *owner;
	struct head *rx; /* the owner's: what is received is parsed into it */
	struct head *tx;
	bool upgrade; /* client, the owner's: 101 is an answer, and ends the message */

	/* Kept by the protocol, read by the owner. */
	bool rx_any;  /* an octet of the message has come */
	bool rx_head; /* rx is complete */
	bool rx_body; /* octets of the body came with the head */
	bool rx_end;  /* the last payload octet is here (peeked or to be peeked), trailers are in rx
		       */
	bool rx_eof;  /* the peer sends no more on this connection; some may be unread */
	bool tx_any;  /* an octet of our message has gone out */
	bool tx_head; /* send_head was called */
	bool tx_plain;   /* payload goes out as it is, on a plain socket: send_pipe may be used */
	bool tx_end;     /* all of our message is out */
	bool tx_dead;    /* the peer takes nothing more; what it sent may still be read */
	bool gone;       /* nothing can be sent or received any more */
	bool keepalive;  /* both sides would go on */
	enum reason why; /* what was wrong with the received message, or why it is gone */
	uint64_t rx_bytes, tx_bytes; /* on the wire */
};

#endif
