/* SPDX-License-Identifier: Apache-2.0
 *
 * Part of the child recipe (C-1): title, descriptors, tie to the parent, and the readers for
 * metrics.
 */
#include "test/unit/harness.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "shm/base/proc.h"

static int
wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int
close_in_child(void)
{
	int keep[3] = {60, -1, 40};

	for (int fd = 30; fd < 70; fd++)
		if (dup2(STDERR_FILENO, fd) != fd)
			return 1;
	proc_close_fds(keep, 3);
	for (int fd = 0; fd < 100; fd++)
		if (is_open(fd) != (fd <= 2 || fd == 40 || fd == 60))
			return 2;
	proc_close_fds(NULL, 0);
	return is_open(40) || is_open(60) ? 3 : 0;
}

static void
closing_descriptors(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(close_in_child());
	assert_int_equal(wait_for(pid), 0);
}

/* The middle process dies; its child is told. */
static void
tie_to_the_parent(void **state)
{
	int fds[2];
	struct pollfd pfd;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		pid_t middle = getpid();

		if (fork() == 0) {
			if (proc_wait_parent(middle, SIGKILL) != 1 || write(fds[1], "r", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		close(fds[1]);
		_exit(read(fds[0], &c, 1) == 1 ? 0 : 1);
	}
	close(fds[1]);
	assert_int_equal(wait_for(pid), 0);
	pfd = (struct pollfd){.fd = fds[0], .events = POLLIN};
	assert_int_equal(poll(&pfd, 1, 5000), 1); /* hung up: the last writer is gone */
	assert_int_equal(read(fds[0], &c, 1), 0);
	close(fds[0]);
}

static void
parent_gone_before(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(proc_wait_parent(1 << 22, SIGTERM) == 0 ? 0 : 1);
	assert_int_equal(wait_for(pid), 0);
}

static int
raise_in_child(void)
{
	struct rlimit low = {64, 128}, now;
	uint64_t got;

	if (setrlimit(RLIMIT_NOFILE, &low) < 0)
		return 1;
	if (proc_nofile_raise(32) != 64 || proc_nofile_raise(100) != 100)
		return 2;
	/* Past the hard limit with CAP_SYS_RESOURCE, else up to it. */
	got = proc_nofile_raise(200);
	getrlimit(RLIMIT_NOFILE, &now);
	return (got == 200 || got == 128) && now.rlim_cur == got && now.rlim_max == got ? 0 : 3;
}

static void
raising_the_limit(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(raise_in_child());
	assert_int_equal(wait_for(pid), 0);
}

static int
fds_in_child(void)
{
	unsigned before = proc_fds();
	int fds[2];

	if (before < 3 || pipe(fds) < 0 || proc_fds() != before + 2)
		return 1;
	/* As after a change of user: /proc/self/fd cannot be listed. */
	prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
	return proc_fds() == before + 2 && proc_rss() > 0 ? 0 : 2;
}

static void
readers(void **state)
{
	volatile unsigned spin = 0;
	uint64_t cpu = proc_cpu_us(), rss = proc_rss();
	volatile char *p = malloc(32 << 20);
	pid_t pid;

	(void)state;
	assert_true(rss > 100000);
	for (size_t i = 0; i < 32 << 20; i += 1024)
		p[i] = 1;
	assert_true(proc_rss() > rss + (16 << 20));
	free((void *)p);
	while (proc_cpu_us() == cpu)
		spin++;
	pid = fork();
	if (pid == 0)
		_exit(fds_in_child());
	assert_int_equal(wait_for(pid), 0);
}

static size_t
read_self(const char *path, char *out, size_t cap)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, out, cap - 1);

	close(fd);
	out[n > 0 ? n : 0] = '\0';
	return strlen(out);
}

static void
title(void **state)
{
	char text[4096], name[64];

	(void)state;
	proc_title("%s %d", "worker", 3);
	read_self("/proc/self/cmdline", text, sizeof(text));
	assert_string_equal(text, "gateway: worker 3");
	read_self("/proc/self/comm", name, sizeof(name));
	assert_string_equal(name, "gw-worker 3\n");
	proc_title("%s", "a");
	read_self("/proc/self/cmdline", text, sizeof(text));
	assert_string_equal(text, "gateway: a");
	proc_title("%0500d", 1); /* cut, no harm */
	read_self("/proc/self/cmdline", text, sizeof(text));
	assert_memory_equal(text, "gateway: 0000", 13);
	assert_non_null(getenv("PATH")); /* the environment was moved out of the way */
}

static const struct CMUnitTest tests[] = {
    TEST(closing_descriptors),
    TEST(tie_to_the_parent),
    TEST(parent_gone_before),
    TEST(raising_the_limit),
    TEST(readers),
    TEST(title),
};

int
main(int argc, char **argv)
{
	char **copy = proc_title_init(argc, argv);
	int rc = harness_run(argc, copy, tests, ARRAY_LEN(tests), NULL, NULL);

	for (int i = 0; i < argc; i++)
		free(copy[i]);
	free(copy);
	return rc;
}
