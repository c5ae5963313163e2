/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper process: the only writer of map, arena rows and state. Change set -> check -> compile
 * -> prepare -> commit -> ring.
 */
#ifndef GW_KEEPER_H
#define GW_KEEPER_H

#include "shm/heritage.h"

proc_main_f keeper_main;
/* gateway -t: the same check and compile, into a throwaway epoch below a directory of its own.
 * Returns the exit status; the report goes to stdout. With 0, *wants_fd_r is a sealed change set of
 * the objects that name keys and certificates, the caller's to close, or -1: there is none. */
int keeper_try(int changeset_fd, const char *tmp_parent, int *wants_fd_r);

#endif
