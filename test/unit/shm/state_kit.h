/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of the state: opening it below kit_dir, and writing what its own functions would not.
 * Included after harness.h.
 */
#ifndef GW_STATE_KIT_H
#define GW_STATE_KIT_H

#include <dirent.h>

#include "shm/db.h"
#include "shm/state.h"
#include "shm/state_priv.h"
#include "test/unit/shm/procs_kit.h"

#define MAP_SIZE ((size_t)1 << 20)

UNUSED static int
try_open(struct state **s, const char **error)
{
	*s = NULL;
	*error = "";
	return state_open(kit_dir, MAP_SIZE, s, error);
}

UNUSED static struct state *
open_good(void)
{
	const char *error;
	struct state *s;

	if (try_open(&s, &error) != 1)
		fail_msg("%s", error);
	return s;
}

UNUSED static unsigned
count_asides(void)
{
	DIR *d = opendir(kit_dir);
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strncmp(e->d_name, "state.aside-", 12) == 0;
	closedir(d);
	return n;
}

/* Writes one record the state's own functions would not write. */
UNUSED static void
forge(const char *table, struct str key, struct str value)
{
	struct db_options o = {.mode = DB_DURABLE};
	struct db_txn *t;
	const char *error;
	struct db *db;
	db_table tab;

	assert_int_equal(db_open(kit_path("state"), &o, &db, &error), 1);
	assert_int_equal(db_tables(db, 1, &table, &tab, &error), 1);
	assert_int_equal(db_begin(db, &t, &error), 1);
	assert_int_equal(db_put(t, tab, key, value, &error), 1);
	assert_int_equal(db_commit(&t, &error), 1);
	db_close(&db);
}

UNUSED static const char *kit_error = "";

UNUSED static struct state_txn *
kit_begin(struct state *s)
{
	struct state_txn *t;

	if (state_begin(s, &t, &kit_error) != 1)
		fail_msg("%s", kit_error);
	return t;
}

UNUSED static void
kit_commit(struct state_txn *t)
{
	if (state_commit(&t, &kit_error) != 1)
		fail_msg("%s", kit_error);
	assert_null(t);
}

UNUSED static void
kit_put(struct state_txn *t, enum state_table tab, const char *key, const char *text)
{
	if (state_put(t, tab, str_of(key), str_of(text), &kit_error) != 1)
		fail_msg("%s", kit_error);
}

#endif
