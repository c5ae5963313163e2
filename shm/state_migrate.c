/* SPDX-License-Identifier: Apache-2.0
 *
 * From older schemas to ours, one step for each (S-OP-3). A change of the tables or of a record's
 * form makes a new schema and a step here; the steps run in state_open's transaction, after
 * state_check found the file sound by the rules of its own schema.
 *
 *	1	meta and verdicts; records without a sum: "1 VERDICT WEIGHT EXPIRES SET AUTHOR"
 *	2	tables for what the keeper remembers; sums and the seal
 */
#include "shm/state_priv.h"

#define RECORD_ROOM 512 /* a verdict of schema 1 has up to 256 octets */

int
state_verdict_1(struct str key, struct str record, struct str *text_r)
{
	struct str service, endpoint, text = str_sub(record, 2, record.n);
	struct state_verdict v;

	if (!str_starts(record, STR("1 ")) ||
	    state_verdict_decode(key, text, &service, &endpoint, &v) < 0)
		return -1;
	*text_r = text;
	return 1;
}

/* The first record behind `after`, copied: writing moves what slices point to. 1, 0 or -1. */
static int
verdict_behind(struct state_txn *t, struct str after, char key[DB_KEY_MAX], size_t *key_n,
    char record[RECORD_ROOM], size_t *record_n)
{
	struct db_cursor *c = NULL;
	struct str k, v;
	int rc = db_cursor_at(t->t, t->s->table[STATE_VERDICTS], after, &c, &k, &v);

	if (rc == 1 && str_eq(k, after))
		rc = db_cursor_next(c, &k, &v);
	if (rc == 1 && v.n > RECORD_ROOM)
		rc = -1;
	if (rc == 1) {
		memcpy(key, k.p, k.n);
		*key_n = k.n;
		memcpy(record, v.p, v.n);
		*record_n = v.n;
	}
	db_cursor_free(&c);
	return rc;
}

static int
from_1(struct state_txn *t, const char **error_r)
{
	char key[DB_KEY_MAX], record[RECORD_ROOM];
	size_t key_n = 0, record_n = 0;
	struct str text;
	int rc;

	while ((rc = verdict_behind(t, str_n(key, key_n), key, &key_n, record, &record_n)) == 1) {
		if (state_verdict_1(str_n(key, key_n), str_n(record, record_n), &text) < 0 ||
		    db_del(t->t, t->s->table[STATE_VERDICTS], str_n(key, key_n)) != 1)
			return state_fail(error_r, "a verdict of schema 1 cannot be taken over");
		if (state_record_put(t, STATE_VERDICTS, str_n(key, key_n), text, error_r) < 0)
			return -1;
	}
	return rc == 0 ? 1 : state_fail(error_r, "the verdicts of schema 1 cannot be read");
}

static const struct step {
	unsigned from;
	int (*fn)(struct state_txn *t, const char **error_r);
} steps[] = {
    {1, from_1},
};

int
state_migrate(struct state_txn *t, const char **error_r)
{
	struct state *s = t->s;

	for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
		if (steps[i].from != s->schema)
			continue;
		if (steps[i].fn(t, error_r) < 0)
			return -1;
		s->schema = steps[i].from + 1;
	}
	if (s->schema != STATE_SCHEMA)
		return state_fail(error_r, "there is no way from its schema %u to %u", s->schema,
		    (unsigned)STATE_SCHEMA);
	s->readable = STATE_READABLE;
	return 1;
}
