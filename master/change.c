/* SPDX-License-Identifier: Apache-2.0
 *
 * See change.h. Everything here runs from an event of the reload machine, and returns at once.
 */
#include "master/change.h"

#include <signal.h>
#include <sys/wait.h>

#include "master/adminsock.h"
#include "master/boot.h"
#include "master/child.h"
#include "master/console.h"
#include "master/notify.h"
#include "master/spawn.h"
#include "master/stop.h"
#include "master/verdict.h"
#include "shm/base/clock.h"

/* Twenty times what reading a hundred thousand routes takes. */
#define LOAD_PATIENCE_MS  30000
#define APPLY_PATIENCE_MS 120000
#define ACK_MARGIN_MS     5000

static int
op_load(void *arg, const char **error_r)
{
	struct master *m = arg;
	struct child *loader = child_of(m, PROC_LOADER);

	/* The last one has said everything, but has not left yet. */
	children_fill(m);
	m->load_waits = loader->pid != 0;
	if (m->load_waits)
		return 1;
	return spawn_child(loader, error_r);
}

static void
op_load_stop(void *arg)
{
	child_kill(child_of(arg, PROC_LOADER), "the load was given up");
}

void
change_loader_gone(struct master *m, int status)
{
	char how[64];
	const char *error;

	if (!m->load_waits) {
		reload_loader_gone(m->reload, change_status_text(status, how));
		return;
	}
	m->load_waits = false;
	if (spawn_child(child_of(m, PROC_LOADER), &error) < 0)
		reload_loader_gone(m->reload, error);
}

const char *
change_status_text(int status, char out[64])
{
	if (WIFSIGNALED(status))
		snprintf(out, 64, "was killed by signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		snprintf(out, 64, "exited with %d", WEXITSTATUS(status));
	return out;
}

static int
op_stage(void *arg, struct str boot, const char **error_r)
{
	struct master *m = arg;

	if (settled_read(&m->next, boot, &m->now) < 0) {
		*error_r = "the loader's settings are not readable: is it another version?";
		return -1;
	}
	if (m->next.s->workers < 1 || m->next.s->workers > SLOT_MAX) {
		*error_r = "the loader names an impossible number of workers";
		return -1;
	}
	if (!m->now.s && boot_prepare(m, error_r) < 0)
		return -1;
	return child_of(m, PROC_KEEPER)->state == CHILD_UP;
}

static int
op_apply(void *arg, uint32_t txn, uint32_t cookie, int changeset)
{
	struct master *m = arg;
	struct child *keeper = child_of(m, PROC_KEEPER);

	child_begin(keeper, MSG_APPLY, txn);
	msg_put_u32(&m->out, 0);
	msg_put_u32(&m->out, cookie);
	msg_put_str(&m->out, cookie != 0 ? STR_NONE : STR("file"));
	if (changeset >= 0)
		msg_put_fd(&m->out, changeset);
	return child_send(keeper) ? 1 : -1;
}

/* Sockets for as many workers as there were or will be: a group never shrinks. */
static int
op_bind(void *arg, const struct listen_want *v, unsigned n, const char **error_r)
{
	struct master *m = arg;
	/* A submitted document brings no settings. */
	const struct conf_settings *s = m->next.s ? m->next.s : m->now.s;
	unsigned wanted = MIN((unsigned)s->workers, m->slots);
	unsigned slots = MAX(m->bound_slots, wanted);

	if (listens_prepare(m->listens, v, n, slots, error_r) < 0)
		return -1;
	if (listens_grow(m->listens, slots, error_r) < 0) {
		listens_abort(m->listens);
		return -1;
	}
	m->bound_slots = slots;
	children_steer(m, true);
	return 1;
}

static void
op_seal(void *arg, uint32_t txn, int objects)
{
	vault_ask(arg, txn, objects);
}

struct offer {
	struct child *worker;
	uint32_t txn;
	unsigned sent;
};

static void
offer_one(void *arg, const struct listen_want *w, int fd)
{
	struct offer *o = arg;
	struct msg *out = &o->worker->master->out;
	char address[160];

	(void)addr_text(&w->addr, address, sizeof(address));
	child_begin(o->worker, MSG_LISTEN, o->txn);
	msg_put_u32(out, w->number);
	msg_put_str(out, str_of(w->id));
	msg_put_str(out, str_of(address));
	msg_put_fd(out, fd);
	if (child_send(o->worker))
		o->sent++;
}

static void
op_offer(void *arg, uint32_t txn, unsigned acks_r[SLOT_MAX])
{
	struct master *m = arg;

	for (unsigned i = 0; i < m->slots; i++) {
		struct offer o = {.worker = child_worker(m, i), .txn = txn};

		if (o.worker->state != CHILD_UP && o.worker->state != CHILD_STARTING)
			continue;
		/* Sockets may need what is in it. */
		o.sent = vault_offer(o.worker, txn);
		listens_fresh(m->listens, i, offer_one, &o);
		/* One that does not read was killed meanwhile: nothing will come of it. */
		acks_r[i] = o.worker->chan < 0 ? 0 : o.sent;
	}
}

static int
op_commit(void *arg, uint32_t txn)
{
	struct child *keeper = child_of(arg, PROC_KEEPER);

	child_begin(keeper, MSG_COMMIT, txn);
	return child_send(keeper) ? 1 : -1;
}

static void
op_abort(void *arg, uint32_t txn, const char *reason)
{
	struct master *m = arg;
	struct child *keeper = child_of(m, PROC_KEEPER);

	listens_abort(m->listens);
	/* The keeper takes the next change at once, and a new generation is what workers wait for.
	 */
	vault_retract(m);
	child_begin(keeper, MSG_ABORT, txn);
	msg_put_str(&m->out, str_of(reason));
	(void)child_send(keeper);
	vault_forget(m);
}

static void
op_adopt(void *arg, enum reload_seal what, uint32_t changed)
{
	vault_adopt(arg, what, changed);
}

static void
op_unseal(void *arg, uint32_t txn UNUSED)
{
	vault_retract(arg);
	vault_forget(arg);
}

static void
op_ring(void *arg, uint64_t generation)
{
	struct master *m = arg;

	log_debug("generation %llu is committed", (unsigned long long)generation);
	listens_commit(m->listens);
	children_fill(m);
	for (unsigned i = 0; i < m->slots; i++) {
		struct child *c = child_worker(m, i);

		if (c->state == CHILD_UP || c->state == CHILD_STARTING)
			(void)kill(c->pid, SIGHUP);
	}
}

/* A worker that is starting opens the map as it is then. One that drains serves who is there, and
 * goes. */
static bool
op_behind(void *arg, uint64_t generation)
{
	struct master *m = arg;

	for (unsigned i = 0; i < m->slots; i++) {
		struct child *c = child_worker(m, i);
		struct proc_row *row = &m->procs->row[c->row];

		if (c->state == CHILD_UP && c->generation < generation &&
		    atomic_load_explicit(&row->generation, memory_order_relaxed) < generation)
			return true;
	}
	return false;
}

static uint64_t
op_patience(void *arg, enum reload_step step)
{
	struct master *m = arg;
	const struct conf_settings *s = m->now.s ? m->now.s : m->next.s;
	uint64_t stuck = s ? s->supervision.stuck_after : 10000;
	uint64_t resolve = s ? s->supervision.resolve_timeout : 5000;

	switch (step) {
	case RELOAD_SEALING:
		/* The watchdog comes first, and it is asked again. */
		return stuck * kinds[PROC_SECRETS].patience + 2 * LOAD_PATIENCE_MS;
	case RELOAD_LOADING:
		return resolve + LOAD_PATIENCE_MS;
	case RELOAD_OFFERING:
	case RELOAD_SWITCHING:
		/* The watchdog comes first: a stuck worker is replaced, and the reload goes on. */
		return stuck + ACK_MARGIN_MS;
	default:
		return stuck * kinds[PROC_KEEPER].patience + APPLY_PATIENCE_MS;
	}
}

/* Back-off and count of every child as the settings in force say. */
static void
apply_settings(struct master *m)
{
	const struct conf_settings *s = m->now.s;
	unsigned workers = MIN((unsigned)s->workers, m->slots);

	each_child (c, m) {
		c->backoff.min_ms = s->supervision.respawn_min;
		c->backoff.max_ms = s->supervision.respawn_max;
	}
	if ((unsigned)s->error_log.level != m->level_configured) {
		m->level_configured = (unsigned)s->error_log.level;
		change_level(m, (enum log_level)s->error_log.level);
	}
	adminsock_mode(m->admin_path, s);
	for (unsigned i = 0; m->boot_served && i < m->slots; i++) {
		struct child *c = child_worker(m, i);

		if (i >= workers && (c->state == CHILD_UP || c->state == CHILD_STARTING))
			stop_retire(c);
		else
			child_want(c, i < workers);
	}
}

/* Its other work, names, goes on when the files need no watching any more. */
static void
watch_serve(struct master *m, bool changed)
{
	struct child *c = child_of(m, PROC_DISCOVERY);
	bool wanted = c->wanted || m->now.s->watch_files;

	if (changed)
		child_renew(c, wanted);
	else
		child_want(c, wanted);
}

static void
finish_ok(struct master *m, const struct reload_outcome *o)
{
	bool first = !m->boot_served, console = console_changed(m);
	bool watch = m->now.s && m->now.s->watch_files != m->next.s->watch_files;

	settled_adopt(&m->now, &m->next);
	console_adopt(m);
	listens_withdraw(m->listens);
	verdict_good(m, o);
	if (first)
		boot_serve(m);
	apply_settings(m);
	console_serve(m, console);
	watch_serve(m, watch);
	if (!first)
		notify("READY=1\nSTATUS=generation %llu", (unsigned long long)o->generation);
}

/* Settings, back-off and whoever waits for a reload have nothing to do with it. */
static void
finish_submitted(struct master *m, const struct reload_outcome *o)
{
	verdict_submitted(m, o);
	if (!o->ok)
		return;
	listens_withdraw(m->listens);
	if (m->phase == PHASE_SERVING && o->generation > 0)
		notify("STATUS=generation %llu", (unsigned long long)o->generation);
}

static void
op_finish(void *arg, const struct reload_outcome *o)
{
	struct master *m = arg;

	children_fill(m);
	if (o->submitted) {
		finish_submitted(m, o);
		return;
	}
	if (o->ok) {
		finish_ok(m, o);
		return;
	}
	settled_drop(&m->next);
	console_drop(m);
	verdict_bad(m, o);
	if (m->boot_served)
		notify("READY=1\nSTATUS=last reload failed; the configuration before it goes on");
	else
		boot_fail(m, o->report);
}

const struct reload_ops change_ops = {
    .load = op_load,
    .load_stop = op_load_stop,
    .stage = op_stage,
    .apply = op_apply,
    .seal = op_seal,
    .bind = op_bind,
    .offer = op_offer,
    .commit = op_commit,
    .abort = op_abort,
    .adopt = op_adopt,
    .unseal = op_unseal,
    .ring = op_ring,
    .behind = op_behind,
    .finish = op_finish,
    .patience = op_patience,
};

void
change_request(struct master *m)
{
	if (m->phase > PHASE_SERVING) {
		log_info("no reload: the gateway is stopping");
		return;
	}
	if (m->phase == PHASE_SERVING)
		notify("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_ns() / 1000);
	reload_want(m->reload);
}

void
change_asked(struct child *admin, uint32_t id)
{
	struct master *m = admin->master;

	if (m->phase > PHASE_SERVING) {
		verdict_refuse(admin, id, "the gateway is stopping\n");
		return;
	}
	/* Owed first: a run may be over as soon as it is wanted. */
	verdict_owe(m, admin, id, reload_next(m->reload));
	change_request(m);
}

void
change_level(struct master *m, enum log_level level)
{
	log_info("error log: level %s", log_level_names[level]);
	m->level = level;
	log_set_level(level);
	if (m->procs)
		atomic_store_explicit(&m->procs->log_level, level, memory_order_relaxed);
	each_child (c, m) {
		if (c->chan < 0)
			continue;
		child_begin(c, MSG_LEVEL, 0);
		msg_put_u32(&m->out, level);
		(void)child_send(c);
	}
}
