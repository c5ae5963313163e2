/* SPDX-License-Identifier: Apache-2.0
 *
 * Randomness. rnd_bytes is the kernel's; rnd_u64 is a fast per-process generator seeded from it,
 * for jitter, sampling and ids that need to be unique but not secret. Call rnd_init after every
 * fork.
 */
#ifndef GW_RND_H
#define GW_RND_H

#include "shm/base/base.h"

void rnd_init(void);
void rnd_bytes(void *p, size_t n);
uint64_t rnd_u64(void);
uint64_t rnd_below(uint64_t n); /* uniform in [0, n), n > 0 */
double rnd_unit(void);          /* uniform in [0, 1) */

#endif
