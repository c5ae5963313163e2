/* SPDX-License-Identifier: Apache-2.0
 *
 * See reap.h. What a child had still said is heard before its end is: a loader's verdict counts
 * though it has left already.
 */
#include "master/reap.h"

#include <sys/wait.h>

#include "master/boot.h"
#include "master/chan.h"
#include "master/change.h"
#include "master/child.h"
#include "master/stop.h"
#include "master/verdict.h"
#include "shm/base/clock.h"

static struct child *
child_by_pid(struct master *m, pid_t pid)
{
	each_child (c, m)
		if (c->pid == pid)
			return c;
	return NULL;
}

/* Was it to be expected? A loader's work is done when it leaves, the others were told to. */
static bool
is_news(const struct child *c, int status)
{
	if (c->state == CHILD_STOPPING || c->failed)
		return false;
	return status != 0 || (c->state != CHILD_DRAINING && c->kind->restart == RESTART_ALWAYS);
}

static void
say(struct child *c, pid_t pid, int status)
{
	char how[64];

	(void)change_status_text(status, how);
	if (!is_news(c, status)) {
		log_debug("%s %ld %s", c->kind->name, (long)pid, how);
		return;
	}
	log_error("%s %ld (slot %u) %s", c->kind->name, (long)pid, c->slot, how);
	boot_child_died(c, how);
}

static void
worker_gone(struct child *c)
{
	c->reap = true;
	c->reap_sent = false;
	c->reap_since_ms = clock_ms();
	reload_worker_gone(c->master->reload, c->slot);
}

static void
prober_gone(struct master *m)
{
	for (unsigned i = 0; i < m->slots; i++)
		child_worker(m, i)->reap_sent = false;
}

/* told: to leave. */
static void
tell_others(struct child *c, int status, bool told)
{
	struct master *m = c->master;

	switch (c->kind->id) {
	case PROC_LOADER:
		change_loader_gone(m, status);
		break;
	case PROC_KEEPER:
		reload_keeper_gone(m->reload);
		break;
	case PROC_WORKER:
		worker_gone(c);
		break;
	case PROC_PROBER:
		prober_gone(m);
		break;
	case PROC_SECRETS:
		vault_gone(c, told);
		break;
	case PROC_ADMIN:
		verdict_forget(m, c->row);
		break;
	default:
		break;
	}
	children_reap(m);
}

static void
rest(struct child *c)
{
	uint64_t wait = backoff_failed(&c->backoff, clock_ms());

	if (wait == 0) {
		child_fill(c);
		return;
	}
	log_info("%s (slot %u) starts again in %llu ms", c->kind->name, c->slot,
	    (unsigned long long)wait);
	timer_set(loop_timers(c->master->loop), &c->timer, clock_ms() + wait);
}

static void
child_gone(struct child *c, int status)
{
	struct master *m = c->master;
	pid_t pid = c->pid;
	bool told = c->state == CHILD_STOPPING;

	chan_drain(c);
	child_chan_close(c);
	say(c, pid, status);
	timer_stop(&c->timer);
	c->pid = 0;
	if (m->procs)
		atomic_store_explicit(
		    &m->procs->row[c->row].last_status, (uint32_t)status, memory_order_relaxed);
	child_set_state(c, c->wanted ? CHILD_WAITING : CHILD_NONE);
	tell_others(c, status, told);
	if (c->wanted && told)
		child_fill(c);
	else if (c->wanted)
		rest(c);
	stop_progress(m);
}

void
reap_children(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *c = child_by_pid(m, pid);

		if (c)
			child_gone(c, status);
	}
}
