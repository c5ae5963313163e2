/* SPDX-License-Identifier: Apache-2.0
 *
 * A map in a directory of its own, for the tests of conf's writing and reading side.
 */
#ifndef GW_TEST_CONF_KIT_H
#define GW_TEST_CONF_KIT_H

#include <sys/stat.h>

#include "conf/map.h"
#include "conf/object.h"
#include "conf/routing.h"
#include "conf/table.h"
#include "conf/table_priv.h"
#include "test/unit/harness.h"

struct kit {
	char dir[64];
	struct map map;
	struct map_meta meta;
	struct db_txn *txn;
	struct table *table;
};

UNUSED static void
kit_rm(const char *dir)
{
	char cmd[600];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	assert_int_equal(system(cmd), 0);
}

UNUSED static void
kit_begin(struct kit *k)
{
	const char *error = NULL;

	if (db_begin(k->map.db, &k->txn, &error) < 0)
		fail_msg("%s", error);
}

UNUSED static void
kit_commit(struct kit *k)
{
	const char *error = NULL;

	k->meta.generation++;
	if (map_meta_put(k->txn, &k->map, &k->meta, &error) < 0 || db_commit(&k->txn, &error) < 0)
		fail_msg("%s", error);
	if (k->table != NULL) {
		table_reset(k->table);
		assert_int_equal(table_renew(k->table), 1);
	}
}

UNUSED static void
kit_open(struct kit *k)
{
	struct db_options o = {
	    .mode = DB_WRITE, .map_size = 512u << 20, .max_tables = MAP_TABLE_COUNT};
	const char *error = NULL;

	*k = (struct kit){.meta = {.layout = map_layout(), .epoch = 1}};
	snprintf(k->dir, sizeof(k->dir), "/dev/shm/gw-conf-test-XXXXXX");
	if (mkdtemp(k->dir) == NULL) {
		snprintf(k->dir, sizeof(k->dir), "/tmp/gw-conf-test-XXXXXX");
		assert_non_null(mkdtemp(k->dir));
	}
	if (map_open(k->dir, &o, &k->map, &error) < 0)
		fail_msg("%s", error);
	kit_begin(k);
	kit_commit(k);
	if (table_attach(&k->map, &k->table, &error) < 0)
		fail_msg("%s", error);
	assert_int_equal(table_renew(k->table), 1);
}

UNUSED static void
kit_close(struct kit *k)
{
	db_abort(&k->txn);
	table_close(&k->table);
	map_close(&k->map);
	kit_rm(k->dir);
}

/* An object with an empty body: enough for what looks up ids. */
UNUSED static void
kit_object(struct kit *k, enum conf_kind kind, uint32_t number, struct str id)
{
	struct conf_object o = {.kind = kind, .number = number, .id = id, .source = STR("file")};
	struct gbuf out = {0};
	const char *error = NULL;
	char key[80];
	size_t at = image_begin(&out, 'O');

	object_encode(&o, &out);
	image_end(&out, at);
	assert_int_equal(db_put(k->txn, k->map.tab[MAP_OBJECT], image_key_object(key, kind, number),
			     str_n(out.p, out.n), &error),
	    1);
	out.n = 0;
	at = image_begin(&out, 'N');
	gbuf_u32(&out, number);
	image_end(&out, at);
	assert_int_equal(db_put(k->txn, k->map.tab[MAP_NAME], image_key_name(key, kind, id),
			     str_n(out.p, out.n), &error),
	    1);
	gbuf_free(&out);
}

#endif
