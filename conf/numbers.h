/* SPDX-License-Identifier: Apache-2.0
 *
 * Object numbers: small, per kind, given when an object appears, free again when the transaction
 * that deleted it is committed. Kept by the keeper in memory, read from the map at its start.
 */
#ifndef GW_NUMBERS_H
#define GW_NUMBERS_H

#include "conf/map.h"

/* A set of numbers that grows. */
struct bits {
	uint64_t *v;
	size_t n; /* words */
};
bool bits_has(const struct bits *b, uint32_t i);
void bits_set(struct bits *b, uint32_t i);
void bits_clear(struct bits *b, uint32_t i);
uint32_t bits_first_free(const struct bits *b, uint32_t from);
void bits_free(struct bits *b);

struct number_list {
	struct {
		enum conf_kind kind;
		uint32_t number;
	} * v;
	size_t n, cap;
};

struct numbers {
	struct bits used[CONF_KIND_COUNT];
	uint32_t from[CONF_KIND_COUNT];  /* no free one below */
	struct number_list taken, freed; /* in the transaction under way */
};

/* Which numbers the map's objects have. 1 or -1. */
int numbers_load(struct numbers *n, struct db_txn *t, const struct map *m) NODISCARD;
void numbers_fini(struct numbers *n);

uint32_t numbers_take(struct numbers *n, enum conf_kind kind); /* from 1 */
void numbers_give(struct numbers *n, enum conf_kind kind, uint32_t number);
/* Ends the transaction: what was given back is free, or what was taken is. */
void numbers_commit(struct numbers *n);
void numbers_abort(struct numbers *n);

#endif
