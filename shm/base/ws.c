/* SPDX-License-Identifier: Apache-2.0
 *
 * The workspace allocator. A chain of blocks, newest first; allocation moves a mark forward in the
 * newest one. Standard blocks go back to the pool of the process, larger ones (one allocation each)
 * to malloc. Under AddressSanitizer everything not handed out is poisoned.
 */
#include "shm/base/ws.h"

#include <stdarg.h>

#include "shm/base/bug.h"

#define WS_DEFAULT_BLOCK 4064 /* with malloc's and our own header just under a page */

struct ws_block {
	struct ws_block *next;
	size_t cap;
	alignas(WS_ALIGN) char data[];
};

void
ws_pool_init(struct ws_pool *pool, size_t block_size, unsigned max_free)
{
	*pool =
	    (struct ws_pool){.max_free = max_free, .block_size = ALIGN_UP(block_size, WS_ALIGN)};
}

void
ws_pool_fini(struct ws_pool *pool)
{
	struct ws_block *b;

	while ((b = pool->free) != NULL) {
		pool->free = b->next;
		free(b);
	}
	pool->n_free = 0;
}

unsigned
ws_pool_trim(struct ws_pool *pool, unsigned keep)
{
	unsigned n = pool->n_free > keep ? (pool->n_free - keep + 1) / 2 : 0;

	for (unsigned i = 0; i < n; i++) {
		struct ws_block *b = pool->free;

		pool->free = b->next;
		pool->n_free--;
		free(b);
	}
	return n;
}

void
ws_init(struct ws *ws, struct ws_pool *pool, size_t limit)
{
	*ws = (struct ws){.pool = pool, .limit = limit};
}

static void
block_release(struct ws *ws, struct ws_block *b)
{
	struct ws_pool *pool = ws->pool;

	if (pool == NULL || b->cap != pool->block_size || pool->n_free >= pool->max_free) {
		free(b);
		return;
	}
	MEM_POISON(b->data, b->cap);
	b->next = pool->free;
	pool->free = b;
	pool->n_free++;
}

static struct ws_block *
block_from_pool(struct ws_pool *pool)
{
	struct ws_block *b = pool->free;

	pool->free = b->next;
	pool->n_free--;
	return b;
}

size_t
ws_used(const struct ws *ws)
{
	return ws->block == NULL ? 0 : ws->past + (size_t)(ws->at - ws->block->data);
}

/* The current block's end, or where the limit is. */
static void
set_end(struct ws *ws)
{
	struct ws_block *b = ws->block;
	size_t left = ws->limit - MIN(ws->limit, ws_used(ws));

	ws->end = b == NULL ? ws->at : b->data + b->cap;
	if (ws->limit != 0 && left < (size_t)(ws->end - ws->at))
		ws->end = ws->at + left;
}

/* A block with room for at least n becomes the newest. */
static int
block_push(struct ws *ws, size_t n)
{
	size_t size = ws->pool != NULL ? ws->pool->block_size : WS_DEFAULT_BLOCK;
	struct ws_block *b;

	if (n <= size && ws->pool != NULL && ws->pool->free != NULL) {
		b = block_from_pool(ws->pool);
	} else {
		size = MAX(size, ALIGN_UP(n, WS_ALIGN));
		b = malloc(sizeof(*b) + size);
		if (b == NULL)
			return -1;
		b->cap = size;
		MEM_POISON(b->data, b->cap);
	}
	ws->past = ws_used(ws);
	b->next = ws->block;
	ws->block = b;
	ws->at = b->data;
	set_end(ws);
	return 1;
}

/* From the current block, whatever the limit, or else from another. */
static void *
take(struct ws *ws, size_t n, size_t align)
{
	struct ws_block *b = ws->block;
	size_t room = b == NULL ? 0 : (size_t)(b->data + b->cap - ws->at);
	size_t pad = -(uintptr_t)ws->at & (align - 1);
	char *p;

	if (b == NULL || n > room || pad > room - n) {
		if (block_push(ws, n) < 0)
			return NULL;
		pad = 0;
	}
	p = ws->at + pad;
	ws->at = p + n;
	ws->end = MAX(ws->end, ws->at);
	MEM_UNPOISON(p, n);
	return p;
}

void *
ws_take_more(struct ws *ws, size_t n, size_t align)
{
	bool over = n > SIZE_MAX / 4;
	size_t used = ws_used(ws);
	void *p = NULL;

	if (ws->limit != 0)
		over = over || used > ws->limit || n > ws->limit - used;
	if (!over)
		p = take(ws, n, align);
	if (p == NULL)
		ws->overflow = true;
	return p;
}

void *
ws_zalloc(struct ws *ws, size_t n)
{
	void *p = ws_alloc(ws, n);

	return p == NULL ? NULL : memset(p, 0, n);
}

struct str
ws_str(struct ws *ws, struct str s)
{
	char *p = ws_bytes(ws, s.n + 1);

	if (p == NULL)
		return STR_NONE;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){p, s.n};
}

struct str
ws_cat(struct ws *ws, unsigned n, const struct str *parts)
{
	size_t len = 0;
	char *p, *end;

	for (unsigned i = 0; i < n; i++)
		len += parts[i].n;
	p = end = ws_bytes(ws, len + 1);
	if (p == NULL)
		return STR_NONE;
	for (unsigned i = 0; i < n; i++)
		end = str_put(end, parts[i]);
	*end = '\0';
	return str_n(p, len);
}

struct str
ws_printf(struct ws *ws, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);
	p = ws_bytes(ws, (size_t)n + 1);
	if (p == NULL)
		return STR_NONE;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return str_n(p, (size_t)n);
}

void
ws_on_free(struct ws *ws, void (*fn)(void *), void *arg)
{
	/* Past the limit on purpose: what was done must be undone. */
	struct ws_cleanup *c = take(ws, sizeof(*c), WS_ALIGN);

	if (c == NULL)
		oom_fail(sizeof(*c));
	*c = (struct ws_cleanup){.next = ws->cleanups, .fn = fn, .arg = arg};
	ws->cleanups = c;
}

struct ws_mark
ws_mark(const struct ws *ws)
{
	return (struct ws_mark){
	    .block = ws->block, .at = ws->at, .past = ws->past, .cleanups = ws->cleanups};
}

static void
cleanups_run(struct ws *ws, const struct ws_cleanup *until)
{
	while (ws->cleanups != until) {
		struct ws_cleanup *c = ws->cleanups;

		BUG_ON(c == NULL);
		ws->cleanups = c->next;
		c->fn(c->arg);
	}
}

void
ws_reset(struct ws *ws, struct ws_mark mark)
{
	cleanups_run(ws, mark.cleanups);
	while (ws->block != mark.block) {
		struct ws_block *b = ws->block;

		BUG_ON(b == NULL);
		ws->block = b->next;
		block_release(ws, b);
	}
	ws->at = mark.at;
	ws->past = mark.past;
	set_end(ws);
	if (ws->block != NULL)
		MEM_POISON(ws->at, (size_t)(ws->block->data + ws->block->cap - ws->at));
}

void
ws_free(struct ws *ws)
{
	ws_reset(ws, (struct ws_mark){.block = NULL});
	ws->overflow = false;
}
