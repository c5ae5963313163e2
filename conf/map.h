/* SPDX-License-Identifier: Apache-2.0
 *
 * The map's environment and its "meta" record, as writer and readers share them.
 */
#ifndef GW_MAP_H
#define GW_MAP_H

#include "conf/image.h"
#include "shm/db.h"

#define MAP_READERS 256 /* slots in the lock file: every process holds at most two */

struct map {
	struct db *db;
	db_table tab[MAP_TABLE_COUNT];
};

struct map_meta {
	uint64_t layout;     /* of this program's field tables; another one is not ours to read */
	uint64_t generation; /* of the last committed change set */
	uint64_t epoch;
	uint64_t
	    started_us; /* wall time of the instance it was made for: how a keeper knows its own */
	uint64_t wild;  /* bit n: there is a wildcard host whose rest has n labels */
	uint32_t next_host;
	uint64_t count[CONF_KIND_COUNT];
};

/* <run_dir>/map-<format>-<epoch>. 1, or -1 when it does not fit. */
int map_dir(const char *run_dir, uint64_t epoch, char *out, size_t cap) NODISCARD;
uint64_t map_layout(void);

int map_open(
    const char *dir, const struct db_options *o, struct map *m_r, const char **error_r) NODISCARD;
void map_close(struct map *m);

/* 1, 0 when there is none yet, -1 when it is malformed or of another layout. */
int map_meta_get(struct db_txn *t, const struct map *m, struct map_meta *meta_r) NODISCARD;
int map_meta_put(struct db_txn *t, const struct map *m, const struct map_meta *meta,
    const char **error_r) NODISCARD;

/* An object out of the map: 1, 0, -1. Borrowed from the transaction. */
int map_object(struct db_txn *t, const struct map *m, enum conf_kind kind, uint32_t number,
    struct conf_object *o_r) NODISCARD;
/* Its number by id. */
int map_number(struct db_txn *t, const struct map *m, enum conf_kind kind, struct str id,
    uint32_t *number_r) NODISCARD;
/* Key and value of the object table as an object, for walks. */
int map_object_decode(struct str key, struct str value, struct conf_object *o_r) NODISCARD;

/* Every object of a kind with its decoded body (NULL: it cannot be read), which lives for the call.
 * 1 or -1. */
typedef void map_each_object_f(void *arg, const struct conf_object *o, const void *body);
int map_each_object(struct db_txn *t, const struct map *m, enum conf_kind kind,
    map_each_object_f *fn, void *arg) NODISCARD;

#endif
