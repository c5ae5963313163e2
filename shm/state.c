/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening the durable environment: what lies there is looked at by a child (state_check.c), set
 * aside when it is not to be believed, or brought to our schema (state_migrate.c). A new one is
 * made under another name and renamed when its first commit is on disk, so that a file without
 * content was always one that lost it.
 */
#include "shm/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/num.h"
#include "shm/state_priv.h"

#define ASIDE_TRIES  100
#define STATE_TABLES 32 /* more than there are, for those of later versions */

const char *const state_table_names[STATE_TABLE_COUNT] = {
    [STATE_META] = "meta",
    [STATE_VERDICTS] = "verdicts",
    [STATE_OBJECTS] = "objects",
    [STATE_HISTORY] = "history",
    [STATE_OVERRIDES] = "overrides",
    [STATE_ENDPOINTS] = "endpoints",
    [STATE_JOURNAL] = "journal",
};

static struct state_state {
	char error[1200];
} state;

/* Where things are. */
struct place {
	const char *parent;
	char dir[STATE_PATH_ROOM], data[STATE_PATH_ROOM], lock[STATE_PATH_ROOM];
};

void
state_words(const char **error_r, const char *fmt, ...)
{
	char words[sizeof(state.error)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	memcpy(state.error, words, sizeof(words));
	*error_r = state.error;
}

static int
place_fail(const char **error_r, const struct place *at, const char *why)
{
	return state_fail(error_r, "state %s: %s", at->dir, why);
}

static int
place_of(const char *parent, const char *name, struct place *at, const char **error_r)
{
	at->parent = parent;
	if (snprintf(at->dir, sizeof(at->dir), "%s/%s", parent, name) >= (int)sizeof(at->dir) ||
	    snprintf(at->data, sizeof(at->data), "%s/%s/data.mdb", parent, name) >=
		(int)sizeof(at->data) ||
	    snprintf(at->lock, sizeof(at->lock), "%s/%s/lock.mdb", parent, name) >=
		(int)sizeof(at->lock))
		return state_fail(error_r, "state %s: the path is too long", parent);
	return 1;
}

/* --- what is not to be believed --- */

/* A rename is on disk before anything is written in its place. */
static int
dir_sync(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/* 0: done, *error_r says what was done and why. */
static int
set_aside(const struct place *at, const char *why, const char **error_r)
{
	char aside[STATE_PATH_ROOM];
	unsigned long long now = clock_wall_us() / 1000000;

	for (unsigned i = 0; i < ASIDE_TRIES; i++) {
		int n = snprintf(aside, sizeof(aside), "%s.aside-%llu.%u", at->dir, now, i);

		if (n < 0 || (size_t)n >= sizeof(aside))
			return place_fail(error_r, at, "the path is too long");
		if (access(aside, F_OK) == 0)
			continue;
		if (rename(at->dir, aside) < 0 || dir_sync(at->parent) < 0)
			return place_fail(error_r, at, strerror(errno));
		state_words(error_r, "state %s set aside as %s: %s", at->dir, aside, why);
		return 0;
	}
	return place_fail(error_r, at, "cannot be set aside: every name is taken");
}

/* 1 sound; 0 not, *error_r says why; 2 there is nothing; -1. */
static int
look_at(const struct place *at, const char **error_r)
{
	bool locked = access(at->lock, F_OK) == 0;
	struct stat st;

	if (stat(at->data, &st) < 0) {
		*error_r = errno == ENOENT && locked ? "its data file is gone" : strerror(errno);
		return errno != ENOENT ? -1 : locked ? 0 : 2;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > 0)
		return state_check(at->dir, error_r);
	*error_r = "its data file is empty";
	return locked ? 0 : 2;
}

/* --- making and opening --- */

static int
put_meta(struct state_txn *t, const char **error_r)
{
	char schema[32], readable[32];
	const struct {
		struct str key, value;
	} words[] = {
	    {STR("format"), STR(STATE_FORMAT)},
	    {STR("schema"), {schema, num_u64_text(t->s->schema, schema)}},
	    {STR("readable"), {readable, num_u64_text(t->s->readable, readable)}},
	};

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		if (db_put(t->t, t->s->table[STATE_META], words[i].key, words[i].value, error_r) <
		    0)
			return -1;
	t->changed = true;
	return 1;
}

static int
get_number(struct state_txn *t, struct str key, unsigned *n_r)
{
	struct str value;
	const char *error;
	uint64_t n;

	if (db_get(t->t, t->s->table[STATE_META], key, &value) != 1 ||
	    num_u64(value, UINT32_MAX, &n, &error) < 0)
		return -1;
	*n_r = (unsigned)n;
	return 1;
}

/* The sums the seal says; where it is not of the last commit (a table that was missing has been
 * made since), it is written anew. */
static int
read_seal(struct state_txn *t, const char **error_r)
{
	struct str key = STR("seal"), record, text;
	char expect[STATE_SEAL_ROOM];
	uint64_t sum;

	if (db_get(t->t, t->s->table[STATE_META], key, &record) != 1 ||
	    state_unseal(STATE_META, key, record, &text, &sum) < 0 || text.n < 16 ||
	    num_hex(str_sub(text, text.n - 16, text.n), UINT64_MAX, &t->sums) < 0)
		return state_fail(error_r, "its seal cannot be read");
	t->s->sums = t->sums;
	if (!str_eq(text, state_seal_text(
			      t->s->schema, t->s->readable, db_txn_id(t->t) - 1, t->sums, expect)))
		t->changed = true;
	return 1;
}

/* A state of a newer schema that we can read stays what it is. */
static int
settle(struct state_txn *t, const char **error_r)
{
	struct state *s = t->s;

	if (get_number(t, STR("schema"), &s->schema) < 0 ||
	    get_number(t, STR("readable"), &s->readable) < 0) {
		s->schema = STATE_SCHEMA;
		s->readable = STATE_READABLE;
		return put_meta(t, error_r);
	}
	if (s->schema >= STATE_SCHEMA)
		return read_seal(t, error_r);
	return state_migrate(t, error_r) == 1 ? put_meta(t, error_r) : -1;
}

static int
open_tables(struct state *s, const char **error_r)
{
	struct state_txn *t;
	struct db_fill fill;

	if (db_tables(s->db, STATE_TABLE_COUNT, state_table_names, s->table, error_r) < 0)
		return -1;
	db_fill(s->db, &fill);
	s->room = fill.map_bytes; /* all of it for migrations */
	if (state_begin(s, &t, error_r) < 0)
		return -1;
	if (settle(t, error_r) < 0) {
		state_abort(&t);
		return -1;
	}
	s->room = STATE_ROOM(fill.map_bytes);
	return state_commit(&t, error_r);
}

static int
open_sound(const char *dir, size_t map_size, struct state **s_r, const char **error_r)
{
	struct db_options o = {.mode = DB_DURABLE,
	    .map_size = map_size,
	    .max_tables = STATE_TABLES,
	    .file_mode = 0600};
	struct state *s = xcalloc(1, sizeof(*s));

	if (db_open(dir, &o, &s->db, error_r) < 0 || open_tables(s, error_r) < 0) {
		state_close(&s);
		return -1;
	}
	*s_r = s;
	return 1;
}

/* What a start that was killed left of a new one. */
static void
sweep(const struct place *at)
{
	unlink(at->data);
	unlink(at->lock);
	rmdir(at->dir);
}

static int
make_new(const struct place *at, size_t map_size, const char **error_r)
{
	struct place fresh;
	struct state *s;

	if (place_of(at->parent, "state.new", &fresh, error_r) < 0)
		return -1;
	sweep(&fresh);
	if (open_sound(fresh.dir, map_size, &s, error_r) < 0)
		return -1;
	state_close(&s);
	unlink(at->data); /* one without content, or none */
	if (dir_sync(fresh.dir) == 0 && rename(fresh.dir, at->dir) == 0 &&
	    dir_sync(at->parent) == 0)
		return 1;
	*error_r = strerror(errno);
	return -1;
}

int
state_open(const char *state_dir, size_t map_size, struct state **s_r, const char **error_r)
{
	struct place at;
	const char *why;
	int found;

	if (place_of(state_dir, "state", &at, error_r) < 0)
		return -1;
	found = look_at(&at, &why);
	if (found < 0)
		return place_fail(error_r, &at, why);
	if (found == 0 && set_aside(&at, why, error_r) < 0)
		return -1;
	if (found != 1 && make_new(&at, map_size, &why) < 0)
		return place_fail(error_r, &at, why);
	if (open_sound(at.dir, map_size, s_r, &why) < 0)
		return place_fail(error_r, &at, why);
	return found == 0 ? 0 : 1;
}

void
state_close(struct state **s)
{
	if (*s != NULL) {
		BUG_ON((*s)->busy);
		db_close(&(*s)->db);
	}
	free(*s);
	*s = NULL;
}
