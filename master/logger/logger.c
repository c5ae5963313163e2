/* SPDX-License-Identifier: Apache-2.0
 *
 * See logger.h. Two streams: the error log's pipe, which carries whole lines, and one access ring
 * per worker slot. Both are drained when the bell rings and every 50 ms. A busy sink leaves its
 * stream where it is: then the pipe or the ring fills up, and those who write to it drop and count.
 */
#include "master/logger/logger.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conf/boot.h"
#include "master/logger/sink.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/loop.h"
#include "shm/base/msg.h"
#include "shm/beat.h"
#include "shm/ring.h"

#define DRAIN_EVERY_MS    50
#define COMPLAIN_EVERY_MS 10000
#define RECORDS_AT_ONCE   4096 /* of one ring: the next one has its turn */

struct logger {
	const struct heritage *h;
	struct loop *loop;
	struct watch chan, bell;
	struct timer timer;
	struct sink error, access;
	struct region rings;
	struct ring *ring[SLOT_MAX]; /* NULL past the last slot */
	uint64_t complained_ms;
};

static void
complain(struct logger *l, struct sink *s, const char *what)
{
	if (s->lost == 0 || clock_ms() - l->complained_ms < COMPLAIN_EVERY_MS)
		return;
	l->complained_ms = clock_ms();
	log_error("%s %s: %llu octets of log lost: %s", what, s->path, (unsigned long long)s->lost,
	    strerror(s->error));
	s->lost = 0;
}

/* 1 empty, 0 the sink is busy. */
static int
drain_pipe(struct logger *l)
{
	char part[64 * 1024];
	ssize_t n = 1;

	while (n > 0) {
		if (SINK_ROOM - (l->error.w - l->error.r) < sizeof(part) &&
		    sink_flush(&l->error) == 0)
			return 0;
		n = read(l->h->log_fd, part, sizeof(part));
		if (n > 0)
			(void)sink_text(&l->error, str_n(part, (size_t)n));
	}
	return sink_flush(&l->error);
}

static int
drain_ring(struct logger *l, struct ring *g)
{
	struct str record;

	for (unsigned i = 0; i < RECORDS_AT_ONCE; i++) {
		/* Room first: a record that was taken out cannot be put back. */
		if (SINK_ROOM - (l->access.w - l->access.r) < SINK_ROOM / 2 &&
		    sink_flush(&l->access) == 0)
			return 0;
		if (ring_next(g, &record) != 1)
			return 1;
		record.n = MIN(record.n, (size_t)SINK_ROOM / 2 - 1);
		(void)sink_line(&l->access, record);
	}
	return 1;
}

static void
drain_all(struct logger *l)
{
	(void)drain_pipe(l);
	for (unsigned slot = 0; slot < SLOT_MAX && l->ring[slot]; slot++)
		if (drain_ring(l, l->ring[slot]) == 0)
			break;
	(void)sink_flush(&l->access);
	complain(l, &l->access, "access log");
	complain(l, &l->error, "error log");
}

static void
on_timer(struct timer *t)
{
	struct logger *l = container_of(t, struct logger, timer);

	drain_all(l);
	timer_set(loop_timers(l->loop), t, clock_ms() + DRAIN_EVERY_MS);
}

static void
on_bell(struct watch *w, uint32_t events UNUSED)
{
	struct logger *l = container_of(w, struct logger, bell);
	uint64_t count;

	(void)!read(w->fd, &count, sizeof(count));
	drain_all(l);
}

static void
reopen(struct sink *s)
{
	if (sink_open(s) < 0)
		log_error("cannot open log %s again: %s; the one before stays in use", s->path,
		    strerror(errno));
}

static void
on_message(struct logger *l, struct msg *m)
{
	if (m->type == MSG_REOPEN && msg_end(m) == 1) {
		/* What was said before belongs into the old files. */
		drain_all(l);
		reopen(&l->error);
		reopen(&l->access);
		log_set_fd(l->error.fd);
		log_info("log files opened again");
	} else if (m->type == MSG_LEVEL) {
		uint32_t level = msg_u32(m);

		if (msg_end(m) == 1)
			log_set_level(level);
	} else {
		msg_drop(m);
	}
}

static void
on_chan(struct watch *w, uint32_t events UNUSED)
{
	struct logger *l = container_of(w, struct logger, chan);
	struct msg m;
	int got;

	while ((got = msg_recv(w->fd, &m)) == 1)
		on_message(l, &m);
	if (got < 0)
		loop_stop(l->loop);
}

static void
sinks_init(struct logger *l, const struct conf_settings *s)
{
	sink_init(&l->error, s->error_log.path);
	sink_init(&l->access, s->access_log.enabled ? s->access_log.path : STR(""));
}

static int
open_all(struct logger *l, const char **error_r)
{
	struct conf_settings s;
	struct ws ws;
	int decoded;

	ws_init(&ws, NULL, 0);
	decoded = boot_decode(str_n(l->h->boot, l->h->boot_len), &s, &ws);
	if (decoded == 1)
		sinks_init(l, &s);
	ws_free(&ws);
	if (decoded < 0) {
		*error_r = "the settings are not readable";
		return -1;
	}
	if (sink_open(&l->error) < 0 || sink_open(&l->access) < 0) {
		*error_r = strerror(errno);
		return -1;
	}
	log_set_fd(l->error.fd);
	if (region_attach(
		l->h->region_fd[REGION_ACCESS], REGION_ACCESS, 0, true, &l->rings, error_r) < 0)
		return -1;
	for (unsigned slot = 0; slot < SLOT_MAX; slot++)
		l->ring[slot] = ring_at(&l->rings, slot);
	return 1;
}

static int
start(struct logger *l, const char **error_r)
{
	if (open_all(l, error_r) < 0)
		return -1;
	l->loop = loop_new();
	/* It leaves last, when the master closes its channel. */
	(void)signal(SIGTERM, SIG_IGN);
	watch_init(&l->chan, on_chan);
	watch_init(&l->bell, on_bell);
	timer_init(&l->timer, on_timer);
	*error_r = "cannot watch the channels";
	if (loop_add(l->loop, &l->chan, l->h->chan, EPOLLIN) < 0 ||
	    loop_add(l->loop, &l->bell, l->h->event_fd, EPOLLIN) < 0)
		return -1;
	on_timer(&l->timer);
	return 1;
}

static int
tell(const struct logger *l, enum msg_type type, const char *error)
{
	struct msg m;

	msg_begin(&m, type, 0);
	if (error)
		msg_put_str(&m, str_of(error));
	return msg_send(l->h->chan, &m) == 1 ? 0 : 1;
}

int
logger_main(const struct heritage *h)
{
	struct logger *l = xcalloc(1, sizeof(*l));
	const char *error = "";

	l->h = h;
	if (start(l, &error) < 0) {
		(void)tell(l, MSG_FAILED, error);
		return 1;
	}
	(void)beat_start(l->loop, h);
	if (tell(l, MSG_READY, NULL) != 0)
		return 1;
	loop_run(l->loop);
	/* Everybody else has gone: what they left behind is the end of it. */
	clock_tick();
	drain_all(l);
	return 0;
}
