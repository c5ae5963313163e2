/* SPDX-License-Identifier: Apache-2.0
 *
 * The reload machine against scripted processes and a fake clock., C-4: what is
 * switched over, in which order, and that a failure at any step leaves everything as it was.
 */
#include "test/unit/harness.h"

#include <sys/mman.h>

#include "master/reload.h"

#define assert_has(text, part) assert_non_null(strstr(text, part))

/* Writes down what the machine asks for, and answers as told. */
struct script {
	struct timers *timers;
	struct reload *r;
	char log[512];
	int load, stage, apply, bind, commit;
	unsigned acks[SLOT_MAX];
	bool behind;
	uint32_t txn, cookie;
	enum reload_seal adopted;
	uint32_t unsealed;
	unsigned finished;
	struct reload_outcome last;
	char report[512];
};

static void
note(struct script *s, const char *word)
{
	size_t n = strlen(s->log);

	snprintf(s->log + n, sizeof(s->log) - n, "%s%s", n ? " " : "", word);
}

static int
op_load(void *arg, const char **error_r)
{
	struct script *s = arg;

	note(s, "load");
	*error_r = "no process";
	return s->load;
}

static void
op_load_stop(void *arg)
{
	note(arg, "stop");
}

static int
op_stage(void *arg, struct str boot, const char **error_r)
{
	struct script *s = arg;

	(void)boot;
	note(s, "stage");
	*error_r = "bad settings";
	return s->stage;
}

static int
op_apply(void *arg, uint32_t txn, uint32_t cookie, int changeset)
{
	struct script *s = arg;

	s->txn = txn;
	s->cookie = cookie;
	/* Either the files' change set or the name of a document. */
	assert_int_equal(cookie == 0, changeset >= 0);
	note(s, cookie ? "submitted" : "apply");
	return s->apply;
}

static int
op_bind(void *arg, const struct listen_want *v, unsigned n, const char **error_r)
{
	struct script *s = arg;

	(void)v;
	(void)n;
	note(s, "bind");
	*error_r = "cannot bind 0.0.0.0:80";
	return s->bind;
}

static void
op_offer(void *arg, uint32_t txn, unsigned acks_r[SLOT_MAX])
{
	struct script *s = arg;

	(void)txn;
	note(s, "offer");
	memcpy(acks_r, s->acks, sizeof(s->acks));
}

static int
op_commit(void *arg, uint32_t txn)
{
	struct script *s = arg;

	(void)txn;
	note(s, "commit");
	return s->commit;
}

static void
op_abort(void *arg, uint32_t txn, const char *reason)
{
	(void)txn;
	(void)reason;
	note(arg, "abort");
}

static void
op_seal(void *arg, uint32_t txn, int objects)
{
	struct script *s = arg;

	assert_int_equal(txn, s->txn);
	note(s, "seal");
	(void)close(objects);
}

static void
op_adopt(void *arg, enum reload_seal what, uint32_t changed)
{
	struct script *s = arg;

	(void)changed;
	s->adopted = what;
	if (what == RELOAD_SEAL_NEXT)
		note(s, "adopt");
}

static void
op_unseal(void *arg, uint32_t txn)
{
	struct script *s = arg;

	s->unsealed = txn;
	note(s, "unseal");
}

static void
op_ring(void *arg, uint64_t generation)
{
	(void)generation;
	note(arg, "ring");
}

static bool
op_behind(void *arg, uint64_t generation)
{
	struct script *s = arg;

	(void)generation;
	return s->behind;
}

static void
op_finish(void *arg, const struct reload_outcome *o)
{
	struct script *s = arg;

	note(s, o->ok ? "good" : o->in_doubt ? "doubt" : "bad");
	s->finished++;
	s->last = *o;
	snprintf(s->report, sizeof(s->report), "%.*s", STR_ARG(o->report));
}

static uint64_t
op_patience(void *arg, enum reload_step step)
{
	(void)arg;
	return 1000 * (uint64_t)step;
}

static const struct reload_ops ops = {op_load, op_load_stop, op_stage, op_apply, op_bind, op_seal,
    op_offer, op_commit, op_abort, op_adopt, op_unseal, op_ring, op_behind, op_finish, op_patience};

static int
set_up(void **state)
{
	struct script *s = calloc(1, sizeof(*s));

	fake_clock_at(0);
	s->timers = timers_new(clock_ms());
	s->load = s->stage = s->apply = s->bind = s->commit = 1;
	s->r = reload_new(s->timers, &ops, s);
	*state = s;
	return 0;
}

static int
tear_down(void **state)
{
	struct script *s = *state;

	reload_free(&s->r);
	assert_null(s->r);
	timers_free(&s->timers);
	free(s);
	fake_clock_stop();
	return 0;
}

static int
text_fd(const char *text)
{
	int fd = memfd_create("report", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static void
loaded(struct script *s)
{
	reload_loaded(s->r, true, STR("boot"), -1, text_fd("objects"));
}

static void
wait_ms(struct script *s, uint64_t ms)
{
	fake_clock_advance(ms);
	timers_run(s->timers, clock_ms());
}

static const struct listen_want web = {.number = 1, .id = "web"};

static void
all_is_well(void **state)
{
	struct script *s = *state;

	s->acks[0] = 1;
	s->acks[2] = 2;
	s->behind = true;
	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	assert_int_equal(reload_step(s->r), RELOAD_OFFERING);
	reload_acked(s->r, 2, s->txn, true, "");
	reload_acked(s->r, 0, s->txn, true, "");
	assert_int_equal(reload_step(s->r), RELOAD_OFFERING);
	reload_acked(s->r, 2, s->txn, true, "");
	assert_int_equal(reload_step(s->r), RELOAD_COMMITTING);
	reload_applied(s->r, s->txn, true, 7, 3, text_fd("web.conf:3: warning: old\n"));
	assert_int_equal(reload_step(s->r), RELOAD_SWITCHING);
	s->behind = false;
	reload_switched(s->r);
	assert_string_equal(s->log, "load stage apply bind offer commit ring good");
	assert_int_equal(s->last.generation, 7);
	assert_int_equal(s->last.changed, 3);
	assert_string_equal(s->report, "web.conf:3: warning: old\n");
}

static void
no_worker_needs_no_acknowledgement(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_applied(s->r, s->txn, true, 1, 1, -1);
	assert_string_equal(s->log, "load stage apply bind offer commit ring good");
}

static void
bad_files_change_nothing(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	reload_loaded(s->r, false, STR_NONE, text_fd("a.conf:1: x: wrong\n"), text_fd(""));
	assert_string_equal(s->log, "load bad");
	assert_string_equal(s->report, "a.conf:1: x: wrong\n");
	assert_int_equal(reload_step(s->r), RELOAD_IDLE);
}

static void
a_loader_that_dies_is_a_failed_reload(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	reload_loader_gone(s->r, "was killed by signal 11");
	assert_string_equal(s->log, "load bad");
	assert_has(s->report, "killed by signal 11");
	/* That it leaves after its verdict is nothing. */
	reload_want(s->r);
	loaded(s);
	reload_loader_gone(s->r, "exited with 0");
	assert_int_equal(reload_step(s->r), RELOAD_APPLYING);
}

static void
keeper_refuses(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	loaded(s);
	reload_applied(s->r, s->txn, false, 0, 0, text_fd("routes[a]: no such service\n"));
	assert_string_equal(s->log, "load stage apply bad");
	assert_string_equal(s->report, "routes[a]: no such service\n");
	assert_false(s->last.in_doubt);
}

static void
a_taken_port_aborts(void **state)
{
	struct script *s = *state;

	s->bind = -1;
	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	assert_string_equal(s->log, "load stage apply bind abort bad");
	assert_string_equal(s->report, "cannot bind 0.0.0.0:80\n");
}

static void
a_refusing_worker_aborts(void **state)
{
	struct script *s = *state;

	s->acks[1] = 1;
	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_acked(s->r, 1, s->txn, false, "no room");
	assert_string_equal(s->log, "load stage apply bind offer abort bad");
	assert_string_equal(s->report, "worker 1 does not take what it is to serve: no room\n");
}

static void
a_dead_worker_is_not_waited_for(void **state)
{
	struct script *s = *state;

	s->acks[0] = s->acks[1] = 1;
	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_acked(s->r, 0, s->txn, true, "");
	reload_worker_gone(s->r, 1);
	assert_int_equal(reload_step(s->r), RELOAD_COMMITTING);
	s->behind = true;
	reload_applied(s->r, s->txn, true, 2, 1, -1);
	assert_int_equal(reload_step(s->r), RELOAD_SWITCHING);
	s->behind = false;
	reload_worker_gone(s->r, 0);
	assert_int_equal(s->finished, 1);
}

static void
every_step_has_an_end(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	wait_ms(s, 1000 * RELOAD_LOADING + 1);
	assert_string_equal(s->log, "load stop bad");
	assert_has(s->report, "reading the files");

	s->log[0] = '\0';
	s->stage = 0;
	reload_want(s->r);
	loaded(s);
	wait_ms(s, 1000 * RELOAD_HELD + 1);
	assert_string_equal(s->log, "load stage bad");

	s->log[0] = '\0';
	s->stage = 1;
	reload_want(s->r);
	loaded(s);
	wait_ms(s, 1000 * RELOAD_APPLYING + 1);
	assert_string_equal(s->log, "load stage apply abort bad");

	s->log[0] = '\0';
	s->acks[0] = 1;
	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	wait_ms(s, 1000 * RELOAD_OFFERING + 1);
	assert_string_equal(s->log, "load stage apply bind offer abort bad");
	assert_int_equal(reload_step(s->r), RELOAD_IDLE);
}

/* Once COMMIT is out, time-out is not failure: nobody knows. And once it is done, a late worker
 * undoes nothing. */
static void
after_commit_time_out_is_doubt(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	wait_ms(s, 1000 * RELOAD_COMMITTING + 1);
	assert_string_equal(s->log, "load stage apply bind offer commit doubt");

	s->log[0] = '\0';
	s->behind = true;
	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_applied(s->r, s->txn, true, 9, 1, -1);
	wait_ms(s, 1000 * RELOAD_SWITCHING + 1);
	assert_string_equal(s->log, "load stage apply bind offer commit ring good");
}

static void
keeper_comes_up_late(void **state)
{
	struct script *s = *state;

	s->stage = 0;
	reload_want(s->r);
	loaded(s);
	assert_string_equal(s->log, "load stage");
	reload_go(s->r);
	assert_string_equal(s->log, "load stage apply");
	reload_go(s->r); /* twice is once */
	assert_string_equal(s->log, "load stage apply");
}

static void
keeper_dies_once_and_the_run_begins_anew(void **state)
{
	struct script *s = *state;
	uint64_t run = reload_next(s->r);

	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	assert_int_equal(reload_step(s->r), RELOAD_COMMITTING);
	reload_keeper_gone(s->r);
	s->stage = 0;
	loaded(s);
	reload_go(s->r);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_applied(s->r, s->txn, true, 5, 0, -1);
	assert_string_equal(s->log,
	    "load stage apply bind offer commit load stage apply bind offer commit ring good");
	assert_int_equal(s->last.run, run);
	assert_int_equal(s->finished, 1);
}

static void
keeper_dies_twice(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	loaded(s);
	reload_keeper_gone(s->r);
	loaded(s);
	reload_keeper_gone(s->r);
	assert_string_equal(s->log, "load stage apply load stage apply bad");
	assert_has(s->report, "died twice");
}

static void
keeper_dying_while_files_are_read_is_nothing(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	reload_keeper_gone(s->r);
	assert_int_equal(reload_step(s->r), RELOAD_LOADING);
	assert_string_equal(s->log, "load");
}

/* wishes that come while one run goes on are one more run, whose outcome answers all of
 * them. */
static void
wishes_coalesce(void **state)
{
	struct script *s = *state;
	uint64_t first = reload_next(s->r), second;

	reload_want(s->r);
	second = reload_next(s->r);
	assert_int_equal(second, first + 1);
	reload_want(s->r);
	reload_want(s->r);
	assert_int_equal(reload_next(s->r), second);
	reload_loaded(s->r, false, STR_NONE, -1, -1);
	assert_int_equal(s->last.run, first);
	assert_int_equal(reload_step(s->r), RELOAD_LOADING);
	reload_loaded(s->r, false, STR_NONE, -1, -1);
	assert_int_equal(s->last.run, second);
	assert_int_equal(reload_step(s->r), RELOAD_IDLE);
	assert_string_equal(s->log, "load bad load bad");
}

static void
what_belongs_to_another_run_is_dropped(void **state)
{
	struct script *s = *state;

	s->acks[0] = 1;
	reload_prepare(s->r, 0, &web, 1, -1);
	reload_applied(s->r, 0, true, 1, 1, text_fd("x"));
	reload_acked(s->r, 0, 0, true, "");
	reload_loaded(s->r, true, STR("boot"), text_fd("x"), text_fd("y"));
	assert_string_equal(s->log, "");
	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn + 1, &web, 1, -1);
	assert_int_equal(reload_step(s->r), RELOAD_APPLYING);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_acked(s->r, 0, s->txn + 1, true, "");
	reload_acked(s->r, SLOT_MAX, s->txn, true, "");
	reload_acked(s->r, 3, s->txn, true, "");
	assert_int_equal(reload_step(s->r), RELOAD_OFFERING);
}

static void
operations_that_fail(void **state)
{
	struct script *s = *state;

	s->load = -1;
	reload_want(s->r);
	assert_string_equal(s->log, "load bad");
	assert_string_equal(s->report, "no process\n");
	s->load = 1;
	s->stage = -1;
	s->log[0] = '\0';
	reload_want(s->r);
	loaded(s);
	assert_string_equal(s->log, "load stage bad");
	s->stage = 1;
	s->apply = -1;
	s->log[0] = '\0';
	reload_want(s->r);
	loaded(s);
	assert_string_equal(s->log, "load stage apply abort bad");
	s->apply = 1;
	s->commit = -1;
	s->log[0] = '\0';
	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	assert_string_equal(s->log, "load stage apply bind offer commit abort bad");
	assert_false(s->last.in_doubt);
}

static void
a_set_that_changes_nothing_needs_no_prepare(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	loaded(s);
	reload_applied(s->r, s->txn, true, 4, 0, -1);
	assert_string_equal(s->log, "load stage apply ring good");
}

static void
cancelled_says_nothing(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	reload_want(s->r);
	reload_cancel(s->r);
	assert_string_equal(s->log, "load stop");
	assert_int_equal(reload_step(s->r), RELOAD_IDLE);
	wait_ms(s, 100000);
	assert_int_equal(s->finished, 0);
}

/* C-4, F-CFG-01: a document that changes listeners goes the way of a reload, without its files. */
static void
a_document_begins_at_apply(void **state)
{
	struct script *s = *state;
	uint64_t next = reload_next(s->r);

	s->acks[0] = 1;
	reload_submit(s->r, 41);
	assert_int_equal(s->cookie, 41);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_acked(s->r, 0, s->txn, true, "");
	reload_applied(s->r, s->txn, true, 8, 1, -1);
	assert_string_equal(s->log, "submitted bind offer commit ring good");
	assert_true(s->last.submitted);
	assert_int_equal(s->last.generation, 8);
	/* Who waits for the files to be read gets no answer by it. */
	assert_int_equal(reload_next(s->r), next);
	assert_true(s->last.run < next);
}

static void
a_refused_document_is_aborted(void **state)
{
	struct script *s = *state;

	s->bind = -1;
	reload_submit(s->r, 1);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	assert_string_equal(s->log, "submitted bind abort bad");
	assert_true(s->last.submitted);
	s->log[0] = '\0';
	s->bind = 1;
	s->acks[1] = 1;
	reload_submit(s->r, 2);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	wait_ms(s, 1000 * RELOAD_OFFERING + 1);
	assert_string_equal(s->log, "submitted bind offer abort bad");
	assert_int_equal(reload_step(s->r), RELOAD_IDLE);
}

static void
a_document_waits_for_the_run_under_way(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	reload_submit(s->r, 1);
	reload_submit(s->r, 2);
	reload_want(s->r);
	reload_loaded(s->r, false, STR_NONE, -1, -1);
	assert_false(s->last.submitted);
	assert_int_equal(s->cookie, 2);
	/* And the files' second run for the document. */
	assert_string_equal(s->log, "load bad submitted");
	reload_applied(s->r, s->txn, true, 3, 1, -1);
	assert_true(s->last.submitted);
	assert_string_equal(s->log, "load bad submitted ring good load");
	loaded(s);
	reload_applied(s->r, s->txn, true, 4, 1, -1);
	assert_false(s->last.submitted);
	assert_int_equal(s->cookie, 0);
	assert_int_equal(s->last.run, 2);
}

static void
keeper_dying_over_a_document_drops_it(void **state)
{
	struct script *s = *state;

	reload_submit(s->r, 5);
	reload_keeper_gone(s->r);
	assert_string_equal(s->log, "submitted abort bad");
	assert_true(s->last.submitted);
	reload_go(s->r);
	assert_string_equal(s->log, "submitted abort bad");
	/* One that waits is the dead keeper's too. */
	s->log[0] = '\0';
	reload_want(s->r);
	reload_submit(s->r, 6);
	reload_keeper_gone(s->r);
	reload_loaded(s->r, false, STR_NONE, -1, -1);
	assert_string_equal(s->log, "load bad");
	assert_int_equal(reload_step(s->r), RELOAD_IDLE);
}

/* After COMMIT the sockets of both lists stay, until the successor submits again or does not. */
static void
keeper_dying_over_the_commit_of_a_document(void **state)
{
	struct script *s = *state;

	reload_submit(s->r, 5);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_keeper_gone(s->r);
	assert_string_equal(s->log, "submitted bind offer commit doubt");
	reload_go(s->r);
	assert_string_equal(s->log, "submitted bind offer commit doubt");
	wait_ms(s, 10001);
	assert_string_equal(s->log, "submitted bind offer commit doubt ring good");
	assert_int_equal(s->last.generation, 0);

	s->log[0] = '\0';
	reload_submit(s->r, 6);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_keeper_gone(s->r);
	reload_go(s->r);
	reload_submit(s->r, 1);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_applied(s->r, s->txn, true, 9, 1, -1);
	wait_ms(s, 10001);
	assert_string_equal(
	    s->log, "submitted bind offer commit doubt submitted bind offer commit ring good");
}

static void
cancelled_documents_are_forgotten(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	reload_submit(s->r, 3);
	reload_cancel(s->r);
	wait_ms(s, 100000);
	assert_string_equal(s->log, "load stop");
	assert_int_equal(s->finished, 0);
}

/* --- certificates: S-SEC-4, R-7.1 ------------------------------------------------------------- */

/* To the step after PREPARE, with objects that name certificates. */
static void
sealing(struct script *s)
{
	s->log[0] = '\0';
	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, text_fd("certificates"));
}

static void
certificates_are_read_before_anything_is_offered(void **state)
{
	struct script *s = *state;

	s->acks[0] = 2;
	sealing(s);
	assert_int_equal(reload_step(s->r), RELOAD_SEALING);
	assert_string_equal(s->log, "load stage apply seal");
	assert_false(reload_pledged(s->r));
	reload_sealed(s->r, s->txn, true, text_fd("certificates[a]: warning: old\n"));
	assert_true(reload_pledged(s->r));
	reload_acked(s->r, 0, s->txn, true, "");
	assert_int_equal(reload_step(s->r), RELOAD_OFFERING);
	reload_acked(s->r, 0, s->txn, true, "");
	assert_int_equal(reload_step(s->r), RELOAD_COMMITTING);
	assert_true(reload_pledged(s->r));
	reload_applied(s->r, s->txn, true, 2, 1, text_fd("b\n"));
	assert_false(reload_pledged(s->r));
	assert_string_equal(s->log, "load stage apply seal bind offer commit adopt ring good");
	assert_string_equal(s->report, "certificates[a]: warning: old\nb\n");
}

static void
bad_certificates_change_nothing(void **state)
{
	struct script *s = *state;

	sealing(s);
	reload_sealed(s->r, s->txn, false, text_fd("a.conf:3: certificates[a].key: another's\n"));
	assert_string_equal(s->log, "load stage apply seal abort bad");
	assert_string_equal(s->report, "a.conf:3: certificates[a].key: another's\n");
	sealing(s);
	reload_seal_failed(s->r, "the secrets process died twice");
	assert_string_equal(s->log, "load stage apply seal abort bad");
	assert_has(s->report, "died twice");
	sealing(s);
	wait_ms(s, 1000 * RELOAD_SEALING + 1);
	assert_string_equal(s->log, "load stage apply seal abort bad");
	assert_has(s->report, "reading certificates");
	/* Too late, or of another. */
	reload_sealed(s->r, s->txn, true, text_fd("x"));
	reload_seal_failed(s->r, "x");
	assert_int_equal(reload_step(s->r), RELOAD_IDLE);
	sealing(s);
	reload_sealed(s->r, s->txn - 1, true, text_fd("x"));
	assert_int_equal(reload_step(s->r), RELOAD_SEALING);
}

static void
a_taken_port_after_sealing_aborts(void **state)
{
	struct script *s = *state;

	s->bind = -1;
	sealing(s);
	reload_sealed(s->r, s->txn, true, -1);
	assert_string_equal(s->log, "load stage apply seal bind abort bad");
}

/* What is not committed is taken back. */
static void
certificates_of_a_refused_commit_are_dropped(void **state)
{
	struct script *s = *state;

	sealing(s);
	reload_sealed(s->r, s->txn, true, -1);
	reload_applied(s->r, s->txn, false, 0, 0, text_fd("disk full\n"));
	assert_string_equal(s->log, "load stage apply seal bind offer commit unseal bad");
	assert_int_equal(s->unsealed, s->txn);
}

static void
keeper_dying_over_certificates(void **state)
{
	struct script *s = *state;

	sealing(s);
	reload_keeper_gone(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, text_fd("certificates"));
	s->acks[0] = 1;
	reload_sealed(s->r, s->txn, true, -1);
	reload_keeper_gone(s->r);
	assert_string_equal(
	    s->log, "load stage apply seal unseal load stage apply seal bind offer unseal bad");
	/* After COMMIT workers may go by it: it stays until the next is sealed. */
	s->acks[0] = 0;
	sealing(s);
	reload_sealed(s->r, s->txn, true, -1);
	reload_keeper_gone(s->r);
	assert_string_equal(s->log, "load stage apply seal bind offer commit load");
	assert_false(reload_pledged(s->r));
}

/* HUP brings all certificates there are; a document only when it touches them. */
static void
what_is_not_named_any_more_is_let_go(void **state)
{
	struct script *s = *state;

	reload_want(s->r);
	loaded(s);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_applied(s->r, s->txn, true, 2, 1, -1);
	assert_int_equal(s->adopted, RELOAD_SEAL_NONE);
	reload_submit(s->r, 4);
	reload_prepare(s->r, s->txn, &web, 1, -1);
	reload_applied(s->r, s->txn, true, 3, 1, -1);
	assert_int_equal(s->adopted, RELOAD_SEAL_SAME);
	reload_submit(s->r, 5);
	reload_prepare(s->r, s->txn, &web, 1, text_fd("certificates"));
	reload_sealed(s->r, s->txn, true, -1);
	reload_applied(s->r, s->txn, true, 4, 1, -1);
	assert_int_equal(s->adopted, RELOAD_SEAL_NEXT);
	reload_want(s->r);
	loaded(s);
	reload_applied(s->r, s->txn, true, 4, 0, -1);
	assert_int_equal(s->adopted, RELOAD_SEAL_SAME);
}

/* The successor of a keeper that died over COMMIT is silent: its certificates are in force. */
static void
a_document_found_committed_brings_its_certificates(void **state)
{
	struct script *s = *state;

	reload_submit(s->r, 5);
	reload_prepare(s->r, s->txn, &web, 1, text_fd("certificates"));
	reload_sealed(s->r, s->txn, true, -1);
	reload_keeper_gone(s->r);
	reload_go(s->r);
	wait_ms(s, 10001);
	assert_string_equal(s->log, "submitted seal bind offer commit doubt adopt ring good");
}

#define CASE(f) TEST_WITH(f, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(all_is_well),
    CASE(no_worker_needs_no_acknowledgement),
    CASE(bad_files_change_nothing),
    CASE(a_loader_that_dies_is_a_failed_reload),
    CASE(keeper_refuses),
    CASE(a_taken_port_aborts),
    CASE(a_refusing_worker_aborts),
    CASE(a_dead_worker_is_not_waited_for),
    CASE(every_step_has_an_end),
    CASE(after_commit_time_out_is_doubt),
    CASE(keeper_comes_up_late),
    CASE(keeper_dies_once_and_the_run_begins_anew),
    CASE(keeper_dies_twice),
    CASE(keeper_dying_while_files_are_read_is_nothing),
    CASE(wishes_coalesce),
    CASE(what_belongs_to_another_run_is_dropped),
    CASE(operations_that_fail),
    CASE(a_set_that_changes_nothing_needs_no_prepare),
    CASE(cancelled_says_nothing),
    CASE(a_document_begins_at_apply),
    CASE(a_refused_document_is_aborted),
    CASE(a_document_waits_for_the_run_under_way),
    CASE(keeper_dying_over_a_document_drops_it),
    CASE(keeper_dying_over_the_commit_of_a_document),
    CASE(cancelled_documents_are_forgotten),
    CASE(certificates_are_read_before_anything_is_offered),
    CASE(bad_certificates_change_nothing),
    CASE(a_taken_port_after_sealing_aborts),
    CASE(certificates_of_a_refused_commit_are_dropped),
    CASE(keeper_dying_over_certificates),
    CASE(what_is_not_named_any_more_is_let_go),
    CASE(a_document_found_committed_brings_its_certificates),
};
RUN_TESTS(tests)
