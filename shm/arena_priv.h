/* SPDX-License-Identifier: Apache-2.0
 *
 * What arena.c (the mapping, rows) and endpoint.c (shares and health) share.
 */
#ifndef GW_ARENA_PRIV_H
#define GW_ARENA_PRIV_H

#include "shm/arena.h"
#include "shm/db_priv.h"

/* Counts and places are copied out of the head when it is opened and checked; later nothing there
 * is believed any more. */
struct arena {
	struct db *db;
	uint32_t slots, endpoints, services;
	struct arena_head *head;
	struct endpoint_row *endpoint;
	struct service_row *service;
	_Atomic uint64_t *shadow; /* [slots][shadow_stride], one word an endpoint row */
	size_t shadow_stride;
	uint32_t maybe_free; /* keeper: every row below is in use */
};

/* A shadow word: what this slot has in flight at one row. Only the slot's process writes it while
 * it lives; the version grows with every change, and `busy` stands while one is under way: then the
 * last share of the count may or may not be in the shared sum. */
#define SHADOW_COUNT(w)  ((uint32_t)(w))
#define SHADOW_BUSY      (UINT64_C(1) << 32)
#define SHADOW_VERSION   (UINT64_C(1) << 33)
#define SHADOW_IDLE_MASK (~(SHADOW_BUSY | UINT32_MAX))

static inline _Atomic uint64_t *
arena_shadow(const struct arena *a, unsigned slot, uint32_t row)
{
	return a->shadow + slot * a->shadow_stride + row;
}

#endif
