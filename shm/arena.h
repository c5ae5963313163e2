/* SPDX-License-Identifier: Apache-2.0
 *
 * The arena: balancer counters, endpoint health and the generation word, changed in place by every
 * process with C11 atomics. One value in a WRITEMAP environment of its own, written once at
 * creation; no other transaction ever runs there, so LMDB never moves or reuses its pages
 * (shm/README has the rules, README.bytes the map).
 *
 * Who writes what: keeper allocates and retires rows and publishes generations; workers take and
 * release, tick tickets and compare-and-swap health; prober sweeps and takes back a dead slot's
 * shares.
 */
#ifndef GW_ARENA_H
#define GW_ARENA_H

#include "shm/base/base.h"
#include "shm/base/addr.h"

struct arena_head {
	uint64_t magic;
	uint64_t layout; /* hash of version, sizes and counts */
	uint32_t slots, endpoints, services;
	uint32_t pad;
	/* of the map: stored (release) after its commit */
	alignas(CACHE_LINE) _Atomic uint64_t generation;
	_Atomic uint64_t epoch; /* the map's directory number */
	/* commits that changed the endpoint table, in a generation or outside; from 1 */
	_Atomic uint64_t endpoints_version;
};

enum endpoint_verdict {
	VERDICT_NONE,
	VERDICT_UP,
	VERDICT_DOWN,
	VERDICT_DRAIN,
	VERDICT_WEIGHT,
	VERDICT_COUNT
};
extern const char *const endpoint_verdict_names[]; /* "none" "up" "down" "drain" "weight", NULL */

#define WEIGHT_UNSET UINT32_MAX

/* Two cache lines: the first is read at every pick, the second written by passive health. */
struct endpoint_row {
	alignas(CACHE_LINE) _Atomic uint32_t incarnation; /* odd: in use; even: free or resting */
	_Atomic uint32_t verdict; /* enum endpoint_verdict from outside (admin, console) */
	_Atomic uint32_t weight;  /* delegated weight, or WEIGHT_UNSET */
	_Atomic uint32_t flags;   /* ENDPOINT_* */
	_Atomic int64_t inflight; /* requests and connections attempts in progress, all workers */
	/* passive health: not picked before (monotonic ms); 0 = fine */
	_Atomic uint64_t ejected_until_ms;
	_Atomic uint64_t verdict_until_us;          /* wall: the verdict expires then; 0 = never */
	alignas(CACHE_LINE) _Atomic uint32_t fails; /* consecutive failures */
	_Atomic uint32_t ejections;
	_Atomic uint64_t picks, failures, responses_5xx;
	/* endpoints_version before the commit that left it out. When resting: reusable once every
	 * worker is past it and nothing is in flight */
	_Atomic uint64_t retired_version;
	_Atomic uint64_t last_change_us; /* wall */
	_Atomic uint32_t unsettled;      /* inflight is to be compared with the shadows (settle) */
};
#define ENDPOINT_UNRESOLVED 1u /* its name did not resolve: never picked */

struct service_row {
	alignas(CACHE_LINE) _Atomic uint64_t ticket; /* round robin: one fetch_add a pick */
	_Atomic uint32_t incarnation;
};

struct arena; /* a process's mapping */

/* Creates dir (a directory) with a zeroed arena. Keeper, at start. Rows: at least 1 each. -1 where
 * dir has one already: another layout is another directory. */
int arena_create(const char *dir, unsigned slots, unsigned endpoints, unsigned services,
    unsigned file_mode, const char **error_r) NODISCARD;
/* Maps an existing arena writable. -1 with *error_r on a foreign layout. */
int arena_open(const char *dir, struct arena **a_r, const char **error_r) NODISCARD;
void arena_close(struct arena **a);

struct arena_head *arena_head(struct arena *a);
struct endpoint_row *arena_endpoint(struct arena *a, uint32_t row); /* NULL past the end */
struct service_row *arena_service(struct arena *a, uint32_t row);

/* Is the row this endpoint's? A resting one still is: who retired it waits for the workers that
 * have not seen the new set, and what they pick until then must not fail. */
static inline bool
endpoint_row_is(const struct endpoint_row *e, uint32_t incarnation)
{
	uint32_t now = atomic_load_explicit(&e->incarnation, memory_order_acquire);

	return now == incarnation || now == incarnation + 1;
}

/* Worker. Takes one in-flight share of a row: shadow first, then the shared count. 1; 0 when the
 * row is another endpoint's by now (the caller's endpoint set is stale). */
int endpoint_take(struct arena *a, unsigned slot, uint32_t row, uint32_t incarnation) NODISCARD;
/* Gives one share back, on a row that was retired meanwhile too: it rests until they all came. */
void endpoint_release(struct arena *a, unsigned slot, uint32_t row, uint32_t incarnation);
int64_t endpoint_inflight(struct arena *a, uint32_t row);

/* May it be picked now? Not when verdict is down or drain (unexpired), ejected, or unresolved.
 * VERDICT_UP overrides ejection. */
bool endpoint_usable(const struct endpoint_row *e, uint64_t now_ms, uint64_t wall_us);

/* Passive health. A failure counts; at `threshold` consecutive ones the row is ejected for down_ms:
 * returns 1 to the one caller whose compare-and-swap did it (it logs and counts), else 0. A success
 * clears the count. threshold 0: off. */
int endpoint_failed(struct endpoint_row *e, uint32_t threshold, uint64_t down_ms, uint64_t now_ms);
void endpoint_succeeded(struct endpoint_row *e);

/* Keeper. Allocates a free row (lowest number) and starts its incarnation with everything but the
 * identity reset; 0 when none is free. A retired row is free again when the oldest
 * endpoints_version a worker goes by is past the one it was retired with and nothing is in flight.
 * A keeper that finds rows in use that no map names (its predecessor died between arena and commit)
 * retires them. */
int arena_endpoint_alloc(
    struct arena *a, uint64_t oldest_seen, uint32_t *row_r, uint32_t *incarnation_r) NODISCARD;
void arena_endpoint_retire(struct arena *a, uint32_t row, uint64_t version);
/* The endpoint table was committed and what it no longer names is retired: workers look again. */
void arena_endpoints_changed(struct arena *a);
int arena_service_alloc(struct arena *a, uint32_t *row_r) NODISCARD;
void arena_service_free(struct arena *a, uint32_t row);
unsigned arena_endpoints_used(struct arena *a);

/* Prober, one at a time. The slot's process is dead: subtracts its shadows from the shared counts.
 * Returns how many shares came back. May be repeated, and may be killed at any point: then its
 * successor's arena_settle does the rest. */
uint64_t arena_reap(struct arena *a, unsigned slot);
/* Prober, at its start and every tick: makes the count of every unsettled row equal to the sum of
 * its shadows. Returns how many rows are still unsettled (too busy to be read in one piece, or a
 * worker is stopped in the middle of a change). Costs one load a row where there is nothing. */
unsigned arena_settle(struct arena *a);

#endif
