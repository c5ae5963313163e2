/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions and records of the state. Every text has a sum in front of it, every commit the
 * state's seal (state_priv.h); nothing is handed out that does not verify.
 */
#include <endian.h>
#include <inttypes.h>

#include "shm/base/bug.h"
#include "shm/base/hash.h"
#include "shm/db_priv.h"
#include "shm/state_priv.h"

static const char *const own_names[] = {"format", "readable", "schema", "seal"};

/* --- sums --- */

bool
state_meta_own(struct str key)
{
	for (unsigned i = 0; i < ARRAY_LEN(own_names); i++)
		if (str_eq(key, str_of(own_names[i])))
			return true;
	return false;
}

/* One hash is the next one's key, so that nothing need be copied together. By the table's name: its
 * number may change. */
uint64_t
state_sum(enum state_table tab, struct str key, struct str text)
{
	uint8_t k[16] = "gateway state 2";

	for (unsigned i = 0; i < 2; i++) {
		uint64_t h =
		    htole64(hash_siphash13(k, i == 0 ? str_of(state_table_names[tab]) : key));

		memcpy(k + i * sizeof(h), &h, sizeof(h));
	}
	return hash_siphash13(k, text);
}

static void
head_write(uint64_t sum, char out[STATE_HEAD + 1])
{
	snprintf(out, STATE_HEAD + 1, "1 %016" PRIx64 " ", sum);
}

int
state_unseal(
    enum state_table tab, struct str key, struct str record, struct str *text_r, uint64_t *sum_r)
{
	struct str text = str_sub(record, STATE_HEAD, record.n);
	char head[STATE_HEAD + 1];
	uint64_t sum;

	if (record.n < STATE_HEAD)
		return -1;
	sum = state_sum(tab, key, text);
	head_write(sum, head);
	if (memcmp(head, record.p, STATE_HEAD) != 0)
		return -1;
	*text_r = text;
	*sum_r = sum;
	return 1;
}

static int
damaged(enum state_table tab, const char **error_r)
{
	return state_fail(
	    error_r, "a record of %s does not match its check sum", state_table_names[tab]);
}

struct str
state_seal_text(
    unsigned schema, unsigned readable, uint64_t txn, uint64_t sums, char out[STATE_SEAL_ROOM])
{
	int n = snprintf(
	    out, STATE_SEAL_ROOM, "%u %u %" PRIu64 " %016" PRIx64, schema, readable, txn, sums);

	return str_n(out, (size_t)n);
}

/* --- how full it is --- */

static uint64_t
used_bytes(struct state_txn *t)
{
	uint64_t n = db_table_bytes(t->t, DB_TABLE_NAMES);

	for (unsigned i = 0; i < STATE_TABLE_COUNT; i++)
		n += db_table_bytes(t->t, t->s->table[i]);
	return n;
}

static uint64_t
room_bytes(struct state *s)
{
	struct db_fill fill;

	db_fill(s->db, &fill);
	return STATE_ROOM(fill.map_bytes);
}

static int
full(struct state_txn *t, const char **error_r)
{
	return state_fail(error_r,
	    "full: its records take %" PRIu64 " of %" PRIu64
	    " octets; raise limits.state_size, or delete what is not needed",
	    used_bytes(t), room_bytes(t->s));
}

void
state_fill(struct state *s, struct state_fill *f_r)
{
	struct state_txn *t;
	const char *error;

	*f_r = (struct state_fill){.map_bytes = room_bytes(s)};
	if (state_begin(s, &t, &error) < 0)
		return;
	f_r->used_bytes = used_bytes(t);
	for (unsigned i = 0; i < STATE_TABLE_COUNT; i++)
		f_r->count[i] = state_count(t, i);
	state_abort(&t);
}

/* --- transactions --- */

int
state_begin(struct state *s, struct state_txn **t_r, const char **error_r)
{
	const char *why;
	struct db_txn *txn;

	BUG_ON(s->busy); /* LMDB would wait for itself */
	if (db_begin(s->db, &txn, &why) < 0)
		return state_fail(error_r, "%s", why);
	s->busy = true;
	*t_r = xmalloc(sizeof(**t_r));
	**t_r = (struct state_txn){.s = s, .t = txn, .sums = s->sums};
	return 1;
}

static int
record_write(struct state_txn *t, enum state_table tab, struct str key, struct str text,
    uint64_t sum, const char **error_r)
{
	char head[STATE_HEAD + 1];
	const char *why;
	void *p;

	if (db_reserve(t->t, t->s->table[tab], key, STATE_HEAD + text.n, &p, &why) < 0)
		return db_was_full() ? full(t, error_r) : state_fail(error_r, "%s", why);
	head_write(sum, head);
	memcpy(p, head, STATE_HEAD);
	if (text.n > 0)
		memcpy((char *)p + STATE_HEAD, text.p, text.n);
	return 1;
}

int
state_seal(struct state_txn *t, const char **error_r)
{
	char out[STATE_SEAL_ROOM];
	struct str key = STR("seal"), text = state_seal_text(t->s->schema, t->s->readable,
					  db_txn_id(t->t), t->sums, out);

	return record_write(t, STATE_META, key, text, state_sum(STATE_META, key, text), error_r);
}

int
state_commit(struct state_txn **t, const char **error_r)
{
	struct state *s = (*t)->s;
	uint64_t sums = (*t)->sums;
	const char *why;

	if (!(*t)->changed) {
		state_abort(t);
		return 1;
	}
	/* What no start will find is on no disk. */
	if (db_in_place(s->db, error_r) < 0 || state_seal(*t, error_r) < 0) {
		state_abort(t);
		return -1;
	}
	s->busy = false;
	if (db_commit(&(*t)->t, &why) < 0) {
		free(*t);
		*t = NULL;
		return state_fail(
		    error_r, "%s%s", why, db_was_full() ? "; raise limits.state_size" : "");
	}
	s->sums = sums;
	free(*t);
	*t = NULL;
	return 1;
}

void
state_abort(struct state_txn **t)
{
	if (*t != NULL) {
		(*t)->s->busy = false;
		db_abort(&(*t)->t);
	}
	free(*t);
	*t = NULL;
}

/* --- records --- */

/* 1, 0 there is none, -1. */
static int
record_get(struct state_txn *t, enum state_table tab, struct str key, struct str *text_r,
    uint64_t *sum_r, const char **error_r)
{
	struct str record;
	int rc = db_get(t->t, t->s->table[tab], key, &record);

	if (rc < 0)
		return state_fail(error_r, "%s cannot be read", state_table_names[tab]);
	if (rc == 0)
		return 0;
	return state_unseal(tab, key, record, text_r, sum_r) == 1 ? 1 : damaged(tab, error_r);
}

int
state_record_put(struct state_txn *t, enum state_table tab, struct str key, struct str text,
    const char **error_r)
{
	uint64_t old = 0, sum = state_sum(tab, key, text);
	struct str before;

	if (record_get(t, tab, key, &before, &old, error_r) < 0)
		return -1;
	if (used_bytes(t) + text.n + STATE_HEAD > t->s->room)
		return full(t, error_r);
	if (record_write(t, tab, key, text, sum, error_r) < 0)
		return -1;
	t->sums ^= old ^ sum;
	t->changed = true;
	return 1;
}

int
state_record_del(struct state_txn *t, enum state_table tab, struct str key, const char **error_r)
{
	struct str before;
	uint64_t old;
	int rc = record_get(t, tab, key, &before, &old, error_r);

	if (rc != 1)
		return rc;
	if (db_del(t->t, t->s->table[tab], key) != 1)
		return state_fail(
		    error_r, "a record of %s cannot be deleted", state_table_names[tab]);
	t->sums ^= old;
	t->changed = true;
	return 1;
}

/* What the caller may name: not verdicts, which have functions of their own. */
static bool
is_callers(enum state_table tab, struct str key)
{
	BUG_ON((unsigned)tab >= STATE_TABLE_COUNT || tab == STATE_VERDICTS);
	return key.n > 0 && key.n <= STATE_KEY_MAX && !(tab == STATE_META && state_meta_own(key));
}

int
state_put(struct state_txn *t, enum state_table tab, struct str key, struct str text,
    const char **error_r)
{
	if (!is_callers(tab, key))
		return state_fail(error_r,
		    "a key of %zu octets in %s; 1 to %d are allowed, and no word of the state's "
		    "own",
		    key.n, state_table_names[tab], STATE_KEY_MAX);
	return state_record_put(t, tab, key, text, error_r);
}

int
state_del(struct state_txn *t, enum state_table tab, struct str key, const char **error_r)
{
	return is_callers(tab, key) ? state_record_del(t, tab, key, error_r) : 0;
}

int
state_get(struct state_txn *t, enum state_table tab, struct str key, struct str *text_r,
    const char **error_r)
{
	uint64_t sum;

	return is_callers(tab, key) ? record_get(t, tab, key, text_r, &sum, error_r) : 0;
}

uint64_t
state_count(struct state_txn *t, enum state_table tab)
{
	uint64_t n = db_count(t->t, t->s->table[tab]);

	return tab == STATE_META ? n - MIN(n, ARRAY_LEN(own_names)) : n;
}
