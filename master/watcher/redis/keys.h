/* SPDX-License-Identifier: Apache-2.0
 *
 * The console's keys, made once from redis.prefix and the instance's name, and the version hash as
 * it is read. contrib/doc/console.md says what they hold.
 */
#ifndef GW_REDIS_KEYS_H
#define GW_REDIS_KEYS_H

#include "master/watcher/redis/resp.h"
#include "shm/base/hash.h"

#define EPOCH_MAX 63

struct keys {
	struct str objects, version, changes, bell, instances;
	struct str ack_prefix, ack, instance;
};
/* The strings are the keys' own until keys_free. */
void keys_init(struct keys *k, struct str prefix, struct str instance);
void keys_free(struct keys *k);

struct version {
	char epoch[EPOCH_MAX + 1];
	uint64_t number;
	uint8_t hash[HASH_SHA256];
	uint64_t reload;          /* 0: nobody ever asked */
	uint64_t allow_deletions; /* the number that may; 0: none */
};
/* HMGET of it. */
void version_ask(struct command *c, const struct keys *k);
/* 1; 0 there is none (*v_r has `reload` all the same); -1 it is malformed. */
int version_read(const struct reply *r, struct version *v_r, const char **error_r) NODISCARD;
bool version_eq(const struct version *a, const struct version *b); /* of content */

/* An entry of the stream. */
struct change_entry {
	uint64_t number;
	struct str epoch, author, document;
};
/* 1, or -1: not as it must be. */
int change_entry_read(const struct reply *r, struct change_entry *e_r) NODISCARD;

#endif
