/* SPDX-License-Identifier: Apache-2.0
 *
 * The fence around a child process: another user, no capability, no new privileges, a list of
 * system calls it does not need. Entered once, after fork and after everything that needs root was
 * handed over, before the child reads its first outside octet. There is no way out.
 */
#ifndef GW_SANDBOX_H
#define GW_SANDBOX_H

#include <sys/types.h>

#include "shm/base/base.h"

enum sandbox_profile {
	SANDBOX_NONE,     /* no filter (what the tests run under) */
	SANDBOX_RESOLVER, /* the common list: for those who ask the system's resolver (loader) */
	SANDBOX_CLOSED,   /* and no sockets but IPv4, IPv6 and Unix: everybody else */
};

struct sandbox {
	uid_t uid; /* with switch_user; never 0 */
	gid_t gid;
	bool switch_user; /* the process is root and is to become uid and gid, no other groups */
	/* Keeps CAP_DAC_READ_SEARCH (root-only key files) where it has it. All else goes, of a root
	 * that stays root too. */
	bool keep_dac_read;
	enum sandbox_profile profile;
};

/* 1, or -1 with *error_r; the process must then exit, for it may be half inside. Afterwards every
 * denied call fails with EPERM. A tie to the parent (proc_wait_parent) made before holds after. */
int sandbox_enter(const struct sandbox *sandbox, const char **error_r) NODISCARD;

#endif
