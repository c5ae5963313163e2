/* SPDX-License-Identifier: Apache-2.0
 *
 * See backoff.h.
 */
#include "shm/base/backoff.h"

#include "shm/base/rnd.h"

void
backoff_init(struct backoff *b, uint64_t min_ms, uint64_t max_ms)
{
	*b = (struct backoff){.min_ms = MAX(min_ms, 1)};
	b->max_ms = MAX(max_ms, b->min_ms);
}

void
backoff_started(struct backoff *b, uint64_t now_ms)
{
	b->started_ms = now_ms;
}

uint64_t
backoff_failed(struct backoff *b, uint64_t now_ms)
{
	uint64_t wait = b->min_ms;

	if (b->started_ms != 0 && now_ms - b->started_ms > b->max_ms)
		b->failures = 0;
	b->started_ms = 0;
	if (b->failures++ == 0)
		return 0;
	for (unsigned i = 2; i < b->failures; i++) {
		if (wait > b->max_ms / 2)
			return b->max_ms;
		wait *= 2;
	}
	return wait;
}

uint64_t
backoff_failed_jitter(struct backoff *b, uint64_t now_ms)
{
	uint64_t wait = backoff_failed(b, now_ms);

	return wait + rnd_below(wait / 5 + 1);
}
