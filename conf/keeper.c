/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's start, its loop and what every commit brings with it. Leaves by the caller's _exit
 * with everything left where it is: files, arena and state are made for that.
 */
#include "conf/keeper.h"

#include <signal.h>
#include <sys/epoll.h>

#include "conf/boot.h"
#include "conf/keeper_priv.h"
#include "conf/stop.h"
#include "conf/table_priv.h"
#include "shm/base/bug.h"
#include "shm/base/heap.h"
#include "shm/base/log.h"

#define SEND_WAIT_MS 2000

static struct keeper keeper;

int
keeper_send(int fd, struct msg *m)
{
	return msg_send_wait(fd, m, SEND_WAIT_MS);
}

void
keeper_leave(struct keeper *k, int status)
{
	k->leaving = true;
	k->status = status;
	loop_stop(k->loop);
}

/* The slots that have a worker, or are to have one. The master says so before it forks, and a
 * worker looks at the generation when it starts: either it is seen here, or it sees what was
 * published. */
static uint64_t
slots_taken(struct keeper *k)
{
	struct procs *p = beat_procs(k->beat);
	uint64_t taken = 0;

	_Static_assert(SLOT_MAX <= 64, "a bit for each slot");
	if (p == NULL)
		return UINT64_MAX;
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < PROCS_MAX; i++) {
		struct proc_row *row = &p->row[i];

		if (atomic_load_explicit(&row->state, memory_order_acquire) != PROC_EMPTY &&
		    atomic_load_explicit(&row->kind, memory_order_relaxed) == PROC_WORKER)
			taken |=
			    UINT64_C(1)
			    << (atomic_load_explicit(&row->slot, memory_order_relaxed) % SLOT_MAX);
	}
	return taken;
}

/* The bell only: a full mailbox loses nothing, for the generation word is the truth. */
void
keeper_ring(struct keeper *k)
{
	uint64_t taken = slots_taken(k);

	k->unrung = false;
	msg_begin(&k->out, MSG_BELL, 0);
	msg_put_u64(&k->out, k->store.meta.generation);
	for (unsigned i = 0; i < SLOT_MAX; i++)
		if ((taken >> i & 1) != 0 && k->h->mailbox_send[i] >= 0 &&
		    msg_send(k->h->mailbox_send[i], &k->out) < 0)
			log_debug("keeper: mailbox %u is closed", i);
}

void
keeper_ring_late(struct keeper *k)
{
	if (k->unrung)
		keeper_ring(k);
}

void
keeper_settings(struct keeper *k)
{
	const struct conf_settings *s;
	struct conf_object o;
	struct ws ws;

	if (table_renew(k->table) < 0)
		return;
	ws_init(&ws, NULL, 0);
	if (table_find(k->table, CONF_SETTINGS, STR("gateway"), &o) == 1 &&
	    !digest_eq(&o.digest, &k->settings)) {
		k->settings = o.digest;
		s = object_body(&o, &ws);
		k->history = s != NULL ? (uint64_t)s->limits.history : k->history;
		k->deletions = s != NULL ? s->redis.deletions : k->deletions;
	}
	ws_free(&ws);
	table_reset(k->table);
}

void
keeper_note_generation(struct keeper *k)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)k->store.meta.generation);

	remember_put(&k->remember, STATE_META, STR("generation"), str_n(text, (size_t)n));
}

void
keeper_committed(struct keeper *k)
{
	uint64_t version = atomic_load_explicit(
	    &arena_head(k->store.arena)->endpoints_version, memory_order_relaxed);

	keeper_note_generation(k);
	k->unrung = true;
	if (version != k->rung_version)
		keeper_ring(k);
	k->rung_version = version;
	beat_generation(k->beat, k->store.meta.generation);
	keeper_settings(k);
	keeper_endpoints_generation(k);
	stop_arm(true);
}

/* Before anybody is told of the commit: at a start this is still the only process that has the map
 * open, and whoever opens it while the last one closes it finds a broken lock (README.lmdb). */
void
keeper_slim(struct keeper *k, uint32_t changed)
{
	const char *error = "";

	if (changed < SLIM_OBJECTS || k->leaving)
		return;
	table_close(&k->table);
	if (store_slim(&k->store, &error) < 0 ||
	    table_attach(&k->store.map, &k->table, &error) < 0) {
		log_error(
		    "keeper: the map cannot be opened again: %s; leaving, to start afresh", error);
		_exit(1);
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
store_start(struct keeper *k, const struct conf_settings *s, const char **error_r)
{
	struct store_options o = {.run_dir = k->h->run_dir,
	    .started_us = k->h->started_wall_us,
	    .slots = (unsigned)s->limits.worker_slots,
	    .endpoints = (unsigned)s->limits.endpoints,
	    .services = (unsigned)s->limits.services,
	    .map_size = s->limits.map_size};

	if (store_open(&k->store, &o, error_r) < 0)
		return -1;
	k->store.verdict = verdict_for;
	k->store.oldest = oldest_endpoints;
	k->store.alive = alive;
	k->store.arg = k;
	return table_attach(&k->store.map, &k->table, error_r);
}

/* Without it everything that the files say works; nothing else is taken. */
static void
state_start(struct keeper *k, const struct conf_settings *s)
{
	const char *error = "";
	int got = state_open(k->h->state_dir, s->limits.state_size, &k->state, &error);

	if (got < 0) {
		k->state_error = xstrdup(error);
		log_error("state: %s; verdicts on endpoints will not outlive this instance, and "
			  "changes through admin API and console are refused",
		    error);
	} else if (got == 0) {
		k->state_error = xstrdup(error);
		log_error("state: %s; what only it knew is not served", error);
	}
	k->verdicts = verdicts_new(k->state);
}

/* The state first of all environments: it forks to look at its file. */
static int
open_all(struct keeper *k, const char **error_r)
{
	struct conf_settings s;
	struct ws ws;
	int ok;

	ws_init(&ws, NULL, 0);
	*error_r = "boot settings are malformed";
	ok = boot_decode(str_n(k->h->boot, k->h->boot_len), &s, &ws);
	if (ok == 1) {
		k->history = (uint64_t)s.limits.history;
		k->deletions = s.redis.deletions;
		state_start(k, &s);
		ok = store_start(k, &s, error_r);
	}
	ws_free(&ws);
	return ok;
}

static void
on_term(void *arg, int signo UNUSED)
{
	keeper_leave(arg, 0);
}

static int
start(struct keeper *k, const char **error_r)
{
	if (open_all(k, error_r) < 0)
		return -1;
	k->loop = loop_new();
	k->beat = beat_start(k->loop, k->h);
	beat_generation(k->beat, k->store.meta.generation);
	stop_process("GATEWAY_TEST_KEEPER_STOP", beat_restarts(k->beat) == 0);
	stop_arm(k->store.meta.generation > 0);
	loop_signal(k->loop, SIGTERM, on_term, k);
	keeper_turn_start(k);
	keeper_remembered(k);
	keeper_endpoints_start(k);
	watch_init(&k->chan, keeper_master_message);
	*error_r = "its channels cannot be watched";
	if (loop_add(k->loop, &k->chan, k->h->chan, EPOLLIN) < 0 || keeper_lines_start(k) < 0)
		return -1;
	keeper_expiry_start(k);
	keeper_turn_soon(k);
	return 1;
}

int
keeper_main(const struct heritage *h)
{
	struct keeper *k = &keeper;
	const char *error = "";
	bool ok;

	heap_large_apart();
	k->h = h;
	ok = start(k, &error) == 1;
	msg_begin(&k->out, ok ? MSG_READY : MSG_FAILED, 0);
	if (!ok)
		msg_put_str(&k->out, str_of(error));
	if (keeper_send(h->chan, &k->out) < 0 || !ok) {
		log_error("keeper: cannot start: %s", error);
		return 1;
	}
	log_info("keeper: %s epoch %llu, generation %llu", k->begun ? "going on with" : "new",
	    (unsigned long long)k->store.meta.epoch, (unsigned long long)k->store.meta.generation);
	if (k->begun)
		keeper_ring(k);
	loop_run(k->loop);
	return k->status;
}
