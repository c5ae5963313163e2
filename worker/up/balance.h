/* SPDX-License-Identifier: Apache-2.0
 *
 * Balancers: one small file each, on the shared counters. A balancer is one function, one row in
 * balancers.def.
 */
#ifndef GW_BALANCE_H
#define GW_BALANCE_H

#include "conf/table.h"
#include "shm/arena.h"

/* What a balancer may look at: usable candidates only; those tried before are left out by pick.c.
 */
struct pick {
	struct arena *arena;
	uint32_t service_row;
	const struct endpoint_ref *const *v; /* candidates */
	const uint32_t *weight;              /* effective weights, > 0 */
	uint32_t n;                          /* > 0 */
	uint32_t *scratch;                   /* n words for the balancer's own use */
	uint64_t hash;                       /* for hashing balancers, later */
};
typedef uint32_t balance_f(const struct pick *p); /* index of the choice */

balance_f balance_round_robin, balance_least;

enum balancer {
#define BALANCER(NAME, fn, help) BALANCER_##NAME,
#include "worker/up/balancers.def"
#undef BALANCER
	BALANCER_COUNT
};
extern balance_f *const balancer_table[BALANCER_COUNT];
extern const char *const balancer_helps[BALANCER_COUNT];

/* The place of ticket number t on a circle of `total` weight units: every unit once in `total`
 * tickets, neighbours in time far apart on the circle. total > 0. */
uint64_t balance_spread(uint64_t t, uint64_t total);
/* The candidate whose share of the circle holds the place of ticket t; of the n candidates named by
 * at[] (NULL: all). */
uint32_t balance_weighted(const struct pick *p, const uint32_t *at, uint32_t n, uint64_t t);

#endif
