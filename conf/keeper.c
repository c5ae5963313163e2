/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's loop. From the master: APPLY -> compile -> PREPARE; COMMIT -> commit, publish, ring
 * the workers' mailboxes -> APPLIED; ABORT -> as if nothing had been. From admin: ENDPOINT_SET.
 * Leaves by the caller's _exit with everything left where it is: files, arena and state are made
 * for that.
 */
#include "conf/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/boot.h"
#include "conf/keeper_priv.h"
#include "conf/stop.h"
#include "conf/table_priv.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"

#define SEND_WAIT_MS 2000
#define STATE_SIZE   ((size_t)64 << 20)

static struct keeper keeper;

int
keeper_send(int fd, struct msg *m)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	for (;;) {
		int got = msg_send(fd, m);

		if (got != 0)
			return got;
		if (poll(&p, 1, SEND_WAIT_MS) <= 0)
			return -1;
	}
}

static void
leave(struct keeper *k, int status)
{
	k->status = status;
	loop_stop(k->loop);
}

static void
send_master(struct keeper *k)
{
	if (keeper_send(k->h->chan, &k->out) == 1)
		return;
	log_error("keeper: the master does not listen; leaving");
	leave(k, 1);
}

/* --- answers --------------------------------------------------------------------------------- */

/* Text as a descriptor; -1 when there is no memory for it. */
static int
report_fd(const struct conf_check *report)
{
	int fd = memfd_create("report", MFD_CLOEXEC);
	size_t at = 0;

	while (fd >= 0 && at < report->text.n) {
		ssize_t n = write(fd, report->text.p + at, report->text.n - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	return fd;
}

static void
send_applied(
    struct keeper *k, uint32_t id, bool ok, uint32_t changed, const struct conf_check *report)
{
	int fd = report_fd(report);

	msg_begin(&k->out, MSG_APPLIED, id);
	msg_put_u32(&k->out, ok);
	msg_put_u64(&k->out, k->store.meta.generation);
	msg_put_u32(&k->out, changed);
	if (fd >= 0)
		msg_put_fd(&k->out, fd);
	send_master(k);
	if (fd >= 0)
		(void)close(fd);
}

static void
refuse(struct keeper *k, uint32_t id, const char *why)
{
	struct conf_place at = {.path = STR("map")};
	struct conf_check report;

	check_init(&report);
	check_error_at(&report, &at, "%s", why);
	send_applied(k, id, false, 0, &report);
	check_free(&report);
}

static void
send_prepare(struct keeper *k)
{
	unsigned n;
	const struct apply_listener *l = apply_listeners(k->pending, &n);
	char text[160];

	msg_begin(&k->out, MSG_PREPARE, k->txn);
	msg_put_u32(&k->out, n);
	for (unsigned i = 0; i < n; i++) {
		msg_put_u32(&k->out, l[i].number);
		msg_put_str(&k->out, str_of(l[i].id));
		msg_put_str(&k->out, str_n(text, addr_text(&l[i].addr, text, sizeof(text))));
		msg_put_u32(&k->out, l[i].backlog);
		msg_put_u32(&k->out, 0);
		msg_put_str(&k->out, str_of(l[i].place));
	}
	k->prepared = true;
	send_master(k);
}

/* --- the master's messages ------------------------------------------------------------------- */

/* The bell only: a full mailbox loses nothing, for the generation word is the truth. */
static void
ring_workers(struct keeper *k)
{
	msg_begin(&k->out, MSG_BELL, 0);
	msg_put_u64(&k->out, k->store.meta.generation);
	for (unsigned i = 0; i < SLOT_MAX; i++)
		if (k->h->mailbox_send[i] >= 0 && msg_send(k->h->mailbox_send[i], &k->out) < 0)
			log_debug("keeper: mailbox %u is closed", i);
}

static void
finish(struct keeper *k)
{
	struct conf_check report;
	uint32_t changed = apply_changed(k->pending), id = k->txn;
	uint64_t before = k->store.meta.generation;
	int ok;

	check_init(&report);
	ok = apply_commit(&k->pending, &report);
	if (ok == 1 && k->store.meta.generation != before) {
		ring_workers(k);
		beat_generation(k->beat, k->store.meta.generation);
		stop_arm(true);
		log_info("generation %llu: %u objects changed",
		    (unsigned long long)k->store.meta.generation, changed);
	}
	send_applied(k, id, ok == 1, changed, &report);
	check_free(&report);
	if (ok < 0) {
		/* The environment may be beyond use: a new process opens it anew. */
		log_error("keeper: a commit failed; leaving, to start afresh");
		leave(k, 1);
	}
}

static void
on_compiled(struct keeper *k, bool check_only, const struct conf_check *report)
{
	if (check_only) {
		uint32_t changed = apply_changed(k->pending);

		apply_abort(&k->pending);
		send_applied(k, k->txn, true, changed, report);
		return;
	}
	/* With nothing to do there is nothing to prepare, unless the predecessor died between the
	 * master's preparations and telling it the outcome. */
	if (apply_changed(k->pending) == 0 && k->prepared)
		finish(k);
	else
		send_prepare(k);
}

static void
on_apply(struct keeper *k, struct msg *m)
{
	bool check_only = msg_u32(m) != 0;
	uint32_t cookie UNUSED = msg_u32(m);
	struct str author = msg_str(m);
	int fd = m->fd_at < m->n_fds ? msg_fd(m) : -1;
	struct apply_input in = {.changeset_fd = fd};
	struct conf_check report;

	k->txn = m->id;
	if (k->pending != NULL) {
		log_warn("keeper: a change set waited for its verdict when the next came");
		apply_abort(&k->pending);
	}
	log_debug("keeper: change set %u by %.*s", m->id, STR_ARG(author));
	check_init(&report);
	if (fd < 0)
		check_error(&report, NULL, "the change set is missing");
	else
		k->pending = apply_compile(&k->store, &in, &report);
	if (fd >= 0)
		(void)close(fd);
	if (k->pending == NULL)
		send_applied(k, k->txn, false, 0, &report);
	else
		on_compiled(k, check_only, &report);
	check_free(&report);
}

static void
on_commit(struct keeper *k, struct msg *m)
{
	if (k->pending != NULL && m->id == k->txn)
		finish(k);
	else
		refuse(k, m->id, "there is no such change set to commit");
}

static void
on_abort(struct keeper *k, struct msg *m)
{
	char why[300];
	struct str reason = msg_str(m);

	if (k->pending == NULL || m->id != k->txn)
		return;
	snprintf(why, sizeof(why), "given up: %.*s", (int)MIN(reason.n, (size_t)250),
	    reason.p == NULL ? "" : reason.p);
	apply_abort(&k->pending);
	refuse(k, m->id, why);
}

static int
master_message(struct keeper *k, struct msg *m)
{
	switch (m->type) {
	case MSG_APPLY:
		on_apply(k, m);
		break;
	case MSG_COMMIT:
		on_commit(k, m);
		break;
	case MSG_ABORT:
		on_abort(k, m);
		break;
	case MSG_LEVEL:
		log_set_level(msg_u32(m));
		break;
	default:
		log_error("keeper: unexpected message %s", msg_type_name(m->type));
		msg_drop(m);
		return -1;
	}
	return msg_end(m);
}

static void
on_master(struct watch *w, uint32_t events UNUSED)
{
	struct keeper *k = container_of(w, struct keeper, chan);
	int got;

	while ((got = msg_recv(w->fd, &k->in)) == 1)
		if (master_message(k, &k->in) < 0) {
			got = -1;
			break;
		}
	if (got < 0) {
		log_error("keeper: the channel to the master is closed or spoilt; leaving");
		leave(k, 1);
	}
}

static void
on_admin(struct watch *w, uint32_t events UNUSED)
{
	struct keeper *k = container_of(w, struct keeper, admin);
	int got;

	while ((got = msg_recv(w->fd, &k->in)) == 1) {
		if (k->in.type == MSG_ENDPOINT_SET) {
			keeper_endpoint_set(k, &k->in);
			continue;
		}
		log_warn("keeper: unexpected message %s of admin", msg_type_name(k->in.type));
		msg_drop(&k->in);
	}
	if (got < 0) {
		log_error("keeper: the channel to admin is closed");
		loop_del(k->loop, w);
	}
}

/* --- start ----------------------------------------------------------------------------------- */

/* The endpoints the slowest worker goes by; rows retired after it may still be picked. */
static uint64_t
oldest_endpoints(void *arg)
{
	struct keeper *k = arg;
	struct procs *p = beat_procs(k->beat);
	uint64_t oldest = UINT64_MAX;

	for (unsigned i = 0; p != NULL && i < PROCS_MAX; i++) {
		uint32_t state = atomic_load_explicit(&p->row[i].state, memory_order_acquire);
		uint64_t seen = atomic_load_explicit(&p->row[i].endpoints, memory_order_acquire);

		if (atomic_load_explicit(&p->row[i].kind, memory_order_relaxed) == PROC_WORKER &&
		    (state == PROC_STARTING || state == PROC_UP || state == PROC_DRAINING) &&
		    seen > 0)
			oldest = MIN(oldest, seen);
	}
	return oldest;
}

static void
alive(void *arg)
{
	beat_now(((struct keeper *)arg)->beat);
}

static void
verdict_for(void *arg, struct str service, struct str endpoint, struct endpoint_row *row)
{
	verdicts_apply(((struct keeper *)arg)->verdicts, service, endpoint, row);
}

static int
store_start(struct keeper *k, const char **error_r)
{
	const struct heritage *h = k->h;
	struct conf_settings s;
	struct store_options o = {.run_dir = h->run_dir, .started_us = h->started_wall_us};
	struct ws ws;
	int ok;

	ws_init(&ws, NULL, 0);
	*error_r = "boot settings are malformed";
	ok = boot_decode(str_n(h->boot, h->boot_len), &s, &ws);
	if (ok == 1) {
		o.slots = (unsigned)s.limits.worker_slots;
		o.endpoints = (unsigned)s.limits.endpoints;
		o.services = (unsigned)s.limits.services;
		o.map_size = s.limits.map_size;
		ok = store_open(&k->store, &o, error_r);
	}
	ws_free(&ws);
	if (ok < 0)
		return -1;
	k->store.verdict = verdict_for;
	k->store.oldest = oldest_endpoints;
	k->store.alive = alive;
	k->store.arg = k;
	return table_attach(&k->store.map, &k->table, error_r);
}

/* Without it everything works, and is forgotten at the next boot. */
static void
state_start(struct keeper *k)
{
	const char *error = "";
	int got = state_open(k->h->state_dir, STATE_SIZE, &k->state, &error);

	if (got < 0)
		log_error("state: %s; verdicts on endpoints will not outlive this instance", error);
	else if (got == 0)
		log_error("state: %s", error);
	k->verdicts = verdicts_new(k->state);
}

static void
on_term(void *arg, int signo UNUSED)
{
	leave(arg, 0);
}

static int
start(struct keeper *k, const char **error_r)
{
	state_start(k); /* first of all environments: it forks to look at its file */
	if (store_start(k, error_r) < 0)
		return -1;
	k->loop = loop_new();
	k->beat = beat_start(k->loop, k->h);
	beat_generation(k->beat, k->store.meta.generation);
	stop_arm(k->store.meta.generation > 0);
	loop_signal(k->loop, SIGTERM, on_term, k);
	watch_init(&k->chan, on_master);
	watch_init(&k->admin, on_admin);
	*error_r = "its channels cannot be watched";
	if (loop_add(k->loop, &k->chan, k->h->chan, EPOLLIN) < 0 ||
	    (k->h->line[LINE_ADMIN_KEEPER] >= 0 &&
		loop_add(k->loop, &k->admin, k->h->line[LINE_ADMIN_KEEPER], EPOLLIN) < 0))
		return -1;
	keeper_expiry_start(k);
	return 1;
}

int
keeper_main(const struct heritage *h)
{
	struct keeper *k = &keeper;
	const char *error = "";
	bool ok;

	k->h = h;
	ok = start(k, &error) == 1;
	msg_begin(&k->out, ok ? MSG_READY : MSG_FAILED, 0);
	if (!ok)
		msg_put_str(&k->out, str_of(error));
	if (keeper_send(h->chan, &k->out) < 0 || !ok) {
		log_error("keeper: cannot start: %s", error);
		return 1;
	}
	log_info("keeper: %s epoch %llu, generation %llu", k->store.fresh ? "new" : "going on with",
	    (unsigned long long)k->store.meta.epoch, (unsigned long long)k->store.meta.generation);
	if (!k->store.fresh)
		ring_workers(k);
	loop_run(k->loop);
	return k->status;
}
