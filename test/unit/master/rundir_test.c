/* SPDX-License-Identifier: Apache-2.0
 *
 * Directories, lock, log files and pid file, below a directory of the test's own. F-INST-01: one
 * instance per run directory, and many of them on one host.
 */
#include "test/unit/harness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "master/rundir.h"

struct place {
	char dir[64], run[96], disk[96], log[96];
	struct conf_settings s;
	struct users u;
};

static int
set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	umask(022);
	strcpy(p->dir, "/tmp/gw-rundir-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	assert_int_equal(chmod(p->dir, 0755), 0);
	snprintf(p->run, sizeof(p->run), "%s/a/run", p->dir);
	snprintf(p->disk, sizeof(p->disk), "%s/b/state", p->dir);
	snprintf(p->log, sizeof(p->log), "%s/log/error.log", p->dir);
	p->s.run_directory = str_of(p->run);
	p->s.state_directory = str_of(p->disk);
	for (unsigned i = 0; i < PROC_KIND_COUNT; i++)
		p->u.uid[i] = geteuid();
	p->u.gid = getegid();
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

static void
makes_what_is_missing(void **state)
{
	struct place *p = *state;
	const char *error = "";
	struct stat st;

	assert_int_equal(rundir_make(&p->s, &p->u, &error), 1);
	assert_int_equal(stat(p->run, &st), 0);
	assert_int_equal(stat(p->disk, &st), 0);
	assert_int_equal(rundir_make(&p->s, &p->u, &error), 1); /* again */
}

static void
says_what_cannot_be_made(void **state)
{
	struct place *p = *state;
	const char *error = "";
	char file[96];

	snprintf(file, sizeof(file), "%s/a", p->dir);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(rundir_make(&p->s, &p->u, &error), -1);
	assert_non_null(strstr(error, p->run));
	assert_non_null(strstr(error, "Not a directory"));
}

static void
root_gives_them_away(void **state)
{
	struct place *p = *state;
	const char *error = "";
	struct stat st;

	if (geteuid() != 0)
		skip();
	p->u.own = true;
	p->u.uid[PROC_KEEPER] = 61200;
	p->u.uid[PROC_WORKER] = 61201;
	p->u.gid = 61299;
	assert_int_equal(rundir_make(&p->s, &p->u, &error), 1);
	assert_int_equal(stat(p->run, &st), 0);
	assert_int_equal(st.st_uid, 61200);
	assert_int_equal(st.st_gid, 61299);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(stat(p->disk, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	/* A directory on the way that children may not pass is named. */
	assert_int_equal(chmod(p->dir, 0700), 0);
	assert_int_equal(rundir_make(&p->s, &p->u, &error), -1);
	assert_non_null(strstr(error, "may not pass"));
	assert_non_null(strstr(error, "mode 0700"));
}

static void
a_shared_directory_is_not_taken(void **state)
{
	struct place *p = *state;
	const char *error = "";

	if (geteuid() != 0)
		skip();
	p->u.own = true;
	p->u.gid = 61299;
	p->s.run_directory = STR("/tmp");
	assert_int_equal(rundir_make(&p->s, &p->u, &error), -1);
	assert_non_null(strstr(error, "everybody may write"));
}

static void
a_link_is_not_followed(void **state)
{
	struct place *p = *state;
	const char *error = "";
	char link[96];

	snprintf(link, sizeof(link), "%s/link", p->dir);
	assert_int_equal(symlink("/etc", link), 0);
	p->s.run_directory = str_of(link);
	assert_int_equal(rundir_make(&p->s, &p->u, &error), -1);
	assert_non_null(strstr(error, link));
}

static void
one_instance(void **state)
{
	struct place *p = *state;
	const char *error = "";
	char pid[32];
	int fd, again;

	assert_int_equal(rundir_make(&p->s, &p->u, &error), 1);
	fd = rundir_lock(p->run, &error);
	assert_true(fd >= 0);
	again = rundir_lock(p->run, &error);
	assert_int_equal(again, -1);
	snprintf(pid, sizeof(pid), "locked by pid %ld:", (long)getpid());
	assert_non_null(strstr(error, pid));
	close(fd);
	again = rundir_lock(p->run, &error);
	assert_true(again >= 0);
	close(again);
}

static void
logs_are_made_with_their_directory(void **state)
{
	struct place *p = *state;
	const char *error = "";
	struct stat st;

	assert_int_equal(rundir_log(STR("stderr"), &p->u, &error), 1);
	assert_int_equal(rundir_log(STR(""), &p->u, &error), 1);
	assert_int_equal(rundir_log(str_of(p->log), &p->u, &error), 1);
	assert_int_equal(stat(p->log, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	if (geteuid() != 0)
		return;
	/* Made anew after a move: the logger's user gets it. */
	assert_int_equal(unlink(p->log), 0);
	p->u.own = true;
	p->u.uid[PROC_LOGGER] = 61203;
	p->u.gid = 61299;
	assert_int_equal(rundir_log(str_of(p->log), &p->u, &error), 1);
	assert_int_equal(stat(p->log, &st), 0);
	assert_int_equal(st.st_uid, 61203);
}

static void
a_log_that_cannot_be_is_named(void **state)
{
	struct place *p = *state;
	const char *error = "";

	snprintf(p->log, sizeof(p->log), "%s", p->dir);
	assert_int_equal(rundir_log(str_of(p->log), &p->u, &error), -1);
	assert_non_null(strstr(error, "cannot open log"));
	assert_non_null(strstr(error, p->dir));
}

static void
pid_file(void **state)
{
	struct place *p = *state;
	const char *error = "";
	char path[128], text[32] = "", want[32];
	int fd;

	assert_int_equal(pidfile_write("", &error), 1);
	snprintf(path, sizeof(path), "%s/x/gateway.pid", p->dir);
	assert_int_equal(pidfile_write(path, &error), 1);
	assert_int_equal(pidfile_write(path, &error), 1); /* over an old one */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	snprintf(want, sizeof(want), "%ld\n", (long)getpid());
	assert_string_equal(text, want);
	pidfile_remove(path);
	assert_int_equal(access(path, F_OK), -1);
	pidfile_remove("");
}

#define CASE(f) TEST_WITH(f, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(makes_what_is_missing),
    CASE(says_what_cannot_be_made),
    CASE(root_gives_them_away),
    CASE(a_shared_directory_is_not_taken),
    CASE(a_link_is_not_followed),
    CASE(one_instance),
    CASE(logs_are_made_with_their_directory),
    CASE(a_log_that_cannot_be_is_named),
    CASE(pid_file),
};
RUN_TESTS(tests)
