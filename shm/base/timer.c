/* SPDX-License-Identifier: Apache-2.0
 *
 * The timer wheel. Time is read as digits of six bits; a timer hangs on the level of the highest
 * digit in which its time differs from the wheel's, in the slot of that digit. So everything on a
 * level is due before anything on the next, a level holds only slots ahead of the wheel's own
 * digit, and eleven levels reach to the end of time. Turning the wheel jumps from one occupied slot
 * to the next: a slot of level 0 is due, a slot of a higher level is spread over the levels below
 * it.
 *
 * A deadline is mostly put off before it comes, or given up: the timer stays where it hangs, and is
 * hung anew, or dropped, when its slot comes up. So a connection that is busy moves once in the
 * time of its deadline, not with every message.
 *
 * A bitmap per level says which slots may be occupied. Stopping a timer does not know its wheel and
 * leaves the bit; whoever finds the slot empty clears it.
 */
#include "shm/base/timer.h"

#include <limits.h>

#include "shm/base/bug.h"

#define SLOT_BITS 6
#define SLOTS     (1u << SLOT_BITS)
#define LEVELS    11 /* 11 * 6 >= 64 */

struct timers {
	uint64_t now; /* everything up to this is due or has run */
	uint64_t maybe[LEVELS];
	struct list due;
	struct list slot[LEVELS][SLOTS];
};

struct timers *
timers_new(uint64_t now_ms)
{
	struct timers *w = xcalloc(1, sizeof(*w));

	w->now = now_ms;
	list_init(&w->due);
	for (unsigned level = 0; level < LEVELS; level++)
		for (unsigned i = 0; i < SLOTS; i++)
			list_init(&w->slot[level][i]);
	return w;
}

/* Timers outlive their wheel at shutdown: they are left stopped. */
static void
stop_all(struct list *head)
{
	list_each_safe (n, head)
		timer_stop(container_of(n, struct timer, node));
}

void
timers_free(struct timers **w)
{
	if (*w == NULL)
		return;
	stop_all(&(*w)->due);
	for (unsigned level = 0; level < LEVELS; level++)
		for (unsigned i = 0; i < SLOTS; i++)
			stop_all(&(*w)->slot[level][i]);
	free(*w);
	*w = NULL;
}

void
timer_init(struct timer *t, void (*fn)(struct timer *t))
{
	list_init(&t->node);
	t->at_ms = t->hung_ms = 0;
	t->fn = fn;
}

static inline unsigned
digit(uint64_t time, unsigned level)
{
	return time >> (level * SLOT_BITS) & (SLOTS - 1);
}

static void
place(struct timers *w, struct timer *t)
{
	unsigned level, i;

	t->hung_ms = t->at_ms;
	if (t->at_ms <= w->now) {
		list_push(&w->due, &t->node);
		return;
	}
	level = (63 - (unsigned)__builtin_clzll(t->at_ms ^ w->now)) / SLOT_BITS;
	i = digit(t->at_ms, level);
	w->maybe[level] |= UINT64_C(1) << i;
	list_push(&w->slot[level][i], &t->node);
}

void
timer_set(struct timers *w, struct timer *t, uint64_t at_ms)
{
	t->at_ms = MAX(at_ms, (uint64_t)1);
	/* What is due already is on its way out of the wheel. */
	if (!list_empty(&t->node) && t->hung_ms > w->now && t->hung_ms <= t->at_ms)
		return;
	list_del(&t->node);
	place(w, t);
}

void
timer_stop(struct timer *t)
{
	list_del(&t->node);
	t->at_ms = 0;
}

void
timer_rest(struct timer *t)
{
	t->at_ms = 0;
}

bool
timer_is_set(const struct timer *t)
{
	return t->at_ms != 0;
}

struct event {
	uint64_t at;
	unsigned level, slot;
};

/* The first occupied slot ahead of the wheel, and when it begins. */
static bool
next_event(const struct timers *w, struct event *e_r)
{
	for (unsigned level = 0; level < LEVELS; level++) {
		unsigned own = digit(w->now, level), shift = level * SLOT_BITS;
		uint64_t ahead = w->maybe[level] & ~UINT64_C(0) << own << 1;

		for (; ahead != 0; ahead &= ahead - 1) {
			unsigned i = (unsigned)__builtin_ctzll(ahead);

			if (list_empty(&w->slot[level][i]))
				continue;
			e_r->at = ((w->now >> shift) + (i - own)) << shift;
			e_r->level = level;
			e_r->slot = i;
			return true;
		}
	}
	return false;
}

static void
list_move(struct list *to, struct list *from) /* everything, to the end */
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* Turns the wheel to now_ms; what that makes due goes to w->due, in order of time. */
static void
turn(struct timers *w, uint64_t now_ms)
{
	struct event e;
	struct list spread, *n;

	while (next_event(w, &e) && e.at <= now_ms) {
		w->now = e.at;
		w->maybe[e.level] &= ~(UINT64_C(1) << e.slot);
		list_init(&spread);
		list_move(&spread, &w->slot[e.level][e.slot]);
		while ((n = list_shift(&spread)) != NULL) {
			struct timer *t = container_of(n, struct timer, node);

			if (timer_is_set(t))
				place(w, t);
		}
	}
	w->now = MAX(w->now, now_ms);
}

unsigned
timers_run(struct timers *w, uint64_t now_ms)
{
	struct list run, *n;
	unsigned ran = 0;

	turn(w, now_ms);
	/* Apart, so that what a callback sets for now or earlier waits for the next call. */
	list_init(&run);
	list_move(&run, &w->due);
	while ((n = list_first(&run)) != NULL) {
		struct timer *t = container_of(n, struct timer, node);
		bool set = timer_is_set(t);

		timer_stop(t);
		if (!set) /* one at rest */
			continue;
		t->fn(t);
		ran++;
	}
	return ran;
}

int
timers_wait(const struct timers *w, uint64_t now_ms)
{
	struct event e;

	if (!list_empty(&w->due))
		return 0;
	if (!next_event(w, &e))
		return -1;
	return e.at <= now_ms ? 0 : (int)MIN(e.at - now_ms, (uint64_t)INT_MAX);
}
