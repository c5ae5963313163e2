/* SPDX-License-Identifier: Apache-2.0
 *
 * Workspace: the per-request (or per-load) allocator. Allocate forward, free all at once, clean-up
 * callbacks for what is not memory. Running over the limit sets a sticky mark that the owner checks
 * once at the end of a step: until then allocations that do not fit return NULL.
 */
#ifndef GW_WS_H
#define GW_WS_H

#include "shm/base/asan.h"
#include "shm/base/base.h"
#include "shm/base/str.h"

struct ws_block;
struct ws_cleanup {
	struct ws_cleanup *next;
	void (*fn)(void *arg);
	void *arg;
};

/* Blocks are recycled through a free list owned by the pool; one pool per process. */
struct ws_pool {
	struct ws_block *free;
	unsigned n_free, max_free;
	size_t block_size; /* payload bytes of a standard block */
};

struct ws {
	struct ws_pool *pool;        /* NULL: blocks come from malloc */
	struct ws_block *block;      /* current, newest first */
	char *at, *end;              /* what is free in it, no more than the limit allows */
	size_t past, limit;          /* payload bytes in the others; over all, 0 = none */
	bool overflow;               /* sticky */
	struct ws_cleanup *cleanups; /* newest first */
};

struct ws_mark {
	struct ws_block *block;
	char *at;
	size_t past;
	struct ws_cleanup *cleanups;
};

void ws_pool_init(struct ws_pool *pool, size_t block_size, unsigned max_free);
void ws_pool_fini(struct ws_pool *pool);
/* Frees half of the blocks that lie about beyond `keep`; returns how many. */
unsigned ws_pool_trim(struct ws_pool *pool, unsigned keep);

void ws_init(struct ws *ws, struct ws_pool *pool, size_t limit); /* allocates nothing yet */
/* runs clean-ups newest first, returns all blocks; ws can be used again */
void ws_free(struct ws *ws);

size_t ws_used(const struct ws *ws); /* payload bytes over all blocks */

#define WS_ALIGN 16
void *ws_take_more(struct ws *ws, size_t n, size_t align); /* for ws_take alone */

static inline void *
ws_take(struct ws *ws, size_t n, size_t align)
{
	size_t room = (size_t)(ws->end - ws->at), pad = -(uintptr_t)ws->at & (align - 1);
	char *p;

	if (unlikely(n >= room || pad > room - n))
		return ws_take_more(ws, n, align);
	p = ws->at + pad;
	ws->at = p + n;
	MEM_UNPOISON(p, n);
	return p;
}

/* 16-byte aligned, not zeroed; NULL over the limit (sticky) */
static inline void *
ws_alloc(struct ws *ws, size_t n)
{
	return ws_take(ws, n, WS_ALIGN);
}
void *ws_zalloc(struct ws *ws, size_t n); /* zeroed */
static inline char *
ws_bytes(struct ws *ws, size_t n) /* unaligned */
{
	return ws_take(ws, n, 1);
}
/* copy, also terminated with NUL beyond n; STR_NONE over the limit */
struct str ws_str(struct ws *ws, struct str s);
struct str ws_printf(struct ws *ws, const char *fmt, ...) PRINTF(2, 3);
struct str ws_cat(struct ws *ws, unsigned n, const struct str *parts);

/* `fn(arg)` runs at ws_free or at ws_reset past this point: undo at the place of the do. Never
 * fails (falls back to malloc). */
void ws_on_free(struct ws *ws, void (*fn)(void *), void *arg);

struct ws_mark ws_mark(const struct ws *ws);
void ws_reset(struct ws *ws, struct ws_mark mark); /* runs clean-ups registered after the mark */

#endif
