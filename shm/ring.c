/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte rings. Both positions only grow; position modulo capacity is the place. A record is a head
 * of eight octets (length, then zero) and the octets padded to eight, never split: where the rest
 * of the ring is too short a marker says "go on at the start". Whoever maps the ring keeps sizes
 * and its own position in private memory, so nothing in shared memory can lead it astray.
 */
#include "shm/ring.h"

#include "shm/base/bug.h"

#define SKIP        UINT32_MAX /* instead of a length: the record is at the ring's start */
#define RECORD_HEAD 8u

/* In the region: one cache line for each side, then the octets. */
struct ring_shared {
	alignas(CACHE_LINE) _Atomic uint64_t tail; /* producer: end of what is published */
	_Atomic uint64_t dropped;
	alignas(CACHE_LINE) _Atomic uint64_t head; /* consumer: start of what is unread */
	_Atomic uint64_t corrupt;
};

_Static_assert(sizeof(struct ring_shared) == RING_HEAD, "what is allocated for every ring");

struct ring_region {
	alignas(CACHE_LINE) uint64_t slots;
	uint64_t bytes_each;
};

struct ring {
	struct ring_shared *s;
	char *data;
	uint64_t size;
	uint64_t tail, skip, reserved; /* producer */
	bool woken;
	uint64_t head, next; /* consumer: next is the end of the record handed out */
};

static uint64_t
record_size(uint64_t n)
{
	return RECORD_HEAD + ALIGN_UP(n, RECORD_HEAD);
}

static _Atomic uint32_t *
length_at(const struct ring *g, uint64_t position)
{
	return (_Atomic uint32_t *)(void *)(g->data + (position & (g->size - 1)));
}

size_t
ring_region_size(unsigned slots, size_t bytes_each)
{
	return sizeof(struct ring_region) + slots * (sizeof(struct ring_shared) + bytes_each);
}

uint64_t
ring_layout(unsigned slots, size_t bytes_each)
{
	const uint64_t numbers[] = {sizeof(struct ring_shared), RECORD_HEAD, slots, bytes_each};

	return region_hash(ARRAY_LEN(numbers), numbers);
}

void
ring_region_init(struct region *r, unsigned slots, size_t bytes_each)
{
	struct ring_region *head = r->data;

	BUG_ON(bytes_each < CACHE_LINE || (bytes_each & (bytes_each - 1)) != 0);
	BUG_ON(r->size < ring_region_size(slots, bytes_each));
	head->slots = slots;
	head->bytes_each = bytes_each;
}

struct ring *
ring_at(const struct region *r, unsigned slot)
{
	const struct ring_region *head = r->data;
	uint64_t slots, each;
	struct ring *g;

	if (r->size < sizeof(*head))
		return NULL;
	slots = head->slots;
	each = head->bytes_each;
	if (slot >= slots || slots > UINT16_MAX || each < CACHE_LINE || each > r->size ||
	    (each & (each - 1)) != 0 || ring_region_size((unsigned)slots, each) > r->size)
		return NULL;
	g = xcalloc(1, sizeof(*g));
	g->s = (void *)((char *)r->data + sizeof(*head) + slot * (sizeof(*g->s) + each));
	g->data = (char *)(g->s + 1);
	g->size = each;
	ring_adopt(g);
	g->head = g->next = atomic_load_explicit(&g->s->head, memory_order_relaxed);
	return g;
}

void
ring_close(struct ring **g)
{
	free(*g);
	*g = NULL;
}

/* --- producer --- */

void
ring_adopt(struct ring *g)
{
	uint64_t tail = atomic_load_explicit(&g->s->tail, memory_order_relaxed);

	g->tail = tail & ~(uint64_t)(RECORD_HEAD - 1);
	g->skip = g->reserved = 0;
	g->woken = false;
}

static uint64_t
producer_fill(const struct ring *g)
{
	return g->tail - atomic_load_explicit(&g->s->head, memory_order_acquire);
}

/* The consumer's position cannot be right (somebody scribbled on one of the two): go on from where
 * it says it is. It notices, and starts anew as well. */
static void
producer_resync(struct ring *g)
{
	uint64_t head = atomic_load_explicit(&g->s->head, memory_order_relaxed);

	g->tail = ALIGN_UP(head, RECORD_HEAD);
}

char *
ring_reserve(struct ring *g, size_t n)
{
	uint64_t need = n > g->size ? g->size + RECORD_HEAD : record_size(n), at, room;

	BUG_ON(g->reserved != 0);
	if (unlikely(producer_fill(g) > g->size))
		producer_resync(g);
	at = g->tail & (g->size - 1);
	room = g->size - MIN(producer_fill(g), g->size);
	g->skip = at + need > g->size ? g->size - at : 0;
	if (unlikely(g->skip + need > room)) {
		atomic_fetch_add_explicit(&g->s->dropped, 1, memory_order_relaxed);
		return NULL;
	}
	g->reserved = need;
	return g->data + ((at + g->skip) & (g->size - 1)) + RECORD_HEAD;
}

void
ring_commit(struct ring *g, size_t used)
{
	uint64_t at = g->tail + g->skip;

	BUG_ON(g->reserved == 0 || record_size(used) > g->reserved);
	g->reserved = 0;
	if (used == 0)
		return;
	if (g->skip != 0)
		atomic_store_explicit(length_at(g, g->tail), SKIP, memory_order_relaxed);
	atomic_store_explicit(length_at(g, at), (uint32_t)used, memory_order_relaxed);
	g->tail = at + record_size(used);
	atomic_store_explicit(&g->s->tail, g->tail, memory_order_release);
}

bool
ring_should_wake(struct ring *g)
{
	bool full = producer_fill(g) > g->size / 2, first = full && !g->woken;

	g->woken = full;
	return first;
}

/* --- consumer --- */

/* What is unread cannot be what a producer wrote: forget all of it. */
static int
consumer_reset(struct ring *g, uint64_t tail)
{
	g->head = g->next = tail;
	atomic_store_explicit(&g->s->head, tail, memory_order_release);
	atomic_fetch_add_explicit(&g->s->corrupt, 1, memory_order_relaxed);
	return 0;
}

/* The record at *at, which moves past a skip marker. Its length, or -1: not a record. */
static int64_t
record_at(const struct ring *g, uint64_t *at, uint64_t tail)
{
	uint32_t n = atomic_load_explicit(length_at(g, *at), memory_order_relaxed);

	if (n == SKIP) {
		uint64_t rest = g->size - (*at & (g->size - 1));

		if (rest == g->size || rest >= tail - *at)
			return -1;
		*at += rest;
		n = atomic_load_explicit(length_at(g, *at), memory_order_relaxed);
	}
	if (n == 0 || n > g->size || record_size(n) > tail - *at ||
	    (*at & (g->size - 1)) + record_size(n) > g->size)
		return -1;
	return n;
}

int
ring_next(struct ring *g, struct str *record_r)
{
	uint64_t tail = atomic_load_explicit(&g->s->tail, memory_order_acquire), at;
	int64_t n;

	if (g->head != g->next) {
		g->head = g->next;
		atomic_store_explicit(&g->s->head, g->head, memory_order_release);
	}
	if (tail == g->head)
		return 0;
	at = g->head;
	if (unlikely(tail - at > g->size || (at | tail) % RECORD_HEAD != 0))
		return consumer_reset(g, tail);
	n = record_at(g, &at, tail);
	if (unlikely(n < 0))
		return consumer_reset(g, tail);
	g->next = at + record_size((uint64_t)n);
	*record_r = str_n(g->data + (at & (g->size - 1)) + RECORD_HEAD, (size_t)n);
	return 1;
}

uint64_t
ring_dropped(const struct ring *g)
{
	return atomic_load_explicit(&g->s->dropped, memory_order_relaxed);
}

uint64_t
ring_corrupt(const struct ring *g)
{
	return atomic_load_explicit(&g->s->corrupt, memory_order_relaxed);
}

size_t
ring_fill(const struct ring *g)
{
	uint64_t head = atomic_load_explicit(&g->s->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&g->s->tail, memory_order_relaxed);

	return MIN(tail - head, g->size);
}

size_t
ring_capacity(const struct ring *g)
{
	return g->size;
}
