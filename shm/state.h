/* SPDX-License-Identifier: Apache-2.0
 *
 * The state: what must outlive a reboot, in a durable environment below the state directory. The
 * keeper alone opens it, first of all environments, and commits to it before the map. Records are
 * text with a version and a check sum, never structs. Tables:
 *
 *	meta       format, schema, readable (the lowest schema whose binaries can read it); then
 *	           what the keeper keeps there: "generation", "console" ...
 *	verdicts   what an operator or a console decided about an endpoint
 *	objects    of admin API and console: kind word NUL id -> JSON
 *	history    generation (16 hex digits) -> JSON: the last change sets
 *	overrides  kind word NUL id -> JSON: what stands before a source's own object
 *	endpoints  service -> JSON: sets that take the place of a service's own
 *	journal    sequence (16 hex digits) -> JSON: documents taken, not yet applied
 *
 * What the JSON says is the keeper's (conf/remember.h). Schema 1 had meta and verdicts; state_open
 * migrates older schemas in one transaction, step by step.
 */
#ifndef GW_STATE_H
#define GW_STATE_H

#include "shm/arena.h"
#include "shm/base/base.h"
#include "shm/base/str.h"

#define STATE_AUTHOR_MAX 128
#define STATE_KEY_MAX    200

struct state;

/* Opens <state_dir>/state, or starts one. 1; 0 when the one found is damaged or not this program's:
 * it was renamed, a new one is open, *error_r says so for the log; -1 when neither can be done. A
 * child looks at the file first, so that a page gone bad cannot take the caller down; a file of 0
 * octets beside a lock file is damage, not a beginning. map_size: at most that many octets; may
 * grow from one start to the next. Waits for the disk. */
int state_open(
    const char *state_dir, size_t map_size, struct state **s_r, const char **error_r) NODISCARD;
void state_close(struct state **s);

enum state_table {
	STATE_META,
	STATE_VERDICTS,
	STATE_OBJECTS,
	STATE_HISTORY,
	STATE_OVERRIDES,
	STATE_ENDPOINTS,
	STATE_JOURNAL,
	STATE_TABLE_COUNT
};

/* Records of the tables from OBJECTS on, and of META under names of the caller's. One transaction
 * at a time; state_commit is one wait for the disk and frees it whatever it returns. */
struct state_txn;
int state_begin(struct state *s, struct state_txn **t_r, const char **error_r) NODISCARD;
int state_commit(struct state_txn **t, const char **error_r) NODISCARD;
void state_abort(struct state_txn **t);

/* 1 or -1 (full, key too long, a word of META that is the state's own). A put that was refused for
 * want of room changed nothing: abort, or go on with less. text must not be one of state_get's. */
int state_put(struct state_txn *t, enum state_table tab, struct str key, struct str text,
    const char **error_r) NODISCARD;
/* 1 deleted, 0 there was none, -1. */
int state_del(
    struct state_txn *t, enum state_table tab, struct str key, const char **error_r) NODISCARD;
/* 1 and the text (borrowed until the next put, del or end), 0, -1. */
int state_get(struct state_txn *t, enum state_table tab, struct str key, struct str *text_r,
    const char **error_r) NODISCARD;
/* Not for META. */
int state_clear(struct state_txn *t, enum state_table tab, const char **error_r) NODISCARD;
uint64_t state_count(struct state_txn *t, enum state_table tab);
/* Calls fn for each record with a key >= from, in key order, until it returns other than 1; fn must
 * not change the state. Returns fn's last, 1 at the end, -1. */
typedef int state_record_f(void *arg, struct str key, struct str text);
int state_each(struct state_txn *t, enum state_table tab, struct str from, state_record_f *fn,
    void *arg, const char **error_r) NODISCARD;
/* The same downwards from the greatest key < before (STR_NONE: the last). */
int state_each_down(struct state_txn *t, enum state_table tab, struct str before,
    state_record_f *fn, void *arg, const char **error_r) NODISCARD;

/* map_bytes: what records may take, three quarters of the map; deleting needs the rest. Not while a
 * transaction is open. */
struct state_fill {
	uint64_t used_bytes, map_bytes;
	uint64_t count[STATE_TABLE_COUNT];
};
void state_fill(struct state *s, struct state_fill *f_r);

struct state_verdict {
	enum endpoint_verdict verdict;
	uint32_t weight;     /* WEIGHT_UNSET when it says nothing of weight */
	uint64_t expires_us; /* wall; 0 = never */
	uint64_t set_us;     /* wall */
	struct str author;   /* cut at STATE_AUTHOR_MAX; stored, control octets are '?' */
};

/* By identity: the service's id and the endpoint's address text; rows of the arena come and go.
 * Each is one commit: on disk when it returns 1. */
int state_verdict_put(struct state *s, struct str service, struct str endpoint,
    const struct state_verdict *v, const char **error_r) NODISCARD;
/* 1 deleted, 0 there was none, -1. */
int state_verdict_del(
    struct state *s, struct str service, struct str endpoint, const char **error_r) NODISCARD;
/* Calls fn for each in key order; slices are good during the call. fn must not change the state. */
typedef void state_verdict_f(
    void *arg, struct str service, struct str endpoint, const struct state_verdict *v);
int state_verdict_each(
    struct state *s, state_verdict_f *fn, void *arg, const char **error_r) NODISCARD;

#endif
