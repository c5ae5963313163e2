/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of the state one after another, upwards and downwards, and all of a table at once.
 */
#include "shm/base/bug.h"
#include "shm/state_priv.h"

typedef int next_f(struct db_cursor *c, struct str *key_r, struct str *value_r);

/* From where the cursor is (rc says whether it is anywhere) to the end. Frees it. */
static int
each(enum state_table tab, int rc, struct db_cursor *c, next_f *next, struct str key,
    struct str record, state_record_f *fn, void *arg, const char **error_r)
{
	struct str text;
	uint64_t sum;
	int said = 1;

	for (; rc == 1 && said == 1; rc = said == 1 ? next(c, &key, &record) : 0) {
		if (tab == STATE_META && state_meta_own(key))
			continue;
		if (state_unseal(tab, key, record, &text, &sum) < 0) {
			said = state_fail(error_r, "a record of %s does not match its check sum",
			    state_table_names[tab]);
			break;
		}
		said = fn(arg, key, text);
	}
	db_cursor_free(&c);
	return rc < 0 ? state_fail(error_r, "%s cannot be read", state_table_names[tab]) : said;
}

int
state_record_each(struct state_txn *t, enum state_table tab, struct str from, state_record_f *fn,
    void *arg, const char **error_r)
{
	struct db_cursor *c = NULL;
	struct str key = STR_NONE, record = STR_NONE;
	int rc = db_cursor_at(t->t, t->s->table[tab], from, &c, &key, &record);

	return each(tab, rc, c, db_cursor_next, key, record, fn, arg, error_r);
}

int
state_each(struct state_txn *t, enum state_table tab, struct str from, state_record_f *fn,
    void *arg, const char **error_r)
{
	BUG_ON((unsigned)tab >= STATE_TABLE_COUNT || tab == STATE_VERDICTS);
	return state_record_each(t, tab, from, fn, arg, error_r);
}

int
state_each_down(struct state_txn *t, enum state_table tab, struct str before, state_record_f *fn,
    void *arg, const char **error_r)
{
	struct db_cursor *c = NULL;
	struct str key = STR_NONE, record = STR_NONE;
	int rc;

	BUG_ON((unsigned)tab >= STATE_TABLE_COUNT || tab == STATE_VERDICTS);
	rc = db_cursor_before(t->t, t->s->table[tab], before, &c, &key, &record);
	return each(tab, rc, c, db_cursor_prev, key, record, fn, arg, error_r);
}

struct clear {
	enum state_table tab;
	uint64_t sums;
};

static int
take_out(void *arg, struct str key, struct str text)
{
	struct clear *c = arg;

	c->sums ^= state_sum(c->tab, key, text);
	return 1;
}

/* META keeps the state's own words, so no caller clears it: it deletes what it named. */
int
state_clear(struct state_txn *t, enum state_table tab, const char **error_r)
{
	struct clear c = {.tab = tab};

	BUG_ON(tab == STATE_META);
	if (state_count(t, tab) == 0)
		return 1;
	if (state_each(t, tab, STR_NONE, take_out, &c, error_r) < 0)
		return -1;
	if (db_drop(t->t, t->s->table[tab]) < 0)
		return state_fail(error_r, "%s cannot be emptied", state_table_names[tab]);
	t->sums ^= c.sums;
	t->changed = true;
	return 1;
}
