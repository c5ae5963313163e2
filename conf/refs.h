/* SPDX-License-Identifier: Apache-2.0
 *
 * How many routes name a service or a listener, and how many listeners a certificate, by its
 * number: kept by the keeper in memory, so that a deletion need not look at every route. Counted
 * once when the store is opened, changed within a transaction, undone when that is aborted.
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

/* Calls fn for whatever an object names: body is its settings. Nothing for kinds that name none. */
typedef void refs_f(void *arg, enum conf_kind kind, struct str id, const char *setting);
void refs_each(enum conf_kind kind, const void *body, refs_f *fn, void *arg);

/* Counts what the map's objects name. 1 or -1. */
int refs_load(struct refs *r, struct db_txn *t, const struct map *m) NODISCARD;
void refs_fini(struct refs *r);

uint32_t refs_count(const struct refs *r, enum conf_kind kind, uint32_t number);
void refs_add(struct refs *r, enum conf_kind kind, uint32_t number, int by);
/* Ends the transaction: what was added stays, or not. */
void refs_commit(struct refs *r);
void refs_abort(struct refs *r);

#endif
