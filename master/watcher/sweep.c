/* SPDX-License-Identifier: Apache-2.0
 *
 * See sweep.h. Workers judge by the times themselves (endpoint_usable), so a sweep that comes late
 * delays no request: it tidies up, and lets the log say that it is over.
 */
#include "master/watcher/sweep.h"

#include "shm/base/base.h"

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* The end is taken away first, and only if it is still that one: whoever renews the verdict
 * meanwhile has won. */
static void
sweep_verdict(struct endpoint_row *e, uint32_t row, uint64_t wall_us, sweep_f *fn, void *arg)
{
	uint64_t until = LOAD(e->verdict_until_us);
	uint32_t verdict = LOAD(e->verdict);

	if (until == 0 || until > wall_us || verdict == VERDICT_NONE)
		return;
	if (!atomic_compare_exchange_strong(&e->verdict_until_us, &until, 0) ||
	    !atomic_compare_exchange_strong(&e->verdict, &verdict, VERDICT_NONE))
		return;
	atomic_store_explicit(&e->last_change_us, wall_us, memory_order_relaxed);
	fn(arg, row, SWEEP_VERDICT, verdict);
}

static void
sweep_ejection(
    struct endpoint_row *e, uint32_t row, uint64_t now_ms, uint64_t wall_us, sweep_f *fn, void *arg)
{
	uint64_t until = LOAD(e->ejected_until_ms);

	if (until == 0 || until > now_ms)
		return;
	if (!atomic_compare_exchange_strong(&e->ejected_until_ms, &until, 0))
		return;
	atomic_store_explicit(&e->last_change_us, wall_us, memory_order_relaxed);
	fn(arg, row, SWEEP_EJECTION, VERDICT_NONE);
}

void
sweep_arena(struct arena *a, uint64_t now_ms, uint64_t wall_us, sweep_f *fn, void *arg)
{
	uint32_t n = arena_head(a)->endpoints;

	for (uint32_t row = 0; row < n; row++) {
		struct endpoint_row *e = arena_endpoint(a, row);

		if (!e || (LOAD(e->incarnation) & 1) == 0)
			continue;
		sweep_verdict(e, row, wall_us, fn, arg);
		sweep_ejection(e, row, now_ms, wall_us, fn, arg);
	}
}
