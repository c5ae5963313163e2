/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker process: what it inherits, what it opens, its turn, its messages.
 */
#include <signal.h>
#include <sys/epoll.h>

#include "conf/boot.h"
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "worker/accept.h"
#include "worker/drain.h"
#include "worker/generation.h"
#include "worker/http/h2.h"
#include "worker/keyring.h"
#include "worker/plan.h"
#include "worker/req_life.h"
#include "worker/trim.h"
#include "worker/up/up.h"
#include "worker/worker.h"
#include "worker/worker_priv.h"

#define WORKER_BLOCK        8192 /* a request with its answer fits one */
#define WORKER_BUFFER       (16 * 1024)
#define WORKER_BLOCKS_FREE  512
#define WORKER_BUFFERS_FREE 512
#define WORKER_BULK         (128 * 1024)
#define WORKER_BULK_FREE    16
#define WORKER_PIPE         (128 * 1024)

void
worker_stop(struct worker *w, int status)
{
	w->status = status;
	w->leaving = true;
	loop_stop(w->loop);
}

void
worker_unread(struct worker *w)
{
	if (!w->reading)
		return;
	w->reading = false;
	table_reset(w->table);
}

static void
worker_turn_over(struct defer *d)
{
	worker_unread(container_of(d, struct worker, unread));
}

struct table *
worker_table(struct worker *w)
{
	if (w->reading)
		return w->table;
	up_before_renew(w->up);
	if (table_renew(w->table) != 1) {
		log_error("the map cannot be read any more");
		worker_stop(w, 1);
		return NULL;
	}
	w->reading = true;
	loop_defer(w->loop, &w->unread);
	return w->table;
}

static void
worker_look(struct worker *w)
{
	if (generation_check(w) < 0) {
		log_error("the map holds no settings that can be read");
		worker_stop(w, 1);
	}
}

static void
worker_turn(void *arg)
{
	struct worker *w = arg;

	metric_add(w->metrics, M_PROC_LOOP_TURNS, 1);
	generation_endpoints(w);
	worker_look(w);
}

void
worker_trust(struct worker *w)
{
	struct bundle *b = keyring_bundle(w->keyring);

	if (b)
		up_trust(w->up, b);
}

/* --- messages
 * ------------------------------------------------------------------------------------- */

static void
worker_ack(struct worker *w, uint32_t txn, const char *error)
{
	struct msg *m = &w->msg;

	msg_begin(m, MSG_LISTEN_ACK, txn);
	msg_put_u32(m, error == NULL);
	msg_put_str(m, str_of(error ? error : ""));
	if (msg_send(w->h->chan, m) != 1)
		log_error("transaction %u: the master could not be answered", txn);
}

static void
worker_listen(struct worker *w, struct msg *m)
{
	uint32_t number = msg_u32(m), id = m->id;
	struct str name = msg_str(m), text = msg_str(m);
	int fd = msg_fd(m);
	const char *error = "malformed message";
	struct addr a;
	char id_text[64];
	bool ok;

	snprintf(id_text, sizeof(id_text), "%.*s", STR_ARG(name));
	ok = addr_parse(text, 0, &a, &error) > 0;
	if (msg_end(m) < 0 || !ok) {
		log_error("listener %s: %s", id_text, error);
		ok = false;
		if (fd >= 0)
			close(fd);
	} else {
		listener_add(w, number, id_text, &a, fd);
	}
	worker_ack(w, id, ok ? NULL : error);
}

/* What the keeper committed before it was sent goes first, with what waits for that: it may be the
 * older of the two. */
static void
worker_bundle(struct worker *w, struct msg *m)
{
	const char *error = "malformed message";
	uint32_t txn = m->id;
	int fd = msg_fd(m), rc = -1;

	if (msg_end(m) > 0) {
		worker_look(w);
		rc = keyring_offer(w->keyring, txn, fd, &error);
	} else if (fd >= 0) {
		close(fd);
	}
	if (rc < 0)
		log_error("certificates: %s", error);
	if (txn) {
		worker_ack(w, txn, rc < 0 ? error : NULL);
	} else if (rc > 0) {
		worker_trust(w);
		listeners_trust(w);
	}
}

static void
worker_bundle_drop(struct worker *w, struct msg *m)
{
	uint32_t txn = m->id;

	if (msg_end(m) > 0)
		keyring_drop(w->keyring, txn);
}

static void
worker_level(struct msg *m)
{
	uint32_t level = msg_u32(m);

	if (msg_end(m) > 0)
		log_set_level(level);
}

static void
worker_drain(struct worker *w, struct msg *m)
{
	uint64_t min_ms = msg_u64(m), deadline_ms = msg_u64(m);

	if (msg_end(m) > 0)
		drain_begin(w, min_ms, deadline_ms);
}

static void
worker_message(struct worker *w, struct msg *m)
{
	switch (m->type) {
	case MSG_LISTEN:
		worker_listen(w, m);
		break;
	case MSG_BUNDLE:
		worker_bundle(w, m);
		break;
	case MSG_BUNDLE_DROP:
		worker_bundle_drop(w, m);
		break;
	case MSG_LEVEL:
		worker_level(m);
		break;
	case MSG_DRAIN:
		worker_drain(w, m);
		break;
	default:
		log_warn("message %s is none of a worker's", msg_type_name(m->type));
		msg_drop(m);
	}
}

/* A message may make the worker look for a generation, which listens first: once is enough. */
void
worker_hear(struct worker *w)
{
	int rc;

	if (w->hearing || w->chan.fd < 0)
		return;
	w->hearing = true;
	while ((rc = msg_recv(w->chan.fd, &w->msg)) == 1)
		worker_message(w, &w->msg);
	w->hearing = false;
	if (rc < 0) { /* the master is gone, or is not to be understood */
		loop_del(w->loop, &w->chan);
		worker_stop(w, 1);
	}
}

static void
worker_chan(struct watch *wt, uint32_t events)
{
	(void)events;
	worker_hear(container_of(wt, struct worker, chan));
}

/* A bell says nothing but "look": the turn it makes does the looking. */
static void
worker_mailbox(struct watch *wt, uint32_t events)
{
	struct worker *w = container_of(wt, struct worker, mailbox);
	int rc;

	(void)events;
	while ((rc = msg_recv(wt->fd, &w->msg)) == 1)
		msg_drop(&w->msg);
	if (rc < 0) {
		log_warn("mailbox: closed or malformed; going by the signal alone");
		loop_del(w->loop, wt);
	}
	worker_turn(w);
}

static void
worker_hup(void *arg, int signo)
{
	(void)signo;
	worker_turn(arg);
}

static void
worker_term(void *arg, int signo)
{
	(void)signo;
	conn_abort_all(arg, REASON_SHUTDOWN);
	worker_stop(arg, 0);
}

/* --- set-up
 * --------------------------------------------------------------------------------------- */

static int
worker_attach(struct worker *w, const char **error_r)
{
	const struct heritage *h = w->h;

	if (region_attach(h->region_fd[REGION_METRICS], REGION_METRICS, 0, true, &w->metrics_region,
		error_r) < 0 ||
	    region_attach(h->region_fd[REGION_ACCESS], REGION_ACCESS, 0, true, &w->access_region,
		error_r) < 0)
		return -1;
	w->metrics = metrics_open(&w->metrics_region, h->slot);
	w->ring = ring_at(&w->access_region, h->slot);
	*error_r = "the regions have no place for this slot";
	if (!w->metrics || !w->ring)
		return -1;
	metrics_adopt(w->metrics);
	ring_adopt(w->ring);
	return 1;
}

static int
worker_maps(struct worker *w, const char **error_r)
{
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/arena", w->h->run_dir);
	if (arena_open(dir, &w->arena, error_r) < 0)
		return -1;
	w->epoch = atomic_load_explicit(&arena_head(w->arena)->epoch, memory_order_acquire);
	return table_open(w->h->run_dir, w->epoch, &w->table, error_r);
}

static int
worker_boot(struct worker *w, unsigned *plans_r, const char **error_r)
{
	struct conf_settings s;
	struct ws ws;
	int rc;

	ws_init(&ws, NULL, 0);
	rc = boot_decode(str_n(w->h->boot, w->h->boot_len), &s, &ws);
	*error_r = "boot settings malformed";
	if (rc > 0) {
		*plans_r = (unsigned)s.limits.plans;
		w->admin.family = AF_UNIX;
		snprintf(w->admin.path, sizeof(w->admin.path), "%.*s", STR_ARG(s.admin.socket));
		if (s.admin.socket.n == 0)
			snprintf(
			    w->admin.path, sizeof(w->admin.path), "%s/admin.sock", w->h->run_dir);
	}
	ws_free(&ws);
	return rc;
}

static void
worker_watch(struct worker *w)
{
	const struct heritage *h = w->h;

	loop_on_turn(w->loop, worker_turn, w);
	loop_signal(w->loop, SIGHUP, worker_hup, w);
	loop_signal(w->loop, SIGTERM, worker_term, w);
	w->mailbox = (struct watch){.fd = -1, .fn = worker_mailbox};
	if (h->chan >= 0 && loop_add(w->loop, &w->chan, h->chan, EPOLLIN) < 0)
		log_error("channel to the master: cannot be watched");
	if (h->mailbox >= 0 && loop_add(w->loop, &w->mailbox, h->mailbox, EPOLLIN) < 0)
		log_error("mailbox: cannot be watched");
}

/* What was in force when the predecessor left; without it listeners wait for the master's. */
static void
worker_keys(struct worker *w)
{
	const char *error = "";
	int fd = w->h->secrets_fd;

	w->keyring = keyring_new(w);
	w->chan = (struct watch){.fd = -1, .fn = worker_chan};
	if (fd < 0)
		return;
	if (keyring_offer(w->keyring, 0, fd, &error) < 0)
		log_error("certificates: %s", error);
	else
		worker_trust(w);
}

static int
worker_set_up(struct worker *w, const char **error_r)
{
	unsigned plans = 0;

	if (worker_attach(w, error_r) < 0 || worker_boot(w, &plans, error_r) < 0 ||
	    worker_maps(w, error_r) < 0)
		return -1;
	*error_r = "no epoll set";
	w->loop = loop_new();
	if (!w->loop)
		return -1;
	w->timers = loop_timers(w->loop);
	w->beat = beat_start(w->loop, w->h);
	w->procs = beat_procs(w->beat);
	ws_pool_init(&w->ws_pool, WORKER_BLOCK, WORKER_BLOCKS_FREE);
	buf_pool_init(&w->bufs, WORKER_BUFFER, WORKER_BUFFERS_FREE);
	buf_pool_init(&w->bulk, WORKER_BULK, WORKER_BULK_FREE);
	w->bufs.bulk = &w->bulk;
	pipe_pool_init(&w->pipes, WORKER_PIPE);
	w->h2_pool = h2_pool_new(w->loop, &w->bufs);
	defer_init(&w->unread, worker_turn_over);
	list_init(&w->listeners);
	list_init(&w->free_reqs);
	list_init(&w->websockets);
	for (unsigned i = 0; i < CONN_STATE_COUNT; i++)
		list_init(&w->conns[i]);
	w->plans = plans_new(w->metrics, plans);
	w->up = up_new(w->loop, w->arena, w->h->slot, w->metrics, &w->bufs);
	w->up->h2 = w->h2_pool;
	worker_keys(w);
	accept_init(w);
	trim_start(w);
	*error_r = "the map holds no settings that can be read";
	return generation_check(w);
}

static void
worker_tear_down(struct worker *w)
{
	w->leaving = true;
	accept_fini(w);
	conn_abort_all(w, REASON_SHUTDOWN);
	conn_fini(w);
	req_pool_fini(w);
	up_free(&w->up);
	keyring_free(&w->keyring);
	plans_free(&w->plans);
	gen_unref(&w->gen);
	defer_cancel(&w->unread);
	table_close(&w->table);
	arena_close(&w->arena);
	beat_stop(&w->beat);
	ws_pool_fini(&w->ws_pool);
	h2_pool_free(&w->h2_pool);
	buf_pool_fini(&w->bufs);
	buf_pool_fini(&w->bulk);
	pipe_pool_fini(&w->pipes);
	loop_free(&w->loop);
	ring_close(&w->ring);
	metrics_close(&w->metrics);
	region_detach(&w->metrics_region);
	region_detach(&w->access_region);
}

static void
worker_say(struct worker *w, enum msg_type type, const char *error)
{
	msg_begin(&w->msg, type, 0);
	if (error)
		msg_put_str(&w->msg, str_of(error));
	if (w->h->chan >= 0 && msg_send(w->h->chan, &w->msg) != 1)
		log_error("the master could not be told %s", msg_type_name(type));
}

int
worker_main(const struct heritage *h)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	const char *error = "";
	int status;

	w->magic = WORKER_MAGIC;
	w->h = h;
	if (worker_set_up(w, &error) < 0) {
		log_error("%s", error);
		worker_say(w, MSG_FAILED, error);
		return 1;
	}
	worker_watch(w);
	worker_say(w, MSG_READY, NULL);
	loop_run(w->loop);
	status = w->status;
	worker_tear_down(w);
	free(w);
	return status;
}
