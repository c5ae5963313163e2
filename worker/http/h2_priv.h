/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the HTTP/2 codec share:
 *
 *	h2_conn.c	life of a connection, reading, who is told what
 *	h2_rx.c		what nghttp2 has received: frames into streams
 *	h2_tx.c		what goes out: heads, payload, the buffer
 *	h2_field.c	a field that comes, into struct head
 *	h2_head.c	a whole head, and struct head into fields
 *	h2_hpack.c	fields that go out, as octets
 *	h2_mem.c	memory for nghttp2
 */
#ifndef GW_H2_PRIV_H
#define GW_H2_PRIV_H

#include <nghttp2/nghttp2.h>

#include "worker/http/h2.h"
#include "worker/http/h2_hpack.h"

/* Payload that was received. */
struct h2_piece {
	struct h2_piece *next;
	struct buf b;
};

#define H2_MEM_ROWS 65 /* sizes up to 1024 octets, in steps of 16 */

struct h2_chunk;
struct h2_mem {
	nghttp2_mem ops;
	struct h2_chunk *free[H2_MEM_ROWS];
	uint32_t n_free[H2_MEM_ROWS];
};

/* What was found out about a pair of a name and a value; sets of them by their addresses. */
#define H2_KNOWN      32
#define H2_KNOWN_WAYS 4
struct h2_known {
	nghttp2_rcbuf *name, *value; /* held; NULL: none */
	uint16_t id;                 /* enum hdr_id */
	uint16_t number; /* :method, :status; :authority: length of its host, 0 not known */
	uint8_t kind;
};
struct h2_known_set {
	struct h2_known way[H2_KNOWN_WAYS];
	struct {
		const void *name, *value;
	} seen[2]; /* that came and are not known; compared only */
	uint8_t next_way, next_seen;
};

struct h2_pool {
	struct h2_mem mem;
	struct h2_known_set known[H2_KNOWN];
	struct loop *loop;
	struct buf_pool *bufs;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct list free; /* struct h2_stream, by node */
	struct h2_piece *free_piece;
};

/* h2_mem.c */
void h2_mem_init(struct h2_mem *m);
/* Frees half of what lies about beyond `keep` of a size; how many. */
unsigned h2_mem_trim(struct h2_mem *m, unsigned keep);
void h2_mem_fini(struct h2_mem *m);

/* h2_conn.c */
struct h2_stream *h2_stream_new(struct h2_conn *c, int32_t id);
/* Its owner is told when the turn comes to it. */
void h2_news(struct h2_stream *s);
/* Once more of this; past what is allowed the session ends: false. */
bool h2_count(struct h2_conn *c, enum h2_abuse what);
/* So many of it are an answer to what was sent, or otherwise in order. */
void h2_earn(struct h2_conn *c, enum h2_abuse what, uint32_t n);
/* The exchange is broken off: `why` unless one is known. */
void h2_break(struct h2_stream *s, enum reason why);
void h2_fail(struct h2_conn *c);

/* h2_rx.c */
void h2_rx_callbacks(nghttp2_session_callbacks *cb);
int h2_rx_peek(struct xchg *x, struct iovec v[XCHG_PARTS]);
void h2_rx_consume(struct xchg *x, size_t n);
void h2_raw_begin(struct xchg *x);
struct str h2_raw_data(struct xchg *x);
int h2_raw_fill(struct xchg *x);
void h2_rx_drop(struct h2_stream *s); /* what is held, credit included */

/* h2_tx.c */
void h2_tx_callbacks(nghttp2_session_callbacks *cb);
int h2_tx_head(struct xchg *x, struct head *h, const struct xchg_send *how);
ssize_t h2_tx_body(struct xchg *x, const struct iovec *v, int n, bool last);
int h2_tx_interim(struct xchg *x, unsigned status);
void h2_tx_soon(struct h2_conn *c);
extern const struct xchg_ops h2_xchg_ops;

/* h2_field.c */
/* A field as it came, `literal`: never to be indexed. 1; 0 it is left out (over a limit: s->x.why
 * is set). */
int h2_field(struct h2_stream *s, nghttp2_rcbuf *name, nghttp2_rcbuf *value, bool literal);
/* It is not in order: 0, and s->x.why is `why` (of an upstream, that it is a bad one). */
int h2_refuse(struct h2_stream *s, enum reason why);
void h2_known_free(struct h2_pool *p);

/* h2_head.c */
/* The head is whole: 1 or -1 with x->why. */
int h2_head_done(struct h2_stream *s, bool end);
/* Does this answer open what an extended CONNECT asked for? */
bool h2_is_opened(const struct h2_stream *s, const struct head *h);
/* Fields of our head, as they go out: NULL, no memory left or not fit for a head. They live as long
 * as the head and its workspace. */
struct h2_nv *h2_fields(const struct h2_stream *s, const struct head *h, size_t *n_r);
struct h2_nv *h2_trailers(const struct head *h, size_t *n_r);

#endif
