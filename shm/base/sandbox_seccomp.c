/* SPDX-License-Identifier: Apache-2.0
 *
 * The system-call filter. A list of what is refused, not of what is allowed: libraries of another
 * version make calls nobody wrote down, and a gateway that dies of them is no safer. Refused calls
 * fail with EPERM. io_uring is on the list because what runs through a ring is never filtered.
 */
#include "shm/base/asan.h"
#include "shm/base/sandbox_priv.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* By name, so that those a library or an architecture does not know are passed over. */
static const char *const denied[] = {
    /* other programs */
    "execve",
    "execveat",
/* other processes; LeakSanitizer looks at its own by ptrace */
#ifndef __SANITIZE_ADDRESS__
    "ptrace",
#endif
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_getfd",
    "kcmp",
    /* ways around this filter, and into the kernel */
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "bpf",
    "userfaultfd",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
    "modify_ldt",
    "personality",
    "lookup_dcookie",
    /* the machine */
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "syslog",
    "quotactl",
    "quotactl_fd",
    "nfsservctl",
    "iopl",
    "ioperm",
    "vhangup",
    "sethostname",
    "setdomainname",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    /* the file system as a whole, and files past their directories */
    "mount",
    "umount",
    "umount2",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "fsconfig",
    "fspick",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "open_by_handle_at",
    "name_to_handle_at",
    "fanotify_init",
    "mknod",
    "mknodat",
};

static int
deny_calls(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
		int nr = seccomp_syscall_resolve_name(denied[i]), rc;

		if (nr == __NR_SCMP_ERROR)
			continue;
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), nr, 0);
		if (rc < 0 && rc != -EDOM) /* EDOM: not on this architecture */
			return rc;
	}
	return 0;
}

/* Typing into the terminal the gateway was started from. */
static int
deny_tiocsti(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
	    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCSTI));
}

/* socket() of a family that compares so is refused. */
static int
deny_family(scmp_filter_ctx filter, enum scmp_compare op, uint64_t family)
{
	const struct scmp_arg_cmp cmp = {.arg = 0, .op = op, .datum_a = family};

	return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, &cmp);
}

/* The numbers between and beyond the three families allowed; raw and packet sockets go with them.
 */
static int
deny_sockets(scmp_filter_ctx filter)
{
	int rc = deny_family(filter, SCMP_CMP_GT, AF_INET6);

	for (uint64_t family = 0; rc == 0 && family <= AF_INET6; family++)
		if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
			rc = deny_family(filter, SCMP_CMP_EQ, family);
	return rc;
}

static int
fill(scmp_filter_ctx filter, enum sandbox_profile profile)
{
	int rc = deny_calls(filter);

	if (rc == 0)
		rc = deny_tiocsti(filter);
	if (rc == 0 && profile == SANDBOX_CLOSED)
		rc = deny_sockets(filter);
	return rc;
}

int
sandbox_seccomp(enum sandbox_profile profile, const char **error_r)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int rc;

	if (filter == NULL)
		return sandbox_fail(error_r, "seccomp_init", ENOMEM);
	/* A tree instead of a list of comparisons; and not the mitigation of speculative store
	 * bypass, which older kernels switch on with a filter and which costs every memory access:
	 * nothing runs here that was not compiled in. Both are wishes. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	rc = fill(filter, profile);
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc < 0 ? sandbox_fail(error_r, "seccomp filter", -rc) : 1;
}
