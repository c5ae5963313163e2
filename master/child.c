/* SPDX-License-Identifier: Apache-2.0
 *
 * See child.h.
 */
#include "master/child.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "master/boot.h"
#include "master/spawn.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"

static const uint32_t row_states[CHILD_STATE_COUNT] = {
    [CHILD_NONE] = PROC_EMPTY,
    [CHILD_WAITING] = PROC_DEAD,
    [CHILD_STARTING] = PROC_STARTING,
    [CHILD_UP] = PROC_UP,
    [CHILD_DRAINING] = PROC_DRAINING,
    [CHILD_STOPPING] = PROC_DRAINING,
};

static void
back_off_over(struct timer *t)
{
	struct child *c = container_of(t, struct child, timer);

	if (c->state == CHILD_WAITING)
		child_fill(c);
	else if (c->pid != 0)
		child_kill(c, "did not leave in time");
}

static void
child_init(struct master *m, unsigned row, enum proc_kind kind)
{
	struct child *c = &m->child[row];

	c->master = m;
	c->kind = &kinds[kind];
	c->row = row;
	c->chan = c->mailbox[0] = c->mailbox[1] = -1;
	watch_init(&c->watch, NULL);
	timer_init(&c->timer, back_off_over);
	backoff_init(&c->backoff, 100, 5000);
}

void
children_init(struct master *m)
{
	for (unsigned kind = PROC_LOADER; kind < PROC_KIND_COUNT; kind++)
		if (kind != PROC_WORKER)
			child_init(m, kind, kind);
}

void
children_slots(struct master *m, unsigned slots)
{
	BUG_ON(slots > SLOT_MAX);
	for (unsigned i = 0; i < slots; i++) {
		child_init(m, ROW_WORKERS + i, PROC_WORKER);
		child_worker(m, i)->slot = i;
	}
	m->slots = slots;
}

#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

static void
row_write(struct child *c)
{
	struct proc_row *row;

	if (!c->master->procs)
		return;
	row = &c->master->procs->row[c->row];
	STORE(row->kind, c->kind->id);
	STORE(row->slot, c->slot);
	STORE(row->pid, c->pid);
	if (c->state == CHILD_STARTING) {
		if (atomic_load_explicit(&row->started_us, memory_order_relaxed) != 0)
			atomic_fetch_add_explicit(&row->restarts, 1, memory_order_relaxed);
		STORE(row->started_us, clock_wall_us());
		STORE(row->generation, 0);
		STORE(row->endpoints, 0);
		/* Patience with the start begins here. */
		STORE(row->beat_ms, clock_ms());
	}
	atomic_store_explicit(&row->state, row_states[c->state], memory_order_release);
}

void
child_set_state(struct child *c, enum child_state state)
{
	struct master *m = c->master;

	BUG_ON((state >= CHILD_STARTING) != (c->pid != 0));
	c->state = state;
	c->since_ms = clock_ms();
	row_write(c);
	if (c->kind->id == PROC_WORKER)
		children_steer(m, false);
	if (state == CHILD_UP) {
		c->stuck = false;
		boot_progress(m);
	}
}

void
child_begin(struct child *c, enum msg_type type, uint32_t id)
{
	msg_begin(&c->master->out, type, id);
}

void
child_kill(struct child *c, const char *why)
{
	if (c->pid == 0)
		return;
	log_error("killing %s %ld (slot %u): %s", c->kind->name, (long)c->pid, c->slot, why);
	(void)kill(c->pid, SIGKILL);
	/* A stopped process dies of SIGKILL too; what it said before does not count any more. */
	child_chan_close(c);
}

void
child_chan_close(struct child *c)
{
	if (c->chan < 0)
		return;
	loop_del(c->master->loop, &c->watch);
	(void)close(c->chan);
	c->chan = -1;
}

bool
child_send(struct child *c)
{
	int sent;

	if (c->chan < 0)
		return false;
	sent = msg_send(c->chan, &c->master->out);
	if (sent == 0)
		child_kill(c, "it does not read its channel");
	else if (sent < 0)
		log_warn("cannot send %s to %s %ld", msg_type_name(c->master->out.type),
		    c->kind->name, (long)c->pid);
	return sent == 1;
}

static bool
child_may_start(const struct child *c)
{
	const struct master *m = c->master;

	if (!c->wanted || c->pid != 0 || timer_is_set(&c->timer) || c->reap)
		return false;
	if (m->phase == PHASE_STOPPING)
		return false;
	if (c->kind->id == PROC_WORKER && reload_pledged(m->reload))
		return false;
	return m->phase != PHASE_DRAINING || c->kind->id != PROC_WORKER;
}

void
child_fill(struct child *c)
{
	const char *error = "";

	if (!child_may_start(c) || spawn_child(c, &error) == 1)
		return;
	log_error("cannot start %s: %s", c->kind->name, error);
	timer_set(loop_timers(c->master->loop), &c->timer,
	    clock_ms() + backoff_failed(&c->backoff, clock_ms()) + 100);
}

void
children_fill(struct master *m)
{
	for (unsigned i = 0; i < m->slots; i++)
		child_fill(child_worker(m, i));
}

void
child_want(struct child *c, bool wanted)
{
	c->wanted = wanted;
	if (c->state == CHILD_NONE && wanted)
		child_set_state(c, CHILD_WAITING);
	else if (c->state == CHILD_WAITING && !wanted)
		child_set_state(c, CHILD_NONE);
	child_fill(c);
}

#define LEAVE_PATIENCE_MS 2000

/* No timer of an earlier back-off may hold up what is started for new settings. */
static void
child_rested(struct child *c)
{
	backoff_init(&c->backoff, c->backoff.min_ms, c->backoff.max_ms);
	if (c->pid == 0)
		timer_stop(&c->timer);
}

void
child_renew(struct child *c, bool wanted)
{
	child_rested(c);
	if (c->pid != 0 && c->state != CHILD_STOPPING) {
		(void)kill(c->pid, SIGTERM);
		child_set_state(c, CHILD_STOPPING);
		timer_set(loop_timers(c->master->loop), &c->timer, clock_ms() + LEAVE_PATIENCE_MS);
	}
	child_want(c, wanted);
}

/* How long prober may take to give back a slot's shares before somebody dies for it. */
#define REAP_PATIENCE_MS 5000

static void
slot_reap(struct child *c, struct child *prober)
{
	struct master *m = c->master;

	if (prober->state == CHILD_UP && !c->reap_sent) {
		child_begin(prober, MSG_REAP, 0);
		msg_put_u32(&m->out, c->slot);
		c->reap_sent = child_send(prober);
	}
	if (clock_ms() - c->reap_since_ms < REAP_PATIENCE_MS)
		return;
	/* Once the slot is filled, nobody may give its shares back: the new worker's would go too.
	 * So a prober that may still do it has to be gone first. What is not given back is, when
	 * the new worker dies. */
	if (prober->pid != 0) {
		child_kill(prober, "slots wait for it to give back what dead workers held");
		return;
	}
	log_warn(
	    "worker %u starts with its predecessor's requests in flight still counted", c->slot);
	c->reap = false;
	child_fill(c);
}

void
children_reap(struct master *m)
{
	for (unsigned i = 0; i < m->slots; i++) {
		struct child *c = child_worker(m, i);

		if (c->reap && c->pid == 0)
			slot_reap(c, child_of(m, PROC_PROBER));
	}
}

bool
children_up(struct master *m)
{
	each_child (c, m)
		if (c->wanted && c->kind->start == START_ALWAYS && c->state != CHILD_UP)
			return false;
	return true;
}

bool
children_left(struct master *m)
{
	each_child (c, m)
		if (c->pid != 0)
			return true;
	return false;
}

/* A gateway that drains still accepts for a while; a worker that retires leaves that to the others.
 */
static bool
takes_connections(const struct child *c)
{
	return c->state == CHILD_UP || (c->state == CHILD_DRAINING && !c->retired);
}

void
children_steer(struct master *m, bool anew)
{
	bool live[SLOT_MAX] = {false}, any = false;

	for (unsigned i = 0; i < m->slots; i++)
		any |= live[i] = takes_connections(child_worker(m, i));
	/* Nobody there: they wait where somebody will be. */
	for (unsigned i = 0; !any && i < m->slots; i++)
		live[i] = child_worker(m, i)->wanted;
	if (!anew && memcmp(live, m->steered, sizeof(live)) == 0)
		return;
	memcpy(m->steered, live, sizeof(live));
	if (m->bound_slots > 0 && listens_steer(m->listens, live, m->bound_slots) > 0)
		log_warn("steering of connections failed: %s", strerror(errno));
}
