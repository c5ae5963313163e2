/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "shm/base/bug.h"

struct fixture {
	uint32_t magic;
};

/* Runs fn in a child whose stderr is kept; returns its wait status. */
static int
in_child(void (*fn)(void), char *said, size_t cap)
{
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit no_core = {0, 0};

		/* CMocka would turn the abort into a jump back into the test. */
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(fds[1]);
	n = read(fds[0], said, cap - 1);
	said[n > 0 ? n : 0] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
trip(void)
{
	BUG_ON(1 + 1 == 2);
}

static void
trip_magic(void)
{
	struct fixture f = {.magic = 7}, *p = &f;

	CHECK_MAGIC(p, 7);
	CHECK_MAGIC(p, 8);
}

static void
run_out(void)
{
	oom_fail(12345);
}

static void
bugs_abort_and_say_where(void **state)
{
	char said[512];
	int status = in_child(trip, said, sizeof(said));

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(said, "bug_test.c"));
	assert_non_null(strstr(said, "1 + 1 == 2"));
	status = in_child(trip_magic, said, sizeof(said));
	assert_true(WIFSIGNALED(status));
	assert_non_null(strstr(said, "magic"));
}

static void
memory_runs_out_with_70(void **state)
{
	char said[512];
	int status = in_child(run_out, said, sizeof(said));

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EX_SOFTWARE);
	assert_non_null(strstr(said, "12345"));
}

static void
allocation(void **state)
{
	char *p = xmalloc(0);

	(void)state;
	p = xrealloc(p, 10);
	memcpy(p, "123456789", 10);
	p = xrealloc(p, 1000);
	assert_string_equal(p, "123456789");
	free(p);
	p = xcalloc(10, 10);
	assert_int_equal(p[99], 0);
	free(p);
	free(xcalloc(0, 0));
	p = xstrdup("copy");
	assert_string_equal(p, "copy");
	free(p);
}

static const struct CMUnitTest tests[] = {
    TEST(bugs_abort_and_say_where),
    TEST(memory_runs_out_with_70),
    TEST(allocation),
};
RUN_TESTS(tests)
