/* SPDX-License-Identifier: Apache-2.0
 *
 * Dropping privileges: groups, gid, uid, capabilities, each verified, since a call that silently
 * did not work is worse than none. System calls are shut out by sandbox_seccomp.c.
 */
#include "shm/base/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm/base/sandbox_priv.h"

static struct sandbox_state {
	char error[160];
} state;

int
sandbox_fail(const char **error_r, const char *what, int err)
{
	snprintf(state.error, sizeof(state.error), "%s: %s", what, strerror(err));
	*error_r = state.error;
	return -1;
}

static int
switch_user(const struct sandbox *s, const char **error_r)
{
	if (s->uid == 0 || s->gid == 0)
		return sandbox_fail(error_r, "refusing to run a child as root", EINVAL);
	if (prctl(PR_SET_KEEPCAPS, s->keep_dac_read ? 1UL : 0UL, 0UL, 0UL, 0UL) < 0)
		return sandbox_fail(error_r, "PR_SET_KEEPCAPS", errno);
	if (setgroups(0, NULL) < 0)
		return sandbox_fail(error_r, "setgroups", errno);
	if (setresgid(s->gid, s->gid, s->gid) < 0)
		return sandbox_fail(error_r, "setresgid", errno);
	if (setresuid(s->uid, s->uid, s->uid) < 0)
		return sandbox_fail(error_r, "setresuid", errno);
	return 1;
}

static int
verify_user(const struct sandbox *s, const char **error_r)
{
	uid_t r, e, v;
	gid_t gr, ge, gv;

	if (getresuid(&r, &e, &v) < 0 || getresgid(&gr, &ge, &gv) < 0)
		return sandbox_fail(error_r, "getresuid", errno);
	if (r != s->uid || e != s->uid || v != s->uid || gr != s->gid || ge != s->gid ||
	    gv != s->gid || getgroups(0, NULL) != 0)
		return sandbox_fail(error_r, "the change of user did not take", EPERM);
	if (setuid(0) == 0 || setgid(0) == 0) /* lint: allow, to see them fail */
		return sandbox_fail(
		    error_r, "root can be had back after the change of user", EPERM);
	return 1;
}

/* A bounding set cannot be emptied without CAP_SETPCAP; then there is nothing worth it either. */
static void
drop_bounding_set(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0UL, 0UL, 0UL) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0UL, 0UL, 0UL);
}

static int
caps_get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capget, &head, data);
}

static int
caps_set(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capset, &head, data);
}

static int
drop_capabilities(bool keep_dac_read, const char **error_r)
{
	struct __user_cap_data_struct want[2] = {{0}}, have[2];
	uint32_t dac = keep_dac_read ? 1u << CAP_DAC_READ_SEARCH : 0;

	if (caps_get(have) < 0)
		return sandbox_fail(error_r, "capget", errno);
	want[0].permitted = want[0].effective = have[0].permitted & dac;
	prctl(PR_CAP_AMBIENT, (unsigned long)PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL);
	if (caps_set(want) < 0)
		return sandbox_fail(error_r, "capset", errno);
	if (caps_get(have) < 0)
		return sandbox_fail(error_r, "capget", errno);
	if (memcmp(have, want, sizeof(want)) != 0)
		return sandbox_fail(error_r, "capabilities are left", EPERM);
	return 1;
}

/* The change of user cleared the tie to the parent; a parent that died meanwhile sent nothing. */
static void
tie_again(pid_t parent, int signo)
{
	if (signo == 0)
		return;
	prctl(PR_SET_PDEATHSIG, (unsigned long)signo, 0UL, 0UL, 0UL);
	if (getppid() != parent)
		raise(signo);
}

int
sandbox_enter(const struct sandbox *s, const char **error_r)
{
	pid_t parent = getppid();
	int tie = 0;

	prctl(PR_GET_PDEATHSIG, &tie, 0UL, 0UL, 0UL);
	drop_bounding_set();
	if (s->switch_user && switch_user(s, error_r) < 0)
		return -1;
	if (drop_capabilities(s->keep_dac_read, error_r) < 0 ||
	    (s->switch_user && verify_user(s, error_r) < 0))
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) < 0)
		return sandbox_fail(error_r, "PR_SET_NO_NEW_PRIVS", errno);
	tie_again(parent, tie);
	return s->profile == SANDBOX_NONE ? 1 : sandbox_seccomp(s->profile, error_r);
}
