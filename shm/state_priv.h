/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the state's own files only.
 *
 * A record is "1 SUM TEXT": its version, 16 hex digits over table, key and text, and the text. META
 * has four words of its own that carry no sum each, so that every version can read them: format,
 * schema, readable; and "seal", a record whose text is "SCHEMA READABLE TRANSACTION SUMS". SUMS is
 * the exclusive or of the sums of all records, TRANSACTION the number of the commit that wrote it:
 * LMDB keeps old copies of its pages, and a pointer gone bad may lead to one where every record is
 * well and the last change is missing.
 */
#ifndef GW_STATE_PRIV_H
#define GW_STATE_PRIV_H

#include "shm/db.h"
#include "shm/state.h"

#define STATE_FORMAT   "gateway state"
#define STATE_SCHEMA   2 /* what this binary writes */
#define STATE_READABLE 2 /* the lowest schema whose binaries understand that */

/* LMDB writes pages anew before it changes them, deleting included: with every page in use nothing
 * could be deleted any more. Records get so much of the map. */
#define STATE_ROOM(map_bytes) ((map_bytes) / 4 * 3)

#define STATE_PATH_ROOM 512
#define STATE_HEAD      19 /* "1 ", 16 digits, a blank */
#define STATE_SEAL_ROOM 64

struct state {
	struct db *db;
	db_table table[STATE_TABLE_COUNT];
	uint64_t sums;   /* of all records */
	uint64_t room;   /* octets the tables may take; the rest is for what deleting needs */
	unsigned schema; /* what the file says: that of a newer binary stays */
	unsigned readable;
	bool busy; /* a transaction is open */
};

struct state_txn {
	struct state *s;
	struct db_txn *t;
	uint64_t sums;
	bool changed;
};

extern const char *const state_table_names[STATE_TABLE_COUNT];

/* -1, and the words in a buffer of the state's. They may be made of its former content. */
#define state_fail(error_r, ...) (state_words((error_r), __VA_ARGS__), -1)
void state_words(const char **error_r, const char *fmt, ...) PRINTF(2, 3);

/* --- state_record.c --- */

/* The words META keeps for the state itself. */
bool state_meta_own(struct str key);
uint64_t state_sum(enum state_table tab, struct str key, struct str text);
/* 1, its text (borrowed) and its sum; -1: damaged. */
int state_unseal(enum state_table tab, struct str key, struct str record, struct str *text_r,
    uint64_t *sum_r) NODISCARD;
/* What the record "seal" says after transaction number txn. */
struct str state_seal_text(
    unsigned schema, unsigned readable, uint64_t txn, uint64_t sums, char out[STATE_SEAL_ROOM]);
/* Writes it, for the transaction that it is called in. */
int state_seal(struct state_txn *t, const char **error_r) NODISCARD;
/* As state_put, state_del and state_each, for every table. */
int state_record_put(struct state_txn *t, enum state_table tab, struct str key, struct str text,
    const char **error_r) NODISCARD;
int state_record_del(
    struct state_txn *t, enum state_table tab, struct str key, const char **error_r) NODISCARD;
int state_record_each(struct state_txn *t, enum state_table tab, struct str from,
    state_record_f *fn, void *arg, const char **error_r) NODISCARD;

/* --- state_check.c --- */

/* Reads the environment in dir, all of it, in a child. 1 sound, 0 damaged or foreign, -1 could not
 * be found out; *error_r says why. */
int state_check(const char *dir, const char **error_r) NODISCARD;

/* --- state_migrate.c --- */

/* Brings an environment of an older schema, s->schema, to ours: in the caller's transaction. */
int state_migrate(struct state_txn *t, const char **error_r) NODISCARD;
/* A verdict as schema 1 had it: "1 " and the text. 1 and the text, or -1: malformed. */
int state_verdict_1(struct str key, struct str record, struct str *text_r) NODISCARD;

/* --- state_verdict.c --- */

/* A verdict's text. 1, or -1: malformed. Slices borrow from key and text. */
int state_verdict_decode(struct str key, struct str text, struct str *service_r,
    struct str *endpoint_r, struct state_verdict *v_r) NODISCARD;

#endif
