/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and directories the master prepares for its children while it can: the run directory (one
 * instance holds its lock), the state directory, the directories and files of logs, the pid file.
 * Called at start, and for log files again at USR1.
 */
#ifndef GW_RUNDIR_H
#define GW_RUNDIR_H

#include "conf/settings.h"
#include "master/users.h"

/* Makes run and state directory with their owners and modes. 1, or -1 with *error_r. */
int rundir_make(
    const struct conf_settings *s, const struct users *u, const char **error_r) NODISCARD;
/* Takes the instance's lock. The descriptor, which children inherit: so the lock is free only when
 * the last of them has gone. -1: "... locked by pid N". */
int rundir_lock(const char *dir, const char **error_r) NODISCARD;
/* The log's file exists and the logger's user may write it. Nothing to do for stdout, stderr and
 * "". */
int rundir_log(struct str path, const struct users *u, const char **error_r) NODISCARD;

int pidfile_write(const char *path, const char **error_r) NODISCARD; /* "" is fine: none */
void pidfile_remove(const char *path);

#endif
