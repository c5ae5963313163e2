/* SPDX-License-Identifier: Apache-2.0
 *
 * The arena's sweep: verdicts and ejections whose time is over are ended, by prober alone. Rows
 * without an end in time are not written to.
 */
#ifndef GW_SWEEP_H
#define GW_SWEEP_H

#include "shm/arena.h"

/* Called for a row that came back: what was it? */
enum sweep_what { SWEEP_VERDICT, SWEEP_EJECTION };
typedef void sweep_f(void *arg, uint32_t row, enum sweep_what what, uint32_t verdict);

void sweep_arena(struct arena *a, uint64_t now_ms, uint64_t wall_us, sweep_f *fn, void *arg);

#endif
