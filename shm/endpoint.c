/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens at an endpoint row: shares in flight, verdicts, passive health.
 *
 * Shares. The sum in flight is one word all slots add to; each slot keeps, for each row, a shadow
 * of what it added, to be taken back when its process dies. Two words cannot change as one, and a
 * process can be killed between any two instructions, so a change is: shadow {version + 1, busy,
 * count}, the sum, shadow {not busy, count}, where the busy shadow has the larger of the counts
 * before and after. A dead slot's shadow then says
 *
 *	not busy	its part of the sum is count, exactly
 *	busy		its part is count or count - 1
 *
 * and reaping takes off count, or count - 1 and marks the row unsettled. Settling compares the sum
 * with all the shadows read as of one moment: if no shadow of the row is busy, and none has
 * changed when they are read again, what the sum has more is nobody's, and is taken off. (The
 * versions are the sequence of a seqlock, hence its fences.) Nothing here depends on the prober
 * living to the end of it: the mark is set before the shadow is cleared, and stays until the sum is
 * right.
 */
#include "shm/arena.h"

#include <assert.h>

#include "shm/arena_priv.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"

/* A try takes about as long as reading a cache line of each slot, twice. */
#define SETTLE_TRIES 2000

const char *const endpoint_verdict_names[] = {"none", "up", "down", "drain", "weight", NULL};
static_assert(ARRAY_LEN(endpoint_verdict_names) == VERDICT_COUNT + 1, "a name for each verdict");

#define LOAD(field)     atomic_load_explicit(&(field), memory_order_relaxed)
#define STORE(field, v) atomic_store_explicit(&(field), (v), memory_order_relaxed)

/* --- shares --- */

/* One change of a share, as the top of the file says. */
static void
share_change(
    struct endpoint_row *e, _Atomic uint64_t *shadow, uint64_t word, uint32_t before, int by)
{
	uint32_t after = before + (uint32_t)by;

	word = (word & SHADOW_IDLE_MASK) + SHADOW_VERSION;
	STORE(*shadow, word | SHADOW_BUSY | MAX(before, after));
	atomic_thread_fence(memory_order_release);
	atomic_fetch_add_explicit(&e->inflight, by, memory_order_relaxed);
	atomic_store_explicit(shadow, word | after, memory_order_release);
}

static void
share_give(struct endpoint_row *e, _Atomic uint64_t *shadow)
{
	uint64_t word = LOAD(*shadow);

	/* Nothing to give back: the slot was reaped under a living process. Its share went then. */
	if (SHADOW_COUNT(word) != 0)
		share_change(e, shadow, word, SHADOW_COUNT(word), -1);
}

int
endpoint_take(struct arena *a, unsigned slot, uint32_t row, uint32_t incarnation)
{
	struct endpoint_row *e = arena_endpoint(a, row);
	_Atomic uint64_t *shadow;
	uint64_t word;

	BUG_ON(slot >= a->slots);
	if (e == NULL || !endpoint_row_is(e, incarnation))
		return 0;
	shadow = arena_shadow(a, slot, row);
	word = LOAD(*shadow);
	share_change(e, shadow, word, SHADOW_COUNT(word), 1);
	/* Reused since. The keeper does not do that under a worker that knows the row by the set
	 * it goes by; this is for one that kept the row longer. */
	if (unlikely(!endpoint_row_is(e, incarnation))) {
		share_give(e, shadow);
		return 0;
	}
	return 1;
}

void
endpoint_release(struct arena *a, unsigned slot, uint32_t row, uint32_t incarnation)
{
	BUG_ON(slot >= a->slots || row >= a->endpoints || incarnation % 2 == 0);
	share_give(&a->endpoint[row], arena_shadow(a, slot, row));
}

int64_t
endpoint_inflight(struct arena *a, uint32_t row)
{
	return row < a->endpoints ? LOAD(a->endpoint[row].inflight) : 0;
}

/* --- taking back what a dead process held --- */

/* Sum of the row's shadows, as long as none is busy. */
static bool
shadows_sum(const struct arena *a, uint32_t row, int64_t *sum_r, uint64_t *versions_r)
{
	int64_t sum = 0;
	uint64_t versions = 0;

	for (unsigned slot = 0; slot < a->slots; slot++) {
		uint64_t word =
		    atomic_load_explicit(arena_shadow(a, slot, row), memory_order_acquire);

		if ((word & SHADOW_BUSY) != 0)
			return false;
		sum += SHADOW_COUNT(word);
		versions += word / SHADOW_VERSION; /* each only grows: equal sum, equal parts */
	}
	*sum_r = sum;
	*versions_r = versions;
	return true;
}

/* What the sum has more than its shadows, all as of one moment. False: too much going on. */
static bool
row_excess(const struct arena *a, uint32_t row, int64_t *excess_r)
{
	int64_t sum, again, inflight;
	uint64_t versions, versions_again;

	if (!shadows_sum(a, row, &sum, &versions))
		return false;
	inflight = LOAD(a->endpoint[row].inflight);
	atomic_thread_fence(memory_order_acquire);
	if (!shadows_sum(a, row, &again, &versions_again) || versions != versions_again)
		return false;
	*excess_r = inflight - sum;
	return true;
}

/* A complete change keeps the excess as it is, so it may be taken off at any later time. */
static bool
row_settle(struct arena *a, uint32_t row)
{
	struct endpoint_row *e = &a->endpoint[row];
	int64_t excess;

	for (unsigned i = 0; i < SETTLE_TRIES; i++) {
		if (!row_excess(a, row, &excess))
			continue;
		atomic_fetch_sub_explicit(&e->inflight, excess, memory_order_relaxed);
		atomic_store_explicit(&e->unsettled, 0, memory_order_release);
		return true;
	}
	return false;
}

static uint32_t
row_reap(struct arena *a, uint32_t row, _Atomic uint64_t *shadow)
{
	struct endpoint_row *e = &a->endpoint[row];
	uint64_t word = LOAD(*shadow);
	bool busy = (word & SHADOW_BUSY) != 0, settled;
	uint32_t count = SHADOW_COUNT(word), sure = busy && count != 0 ? count - 1 : count;

	/* Marked already: this is not the first attempt, and how far that one came is unknown. */
	settled = atomic_exchange_explicit(&e->unsettled, 1, memory_order_acq_rel) == 0;
	atomic_store_explicit(
	    shadow, (word & SHADOW_IDLE_MASK) + SHADOW_VERSION, memory_order_release);
	atomic_fetch_sub_explicit(&e->inflight, sure, memory_order_acq_rel);
	if (settled && !busy)
		atomic_store_explicit(&e->unsettled, 0, memory_order_release);
	else
		row_settle(a, row);
	return sure;
}

uint64_t
arena_reap(struct arena *a, unsigned slot)
{
	uint64_t n = 0;

	for (uint32_t row = 0; slot < a->slots && row < a->endpoints; row++) {
		_Atomic uint64_t *shadow = arena_shadow(a, slot, row);

		if ((LOAD(*shadow) & (SHADOW_BUSY | UINT32_MAX)) != 0)
			n += row_reap(a, row, shadow);
	}
	return n;
}

unsigned
arena_settle(struct arena *a)
{
	unsigned left = 0;

	for (uint32_t row = 0; row < a->endpoints; row++)
		if (LOAD(a->endpoint[row].unsettled) != 0)
			left += !row_settle(a, row);
	return left;
}

/* --- may it be picked, and how did it go --- */

bool
endpoint_usable(const struct endpoint_row *e, uint64_t now_ms, uint64_t wall_us)
{
	uint64_t until = LOAD(e->verdict_until_us);
	uint32_t verdict = LOAD(e->verdict);

	if ((LOAD(e->flags) & ENDPOINT_UNRESOLVED) != 0)
		return false;
	if (until != 0 && until <= wall_us)
		verdict = VERDICT_NONE;
	if (verdict == VERDICT_DOWN || verdict == VERDICT_DRAIN)
		return false;
	return verdict == VERDICT_UP || LOAD(e->ejected_until_ms) <= now_ms;
}

int
endpoint_failed(struct endpoint_row *e, uint32_t threshold, uint64_t down_ms, uint64_t now_ms)
{
	uint64_t until = LOAD(e->ejected_until_ms);
	uint32_t fails;

	if (threshold == 0)
		return 0;
	fails = atomic_fetch_add_explicit(&e->fails, 1, memory_order_relaxed) + 1;
	if (fails < threshold || until > now_ms)
		return 0;
	if (!atomic_compare_exchange_strong_explicit(&e->ejected_until_ms, &until, now_ms + down_ms,
		memory_order_relaxed, memory_order_relaxed))
		return 0;
	STORE(e->fails, 0);
	STORE(e->last_change_us, clock_wall_us());
	atomic_fetch_add_explicit(&e->ejections, 1, memory_order_relaxed);
	return 1;
}

void
endpoint_succeeded(struct endpoint_row *e)
{
	if (LOAD(e->fails) != 0) /* the line is shared: written only when there is something to */
		STORE(e->fails, 0);
}
