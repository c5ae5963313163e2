/* SPDX-License-Identifier: Apache-2.0
 *
 * Shards: what is written is read back, large ones are cut and found again, and no octet of a value
 * is believed. R-1.2's table, S-RT-1.
 */
#include "test/unit/conf/kit.h"

#include "conf/endpoint_set.h"
#include "conf/hosts.h"
#include "conf/path.h"
#include "conf/trie.h"
#include "conf/trie_priv.h"

/* --- patterns -------------------------------------------------------------------------------- */

static void
patterns_are_cut_into_segments(void **state)
{
	struct path p;
	const char *error;

	(void)state;
	assert_int_equal(path_cut(STR("/"), &p, &error), 1);
	assert_int_equal(p.sort, PATH_EXACT);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.seg[0].text.n, 0);
	assert_int_equal(path_cut(STR("/*"), &p, &error), 1);
	assert_int_equal(p.sort, PATH_PREFIX);
	assert_int_equal(p.n, 0);
	assert_int_equal(path_cut(STR("/a/{id}/*/b/*"), &p, &error), 1);
	assert_int_equal(p.sort, PATH_PREFIX);
	assert_int_equal(p.n, 4);
	assert_true(p.seg[1].any && p.seg[2].any && !p.seg[3].any);
	assert_int_equal(p.n_params, 2);
	assert_true(str_eq(p.names, STR("\2id\0")));
	assert_int_equal(path_cut(STR("~^/a/b\\.c/[0-9]+"), &p, &error), 1);
	assert_int_equal(p.sort, PATH_REGEX);
	assert_int_equal(p.n, 2);
	assert_true(str_eq(p.seg[1].text, STR("b.c")));
	assert_int_equal(path_cut(STR("~^/abc"), &p, &error), 1);
	assert_int_equal(p.n, 0);
	assert_int_equal(path_cut(STR("~abc"), &p, &error), 1);
	assert_int_equal(p.n, 0);
	assert_int_equal(path_cut(STR("abc"), &p, &error), -1);
	assert_int_equal(path_cut(STR(""), &p, &error), -1);
}

/* --- tries in a map -------------------------------------------------------------------------- */

static struct kit kit;

static int
setup(void **state UNUSED)
{
	kit_open(&kit);
	return 0;
}

static int
teardown(void **state UNUSED)
{
	kit_close(&kit);
	return 0;
}

static struct trie_who
no_who(void *arg UNUSED, uint32_t route)
{
	static char id[12];

	return (struct trie_who){.id = str_n(id, (size_t)snprintf(id, sizeof(id), "%08u", route))};
}

struct edit {
	struct trie *t;
	unsigned written;
};

static struct edit
edit_begin(void)
{
	kit_begin(&kit);
	return (struct edit){.t = trie_new(kit.txn, kit.map.tab[MAP_SHARD], no_who, NULL)};
}

static void
edit_end(struct edit *e)
{
	const char *error;

	assert_int_equal(trie_flush(e->t, &error), 1);
	e->written = trie_written(e->t);
	trie_free(&e->t);
	kit_commit(&kit);
}

static void
add(struct edit *e, const char *pattern, uint32_t route)
{
	struct candidate c = {.route = route, .methods = METHODS_ANY};
	const char *error;
	struct path p;

	assert_int_equal(path_cut(str_of(pattern), &p, &error), 1);
	c.n_params = (uint8_t)p.n_params;
	c.names = p.names;
	assert_int_equal(trie_add(e->t, HOST_ANY, &p, &c, &error), 1);
}

static int
take_off(struct edit *e, const char *pattern, uint32_t route)
{
	const char *error;
	struct path p;

	assert_int_equal(path_cut(str_of(pattern), &p, &error), 1);
	return trie_remove(e->t, HOST_ANY, &p, route, &error);
}

static uint32_t
found(const char *path)
{
	struct match_query q = {.path = str_of(path), .method = 1, .method_name = STR("GET")};
	struct match_result r;
	int got = table_match(kit.table, &q, &r);

	assert_true(got >= 0);
	return got == 1 ? r.route : 0;
}

static uint64_t
shards(void)
{
	return db_count(kit.table->txn, kit.map.tab[MAP_SHARD]);
}

static void
a_small_table_is_one_shard(void **state UNUSED)
{
	struct edit e = edit_begin();

	add(&e, "/a/b/{c}/*", 1);
	add(&e, "/a/b", 2);
	add(&e, "/{x}", 3);
	edit_end(&e);
	assert_int_equal(shards(), 1);
	assert_int_equal(found("/a/b/c/d"), 1);
	assert_int_equal(found("/a/b"), 2);
	assert_int_equal(found("/z"), 3);
}

/* A node with many children costs one small value per change, however many there are. */
static void
wide_nodes_cost_no_more_per_change(void **state UNUSED)
{
	enum { N = 20000 };
	struct edit e = edit_begin();
	char path[32];

	for (uint32_t i = 1; i <= N; i++) {
		snprintf(path, sizeof(path), "/wide/c%u", i);
		add(&e, path, i);
	}
	edit_end(&e);
	assert_true(shards() > N);
	e = edit_begin();
	add(&e, "/wide/new", N + 1);
	edit_end(&e);
	assert_int_equal(e.written, 2); /* the child, and the count in its parent */
	assert_int_equal(found("/wide/new"), N + 1);
	assert_int_equal(found("/wide/c1"), 1);
	assert_int_equal(found("/wide/c20000"), N);
	assert_int_equal(found("/wide/c20001"), 0);
	e = edit_begin();
	assert_int_equal(take_off(&e, "/wide/c77", 77), 1);
	assert_int_equal(take_off(&e, "/wide/c77", 77), 0);
	assert_int_equal(take_off(&e, "/none/at/all", 77), 0);
	edit_end(&e);
	assert_true(e.written <= 2);
	assert_int_equal(found("/wide/c77"), 0);
	assert_int_equal(found("/wide/c78"), 78);
}

static void
values_stay_near_the_aim(void **state UNUSED)
{
	struct edit e = edit_begin();
	struct db_cursor *c = NULL;
	struct str key, value;
	char path[64];

	for (uint32_t i = 1; i <= 3000; i++) {
		snprintf(path, sizeof(path), "/a%u/b%u/{id}/c%u", i % 7, i % 91, i);
		add(&e, path, i);
	}
	edit_end(&e);
	for (int got =
		 db_cursor_at(kit.table->txn, kit.map.tab[MAP_SHARD], STR_NONE, &c, &key, &value);
	     got == 1; got = db_cursor_next(c, &key, &value))
		assert_true(key.n + value.n <= IMAGE_AIM);
	db_cursor_free(&c);
	for (uint32_t i = 1; i <= 3000; i++) {
		snprintf(path, sizeof(path), "/a%u/b%u/x/c%u", i % 7, i % 91, i);
		assert_int_equal(found(path), i);
	}
	e = edit_begin();
	for (uint32_t i = 1; i <= 3000; i++) {
		snprintf(path, sizeof(path), "/a%u/b%u/{id}/c%u", i % 7, i % 91, i);
		assert_int_equal(take_off(&e, path, i), 1);
	}
	edit_end(&e);
	assert_int_equal(shards(), 0);
}

/* Cut, emptied and filled again within one transaction and over several. */
static void
children_go_out_and_come_home(void **state UNUSED)
{
	char path[64];

	for (unsigned round = 0; round < 4; round++) {
		struct edit e = edit_begin();

		for (uint32_t i = 1; i <= 200; i++) {
			snprintf(path, sizeof(path), "/some/long/path/number/%u", i);
			add(&e, path, i);
		}
		if (round % 2 == 1) {
			edit_end(&e);
			e = edit_begin();
		}
		for (uint32_t i = 1; i <= 200; i++) {
			snprintf(path, sizeof(path), "/some/long/path/number/%u", i);
			assert_int_equal(take_off(&e, path, i), 1);
		}
		add(&e, "/some/long/path/number/7", 1007);
		edit_end(&e);
		assert_int_equal(found("/some/long/path/number/7"), 1007);
		assert_int_equal(found("/some/long/path/number/8"), 0);
		e = edit_begin();
		assert_int_equal(take_off(&e, "/some/long/path/number/7", 1007), 1);
		edit_end(&e);
		assert_int_equal(shards(), 0);
	}
}

/* --- hostile bytes --------------------------------------------------------------------------- */

static void
put_shard(const char *p, size_t n)
{
	const char *error;
	char key[8];

	kit_begin(&kit);
	assert_int_equal(
	    db_put(kit.txn, kit.map.tab[MAP_SHARD], image_key_number(key, 0), str_n(p, n), &error),
	    1);
	kit_commit(&kit);
}

static void
try_all(struct str value)
{
	static const char *const paths[] = {
	    "/", "/a", "/a/b", "/a/b/c", "/a/x/c/d", "/zzz/1", "/zzz/1/2/3", "/q/q/q/q/q/q/q"};
	struct match_query q = {.method = 2, .method_name = STR("HEAD"), .explain = true};
	struct match_result r;
	uint32_t outer;
	bool any;
	struct ws ws;

	put_shard(value.p, value.n);
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		q.path = str_of(paths[i]);
		int got = table_match(kit.table, &q, &r);

		assert_true(got >= -1 && got <= 1);
		for (unsigned k = 0; got == 1 && k < r.n_params; k++)
			assert_true(
			    r.params[k].value.p >= q.path.p &&
			    r.params[k].value.p + r.params[k].value.n <= q.path.p + q.path.n);
	}
	ws_init(&ws, NULL, 0);
	(void)tnode_decode(value, &ws, &outer, &any);
	ws_free(&ws);
}

/* Every octet of a shard turned in several ways, and the value cut at every length: an answer or
 * -1, never a crash (run under sanitizers too). */
static void
no_octet_is_believed(void **state UNUSED)
{
	static const unsigned char masks[] = {0xff, 0x01, 0x80, 0x10};
	struct edit e = edit_begin();
	struct str value;
	char key[8], *copy, *whole;
	size_t n;

	add(&e, "/a/b", 1);
	add(&e, "/a/{name}/c/*", 2);
	add(&e, "/zzz/*", 3);
	add(&e, "~^/a/b/[a-z]", 4);
	add(&e, "/a/*/c/{x}", 5);
	edit_end(&e);
	assert_int_equal(
	    db_get(kit.table->txn, kit.map.tab[MAP_SHARD], image_key_number(key, 0), &value), 1);
	n = value.n;
	whole = malloc(n);
	memcpy(whole, value.p, n);
	for (size_t i = 0; i < n; i++)
		for (unsigned m = 0; m < ARRAY_LEN(masks); m++) {
			copy = malloc(n);
			memcpy(copy, whole, n);
			copy[i] = (char)(copy[i] ^ masks[m]);
			try_all(str_n(copy, n));
			free(copy);
		}
	for (size_t i = 1; i < n; i++) {
		copy = malloc(i);
		memcpy(copy, whole, i);
		try_all(str_n(copy, i));
		free(copy);
	}
	put_shard(whole, n);
	assert_int_equal(found("/a/b"), 1);
	free(whole);
}

/* Nodes that point at each other again and again: bounded work, not 2^n steps. */
static void
shared_nodes_do_not_explode(void **state UNUSED)
{
	struct gbuf out = {0};
	struct match_query q = {.method = 1, .method_name = STR("GET")};
	struct match_result r;
	struct gbuf path = {0};
	size_t at = image_begin(&out, 'S');
	uint32_t outer;
	bool any;
	struct ws ws;

	gbuf_u32(&out, 0);
	for (unsigned i = 0; i < 60; i++) { /* both ways lead to the next node */
		uint16_t here = (uint16_t)(SHARD_ROOT + i * (SHARD_NODE + SHARD_CHILD + 1));
		uint16_t next = (uint16_t)(here + SHARD_NODE + SHARD_CHILD + 1);

		gbuf_u16(&out, 1);
		gbuf_u16(&out, next);
		for (unsigned k = 0; k < PATH_SORTS; k++)
			gbuf_u16(&out, 0);
		gbuf_u16(&out, (uint16_t)(here + SHARD_NODE + SHARD_CHILD));
		gbuf_u16(&out, 1);
		gbuf_u16(&out, next);
		gbuf_u8(&out, 'a');
		gbuf_printf(&path, "/a");
	}
	for (unsigned i = 0; i < SHARD_NODE; i++)
		gbuf_u8(&out, 0);
	image_end(&out, at);
	put_shard(out.p, out.n);
	q.path = str_n(path.p, path.n);
	assert_int_equal(table_match(kit.table, &q, &r), -1);
	ws_init(&ws, NULL, 0);
	assert_null(tnode_decode(str_n(out.p, out.n), &ws, &outer, &any));
	ws_free(&ws);
	gbuf_free(&out);
	gbuf_free(&path);
}

/* --- endpoint sets --------------------------------------------------------------------------- */

static void
endpoint_sets_are_read_back_and_not_believed(void **state UNUSED)
{
	struct endpoint_bytes b = {.n = 0};
	struct endpoint_ref e = {.row = 3, .incarnation = 5, .weight = 7}, got;
	struct endpoint_set s;
	struct gbuf out = {0};
	const char *error;

	assert_int_equal(addr_parse(STR("10.1.2.3:80"), 0, &e.addr, &error), 1);
	e.host = STR("orders.test");
	e.base_path = STR("/base");
	e.name = STR("10.1.2.3:80");
	endpoint_bytes_add(&b, &e);
	assert_int_equal(addr_parse(STR("unix:/run/x"), 0, &e.addr, &error), 1);
	e.name = STR("unix:/run/x");
	endpoint_bytes_add(&b, &e);
	e = (struct endpoint_ref){.unresolved = true, .name = STR("n.test:1"), .error = STR("no")};
	endpoint_bytes_add(&b, &e);
	e = (struct endpoint_ref){.tls = true, .name = STR("https://10.1.2.3:443")};
	assert_int_equal(addr_parse(STR("10.1.2.3:443"), 0, &e.addr, &error), 1);
	endpoint_bytes_add(&b, &e);
	assert_int_equal(endpoint_bytes_end(&b, 1, 9, &out), 1);
	assert_int_equal(endpoint_set_open(str_n(out.p, out.n), &s), 1);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.service_row, 1);
	assert_int_equal(s.service_incarnation, 9);
	assert_int_equal(endpoint_set_get(&s, 0, &got), 1);
	assert_int_equal(got.row, 3);
	assert_true(str_eq(got.host, STR("orders.test")));
	assert_true(str_eq(got.base_path, STR("/base")));
	assert_int_equal(got.addr.port, 80);
	assert_int_equal(endpoint_set_get(&s, 1, &got), 1);
	assert_string_equal(got.addr.path, "/run/x");
	assert_int_equal(endpoint_set_get(&s, 2, &got), 1);
	assert_true(got.unresolved);
	assert_true(str_eq(got.error, STR("no")));
	assert_false(got.tls);
	assert_int_equal(endpoint_set_get(&s, 3, &got), 1);
	assert_true(got.tls);
	assert_true(endpoint_ref_same(&got, &e));
	e.tls = false;
	assert_false(endpoint_ref_same(&got, &e));
	assert_int_equal(endpoint_set_get(&s, 4, &got), -1);
	for (size_t i = 0; i < out.n; i++)
		for (unsigned m = 1; m < 256; m += 51) {
			char *copy = malloc(out.n);

			memcpy(copy, out.p, out.n);
			copy[i] = (char)(copy[i] ^ (char)m);
			if (endpoint_set_open(str_n(copy, out.n), &s) == 1)
				for (uint32_t k = 0; k < s.n; k++)
					if (endpoint_set_get(&s, k, &got) == 1)
						assert_true(
						    got.name.p + got.name.n <= copy + out.n);
			free(copy);
		}
	gbuf_free(&out);
}

static const struct CMUnitTest tests[] = {
    TEST(patterns_are_cut_into_segments),
    TEST_WITH(a_small_table_is_one_shard, setup, teardown),
    TEST_WITH(wide_nodes_cost_no_more_per_change, setup, teardown),
    TEST_WITH(values_stay_near_the_aim, setup, teardown),
    TEST_WITH(children_go_out_and_come_home, setup, teardown),
    TEST_WITH(no_octet_is_believed, setup, teardown),
    TEST_WITH(shared_nodes_do_not_explode, setup, teardown),
    TEST(endpoint_sets_are_read_back_and_not_believed),
};

RUN_TESTS(tests)
