/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 on a stream (RFC 9113), server's or client's side: the second implementation of proto.h.
 * Frames and HPACK are nghttp2's; what it leaves to its user is here: heads, flow control tied to
 * who really takes octets, limits, and the counting of peers that make work for nothing.
 *
 * A connection carries exchanges side by side, each a struct h2_stream with its struct xchg. What
 * goes out is gathered in one buffer and written when the turn ends, or as soon as that is full.
 * Received payload is kept until the owner consumes it, and only then may the peer send as much
 * again: a slow reader on one side stops the writer on the other, stream by stream.
 *
 * Events come from the loop only, one stream at a time; after one the owner may have ended any
 * stream, or closed the connection.
 */
#ifndef GW_H2_H
#define GW_H2_H

#include "shm/base/buf.h"
#include "shm/base/hash.h"
#include "shm/base/loop.h"
#include "worker/http/proto.h"
#include "worker/net/stream.h"

#define H2_PREFACE   "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_N 24
#define H2_HEADS     16 /* heads of the largest size that a connection's requests may hold together */

struct h2_limits {
	uint32_t headers; /* octets of a decoded head, 32 more for each field (RFC 9113 6.5.2) */
	uint32_t count;   /* fields */
	uint32_t request_line; /* octets of :method and :path; 0: any number */
	uint32_t streams;      /* the peer may have open at a time */
	uint32_t window;       /* octets of payload kept for a stream */
	uint32_t conn_window;  /* for all of them */
	bool merge_slashes;
	bool connect; /* extended CONNECT is offered (RFC 8441) */
};

/* What a peer may do only so often in ten seconds. */
enum h2_abuse {
#define ABUSE(NAME, most, word, help) H2_ABUSE_##NAME,
#include "shm/h2_abuse.def"
#undef ABUSE
	H2_ABUSE_COUNT
};
extern const char *const h2_abuse_words[H2_ABUSE_COUNT];

/* What connections of a process share: memory and nghttp2's options. */
struct h2_pool;
struct h2_pool *h2_pool_new(struct loop *loop, struct buf_pool *bufs);
void h2_pool_free(struct h2_pool **p); /* after its connections */
/* Frees half of what lies about beyond `keep` of a kind; how many. */
unsigned h2_pool_trim(struct h2_pool *p, unsigned keep);

struct h2_conn;
struct h2_stream {
	struct xchg x;
	struct h2_conn *c;
	struct list node;   /* among the connection's */
	struct list news;   /* among those with something to tell */
	int32_t id;         /* 0: the request was not sent yet */
	uint32_t head_size; /* decoded so far */
	uint32_t head_held; /* and kept: its part of the connection's heads */
	uint32_t head_count;
	bool rx_open, tx_open; /* END_STREAM has not come, has not gone */
	bool rx_whole;         /* END_STREAM came */
	bool reset;            /* by either side: nothing passes any more */
	bool trailing;         /* the fields that come are trailers */
	bool submitted, trailed, deferred;
	bool blocked; /* by what waits for the socket */
	bool starved; /* by a window: told when nghttp2 asks again */
	bool refused; /* nobody has looked at it: it may be sent again (RFC 9113 8.7). Client: set
		       * by the peer's reset; server: by the owner, before it ends the stream */
	uint16_t host_n;     /* of the authority, where that is known to be in order; else 0 */
	struct str protocol; /* :protocol of an extended CONNECT; "" */
	/* received, not consumed: a list of pool buffers, oldest first */
	struct h2_piece *rx_first, *rx_last;
	uint32_t rx_held;
	/* offered during send_body, nowhere else */
	const struct iovec *v;
	int n_v;
	size_t v_at, offered, taken;
	bool last;
	struct xchg_send how;
	/* submitted, their frame not made yet: the head's, then the trailers' */
	const struct h2_nv *nv;
	size_t n_nv;
	uint32_t interims; /* of 100, before them */
	bool kept;         /* nv is a copy */
};

struct h2_conn {
	struct h2_pool *pool;
	struct stream *stream; /* the owner's; NULL when closed */
	void *session;         /* nghttp2_session */
	bool server;
	bool secure;               /* the stream is TLS: the scheme of what goes out */
	bool eof;                  /* the peer sends no more */
	bool failed;               /* nothing passes any more: every stream was or is being told */
	bool draining;             /* GOAWAY was sent or received: no new exchanges */
	bool noticed;              /* the peer was told that there will be no more */
	bool refusing;             /* nor any of the peer's */
	bool feeding;              /* within nghttp2 */
	struct h2_stream *heading; /* whose head is being decoded */
	struct h2_stream *recent;  /* a frame came for, that still is this session's */
	bool lent;                 /* a head's frame may be due that points into it */
	struct hpack *hpack;       /* of what goes out */
	struct h2_limits limits;
	struct list streams, news;
	uint32_t n_streams;
	/* the head whose frame nghttp2 hands out next */
	struct h2_stream *framer;
	const struct h2_nv *framed;
	size_t n_framed;
	struct buf out;
	struct defer flush, tell;
	uint32_t noticed_at;   /* begun, when the notice went */
	uint64_t head_octets;  /* that streams hold, as head_size */
	uint32_t begun;        /* exchanges, ever */
	int32_t last_id;       /* of the peer's newest */
	uint64_t window_start; /* ms: of the counts below */
	uint32_t counts[H2_ABUSE_COUNT];
	uint32_t earned[H2_ABUSE_COUNT]; /* that come with what is done here: not counted */
	enum h2_abuse abuse;             /* why it was ended, where calm is set */
	bool calm;                       /* ended with ENHANCE_YOUR_CALM */
	uint64_t rx_bytes, tx_bytes;
	void *owner;
	/* Server: the first frame of a request. The owner sets x.rx, x.owner and x.on_event. False:
	 * it is refused, and may be sent again. */
	bool (*on_begin)(struct h2_conn *c, struct h2_stream *s);
	/* The connection is over (c->failed, or eof with no stream left), or idle: look. */
	void (*on_conn)(struct h2_conn *c);
};

/* c->stream, owner and the callbacks are set by the caller before; from then on h2_conn_event is
 * called for the stream. `first`: octets read from it already (the preface among them). 1 or -1 (no
 * memory). */
int h2_conn_start(struct h2_conn *c, bool server, struct h2_pool *p, const struct h2_limits *l,
    struct str first) NODISCARD;
/* The stream has news. */
void h2_conn_event(struct h2_conn *c);
/* Octets of the peer that were read before. */
void h2_conn_feed(struct h2_conn *c, struct str octets);
/* Server, right after h2_conn_start with nothing: the request by which it came about (RFC 7540 3.2)
 * is its first stream, with the settings its HTTP2-Settings field had (decoded). NULL: they are
 * malformed. */
struct h2_stream *h2_upgraded(struct h2_conn *c, struct str settings, struct head *rx);
/* The peer is told that there will be no new exchanges; those under way, and those on their way
 * when it hears of it, go on. goaway: from now on, where the connection is about to be closed. */
void h2_conn_drain(struct h2_conn *c);
void h2_conn_goaway(struct h2_conn *c);
/* Ends the session at once, every stream told by `gone`; the stream is the owner's to close. */
void h2_conn_free(struct h2_conn *c);
/* Lets nghttp2 write into the buffer, and the buffer into the socket, as far as it takes it. */
void h2_conn_push(struct h2_conn *c);
/* Is all that was queued out? */
bool h2_conn_flushed(const struct h2_conn *c);

/* Client: a new exchange, whose response is parsed into rx. NULL: no more at the moment. */
struct h2_stream *h2_begin(struct h2_conn *c, struct head *rx);
/* How many more may be begun now. */
uint32_t h2_room(const struct h2_conn *c);
/* The owner is through with an exchange: what is not complete is reset. The struct is gone after
 * this. */
void h2_end(struct h2_stream **s);

static inline struct h2_stream *
h2_stream_of(struct xchg *x)
{
	return container_of(x, struct h2_stream, x);
}

#endif
