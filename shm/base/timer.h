/* SPDX-License-Identifier: Apache-2.0
 *
 * Timers in a hierarchical wheel of one-millisecond ticks: set and stop are O(1) and allocate
 * nothing.
 */
#ifndef GW_TIMER_H
#define GW_TIMER_H

#include "shm/base/base.h"
#include "shm/base/list.h"

struct timer {
	struct list node;
	uint64_t at_ms;   /* 0: not set */
	uint64_t hung_ms; /* the wheel's: when it is looked at, no later than at_ms */
	void (*fn)(struct timer *t);
};

struct timers;
struct timers *timers_new(uint64_t now_ms);
void timers_free(struct timers **w);

void timer_init(struct timer *t, void (*fn)(struct timer *t));
/* re-arms when set; a time gone by fires next turn */
void timer_set(struct timers *w, struct timer *t, uint64_t at_ms);
void timer_stop(struct timer *t); /* harmless when not set */
/* The same for one that is set again soon: the wheel keeps it where it hangs, and drops it when the
 * time comes. timer_stop before its memory goes or it is initialized anew. */
void timer_rest(struct timer *t);
bool timer_is_set(const struct timer *t);

/* Runs everything due at now_ms. A callback may set and stop any timer, its own too. Returns how
 * many ran. */
unsigned timers_run(struct timers *w, uint64_t now_ms);
/* Milliseconds until the next timer could be due: 0 now, -1 none set. May be early, never late. */
int timers_wait(const struct timers *w, uint64_t now_ms);

#endif
