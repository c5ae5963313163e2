/* SPDX-License-Identifier: Apache-2.0
 *
 * Editing the path tries: the shards one transaction touches, decoded, changed and written back
 * together. Used by the keeper alone (routing.c). A full build and the change of one route are the
 * same calls; what a change costs is the shards on its path, never the size of the table.
 */
#ifndef GW_TRIE_H
#define GW_TRIE_H

#include "conf/path.h"
#include "conf/shard.h"
#include "shm/db.h"

struct trie;

/* Who a route is, for the last rules of order: the rank of its source (source_rank), then its id,
 * borrowed until the next call. */
struct trie_who {
	uint32_t rank;
	struct str id;
};
typedef struct trie_who trie_who_f(void *arg, uint32_t route);

struct trie *trie_new(struct db_txn *txn, db_table shards, trie_who_f *who, void *arg);
void trie_free(struct trie **t);

/* Hangs a route at a path of a host, in its order among the candidates there. Everything is copied.
 * -1: *error_r says why (too many routes at one path, a damaged shard). */
int trie_add(struct trie *t, uint32_t host, const struct path *p, const struct candidate *c,
    const char **error_r) NODISCARD;
/* Takes all of a route's candidates off that path. 1; 0: there were none; -1. */
int trie_remove(struct trie *t, uint32_t host, const struct path *p, uint32_t route,
    const char **error_r) NODISCARD;

/* Writes what was changed, in key order. The trie may only be freed after it. */
int trie_flush(struct trie *t, const char **error_r) NODISCARD;

/* A shard was malformed: the tables should be built anew from the objects. */
bool trie_damaged(const struct trie *t);
/* Shards written, for tests and the log. */
unsigned trie_written(const struct trie *t);

#endif
