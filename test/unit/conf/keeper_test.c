/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper process as its master sees it: prepare, commit, abort; killed at every step
 * and replaced. C-1: any child may be killed at any time, nothing shared is
 * corrupted.
 */
#include "test/unit/conf/keeper_kit.h"

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
	} files[] = {{"map-3-1", 0770}, {"map-3-1/data.mdb", 0640}, {"map-3-1/lock.mdb", 0660},
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
	assert_true(change_all(f, 1, config(f, 2)).ok);
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
	struct keeper_tried tried = {.wants = -2};
	int fd = config(f, 1);

	assert_int_equal(keeper_try(fd, f->dir, &tried), 0);
	assert_int_equal(tried.wants, -1);
	assert_int_equal(tried.count[CONF_SETTINGS], 1);
	assert_int_equal(tried.count[CONF_LISTENER], 1);
	assert_int_equal(tried.count[CONF_CERTIFICATE], 0);
	close(fd);
	sets_begin(&f->sets, "file", true);
	sets_route(&f->sets, "r", "/x", "nobody", NULL, NULL);
	fd = sets_end(&f->sets);
	assert_int_equal(keeper_try(fd, f->dir, &tried), 1);
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
    TEST_WITH(it_beats, setup, teardown),
    TEST_WITH(a_spoilt_channel_ends_it, setup, teardown),
    TEST_WITH(what_it_cannot_open_it_names, setup, teardown),
    TEST_WITH(trying_leaves_nothing, setup, teardown),
};

RUN_TESTS(tests)
