/* SPDX-License-Identifier: Apache-2.0
 *
 * See secrets.h. Two states: what is in force, and what a transaction asked for until its end is
 * heard. Files are looked at for what is in force; while a transaction is open nothing is said of
 * them, and what happened is looked at after it.
 */
#include "master/watcher/secrets/secrets.h"

#include <sys/prctl.h>
#include <unistd.h>

#include "conf/check.h"
#include "conf/sealed.h"
#include "master/watcher/secrets/seal.h"
#include "master/watcher/secrets/watch.h"
#include "master/watcher/watcher.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/rnd.h"

/* A pair is replaced file by file, and a file octet by octet: what is no good may be so only for
 * now. */
#define RETRY_MS    1000
#define RETRY_TIMES 30

struct state {
	int objects;           /* sealed change set; -1: none */
	struct bundle *bundle; /* NULL: none */
	struct digest facts;   /* that were told */
};

static struct secrets {
	struct watcher w;
	struct secrets_watch *watch;
	struct state now, next;
	uint32_t txn; /* whose end is waited for; 0 none */
	struct watch_list *next_list;
	bool due; /* something changed while it was open */
	struct timer retry;
	unsigned tries;
} secrets;

static void
state_drop(struct state *s)
{
	if (s->objects >= 0)
		(void)close(s->objects);
	bundle_unref(&s->bundle);
	*s = (struct state){.objects = -1};
}

/* --- sealing ---------------------------------------------------------------------------------- */

static struct digest
digest_fd(int fd)
{
	struct digest d = {{0}};
	const char *ignored;
	struct str map;

	if (sealed_map(fd, BUNDLE_MAX, &map, &ignored) < 0)
		return d;
	d = digest_of(map);
	sealed_unmap(&map);
	return d;
}

/* out: NULL where it failed, or nothing differs. */
static void
tell(
    struct secrets *s, uint32_t txn, bool ok, const struct seal_out *out, struct conf_check *report)
{
	int fd = check_fd(report);

	msg_begin(&s->w.msg, MSG_SEALED, txn);
	msg_put_u32(&s->w.msg, ok);
	msg_put_fd(&s->w.msg, fd);
	if (out != NULL) {
		msg_put_fd(&s->w.msg, out->bundle);
		msg_put_fd(&s->w.msg, out->facts);
	}
	watcher_send(&s->w);
	if (fd >= 0)
		(void)close(fd);
}

/* What it came to becomes `to`'s; says whether it differs from what is in force. */
static bool
take(struct secrets *s, const struct seal_out *out, struct state *to)
{
	struct digest facts = digest_fd(out->facts);
	bool differs = !out->same || !digest_eq(&facts, &s->now.facts);
	const char *error = NULL;
	struct bundle *b = bundle_open(out->bundle, &error);

	if (b == NULL)
		log_error("secrets: the bundle just made: %s", error);
	bundle_unref(&to->bundle);
	to->bundle = b;
	to->facts = facts;
	return differs;
}

static int
make(
    struct secrets *s, int objects, bool lenient, struct seal_out *out_r, struct conf_check *report)
{
	struct seal_in in = {.objects = objects,
	    .kept = s->now.bundle,
	    .lenient = lenient,
	    .now = (int64_t)(clock_wall_us() / 1000000),
	    .beat = s->w.beat};

	return seal_make(&in, out_r, report);
}

static void
out_close(const struct seal_out *out)
{
	(void)close(out->bundle);
	(void)close(out->facts);
}

/* --- files changed ---------------------------------------------------------------------------- */

static void
retry_later(struct secrets *s, uint64_t took_ms)
{
	if (s->tries++ < RETRY_TIMES)
		timer_set(loop_timers(s->w.loop), &s->retry,
		    clock_ms() + MAX((uint64_t)RETRY_MS, 4 * took_ms));
}

static void
look_again(struct secrets *s)
{
	uint64_t began = clock_precise_ns();
	struct conf_check report;
	struct seal_out out;

	timer_stop(&s->retry);
	if (s->txn != 0) {
		s->due = true;
		return;
	}
	s->due = false;
	check_init(&report);
	if (make(s, s->now.objects, true, &out, &report) < 0) {
		log_error("secrets: %.*s", (int)MIN(report.text.n, (size_t)400), report.text.p);
		retry_later(s, (clock_precise_ns() - began) / 1000000);
	} else {
		/* Not every file has facts: that it is bad would be heard of nowhere. */
		if (take(s, &out, &s->now))
			tell(s, 0, true, &out, &report);
		else if (out.kept > 0 && s->tries == 0)
			log_warn("certificates: %.*s", (int)MIN(report.text.n, (size_t)400),
			    report.text.p);
		if (out.kept > 0)
			retry_later(s, (clock_precise_ns() - began) / 1000000);
		out_close(&out);
	}
	check_free(&report);
}

static void
files_changed(void *arg)
{
	struct secrets *s = arg;

	s->tries = 0;
	look_again(s);
}

static void
retry(struct timer *t)
{
	look_again(container_of(t, struct secrets, retry));
}

/* --- messages --------------------------------------------------------------------------------- */

/* In force already: of a predecessor's time. */
static void
adopt(struct secrets *s, int objects)
{
	struct watch_list *l = watch_list_new(objects);

	if (s->now.objects >= 0)
		(void)close(s->now.objects);
	s->now.objects = objects;
	secrets_watch_use(s->watch, &l);
	s->tries = 0;
	look_again(s);
}

static void
forget_next(struct secrets *s)
{
	state_drop(&s->next);
	watch_list_free(&s->next_list);
	s->txn = 0;
}

static void
prepare(struct secrets *s, uint32_t txn, int objects)
{
	struct conf_check report;
	struct seal_out out;
	bool differs;

	forget_next(s);
	s->next.objects = objects;
	s->next_list = watch_list_new(objects);
	check_init(&report);
	if (make(s, objects, false, &out, &report) < 0) {
		tell(s, txn, false, NULL, &report);
		forget_next(s);
	} else {
		s->txn = txn;
		differs = take(s, &out, &s->next);
		tell(s, txn, true, differs ? &out : NULL, &report);
		out_close(&out);
	}
	check_free(&report);
}

static int
on_seal(struct secrets *s, struct msg *m)
{
	uint32_t txn = m->id;
	int objects = msg_fd(m);

	if (msg_end(m) < 0) {
		if (objects >= 0)
			(void)close(objects);
		return -1;
	}
	if (txn == 0)
		adopt(s, objects);
	else
		prepare(s, txn, objects);
	/* What was done in between took long: a failed transaction must not hide a change. */
	if (s->txn == 0 && s->due)
		look_again(s);
	return 1;
}

static int
on_end(struct secrets *s, struct msg *m)
{
	uint32_t txn = m->id;
	bool ok = msg_u32(m) != 0;

	if (msg_end(m) < 0)
		return -1;
	if (txn == 0 || txn != s->txn)
		return 1;
	if (ok) {
		state_drop(&s->now);
		s->now = s->next;
		s->next = (struct state){.objects = -1};
		secrets_watch_use(s->watch, &s->next_list);
	}
	forget_next(s);
	if (s->due)
		look_again(s);
	return 1;
}

static int
on_message(struct watcher *w, struct msg *m)
{
	struct secrets *s = container_of(w, struct secrets, w);

	if (m->type == MSG_SEAL)
		return on_seal(s, m);
	return m->type == MSG_SEAL_END ? on_end(s, m) : 0;
}

/* --- start ------------------------------------------------------------------------------------ */

static void
predecessors(struct secrets *s, const struct heritage *h)
{
	const char *error = NULL;

	if (h->facts_fd >= 0) {
		s->now.facts = digest_fd(h->facts_fd);
		(void)close(h->facts_fd);
	}
	if (h->secrets_fd < 0)
		return;
	s->now.bundle = bundle_open(h->secrets_fd, &error);
	if (s->now.bundle == NULL)
		log_error("secrets: the bundle in force: %s", error);
	(void)close(h->secrets_fd);
}

int
secrets_main(const struct heritage *h)
{
	struct secrets *s = &secrets;
	const char *error = "";

#ifndef __SANITIZE_ADDRESS__ /* whose search for leaks needs it */
	(void)prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
#endif
	rnd_init();
	s->now.objects = s->next.objects = -1;
	if (watcher_start(&s->w, h, on_message, &error) < 0)
		return watcher_fail(h, error);
	timer_init(&s->retry, retry);
	s->watch = secrets_watch_new(s->w.loop, files_changed, s);
	predecessors(s, h);
	return watcher_run(&s->w);
}
