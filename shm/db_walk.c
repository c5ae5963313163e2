/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a whole environment, to find out whether it can be read. LMDB keeps no checksums: it
 * notices what is out of range, and crashes on what it does not notice. The caller is a child whose
 * crash is the answer.
 */
#include "shm/db_priv.h"

#include <fcntl.h>
#include <unistd.h>

#include "shm/base/bug.h"

/* Where the two pages that say which transaction was the last have its number, the last page's, a
 * page's size (half a word), and the map's (LMDB 0.9, words of 64 bits). */
#define META_TXN_AT  144
#define META_LAST_AT 136
#define META_PAGE_AT 40
#define META_MAP_AT  32
#define MAP_ABSURD   (UINT64_C(1) << 40)
#define PAGE_ABSURD  (UINT64_C(1) << 17)
#define PATH_ROOM    512

struct names {
	unsigned n;
	char *name[DB_TABLES_DEFAULT];
};

/* Is the record found by its key, and where the cursor found it? The keys between pages lead only
 * those who search. */
static bool
is_found(struct db_txn *t, db_table tab, struct str key, struct str value)
{
	struct str found;

	return tab == DB_TABLE_FREE || tab == DB_TABLE_NAMES ||
	       (db_get(t, tab, key, &found) == 1 && found.p == value.p && found.n == value.n);
}

/* Calls fn for the records of one table, and for no more than it says it has. 1 or 0. */
static int
walk_table(struct db_txn *t, db_table tab, struct str name, db_walk_f *fn, void *arg)
{
	struct str key, value;
	struct db_cursor *c = NULL;
	uint64_t n = 0, count = db_count(t, tab);
	int rc;

	for (rc = db_cursor_at(t, tab, STR_NONE, &c, &key, &value); rc == 1;
	     rc = db_cursor_next(c, &key, &value))
		if (++n > count || !is_found(t, tab, key, value) || !fn(arg, name, key, value))
			break;
	db_cursor_free(&c);
	return rc == 0 && n == count;
}

/* A record of the free list: a count, then that many page numbers. */
static bool
free_record(void *last_page, struct str table UNUSED, struct str key UNUSED, struct str v)
{
	uint64_t n, page, last = *(uint64_t *)last_page;

	if (v.n < sizeof(n))
		return false;
	memcpy(&n, v.p, sizeof(n));
	if (n > v.n / sizeof(page) - 1)
		return false;
	for (uint64_t i = 1; i <= n; i++) {
		memcpy(&page, v.p + i * sizeof(page), sizeof(page));
		if (page > last)
			return false;
	}
	return true;
}

static bool
name_record(void *arg, struct str table UNUSED, struct str key, struct str value UNUSED)
{
	struct names *names = arg;

	if (names->n == ARRAY_LEN(names->name) || memchr(key.p, '\0', key.n) != NULL)
		return false;
	names->name[names->n++] = str_z(key);
	return true;
}

/* Handles are good in transactions begun after the table was opened. */
static int
walk_named(struct db *d, struct db_txn *t, const char *name, db_walk_f *fn, void *arg)
{
	const char *error;
	db_table tab;

	db_read_reset(t);
	return db_tables(d, 1, &name, &tab, &error) == 1 && db_read_renew(t) == 1 &&
	       walk_table(t, tab, str_of(name), fn, arg);
}

static int
walk_all(struct db *d, struct db_txn *t, db_walk_f *fn, void *arg)
{
	struct names names = {0};
	struct db_fill fill;
	uint64_t last_page;
	int sound;

	db_fill(d, &fill);
	if (fill.page_bytes == 0)
		return 0;
	last_page = fill.used_bytes / fill.page_bytes - 1;
	sound = walk_table(t, DB_TABLE_FREE, STR_NONE, free_record, &last_page) &&
		walk_table(t, DB_TABLE_NAMES, STR_NONE, name_record, &names);
	for (unsigned i = 0; sound && i < names.n; i++)
		sound = walk_named(d, t, names.name[i], fn, arg);
	for (unsigned i = 0; i < names.n; i++)
		free(names.name[i]);
	return sound;
}

/* A word of both pages. */
static bool
metas_read(const char *dir, uint64_t page_bytes, unsigned at, uint64_t word_r[2])
{
	char path[PATH_ROOM];
	bool read_both = true;
	int fd, n = snprintf(path, sizeof(path), "%s/data.mdb", dir);

	if (n < 0 || (size_t)n >= sizeof(path) || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	for (unsigned i = 0; i < 2; i++)
		if (pread(fd, &word_r[i], sizeof(word_r[i]), (off_t)(i * page_bytes + at)) !=
		    sizeof(word_r[i]))
			read_both = false;
	close(fd);
	return read_both;
}

/* Transactions write these pages in turn, so they name two that follow one another; in a new file,
 * none. A number gone bad would make LMDB believe the older page: everything reads well, and the
 * last commit is gone. */
static bool
metas_follow(const char *dir, uint64_t page_bytes)
{
	uint64_t txn[2];

	if (!metas_read(dir, page_bytes, META_TXN_AT, txn))
		return false;
	if (txn[0] == 0 && txn[1] == 0)
		return true;
	return txn[0] % 2 == 0 && (txn[1] == txn[0] + 1 || txn[0] == txn[1] + 1);
}

/* A map that no memory holds looks like want of memory. */
static bool
metas_absurd(const char *dir)
{
	uint64_t os_page = (uint64_t)sysconf(_SC_PAGESIZE), map[2], last[2], page[2];

	if (!metas_read(dir, os_page, META_MAP_AT, map) ||
	    !metas_read(dir, os_page, META_LAST_AT, last) ||
	    !metas_read(dir, os_page, META_PAGE_AT, page))
		return false;
	for (unsigned i = 0; i < 2; i++)
		if (map[i] > MAP_ABSURD || last[i] > MAP_ABSURD / os_page ||
		    (uint32_t)page[i] > PAGE_ABSURD)
			return true;
	return false;
}

static int
walk_sound(const char *dir, struct db *d, db_walk_f *fn, void *arg, uint64_t *last_txn_r,
    const char **error_r)
{
	struct db_fill fill;
	struct db_txn *t;
	int rc;

	db_fill(d, &fill);
	if (!metas_follow(dir, fill.page_bytes)) {
		*error_r = "its first two pages do not belong together";
		return 0;
	}
	if (db_read_begin(d, &t, error_r) < 0)
		return db_open_found_damage() ? 0 : -1;
	*last_txn_r = db_txn_id(t);
	rc = walk_all(d, t, fn, arg);
	db_abort(&t);
	if (rc == 0)
		*error_r = "a table cannot be read to its end, or holds what is not ours";
	return rc;
}

int
db_walk(const char *dir, db_walk_f *fn, void *arg, uint64_t *last_txn_r, const char **error_r)
{
	struct db_options o = {.mode = DB_READ};
	struct db *d;
	int rc;

	if (db_open(dir, &o, &d, error_r) < 0)
		return db_open_found_damage() || metas_absurd(dir) ? 0 : -1;
	rc = walk_sound(dir, d, fn, arg, last_txn_r, error_r);
	db_close(&d);
	return rc;
}
