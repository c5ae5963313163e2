/* SPDX-License-Identifier: Apache-2.0
 *
 * Balancers: one small file each, on the shared counters. A balancer is one function, one row in balancers.def.
 */
#ifndef GW_BALANCE_H
#define GW_BALANCE_H

#include "conf/table.h"
#include "shm/arena.h"

/* What a balancer may look at. `usable` candidates only; tried ones are left out by the caller. */
struct pick {
	struct arena *arena;
	uint32_t service_row;
	const struct endpoint_ref *v;	/* candidates */
	const uint32_t *weight;		/* effective weights, > 0 */
	uint32_t n;			/* > 0 */
	uint64_t hash;			/* for hashing balancers, later */
};
typedef uint32_t balance_f(const struct pick *p); /* index of the choice */

enum balancer {
#define BALANCER(NAME, fn, help) BALANCER_##NAME,
#include "worker/up/balancers.def"
#undef BALANCER
	BALANCER_COUNT
};
extern balance_f *const balancer_table[BALANCER_COUNT];
extern const char *const balancer_helps[BALANCER_COUNT];

#endif
