/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop: one epoll set, timers, deferred calls, signals through signalfd. One per process,
 * made after fork. A turn: wait, clock_tick, ready descriptors, due timers, deferred calls.
 *
 * Ready descriptors are handed out in batches, each in three passes: what reads ahead reads, then
 * every owner is called, then what they put off to `soon` is done. Receiving is done in a row that
 * way, and so is sending: neither throws the other's and our own code out of the cache. Urgent
 * descriptors are looked at between batches: whatever waits, they wait for one of these at most.
 */
#ifndef GW_LOOP_H
#define GW_LOOP_H

#include "shm/base/base.h"
#include "shm/base/list.h"
#include "shm/base/timer.h"

struct loop;

/* Embedded in its owner. `events` are EPOLL* bits; with EPOLLET a stream registers once for its
 * whole life. */
struct watch {
	int fd;      /* -1: not added */
	bool urgent; /* before it is added: handed out ahead of those that are not */
	bool due;    /* the loop's: an event for it was fetched and is still to be handed out */
	uint32_t events;
	void (*fn)(struct watch *w, uint32_t events);
	/* NULL, or what may be done before any owner of the batch is called. Returns the events
	 * that are left to tell fn of, which is called in any case. Closes nothing and calls no
	 * owner. */
	uint32_t (*ahead)(struct watch *w, uint32_t events);
};

static inline void
watch_init(struct watch *w, void (*fn)(struct watch *w, uint32_t events))
{
	*w = (struct watch){.fd = -1, .fn = fn};
}

/* Runs once, at the end of this turn (or of the next, when set from a deferred call). */
struct defer {
	struct list node;
	void (*fn)(struct defer *d);
};

struct loop *loop_new(void);
void loop_free(struct loop **l);
struct timers *loop_timers(struct loop *l);

/* 1 or -1 with errno */
int loop_add(struct loop *l, struct watch *w, int fd, uint32_t events) NODISCARD;
int loop_mod(struct loop *l, struct watch *w, uint32_t events) NODISCARD;
/* After this no callback of w runs, not even one already fetched in this turn. Does not close the
 * descriptor; call it before close. Harmless when not added. */
void loop_del(struct loop *l, struct watch *w);
/* The same for one that is closed right after and that nobody has a copy of: closing takes it out
 * of the epoll set, which saves a call. */
void loop_forget(struct loop *l, struct watch *w);
/* Has an event for it been fetched that is still to be handed out this turn? */
static inline bool
loop_pending(const struct watch *w)
{
	return w->due;
}

void defer_init(struct defer *d, void (*fn)(struct defer *d));
void loop_defer(struct loop *l, struct defer *d); /* harmless when already waiting */
/* The same, but as soon as the owners of this batch of events were called. */
void loop_soon(struct loop *l, struct defer *d);
void defer_cancel(struct defer *d);

/* Blocks signo and calls fn in the loop. One handler per signal. */
void loop_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg);

/* Called at the start of every turn after the clock was read (workers renew their map transactions
 * here). */
void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg);

void loop_run(struct loop *l); /* until loop_stop */
void loop_stop(struct loop *l);
void loop_turn(struct loop *l, int max_wait_ms); /* one turn: tests, and drains with a deadline */
uint64_t loop_turns(const struct loop *l);

#endif
