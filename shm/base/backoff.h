/* SPDX-License-Identifier: Apache-2.0
 *
 * How long to wait before trying again: nothing after the first failure, then min, twice that, ...
 * up to max; back to the beginning once something lived longer than max. Pure arithmetic over the
 * caller's clock.
 */
#ifndef GW_BACKOFF_H
#define GW_BACKOFF_H

#include "shm/base/base.h"

struct backoff {
	uint64_t min_ms, max_ms;
	uint64_t started_ms; /* of the latest try; 0 = none yet */
	unsigned failures;   /* in a row */
};

void backoff_init(struct backoff *b, uint64_t min_ms, uint64_t max_ms); /* 0 < min <= max */
void backoff_started(struct backoff *b, uint64_t now_ms);
/* The try that started last has failed: milliseconds to wait before the next. */
uint64_t backoff_failed(struct backoff *b, uint64_t now_ms);
/* The same spread by up to a fifth more, for those who knock at a shared door (call rnd_init
 * before). */
uint64_t backoff_failed_jitter(struct backoff *b, uint64_t now_ms);

#endif
