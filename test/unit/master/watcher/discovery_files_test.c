/* SPDX-License-Identifier: Apache-2.0
 *
 * Which changes of configuration files are told, and that many are told once.
 */
#include "test/unit/harness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/watcher/discovery_files.h"
#include "shm/base/clock.h"

struct fixture {
	char dir[64], conf[96];
	struct loop *loop;
	struct discovery_files *files;
	struct timer end;
	unsigned told;
};

static void
told(void *arg)
{
	((struct fixture *)arg)->told++;
}

static void
end(struct timer *t)
{
	loop_stop(container_of(t, struct fixture, end)->loop);
}

/* Long enough for what is to be told. */
static void
run(struct fixture *f)
{
	timer_set(loop_timers(f->loop), &f->end, clock_ms() + FILES_QUIET_MS + 150);
	loop_run(f->loop);
}

static void
write_to(struct fixture *f, const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *error = "";

	strcpy(f->dir, "/tmp/gw-files-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->conf, sizeof(f->conf), "%s/gateway.conf", f->dir);
	write_to(f, "gateway.conf");
	f->loop = loop_new();
	timer_init(&f->end, end);
	f->files = discovery_files_new(f->loop, f->conf, told, f, &error);
	if (f->files == NULL)
		fail_msg("%s", error);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	discovery_files_free(&f->files);
	assert_null(f->files);
	loop_free(&f->loop);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void
many_steps_are_one_change(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 20; i++)
		write_to(f, "gateway.conf");
	run(f);
	assert_int_equal(f->told, 1);
}

static void
a_rename_counts(void **state)
{
	struct fixture *f = *state;
	char from[160];

	write_to(f, "gateway.conf.new");
	run(f);
	assert_int_equal(f->told, 0);
	snprintf(from, sizeof(from), "%s/gateway.conf.new", f->dir);
	assert_int_equal(rename(from, f->conf), 0);
	run(f);
	assert_int_equal(f->told, 1);
}

static void
others_are_none_of_ours(void **state)
{
	struct fixture *f = *state;

	write_to(f, "notes.txt");
	write_to(f, ".gateway.conf.swp");
	run(f);
	assert_int_equal(f->told, 0);
}

static void
conf_d_comes_and_goes(void **state)
{
	struct fixture *f = *state;
	char path[160];

	snprintf(path, sizeof(path), "%s/conf.d", f->dir);
	for (unsigned i = 0; i < 2; i++) {
		unsigned before = f->told;

		assert_int_equal(mkdir(path, 0755), 0);
		run(f);
		assert_int_equal(f->told, before + 1);
		write_to(f, "conf.d/README");
		run(f);
		assert_int_equal(f->told, before + 1);
		write_to(f, "conf.d/a.conf");
		run(f);
		assert_int_equal(f->told, before + 2);
		snprintf(path, sizeof(path), "%s/conf.d/README", f->dir);
		(void)unlink(path);
		snprintf(path, sizeof(path), "%s/conf.d/a.conf", f->dir);
		assert_int_equal(unlink(path), 0);
		snprintf(path, sizeof(path), "%s/conf.d", f->dir);
		assert_int_equal(rmdir(path), 0);
		run(f);
		assert_int_equal(f->told, before + 3);
	}
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(many_steps_are_one_change, setup, teardown),
    TEST_WITH(a_rename_counts, setup, teardown),
    TEST_WITH(others_are_none_of_ours, setup, teardown),
    TEST_WITH(conf_d_comes_and_goes, setup, teardown),
};
RUN_TESTS(tests)
