/* SPDX-License-Identifier: Apache-2.0
 *
 * See store.h. The order of a fresh start: old directories away, map with its head committed, arena
 * under another name with the map's epoch in it, then the rename. So whenever "arena" is there, all
 * of it is, and a keeper killed at any point leaves either that or something that is removed.
 */
#include "conf/store.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/endpoint_set.h"
#include "conf/settings.h"
#include "conf/store_priv.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"
#include "shm/base/num.h"

#define DIR_MODE   0770
#define FILE_MODE  0660 /* the lock file and the arena: workers write to them */
#define DATA_MODE  0640 /* the map */
#define ARENA_NAME "arena"
#define ARENA_NEW  "arena.new"

static struct store_state {
	char error[640];
} state;

static int
fail(const char **error_r, const char *what, const char *why)
{
	snprintf(state.error, sizeof(state.error), "%s: %s", what, why);
	*error_r = state.error;
	return -1;
}

static int
path_of(const struct store *s, const char *name, char out[512], const char **error_r)
{
	int n = snprintf(out, 512, "%s/%s", s->o.run_dir, name);

	return n > 0 && n < 512 ? 1 : fail(error_r, s->o.run_dir, "the path is too long");
}

/* --- what an earlier instance left ----------------------------------------------------------- */

/* A directory of plain files. What cannot be removed is left: the new names are others. */
static void
dir_remove(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char file[800];

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		int n = snprintf(file, sizeof(file), "%s/%s", path, e->d_name);

		if (n > 0 && (size_t)n < sizeof(file))
			(void)unlink(file);
	}
	closedir(d);
	if (rmdir(path) < 0)
		log_warn("%s: cannot be removed: %s", path, strerror(errno));
}

/* The epoch of "map-<format>-<epoch>", of any format; 0: another name. */
static uint64_t
epoch_of(const char *name)
{
	const char *last = strrchr(name, '-'), *error;
	uint64_t epoch;

	if (strncmp(name, "map-", 4) != 0 || last == NULL ||
	    num_u64(str_of(last + 1), UINT64_MAX - 1, &epoch, &error) < 0)
		return 0;
	return epoch;
}

/* Away with all maps and arenas. Returns the highest epoch there was. */
static uint64_t
sweep(const struct store *s)
{
	DIR *d = opendir(s->o.run_dir);
	uint64_t highest = 0;
	struct dirent *e;
	const char *error;
	char path[512];

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		uint64_t epoch = epoch_of(e->d_name);

		if (epoch == 0 && strcmp(e->d_name, ARENA_NAME) != 0 &&
		    strcmp(e->d_name, ARENA_NEW) != 0)
			continue;
		highest = MAX(highest, epoch);
		if (path_of(s, e->d_name, path, &error) == 1)
			dir_remove(path);
	}
	closedir(d);
	return highest;
}

void
store_remove(const char *run_dir)
{
	struct store s = {.o.run_dir = run_dir};

	(void)sweep(&s);
	dir_remove(run_dir);
}

/* --- a fresh start --------------------------------------------------------------------------- */

static int
meta_create(struct store *s, const char **error_r)
{
	struct db_txn *t;

	s->meta = (struct map_meta){
	    .layout = map_layout(), .epoch = s->meta.epoch, .started_us = s->o.started_us};
	if (db_begin(s->map.db, &t, error_r) < 0)
		return -1;
	if (map_meta_put(t, &s->map, &s->meta, error_r) < 0) {
		db_abort(&t);
		return -1;
	}
	return db_commit(&t, error_r);
}

static int
map_create(struct store *s, uint64_t epoch, const char **error_r)
{
	struct db_options o = {.mode = DB_WRITE,
	    .map_size = s->o.map_size,
	    .max_readers = MAP_READERS,
	    .max_tables = MAP_TABLE_COUNT,
	    .file_mode = FILE_MODE};
	char data[600];

	s->meta.epoch = epoch;
	if (map_dir(s->o.run_dir, epoch, s->dir, sizeof(s->dir)) < 0)
		return fail(error_r, s->o.run_dir, "the path is too long");
	if (mkdir(s->dir, DIR_MODE) < 0 || chmod(s->dir, DIR_MODE) < 0)
		return fail(error_r, s->dir, strerror(errno));
	if (map_open(s->dir, &o, &s->map, error_r) < 0 || meta_create(s, error_r) < 0)
		return -1;
	snprintf(data, sizeof(data), "%s/data.mdb", s->dir);
	if (chmod(data, DATA_MODE) < 0)
		return fail(error_r, data, strerror(errno));
	return 1;
}

static int
arena_new(struct store *s, const char **error_r)
{
	char tmp[512], path[512];
	struct arena *a;

	if (path_of(s, ARENA_NEW, tmp, error_r) < 0 || path_of(s, ARENA_NAME, path, error_r) < 0)
		return -1;
	if (arena_create(tmp, s->o.slots, s->o.endpoints, s->o.services, FILE_MODE, error_r) < 0 ||
	    arena_open(tmp, &a, error_r) < 0)
		return -1;
	atomic_store_explicit(&arena_head(a)->epoch, s->meta.epoch, memory_order_release);
	arena_close(&a);
	if (chmod(tmp, DIR_MODE) < 0 || rename(tmp, path) < 0)
		return fail(error_r, path, strerror(errno));
	return arena_open(path, &s->arena, error_r);
}

static int
store_create(struct store *s, const char **error_r)
{
	uint64_t epoch = sweep(s) + 1;

	s->fresh = true;
	if (map_create(s, epoch, error_r) < 0)
		return -1;
	return arena_new(s, error_r);
}

/* --- going on -------------------------------------------------------------------------------- */

struct named {
	struct bits endpoints, services;
};

/* The rows that the map's endpoint sets name. */
static int
rows_named(struct store *s, struct db_txn *t, struct named *named)
{
	struct db_cursor *c = NULL;
	struct endpoint_set set;
	struct endpoint_ref e;
	struct str key, value;
	int got = db_cursor_at(t, s->map.tab[MAP_ENDPOINT], STR_NONE, &c, &key, &value);

	for (; got == 1; got = db_cursor_next(c, &key, &value)) {
		if (endpoint_set_open(value, &set) < 0)
			continue;
		bits_set(&named->services, set.service_row);
		for (uint32_t i = 0; i < set.n; i++)
			if (endpoint_set_get(&set, i, &e) == 1)
				bits_set(&named->endpoints, e.row);
	}
	db_cursor_free(&c);
	return got;
}

/* The predecessor may have died between taking rows and the commit, or between that and retiring.
 */
static void
rows_settle(struct store *s, const struct named *named)
{
	struct arena_head *h = arena_head(s->arena);
	uint64_t version = atomic_load_explicit(&h->endpoints_version, memory_order_relaxed);

	for (uint32_t row = 0; row < h->endpoints; row++)
		if (!bits_has(&named->endpoints, row))
			arena_endpoint_retire(s->arena, row, version);
	for (uint32_t row = 0; row < h->services; row++)
		if (!bits_has(&named->services, row))
			arena_service_free(s->arena, row);
	/* It may have died between a commit and telling of it, too. */
	arena_endpoints_changed(s->arena);
}

static int
settle(struct store *s, const char **error_r)
{
	struct named named = {.endpoints = {.v = NULL}};
	struct db_txn *t;
	int got;

	if (db_read_begin(s->map.db, &t, error_r) < 0)
		return -1;
	got = rows_named(s, t, &named);
	db_abort(&t);
	if (got == 0)
		rows_settle(s, &named);
	bits_free(&named.endpoints);
	bits_free(&named.services);
	atomic_store_explicit(
	    &arena_head(s->arena)->generation, s->meta.generation, memory_order_release);
	return got == 0 ? 1 : fail(error_r, s->dir, "the endpoint table cannot be read");
}

/* The map the arena names, if it is this instance's. 1 or 0. */
static int
map_adopt(struct store *s)
{
	struct db_options o = {.mode = DB_WRITE, .max_tables = MAP_TABLE_COUNT};
	uint64_t epoch = atomic_load_explicit(&arena_head(s->arena)->epoch, memory_order_acquire);
	const char *error;
	struct db_txn *t;
	int got;

	if (map_dir(s->o.run_dir, epoch, s->dir, sizeof(s->dir)) < 0 || access(s->dir, F_OK) < 0 ||
	    map_open(s->dir, &o, &s->map, &error) < 0)
		return 0;
	(void)db_reader_check(s->map.db);
	if (db_read_begin(s->map.db, &t, &error) < 0)
		return 0;
	got = map_meta_get(t, &s->map, &s->meta);
	db_abort(&t);
	return got == 1 && s->meta.started_us == s->o.started_us && s->meta.epoch == epoch &&
	       s->meta.layout == map_layout();
}

static int
store_adopt(struct store *s)
{
	const char *error;
	char path[512];

	if (path_of(s, ARENA_NAME, path, &error) < 0 || access(path, F_OK) < 0 ||
	    arena_open(path, &s->arena, &error) < 0)
		return 0;
	if (map_adopt(s) == 1)
		return 1;
	map_close(&s->map);
	arena_close(&s->arena);
	return 0;
}

void
store_limits(const struct conf_object *settings, uint64_t max[CONF_KIND_COUNT])
{
	const struct conf_settings *c;
	struct ws ws;

	ws_init(&ws, NULL, 0);
	c = object_body(settings, &ws);
	if (c != NULL)
		max[CONF_ROUTE] = (uint64_t)c->limits.routes;
	ws_free(&ws);
}

static void
limits_read(struct store *s, struct db_txn *t)
{
	struct conf_object settings;
	uint32_t number;

	if (map_number(t, &s->map, CONF_SETTINGS, STR("gateway"), &number) == 1 &&
	    map_object(t, &s->map, CONF_SETTINGS, number, &settings) == 1)
		store_limits(&settings, s->max);
}

static int
numbers_read(struct store *s, const char **error_r)
{
	struct db_txn *t;
	int got;

	if (db_read_begin(s->map.db, &t, error_r) < 0)
		return -1;
	got = numbers_load(&s->numbers, t, &s->map);
	if (got == 1)
		got = refs_load(&s->refs, t, &s->map);
	if (got == 1)
		got = wants_load(&s->wants, t, &s->map);
	limits_read(s, t);
	db_abort(&t);
	return got == 1 ? 1 : fail(error_r, s->dir, "the object table cannot be read");
}

int
store_open(struct store *s, const struct store_options *o, const char **error_r)
{
	int ok;

	*s = (struct store){.o = *o};
	ok = store_adopt(s) == 1 ? settle(s, error_r) : store_create(s, error_r);
	if (ok == 1)
		ok = numbers_read(s, error_r);
	if (ok < 0)
		store_close(s);
	return ok;
}

int
store_slim(struct store *s, const char **error_r)
{
	struct db_options o = {.mode = DB_WRITE, .max_tables = MAP_TABLE_COUNT};

	map_close(&s->map);
	return map_open(s->dir, &o, &s->map, error_r);
}

void
store_close(struct store *s)
{
	numbers_fini(&s->numbers);
	refs_fini(&s->refs);
	wants_fini(&s->wants);
	free(s->listeners);
	s->listeners = NULL;
	map_close(&s->map);
	arena_close(&s->arena);
}
