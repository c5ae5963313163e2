/* SPDX-License-Identifier: Apache-2.0
 *
 * See beat.h.
 */
#include "shm/beat.h"

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/proc.h"

struct beat {
	struct timer timer;
	struct loop *loop;
	struct region region;
	struct proc_row *row;
	unsigned count;
};

#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

static void
use_now(struct beat *b)
{
	STORE(b->row->rss, proc_rss());
	STORE(b->row->cpu_us, proc_cpu_us());
	STORE(b->row->fds, proc_fds());
}

static void
beat_fire(struct timer *t)
{
	struct beat *b = container_of(t, struct beat, timer);

	beat_now(b);
	if (b->count++ % 2 == 0)
		use_now(b);
	timer_set(loop_timers(b->loop), t, clock_ms() + BEAT_EVERY_MS);
}

struct beat *
beat_start(struct loop *l, const struct heritage *h)
{
	struct beat *b = xcalloc(1, sizeof(*b));
	const char *error = "no process table";

	if (h->proc >= PROCS_MAX || h->region_fd[REGION_PROCS] < 0 ||
	    region_attach(h->region_fd[REGION_PROCS], REGION_PROCS, procs_layout(), true,
		&b->region, &error) < 0) {
		log_warn("no heartbeat: %s", error);
		free(b);
		return NULL;
	}
	b->loop = l;
	b->row = &procs_of(&b->region)->row[h->proc];
	timer_init(&b->timer, beat_fire);
	beat_fire(&b->timer);
	return b;
}

void
beat_stop(struct beat **bp)
{
	struct beat *b = *bp;

	*bp = NULL;
	if (!b)
		return;
	timer_stop(&b->timer);
	region_detach(&b->region);
	free(b);
}

void
beat_now(struct beat *b)
{
	if (b)
		STORE(b->row->beat_ms, clock_precise_ns() / 1000000);
}

void
beat_generation(struct beat *b, uint64_t generation)
{
	if (b)
		STORE(b->row->generation, generation);
}

void
beat_endpoints(struct beat *b, uint64_t version)
{
	if (b)
		atomic_store_explicit(&b->row->endpoints, version, memory_order_release);
}

struct procs *
beat_procs(struct beat *b)
{
	return b ? procs_of(&b->region) : NULL;
}

uint32_t
beat_restarts(struct beat *b)
{
	return b ? atomic_load_explicit(&b->row->restarts, memory_order_relaxed) : 0;
}
