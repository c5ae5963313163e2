/* SPDX-License-Identifier: Apache-2.0
 *
 * LMDB behind db.h and db_priv.h. The file is always as long as its map (with holes): a shorter one
 * was cut, and is refused before a page beyond its end is touched.
 */
#include "shm/db.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "shm/db_priv.h"

#define VALUE_KEY   STR("value")
#define VALUE_SPARE 64 /* pages beside the value: metas, root, free list */
#define PAGE_HEAD   64 /* a value of its own begins within that many octets of a page */
#define PATH_ROOM   512

struct db {
	MDB_env *env;
	enum db_mode mode;
	pid_t pid; /* who opened it: of no use to a child */
	char dir[];
};

struct db_txn {
	MDB_txn *txn;
	struct db *d;
	bool live;       /* holds a snapshot: not reset */
	MDB_cursor *end; /* of the table last appended to; LMDB's, goes with the transaction */
	db_table end_of;
};

struct db_cursor {
	MDB_cursor *c;
};

static struct db_state {
	char error[256];
	int rc;    /* of the last environment or transaction that could not be opened */
	bool full; /* the last put or commit that failed did so for want of room */
} state;

static int db_fail(const char **error_r, const char *dir, const char *fmt, ...) PRINTF(3, 4);
static int
db_fail(const char **error_r, const char *dir, const char *fmt, ...)
{
	int n = snprintf(state.error, sizeof(state.error), "%s: ", dir);
	va_list ap;

	if (n < 0 || (size_t)n >= sizeof(state.error))
		n = 0; /* the words matter more than a very long path */
	va_start(ap, fmt);
	vsnprintf(state.error + n, sizeof(state.error) - (size_t)n, fmt, ap);
	va_end(ap);
	*error_r = state.error;
	return -1;
}

static MDB_val
val_of(struct str s)
{
	return (MDB_val){.mv_size = s.n, .mv_data = (void *)(s.n == 0 ? "" : s.p)};
}

static struct str
str_of_val(const MDB_val *v)
{
	return str_n(v->mv_data, v->mv_size);
}

/* --- environments --- */

static int
file_path(const char *dir, const char *name, char out[PATH_ROOM])
{
	int n = snprintf(out, PATH_ROOM, "%s/%s", dir, name);

	return n > 0 && n < PATH_ROOM ? 1 : -1;
}

/* Whoever may read a file may enter its directory. The set-group-ID bit stays as it is inherited.
 */
static int
dir_make(const char *dir, unsigned file_mode)
{
	unsigned mode = file_mode | (file_mode & 0444) >> 2;
	struct stat st;

	if (mkdir(dir, 0700) < 0)
		return errno == EEXIST ? 0 : errno;
	if (stat(dir, &st) < 0 || chmod(dir, (st.st_mode & S_ISGID) | mode) < 0)
		return errno;
	return 0;
}

/* The mode LMDB created the files with went through the umask. The lock file goes by its name: a
 * descriptor of ours, closed, would drop the locks of this process. */
static int
files_mode(const char *dir, unsigned mode)
{
	static const char *const names[] = {"data.mdb", "lock.mdb"};
	char path[PATH_ROOM];
	struct stat st;

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (file_path(dir, names[i], path) < 0)
			return ENAMETOOLONG;
		if (stat(path, &st) < 0)
			return errno;
		if ((st.st_mode & 07777) != mode && chmod(path, mode) < 0)
			return errno;
	}
	return 0;
}

/* Refuses a file that ends before its pages do; lets a writer's be as long as its map. */
static int
file_length(MDB_env *env, bool writer, char *why, size_t cap)
{
	MDB_envinfo info;
	MDB_stat ms;
	struct stat st;
	uint64_t used;
	int fd, rc = mdb_env_info(env, &info);

	if (rc == 0)
		rc = mdb_env_stat(env, &ms);
	if (rc == 0)
		rc = mdb_env_get_fd(env, &fd);
	if (rc != 0 || fstat(fd, &st) < 0)
		return rc != 0 ? rc : errno;
	used = (info.me_last_pgno + 1) * (uint64_t)ms.ms_psize;
	if ((uint64_t)st.st_size < used) {
		snprintf(why, cap, "%lld octets where its pages need %llu", (long long)st.st_size,
		    (unsigned long long)used);
		return MDB_CORRUPTED;
	}
	if (writer && (size_t)st.st_size < info.me_mapsize &&
	    ftruncate(fd, (off_t)info.me_mapsize) < 0)
		return errno;
	return 0;
}

static int
env_make(const struct db_options *o, MDB_env **env_r)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc != 0)
		return rc;
	if (o->mode != DB_READ && o->map_size != 0)
		rc = mdb_env_set_mapsize(env, o->map_size);
	if (rc == 0 && o->max_readers != 0)
		rc = mdb_env_set_maxreaders(env, o->max_readers);
	if (rc == 0)
		rc =
		    mdb_env_set_maxdbs(env, o->max_tables != 0 ? o->max_tables : DB_TABLES_DEFAULT);
	if (rc != 0)
		mdb_env_close(env);
	else
		*env_r = env;
	return rc;
}

/* 0 or the error's number; why_r is filled in where that number says too little. */
static int
env_open(const char *dir, const struct db_options *o, unsigned flags, MDB_env **env_r, char *why,
    size_t cap)
{
	unsigned mode = o->file_mode != 0 ? o->file_mode : 0600;
	MDB_env *env;
	int rc = o->mode != DB_READ ? dir_make(dir, mode) : 0;

	if (rc == 0)
		rc = env_make(o, &env);
	if (rc != 0)
		return rc;
	rc = mdb_env_open(env, dir, flags | MDB_NOTLS, mode);
	if (rc == 0 && o->file_mode != 0 && o->mode != DB_READ)
		rc = files_mode(dir, mode);
	if (rc == 0)
		rc = file_length(env, o->mode != DB_READ, why, cap);
	if (rc != 0)
		mdb_env_close(env);
	else
		*env_r = env;
	return rc;
}

static int
open_fail(const char **error_r, const char *dir, int rc, const char *why)
{
	state.rc = rc;
	return db_fail(error_r, dir, "%s", why[0] != '\0' ? why : mdb_strerror(rc));
}

static int
open_flagged(const char *dir, const struct db_options *o, unsigned flags, struct db **d_r,
    const char **error_r)
{
	char why[96] = "";
	MDB_env *env;
	struct db *d;
	int rc = env_open(dir, o, flags, &env, why, sizeof(why));

	if (rc != 0) {
		open_fail(error_r, dir, rc, why);
		return -1; /* said here for the analyzer's sake */
	}
	d = xmalloc(sizeof(*d) + strlen(dir) + 1);
	*d = (struct db){.env = env, .mode = o->mode, .pid = getpid()};
	memcpy(d->dir, dir, strlen(dir) + 1);
	*d_r = d;
	return 1;
}

int
db_open(const char *dir, const struct db_options *o, struct db **d_r, const char **error_r)
{
	static const unsigned flags[] = {
	    [DB_READ] = MDB_RDONLY, [DB_WRITE] = MDB_NOSYNC, [DB_DURABLE] = 0};

	return open_flagged(dir, o, flags[o->mode], d_r, error_r);
}

bool
db_open_found_damage(void)
{
	return state.rc < 0 && state.rc != MDB_READERS_FULL;
}

void
db_close(struct db **d)
{
	if (*d != NULL)
		mdb_env_close((*d)->env);
	free(*d);
	*d = NULL;
}

int
db_in_place(const struct db *d, const char **error_r)
{
	char path[PATH_ROOM];
	struct stat open_file, there;
	int fd;

	if (file_path(d->dir, "data.mdb", path) < 0 || mdb_env_get_fd(d->env, &fd) != 0 ||
	    fstat(fd, &open_file) < 0)
		return db_fail(error_r, d->dir, "cannot be looked at");
	if (stat(path, &there) < 0)
		return errno == ENOENT || errno == ENOTDIR
			   ? db_fail(error_r, d->dir, "its data file was deleted while in use")
			   : 1;
	if (there.st_ino != open_file.st_ino || there.st_dev != open_file.st_dev)
		return db_fail(error_r, d->dir, "its data file was replaced while in use");
	return 1;
}

/* --- transactions --- */

static int
txn_begin(struct db *d, unsigned flags, struct db_txn **t_r, const char **error_r)
{
	MDB_txn *txn;
	int rc;

	BUG_ON(d->pid != getpid());
	rc = mdb_txn_begin(d->env, NULL, flags, &txn);
	if (rc != 0) {
		state.rc = rc;
		db_fail(error_r, d->dir, "%s", mdb_strerror(rc));
		return -1;
	}
	*t_r = xmalloc(sizeof(**t_r));
	**t_r = (struct db_txn){.txn = txn, .d = d, .live = true};
	return 1;
}

int
db_begin(struct db *d, struct db_txn **t_r, const char **error_r)
{
	BUG_ON(d->mode == DB_READ);
	return txn_begin(d, 0, t_r, error_r);
}

int
db_read_begin(struct db *d, struct db_txn **t_r, const char **error_r)
{
	return txn_begin(d, MDB_RDONLY, t_r, error_r);
}

int
db_commit(struct db_txn **t, const char **error_r)
{
	struct db *d = (*t)->d;
	int rc = mdb_txn_commit((*t)->txn);

	free(*t);
	*t = NULL;
	state.full = rc == MDB_MAP_FULL;
	return rc == 0 ? 1 : db_fail(error_r, d->dir, "commit: %s", mdb_strerror(rc));
}

void
db_abort(struct db_txn **t)
{
	if (*t != NULL)
		mdb_txn_abort((*t)->txn);
	free(*t);
	*t = NULL;
}

void
db_read_reset(struct db_txn *t)
{
	if (t->live)
		mdb_txn_reset(t->txn);
	t->live = false;
}

int
db_read_renew(struct db_txn *t)
{
	db_read_reset(t);
	if (mdb_txn_renew(t->txn) != 0)
		return -1;
	t->live = true;
	return 1;
}

uint64_t
db_txn_id(const struct db_txn *t)
{
	return mdb_txn_id(t->txn);
}

int
db_tables(
    struct db *d, unsigned n, const char *const *names, db_table *tables_r, const char **error_r)
{
	bool reader = d->mode == DB_READ;
	struct db_txn *t;

	if (txn_begin(d, reader ? MDB_RDONLY : 0, &t, error_r) < 0)
		return -1;
	for (unsigned i = 0; i < n; i++) {
		int rc = mdb_dbi_open(t->txn, names[i], reader ? 0 : MDB_CREATE, &tables_r[i]);

		if (rc != 0) {
			db_abort(&t);
			return db_fail(error_r, d->dir, "table %s: %s", names[i], mdb_strerror(rc));
		}
	}
	return db_commit(&t, error_r);
}

/* --- records --- */

int
db_get(struct db_txn *t, db_table tab, struct str key, struct str *value_r)
{
	MDB_val k = val_of(key), v;
	int rc;

	if (key.n == 0 || key.n > DB_KEY_MAX)
		return 0; /* nobody could have put it */
	rc = mdb_get(t->txn, tab, &k, &v);
	if (rc == 0)
		*value_r = str_of_val(&v);
	return rc == 0 ? 1 : rc == MDB_NOTFOUND ? 0 : -1;
}

static int
put(struct db_txn *t, db_table tab, struct str key, MDB_val *v, unsigned flags,
    const char **error_r)
{
	MDB_val k = val_of(key);
	int rc;

	if (key.n == 0 || key.n > DB_KEY_MAX)
		return db_fail(error_r, t->d->dir, "key of %zu octets, 1 to %d are allowed", key.n,
		    DB_KEY_MAX);
	rc = mdb_put(t->txn, tab, &k, v, flags);
	state.full = rc == MDB_MAP_FULL;
	return rc == 0 ? 1 : db_fail(error_r, t->d->dir, "%s", mdb_strerror(rc));
}

int
db_put(struct db_txn *t, db_table tab, struct str key, struct str value, const char **error_r)
{
	MDB_val v = val_of(value);

	return put(t, tab, key, &v, 0, error_r);
}

/* At the table's end, where the cursor stands already. */
static int
end_put(struct db_txn *t, db_table tab, MDB_val *k, MDB_val *v)
{
	int rc = 0;

	if (t->end != NULL && t->end_of != tab) {
		mdb_cursor_close(t->end);
		t->end = NULL;
	}
	if (t->end == NULL)
		rc = mdb_cursor_open(t->txn, tab, &t->end);
	t->end_of = tab;
	return rc != 0 ? rc : mdb_cursor_put(t->end, k, v, MDB_APPEND);
}

int
db_append(struct db_txn *t, db_table tab, struct str key, struct str value, const char **error_r)
{
	MDB_val k = val_of(key), v = val_of(value);
	int rc = MDB_KEYEXIST;

	if (key.n > 0 && key.n <= DB_KEY_MAX)
		rc = end_put(t, tab, &k, &v);
	if (rc == MDB_KEYEXIST) /* it has its place among those that are there */
		return db_put(t, tab, key, value, error_r);
	state.full = rc == MDB_MAP_FULL;
	return rc == 0 ? 1 : db_fail(error_r, t->d->dir, "%s", mdb_strerror(rc));
}

int
db_reserve(
    struct db_txn *t, db_table tab, struct str key, size_t n, void **p_r, const char **error_r)
{
	MDB_val v = {.mv_size = n};

	if (put(t, tab, key, &v, MDB_RESERVE, error_r) < 0)
		return -1;
	*p_r = v.mv_data;
	return 1;
}

int
db_del(struct db_txn *t, db_table tab, struct str key)
{
	MDB_val k = val_of(key);
	int rc;

	if (key.n == 0 || key.n > DB_KEY_MAX)
		return 0;
	rc = mdb_del(t->txn, tab, &k, NULL);
	return rc == 0 ? 1 : rc == MDB_NOTFOUND ? 0 : -1;
}

int
db_drop(struct db_txn *t, db_table tab)
{
	return mdb_drop(t->txn, tab, 0) == 0 ? 1 : -1;
}

uint64_t
db_count(struct db_txn *t, db_table tab)
{
	MDB_stat st;

	return mdb_stat(t->txn, tab, &st) == 0 ? st.ms_entries : 0;
}

uint64_t
db_table_bytes(struct db_txn *t, db_table tab)
{
	MDB_stat st;

	if (mdb_stat(t->txn, tab, &st) != 0)
		return 0;
	return (st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages) *
	       (uint64_t)st.ms_psize;
}

bool
db_was_full(void)
{
	return state.full;
}

/* --- cursors --- */

static int
cursor_move(
    MDB_cursor *c, struct str from, MDB_cursor_op op, struct str *key_r, struct str *value_r)
{
	MDB_val k = val_of(from), v;
	int rc = mdb_cursor_get(c, &k, &v, op);

	if (rc != 0)
		return rc == MDB_NOTFOUND ? 0 : -1;
	*key_r = str_of_val(&k);
	*value_r = str_of_val(&v);
	return 1;
}

/* The greatest key < `before`: the one in front of the first that is not. */
static int
cursor_before(MDB_cursor *c, struct str before, struct str *key_r, struct str *value_r)
{
	int rc = before.n == 0 ? 0 : cursor_move(c, before, MDB_SET_RANGE, key_r, value_r);

	return rc < 0 ? rc
		      : cursor_move(c, STR_NONE, rc == 1 ? MDB_PREV : MDB_LAST, key_r, value_r);
}

static int
cursor_at(MDB_cursor *c, struct str from, struct str *key_r, struct str *value_r)
{
	return cursor_move(c, from, from.n == 0 ? MDB_FIRST : MDB_SET_RANGE, key_r, value_r);
}

/* A cursor only where there is a record. */
static int
cursor_make(struct db_txn *t, db_table tab,
    int (*seek)(MDB_cursor *c, struct str key, struct str *key_r, struct str *value_r),
    struct str key, struct db_cursor **c_r, struct str *key_r, struct str *value_r)
{
	MDB_cursor *c;
	int rc;

	if (mdb_cursor_open(t->txn, tab, &c) != 0)
		return -1;
	rc = seek(c, key, key_r, value_r);
	if (rc != 1) {
		mdb_cursor_close(c);
		return rc;
	}
	*c_r = xmalloc(sizeof(**c_r));
	(*c_r)->c = c;
	return 1;
}

int
db_cursor_at(struct db_txn *t, db_table tab, struct str from, struct db_cursor **c_r,
    struct str *key_r, struct str *value_r)
{
	return cursor_make(t, tab, cursor_at, from, c_r, key_r, value_r);
}

int
db_cursor_before(struct db_txn *t, db_table tab, struct str before, struct db_cursor **c_r,
    struct str *key_r, struct str *value_r)
{
	return cursor_make(t, tab, cursor_before, before, c_r, key_r, value_r);
}

int
db_cursor_next(struct db_cursor *c, struct str *key_r, struct str *value_r)
{
	return cursor_move(c->c, STR_NONE, MDB_NEXT, key_r, value_r);
}

int
db_cursor_prev(struct db_cursor *c, struct str *key_r, struct str *value_r)
{
	return cursor_move(c->c, STR_NONE, MDB_PREV, key_r, value_r);
}

void
db_cursor_free(struct db_cursor **c)
{
	if (*c != NULL)
		mdb_cursor_close((*c)->c);
	free(*c);
	*c = NULL;
}

/* --- the environment as a whole --- */

unsigned
db_reader_check(struct db *d)
{
	int dead = 0;

	return mdb_reader_check(d->env, &dead) == 0 && dead > 0 ? (unsigned)dead : 0;
}

void
db_fill(struct db *d, struct db_fill *f_r)
{
	MDB_envinfo info;
	MDB_stat st;

	*f_r = (struct db_fill){0};
	if (mdb_env_info(d->env, &info) != 0 || mdb_env_stat(d->env, &st) != 0)
		return;
	f_r->used_bytes = (info.me_last_pgno + 1) * (uint64_t)st.ms_psize;
	f_r->map_bytes = info.me_mapsize;
	f_r->page_bytes = st.ms_psize;
	f_r->readers = info.me_numreaders;
	f_r->max_readers = info.me_maxreaders;
}

/* --- one value, changed in place --- */

static int
value_put(MDB_env *env, size_t n, void (*fill)(void *p, size_t n, void *arg), void *arg)
{
	MDB_val k = val_of(VALUE_KEY), v = {.mv_size = n};
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &dbi);
	if (rc == 0)
		rc = mdb_put(txn, dbi, &k, &v, MDB_RESERVE | MDB_NOOVERWRITE);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	memset(v.mv_data, 0, n); /* reserved pages hold what was there before */
	fill(v.mv_data, n, arg);
	return mdb_txn_commit(txn);
}

static int
env_allocate(MDB_env *env, size_t n)
{
	int fd, rc = mdb_env_get_fd(env, &fd);

	return rc != 0 ? rc : posix_fallocate(fd, 0, (off_t)n);
}

int
db_value_create(const char *dir, size_t n, unsigned file_mode,
    void (*fill)(void *p, size_t n, void *arg), void *arg, const char **error_r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = ALIGN_UP(n, page) + VALUE_SPARE * page;
	struct db_options o = {.mode = DB_WRITE, .map_size = size, .file_mode = file_mode};
	char path[PATH_ROOM], why[96] = "";
	MDB_env *env;
	int rc;

	BUG_ON(n < DB_VALUE_MIN);
	/* Opening with another size would cut or grow the file under those who have it mapped. */
	if (file_path(dir, "data.mdb", path) < 0 || access(path, F_OK) == 0)
		return db_fail(error_r, dir, "is there already");
	rc = env_open(dir, &o, MDB_WRITEMAP | MDB_NOSYNC, &env, why, sizeof(why));
	if (rc != 0)
		return open_fail(error_r, dir, rc, why);
	rc = env_allocate(env, size);
	if (rc == 0)
		rc = value_put(env, n, fill, arg);
	mdb_env_close(env);
	if (rc == 0)
		return 1;
	unlink(path); /* half made: in nobody's way when tried again */
	return open_fail(error_r, dir, rc, "");
}

/* Is the value alone on its pages, right behind the first one's head? Else LMDB would move it. */
static bool
value_apart(MDB_env *env, const MDB_val *v)
{
	MDB_stat st;

	return mdb_env_stat(env, &st) == 0 && v->mv_size >= DB_VALUE_MIN &&
	       (uintptr_t)v->mv_data % st.ms_psize <= PAGE_HEAD;
}

static int
value_get(MDB_env *env, MDB_val *v)
{
	MDB_val k = val_of(VALUE_KEY);
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &dbi);
	if (rc == 0)
		rc = mdb_get(txn, dbi, &k, v);
	mdb_txn_abort(txn);
	return rc;
}

int
db_value_open(const char *dir, struct db **d_r, void **p_r, size_t *n_r, const char **error_r)
{
	/* A writer's mapping, but no size of its own and nothing it could create. */
	struct db_options o = {.mode = DB_WRITE};
	char path[PATH_ROOM];
	struct db *d;
	MDB_val v;
	int rc;

	if (file_path(dir, "data.mdb", path) < 0 || access(path, F_OK) < 0)
		return db_fail(error_r, dir, "%s", strerror(errno));
	if (open_flagged(dir, &o, MDB_WRITEMAP | MDB_NOSYNC, &d, error_r) < 0)
		return -1;
	rc = value_get(d->env, &v);
	if (rc != 0 || !value_apart(d->env, &v)) {
		db_fail(error_r, dir, "%s",
		    rc != 0 ? mdb_strerror(rc) : "the value does not lie on pages of its own");
		db_close(&d);
		return -1;
	}
	*d_r = d;
	*p_r = v.mv_data;
	*n_r = v.mv_size;
	return 1;
}
