/* SPDX-License-Identifier: Apache-2.0
 *
 * Host patterns and their numbers in one transaction of the keeper. A host exists while a route
 * names it; its number is the first part of its shards' keys and is never given out again.
 */
#ifndef GW_HOSTS_H
#define GW_HOSTS_H

#include "conf/map.h"

#define HOST_ANY 0 /* the number of "any host": routes without `host` */

struct hosts;

/* next_host and wild of `meta` are kept up to date. */
struct hosts *hosts_new(struct db_txn *txn, const struct map *m, struct map_meta *meta);
void hosts_free(struct hosts **h);

/* One more, one less route for a pattern (lower case; empty = any). 1 or -1 with *error_r. */
int hosts_ref(struct hosts *h, struct str pattern, uint32_t *id_r, const char **error_r) NODISCARD;
int hosts_unref(
    struct hosts *h, struct str pattern, uint32_t *id_r, const char **error_r) NODISCARD;
int hosts_flush(struct hosts *h, const char **error_r) NODISCARD;

/* A record of the host table: 1 or -1. */
int host_decode(struct str value, uint32_t *id_r, uint32_t *refs_r) NODISCARD;
/* Labels of a wildcard's rest or of a host's end, at most 63: the bit in map_meta.wild. */
unsigned host_labels(struct str name);

#endif
