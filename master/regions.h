/* SPDX-License-Identifier: Apache-2.0
 *
 * The shared regions, made by the master once the settings say how large, and the descriptors every
 * child inherits.
 */
#ifndef GW_REGIONS_H
#define GW_REGIONS_H

#include "master/master.h"

/* Regions, the log pipe, the logger's bell, mailboxes, keeper's line to admin. -1 with *error_r. */
int regions_make(struct master *m, const char **error_r) NODISCARD;
/* A worker is about to have this slot for the first time, maybe: memory for its metrics and its
 * access-log ring. What no worker ever had takes none. -1 with *error_r. */
int regions_slot(struct master *m, unsigned slot, const char **error_r) NODISCARD;

#endif
