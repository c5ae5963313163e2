/* SPDX-License-Identifier: Apache-2.0
 *
 * The only door to LMDB: the map, the arena and the state are environments opened through it. Open
 * after fork, after the privilege drop, once per process and path (the traps behind these rules are
 * listed in shm/README.lmdb).
 */
#ifndef GW_DB_H
#define GW_DB_H

#include "shm/base/base.h"
#include "shm/base/str.h"

#define DB_KEY_MAX 511 /* LMDB's compiled-in limit */

enum db_mode {
	DB_READ,   /* MDB_RDONLY|MDB_NOTLS: the map is mapped read-only */
	DB_WRITE,  /* no WRITEMAP: a full tmpfs is an error, not SIGBUS; NOSYNC (tmpfs) */
	DB_DURABLE /* as DB_WRITE with fsync at commit: the state */
};
struct db_options {
	enum db_mode mode;
	size_t map_size;      /* only the creator passes it; 0 = what the file says */
	unsigned max_readers; /* only the creator; 0 = default */
	unsigned max_tables;
	unsigned file_mode; /* of data file and lock file when created, e.g. 0660; 0 = 0600 */
};

struct db;
struct db_txn;
typedef unsigned db_table; /* handle of a named sub-database */

/* A writing environment makes the directory and the files where there are none. -1 with *error_r
 * also for a file that is foreign, of another version, or shorter than what it claims to hold. */
int db_open(
    const char *dir, const struct db_options *o, struct db **d_r, const char **error_r) NODISCARD;
void db_close(struct db **d);
/* Is the file that is open still the one a start would find? 1; -1: it was deleted or replaced. */
int db_in_place(const struct db *d, const char **error_r) NODISCARD;

/* Opens (and with a writing environment creates) tables; once, right after db_open. A reader gets
 * -1 for a missing one. */
int db_tables(struct db *d, unsigned n, const char *const *names, db_table *tables_r,
    const char **error_r) NODISCARD;

/* Writing: one transaction at a time. db_commit frees the transaction whatever it returns. */
int db_begin(struct db *d, struct db_txn **t_r, const char **error_r) NODISCARD;
int db_commit(struct db_txn **t, const char **error_r) NODISCARD;
void db_abort(struct db_txn **t);

/* Reading: made once per process and reset/renewed each turn (nanoseconds). Slices from it die at
 * db_read_reset. */
int db_read_begin(struct db *d, struct db_txn **t_r, const char **error_r) NODISCARD;
void db_read_reset(struct db_txn *t);
/* 1, or -1: the map cannot be read any more, leave the process */
int db_read_renew(struct db_txn *t) NODISCARD;
uint64_t db_txn_id(const struct db_txn *t);

/* 1, 0 absent, -1 */
int db_get(struct db_txn *t, db_table tab, struct str key, struct str *value_r) NODISCARD;
int db_put(struct db_txn *t, db_table tab, struct str key, struct str value,
    const char **error_r) NODISCARD;
/* The same where `key` is likely to come behind all that are there: such records fill their pages,
 * and nothing is searched for. Any other key is put as by db_put. */
int db_append(struct db_txn *t, db_table tab, struct str key, struct str value,
    const char **error_r) NODISCARD;
/* Reserves room for the value to be written in place before the next call. */
int db_reserve(struct db_txn *t, db_table tab, struct str key, size_t n, void **p_r,
    const char **error_r) NODISCARD;
/* 1 deleted, 0 absent, -1 */
int db_del(struct db_txn *t, db_table tab, struct str key) NODISCARD;
int db_drop(struct db_txn *t, db_table tab) NODISCARD; /* empties the table: 1 or -1 */
uint64_t db_count(struct db_txn *t, db_table tab);
uint64_t db_table_bytes(
    struct db_txn *t, db_table tab); /* of its pages, as the transaction has it */
/* Did the last put, reserve or commit that returned -1 do so because the map is full? */
bool db_was_full(void);

/* Cursors, in key order: 1, 0 at the end, -1. db_cursor_at: the first key >= `from` (STR_NONE: the
 * first of all); db_cursor_before: the last key < `before` (STR_NONE: the last of all). They make a
 * cursor only when they return 1. Free it before the transaction ends. */
struct db_cursor;
int db_cursor_at(struct db_txn *t, db_table tab, struct str from, struct db_cursor **c_r,
    struct str *key_r, struct str *value_r) NODISCARD;
int db_cursor_next(struct db_cursor *c, struct str *key_r, struct str *value_r) NODISCARD;
int db_cursor_before(struct db_txn *t, db_table tab, struct str before, struct db_cursor **c_r,
    struct str *key_r, struct str *value_r) NODISCARD;
int db_cursor_prev(struct db_cursor *c, struct str *key_r, struct str *value_r) NODISCARD;
void db_cursor_free(struct db_cursor **c);

unsigned db_reader_check(struct db *d); /* clears slots of dead processes; returns how many */
struct db_fill {
	uint64_t used_bytes, map_bytes, page_bytes, readers, max_readers;
};
void db_fill(struct db *d, struct db_fill *f_r);

#endif
