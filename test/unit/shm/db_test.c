/* SPDX-License-Identifier: Apache-2.0
 *
 * The door to LMDB (C-3): errors where others crash, and processes that die in the middle.
 */
#include "test/unit/harness.h"

#include "shm/db.h"
#include "shm/db_priv.h"
#include "test/unit/assert_str.h"
#include "test/unit/shm/procs_kit.h"

static const char *const names[] = {"alpha", "beta"};
static struct db *db;
static db_table tables[2];
static char dir[160];

static struct db *
open_as(const struct db_options *o)
{
	const char *error = "";
	struct db *d;

	if (db_open(dir, o, &d, &error) != 1)
		fail_msg("%s", error);
	return d;
}

static const struct db_options writing = {
    .mode = DB_WRITE, .map_size = 1 << 20, .max_readers = 20, .file_mode = 0660};
static const struct db_options reading = {.mode = DB_READ};

static int
setup(void **state)
{
	const char *error;

	if (kit_dir_make(state) < 0)
		return -1;
	snprintf(dir, sizeof(dir), "%s", kit_path("map"));
	db = open_as(&writing);
	return db_tables(db, 2, names, tables, &error) == 1 ? 0 : -1;
}

static int
teardown(void **state)
{
	db_close(&db);
	return kit_dir_remove(state);
}

static struct db_txn *
begin(void)
{
	const char *error = "";
	struct db_txn *t;

	if (db_begin(db, &t, &error) != 1)
		fail_msg("%s", error);
	return t;
}

static void
commit(struct db_txn *t)
{
	const char *error = "";

	if (db_commit(&t, &error) != 1)
		fail_msg("%s", error);
	assert_null(t);
}

static void
put(struct db_txn *t, const char *key, const char *value)
{
	const char *error = "";

	if (db_put(t, tables[0], str_of(key), str_of(value), &error) != 1)
		fail_msg("%s", error);
}

static void
records_come_and_go(void **state)
{
	struct db_txn *t = begin();
	const char *error;
	struct str v;
	void *p;

	(void)state;
	put(t, "a", "1");
	put(t, "empty", "");
	assert_int_equal(db_reserve(t, tables[1], STR("a"), 3, &p, &error), 1);
	memcpy(p, "xyz", 3);
	commit(t);

	t = begin();
	assert_int_equal(db_get(t, tables[0], STR("a"), &v), 1);
	assert_str(v, "1");
	assert_int_equal(db_get(t, tables[0], STR("empty"), &v), 1);
	assert_int_equal(v.n, 0);
	assert_int_equal(db_get(t, tables[1], STR("a"), &v), 1);
	assert_str(v, "xyz");
	assert_int_equal(db_get(t, tables[0], STR("b"), &v), 0);
	assert_int_equal(db_count(t, tables[0]), 2);
	assert_int_equal(db_del(t, tables[0], STR("a")), 1);
	assert_int_equal(db_del(t, tables[0], STR("a")), 0);
	assert_int_equal(db_drop(t, tables[1]), 1);
	assert_int_equal(db_count(t, tables[1]), 0);
	db_abort(&t); /* none of this was */
	t = begin();
	assert_int_equal(db_count(t, tables[0]), 2);
	assert_int_equal(db_count(t, tables[1]), 1);
	db_abort(&t);
	db_abort(&t);
}

static void
keys_out_of_range(void **state)
{
	char key[DB_KEY_MAX + 1] = {0};
	struct str empty = STR(""), longest = str_n(key, DB_KEY_MAX),
		   longer = str_n(key, DB_KEY_MAX + 1), v;
	struct db_txn *t = begin();
	const char *error = "";

	(void)state;
	assert_int_equal(db_put(t, tables[0], longest, empty, &error), 1);
	assert_int_equal(db_get(t, tables[0], longest, &v), 1);
	assert_int_equal(db_put(t, tables[0], longer, empty, &error), -1);
	assert_non_null(strstr(error, "key of 512 octets, 1 to 511"));
	assert_int_equal(db_put(t, tables[0], empty, empty, &error), -1);
	assert_int_equal(db_get(t, tables[0], longer, &v), 0);
	assert_int_equal(db_get(t, tables[0], empty, &v), 0);
	assert_int_equal(db_del(t, tables[0], longer), 0);
	assert_int_equal(db_del(t, tables[0], empty), 0);
	db_abort(&t);
}

static void
cursors_go_in_key_order(void **state)
{
	struct db_txn *t = begin();
	struct db_cursor *c = NULL;
	struct str k, v;

	(void)state;
	assert_int_equal(db_cursor_at(t, tables[0], STR_NONE, &c, &k, &v), 0);
	assert_null(c);
	db_cursor_free(&c);
	put(t, "b", "2");
	put(t, "a", "1");
	put(t, "d", "4");
	assert_int_equal(db_cursor_at(t, tables[0], STR_NONE, &c, &k, &v), 1);
	assert_str(k, "a");
	assert_int_equal(db_cursor_next(c, &k, &v), 1);
	assert_str(k, "b");
	assert_str(v, "2");
	assert_int_equal(db_cursor_next(c, &k, &v), 1);
	assert_int_equal(db_cursor_next(c, &k, &v), 0);
	db_cursor_free(&c);
	assert_null(c);
	assert_int_equal(db_cursor_at(t, tables[0], STR("c"), &c, &k, &v), 1);
	assert_str(k, "d");
	db_cursor_free(&c);
	assert_int_equal(db_cursor_at(t, tables[0], STR("e"), &c, &k, &v), 0);
	commit(t);
}

static void
a_full_map_is_an_error(void **state)
{
	static char big[8000];
	const char *error = "";
	struct db_txn *t = begin();
	struct db_fill fill;
	char key[16];
	int rc = 1;

	(void)state;
	put(t, "before", "1");
	commit(t);
	t = begin();
	for (unsigned i = 0; rc == 1; i++) {
		assert_true(i < 1000);
		snprintf(key, sizeof(key), "%u", i);
		rc = db_put(t, tables[0], str_of(key), str_n(big, sizeof(big)), &error);
	}
	assert_int_equal(rc, -1);
	assert_non_null(strstr(error, "MAP_FULL"));
	db_abort(&t);
	t = begin();
	assert_int_equal(db_count(t, tables[0]), 1);
	put(t, "after", "2");
	commit(t);
	db_fill(db, &fill);
	assert_int_equal(fill.map_bytes, 1 << 20);
	assert_int_equal(fill.max_readers, 20);
	assert_true(fill.used_bytes > 0 && fill.used_bytes < fill.map_bytes);
}

/* --- other processes --- */

static int pipes[2][2]; /* child to test, test to child */

static int
tell(unsigned which)
{
	return write(pipes[which][1], "x", 1) == 1 ? 0 : 1;
}

static int
await(unsigned which)
{
	char c;

	return read(pipes[which][0], &c, 1) == 1 ? 0 : 1;
}

static void
pipes_make(void)
{
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
}

static void
pipes_close(void)
{
	for (unsigned i = 0; i < 4; i++)
		close(pipes[i / 2][i % 2]);
}

static int
read_twice(void *arg)
{
	const char *error;
	struct db_txn *t;
	db_table tab;
	struct str v;
	struct db *d;

	(void)arg;
	if (db_open(dir, &reading, &d, &error) != 1 || db_tables(d, 1, names, &tab, &error) != 1 ||
	    db_read_begin(d, &t, &error) != 1)
		return 1;
	if (db_get(t, tab, STR("a"), &v) != 1 || !str_eq(v, STR("1")))
		return 2;
	if (tell(0) != 0 || await(1) != 0)
		return 3;
	/* The snapshot stays what it was; the next one is the new generation. */
	if (db_get(t, tab, STR("a"), &v) != 1 || !str_eq(v, STR("1")))
		return 4;
	db_read_reset(t);
	db_read_reset(t);
	if (db_read_renew(t) != 1 || db_get(t, tab, STR("a"), &v) != 1 || !str_eq(v, STR("2")))
		return 5;
	if (db_read_renew(t) != 1) /* without a reset before */
		return 6;
	db_abort(&t);
	db_close(&d);
	return 0;
}

static void
readers_keep_their_snapshot(void **state)
{
	struct db_txn *t = begin();
	pid_t pid;

	(void)state;
	put(t, "a", "1");
	commit(t);
	pipes_make();
	pid = kit_start(read_twice, NULL);
	assert_int_equal(await(0), 0);
	t = begin();
	put(t, "a", "2");
	commit(t);
	assert_int_equal(tell(1), 0);
	assert_int_equal(kit_wait(pid), 0);
	pipes_close();
}

static int
write_to_the_map(void *arg)
{
	static const struct sigaction dfl = {.sa_handler = SIG_DFL};
	const char *error;
	struct db_txn *t;
	db_table tab;
	struct str v;
	struct db *d;

	(void)arg;
	sigaction(SIGSEGV, &dfl, NULL); /* a sanitizer would have words */
	if (db_open(dir, &reading, &d, &error) != 1 || db_tables(d, 1, names, &tab, &error) != 1 ||
	    db_read_begin(d, &t, &error) != 1 || db_get(t, tab, STR("a"), &v) != 1)
		return 1;
	*(volatile char *)(uintptr_t)v.p = 'x';
	return 0;
}

static void
a_reader_cannot_write(void **state)
{
	struct db_txn *t = begin();

	(void)state;
	put(t, "a", "1");
	commit(t);
	assert_int_equal(kit_wait(kit_start(write_to_the_map, NULL)), 1000 + SIGSEGV);
}

static int
read_and_hang(void *arg)
{
	const char *error;
	struct db_txn *t;
	struct db *d;

	(void)arg;
	if (db_open(dir, &reading, &d, &error) != 1 || db_read_begin(d, &t, &error) != 1)
		return 1;
	tell(0);
	while (true)
		pause();
}

static void
dead_readers_are_cleared(void **state)
{
	pid_t pid[3];

	(void)state;
	pipes_make();
	for (unsigned i = 0; i < 3; i++)
		pid[i] = kit_start(read_and_hang, NULL);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(await(0), 0);
	assert_int_equal(db_reader_check(db), 0);
	kit_kill(pid[0]);
	kit_kill(pid[2]);
	assert_int_equal(db_reader_check(db), 2);
	assert_int_equal(db_reader_check(db), 0);
	kit_kill(pid[1]);
	assert_int_equal(db_reader_check(db), 1);
	pipes_close();
}

static int
write_and_hang(void *arg)
{
	const char *error;
	struct db_txn *t;
	db_table tab;
	struct db *d;

	(void)arg;
	if (db_open(dir, &writing, &d, &error) != 1 || db_tables(d, 1, names, &tab, &error) != 1 ||
	    db_begin(d, &t, &error) != 1 || db_put(t, tab, STR("a"), STR("2"), &error) != 1)
		return 1;
	tell(0);
	while (true)
		pause();
}

static void
a_writer_killed_in_mid_transaction(void **state)
{
	struct db_txn *t = begin();
	struct str v;
	pid_t pid;

	(void)state;
	put(t, "a", "1");
	commit(t);
	pipes_make();
	for (unsigned i = 0; i < 5; i++) {
		pid = kit_start(write_and_hang, NULL);
		assert_int_equal(await(0), 0);
		kit_kill(pid);
		t = begin(); /* the dead one's lock is taken over */
		assert_int_equal(db_get(t, tables[0], STR("a"), &v), 1);
		assert_str(v, "1");
		put(t, "b", "3");
		commit(t);
	}
	pipes_close();
}

static int
commit_for_ever(void *arg)
{
	_Atomic uint64_t *done = arg;
	const char *error;
	struct db_txn *t;
	char text[600];
	db_table tab;
	struct db *d;

	if (db_open(dir, &writing, &d, &error) != 1 || db_tables(d, 1, names, &tab, &error) != 1)
		return 1;
	for (unsigned i = 0;; i++) {
		memset(text, 'a' + (int)(i % 26), sizeof(text));
		if (db_begin(d, &t, &error) != 1)
			return 2;
		for (unsigned k = 0; k < 20; k++) {
			char key[16];

			snprintf(key, sizeof(key), "key%u", k);
			if (db_put(t, tab, str_of(key), str_n(text, sizeof(text)), &error) != 1)
				return 3;
		}
		if (db_commit(&t, &error) != 1)
			return 4;
		atomic_fetch_add(done, 1);
	}
}

/* Killed anywhere: a transaction is all there or not at all. */
static void
writers_killed_at_random(void **state)
{
	_Atomic uint64_t *done = kit_shared(4096);
	struct str key, v, first = STR_NONE;
	struct db_cursor *c = NULL;
	struct db_txn *t;

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		pid_t pid = kit_start(commit_for_ever, (void *)done);
		unsigned n = 0;

		kit_let_run(done, 3, i * 11 % 100);
		kit_kill(pid);
		db_reader_check(db);
		t = begin();
		for (int rc = db_cursor_at(t, tables[0], STR_NONE, &c, &key, &v); rc == 1;
		     rc = db_cursor_next(c, &key, &v)) {
			if (n++ == 0)
				first = v;
			assert_true(str_eq(v, first));
		}
		assert_int_equal(n, 20);
		db_cursor_free(&c);
		db_abort(&t);
	}
	munmap((void *)done, 4096);
}

static void
refused(const struct db_options *o, const char *words)
{
	const char *error = "";
	struct db *d = NULL;

	assert_int_equal(db_open(dir, o, &d, &error), -1);
	assert_null(d);
	if (strstr(error, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", error, words);
}

static void
what_cannot_be_opened(void **state)
{
	const char *error = "", *other[] = {"gamma"};
	char saved[160];
	struct db_txn *t = begin();
	struct db *d;
	db_table tab;
	int fd;

	(void)state;
	put(t, "a", "1");
	commit(t);
	d = open_as(&reading);
	assert_int_equal(db_tables(d, 1, other, &tab, &error), -1);
	assert_non_null(strstr(error, "gamma"));
	db_close(&d);
	db_close(&db);

	memcpy(saved, dir, sizeof(saved));
	snprintf(dir, sizeof(dir), "%s", kit_path("absent"));
	refused(&reading, "absent: No such file");
	memcpy(dir, saved, sizeof(saved));

	/* Cut: pages beyond the end are not touched. */
	assert_int_equal(truncate(kit_path("map/data.mdb"), 3 * 4096), 0);
	refused(&reading, "12288 octets where its pages need");
	refused(&writing, "12288 octets where its pages need");
	fd = open(kit_path("map/data.mdb"), O_WRONLY | O_TRUNC);
	for (unsigned i = 0; i < 4000; i++)
		assert_int_equal(write(fd, "garbage ", 8), 8);
	close(fd);
	refused(&writing, "INVALID");
	assert_true(db_open_found_damage());
	db = NULL;
}

static void
files_have_the_mode_asked_for(void **state)
{
	mode_t before = umask(077);
	struct db_options o = writing;
	struct stat st;

	(void)state;
	db_close(&db);
	snprintf(dir, sizeof(dir), "%s", kit_path("modes"));
	db = open_as(&o);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0770);
	assert_int_equal(stat(kit_path("modes/data.mdb"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(stat(kit_path("modes/lock.mdb"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	umask(before);
}

static void
append(struct db_txn *t, unsigned table, const char *key, const char *value)
{
	const char *error = "";

	if (db_append(t, tables[table], str_of(key), str_of(value), &error) != 1)
		fail_msg("%s", error);
}

/* All keys of a table in a row, each with its value's first octet. */
static void
assert_table(unsigned table, const char *all)
{
	struct str key, value;
	struct db_cursor *c = NULL;
	char found[256] = "";
	struct db_txn *t = begin();
	int got = db_cursor_at(t, tables[table], STR_NONE, &c, &key, &value);

	for (size_t n = 0; got == 1; got = db_cursor_next(c, &key, &value))
		n += (size_t)snprintf(
		    found + n, sizeof(found) - n, "%.*s=%.*s ", STR_ARG(key), STR_ARG(value));
	assert_int_equal(got, 0);
	assert_string_equal(found, all);
	db_cursor_free(&c);
	db_abort(&t);
}

/* Whatever comes between, and wherever a key belongs: appending is putting. */
static void
what_is_appended_finds_its_place(void **state)
{
	struct db_txn *t = begin();
	const char *error = "";

	(void)state;
	append(t, 0, "b", "1");
	append(t, 0, "d", "1");
	append(t, 1, "x", "1"); /* another table in between */
	append(t, 0, "f", "1");
	append(t, 0, "c", "1"); /* not behind the last */
	append(t, 0, "d", "2"); /* there already */
	append(t, 0, "g", "1");
	assert_int_equal(db_del(t, tables[0], STR("g")), 1);
	append(t, 0, "g", "2");
	put(t, "z", "1");
	append(t, 0, "h", "1");
	append(t, 1, "y", "1");
	assert_int_equal(db_append(t, tables[0], STR_NONE, STR("1"), &error), -1);
	assert_non_null(strstr(error, "key of 0 octets"));
	commit(t);
	assert_table(0, "b=1 c=1 d=2 f=1 g=2 h=1 z=1 ");
	assert_table(1, "x=1 y=1 ");
	t = begin();
	append(t, 0, "zz", "1");
	assert_int_equal(db_drop(t, tables[0]), 1);
	append(t, 0, "a", "1");
	commit(t);
	assert_table(0, "a=1 ");
	t = begin();
	append(t, 0, "b", "1");
	db_abort(&t);
	assert_table(0, "a=1 ");
}

static void
appending_to_a_full_map_is_an_error(void **state)
{
	struct db_txn *t = begin();
	const char *error = "";
	char key[16], value[1000];
	int ok = 1;

	(void)state;
	memset(value, 'v', sizeof(value));
	for (unsigned i = 0; i < 2000 && ok == 1; i++) {
		snprintf(key, sizeof(key), "%06u", i);
		ok = db_append(t, tables[0], str_of(key), str_n(value, sizeof(value)), &error);
	}
	assert_int_equal(ok, -1);
	assert_true(db_was_full());
	db_abort(&t);
	assert_table(0, "");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(records_come_and_go, setup, teardown),
    TEST_WITH(what_is_appended_finds_its_place, setup, teardown),
    TEST_WITH(appending_to_a_full_map_is_an_error, setup, teardown),
    TEST_WITH(keys_out_of_range, setup, teardown),
    TEST_WITH(cursors_go_in_key_order, setup, teardown),
    TEST_WITH(a_full_map_is_an_error, setup, teardown),
    TEST_WITH(readers_keep_their_snapshot, setup, teardown),
    TEST_WITH(a_reader_cannot_write, setup, teardown),
    TEST_WITH(dead_readers_are_cleared, setup, teardown),
    TEST_WITH(a_writer_killed_in_mid_transaction, setup, teardown),
    TEST_WITH(writers_killed_at_random, setup, teardown),
    TEST_WITH(what_cannot_be_opened, setup, teardown),
    TEST_WITH(files_have_the_mode_asked_for, setup, teardown),
};
RUN_TESTS(tests)
