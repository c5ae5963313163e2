/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffers for streams (pooled), a growing byte string for encoders, and the reader of untrusted
 * bytes.
 */
#include "shm/base/buf.h"

#include <endian.h>
#include <stdarg.h>

#include "shm/base/asan.h"
#include "shm/base/bug.h"

void
buf_pool_init(struct buf_pool *pool, uint32_t size, unsigned max_free)
{
	BUG_ON(size < sizeof(void *));
	*pool = (struct buf_pool){.max_free = max_free, .size = size};
}

static void *
pool_pop(struct buf_pool *pool)
{
	void *p = pool->free;

	MEM_UNPOISON(p, pool->size);
	memcpy(&pool->free, p, sizeof(void *));
	pool->n_free--;
	return p;
}

static void
pool_push(struct buf_pool *pool, void *p)
{
	memcpy(p, &pool->free, sizeof(void *));
	pool->free = p;
	pool->n_free++;
	MEM_POISON(p, pool->size);
}

void
buf_pool_fini(struct buf_pool *pool)
{
	while (pool->free != NULL)
		free(pool_pop(pool));
}

unsigned
buf_pool_trim(struct buf_pool *pool, unsigned keep)
{
	unsigned n = pool->n_free > keep ? (pool->n_free - keep + 1) / 2 : 0;

	for (unsigned i = 0; i < n; i++)
		free(pool_pop(pool));
	return n;
}

static struct buf_pool *
pool_for(struct buf_pool *pool, uint32_t cap)
{
	return pool->bulk != NULL && pool->bulk->size == cap ? pool->bulk : pool;
}

static void
memory_give(struct buf_pool *pool, void *p, uint32_t cap)
{
	pool = pool_for(pool, cap);
	pool->n_out--;
	if (cap == pool->size && pool->n_free < pool->max_free)
		pool_push(pool, p);
	else
		free(p);
}

void
buf_take(struct buf *b, struct buf_pool *pool, uint32_t min_cap)
{
	uint32_t cap = MAX(min_cap, pool->size), len = buf_len(b);
	struct buf_pool *from = pool_for(pool, cap);
	char *p;

	if (b->p != NULL && b->cap >= min_cap)
		return;
	p = cap == from->size && from->free != NULL ? pool_pop(from) : xmalloc(cap);
	from->n_out++;
	if (b->p != NULL) {
		memcpy(p, b->p + b->r, len);
		memory_give(pool, b->p, b->cap);
	}
	*b = (struct buf){.p = p, .cap = cap, .w = len};
}

void
buf_take_bulk(struct buf *b, struct buf_pool *pool, unsigned most)
{
	BUG_ON(b->p != NULL);
	if (pool->bulk != NULL && pool->bulk->n_out < most)
		buf_take(b, pool, pool->bulk->size);
	else
		buf_take(b, pool, pool->size);
}

void
buf_give(struct buf *b, struct buf_pool *pool)
{
	if (b->p != NULL)
		memory_give(pool, b->p, b->cap);
	*b = (struct buf){.p = NULL};
}

void
buf_eat(struct buf *b, uint32_t n)
{
	BUG_ON(n > buf_len(b));
	b->r += n;
	if (b->r == b->w)
		b->r = b->w = 0;
}

void
buf_compact(struct buf *b)
{
	uint32_t len = buf_len(b);

	if (b->r == 0)
		return;
	memmove(b->p, b->p + b->r, len);
	b->r = 0;
	b->w = len;
}

bool
buf_put(struct buf *b, const void *p, uint32_t n)
{
	if (n > buf_room(b))
		return false;
	if (n > 0)
		memcpy(b->p + b->w, p, n);
	b->w += n;
	return true;
}

static void
gbuf_grow(struct gbuf *g, size_t n)
{
	size_t cap = MAX(g->cap, (size_t)64);

	if (n > SIZE_MAX / 4 - g->n)
		oom_fail(n);
	while (cap - g->n < n)
		cap *= 2;
	g->p = xrealloc(g->p, cap);
	g->cap = cap;
}

static inline void
gbuf_room(struct gbuf *g, size_t n)
{
	if (unlikely(n > g->cap - g->n))
		gbuf_grow(g, n);
}

void
gbuf_reserve(struct gbuf *g, size_t n)
{
	gbuf_room(g, n);
}

static inline void
put(struct gbuf *g, const void *p, size_t n)
{
	gbuf_room(g, n);
	memcpy(g->p + g->n, p, n);
	g->n += n;
}

void
gbuf_put(struct gbuf *g, const void *p, size_t n)
{
	if (n > 0)
		put(g, p, n);
}

void
gbuf_str(struct gbuf *g, struct str s)
{
	gbuf_put(g, s.p, s.n);
}

void
gbuf_u8(struct gbuf *g, uint8_t v)
{
	put(g, &v, sizeof(v));
}

void
gbuf_u16(struct gbuf *g, uint16_t v)
{
	v = htole16(v);
	put(g, &v, sizeof(v));
}

void
gbuf_u32(struct gbuf *g, uint32_t v)
{
	v = htole32(v);
	put(g, &v, sizeof(v));
}

void
gbuf_u64(struct gbuf *g, uint64_t v)
{
	v = htole64(v);
	put(g, &v, sizeof(v));
}

void
gbuf_printf(struct gbuf *g, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);
	gbuf_room(g, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(g->p + g->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	g->n += (size_t)n;
}

void
gbuf_free(struct gbuf *g)
{
	free(g->p);
	*g = (struct gbuf){.p = NULL};
}

struct rbuf
rbuf_of(struct str s)
{
	return (struct rbuf){.p = s.p, .n = s.n};
}

/* The next n octets, or NULL and bad. */
static const char *
rbuf_next(struct rbuf *r, size_t n)
{
	if (r->bad || n > r->n - r->at) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return r->p + r->at - n;
}

static void
rbuf_copy(struct rbuf *r, void *out, size_t n)
{
	const char *p = rbuf_next(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

uint8_t
rbuf_u8(struct rbuf *r)
{
	uint8_t v = 0;

	rbuf_copy(r, &v, sizeof(v));
	return v;
}

uint16_t
rbuf_u16(struct rbuf *r)
{
	uint16_t v = 0;

	rbuf_copy(r, &v, sizeof(v));
	return le16toh(v);
}

uint32_t
rbuf_u32(struct rbuf *r)
{
	uint32_t v = 0;

	rbuf_copy(r, &v, sizeof(v));
	return le32toh(v);
}

uint64_t
rbuf_u64(struct rbuf *r)
{
	uint64_t v = 0;

	rbuf_copy(r, &v, sizeof(v));
	return le64toh(v);
}

struct str
rbuf_bytes(struct rbuf *r, size_t n)
{
	if (r->bad || n > r->n - r->at) {
		r->bad = true;
		return STR_NONE;
	}
	r->at += n;
	return str_sub(str_n(r->p, r->n), r->at - n, r->at);
}

bool
rbuf_done(const struct rbuf *r)
{
	return !r->bad && r->at == r->n;
}
