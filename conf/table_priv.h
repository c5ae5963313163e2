/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader's view of the map, for table.c (life cycle, objects), table_host.c (which hosts answer)
 * and table_match.c (which route).
 */
#ifndef GW_TABLE_PRIV_H
#define GW_TABLE_PRIV_H

#include "conf/map.h"

#define TABLE_LEVELS      8   /* hosts that are remembered together: exact, wildcards, any */
#define TABLE_HOSTS       128 /* remembered host names; a power of two */
#define TABLE_HOST_OCTETS 80

/* A host number to look for routes under. */
struct host_level {
	uint32_t id;
	uint16_t from; /* where the wildcard's rest begins in the host, 0 = exact */
};

/* What a host name led to, in one snapshot: saves the look-ups for the names seen all the time. */
struct host_memory {
	uint64_t txn_id; /* 0: unused */
	uint8_t n, len;
	struct host_level level[TABLE_LEVELS];
	char name[TABLE_HOST_OCTETS];
};

struct table {
	struct map map;
	struct db_txn *txn;
	bool borrowed; /* the map is somebody else's */
	bool reading;  /* between renew and reset */
	uint64_t txn_id;
	struct map_meta meta; /* of txn_id */
	char pattern[1024];
	struct host_memory hosts[TABLE_HOSTS];
};

/* A reader in the process that writes (keeper), which may not open the environment twice. It sees
 * committed generations only. */
int table_attach(const struct map *m, struct table **t_r, const char **error_r) NODISCARD;

/* The numbers a host stands for, most specific first, without "any". Up to `cap`; -1 malformed. */
int table_host_levels(struct table *t, struct str host, struct host_level *v, unsigned cap);

#endif
