/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening the map for reading, turns, objects, fill levels. Matching is in table_match.c.
 */
#include "conf/table_priv.h"

#include "conf/endpoint_set.h"
#include "conf/recent.h"
#include "shm/base/bug.h"

/* 1, or -1 with *error_r: the record every reader begins with. */
static int
meta_load(struct table *t, const char **error_r)
{
	struct map_meta meta;
	int got = map_meta_get(t->txn, &t->map, &meta);

	if (got != 1) {
		*error_r = got == 0 ? "the map is empty" : "the map's head is damaged";
		return -1;
	}
	if (meta.layout != map_layout()) {
		*error_r = "the map was written by another version of the program";
		return -1;
	}
	t->meta = meta;
	t->txn_id = db_txn_id(t->txn);
	return 1;
}

static int
table_start(const struct map *m, bool borrowed, struct table **t_r, const char **error_r)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->map = *m;
	t->borrowed = borrowed;
	if (db_read_begin(t->map.db, &t->txn, error_r) < 0 || meta_load(t, error_r) < 0) {
		table_close(&t);
		return -1;
	}
	db_read_reset(t->txn);
	*t_r = t;
	return 1;
}

int
table_open(const char *run_dir, uint64_t epoch, struct table **t_r, const char **error_r)
{
	struct db_options o = {.mode = DB_READ, .max_tables = MAP_TABLE_COUNT};
	struct map m;
	char dir[512];

	if (map_dir(run_dir, epoch, dir, sizeof(dir)) < 0) {
		*error_r = "the path of the map is too long";
		return -1;
	}
	if (map_open(dir, &o, &m, error_r) < 0)
		return -1;
	return table_start(&m, false, t_r, error_r);
}

int
table_attach(const struct map *m, struct table **t_r, const char **error_r)
{
	return table_start(m, true, t_r, error_r);
}

void
table_close(struct table **tp)
{
	struct table *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	if (t->txn != NULL)
		db_abort(&t->txn);
	if (!t->borrowed)
		map_close(&t->map);
	table_shards_forget(t);
	free(t);
}

int
table_renew(struct table *t)
{
	const char *error;

	if (t->reading)
		return 1;
	if (db_read_renew(t->txn) < 0)
		return -1;
	if (db_txn_id(t->txn) != t->txn_id && meta_load(t, &error) < 0) {
		db_read_reset(t->txn);
		return -1;
	}
	t->reading = true;
	return 1;
}

void
table_reset(struct table *t)
{
	if (!t->reading)
		return;
	db_read_reset(t->txn);
	t->reading = false;
}

uint64_t
table_generation(struct table *t)
{
	return t->meta.generation;
}

int
table_object(struct table *t, enum conf_kind kind, uint32_t number, struct conf_object *o_r)
{
	BUG_ON(!t->reading);
	return map_object(t->txn, &t->map, kind, number, o_r);
}

int
table_find(struct table *t, enum conf_kind kind, struct str id, struct conf_object *o_r)
{
	uint32_t number;
	int got;

	BUG_ON(!t->reading);
	got = map_number(t->txn, &t->map, kind, id, &number);
	if (got <= 0)
		return got;
	return map_object(t->txn, &t->map, kind, number, o_r) == 1 ? 1 : -1;
}

int
table_next(struct table *t, enum conf_kind kind, uint32_t *number, struct conf_object *o_r)
{
	struct db_cursor *c = NULL;
	struct str key, value;
	struct conf_object o;
	char from[8];
	int got;

	BUG_ON(!t->reading);
	if (*number == UINT32_MAX)
		return 0;
	got = db_cursor_at(t->txn, t->map.tab[MAP_OBJECT],
	    image_key_object(from, kind, *number + 1), &c, &key, &value);
	if (got == 1 && (key.n < 1 || key.p[0] != (char)kind))
		got = 0;
	if (got == 1)
		got = map_object_decode(key, value, &o);
	db_cursor_free(&c);
	if (got != 1)
		return got;
	*number = o.number;
	*o_r = o;
	return 1;
}

/* A row of the name table behind `id`, of this kind. */
static int
name_after(struct table *t, enum conf_kind kind, struct str id, uint32_t *number_r)
{
	struct db_cursor *c = NULL;
	struct str key, value, from, body;
	char room[80];
	struct rbuf r;
	int got;

	from = image_key_name(room, kind, id);
	got = db_cursor_at(t->txn, t->map.tab[MAP_NAME], from, &c, &key, &value);
	if (got == 1 && id.n > 0 && str_eq(key, from))
		got = db_cursor_next(c, &key, &value);
	if (got == 1 && (key.n < 1 || key.p[0] != (char)kind))
		got = 0;
	if (got == 1 && image_open(value, 'N', &body) < 0)
		got = -1;
	if (got == 1) {
		r = rbuf_of(body);
		*number_r = rbuf_u32(&r);
	}
	db_cursor_free(&c);
	return got;
}

int
table_after(struct table *t, enum conf_kind kind, struct str id, struct conf_object *o_r)
{
	uint32_t number = 0;
	int got;

	BUG_ON(!t->reading);
	got = name_after(t, kind, id, &number);
	if (got <= 0)
		return got;
	return map_object(t->txn, &t->map, kind, number, o_r) == 1 ? 1 : -1;
}

uint64_t
table_count(struct table *t, enum conf_kind kind)
{
	return t->meta.count[kind];
}

int
table_changes(struct table *t, uint64_t from,
    void (*fn)(void *arg, enum conf_kind kind, uint32_t number), void *arg)
{
	struct recent r;

	BUG_ON(!t->reading);
	if (recent_get(t->txn, &t->map, &r) != 1 || r.generation != t->meta.generation ||
	    from < r.since || from > r.generation)
		return 0;
	for (uint32_t i = 0; i < r.n; i++)
		if (r.v[i].generation > from && r.v[i].kind < CONF_KIND_COUNT)
			fn(arg, (enum conf_kind)r.v[i].kind, r.v[i].number);
	return 1;
}

int
table_endpoints(struct table *t, uint32_t service, struct endpoint_set *s_r)
{
	struct str value;
	char key[8];
	int got;

	BUG_ON(!t->reading);
	got = db_get(t->txn, t->map.tab[MAP_ENDPOINT], image_key_number(key, service), &value);
	return got <= 0 ? got : endpoint_set_open(value, s_r);
}

void
table_fill(struct table *t, struct table_fill *f_r)
{
	struct db_fill fill;

	db_fill(t->map.db, &fill);
	*f_r = (struct table_fill){
	    .used_bytes = fill.used_bytes,
	    .map_bytes = fill.map_bytes,
	    .readers = fill.readers,
	};
	for (unsigned i = 0; i < CONF_KIND_COUNT; i++)
		f_r->objects += t->meta.count[i];
}
