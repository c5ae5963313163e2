/* SPDX-License-Identifier: Apache-2.0
 *
 * The durable environment and its records. A verdict is
 *
 *	key	service, NUL, endpoint
 *	value	"1 down - 0 1795226400000000 author": version, verdict, weight or "-", expiry, time
 *		it was set (both microseconds since 1970), author to the end
 */
#include "shm/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/num.h"
#include "shm/db.h"
#include "shm/state_priv.h"

#define RECORD_VERSION "1"
#define RECORD_MAX     (STATE_AUTHOR_MAX + 128)
#define PATH_ROOM      512
#define ASIDE_TRIES    100
#define STATE_TABLES   32 /* more than there are, for those of later versions */

enum { TABLE_META, TABLE_VERDICTS, TABLE_COUNT };
static const char *const table_names[TABLE_COUNT] = {"meta", "verdicts"};

struct state {
	struct db *db;
	db_table table[TABLE_COUNT];
};

static struct state_state {
	char error[1200];
} state;

/* --- verdict records --- */

static int
word_u64(struct str *rest, uint64_t max, uint64_t *v_r)
{
	const char *error;
	struct str word;

	return str_cut(rest, ' ', &word) == 1 ? num_u64(word, max, v_r, &error) : -1;
}

static int
word_verdict(struct str *rest, enum endpoint_verdict *v_r)
{
	struct str word;

	if (str_cut(rest, ' ', &word) != 1)
		return -1;
	for (unsigned i = 0; i < VERDICT_COUNT; i++) {
		if (str_eq(word, str_of(endpoint_verdict_names[i]))) {
			*v_r = i;
			return 1;
		}
	}
	return -1;
}

static int
word_weight(struct str *rest, uint32_t *v_r)
{
	uint64_t n;

	if (str_starts(*rest, STR("- "))) {
		*rest = str_sub(*rest, 2, rest->n);
		*v_r = WEIGHT_UNSET;
		return 1;
	}
	if (word_u64(rest, WEIGHT_UNSET - 1, &n) < 0)
		return -1;
	*v_r = (uint32_t)n;
	return 1;
}

int
state_verdict_decode(struct str key, struct str record, struct str *service_r,
    struct str *endpoint_r, struct state_verdict *v_r)
{
	struct str rest = record, version;
	ssize_t nul = str_chr(key, '\0');
	struct state_verdict v = {0};

	if (nul <= 0 || (size_t)nul + 1 == key.n || record.n > RECORD_MAX)
		return -1;
	if (str_cut(&rest, ' ', &version) != 1 || !str_eq(version, STR(RECORD_VERSION)) ||
	    word_verdict(&rest, &v.verdict) < 0 || word_weight(&rest, &v.weight) < 0 ||
	    word_u64(&rest, UINT64_MAX, &v.expires_us) < 0 ||
	    word_u64(&rest, UINT64_MAX, &v.set_us) < 0 || rest.p == NULL)
		return -1;
	v.author = rest;
	*service_r = str_sub(key, 0, (size_t)nul);
	*endpoint_r = str_sub(key, (size_t)nul + 1, key.n);
	*v_r = v;
	return 1;
}

static struct str
verdict_encode(const struct state_verdict *v, char out[RECORD_MAX])
{
	char weight[12] = "-";
	int n;

	if (v->weight != WEIGHT_UNSET)
		snprintf(weight, sizeof(weight), "%u", v->weight);
	n = snprintf(out, RECORD_MAX, "%s %s %s %llu %llu ", RECORD_VERSION,
	    endpoint_verdict_names[v->verdict], weight, (unsigned long long)v->expires_us,
	    (unsigned long long)v->set_us);
	for (size_t i = 0; i < MIN(v->author.n, (size_t)STATE_AUTHOR_MAX); i++) {
		unsigned char c = (unsigned char)v->author.p[i];

		out[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	return str_n(out, (size_t)n);
}

/* --- opening --- */

static int
state_fail(const char **error_r, const char *path, const char *why)
{
	snprintf(state.error, sizeof(state.error), "state %s: %s", path, why);
	*error_r = state.error;
	return -1;
}

/* The rename is on disk before anything new is written in its place. */
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
set_aside(const char *state_dir, const char *path, const char *why, const char **error_r)
{
	char aside[PATH_ROOM];
	unsigned long long now = clock_wall_us() / 1000000;

	for (unsigned i = 0; i < ASIDE_TRIES; i++) {
		int n = snprintf(aside, sizeof(aside), "%s.aside-%llu.%u", path, now, i);

		if (n < 0 || (size_t)n >= sizeof(aside))
			return state_fail(error_r, path, "the path is too long");
		if (access(aside, F_OK) == 0)
			continue;
		if (rename(path, aside) < 0 || dir_sync(state_dir) < 0)
			return state_fail(error_r, path, strerror(errno));
		snprintf(state.error, sizeof(state.error), "state %s set aside as %s: %s", path,
		    aside, why);
		*error_r = state.error;
		return 0;
	}
	return state_fail(error_r, path, "cannot be set aside: every name is taken");
}

static int
put_meta(struct state *s, struct db_txn *t, const char **error_r)
{
	char schema[12], readable[12];

	snprintf(schema, sizeof(schema), "%d", STATE_SCHEMA);
	snprintf(readable, sizeof(readable), "%d", STATE_READABLE);
	if (db_put(t, s->table[TABLE_META], STR("format"), STR(STATE_FORMAT), error_r) < 0 ||
	    db_put(t, s->table[TABLE_META], STR("schema"), str_of(schema), error_r) < 0 ||
	    db_put(t, s->table[TABLE_META], STR("readable"), str_of(readable), error_r) < 0)
		return -1;
	return 1;
}

/* A state that says of itself what it is needs no commit. A newer schema we can read stays. */
static int
ensure_meta(struct state *s, const char **error_r)
{
	struct db_txn *t;
	struct str value;
	int rc;

	if (db_begin(s->db, &t, error_r) < 0)
		return -1;
	rc = db_get(t, s->table[TABLE_META], STR("format"), &value);
	if (rc == 0 && put_meta(s, t, error_r) == 1)
		return db_commit(&t, error_r);
	db_abort(&t);
	return rc == 1 ? 1 : -1;
}

static int
open_sound(const char *path, size_t map_size, struct state **s_r, const char **error_r)
{
	struct db_options o = {.mode = DB_DURABLE,
	    .map_size = map_size,
	    .max_tables = STATE_TABLES,
	    .file_mode = 0600};
	struct state *s = xcalloc(1, sizeof(*s));

	if (db_open(path, &o, &s->db, error_r) < 0 ||
	    db_tables(s->db, TABLE_COUNT, table_names, s->table, error_r) < 0 ||
	    ensure_meta(s, error_r) < 0) {
		state_close(&s);
		return -1;
	}
	*s_r = s;
	return 1;
}

int
state_open(const char *state_dir, size_t map_size, struct state **s_r, const char **error_r)
{
	char path[PATH_ROOM], file[PATH_ROOM];
	struct stat st;
	const char *why;
	int sound = 1;

	if (snprintf(path, sizeof(path), "%s/state", state_dir) >= (int)sizeof(path) ||
	    snprintf(file, sizeof(file), "%s/state/data.mdb", state_dir) >= (int)sizeof(file))
		return state_fail(error_r, state_dir, "the path is too long");
	/* An empty one was being made when the power went: there is nothing to look at. */
	if (stat(file, &st) == 0 && st.st_size > 0)
		sound = state_check(path, &why);
	if (sound < 0)
		return state_fail(error_r, path, why);
	if (sound == 0 && set_aside(state_dir, path, why, error_r) < 0)
		return -1;
	return open_sound(path, map_size, s_r, &why) == 1 ? sound : state_fail(error_r, path, why);
}

void
state_close(struct state **s)
{
	if (*s != NULL)
		db_close(&(*s)->db);
	free(*s);
	*s = NULL;
}

/* --- verdicts --- */

static int
verdict_key(struct str service, struct str endpoint, char out[DB_KEY_MAX], struct str *key_r)
{
	if (service.n == 0 || endpoint.n == 0 || str_chr(service, '\0') >= 0 ||
	    service.n + 1 + endpoint.n > DB_KEY_MAX)
		return -1;
	memcpy(out, service.p, service.n);
	out[service.n] = '\0';
	memcpy(out + service.n + 1, endpoint.p, endpoint.n);
	*key_r = str_n(out, service.n + 1 + endpoint.n);
	return 1;
}

static int
key_fail(const char **error_r)
{
	return state_fail(error_r, "verdict",
	    "service and endpoint must not be empty, and 510 octets together at most");
}

int
state_verdict_put(struct state *s, struct str service, struct str endpoint,
    const struct state_verdict *v, const char **error_r)
{
	char name[DB_KEY_MAX], record[RECORD_MAX];
	struct db_txn *t;
	struct str key;

	BUG_ON((unsigned)v->verdict >= VERDICT_COUNT);
	if (verdict_key(service, endpoint, name, &key) < 0)
		return key_fail(error_r);
	if (db_begin(s->db, &t, error_r) < 0)
		return -1;
	if (db_put(t, s->table[TABLE_VERDICTS], key, verdict_encode(v, record), error_r) < 0) {
		db_abort(&t);
		return -1;
	}
	return db_commit(&t, error_r);
}

int
state_verdict_del(struct state *s, struct str service, struct str endpoint, const char **error_r)
{
	char name[DB_KEY_MAX];
	struct db_txn *t;
	struct str key;
	int rc;

	if (verdict_key(service, endpoint, name, &key) < 0)
		return 0;
	if (db_begin(s->db, &t, error_r) < 0)
		return -1;
	rc = db_del(t, s->table[TABLE_VERDICTS], key);
	if (rc == 1)
		return db_commit(&t, error_r);
	db_abort(&t);
	return rc == 0 ? 0 : state_fail(error_r, "verdict", "cannot be deleted");
}

/* A record that cannot be read was not there when the state was checked: it is passed over. */
static int
each(struct state *s, struct db_txn *t, state_verdict_f *fn, void *arg)
{
	struct str key, record, service, endpoint;
	struct db_cursor *c = NULL;
	struct state_verdict v;
	int rc;

	for (rc = db_cursor_at(t, s->table[TABLE_VERDICTS], STR_NONE, &c, &key, &record); rc == 1;
	     rc = db_cursor_next(c, &key, &record))
		if (state_verdict_decode(key, record, &service, &endpoint, &v) == 1)
			fn(arg, service, endpoint, &v);
	db_cursor_free(&c);
	return rc;
}

int
state_verdict_each(struct state *s, state_verdict_f *fn, void *arg, const char **error_r)
{
	struct db_txn *t;
	int rc;

	if (db_read_begin(s->db, &t, error_r) < 0)
		return -1;
	rc = each(s, t, fn, arg);
	db_abort(&t);
	return rc == 0 ? 1 : state_fail(error_r, "verdicts", "cannot be read");
}
