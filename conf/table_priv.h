/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader's view of the map, for table.c (life cycle, objects), table_host.c (which hosts answer),
 * table_match.c (which route), table_shard.c and table_shortcut.c (what walks have in common).
 */
#ifndef GW_TABLE_PRIV_H
#define GW_TABLE_PRIV_H

#include "conf/map.h"
#include "conf/shard.h"

#define TABLE_LEVELS      8   /* hosts that are remembered together: exact, wildcards, any */
#define TABLE_HOSTS       128 /* remembered host names; a power of two */
#define TABLE_HOST_OCTETS 80

#define TABLE_SHARDS_MIN 256   /* sets of remembered shards; by steps of 4 */
#define TABLE_SHARDS_MAX 65536 /* 4 MB, where so many are asked for in one snapshot */

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

/* Where shards lie in one snapshot, by hash of their keys: saves look-ups in the B-tree, of which a
 * request makes one for each shard on its path. A set is a cache line. Small ones are copied: in
 * the map each has a page of its own, here a page has many. */
#define TABLE_SHARD_WAYS   4
#define TABLE_SHARD_COPY   192        /* octets of key and value */
#define TABLE_SHARD_COPIES (1u << 20) /* octets of all copies; they come as they are used */
struct shard_place {
	const char *key; /* in the map or a copy; the value lies behind it */
	uint64_t what;   /* 16 bits each, from the top: of the hash, the epoch (0: unused), lengths
			    of key and value */
};
struct shard_set {
	alignas(CACHE_LINE) struct shard_place way[TABLE_SHARD_WAYS];
};
struct shard_memory {
	struct shard_set *set; /* NULL until the first match */
	uint32_t n_sets, stored;
	uint16_t epoch; /* what has another one is of another snapshot */
	uint64_t txn_id;
	char *copies;    /* NULL until the first match */
	uint32_t copied; /* octets, in this snapshot */
};

/* A shard of a host to which all paths with this beginning come, with nothing to offer and no other
 * way on what lies above it: a walk may begin here. */
#define TABLE_SHORTCUTS 32 /* a power of two */
#define SHORTCUT_OCTETS 64
struct shortcut {
	uint64_t txn_id; /* 0: unused */
	uint32_t host;
	uint8_t uses; /* less those that it was in the way of */
	uint8_t path_n, depth;
	uint8_t most; /* octets of the beginning that may be learnt in its place */
	struct shard shard;
	uint64_t hash; /* of the shard's key */
	char path[SHORTCUT_OCTETS];
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
	struct shard_memory shards;
	struct shortcut shortcuts[TABLE_SHORTCUTS];
};

/* A reader in the process that writes (keeper), which may not open the environment twice. It sees
 * committed generations only. */
int table_attach(const struct map *m, struct table **t_r, const char **error_r) NODISCARD;

/* The numbers a host stands for, most specific first, without "any". Up to `cap`; -1 malformed. */
int table_host_levels(struct table *t, struct str host, struct host_level *v, unsigned cap);

/* The hash of a key: of the host's number first, begun with 0, then on with one segment after the
 * other, without their slashes. */
uint64_t table_shard_hash(uint64_t hash, struct str text);
/* The shard of this key: 1, 0, -1, as db_get. */
int table_shard(struct table *t, uint64_t hash, struct str key, struct str *value_r);
void table_shards_forget(struct table *t);

/* The shortcut for this path, or NULL; then *learn_r may be one to be learnt on the way. */
const struct shortcut *table_shortcut(
    struct table *t, uint32_t host, struct str path, struct shortcut **learn_r);
/* This one begins with `path`: true, and depth, shard and hash are the caller's to fill in; false:
 * that is too long. */
bool table_shortcut_learn(struct table *t, struct shortcut *c, uint32_t host, struct str path);

#endif
