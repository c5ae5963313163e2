/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper process as its master sees it: prepare, commit, abort; verdicts on endpoints; killed
 * at every step and replaced. C-1: any child may be killed at any time, nothing shared is
 * corrupted.
 */
#include "test/unit/conf/objects.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "conf/boot.h"
#include "conf/keeper.h"
#include "conf/store_priv.h"
#include "conf/table.h"
#include "shm/base/bug.h"
#include "shm/base/msg.h"
#include "shm/procs.h"

struct fixture {
	char dir[64], state[80];
	struct gbuf boot;
	struct heritage h;
	int chan, admin, mailbox; /* our ends */
	pid_t pid;
	struct sets sets;
	struct msg m;
	char report[4096];
};

static void
start(struct fixture *f, const char *stop)
{
	int pair[2];

	assert_int_equal(msg_pair(pair), 1);
	if (f->chan >= 0)
		close(f->chan);
	f->chan = pair[0];
	f->h.chan = pair[1];
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		close(f->chan);
		if (stop != NULL)
			setenv("GATEWAY_TEST_KEEPER_STOP", stop, 1);
		_exit(keeper_main(&f->h));
	}
	close(pair[1]);
}

static void
expect(struct fixture *f, int fd, enum msg_type type)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 20000) != 1)
		fail_msg("no %s came", msg_type_name(type));
	assert_int_equal(msg_recv(fd, &f->m), 1);
	if (f->m.type == MSG_FAILED && type != MSG_FAILED)
		fail_msg("FAILED: %.*s", STR_ARG(msg_str(&f->m)));
	assert_string_equal(msg_type_name(f->m.type), msg_type_name(type));
}

static void
ready(struct fixture *f)
{
	expect(f, f->chan, MSG_READY);
	assert_int_equal(msg_end(&f->m), 1);
}

static int
wait_gone(struct fixture *f)
{
	int status;

	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	f->pid = 0;
	return status;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct conf_settings s;
	int pair[2];
	const char *error;
	struct ws ws;

	snprintf(f->dir, sizeof(f->dir), "/dev/shm/gw-keeper-test-XXXXXX");
	if (mkdtemp(f->dir) == NULL) {
		snprintf(f->dir, sizeof(f->dir), "/tmp/gw-keeper-test-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
	}
	snprintf(f->state, sizeof(f->state), "%s/state.d", f->dir);
	assert_int_equal(mkdir(f->state, 0700), 0);
	ws_init(&ws, NULL, 0);
	fields_default(&settings_fields, &s, &ws);
	s.limits.endpoints = 64;
	s.limits.services = 16;
	s.limits.map_size = 16u << 20;
	boot_encode(&s, &f->boot);
	ws_free(&ws);
	f->chan = -1;
	f->h = (struct heritage){.kind = PROC_KEEPER,
	    .proc = 3,
	    .master = getpid(),
	    .mailbox = -1,
	    .log_fd = STDERR_FILENO,
	    .log_level = LOG_ERROR_L,
	    .run_dir = f->dir,
	    .state_dir = f->state,
	    .boot = f->boot.p,
	    .boot_len = f->boot.n,
	    .started_wall_us = 4711,
	    .event_fd = -1};
	log_init("keeper", STDERR_FILENO, LOG_ERROR_L);
	for (unsigned i = 0; i < SLOT_MAX; i++)
		f->h.mailbox_send[i] = -1;
	for (unsigned i = 0; i < REGION_COUNT; i++)
		f->h.region_fd[i] = -1;
	f->h.region_fd[REGION_PROCS] =
	    region_create(REGION_PROCS, procs_size(), procs_layout(), &error);
	assert_int_equal(msg_pair(pair), 1);
	f->admin = pair[0];
	f->h.line[LINE_ADMIN_KEEPER] = pair[1];
	assert_int_equal(msg_pair(pair), 1);
	f->mailbox = pair[0];
	f->h.mailbox_send[0] = pair[1];
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[160];

	if (f->pid > 0) {
		kill(f->pid, SIGKILL);
		wait_gone(f);
	}
	close(f->chan);
	close(f->admin);
	close(f->h.line[LINE_ADMIN_KEEPER]);
	close(f->mailbox);
	close(f->h.mailbox_send[0]);
	close(f->h.region_fd[REGION_PROCS]);
	gbuf_free(&f->boot);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

/* --- what a master sends --------------------------------------------------------------------- */

static int
config(struct fixture *f, unsigned version)
{
	char path[32];

	sets_begin(&f->sets, "file", true);
	sets_settings(&f->sets);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	sets_service(&f->sets, "one", "10.0.0.1:80 10.0.0.2:80", 1);
	snprintf(path, sizeof(path), "/v%u/*", version);
	sets_route(&f->sets, "r", path, "one", NULL, NULL);
	return sets_end(&f->sets);
}

static void
send_apply(struct fixture *f, uint32_t id, int fd, bool check_only)
{
	msg_begin(&f->m, MSG_APPLY, id);
	msg_put_u32(&f->m, check_only);
	msg_put_u32(&f->m, 0);
	msg_put_str(&f->m, STR("test"));
	msg_put_fd(&f->m, fd);
	assert_int_equal(msg_send(f->chan, &f->m), 1);
	close(fd);
}

static void
send_commit(struct fixture *f, uint32_t id)
{
	msg_begin(&f->m, MSG_COMMIT, id);
	assert_int_equal(msg_send(f->chan, &f->m), 1);
}

/* The listeners in it. */
static uint32_t
prepared(struct fixture *f, uint32_t id)
{
	uint32_t n;

	expect(f, f->chan, MSG_PREPARE);
	assert_int_equal(f->m.id, id);
	n = msg_u32(&f->m);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(msg_u32(&f->m) > 0);
		assert_true(str_eq(msg_str(&f->m), STR("main")));
		assert_true(str_eq(msg_str(&f->m), STR("127.0.0.1:8080")));
		assert_int_equal(msg_u32(&f->m), 4096);
		assert_int_equal(msg_u32(&f->m), 0);
		assert_true(str_eq(msg_str(&f->m), STR("gateway.conf:2")));
	}
	assert_int_equal(msg_end(&f->m), 1);
	return n;
}

struct outcome {
	bool ok;
	uint64_t generation;
	uint32_t changed;
};

static struct outcome
applied(struct fixture *f, uint32_t id)
{
	struct outcome o;
	ssize_t n;
	int fd;

	expect(f, f->chan, MSG_APPLIED);
	assert_int_equal(f->m.id, id);
	o.ok = msg_u32(&f->m) != 0;
	o.generation = msg_u64(&f->m);
	o.changed = msg_u32(&f->m);
	fd = msg_fd(&f->m);
	n = pread(fd, f->report, sizeof(f->report) - 1, 0);
	f->report[MAX(n, 0)] = '\0';
	close(fd);
	assert_int_equal(msg_end(&f->m), 1);
	return o;
}

static struct outcome
change_all(struct fixture *f, uint32_t id, int fd)
{
	send_apply(f, id, fd, false);
	assert_int_equal(prepared(f, id), 1);
	send_commit(f, id);
	return applied(f, id);
}

/* --- what a worker sees ---------------------------------------------------------------------- */

struct seen {
	uint64_t generation, epoch;
	unsigned version, endpoints;
	uint32_t row, incarnation, verdict, weight;
	ino_t arena, map;
};

static ino_t
inode(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void
see_map(struct fixture *f, struct arena *a, struct seen *s)
{
	struct match_query q = {.method = 1, .method_name = STR("GET")};
	const char *error = NULL;
	struct endpoint_set set;
	struct endpoint_ref e;
	struct match_result r;
	struct conf_object o;
	struct table *t;
	char path[16];

	if (table_open(f->dir, s->epoch, &t, &error) < 0)
		fail_msg("%s", error);
	assert_int_equal(table_renew(t), 1);
	s->generation = table_generation(t);
	for (unsigned v = 1; v < 50; v++) {
		snprintf(path, sizeof(path), "/v%u/x", v);
		q.path = str_of(path);
		if (table_match(t, &q, &r) == 1)
			s->version = v;
	}
	if (table_find(t, CONF_SERVICE, STR("one"), &o) == 1) {
		assert_int_equal(table_endpoints(t, o.number, &set), 1);
		assert_int_equal(endpoint_set_get(&set, 0, &e), 1);
		s->row = e.row;
		s->incarnation = e.incarnation;
		assert_int_equal(
		    atomic_load(&arena_endpoint(a, e.row)->incarnation), e.incarnation);
		s->verdict = atomic_load(&arena_endpoint(a, e.row)->verdict);
		s->weight = atomic_load(&arena_endpoint(a, e.row)->weight);
	}
	table_close(&t);
}

/* In a child: environments are opened once per process. */
static struct seen
look(struct fixture *f)
{
	struct seen *shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct seen s;
	char path[200];
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		const char *error = NULL;
		struct arena *a;

		snprintf(path, sizeof(path), "%s/arena", f->dir);
		if (arena_open(path, &a, &error) < 0)
			_exit(1);
		shared->epoch = atomic_load(&arena_head(a)->epoch);
		shared->endpoints = arena_endpoints_used(a);
		see_map(f, a, shared);
		if (shared->generation != atomic_load(&arena_head(a)->generation))
			_exit(2);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	s = *shared;
	munmap(shared, sizeof(*shared));
	snprintf(path, sizeof(path), "%s/arena/data.mdb", f->dir);
	s.arena = inode(path);
	snprintf(path, sizeof(path), "%s/map-%d-%llu/data.mdb", f->dir, MAP_FORMAT,
	    (unsigned long long)s.epoch);
	s.map = inode(path);
	return s;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void
a_change_is_prepared_committed_and_rung(void **state)
{
	struct fixture *f = *state;
	struct outcome o;
	struct seen s;

	start(f, NULL);
	ready(f);
	o = change_all(f, 7, config(f, 1));
	assert_true(o.ok);
	assert_int_equal(o.generation, 1);
	assert_int_equal(o.changed, 4);
	assert_string_equal(f->report, "");
	expect(f, f->mailbox, MSG_BELL);
	assert_int_equal(msg_u64(&f->m), 1);
	s = look(f);
	assert_int_equal(s.generation, 1);
	assert_int_equal(s.version, 1);
	assert_int_equal(s.endpoints, 2);
	/* the same again: nothing to prepare, nothing changed */
	send_apply(f, 8, config(f, 1), false);
	o = applied(f, 8);
	assert_true(o.ok);
	assert_int_equal(o.generation, 1);
	assert_int_equal(o.changed, 0);
	kill(f->pid, SIGTERM);
	assert_int_equal(wait_gone(f), 0);
}

static void
files_are_for_the_group(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *path;
		mode_t mode;
	} files[] = {{"map-1-1", 0770}, {"map-1-1/data.mdb", 0640}, {"map-1-1/lock.mdb", 0660},
	    {"arena", 0770}, {"arena/data.mdb", 0660}};
	struct stat st;
	char path[200];

	start(f, NULL);
	ready(f);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, files[i].path);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, files[i].mode);
	}
}

static void
check_only_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct outcome o;

	start(f, NULL);
	ready(f);
	send_apply(f, 1, config(f, 1), true);
	o = applied(f, 1);
	assert_true(o.ok);
	assert_int_equal(o.changed, 4);
	assert_int_equal(o.generation, 0);
	assert_int_equal(look(f).generation, 0);
	assert_int_equal(look(f).endpoints, 0);
}

static void
an_abort_or_a_refusal_changes_nothing(void **state)
{
	struct fixture *f = *state;

	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 1, config(f, 1)).ok);
	send_apply(f, 2, config(f, 2), false);
	assert_int_equal(prepared(f, 2), 1);
	msg_begin(&f->m, MSG_ABORT, 2);
	msg_put_str(&f->m, STR("port 8080 is taken"));
	assert_int_equal(msg_send(f->chan, &f->m), 1);
	assert_false(applied(f, 2).ok);
	assert_non_null(strstr(f->report, "port 8080 is taken"));
	sets_begin(&f->sets, "file", true);
	sets_route(&f->sets, "r", "/x", "nobody", NULL, NULL);
	send_apply(f, 3, sets_end(&f->sets), false);
	assert_false(applied(f, 3).ok);
	assert_non_null(strstr(f->report, "routes[r].service"));
	send_commit(f, 99);
	assert_false(applied(f, 99).ok);
	assert_int_equal(look(f).version, 1);
	assert_int_equal(look(f).generation, 1);
	/* and the next one goes through */
	assert_true(change_all(f, 4, config(f, 2)).ok);
	assert_int_equal(look(f).version, 2);
}

/* Killed at each step between APPLY and APPLIED: the map is the old one or the new one, the next
 * keeper goes on with the same files, and applying again settles it. */
static void
killed_at_any_step(void **state)
{
	static const struct {
		const char *stop;
		bool committed;
	} steps[] = {{"after_compile:kill", false}, {"before_commit:kill", false},
	    {"after_commit:kill", true}, {"after_publish:kill", true}};
	struct fixture *f = *state;
	struct seen before, after;
	unsigned version = 1;

	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 1, config(f, version)).ok);
	kill(f->pid, SIGTERM);
	wait_gone(f);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		before = look(f);
		start(f, steps[i].stop);
		ready(f);
		send_apply(f, 2, config(f, ++version), false);
		if (strncmp(steps[i].stop, "after_compile", 13) != 0) {
			assert_int_equal(prepared(f, 2), 1);
			send_commit(f, 2);
		}
		assert_int_equal(WTERMSIG(wait_gone(f)), SIGKILL);
		start(f, NULL);
		ready(f);
		after = look(f);
		assert_int_equal(after.epoch, before.epoch);
		assert_int_equal(after.arena, before.arena);
		assert_int_equal(after.map, before.map);
		assert_int_equal(after.row, before.row);
		assert_int_equal(after.incarnation, before.incarnation);
		assert_int_equal(after.endpoints, 2);
		assert_int_equal(after.version, steps[i].committed ? version : version - 1);
		/* A new process prepares even when nothing is left to do. */
		assert_true(change_all(f, 3, config(f, version)).ok);
		assert_int_equal(look(f).version, version);
		kill(f->pid, SIGKILL);
		wait_gone(f);
	}
}

static void
killed_at_random_while_it_works(void **state)
{
	struct fixture *f = *state;
	unsigned version = 1;

	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 1, config(f, 1)).ok);
	for (unsigned i = 0; i < 25; i++) {
		struct seen s;

		send_apply(f, 2, config(f, ++version % 40 + 1), false);
		assert_int_equal(prepared(f, 2), 1);
		send_commit(f, 2);
		usleep(i * 20);
		kill(f->pid, SIGKILL);
		wait_gone(f);
		start(f, NULL);
		ready(f);
		s = look(f);
		assert_true(s.version == version % 40 + 1 || s.version == (version - 1) % 40 + 1);
		assert_int_equal(s.endpoints, 2);
		assert_true(change_all(f, 3, config(f, version % 40 + 1)).ok);
	}
}

static void
another_master_gets_a_new_epoch(void **state)
{
	struct fixture *f = *state;
	struct seen first, second;

	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 1, config(f, 1)).ok);
	first = look(f);
	kill(f->pid, SIGKILL);
	wait_gone(f);
	f->h.started_wall_us++;
	start(f, NULL);
	ready(f);
	second = look(f);
	assert_int_equal(second.epoch, first.epoch + 1);
	assert_int_equal(second.generation, 0);
	assert_int_not_equal(second.arena, first.arena);
}

static struct outcome
verdict(struct fixture *f, const char *service, const char *endpoint, uint32_t what, uint32_t value,
    uint64_t expires_ms)
{
	struct outcome o = {.ok = false};
	struct str error;

	msg_begin(&f->m, MSG_ENDPOINT_SET, 5);
	msg_put_str(&f->m, str_of(service));
	msg_put_str(&f->m, str_of(endpoint));
	msg_put_u32(&f->m, what);
	msg_put_u32(&f->m, value);
	msg_put_u64(&f->m, expires_ms);
	assert_int_equal(msg_send(f->admin, &f->m), 1);
	expect(f, f->admin, MSG_ENDPOINT_DONE);
	assert_int_equal(f->m.id, 5);
	o.ok = msg_u32(&f->m) != 0;
	o.changed = msg_u32(&f->m);
	error = msg_str(&f->m);
	snprintf(f->report, sizeof(f->report), "%.*s", STR_ARG(error));
	assert_int_equal(msg_end(&f->m), 1);
	return o;
}

static void
verdicts_are_in_force_when_answered_and_outlive_it_all(void **state)
{
	struct fixture *f = *state;

	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 1, config(f, 1)).ok);
	assert_int_equal(verdict(f, "one", "*", VERDICT_DRAIN, 0, 0).changed, 2);
	assert_int_equal(look(f).verdict, VERDICT_DRAIN);
	assert_int_equal(verdict(f, "one", "10.0.0.1:80", VERDICT_WEIGHT, 7, 0).changed, 1);
	assert_int_equal(look(f).verdict, VERDICT_DRAIN);
	assert_int_equal(look(f).weight, 7);
	/* words for what cannot be */
	assert_false(verdict(f, "two", "*", VERDICT_UP, 0, 0).ok);
	assert_string_equal(f->report, "no such service");
	assert_false(verdict(f, "one", "10.9.9.9:80", VERDICT_UP, 0, 0).ok);
	assert_string_equal(f->report, "the service has no such endpoint");
	assert_false(verdict(f, "one", "*", 77, 0, 0).ok);
	assert_string_equal(f->report, "unknown verdict");
	/* a new instance: new rows, the same verdicts */
	kill(f->pid, SIGKILL);
	wait_gone(f);
	f->h.started_wall_us++;
	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 2, config(f, 1)).ok);
	assert_int_equal(look(f).verdict, VERDICT_DRAIN);
	assert_int_equal(look(f).weight, 7);
	assert_true(verdict(f, "one", "*", VERDICT_NONE, 0, 0).ok);
	assert_int_equal(look(f).verdict, VERDICT_NONE);
	assert_int_equal(look(f).weight, WEIGHT_UNSET);
}

static void
verdicts_expire(void **state)
{
	struct fixture *f = *state;

	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 1, config(f, 1)).ok);
	clock_tick();
	assert_true(verdict(f, "one", "*", VERDICT_WEIGHT, 3, clock_wall_us() / 1000 + 100).ok);
	assert_int_equal(look(f).weight, 3);
	for (int i = 0; i < 200 && look(f).weight != WEIGHT_UNSET; i++)
		usleep(20000);
	assert_int_equal(look(f).weight, WEIGHT_UNSET);
}

static void
it_beats(void **state)
{
	struct fixture *f = *state;
	struct region r;
	const char *error;

	start(f, NULL);
	ready(f);
	assert_int_equal(region_attach(f->h.region_fd[REGION_PROCS], REGION_PROCS, procs_layout(),
			     true, &r, &error),
	    1);
	assert_true(atomic_load(&procs_of(&r)->row[3].beat_ms) > 0);
	region_detach(&r);
}

static void
a_spoilt_channel_ends_it(void **state)
{
	struct fixture *f = *state;

	start(f, NULL);
	ready(f);
	msg_begin(&f->m, MSG_COMMIT, 1);
	msg_put_u32(&f->m, 1); /* a field too many */
	assert_int_equal(msg_send(f->chan, &f->m), 1);
	assert_int_equal(WEXITSTATUS(wait_gone(f)), 1);
}

static void
what_it_cannot_open_it_names(void **state)
{
	struct fixture *f = *state;

	f->h.run_dir = "/nonexistent/run";
	start(f, NULL);
	expect(f, f->chan, MSG_FAILED);
	assert_true(str_find(msg_str(&f->m), STR("/nonexistent/run")) >= 0);
	assert_int_equal(WEXITSTATUS(wait_gone(f)), 1);
}

static void
trying_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	char cmd[160];
	int fd = config(f, 1);

	assert_int_equal(keeper_try(fd, f->dir), 0);
	close(fd);
	sets_begin(&f->sets, "file", true);
	sets_route(&f->sets, "r", "/x", "nobody", NULL, NULL);
	fd = sets_end(&f->sets);
	assert_int_equal(keeper_try(fd, f->dir), 1);
	close(fd);
	snprintf(cmd, sizeof(cmd), "test -z \"$(ls -A '%s' | grep -v state.d)\"", f->dir);
	assert_int_equal(system(cmd), 0);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_change_is_prepared_committed_and_rung, setup, teardown),
    TEST_WITH(files_are_for_the_group, setup, teardown),
    TEST_WITH(check_only_changes_nothing, setup, teardown),
    TEST_WITH(an_abort_or_a_refusal_changes_nothing, setup, teardown),
    TEST_WITH(killed_at_any_step, setup, teardown),
    TEST_WITH(killed_at_random_while_it_works, setup, teardown),
    TEST_WITH(another_master_gets_a_new_epoch, setup, teardown),
    TEST_WITH(verdicts_are_in_force_when_answered_and_outlive_it_all, setup, teardown),
    TEST_WITH(verdicts_expire, setup, teardown),
    TEST_WITH(it_beats, setup, teardown),
    TEST_WITH(a_spoilt_channel_ends_it, setup, teardown),
    TEST_WITH(what_it_cannot_open_it_names, setup, teardown),
    TEST_WITH(trying_leaves_nothing, setup, teardown),
};

RUN_TESTS(tests)
