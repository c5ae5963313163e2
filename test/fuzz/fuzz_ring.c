/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring whose producer is broken: the first 32 octets are the two positions and the sizes, the
 * rest lies in the ring. Every record handed out is inside, the consumer comes to an end, and an
 * honest producer gets through afterwards.
 */
#include "shm/base/bug.h"
#include "shm/ring.h"

#define BYTES 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
	alignas(CACHE_LINE) uint64_t sizes[8];
	uint64_t tail[8], head[8];
	char octets[BYTES];
};

static void
consume_all(struct ring *g, const struct memory *m)
{
	struct str s;
	unsigned n = 0;
	volatile char sum = 0;

	while (ring_next(g, &s) == 1) {
		BUG_ON(++n > BYTES);
		BUG_ON(s.p < m->octets || s.p + s.n > m->octets + BYTES);
		for (size_t i = 0; i < s.n; i++)
			sum = (char)(sum + s.p[i]);
	}
	BUG_ON(ring_fill(g) > BYTES);
}

/* The consumer may have to lose what it finds to get there; then it goes on for ever. */
static void
honest_again(struct ring *w, struct ring *r, const struct memory *m)
{
	struct str s;
	char *p = NULL;

	for (unsigned i = 0; i < 2; i++) {
		consume_all(r, m);
		p = ring_reserve(w, 5);
		if (p == NULL)
			continue;
		memcpy(p, "hello", 5);
		ring_commit(w, 5);
		if (i == 1)
			break;
	}
	BUG_ON(p == NULL || ring_next(r, &s) != 1 || !str_eq(s, STR("hello")));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory m;
	struct region region = {.data = &m, .size = sizeof(m)};
	struct ring *r, *w;

	if (size < 32)
		return 0;
	memset(&m, 0, sizeof(m));
	memcpy(m.sizes, data + 16, 16);
	if ((r = ring_at(&region, 0)) != NULL)
		BUG_ON(ring_capacity(r) > BYTES);
	ring_close(&r);
	ring_region_init(&region, 1, BYTES);
	memcpy(m.tail, data, 8);
	memcpy(m.head, data + 8, 8);
	memcpy(m.octets, data + 32, MIN(size - 32, sizeof(m.octets)));
	r = ring_at(&region, 0);
	w = ring_at(&region, 0);
	consume_all(r, &m);
	honest_again(w, r, &m);
	ring_close(&r);
	ring_close(&w);
	return 0;
}
