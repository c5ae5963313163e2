/* SPDX-License-Identifier: Apache-2.0
 *
 * Between state.c and state_check.c only.
 */
#ifndef GW_STATE_PRIV_H
#define GW_STATE_PRIV_H

#include "shm/state.h"

#define STATE_FORMAT   "gateway state"
#define STATE_SCHEMA   1 /* what this binary writes */
#define STATE_READABLE 1 /* the lowest schema whose binaries understand that */

/* Reads the environment in dir, all of it, in a child. 1 sound, 0 damaged or foreign, -1 could not
 * be found out; *error_r says why. */
int state_check(const char *dir, const char **error_r) NODISCARD;

/* A verdict's record. 1, or -1: malformed. Slices borrow from the record. */
int state_verdict_decode(struct str key, struct str record, struct str *service_r,
    struct str *endpoint_r, struct state_verdict *v_r) NODISCARD;

#endif
