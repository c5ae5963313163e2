/* SPDX-License-Identifier: Apache-2.0
 *
 * The process as the master sees it: what is asked for is answered, files that change are told, and
 * nothing of them while a transaction is open., S-AI-1
 */
#include "test/unit/harness.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "conf/bundle.h"
#include "conf/sealed.h"
#include "master/watcher/secrets/secrets.h"
#include "shm/base/msg.h"
#include "test/unit/master/watcher/secrets/kit.h"

#define PATIENCE_MS 60000 /* nothing takes that long */

struct process {
	pid_t pid;
	int chan;
	struct msg m;
};

static void
process_start(struct process *p, int bundle, int facts)
{
	static struct heritage h;
	int fds[2];

	assert_int_equal(msg_pair(fds), 1);
	h = (struct heritage){.kind = PROC_SECRETS,
	    .master = getpid(),
	    .chan = fds[1],
	    .log_fd = -1,
	    .secrets_fd = bundle,
	    .facts_fd = facts,
	    .event_fd = -1};
	for (unsigned i = 0; i < REGION_COUNT; i++)
		h.region_fd[i] = -1;
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		close(fds[0]);
		_exit(secrets_main(&h));
	}
	close(fds[1]);
	p->chan = fds[0];
}

static void
process_stop(struct process *p)
{
	int status = 0;

	kill(p->pid, SIGTERM);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(p->chan);
}

/* The next message, or false when there is none in that time. */
static bool
next(struct process *p, int ms)
{
	struct pollfd f = {.fd = p->chan, .events = POLLIN};

	return poll(&f, 1, ms) == 1 && msg_recv(p->chan, &p->m) == 1;
}

struct sealed {
	uint32_t txn;
	bool ok, some; /* some: there is a bundle */
	char report[2048], facts[8192];
	struct bundle *b;
};

static void
text_of(int fd, char *out, size_t cap)
{
	ssize_t n = pread(fd, out, cap - 1, 0);

	out[n > 0 ? n : 0] = '\0';
	close(fd);
}

static void
sealed_read(struct process *p, struct sealed *s)
{
	const char *error;
	int fd;

	assert_int_equal(p->m.type, MSG_SEALED);
	*s = (struct sealed){.txn = p->m.id};
	s->ok = msg_u32(&p->m) != 0;
	s->some = p->m.n_fds == 3;
	text_of(msg_fd(&p->m), s->report, sizeof(s->report));
	if (s->some) {
		fd = msg_fd(&p->m);
		s->b = bundle_open(fd, &error);
		assert_non_null(s->b);
		close(fd);
		text_of(msg_fd(&p->m), s->facts, sizeof(s->facts));
	}
	assert_int_equal(msg_end(&p->m), 1);
}

static void
sealed_wait(struct process *p, struct sealed *s)
{
	bundle_unref(&s->b);
	do
		assert_true(next(p, PATIENCE_MS));
	while (p->m.type == MSG_READY);
	sealed_read(p, s);
}

static void
seal(struct process *p, uint32_t txn, int objects)
{
	msg_begin(&p->m, MSG_SEAL, txn);
	msg_put_fd(&p->m, objects);
	assert_int_equal(msg_send(p->chan, &p->m), 1);
	close(objects);
}

static void
seal_end(struct process *p, uint32_t txn, bool ok)
{
	msg_begin(&p->m, MSG_SEAL_END, txn);
	msg_put_u32(&p->m, ok);
	assert_int_equal(msg_send(p->chan, &p->m), 1);
}

static int
objects(struct kit *k)
{
	kit_put_cert(k, "shop", "a.pem", "a.key");
	return kit_objects(k);
}

static void
a_change_is_asked_for_and_committed(void **state)
{
	struct kit *k = *state;
	static struct process p;
	struct sealed s = {.txn = 0};

	process_start(&p, -1, -1);
	seal(&p, 5, objects(k));
	sealed_wait(&p, &s);
	assert_int_equal(s.txn, 5);
	assert_true(s.ok && s.some);
	assert_int_equal(bundle_certs(s.b), 1);
	assert_non_null(strstr(s.facts, "\"shop\""));
	seal_end(&p, 5, true);
	/* The same again: nothing differs. */
	seal(&p, 6, objects(k));
	sealed_wait(&p, &s);
	assert_int_equal(s.txn, 6);
	assert_true(s.ok && !s.some);
	seal_end(&p, 6, true);
	kit_put_cert(k, "shop", "a.pem", "none");
	seal(&p, 7, kit_objects(k));
	sealed_wait(&p, &s);
	assert_false(s.ok || s.some);
	assert_non_null(strstr(s.report, "certificates[shop].key: "));
	/* What was given up is as if it had not been. */
	kit_put_cert(k, "other", "a.pem", "a.key");
	seal(&p, 8, kit_objects(k));
	sealed_wait(&p, &s);
	assert_true(s.ok && s.some);
	seal_end(&p, 8, false);
	seal(&p, 9, objects(k));
	sealed_wait(&p, &s);
	assert_true(s.ok && !s.some);
	bundle_unref(&s.b);
	process_stop(&p);
}

static void
a_pair_that_is_replaced_is_told_when_it_is_one(void **state)
{
	struct kit *k = *state;
	static struct process p;
	struct sealed s = {.txn = 0};
	struct digest was, d;

	process_start(&p, -1, -1);
	seal(&p, 1, objects(k));
	sealed_wait(&p, &s);
	was = bundle_digest(s.b);
	seal_end(&p, 1, true);
	kit_leaf(k, "a.pem", "DNS:a.test", k->key2);
	sealed_wait(&p, &s); /* the facts say what is wrong, the bundle is the same */
	assert_int_equal(s.txn, 0);
	assert_true(s.ok && s.some);
	d = bundle_digest(s.b);
	assert_true(digest_eq(&d, &was));
	assert_non_null(strstr(s.facts, "\"kept\""));
	assert_non_null(strstr(s.report, "what was there before is kept"));
	kit_write_key(k, "a.key", k->key2);
	sealed_wait(&p, &s);
	d = bundle_digest(s.b);
	assert_false(digest_eq(&d, &was));
	assert_non_null(strstr(s.facts, "\"ok\""));
	bundle_unref(&s.b);
	process_stop(&p);
}

/* A directory swapped by its symlink, as mounted secrets are; and nothing is said in between. */
static void
a_symlink_that_turns_is_a_change(void **state)
{
	struct kit *k = *state;
	static struct process p;
	struct sealed s = {.txn = 0};
	struct digest was, d;

	assert_int_equal(mkdir(kit_path(k, "one"), 0700), 0);
	assert_int_equal(mkdir(kit_path(k, "two"), 0700), 0);
	kit_leaf(k, "one/c.pem", "DNS:a.test", k->key);
	kit_write_key(k, "one/c.key", k->key);
	kit_leaf(k, "two/c.pem", "DNS:a.test", k->key2);
	kit_write_key(k, "two/c.key", k->key2);
	assert_int_equal(symlink("one", kit_path(k, "now")), 0);
	kit_put_cert(k, "shop", "now/c.pem", "now/c.key");
	process_start(&p, -1, -1);
	seal(&p, 1, kit_objects(k));
	sealed_wait(&p, &s);
	was = bundle_digest(s.b);
	seal_end(&p, 1, true);
	kit_put_cert(k, "shop", "now/c.pem", "now/c.key");
	seal(&p, 2, kit_objects(k));
	sealed_wait(&p, &s);
	assert_int_equal(symlink("two", kit_path(k, "then")), 0);
	assert_int_equal(rename(kit_path(k, "then"), kit_path(k, "now")), 0);
	assert_false(next(&p, 2500)); /* longer than a tick and its quiet */
	seal_end(&p, 2, true);
	sealed_wait(&p, &s);
	assert_int_equal(s.txn, 0);
	d = bundle_digest(s.b);
	assert_false(digest_eq(&d, &was));
	bundle_unref(&s.b);
	process_stop(&p);
}

/* Killed; another with what the master kept of it, and nothing of the facts where `facts` is not
 * set. */
static void
succeed(struct kit *k, struct process *p, struct sealed *s, bool facts)
{
	int bundle, told;

	process_start(p, -1, -1);
	seal(p, 1, objects(k));
	do
		assert_true(next(p, PATIENCE_MS));
	while (p->m.type == MSG_READY);
	assert_int_equal(p->m.n_fds, 3);
	bundle = dup(p->m.fds[1]);
	told = dup(p->m.fds[2]);
	bundle_unref(&s->b);
	sealed_read(p, s);
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	close(p->chan);
	process_start(p, bundle, facts ? told : -1);
	close(bundle);
	close(told);
	seal(p, 0, objects(k));
}

static void
a_successor_goes_on(void **state)
{
	struct kit *k = *state;
	static struct process p;
	struct sealed s = {.txn = 0};
	struct digest was, d;

	succeed(k, &p, &s, false);
	was = bundle_digest(s.b);
	sealed_wait(&p, &s); /* it cannot know which facts were told */
	assert_int_equal(s.txn, 0);
	d = bundle_digest(s.b);
	assert_true(digest_eq(&d, &was)); /* the tickets' secret too */
	process_stop(&p);
	/* Who knows them has nothing to say until something changes. */
	succeed(k, &p, &s, true);
	kit_leaf(k, "a.pem", "DNS:b.test", k->key);
	sealed_wait(&p, &s);
	assert_int_equal(bundle_named(s.b, STR("b.test"), &(uint32_t){0}, 1), 1);
	bundle_unref(&s.b);
	process_stop(&p);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_change_is_asked_for_and_committed, kit_setup, kit_teardown),
    TEST_WITH(a_pair_that_is_replaced_is_told_when_it_is_one, kit_setup, kit_teardown),
    TEST_WITH(a_symlink_that_turns_is_a_change, kit_setup, kit_teardown),
    TEST_WITH(a_successor_goes_on, kit_setup, kit_teardown),
};
RUN_TESTS(tests)
