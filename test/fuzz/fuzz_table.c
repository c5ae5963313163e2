/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of the map's tables that nobody of ours wrote. Octet 0 says which table the rest lies in:
 * a shard is matched against and taken apart, an endpoint set and an object are read to the end.
 */
#include "conf/endpoint_set.h"
#include "conf/hosts.h"
#include "conf/table_priv.h"
#include "conf/trie_priv.h"
#include "shm/base/bug.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];
static struct map map;
static struct table *table;

static void
clean(void)
{
	char file[96];

	table_close(&table);
	map_close(&map);
	snprintf(file, sizeof(file), "%s/data.mdb", dir);
	(void)unlink(file);
	snprintf(file, sizeof(file), "%s/lock.mdb", dir);
	(void)unlink(file);
	(void)rmdir(dir);
}

static void
put(enum map_table where, struct str key, struct str value)
{
	const char *error;
	struct db_txn *t;

	BUG_ON(db_begin(map.db, &t, &error) < 0 ||
	       db_put(t, map.tab[where], key, value, &error) < 0 || db_commit(&t, &error) < 0);
}

static void
open_map(void)
{
	struct db_options o = {
	    .mode = DB_WRITE, .map_size = 16u << 20, .max_tables = MAP_TABLE_COUNT};
	struct map_meta meta = {.layout = map_layout(), .next_host = 1};
	const char *error;
	struct db_txn *t;

	snprintf(dir, sizeof(dir), "%s/fuzz-table-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	BUG_ON(mkdtemp(dir) == NULL || map_open(dir, &o, &map, &error) < 0);
	BUG_ON(db_begin(map.db, &t, &error) < 0 || map_meta_put(t, &map, &meta, &error) < 0 ||
	       db_commit(&t, &error) < 0 || table_attach(&map, &table, &error) < 0);
	atexit(clean);
}

static void
match_all(void)
{
	static const char *const paths[] = {"/", "/a", "/a/b", "/a/b/c/d", "//x", "/\x01/\x01"};
	struct match_query q = {.method = 4,
	    .method_name = STR("POST"),
	    .host = STR("a.test"),
	    .listener = 1,
	    .explain = true};
	struct match_result r;

	BUG_ON(table_renew(table) < 0);
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		q.path = str_of(paths[i]);
		int got = table_match(table, &q, &r);

		BUG_ON(got < -1 || got > 1 || (got == 1 && r.n_params > MATCH_PARAMS));
	}
	table_reset(table);
}

static void
fuzz_shard(struct str value)
{
	struct gbuf again = {0};
	struct tnode *root;
	uint32_t outer;
	char key[8];
	bool any;
	struct ws ws;

	if (value.n == 0)
		return;
	put(MAP_SHARD, image_key_number(key, HOST_ANY), value);
	match_all();
	ws_init(&ws, NULL, 1u << 22);
	root = tnode_decode(value, &ws, &outer, &any);
	if (root != NULL && SHARD_ROOT + tnode_size(root) <= IMAGE_MAX)
		tnode_encode(root, outer, any, &again);
	ws_free(&ws);
	gbuf_free(&again);
}

static void
fuzz_endpoints(struct str value)
{
	struct endpoint_set s;
	struct endpoint_ref e;

	if (endpoint_set_open(value, &s) != 1)
		return;
	for (uint32_t i = 0; i < s.n; i++)
		if (endpoint_set_get(&s, i, &e) == 1)
			BUG_ON(e.name.p < value.p || e.name.p + e.name.n > value.p + value.n);
}

static void
fuzz_object(struct str value)
{
	struct conf_object o;
	char key[8];
	struct ws ws;

	for (unsigned kind = 0; kind < CONF_KIND_COUNT; kind++) {
		struct str k = image_key_object(key, (enum conf_kind)kind, 1);

		if (map_object_decode(k, value, &o) != 1)
			continue;
		ws_init(&ws, NULL, 1u << 20);
		(void)object_body(&o, &ws);
		ws_free(&ws);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t id, refs;
	struct str value;

	if (table == NULL)
		open_map();
	if (size < 1)
		return 0;
	value = str_n((const char *)data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		fuzz_shard(value);
		break;
	case 1:
		fuzz_endpoints(value);
		break;
	case 2:
		fuzz_object(value);
		break;
	default:
		(void)host_decode(value, &id, &refs);
	}
	return 0;
}
