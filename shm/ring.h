/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte rings from workers to the logger: one producer (a worker slot), one consumer (the logger),
 * no lock. A record becomes visible last, by one store with release order. The consumer trusts
 * nothing it reads: a length past the ring's end resets the ring and is counted. What it hands out
 * may still be changed by a broken producer while it is read: copy, then look.
 */
#ifndef GW_RING_H
#define GW_RING_H

#include "shm/base/base.h"
#include "shm/base/str.h"
#include "shm/region.h"

struct ring; /* a process's view of one ring; the bytes lie in the region */

#define RING_HEAD 128 /* octets in front of each ring's own, with the positions */
size_t ring_region_size(unsigned slots, size_t bytes_each); /* bytes_each: power of two */
uint64_t ring_layout(unsigned slots, size_t bytes_each);
void ring_region_init(struct region *r, unsigned slots, size_t bytes_each); /* master, once */
/* NULL past the last slot, or when the region's sizes do not fit together. A read-only mapping will
 * do for the counters at the end. The region must stay attached; ring_close frees the view. */
struct ring *ring_at(const struct region *r, unsigned slot);
void ring_close(struct ring **g);

/* Producer. Reserves n contiguous octets; NULL when there is no room (the drop is counted in the
 * ring); up to half the capacity fits into an empty ring. Nothing is visible until ring_commit,
 * which publishes the first `used` of them (0: take it back). One reservation at a time. */
char *ring_reserve(struct ring *g, size_t n);
void ring_commit(struct ring *g, size_t used);
/* After a commit: true once when the ring became more than half full, so the producer should wake
 * the consumer. */
bool ring_should_wake(struct ring *g);
/* A new producer takes over a dead one's slot: an unpublished reservation is forgotten. */
void ring_adopt(struct ring *g);

/* Consumer. 1 and a borrowed record, 0 empty. ring_next frees the record before. */
int ring_next(struct ring *g, struct str *record_r);
uint64_t ring_dropped(const struct ring *g);
uint64_t ring_corrupt(const struct ring *g);
size_t ring_fill(const struct ring *g); /* unread octets */
size_t ring_capacity(const struct ring *g);

#endif
