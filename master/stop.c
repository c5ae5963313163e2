/* SPDX-License-Identifier: Apache-2.0
 *
 * See stop.h. In stopping the logger goes last, so that the last words of the others are written.
 */
#include "master/stop.h"

#include <signal.h>

#include "master/child.h"
#include "master/notify.h"
#include "shm/base/clock.h"

#define STOP_PATIENCE_MS 2000 /* after TERM, before KILL */
#define DRAIN_MARGIN_MS  2000
#define DEAF_MARGIN_MS   100 /* workers have taken what was queued by then */
#define RETIRE_MIN_MS    250 /* handshakes under way still end in the retiring slot's queue */

static void
drain_tell(struct child *c, uint64_t min_ms, uint64_t deadline_ms)
{
	struct msg *out = &c->master->out;

	c->wanted = false;
	child_begin(c, MSG_DRAIN, 0);
	msg_put_u64(out, min_ms);
	msg_put_u64(out, deadline_ms);
	if (child_send(c))
		child_set_state(c, CHILD_DRAINING);
}

void
stop_retire(struct child *c)
{
	uint64_t deadline = c->master->now.s->shutdown.deadline;

	log_info("worker %u retires", c->slot);
	c->retired = true;
	drain_tell(c, RETIRE_MIN_MS, MAX(deadline, RETIRE_MIN_MS));
	if (c->state == CHILD_DRAINING)
		timer_set(loop_timers(c->master->loop), &c->timer,
		    clock_ms() + deadline + RETIRE_MIN_MS + DRAIN_MARGIN_MS);
}

static unsigned
workers_left(struct master *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->slots; i++)
		n += child_worker(m, i)->pid != 0;
	return n;
}

void
stop_drain(struct master *m)
{
	const struct conf_settings *s = m->now.s;

	if (m->phase != PHASE_SERVING) {
		/* There is nothing yet to be graceful about, or it is on its way. */
		if (m->phase == PHASE_BOOT)
			stop_now(m);
		return;
	}
	m->phase = PHASE_DRAINING;
	notify("STOPPING=1\nSTATUS=draining");
	log_info("draining: connections are accepted for %llu ms, all ends within %llu ms",
	    (unsigned long long)s->shutdown.min_drain, (unsigned long long)s->shutdown.deadline);
	atomic_store_explicit(&m->procs->draining, 1, memory_order_release);
	reload_cancel(m->reload);
	for (unsigned i = 0; i < m->slots; i++) {
		struct child *c = child_worker(m, i);

		if (c->state == CHILD_UP || c->state == CHILD_STARTING)
			drain_tell(c, s->shutdown.min_drain, s->shutdown.deadline);
		else
			child_want(c, false);
	}
	m->drained_ms = clock_ms() + s->shutdown.deadline + DRAIN_MARGIN_MS;
	timer_set(loop_timers(m->loop), &m->stop,
	    clock_ms() + MIN(s->shutdown.min_drain, s->shutdown.deadline) + DEAF_MARGIN_MS);
	stop_progress(m);
}

/* The workers have closed theirs; while ours are open, clients would be queued for nobody. */
static void
stop_listening(struct master *m)
{
	m->deaf = true;
	listens_end(m->listens);
	timer_set(loop_timers(m->loop), &m->stop, m->drained_ms);
}

static bool
others_left(struct master *m)
{
	each_child (c, m)
		if (c->pid != 0 && c->kind->id != PROC_LOGGER)
			return true;
	return false;
}

static void
stop_signal(struct master *m, int signo)
{
	bool logger_too = !others_left(m);

	each_child (c, m) {
		if (c->pid == 0 || (c->kind->id == PROC_LOGGER && !logger_too))
			continue;
		(void)kill(c->pid, signo);
		if (c->state != CHILD_STOPPING)
			child_set_state(c, CHILD_STOPPING);
	}
}

void
stop_now(struct master *m)
{
	if (m->phase == PHASE_STOPPING) {
		stop_signal(m, SIGKILL);
		return;
	}
	m->phase = PHASE_STOPPING;
	notify("STOPPING=1\nSTATUS=stopping");
	log_info("stopping");
	reload_cancel(m->reload);
	timer_stop(&m->boot);
	each_child (c, m) {
		c->wanted = false;
		timer_stop(&c->timer);
	}
	if (others_left(m))
		stop_signal(m, SIGTERM);
	timer_set(loop_timers(m->loop), &m->stop, clock_ms() + STOP_PATIENCE_MS);
	stop_progress(m);
}

/* It leaves when its channel ends, and not by TERM: a TERM to the whole group would silence
 * everybody's last words. */
static void
stop_logger(struct master *m)
{
	struct child *logger = child_of(m, PROC_LOGGER);

	log_info("stopped");
	child_set_state(logger, CHILD_STOPPING);
	child_chan_close(logger);
	timer_set(loop_timers(m->loop), &m->stop, clock_ms() + STOP_PATIENCE_MS);
}

void
stop_progress(struct master *m)
{
	struct child *logger = child_of(m, PROC_LOGGER);

	if (m->phase == PHASE_DRAINING && workers_left(m) == 0)
		stop_now(m);
	if (m->phase != PHASE_STOPPING || others_left(m))
		return;
	if (logger->state != CHILD_STOPPING && logger->pid != 0)
		stop_logger(m);
	else if (logger->pid == 0)
		loop_stop(m->loop);
}

void
stop_late(struct timer *t)
{
	struct master *m = container_of(t, struct master, stop);

	if (m->phase == PHASE_DRAINING && !m->deaf) {
		stop_listening(m);
		return;
	}
	if (m->phase == PHASE_DRAINING) {
		log_warn("the drain's deadline is over: cutting off what is left");
		stop_now(m);
		return;
	}
	stop_signal(m, SIGKILL);
	timer_set(loop_timers(m->loop), t, clock_ms() + STOP_PATIENCE_MS);
}
