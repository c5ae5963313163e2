/* SPDX-License-Identifier: Apache-2.0
 *
 * Contiguous byte buffers with a read and a write end, borrowed from a per-process pool, so that an
 * idle connection holds none. A buffer's size class is fixed by its pool; larger ones are malloc'ed
 * and freed.
 */
#ifndef GW_BUF_H
#define GW_BUF_H

#include "shm/base/base.h"
#include "shm/base/str.h"

struct buf {
	char *p;            /* NULL: no memory held */
	uint32_t cap, r, w; /* bytes [r, w) are unread */
};

struct buf_pool {
	void *free; /* singly linked through the first word */
	unsigned n_free, max_free, n_out;
	uint32_t size;
	struct buf_pool *bulk; /* large ones, for bodies that fill those of `size`; NULL: none */
};

void buf_pool_init(struct buf_pool *pool, uint32_t size, unsigned max_free);
void buf_pool_fini(struct buf_pool *pool);
/* Frees half of what lies about beyond `keep`; returns how many. */
unsigned buf_pool_trim(struct buf_pool *pool, unsigned keep);

/* no-op when b->cap >= min_cap; keeps content */
void buf_take(struct buf *b, struct buf_pool *pool, uint32_t min_cap);
/* An empty one: a large one while fewer than `most` of these are out, else as any. */
void buf_take_bulk(struct buf *b, struct buf_pool *pool, unsigned most);
void buf_give(struct buf *b, struct buf_pool *pool); /* returns the memory; content is lost */

static inline uint32_t
buf_len(const struct buf *b)
{
	return b->w - b->r;
}
static inline uint32_t
buf_room(const struct buf *b)
{
	return b->cap - b->w;
}
static inline struct str
buf_str(const struct buf *b)
{
	return (struct str){b->p + b->r, b->w - b->r};
}
/* drops n unread bytes; both ends go to 0 when it becomes empty */
void buf_eat(struct buf *b, uint32_t n);
void buf_compact(struct buf *b); /* moves unread bytes to the start */
/* false, and nothing put, when there is no room */
bool buf_put(struct buf *b, const void *p, uint32_t n);

/* Growing byte string for encoders outside the hot path (messages, records, reports). */
struct gbuf {
	char *p;
	size_t n, cap;
};
void gbuf_put(struct gbuf *g, const void *p, size_t n);
void gbuf_reserve(struct gbuf *g, size_t n); /* room for n octets more at p + n */
void gbuf_str(struct gbuf *g, struct str s);
void gbuf_u8(struct gbuf *g, uint8_t v);
void gbuf_u16(struct gbuf *g, uint16_t v); /* little endian, as all our formats */
void gbuf_u32(struct gbuf *g, uint32_t v);
void gbuf_u64(struct gbuf *g, uint64_t v);
void gbuf_printf(struct gbuf *g, const char *fmt, ...) PRINTF(2, 3);
void gbuf_free(struct gbuf *g);

/* Bounds-checked reader over bytes that are not trusted. A read past the end returns zero and sets
 * `bad`. */
struct rbuf {
	const char *p;
	size_t n, at;
	bool bad;
};
struct rbuf rbuf_of(struct str s);
uint8_t rbuf_u8(struct rbuf *r);
uint16_t rbuf_u16(struct rbuf *r);
uint32_t rbuf_u32(struct rbuf *r);
uint64_t rbuf_u64(struct rbuf *r);
struct str rbuf_bytes(struct rbuf *r, size_t n); /* borrowed; STR_NONE past the end */
bool rbuf_done(const struct rbuf *r);            /* all consumed and not bad */

#endif
