/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper process: the only writer of map, arena rows and state. Change set -> check -> compile
 * -> prepare -> commit -> ring.
 */
#ifndef GW_KEEPER_H
#define GW_KEEPER_H

#include "conf/object.h"
#include "shm/heritage.h"

proc_main_f keeper_main;
/* gateway -t: the same check and compile, into a throwaway epoch below a directory of its own.
 * Returns the exit status; the report goes to stdout. With 0, *tried_r says what there is. */
struct keeper_tried {
	uint64_t count[CONF_KIND_COUNT]; /* objects */
	int wants; /* a sealed change set of those that name keys and certificates, the caller's to
		      close; -1: there are none */
};
int keeper_try(int changeset_fd, const char *tmp_parent, struct keeper_tried *tried_r);

#endif
