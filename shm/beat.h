/* SPDX-License-Identifier: Apache-2.0
 *
 * The heartbeat every child owes the master: twice a second, out of its loop, it writes the time
 * into its row of the process table, and once a second what it uses of the machine. A child whose
 * loop is stuck stops doing so.
 */
#ifndef GW_BEAT_H
#define GW_BEAT_H

#include "shm/base/loop.h"
#include "shm/heritage.h"
#include "shm/procs.h"

#define BEAT_EVERY_MS 500

struct beat;

/* Attaches the process table and beats from now on for as long as the loop turns. NULL, after a
 * line in the log, when there is no table to write to (a program outside the gateway); every
 * function here takes that NULL. */
struct beat *beat_start(struct loop *l, const struct heritage *h);
void beat_stop(struct beat **b);

/* Work that takes long without returning to the loop (a compile) says that it is alive. */
void beat_now(struct beat *b);
/* The generation this process goes by, as `status` shows it. */
void beat_generation(struct beat *b, uint64_t generation);
/* Worker: the endpoints_version after which every set it will look at was read; the keeper reuses
 * rows by it. */
void beat_endpoints(struct beat *b, uint64_t version);
/* The whole table (readiness, draining, log level), NULL without one. */
struct procs *beat_procs(struct beat *b);
/* How many processes of this row died before; 0 when that cannot be told. */
uint32_t beat_restarts(struct beat *b);

#endif
