/* SPDX-License-Identifier: Apache-2.0
 *
 * See watchdog.h. A machine that stood still makes everybody look stuck: when the master's own tick
 * comes late, silence before it is nobody's fault.
 */
#include "master/watchdog.h"

#include "master/child.h"
#include "shm/base/clock.h"
#include "shm/base/proc.h"

#define TICK_MS 250
#define LATE_MS 1000
#define START_LEAST_MS                                                                             \
	30000 /* a start may take this long (a map is rebuilt), whatever stuck_after says */
#define AT_ONCE_MS                                                                                 \
	10000 /* for so long a replaced worker keeps the next one from being replaced              \
	       */

/* Since when it has said nothing. A start has a beat of ours at its beginning. */
static uint64_t
silent_since(const struct child *c)
{
	const struct proc_row *row = &c->master->procs->row[c->row];
	uint64_t beat = atomic_load_explicit(&row->beat_ms, memory_order_relaxed);

	return MAX(beat, c->master->excused_ms);
}

static uint64_t
patience(const struct child *c)
{
	uint64_t ms = c->master->now.s->supervision.stuck_after * c->kind->patience;

	return c->state == CHILD_STARTING ? MAX(ms, START_LEAST_MS) : ms;
}

static bool
one_at_a_time(struct master *m)
{
	if (clock_ms() - m->stuck_ms > AT_ONCE_MS)
		return true;
	for (unsigned i = 0; i < m->slots; i++)
		if (child_worker(m, i)->stuck)
			return false;
	return true;
}

static void
look_at(struct child *c)
{
	struct master *m = c->master;
	uint64_t since = silent_since(c), now = clock_ms();
	bool worker = c->kind->id == PROC_WORKER;
	char why[80];

	if (c->kind->patience == 0 || c->chan < 0 || now < since || now - since <= patience(c))
		return;
	if (worker && !one_at_a_time(m))
		return;
	if (worker) {
		c->stuck = true;
		m->stuck_ms = now;
	}
	snprintf(
	    why, sizeof(why), "no sign of life for %llu ms", (unsigned long long)(now - since));
	child_kill(c, why);
}

/* The master's own row, once a second. */
static void
own_row(struct master *m)
{
	struct proc_row *row = &m->procs->row[PROC_MASTER];

	atomic_store_explicit(&row->beat_ms, clock_ms(), memory_order_relaxed);
	if (clock_ms() / 1000 == m->tick_ms / 1000)
		return;
	atomic_store_explicit(&row->rss, proc_rss(), memory_order_relaxed);
	atomic_store_explicit(&row->cpu_us, proc_cpu_us(), memory_order_relaxed);
	atomic_store_explicit(&row->fds, proc_fds(), memory_order_relaxed);
}

static void
tick(struct timer *t)
{
	struct master *m = container_of(t, struct master, tick);

	if (clock_ms() - m->tick_ms > LATE_MS)
		m->excused_ms = clock_ms();
	if (m->procs) {
		own_row(m);
		children_reap(m);
	}
	each_child (c, m)
		if (m->now.s && m->phase != PHASE_STOPPING &&
		    (c->state == CHILD_UP || c->state == CHILD_STARTING ||
			c->state == CHILD_DRAINING))
			look_at(c);
	m->tick_ms = clock_ms();
	timer_set(loop_timers(m->loop), t, clock_ms() + TICK_MS);
}

void
watchdog_start(struct master *m)
{
	m->tick_ms = clock_ms();
	timer_init(&m->tick, tick);
	timer_set(loop_timers(m->loop), &m->tick, clock_ms() + TICK_MS);
}
