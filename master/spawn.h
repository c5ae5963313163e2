/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting a child: the descriptors it gets, the fork, and (recipe.c) what it does to itself before
 * its main.
 */
#ifndef GW_SPAWN_H
#define GW_SPAWN_H

#include "master/master.h"

/* 1 forked (state is then CHILD_STARTING), -1 with *error_r: there is no process or descriptor to
 * be had. */
int spawn_child(struct child *c, const char **error_r) NODISCARD;

/* recipe.c: the child's side. Never returns. lock_fd: of the run directory, held by all. quiet:
 * stdout and stderr of whoever started a daemon are left alone. */
void recipe_run(const struct kind *k, const struct heritage *h, const struct users *u, int lock_fd,
    bool quiet) NORETURN;

#endif
