/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaving gracefully: go on accepting for a while, then close what is idle and answer the rest with
 * Connection: close, then leave; at the deadline what is left is cut off.
 */
#ifndef GW_DRAIN_H
#define GW_DRAIN_H

#include "shm/base/base.h"

struct worker;

void drain_begin(struct worker *w, uint64_t min_ms, uint64_t deadline_ms);
/* A connection ended: leaves when none is left. */
void drain_check(struct worker *w);

#endif
