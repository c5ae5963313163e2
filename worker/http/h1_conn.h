/* SPDX-License-Identifier: Apache-2.0
 *
 * An HTTP/1.1 connection on a stream, server's or client's: one exchange at a time. worker/conn.c
 * embeds the server's, worker/up/pool.c the client's. Life: start -> (begin -> exchange -> finish)*
 * -> close. An idle connection holds no buffer, and no more of an exchange than its flags.
 */
#ifndef GW_H1_CONN_H
#define GW_H1_CONN_H

#include "shm/base/buf.h"
#include "shm/base/loop.h"
#include "worker/http/h1.h"
#include "worker/http/proto.h"
#include "worker/net/stream.h"

enum h1_rx_state {
	H1_RX_IDLE,  /* between messages */
	H1_RX_HEAD,  /* in a head */
	H1_RX_BODY,  /* in a body */
	H1_RX_DONE,  /* the message is complete */
	H1_RX_FAILED /* malformed or cut short; nothing more is looked at */
};

/* Payload decoded where it lies in the buffer: `skip` octets of framing, then `n` of payload. */
struct h1_part {
	uint32_t skip, n;
};

struct h1_tx {
	struct str head;       /* still to go; in the owner's workspace */
	struct str post;       /* framing behind the payload, still to go */
	uint8_t pre_at, pre_n; /* of the chunk's size line */
	uint8_t kind;          /* enum body_kind */
	bool last;             /* the last payload was offered and taken */
	uint64_t chunk_left;   /* payload the open chunk still lacks */
	uint64_t left;         /* BODY_LENGTH: payload still to go */
};

/* What only a message under way needs; at the end what most have no use for. */
struct h1_work {
	struct h1_scan scan;
	uint64_t rx_left;  /* BODY_LENGTH: payload still to come */
	struct pipe *pipe; /* payload behind `part`, nothing in the buffer behind that; or NULL */
	bool pipe_undo;    /* it is given back with the workspace */
	struct h1_tx tx;
	struct h1_part part[XCHG_PARTS];
	struct h1_chunk chunk; /* BODY_CHUNKED, received */
	char pre[24];          /* a chunk's size line, to be sent */
};

/* What the owner of a server's connection says to the first octets of a request. */
enum h1_begin {
	H1_BEGIN,       /* it is one */
	H1_BEGIN_LATER, /* more of them are needed to tell */
	H1_BEGIN_NOT    /* the connection was closed, or is somebody else's from here on */
};

struct h1_conn {
	struct stream stream;
	struct xchg x;
	struct buf_pool *bufs;
	struct buf rx;
	struct h1_limits limits;
	bool server;
	bool eof, failed; /* reading ended: orderly, or by an error */
	uint8_t rx_state;
	uint8_t rx_kind; /* enum body_kind as received: the head's is the sending side's */
	bool bulk;       /* this body fills what it is read into: larger pieces, or a pipe */
	uint8_t parts, interims, blanks;
	uint32_t tail;        /* framing decoded behind the last part */
	struct h1_work *work; /* in the workspace of x.rx; NULL: no exchange, or no memory */
	struct defer again;   /* octets of the next request are here already */
	/* Server: the first octet of a request. The owner sets x.rx, whose workspace lives as long
	 * as the exchange, and limits. */
	enum h1_begin (*on_begin)(struct h1_conn *c);
};

/* c->stream is open (or connecting) already; its on_event is set here. */
void h1_conn_start(struct h1_conn *c, bool server, struct buf_pool *bufs);
/* The function a stream in an exchange calls; pools and connects put their own in between. */
void h1_conn_event(struct stream *s);
/* Client: a new exchange whose response is parsed into rx. Where rx has no room for what it needs,
 * send_head says so. */
void h1_conn_begin(struct h1_conn *c, struct head *rx);
/* Server: the message is not waited for any longer. */
void h1_conn_refuse(struct h1_conn *c, enum reason why);
/* Reads and drops what comes. Octets dropped, 0 nothing there, -1 the peer is through. For
 * lingering closes. */
ssize_t h1_conn_discard(struct h1_conn *c);
bool h1_conn_pending(const struct h1_conn *c); /* octets received and not looked at */
void h1_conn_close(struct h1_conn *c, bool reset);

/* Shared by h1_conn*.c only. */
extern const struct xchg_ops h1_xchg_ops;
int h1_rx_fill(struct h1_conn *c);
void h1_rx_head(struct h1_conn *c);
void h1_rx_reset(struct h1_conn *c);
void h1_rx_begin(struct h1_conn *c); /* x.rx is set */
int h1_rx_peek(struct xchg *x, struct iovec v[XCHG_PARTS]);
void h1_rx_consume(struct xchg *x, size_t n);
/* Nothing was read, `rc` says why: 0 there is nothing now, -1 the peer sends nothing more. */
int h1_rx_none(struct h1_conn *c, ssize_t rc);
void h1_rx_end(struct h1_conn *c);
/* h1_conn_pipe.c: is payload in a pipe? A pipe's octets to the buffer, which is empty. Octets that
 * left the pipe. */
static inline bool
h1_rx_piped(const struct h1_conn *c)
{
	return c->rx_state > H1_RX_HEAD && c->work && c->work->pipe;
}
void h1_rx_unpipe(struct h1_conn *c);
void h1_rx_eat_pipe(struct h1_conn *c, size_t n);
struct pipe *h1_rx_peek_pipe(struct xchg *x, struct pipe_pool *pool);
int h1_tx_head(struct xchg *x, struct head *h, const struct xchg_send *s);
ssize_t h1_tx_body(struct xchg *x, const struct iovec *v, int n, bool last);
ssize_t h1_tx_pipe(struct xchg *x, struct pipe *p, bool last);
int h1_tx_interim(struct xchg *x, unsigned status);
void h1_tx_flush(struct h1_conn *c);
void h1_raw_begin(struct xchg *x);
struct str h1_raw_data(struct xchg *x);
int h1_raw_fill(struct xchg *x);
void h1_raw_eat(struct xchg *x, size_t n);

#endif
