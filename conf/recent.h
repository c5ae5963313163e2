/* SPDX-License-Identifier: Apache-2.0
 *
 * Which objects the last generations changed: a record in the map beside "meta", so that a worker
 * that knows routes by heart looks at those alone. A hint about what need not be looked at, written
 * with each generation: where it is not this generation's own, nothing is known.
 */
#ifndef GW_RECENT_H
#define GW_RECENT_H

#include "conf/map.h"

#define RECENT_MAX 64 /* objects; a generation that changes more begins anew */

struct recent_change {
	uint64_t generation;
	uint32_t kind, number;
};
struct recent {
	uint64_t generation; /* written with it */
	uint64_t since;      /* all that changed after this one is listed */
	uint32_t n;
	struct recent_change v[RECENT_MAX]; /* oldest first */
};

/* Writing: the next generation, what it changes, into its transaction. */
void recent_begin(struct recent *r, uint64_t generation);
void recent_add(struct recent *r, enum conf_kind kind, uint32_t number);
int recent_put(
    struct db_txn *t, const struct map *m, const struct recent *r, const char **error_r) NODISCARD;
/* 1, 0 there is none, -1 malformed. */
int recent_get(struct db_txn *t, const struct map *m, struct recent *r_r) NODISCARD;

#endif
