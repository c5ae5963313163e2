/* SPDX-License-Identifier: Apache-2.0
 *
 * What a process does to itself: its title, its descriptors, its tie to the parent, its limits; and
 * what it can say of itself for metrics. Called by master and by every child's recipe.
 */
#ifndef GW_PROC_H
#define GW_PROC_H

#include <sys/types.h>

#include "shm/base/base.h"

/* Once, at the start of main: makes the memory of argv and environ the place of the title. Copies
 * the environment away and returns a copy of argv to be used instead of it. Both live for ever. */
char **proc_title_init(int argc, char **argv);

/* Wipes and forgets every variable of the environment whose name begins with none of the words
 * (NULL-terminated). */
void proc_env_keep(const char *const *words);

/* ps shows "gateway: TEXT", top and the thread name "gw-TEXT" (15 octets). Without proc_title_init,
 * or where there is no room, only the second. */
void proc_title(const char *fmt, ...) PRINTF(1, 2);

/* Closes every descriptor above 2 that is not among the n of `keep` (any order, -1 allowed). */
void proc_close_fds(const int *keep, size_t n);

/* In the child: `signo` (SIGTERM or SIGKILL) is sent to it when its parent dies. 1, or 0 when the
 * parent is not `parent` any more: then nobody will send it. A change of user clears the tie;
 * sandbox_enter takes care of that. */
int proc_wait_parent(pid_t parent, int signo) NODISCARD;

/* Raises the limit of open descriptors to `want`, or as far as it goes. Returns what it is now. */
uint64_t proc_nofile_raise(uint64_t want);

uint64_t proc_rss(void);    /* resident octets */
uint64_t proc_cpu_us(void); /* user and system time */
unsigned proc_fds(void);    /* open descriptors */

#endif
