/* SPDX-License-Identifier: Apache-2.0
 *
 * See reload.h. Every event says in which step it is expected; at any other time it belongs to a
 * run that is over, and is dropped.
 */
#include "master/reload.h"

#include <sys/mman.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

/* A keeper has looked through its journal by then; until it has, sockets stay that may be needed.
 */
#define SETTLE_MS  10000
#define REPORT_MAX (256 * 1024) /* of one report; the rest is cut */
#define REASON_MAX 4000         /* of a report, as an abort's reason */

struct reload {
	enum reload_step step;
	struct timers *timers;
	struct timer timer;
	struct timer settle;
	const struct reload_ops *ops;
	void *arg;
	uint64_t run;
	bool again;       /* one more run when this one is over */
	bool retried;     /* this run began anew already */
	bool in_doubt;    /* COMMIT was sent, and its fate is not known */
	uint32_t cookie;  /* of the document this run is about; 0: the files */
	bool unsettled;   /* a document's COMMIT was sent, and that keeper died */
	uint32_t waiting; /* cookie of the document whose run comes next; 0: none */
	uint32_t txn;
	int changeset;
	struct gbuf report;
	struct listen_want want[LISTEN_MAX]; /* as PREPARE said, until they are bound */
	unsigned n_want;
	enum reload_seal seal, unsettled_seal;
	unsigned acks[SLOT_MAX];
	uint64_t generation;
	uint32_t changed;
};

static const char *const step_names[RELOAD_STEP_COUNT] = {
    [RELOAD_IDLE] = "idle",
    [RELOAD_LOADING] = "reading the files",
    [RELOAD_HELD] = "waiting for the keeper to come up",
    [RELOAD_APPLYING] = "checking and compiling",
    [RELOAD_SEALING] = "reading certificates and keys",
    [RELOAD_OFFERING] = "handing sockets and certificates to the workers",
    [RELOAD_COMMITTING] = "committing",
    [RELOAD_SWITCHING] = "switching the workers over",
};

static void run_next(struct reload *r);

static void
step_set(struct reload *r, enum reload_step step)
{
	log_debug("reload: %s", step_names[step]);
	r->step = step;
	if (step == RELOAD_IDLE)
		timer_stop(&r->timer);
	else
		timer_set(r->timers, &r->timer, clock_ms() + r->ops->patience(r->arg, step));
}

static void
fd_drop(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* A report is text of another process of ours: copied, cut, never believed. */
static void
report_add(struct reload *r, int fd)
{
	char part[4096];
	off_t at = 0;
	ssize_t n;

	while (fd >= 0 && at < REPORT_MAX && (n = pread(fd, part, sizeof(part), at)) > 0) {
		gbuf_put(&r->report, part, (size_t)n);
		at += n;
	}
	fd_drop(&fd);
}

static void
run_end(struct reload *r, bool ok)
{
	struct reload_outcome o = {.ok = ok,
	    .run = r->run,
	    .generation = r->generation,
	    .changed = ok ? r->changed : 0,
	    .report = str_n(r->report.p, r->report.n),
	    .in_doubt = !ok && r->in_doubt,
	    .submitted = r->cookie != 0};

	step_set(r, RELOAD_IDLE);
	fd_drop(&r->changeset);
	r->ops->finish(r->arg, &o);
	gbuf_free(&r->report);
	run_next(r);
}

static void
run_abort(struct reload *r, const char *reason)
{
	if (r->step >= RELOAD_APPLYING && r->step <= RELOAD_OFFERING)
		r->ops->abort(r->arg, r->txn, reason);
	run_end(r, false);
}

/* Words of the master's own come first: they are the cause, what the report has may be mere
 * warnings. */
static void
run_fail(struct reload *r, const char *why)
{
	struct gbuf text = {0};

	gbuf_printf(&text, "%s\n", why);
	gbuf_put(&text, r->report.p, r->report.n);
	gbuf_free(&r->report);
	r->report = text;
	run_abort(r, why);
}

/* The report is all there is to say: whose document it was is told the beginning of it. */
static void
run_refuse(struct reload *r)
{
	char reason[REASON_MAX];
	size_t n = MIN(r->report.n, sizeof(reason) - 1);

	while (n > 0 && r->report.p[n - 1] == '\n')
		n--;
	snprintf(reason, sizeof(reason), "%.*s", (int)n, n > 0 ? r->report.p : "");
	run_abort(r, reason);
}

static void
load_begin(struct reload *r)
{
	const char *error = "";

	gbuf_free(&r->report);
	fd_drop(&r->changeset);
	r->changed = 0;
	r->seal = RELOAD_SEAL_SAME;
	step_set(r, RELOAD_LOADING);
	if (r->ops->load(r->arg, &error) < 0)
		run_fail(r, error);
}

static void
run_clear(struct reload *r)
{
	gbuf_free(&r->report);
	r->retried = r->in_doubt = false;
	r->changed = 0;
	r->seal = RELOAD_SEAL_SAME;
}

static void
run_begin(struct reload *r)
{
	r->run++;
	r->again = false;
	r->cookie = 0;
	run_clear(r);
	load_begin(r);
}

static void
apply_begin(struct reload *r)
{
	r->txn++;
	step_set(r, RELOAD_APPLYING);
	if (r->ops->apply(r->arg, r->txn, r->cookie, r->changeset) < 0)
		run_fail(r, "the keeper does not take the change set");
	else
		fd_drop(&r->changeset);
}

static void
submit_begin(struct reload *r)
{
	r->cookie = r->waiting;
	r->waiting = 0;
	run_clear(r);
	apply_begin(r);
}

/* The document first: while it waits the keeper takes no other, so that the files' turn comes. */
static void
run_next(struct reload *r)
{
	if (r->step != RELOAD_IDLE)
		return;
	if (r->waiting != 0)
		submit_begin(r);
	else if (r->again)
		run_begin(r);
}

void
reload_want(struct reload *r)
{
	r->again = true;
	run_next(r);
}

void
reload_submit(struct reload *r, uint32_t cookie)
{
	BUG_ON(cookie == 0);
	r->waiting = cookie;
	run_next(r);
}

uint64_t
reload_next(const struct reload *r)
{
	return r->run + 1;
}

void
reload_loaded(struct reload *r, bool ok, struct str boot, int report, int changeset)
{
	const char *error = "";
	int staged;

	if (r->step != RELOAD_LOADING) {
		fd_drop(&report);
		fd_drop(&changeset);
		return;
	}
	report_add(r, report);
	r->changeset = changeset;
	if (!ok) {
		run_end(r, false);
		return;
	}
	/* Held before it is asked: staging may take what the keeper's patience is. */
	step_set(r, RELOAD_HELD);
	staged = r->ops->stage(r->arg, boot, &error);
	if (staged < 0)
		run_fail(r, error);
	else if (staged > 0)
		apply_begin(r);
}

/* A keeper that came up and submits nothing found the document in the map: it was committed. */
static void
settle(struct timer *t)
{
	struct reload *r = container_of(t, struct reload, settle);
	struct reload_outcome o = {.ok = true, .run = r->run, .submitted = true};

	if (!r->unsettled)
		return;
	if (r->step != RELOAD_IDLE) {
		timer_set(r->timers, t, clock_ms() + SETTLE_MS);
		return;
	}
	r->unsettled = false;
	r->ops->adopt(r->arg, r->unsettled_seal, 0);
	r->ops->ring(r->arg, 0);
	r->ops->finish(r->arg, &o);
}

void
reload_go(struct reload *r)
{
	if (r->step == RELOAD_HELD)
		apply_begin(r);
	else if (r->unsettled)
		timer_set(r->timers, &r->settle, clock_ms() + SETTLE_MS);
}

void
reload_loader_gone(struct reload *r, const char *how)
{
	char why[160];

	if (r->step != RELOAD_LOADING)
		return;
	snprintf(why, sizeof(why), "the loader %s before it had read the configuration", how);
	run_fail(r, why);
}

static bool
acks_missing(const struct reload *r)
{
	for (unsigned i = 0; i < SLOT_MAX; i++)
		if (r->acks[i] > 0)
			return true;
	return false;
}

static void
commit_when_acked(struct reload *r)
{
	if (acks_missing(r))
		return;
	if (r->ops->commit(r->arg, r->txn) < 0) {
		run_fail(r, "the keeper does not take the commit");
		return;
	}
	r->in_doubt = true;
	step_set(r, RELOAD_COMMITTING);
}

static void
offer_begin(struct reload *r)
{
	const char *error = "";

	if (r->ops->bind(r->arg, r->want, r->n_want, &error) < 0) {
		run_fail(r, error);
		return;
	}
	r->unsettled = false;
	memset(r->acks, 0, sizeof(r->acks));
	step_set(r, RELOAD_OFFERING);
	r->ops->offer(r->arg, r->txn, r->acks);
	commit_when_acked(r);
}

/* All listeners there are to be; so too all objects with certificates, but a document that touches
 * none of those has none with it. */
void
reload_prepare(struct reload *r, uint32_t txn, const struct listen_want *v, unsigned n, int objects)
{
	BUG_ON(n > LISTEN_MAX);
	if (r->step != RELOAD_APPLYING || txn != r->txn) {
		fd_drop(&objects);
		return;
	}
	if (n > 0)
		memcpy(r->want, v, n * sizeof(*v));
	r->n_want = n;
	if (objects < 0) {
		r->seal = r->cookie == 0 ? RELOAD_SEAL_NONE : RELOAD_SEAL_SAME;
		offer_begin(r);
		return;
	}
	r->seal = RELOAD_SEAL_NEXT;
	step_set(r, RELOAD_SEALING);
	r->ops->seal(r->arg, txn, objects);
}

void
reload_sealed(struct reload *r, uint32_t txn, bool ok, int report)
{
	if (r->step != RELOAD_SEALING || txn != r->txn) {
		fd_drop(&report);
		return;
	}
	report_add(r, report);
	if (ok)
		offer_begin(r);
	else
		run_refuse(r);
}

void
reload_seal_failed(struct reload *r, const char *why)
{
	if (r->step == RELOAD_SEALING)
		run_fail(r, why);
}

void
reload_acked(struct reload *r, unsigned slot, uint32_t txn, bool ok, const char *error)
{
	char why[320];

	if (r->step != RELOAD_OFFERING || txn != r->txn || slot >= SLOT_MAX || r->acks[slot] == 0)
		return;
	if (!ok) {
		snprintf(why, sizeof(why), "worker %u does not take what it is to serve: %s", slot,
		    error);
		run_fail(r, why);
		return;
	}
	r->acks[slot]--;
	commit_when_acked(r);
}

void
reload_worker_gone(struct reload *r, unsigned slot)
{
	if (r->step == RELOAD_OFFERING && slot < SLOT_MAX && r->acks[slot] > 0) {
		r->acks[slot] = 0;
		commit_when_acked(r);
	}
	reload_switched(r);
}

void
reload_switched(struct reload *r)
{
	if (r->step == RELOAD_SWITCHING && !r->ops->behind(r->arg, r->generation))
		run_end(r, true);
}

static void
unseal(struct reload *r)
{
	if (r->seal == RELOAD_SEAL_NEXT)
		r->ops->unseal(r->arg, r->txn);
	r->seal = RELOAD_SEAL_SAME;
}

void
reload_applied(
    struct reload *r, uint32_t txn, bool ok, uint64_t generation, uint32_t changed, int report)
{
	/* A change set that changes nothing may be answered without PREPARE. */
	if ((r->step != RELOAD_COMMITTING && r->step != RELOAD_APPLYING) || txn != r->txn) {
		fd_drop(&report);
		return;
	}
	report_add(r, report);
	r->in_doubt = false;
	if (!ok) {
		unseal(r);
		run_end(r, false);
		return;
	}
	r->generation = generation;
	r->changed = changed;
	r->unsettled = false;
	step_set(r, RELOAD_SWITCHING);
	r->ops->adopt(r->arg, r->seal, changed);
	r->ops->ring(r->arg, generation);
	reload_switched(r);
}

void
reload_keeper_gone(struct reload *r)
{
	r->waiting = 0;
	timer_stop(&r->settle);
	if (r->step < RELOAD_APPLYING || r->step > RELOAD_COMMITTING)
		return;
	if (r->cookie != 0) {
		/* The next keeper finds it in its journal, and submits it again if it has to. */
		r->unsettled = r->in_doubt;
		r->unsettled_seal = r->seal;
		run_fail(r, "the keeper died over this change; its successor takes it up again");
		return;
	}
	if (r->step < RELOAD_COMMITTING)
		unseal(r);
	if (r->retried) {
		/* Nobody is there to be told of an abort. */
		r->step = RELOAD_HELD;
		run_fail(r, "the keeper died twice over this configuration");
		return;
	}
	log_warn("reload: the keeper died while %s: beginning anew", step_names[r->step]);
	r->retried = true;
	load_begin(r);
}

static void
patience_over(struct timer *t)
{
	struct reload *r = container_of(t, struct reload, timer);
	char why[160];

	if (r->step == RELOAD_SWITCHING) {
		/* It is committed; whoever is late gets there by the generation word or is
		 * replaced. */
		log_warn("reload: not every worker reports generation %llu yet",
		    (unsigned long long)r->generation);
		run_end(r, true);
		return;
	}
	snprintf(why, sizeof(why), "given up after %llu ms of %s",
	    (unsigned long long)r->ops->patience(r->arg, r->step), step_names[r->step]);
	if (r->step == RELOAD_LOADING)
		r->ops->load_stop(r->arg);
	run_fail(r, why);
}

void
reload_cancel(struct reload *r)
{
	r->again = false;
	r->unsettled = false;
	r->waiting = 0;
	if (r->step == RELOAD_LOADING)
		r->ops->load_stop(r->arg);
	step_set(r, RELOAD_IDLE);
	fd_drop(&r->changeset);
}

enum reload_step
reload_step(const struct reload *r)
{
	return r->step;
}

bool
reload_pledged(const struct reload *r)
{
	return r->seal == RELOAD_SEAL_NEXT &&
	       (r->step == RELOAD_OFFERING || r->step == RELOAD_COMMITTING);
}

struct reload *
reload_new(struct timers *timers, const struct reload_ops *ops, void *arg)
{
	struct reload *r = xcalloc(1, sizeof(*r));

	r->timers = timers;
	r->ops = ops;
	r->arg = arg;
	r->changeset = -1;
	timer_init(&r->timer, patience_over);
	timer_init(&r->settle, settle);
	return r;
}

void
reload_free(struct reload **rp)
{
	struct reload *r = *rp;

	*rp = NULL;
	if (!r)
		return;
	timer_stop(&r->timer);
	timer_stop(&r->settle);
	fd_drop(&r->changeset);
	gbuf_free(&r->report);
	free(r);
}
