/* SPDX-License-Identifier: Apache-2.0
 *
 * S-SEC-4, R-7.1, R-7.3: what the master holds of certificates, with children played by the test:
 * who is told what, in which order, and what successors find.
 */
#include "test/unit/harness.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "conf/changeset.h"
#include "master/child.h"

#define WORKERS 2

struct fixture {
	struct master m;
	int secrets, admin, worker[WORKERS]; /* their ends */
	char why[256];                       /* of the run's failure */
	char log[256];                       /* what the machine asked for */
	uint32_t txn;
	struct msg in;
};

/* --- the reload machine's other side ---------------------------------------------------------- */

static void
note(struct fixture *f, const char *word)
{
	size_t n = strlen(f->log);

	snprintf(f->log + n, sizeof(f->log) - n, "%s%s", n > 0 ? " " : "", word);
}

static struct fixture *
of(void *arg)
{
	return container_of((struct master *)arg, struct fixture, m);
}

static int
op_apply(void *arg, uint32_t txn, uint32_t cookie, int changeset)
{
	(void)cookie;
	(void)changeset;
	of(arg)->txn = txn;
	return 1;
}

static int
op_bind(void *arg, const struct listen_want *v, unsigned n, const char **error_r)
{
	(void)v;
	(void)n;
	(void)error_r;
	note(of(arg), "bind");
	return 1;
}

static void
op_offer(void *arg, uint32_t txn, unsigned acks_r[SLOT_MAX])
{
	struct fixture *f = of(arg);

	for (unsigned i = 0; i < WORKERS; i++)
		acks_r[i] = vault_offer(child_worker(&f->m, i), txn);
}

static int
op_commit(void *arg, uint32_t txn)
{
	(void)txn;
	note(of(arg), "commit");
	return 1;
}

static void
op_abort(void *arg, uint32_t txn, const char *reason)
{
	struct fixture *f = of(arg);

	(void)txn;
	snprintf(f->why, sizeof(f->why), "%s", reason);
	vault_retract(&f->m);
	note(f, "abort");
	vault_forget(&f->m);
}

static void
op_adopt(void *arg, enum reload_seal what, uint32_t changed)
{
	vault_adopt(arg, what, changed);
}

static void
op_unseal(void *arg, uint32_t txn)
{
	(void)txn;
	vault_retract(arg);
	vault_forget(arg);
}

static void
op_seal(void *arg, uint32_t txn, int objects)
{
	vault_ask(arg, txn, objects);
}

static void
op_ring(void *arg, uint64_t generation)
{
	(void)generation;
	note(of(arg), "ring");
}

static bool
op_behind(void *arg, uint64_t generation)
{
	(void)arg;
	(void)generation;
	return false;
}

static void
op_finish(void *arg, const struct reload_outcome *o)
{
	note(of(arg), o->ok ? "good" : "bad");
}

static uint64_t
op_patience(void *arg, enum reload_step step)
{
	(void)arg;
	(void)step;
	return 1000;
}

static const struct reload_ops ops = {.apply = op_apply,
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
    .patience = op_patience};

/* --- children --------------------------------------------------------------------------------- */

/* A process number nobody has: signals to it go nowhere. */
#define NOBODY (1 << 22)

static int
up(struct child *c)
{
	int fds[2];

	assert_int_equal(msg_pair(fds), 1);
	c->pid = NOBODY;
	c->chan = fds[0];
	c->state = CHILD_UP;
	c->wanted = true;
	return fds[1];
}

static void
down(struct child *c, int *fd)
{
	close(c->chan);
	close(*fd);
	*fd = c->chan = -1;
	c->pid = 0;
	c->state = CHILD_WAITING;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct master *m = &f->m;

	m->loop = loop_new();
	m->reload = reload_new(loop_timers(m->loop), &ops, m);
	/* Nobody is started by what this shows. */
	m->phase = PHASE_STOPPING;
	vault_init(&m->vault);
	children_init(m);
	children_slots(m, WORKERS);
	f->secrets = up(child_of(m, PROC_SECRETS));
	f->admin = up(child_of(m, PROC_ADMIN));
	for (unsigned i = 0; i < WORKERS; i++)
		f->worker[i] = up(child_worker(m, i));
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	struct master *m = &f->m;

	each_child (c, m) {
		if (c->chan >= 0)
			close(c->chan);
		timer_stop(&c->timer);
	}
	close(f->secrets);
	close(f->admin);
	for (unsigned i = 0; i < WORKERS; i++)
		close(f->worker[i]);
	vault_close(&m->vault);
	reload_free(&m->reload);
	loop_free(&m->loop);
	free(f);
	return 0;
}

/* Something to tell apart by. */
static int
file(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static void
assert_file(int fd, const char *text)
{
	char have[64] = "";

	assert_true(fd >= 0);
	assert_true(pread(fd, have, sizeof(have) - 1, 0) >= 0);
	assert_string_equal(have, text);
}

/* The next message there is that type, of that transaction; its descriptor has that text. */
static void
told(struct fixture *f, int end, enum msg_type type, uint32_t txn, const char *text)
{
	int fd;

	assert_int_equal(msg_recv(end, &f->in), 1);
	assert_string_equal(msg_type_name(f->in.type), msg_type_name(type));
	assert_int_equal(f->in.id, txn);
	if (text != NULL) {
		fd = msg_fd(&f->in);
		assert_file(fd, text);
		close(fd);
	}
	msg_drop(&f->in);
}

static void
silent(struct fixture *f, int end)
{
	assert_int_equal(msg_recv(end, &f->in), 0);
}

static void
ended(struct fixture *f, uint32_t txn, bool ok)
{
	assert_int_equal(msg_recv(f->secrets, &f->in), 1);
	assert_int_equal(f->in.type, MSG_SEAL_END);
	assert_int_equal(f->in.id, txn);
	assert_int_equal(msg_u32(&f->in), ok);
	assert_int_equal(msg_end(&f->in), 1);
}

static struct child *
secrets_of(struct fixture *f)
{
	return child_of(&f->m, PROC_SECRETS);
}

static void
ask(struct fixture *f, const char *objects)
{
	reload_submit(f->m.reload, 7);
	reload_prepare(f->m.reload, f->txn, NULL, 0, file(objects));
	if (f->secrets >= 0)
		told(f, f->secrets, MSG_SEAL, f->txn, objects);
}

/* SEALED as the process sends it. */
static void
sealed(struct fixture *f, uint32_t txn, const char *bundle, const char *facts)
{
	vault_sealed(secrets_of(f), txn, true, file(""), bundle != NULL ? file(bundle) : -1,
	    facts != NULL ? file(facts) : -1);
}

static void
offered(struct fixture *f, const char *bundle)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		told(f, f->worker[i], MSG_BUNDLE, f->txn, bundle);
		reload_acked(f->m.reload, i, f->txn, true, "");
	}
}

static void
in_force(struct fixture *f, const char *objects, const char *bundle)
{
	ask(f, objects);
	sealed(f, f->txn, bundle, "facts");
	offered(f, bundle);
	reload_applied(f->m.reload, f->txn, true, 2, 1, -1);
	ended(f, f->txn, true);
	told(f, f->admin, MSG_FACTS, 0, "facts");
}

/* --- tests ------------------------------------------------------------------------------------ */

static void
from_the_question_to_the_commit(void **state)
{
	struct fixture *f = *state;

	ask(f, "objects");
	silent(f, f->worker[0]);
	sealed(f, f->txn, "bundle", "facts");
	assert_int_equal(f->m.vault.now.bundle, -1);
	offered(f, "bundle");
	assert_true(reload_pledged(f->m.reload));
	assert_string_equal(f->log, "bind commit");
	silent(f, f->admin);
	reload_applied(f->m.reload, f->txn, true, 2, 1, -1);
	ended(f, f->txn, true);
	told(f, f->admin, MSG_FACTS, 0, "facts");
	/* Workers turn to it with the generation. */
	silent(f, f->worker[0]);
	assert_file(f->m.vault.now.bundle, "bundle");
	assert_file(f->m.vault.now.objects, "objects");
	assert_int_equal(f->m.vault.next.objects, -1);
}

/* New files, same objects: no generation comes that workers could wait for. */
static void
without_a_generation_workers_are_told(void **state)
{
	struct fixture *f = *state;

	ask(f, "objects");
	sealed(f, f->txn, "bundle", "facts");
	offered(f, "bundle");
	reload_applied(f->m.reload, f->txn, true, 2, 0, -1);
	told(f, f->worker[0], MSG_BUNDLE, 0, "bundle");
	told(f, f->worker[1], MSG_BUNDLE, 0, "bundle");
}

static void
nothing_new_is_not_offered(void **state)
{
	struct fixture *f = *state;

	in_force(f, "objects", "bundle");
	ask(f, "others");
	sealed(f, f->txn, NULL, NULL);
	silent(f, f->worker[0]);
	reload_applied(f->m.reload, f->txn, true, 3, 1, -1);
	ended(f, f->txn, true);
	assert_file(f->m.vault.now.objects, "others");
	assert_file(f->m.vault.now.bundle, "bundle");
	silent(f, f->worker[0]);
}

/* Workers hear of it before the keeper can make another generation. */
static void
given_up_is_taken_back(void **state)
{
	struct fixture *f = *state;

	in_force(f, "objects", "bundle");
	f->log[0] = '\0';
	ask(f, "others");
	sealed(f, f->txn, "other", "facts");
	told(f, f->worker[0], MSG_BUNDLE, f->txn, "other");
	reload_acked(f->m.reload, 1, f->txn, false, "malformed");
	assert_string_equal(f->log, "bind abort bad");
	told(f, f->worker[0], MSG_BUNDLE_DROP, f->txn, NULL);
	told(f, f->worker[1], MSG_BUNDLE, f->txn, "other");
	told(f, f->worker[1], MSG_BUNDLE_DROP, f->txn, NULL);
	ended(f, f->txn, false);
	assert_file(f->m.vault.now.bundle, "bundle");
	assert_file(f->m.vault.now.objects, "objects");
	silent(f, f->admin);
}

static void
a_refusal_is_the_abort_s_reason(void **state)
{
	struct fixture *f = *state;

	ask(f, "objects");
	vault_sealed(secrets_of(f), f->txn, false, file("c[a]: key: another's\n"), -1, -1);
	assert_string_equal(f->why, "c[a]: key: another's");
	assert_int_equal(f->m.vault.next.objects, -1);
	/* Nobody needs the process. */
	assert_false(secrets_of(f)->wanted);
}

static void
files_that_change_are_in_force_at_once(void **state)
{
	struct fixture *f = *state;

	sealed(f, 0, "of nobody", "x");
	silent(f, f->worker[0]);
	in_force(f, "objects", "bundle");
	sealed(f, 0, "renewed", "new facts");
	told(f, f->worker[0], MSG_BUNDLE, 0, "renewed");
	told(f, f->worker[1], MSG_BUNDLE, 0, "renewed");
	told(f, f->admin, MSG_FACTS, 0, "new facts");
	assert_file(f->m.vault.now.bundle, "renewed");
	/* Worse ones are told of, and change nothing. */
	vault_sealed(secrets_of(f), 0, false, file("no good\n"), -1, -1);
	silent(f, f->worker[0]);
	assert_file(f->m.vault.now.bundle, "renewed");
}

static void
one_that_dies_is_asked_again_once(void **state)
{
	struct fixture *f = *state;
	struct child *c = secrets_of(f);

	ask(f, "objects");
	down(c, &f->secrets);
	vault_gone(c, false);
	assert_int_equal(reload_step(f->m.reload), RELOAD_SEALING);
	f->secrets = up(c);
	vault_up(c);
	told(f, f->secrets, MSG_SEAL, f->txn, "objects");
	down(c, &f->secrets);
	vault_gone(c, false);
	assert_string_equal(f->log, "abort bad");
	assert_non_null(strstr(f->why, "died twice"));
	assert_int_equal(f->m.vault.next.objects, -1);
}

/* A successor is told what is in force first; of a transaction it did not seal it knows nothing. */
static void
successors(void **state)
{
	struct fixture *f = *state;
	struct child *c = secrets_of(f);

	in_force(f, "objects", "bundle");
	ask(f, "others");
	sealed(f, f->txn, "other", "facts");
	down(c, &f->secrets);
	vault_gone(c, false);
	assert_int_equal(reload_step(f->m.reload), RELOAD_OFFERING);
	f->secrets = up(c);
	vault_up(c);
	told(f, f->secrets, MSG_SEAL, 0, "objects");
	silent(f, f->secrets);
	offered(f, "other");
	reload_applied(f->m.reload, f->txn, true, 3, 1, -1);
	told(f, f->secrets, MSG_SEAL, 0, "others");
	silent(f, f->secrets);
	assert_file(f->m.vault.now.bundle, "other");
}

static int
no_objects(void)
{
	struct changeset_writer *w = changeset_new(STR("file"), STR("test"), false);
	const char *error = "";
	int fd = changeset_seal(&w, &error);

	assert_true(fd >= 0);
	return fd;
}

/* Without objects there is nothing to watch. */
static void
the_last_one_goes(void **state)
{
	struct fixture *f = *state;

	in_force(f, "objects", "bundle");
	assert_true(secrets_of(f)->wanted);
	reload_submit(f->m.reload, 8);
	reload_prepare(f->m.reload, f->txn, NULL, 0, no_objects());
	told(f, f->secrets, MSG_SEAL, f->txn, NULL);
	sealed(f, f->txn, "nothing", "[]");
	offered(f, "nothing");
	reload_applied(f->m.reload, f->txn, true, 3, 1, -1);
	ended(f, f->txn, true);
	assert_false(secrets_of(f)->wanted);
	assert_int_equal(secrets_of(f)->state, CHILD_STOPPING);
	/* What it still says is of no use. */
	sealed(f, 0, "late", "late");
	assert_file(f->m.vault.now.bundle, "nothing");
}

static void
nothing_named_is_nothing_held(void **state)
{
	struct fixture *f = *state;

	in_force(f, "objects", "bundle");
	vault_adopt(&f->m, RELOAD_SEAL_SAME, 1);
	assert_file(f->m.vault.now.bundle, "bundle");
	vault_adopt(&f->m, RELOAD_SEAL_NONE, 1);
	told(f, f->admin, MSG_FACTS, 0, "[]");
	assert_int_equal(f->m.vault.now.bundle, -1);
	assert_int_equal(f->m.vault.now.facts, -1);
	assert_false(secrets_of(f)->wanted);
}

#define CASE(f) TEST_WITH(f, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(from_the_question_to_the_commit),
    CASE(without_a_generation_workers_are_told),
    CASE(nothing_new_is_not_offered),
    CASE(given_up_is_taken_back),
    CASE(a_refusal_is_the_abort_s_reason),
    CASE(files_that_change_are_in_force_at_once),
    CASE(one_that_dies_is_asked_again_once),
    CASE(successors),
    CASE(the_last_one_goes),
    CASE(nothing_named_is_nothing_held),
};
RUN_TESTS(tests)
