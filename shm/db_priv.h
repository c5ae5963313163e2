/* SPDX-License-Identifier: Apache-2.0
 *
 * What db.c does for arena.c and state.c only: an environment that holds one value changed in
 * place, and the inspection of a file that may be damaged.
 */
#ifndef GW_DB_PRIV_H
#define GW_DB_PRIV_H

#include "shm/db.h"

/* Smaller ones might not lie on pages of their own on every page size: LMDB would move them. */
#define DB_VALUE_MIN ((size_t)64 * 1024)

/* Makes dir and in it an environment with a single value of n octets: the file fully allocated
 * (ENOSPC now, not SIGBUS later), the value zeroed, `fill` run on it, then committed. Never again
 * may a transaction write there. -1 where there is one already, too. */
int db_value_create(const char *dir, size_t n, unsigned file_mode,
    void (*fill)(void *p, size_t n, void *arg), void *arg, const char **error_r) NODISCARD;
/* Maps it writable. The value stays where it is until db_close. 16-byte aligned, no more. */
int db_value_open(
    const char *dir, struct db **d_r, void **p_r, size_t *n_r, const char **error_r) NODISCARD;

#define DB_TABLES_DEFAULT 16

/* Handles LMDB has of itself: the list of free pages, and the table whose records are tables. */
enum { DB_TABLE_FREE, DB_TABLE_NAMES };

/* Did the last db_open or db_read_begin that failed do so for what is in the file, not for want of
 * permission or memory? Asked where nobody else writes: a file that grew was damaged, too. */
bool db_open_found_damage(void);

/* db_walk.c. Reads every page of every table, the list of free pages included, and calls fn for
 * each record. 1 and the number of the last transaction; 0 with *error_r for a damaged or foreign
 * file, or when fn returned false; -1 with *error_r when it cannot be read at all (permission,
 * memory). LMDB believes its pages: a damaged file may crash or hang the process that looks at it,
 * so do this in a child. */
typedef bool db_walk_f(void *arg, struct str table, struct str key, struct str value);
int db_walk(const char *dir, db_walk_f *fn, void *arg, uint64_t *last_txn_r,
    const char **error_r) NODISCARD;

#endif
