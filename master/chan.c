/* SPDX-License-Identifier: Apache-2.0
 *
 * See chan.h. A message of a type its sender has no business with, or one that is not consumed
 * exactly, ends the trust in that process: it is killed and replaced.
 */
#include "master/chan.h"

#include <unistd.h>

#include "master/boot.h"
#include "master/change.h"
#include "master/child.h"
#include "master/console.h"
#include "master/stop.h"
#include "shm/base/clock.h"

static void
fd_close(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

/* A handler reads all of the message and calls msg_end; it returns what that said. */
typedef int chan_f(struct child *c, struct msg *m);

static int
on_ready(struct child *c, struct msg *m)
{
	if (msg_end(m) < 0)
		return -1;
	if (c->state != CHILD_STARTING)
		return 1;
	log_info("%s %ld is up", c->kind->name, (long)c->pid);
	child_set_state(c, CHILD_UP);
	if (c->kind->id == PROC_KEEPER)
		reload_go(c->master->reload);
	else if (c->kind->id == PROC_PROBER)
		children_reap(c->master);
	else if (c->kind->id == PROC_LOGGER)
		boot_logging(c->master);
	else if (c->kind->id == PROC_SECRETS)
		vault_up(c);
	return 1;
}

static int
on_failed(struct child *c, struct msg *m)
{
	char why[512];
	struct str error = msg_str(m);

	snprintf(why, sizeof(why), "%.*s", (int)MIN(error.n, sizeof(why) - 1), error.p);
	if (msg_end(m) < 0)
		return -1;
	c->failed = true;
	log_error("%s cannot start: %s", c->kind->name, why);
	boot_child_failed(c, why);
	return 1;
}

static int
on_loaded(struct child *c, struct msg *m)
{
	bool ok = msg_u32(m) != 0;
	(void)msg_u32(m);
	struct str boot = msg_str(m);
	int report = msg_fd(m), changeset = m->fd_at < m->n_fds ? msg_fd(m) : -1;
	int secrets = m->fd_at < m->n_fds ? msg_fd(m) : -1;

	if (msg_end(m) < 0 || (ok && changeset < 0)) {
		fd_close(report);
		fd_close(changeset);
		fd_close(secrets);
		return -1;
	}
	/* Held before the settings are: what they refer to is in it. */
	console_hold(c->master, secrets);
	reload_loaded(c->master->reload, ok, boot, report, changeset);
	return 1;
}

/* 1, or -1: an address that is none. */
static int
want_read(struct msg *m, struct listen_want *w)
{
	struct str id, address, place;
	const char *error;

	w->number = msg_u32(m);
	id = msg_str(m);
	address = msg_str(m);
	w->backlog = msg_u32(m);
	w->flags = msg_u32(m);
	place = msg_str(m);
	snprintf(w->place, sizeof(w->place), "%.*s", STR_ARG(place));
	if (id.n >= sizeof(w->id))
		return -1;
	snprintf(w->id, sizeof(w->id), "%.*s", STR_ARG(id));
	return addr_parse(address, 0, &w->addr, &error);
}

static int
on_prepare(struct child *c, struct msg *m)
{
	struct listen_want v[LISTEN_MAX];
	uint32_t n = msg_u32(m);
	int objects;

	for (uint32_t i = 0; i < n; i++)
		if (i == LISTEN_MAX || want_read(m, &v[i]) < 0) {
			msg_drop(m);
			return -1;
		}
	objects = m->fd_at < m->n_fds ? msg_fd(m) : -1;
	if (msg_end(m) < 0) {
		fd_close(objects);
		return -1;
	}
	reload_prepare(c->master->reload, m->id, v, n, objects);
	return 1;
}

static int
on_applied(struct child *c, struct msg *m)
{
	bool ok = msg_u32(m) != 0;
	uint64_t generation = msg_u64(m);
	uint32_t changed = msg_u32(m);
	int report = m->fd_at < m->n_fds ? msg_fd(m) : -1;

	if (msg_end(m) < 0) {
		fd_close(report);
		return -1;
	}
	reload_applied(c->master->reload, m->id, ok, generation, changed, report);
	return 1;
}

static int
on_sealed(struct child *c, struct msg *m)
{
	bool ok = msg_u32(m) != 0;
	int report = msg_fd(m);
	int bundle = m->fd_at < m->n_fds ? msg_fd(m) : -1;
	int facts = bundle >= 0 ? msg_fd(m) : -1;

	if (msg_end(m) < 0 || (bundle >= 0 && !ok)) {
		fd_close(report);
		fd_close(bundle);
		fd_close(facts);
		return -1;
	}
	vault_sealed(c, m->id, ok, report, bundle, facts);
	return 1;
}

static int
on_submit(struct child *c, struct msg *m)
{
	uint32_t cookie = msg_u32(m);

	if (msg_end(m) < 0 || cookie == 0)
		return -1;
	/* Who stops changes nothing any more; the document waits in the journal. */
	if (c->master->phase <= PHASE_SERVING)
		reload_submit(c->master->reload, cookie);
	return 1;
}

static int
on_listen_ack(struct child *c, struct msg *m)
{
	char why[256];
	bool ok = msg_u32(m) != 0;
	struct str error = msg_str(m);

	snprintf(why, sizeof(why), "%.*s", (int)MIN(error.n, sizeof(why) - 1), error.p);
	if (msg_end(m) < 0)
		return -1;
	reload_acked(c->master->reload, c->slot, m->id, ok, why);
	return 1;
}

static int
on_switched(struct child *c, struct msg *m)
{
	uint64_t generation = msg_u64(m);

	if (msg_end(m) < 0)
		return -1;
	c->generation = MAX(c->generation, generation);
	reload_switched(c->master->reload);
	return 1;
}

static int
on_reaped(struct child *c, struct msg *m)
{
	uint32_t slot = msg_u32(m);
	struct child *worker;

	if (msg_end(m) < 0 || slot >= c->master->slots)
		return -1;
	worker = child_worker(c->master, slot);
	if (!worker->reap || !worker->reap_sent)
		return 1;
	worker->reap = worker->reap_sent = false;
	child_fill(worker);
	return 1;
}

/* Work for a kind of process that runs only where there is some. The secrets process runs while
 * there are objects for it. */
static int
on_want(struct child *c, struct msg *m)
{
	uint32_t kind = msg_u32(m);

	if (msg_end(m) < 0 || kind != PROC_DISCOVERY)
		return -1;
	if (c->master->phase <= PHASE_SERVING)
		child_want(child_of(c->master, kind), true);
	return 1;
}

static int
on_ring(struct child *c, struct msg *m)
{
	if (msg_end(m) < 0)
		return -1;
	log_info("%s asks for a reload", c->kind->name);
	change_request(c->master);
	return 1;
}

static int
on_reload(struct child *c, struct msg *m)
{
	if (msg_end(m) < 0)
		return -1;
	change_asked(c, m->id);
	return 1;
}

static int
on_shutdown(struct child *c, struct msg *m)
{
	bool graceful = msg_u32(m) != 0;

	if (msg_end(m) < 0)
		return -1;
	log_info("admin asks for a %s", graceful ? "drain" : "stop");
	if (graceful)
		stop_drain(c->master);
	else
		stop_now(c->master);
	return 1;
}

static int
on_level(struct child *c, struct msg *m)
{
	uint32_t level = msg_u32(m);

	if (msg_end(m) < 0 || level > LOG_DEBUG_L)
		return -1;
	change_level(c->master, level);
	return 1;
}

#define FROM(KIND) (1u << PROC_##KIND)
#define ANYBODY    UINT32_MAX

static const struct {
	enum msg_type type;
	uint32_t from;
	chan_f *fn;
} handlers[] = {
    {MSG_READY, ANYBODY, on_ready},
    {MSG_FAILED, ANYBODY, on_failed},
    {MSG_LOADED, FROM(LOADER), on_loaded},
    {MSG_PREPARE, FROM(KEEPER), on_prepare},
    {MSG_APPLIED, FROM(KEEPER), on_applied},
    {MSG_SUBMIT, FROM(KEEPER), on_submit},
    {MSG_SEALED, FROM(SECRETS), on_sealed},
    {MSG_WANT, FROM(KEEPER), on_want},
    {MSG_RING, FROM(REDIS) | FROM(KEEPER) | FROM(DISCOVERY), on_ring},
    {MSG_LISTEN_ACK, FROM(WORKER), on_listen_ack},
    {MSG_SWITCHED, FROM(WORKER), on_switched},
    {MSG_REAPED, FROM(PROBER), on_reaped},
    {MSG_RELOAD, FROM(ADMIN), on_reload},
    {MSG_SHUTDOWN, FROM(ADMIN), on_shutdown},
    {MSG_LEVEL, FROM(ADMIN), on_level},
};

static int
dispatch(struct child *c, struct msg *m)
{
	for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
		if (handlers[i].type == m->type && (handlers[i].from & 1u << c->kind->id) != 0)
			return handlers[i].fn(c, m);
	msg_drop(m);
	return -1;
}

/* At most this many messages of one child in a turn: the others have a right to theirs. */
#define TURN_MAX 64

static void
chan_read(struct child *c)
{
	struct msg *m = &c->master->in;
	int got;

	for (unsigned i = 0; i < TURN_MAX && c->chan >= 0; i++) {
		got = msg_recv(c->chan, m);
		if (got == 0)
			return;
		if (got < 0) {
			/* Gone, or talking nonsense. Its exit, if it is one, is told by SIGCHLD. */
			loop_del(c->master->loop, &c->watch);
			return;
		}
		if (dispatch(c, m) < 0) {
			child_kill(c, msg_type_name(m->type));
			return;
		}
	}
}

void
chan_ready(struct watch *w, uint32_t events UNUSED)
{
	chan_read(container_of(w, struct child, watch));
}

void
chan_drain(struct child *c)
{
	for (unsigned i = 0; i < 16 && c->chan >= 0; i++)
		chan_read(c);
}
