/* SPDX-License-Identifier: Apache-2.0
 *
 * See map.h.
 */
#include "conf/map.h"

#include "conf/policy.h"

static const char *const table_names[MAP_TABLE_COUNT] = {
    [MAP_META] = "meta",
    [MAP_OBJECT] = "object",
    [MAP_NAME] = "name",
    [MAP_HOST] = "host",
    [MAP_SHARD] = "shard",
    [MAP_ENDPOINT] = "endpoint",
    [MAP_BLOB] = "blob",
};

int
map_dir(const char *run_dir, uint64_t epoch, char *out, size_t cap)
{
	int n =
	    snprintf(out, cap, "%s/map-%d-%llu", run_dir, MAP_FORMAT, (unsigned long long)epoch);

	return n > 0 && (size_t)n < cap ? 1 : -1;
}

static void
hash_add(uint64_t *h, const void *p, size_t n)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < n; i++)
		*h = (*h ^ c[i]) * UINT64_C(1099511628211);
}

/* Policies count: their settings lie in the bodies of routes and services. */
static uint64_t
layout_make(void)
{
	uint64_t h = UINT64_C(14695981039346656037), one = MAP_FORMAT;
	const struct policy_type *const *list = policy_types();

	hash_add(&h, &one, sizeof(one));
	for (unsigned i = 0; i < CONF_KIND_COUNT; i++) {
		one = fields_layout(object_kinds[i].fields);
		hash_add(&h, &one, sizeof(one));
	}
	for (unsigned i = 0; list != NULL && list[i] != NULL; i++) {
		one = fields_layout(list[i]->fields);
		hash_add(&h, list[i]->name, strlen(list[i]->name));
		hash_add(&h, &one, sizeof(one));
	}
	return h;
}

/* Each reader asks at each generation; making it costs a million instructions. */
uint64_t
map_layout(void)
{
	static struct map_layout_state {
		const struct policy_type *const *with;
		uint64_t layout;
	} known;

	if (known.layout == 0 || known.with != policy_types()) {
		known.layout = layout_make();
		known.with = policy_types();
	}
	return known.layout;
}

int
map_open(const char *dir, const struct db_options *o, struct map *m_r, const char **error_r)
{
	struct map m = {.db = NULL};

	if (db_open(dir, o, &m.db, error_r) < 0)
		return -1;
	if (db_tables(m.db, MAP_TABLE_COUNT, table_names, m.tab, error_r) < 0) {
		db_close(&m.db);
		return -1;
	}
	*m_r = m;
	return 1;
}

void
map_close(struct map *m)
{
	if (m->db != NULL)
		db_close(&m->db);
}

int
map_meta_get(struct db_txn *t, const struct map *m, struct map_meta *meta_r)
{
	struct map_meta meta;
	struct str value, body;
	struct rbuf r;
	int got = db_get(t, m->tab[MAP_META], STR("meta"), &value);

	if (got <= 0)
		return got;
	if (image_open(value, 'M', &body) < 0)
		return -1;
	r = rbuf_of(body);
	meta.layout = rbuf_u64(&r);
	meta.generation = rbuf_u64(&r);
	meta.epoch = rbuf_u64(&r);
	meta.started_us = rbuf_u64(&r);
	meta.wild = rbuf_u64(&r);
	meta.next_host = rbuf_u32(&r);
	if (rbuf_u32(&r) != CONF_KIND_COUNT)
		return -1;
	for (unsigned i = 0; i < CONF_KIND_COUNT; i++)
		meta.count[i] = rbuf_u64(&r);
	if (!rbuf_done(&r))
		return -1;
	*meta_r = meta;
	return 1;
}

int
map_meta_put(
    struct db_txn *t, const struct map *m, const struct map_meta *meta, const char **error_r)
{
	struct gbuf out = {0};
	size_t at = image_begin(&out, 'M');
	int ok;

	gbuf_u64(&out, meta->layout);
	gbuf_u64(&out, meta->generation);
	gbuf_u64(&out, meta->epoch);
	gbuf_u64(&out, meta->started_us);
	gbuf_u64(&out, meta->wild);
	gbuf_u32(&out, meta->next_host);
	gbuf_u32(&out, CONF_KIND_COUNT);
	for (unsigned i = 0; i < CONF_KIND_COUNT; i++)
		gbuf_u64(&out, meta->count[i]);
	image_end(&out, at);
	ok = db_put(t, m->tab[MAP_META], STR("meta"), str_n(out.p, out.n), error_r);
	gbuf_free(&out);
	return ok;
}

int
map_object_decode(struct str key, struct str value, struct conf_object *o_r)
{
	struct conf_object o;
	char want[8];
	struct str body;

	if (image_open(value, 'O', &body) < 0 || object_decode(body, &o) < 0 ||
	    !str_eq(key, image_key_object(want, o.kind, o.number)))
		return -1;
	*o_r = o;
	return 1;
}

int
map_each_object(
    struct db_txn *t, const struct map *m, enum conf_kind kind, map_each_object_f *fn, void *arg)
{
	struct db_cursor *c = NULL;
	struct conf_object o;
	struct str key, value;
	struct ws ws;
	char from[8];
	int got =
	    db_cursor_at(t, m->tab[MAP_OBJECT], image_key_object(from, kind, 0), &c, &key, &value);

	ws_init(&ws, NULL, 0);
	while (got == 1 && key.p[0] == (char)kind) {
		struct ws_mark mark = ws_mark(&ws);

		if (map_object_decode(key, value, &o) == 1)
			fn(arg, &o, object_body(&o, &ws));
		ws_reset(&ws, mark);
		got = db_cursor_next(c, &key, &value);
	}
	db_cursor_free(&c);
	ws_free(&ws);
	return got < 0 ? -1 : 1;
}

int
map_object(struct db_txn *t, const struct map *m, enum conf_kind kind, uint32_t number,
    struct conf_object *o_r)
{
	char room[8];
	struct str key = image_key_object(room, kind, number), value;
	int got = db_get(t, m->tab[MAP_OBJECT], key, &value);

	return got <= 0 ? got : map_object_decode(key, value, o_r);
}

int
map_number(
    struct db_txn *t, const struct map *m, enum conf_kind kind, struct str id, uint32_t *number_r)
{
	struct str value, body;
	struct rbuf r;
	uint32_t number;
	char key[80];
	int got;

	got = db_get(t, m->tab[MAP_NAME], image_key_name(key, kind, id), &value);
	if (got <= 0)
		return got;
	if (image_open(value, 'N', &body) < 0)
		return -1;
	r = rbuf_of(body);
	number = rbuf_u32(&r);
	if (!rbuf_done(&r))
		return -1;
	*number_r = number;
	return 1;
}
