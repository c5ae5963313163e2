/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of shared memory with real processes: children, and a directory of one's own on tmpfs
 * where there is one. Included after harness.h.
 */
#ifndef GW_PROCS_KIT_H
#define GW_PROCS_KIT_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* Runs fn in a child that leaves with what it returns. */
UNUSED static pid_t
kit_start(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for it then */
		_exit(fn(arg));
	}
	return pid;
}

/* Its exit code, or 1000 + the signal that ended it. */
UNUSED static int
kit_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

UNUSED static void
kit_kill(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(kit_wait(pid), 1000 + SIGKILL);
}

/* Memory that children share with the test. */
UNUSED static void *
kit_shared(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

/* Some work done by a child before it is killed: until the counter has moved on by `n`, and then
 * for `us` more, so that it is hit anywhere. */
UNUSED static void
kit_let_run(const _Atomic uint64_t *counter, uint64_t n, unsigned us)
{
	struct timespec nap = {0, (long)us * 1000};
	uint64_t start = atomic_load(counter);

	while (atomic_load(counter) < start + n)
		sched_yield();
	nanosleep(&nap, NULL);
}

UNUSED static char kit_dir[64];

UNUSED static int
kit_dir_make(void **state)
{
	bool tmpfs = access("/dev/shm", W_OK) == 0;

	(void)state;
	snprintf(kit_dir, sizeof(kit_dir), "%s/gw-unit-XXXXXX", tmpfs ? "/dev/shm" : "/tmp");
	return mkdtemp(kit_dir) == NULL ? -1 : 0;
}

UNUSED static int
kit_remove_one(
    const char *path, const struct stat *st UNUSED, int flag UNUSED, struct FTW *ftw UNUSED)
{
	return remove(path);
}

UNUSED static int
kit_dir_remove(void **state)
{
	(void)state;
	return nftw(kit_dir, kit_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A path below the directory; two at a time are good. */
UNUSED static const char *
kit_path(const char *name)
{
	static char path[2][160];
	static unsigned turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", kit_dir, name);
	return path[turn];
}

#endif
