/* SPDX-License-Identifier: Apache-2.0
 *
 * How many routes name a service or a listener, by its number: kept by the keeper in memory, so
 * that a deletion need not look at every route. Counted once when the store is opened, changed
 * within a transaction, undone when that is aborted.
 */
#ifndef GW_REFS_H
#define GW_REFS_H

#include "conf/map.h"

struct refs {
	struct {
		uint32_t *v;
		size_t n;
	} of[CONF_KIND_COUNT];
	struct refs_step *log; /* of the transaction under way */
	size_t n, cap;
};

/* Counts what the map's routes name. 1 or -1. */
int refs_load(struct refs *r, struct db_txn *t, const struct map *m) NODISCARD;
void refs_fini(struct refs *r);

uint32_t refs_count(const struct refs *r, enum conf_kind kind, uint32_t number);
void refs_add(struct refs *r, enum conf_kind kind, uint32_t number, int by);
/* Ends the transaction: what was added stays, or not. */
void refs_commit(struct refs *r);
void refs_abort(struct refs *r);

#endif
