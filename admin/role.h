/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may do what on the admin socket: the kernel tells uid, gid, groups and pid of the peer; a
 * table maps them to a role.
 */
#ifndef GW_ROLE_H
#define GW_ROLE_H

#include <sys/types.h>

#include "conf/settings.h"
#include "shm/procs.h"

/* What the kernel says of a connected peer. */
struct peer_id {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	gid_t groups[64]; /* supplementary; those past 64 are not looked at */
	unsigned n_groups;
};

/* 1, or -1: not a Unix socket, or the kernel did not say. */
int peer_id_of(int fd, struct peer_id *p_r) NODISCARD;

/* The role (ROLE_*). A process of our own (by pid in the process table) has none: what a worker
 * forwards is judged by its credentials, not by the worker's uid. Then the configured table, first
 * match; then root and `own` are admin, group `viewers` is viewer. */
int role_of(const struct peer_id *p, const struct conf_settings *s, const struct procs *procs,
    uid_t own, gid_t viewers);

const char *role_name(int role); /* "none" "viewer" "admin" */

#endif
