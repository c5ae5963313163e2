/* SPDX-License-Identifier: Apache-2.0
 *
 * Who the children are. Started as root, every kind runs as a user of its own: <prefix>-<kind>,
 * group <prefix>, where the system has them; else under numbers of their own out of the range
 * systemd keeps for users made up on the spot. Started as anybody else, everything runs as the
 * caller.
 */
#ifndef GW_USERS_H
#define GW_USERS_H

#include <sys/types.h>

#include "shm/base/str.h"
#include "shm/heritage.h"

#define USERS_FIRST 61184 /* systemd: DynamicUser= */
#define USERS_LAST  65519

struct users {
	bool own;     /* children get other users than the master's */
	bool numbers; /* some of them are no users the system knows */
	uid_t uid[PROC_KIND_COUNT];
	gid_t gid;      /* of all of them */
	char said[256]; /* one line for the log */
};

/* Where names are looked up: the system, or a test. */
struct users_source {
	int (*user)(const char *name, uid_t *uid_r);  /* 1 or 0 */
	int (*group)(const char *name, gid_t *gid_r); /* 1 or 0 */
	bool (*taken)(unsigned number);               /* a user or group the system knows */
};
extern const struct users_source users_system;

/* privileged: the caller may change users. An empty prefix keeps everything under the caller too.
 * seed spreads instances over the range. -1 with *error_r when the range is used up. */
int users_resolve(struct users *u, const struct users_source *from, bool privileged,
    struct str prefix, uint64_t seed, const char **error_r) NODISCARD;
/* May this process change users? */
bool users_privileged(void);

#endif
