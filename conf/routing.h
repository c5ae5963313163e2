/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes into the tables the data plane matches by: which hosts, which paths, which candidate.
 * One struct lives for one transaction of the keeper.
 */
#ifndef GW_ROUTING_H
#define GW_ROUTING_H

#include "conf/map.h"
#include "conf/route.h"

struct routing;

/* `meta` gets what the hosts change in it. */
struct routing *routing_new(struct db_txn *txn, const struct map *m, struct map_meta *meta);
void routing_free(struct routing **r);

/* Listeners are looked up in the map by id: they have to be there already. -1: *error_r says what
 * is wrong with this route. */
int routing_link(struct routing *r, uint32_t number, const struct conf_route *route,
    const char **error_r) NODISCARD;
/* The same route as it was when it was linked. */
int routing_unlink(struct routing *r, uint32_t number, const struct conf_route *route,
    const char **error_r) NODISCARD;
/* Writes all that was changed. */
int routing_flush(struct routing *r, const char **error_r) NODISCARD;

/* A value of the tables was malformed: drop them and link every route again. */
bool routing_damaged(const struct routing *r);
int routing_drop(struct db_txn *txn, const struct map *m, struct map_meta *meta) NODISCARD;

/* Do two versions of a route hang at the same places in the same order? */
bool routing_same(const struct conf_route *a, const struct conf_route *b);
/* Shards written by the flush. */
unsigned routing_written(const struct routing *r);

#endif
