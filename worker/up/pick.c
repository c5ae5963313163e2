/* SPDX-License-Identifier: Apache-2.0
 *
 * See pick.h.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "worker/up/pick.h"

void
tried_add(struct tried *t, uint32_t row)
{
	if (!tried_has(t, row) && t->n < PICK_TRIED)
		t->row[t->n++] = row;
}

bool
tried_has(const struct tried *t, uint32_t row)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->row[i] == row)
			return true;
	return false;
}

static void
pick_room(struct up *u, uint32_t n)
{
	if (n <= u->cand_cap)
		return;
	u->cand_cap = MAX(n, u->cand_cap * 2);
	u->cand = xrealloc(u->cand, u->cand_cap * sizeof(*u->cand));
	u->cand_weight = xrealloc(u->cand_weight, u->cand_cap * sizeof(*u->cand_weight));
	u->cand_scratch = xrealloc(u->cand_scratch, u->cand_cap * sizeof(*u->cand_scratch));
}

/* The weight it has now: the delegated one before the configured one; 0 when it must not be picked.
 */
static uint32_t
pick_weight(struct up *u, const struct endpoint_ref *e)
{
	struct endpoint_row *row = arena_endpoint(u->arena, e->row);
	uint32_t w;

	if (!row || e->unresolved || e->addr.family == 0 || !endpoint_row_is(row, e->incarnation) ||
	    !endpoint_usable(row, clock_ms(), clock_wall_us()))
		return 0;
	w = atomic_load_explicit(&row->weight, memory_order_relaxed);
	return w == WEIGHT_UNSET ? e->weight : w;
}

static uint32_t
pick_candidates(struct up *u, const struct epset *s, const struct tried *t)
{
	uint32_t n = 0;

	pick_room(u, s->n);
	for (uint32_t i = 0; i < s->n; i++) {
		const struct endpoint_ref *e = &s->v[i];
		uint32_t w = tried_has(t, e->row) ? 0 : pick_weight(u, e);

		if (w == 0)
			continue;
		u->cand[n] = e;
		u->cand_weight[n++] = w;
	}
	return n;
}

const struct endpoint_ref *
pick_endpoint(struct up *u, struct epset *s, enum balancer b, const struct tried *t)
{
	struct pick p = {.arena = u->arena, .service_row = s->service_row};

	p.n = pick_candidates(u, s, t);
	if (p.n == 0)
		return NULL;
	p.v = u->cand;
	p.weight = u->cand_weight;
	p.scratch = u->cand_scratch;
	if ((unsigned)b >= BALANCER_COUNT)
		b = BALANCER_ROUND_ROBIN;
	return u->cand[p.n == 1 ? 0 : balancer_table[b](&p)];
}
