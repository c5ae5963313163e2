/* SPDX-License-Identifier: Apache-2.0
 *
 * The fence around children (C-1): another user, no capability, refused system calls. Each case
 * runs in a child of its own. What needs root is skipped without it.
 */
#include "test/unit/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "shm/base/asan.h"
#include "shm/base/proc.h"
#include "shm/base/sandbox.h"

#define SOME_ID 65534

/* In the child: leaves with the line of the first thing that is not so. The line fits an exit code
 * only modulo 256, which is enough to find it. */
#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #cond,     \
			    strerror(errno));                                                      \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

#define REFUSED(call) REQUIRE((errno = 0, (call)) < 0 && errno == EPERM)

static void
in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
enter(struct sandbox s)
{
	const char *error = NULL;

	if (sandbox_enter(&s, &error) != 1) {
		fprintf(stderr, "%s\n", error);
		_exit(1);
	}
}

static uint32_t
permitted(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	REQUIRE(syscall(SYS_capget, &head, data) == 0);
	REQUIRE(data[1].permitted == 0);
	REQUIRE(data[0].permitted == data[0].effective);
	return data[0].permitted;
}

static void
common_list(void)
{
	char name[] = "true", *const argv[] = {name, NULL};

	REFUSED(execv("/bin/true", argv));
	REFUSED(mount("none", "/nowhere", "tmpfs", 0, NULL));
	REFUSED(unshare(0));
	REFUSED(chroot("/"));
	REFUSED(syscall(SYS_bpf, 0, NULL, 0));
	REFUSED(syscall(SYS_userfaultfd, 0));
	REFUSED(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	REFUSED(syscall(SYS_kexec_load, 0, 0, NULL, 0));
	REFUSED(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
	REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
	REFUSED(syscall(SYS_io_uring_enter, 0, 0, 0, 0, NULL, 0));
	REFUSED(ioctl(0, TIOCSTI, "x"));
#ifndef __SANITIZE_ADDRESS__
	REFUSED(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
#endif
}

/* What our libraries and we ourselves do all day. */
static void
daily_work(void)
{
	int fds[2], fd;

	REQUIRE(pipe(fds) == 0);
	REQUIRE(write(fds[1], "x", 1) == 1);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	REQUIRE(fd >= 0);
	close(fd);
	free(malloc(8 << 20));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	REQUIRE(fd >= 0);
	close(fd);
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	REQUIRE(fd >= 0);
	close(fd);
	REQUIRE(proc_fds() > 3);
	REQUIRE(kill(getpid(), 0) == 0);
}

static void
closed_profile(void)
{
	enter((struct sandbox){.profile = SANDBOX_CLOSED});
	common_list();
	daily_work();
	REFUSED(socket(AF_NETLINK, SOCK_RAW, 0));
	REFUSED(socket(AF_PACKET, SOCK_RAW, 0));
	REFUSED(socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0));
	REFUSED(syscall(SYS_socket, (1L << 32) | AF_NETLINK, SOCK_RAW, 0));
	REQUIRE(prctl(PR_GET_NO_NEW_PRIVS, 0UL, 0UL, 0UL, 0UL) == 1);
	REQUIRE(permitted() == 0);
}

static void
resolver_profile(void)
{
	int fd;

	enter((struct sandbox){.profile = SANDBOX_RESOLVER});
	common_list();
	daily_work();
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0); /* getaddrinfo asks for interfaces */
	REQUIRE(fd >= 0);
	close(fd);
}

static void
no_filter(void)
{
	char name[] = "true", *const argv[] = {name, NULL};

	enter((struct sandbox){.profile = SANDBOX_NONE});
	REQUIRE(permitted() == 0);
	execv("/bin/true", argv);
	_exit(1);
}

static void
another_user(void)
{
	gid_t group = 1;
	uid_t r, e, s;

	REQUIRE(setgroups(1, &group) == 0);
	enter((struct sandbox){
	    .switch_user = true, .uid = SOME_ID, .gid = SOME_ID, .profile = SANDBOX_CLOSED});
	REQUIRE(getresuid(&r, &e, &s) == 0 && r == SOME_ID && e == SOME_ID && s == SOME_ID);
	REQUIRE(getgid() == SOME_ID && getegid() == SOME_ID && getgroups(0, NULL) == 0);
	REFUSED(setuid(0));
	REFUSED(setgid(0));
	REFUSED(setgroups(1, &group));
	REQUIRE(permitted() == 0);
	REQUIRE(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
	REQUIRE(proc_fds() >= 3 && proc_rss() > 0);
	common_list();
}

static void
key_reader(void)
{
	int fd;

	enter((struct sandbox){.switch_user = true,
	    .uid = SOME_ID,
	    .gid = SOME_ID,
	    .keep_dac_read = true,
	    .profile = SANDBOX_RESOLVER});
	REQUIRE(permitted() == 1u << CAP_DAC_READ_SEARCH);
	fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	close(fd);
	REQUIRE(open("/etc/shadow", O_RDWR) < 0 && errno == EACCES);
	REFUSED(setuid(0));
}

static void
keeps_the_tie(void)
{
	int signo = 0;

	REQUIRE(proc_wait_parent(getppid(), SIGTERM) == 1);
	enter((struct sandbox){.switch_user = true, .uid = SOME_ID, .gid = SOME_ID});
	REQUIRE(prctl(PR_GET_PDEATHSIG, &signo, 0UL, 0UL, 0UL) == 0);
	REQUIRE(signo == SIGTERM);
}

static void
root_as_the_other_user(void)
{
	const char *error = NULL;

	REQUIRE(sandbox_enter(&(struct sandbox){.switch_user = true, .gid = SOME_ID}, &error) < 0);
	REQUIRE(error != NULL && strstr(error, "root") != NULL);
}

static void
switch_without_root(void)
{
	const char *error = NULL;
	const struct sandbox s = {.switch_user = true, .uid = 12345, .gid = 12345};

	if (getuid() == 0)
		enter((struct sandbox){.switch_user = true, .uid = SOME_ID, .gid = SOME_ID});
	REQUIRE(sandbox_enter(&s, &error) < 0);
	REQUIRE(error != NULL);
}

/* Once inside, entering again works and takes nothing back. */
static void
twice(void)
{
	enter((struct sandbox){.profile = SANDBOX_CLOSED});
	enter((struct sandbox){.profile = SANDBOX_RESOLVER});
	REFUSED(socket(AF_NETLINK, SOCK_RAW, 0));
}

#define CASE(fn)                                                                                   \
	static void test_##fn(void **state)                                                        \
	{                                                                                          \
		(void)state;                                                                       \
		in_child(fn);                                                                      \
	}
#define ROOT_CASE(fn)                                                                              \
	static void test_##fn(void **state)                                                        \
	{                                                                                          \
		(void)state;                                                                       \
		if (geteuid() != 0)                                                                \
			skip();                                                                    \
		in_child(fn);                                                                      \
	}

CASE(closed_profile)
CASE(resolver_profile)
CASE(no_filter)
CASE(root_as_the_other_user)
CASE(switch_without_root)
CASE(twice)
ROOT_CASE(another_user)
ROOT_CASE(key_reader)
ROOT_CASE(keeps_the_tie)

static const struct CMUnitTest tests[] = {
    TEST(test_closed_profile),
    TEST(test_resolver_profile),
    TEST(test_no_filter),
    TEST(test_root_as_the_other_user),
    TEST(test_switch_without_root),
    TEST(test_twice),
    TEST(test_another_user),
    TEST(test_key_reader),
    TEST(test_keeps_the_tie),
};
RUN_TESTS(tests)
