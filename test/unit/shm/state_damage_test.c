/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of the state's records (C-3, S-OP-3) when the file is damaged or its writer killed:
 * all of them are there, exactly, or the state is set aside and none is; never a part.
 */
#include "test/unit/harness.h"

#include "shm/base/num.h"
#include "test/unit/shm/state_kit.h"

#define RECORDS 60
static char data_path[160];
static char *image;
static size_t image_n;

static void
record_of(unsigned i, char key[24], char text[12000])
{
	size_t n = i % 10 == 3 ? 9000 : i * 7;

	snprintf(key, 24, "%06u", i * 7919 % 1000);
	memset(text, 'a' + (int)(i % 26), n);
	text[n] = '\0';
}

/* A state with history behind it, so that old copies of its pages lie about. */
static void
make_image(void)
{
	struct state *s = open_good();
	char key[24], text[12000];
	struct stat st;
	struct state_txn *t;
	struct state_verdict v = {.verdict = VERDICT_DOWN, .author = STR("me")};
	int fd;

	for (unsigned i = 0; i < RECORDS; i++) {
		record_of(i, key, text);
		t = kit_begin(s);
		kit_put(t, STATE_OBJECTS + i % 5, key, "old");
		kit_put(t, STATE_META, "console", key);
		kit_commit(t);
		t = kit_begin(s);
		kit_put(t, STATE_OBJECTS + i % 5, key, text);
		kit_commit(t);
	}
	assert_int_equal(state_verdict_put(s, STR("s"), STR("e"), &v, &kit_error), 1);
	state_close(&s);
	snprintf(data_path, sizeof(data_path), "%s", kit_path("state/data.mdb"));
	assert_int_equal(stat(data_path, &st), 0);
	image_n = (size_t)st.st_size;
	image = malloc(image_n);
	fd = open(data_path, O_RDONLY);
	assert_int_equal(read(fd, image, image_n), image_n);
	close(fd);
}

static void
restore(size_t n)
{
	int fd = open(data_path, O_WRONLY | O_TRUNC | O_CREAT, 0600);

	assert_int_equal(write(fd, image, n), n);
	close(fd);
}

static int
count_one(void *arg, struct str key UNUSED, struct str text UNUSED)
{
	*(unsigned *)arg += 1;
	return 1;
}

/* Every record, to the octet, and no more. */
static void
expect_image(struct state *s)
{
	char key[24], text[12000];
	struct state_txn *t = kit_begin(s);
	unsigned n = 0;
	struct str got;

	for (unsigned i = 0; i < RECORDS; i++) {
		record_of(i, key, text);
		assert_int_equal(
		    state_get(t, STATE_OBJECTS + i % 5, str_of(key), &got, &kit_error), 1);
		assert_true(str_eq(got, str_of(text)));
	}
	for (enum state_table i = STATE_OBJECTS; i < STATE_TABLE_COUNT; i++)
		assert_int_equal(state_each(t, i, STR_NONE, count_one, &n, &kit_error), 1);
	assert_int_equal(n, RECORDS);
	assert_int_equal(state_get(t, STATE_META, STR("console"), &got, &kit_error), 1);
	assert_true(str_eq(got, str_of(key)));
	assert_int_equal(state_count(t, STATE_VERDICTS), 1);
	state_abort(&t);
}

/* Whole, or set aside and empty. */
static bool
all_or_nothing(void)
{
	struct state *s;
	struct state_txn *t;
	int rc = try_open(&s, &kit_error);

	if (rc == 1)
		expect_image(s);
	else {
		if (rc != 0 || strstr(kit_error, "set aside as") == NULL)
			fail_msg("%d %s", rc, kit_error);
		t = kit_begin(s);
		for (enum state_table i = 0; i < STATE_TABLE_COUNT; i++)
			assert_int_equal(state_count(t, i), 0);
		state_abort(&t);
	}
	state_close(&s);
	if (rc == 0) /* names for those set aside are not endless */
		assert_int_equal(count_asides(), 1);
	return rc == 1;
}

static void
drop_asides(void)
{
	DIR *d = opendir(kit_dir);
	struct dirent *e;
	char path[400];

	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "state.aside-", 12) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", kit_dir, e->d_name);
		nftw(path, kit_remove_one, 8, FTW_DEPTH | FTW_PHYS);
	}
	closedir(d);
}

/* Small changes anywhere in the pages in use, more of them where pages keep their heads. */
static void
octets_flipped(void **state)
{
	uint64_t seed = 0x5eed, used;
	unsigned whole = 0, n = 600;
	struct db_options o = {.mode = DB_READ};
	struct db_fill fill;
	struct db *db;

	(void)state;
	make_image();
	assert_int_equal(db_open(kit_path("state"), &o, &db, &kit_error), 1);
	db_fill(db, &fill);
	used = fill.used_bytes;
	db_close(&db);
	for (unsigned i = 0; i < n; i++) {
		char was[8];
		size_t at, len = 1 + i % 3;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		at = (seed >> 20) % (used - sizeof(was));
		if (i % 3 == 0)
			at = at / 4096 * 4096 + (seed >> 8) % 64;
		if (i % 3 == 1 && i % 2 == 0)
			at = (seed >> 10) % 2 * 4096 + (seed >> 12) % 160; /* the first two pages */
		memcpy(was, image + at, sizeof(was));
		for (size_t k = 0; k < len; k++)
			image[at + k] ^= (char)(1u << (seed >> (40 + k)) % 8);
		restore(image_n);
		memcpy(image + at, was, sizeof(was));
		whole += all_or_nothing();
		drop_asides();
	}
	print_message("%u of %u opened whole\n", whole, n);
	assert_in_range(whole, 50, n - 100);
	free(image);
}

static void
cut_at_any_length(void **state)
{
	static const size_t odd[] = {0, 1, 15, 16, 100, 4095, 4096, 4097, 8191, 8192, 8193, 12288};
	unsigned whole = 0;

	(void)state;
	make_image();
	for (size_t i = 0; i < ARRAY_LEN(odd) + 60; i++) {
		size_t n = i < ARRAY_LEN(odd) ? odd[i] : image_n / 60 * (i - ARRAY_LEN(odd)) + i;

		restore(n);
		whole += all_or_nothing();
		drop_asides();
	}
	assert_in_range(whole, 1, 60);
	restore(image_n);
	assert_true(all_or_nothing());
	free(image);
}

/* --- kill -9 --- */

/* done[0]: committed; done[1]: begun. A commit n puts two records of journal, one of history, takes
 * out the journal of n - 3 and writes its number down. */
static int
commit_for_ever(void *arg)
{
	_Atomic uint64_t *done = arg;
	char key[24], number[24], text[3000];
	struct state *s;
	struct state_txn *t;

	if (state_open(kit_dir, 8 * MAP_SIZE, &s, &kit_error) != 1)
		return 1;
	for (uint64_t n = atomic_load(done) + 1; n < UINT64_MAX; n++) {
		atomic_store(&done[1], n);
		t = kit_begin(s);
		snprintf(number, sizeof(number), "%016llu", (unsigned long long)n);
		memset(text, 't', sizeof(text));
		text[n % sizeof(text)] = '\0';
		kit_put(t, STATE_JOURNAL, number, text);
		kit_put(t, STATE_META, "last", number);
		if (n > 3) {
			snprintf(key, sizeof(key), "%016llu", (unsigned long long)n - 3);
			if (state_del(t, STATE_JOURNAL, str_of(key), &kit_error) != 1)
				return 2;
		}
		snprintf(key, sizeof(key), "%llu", (unsigned long long)n % 50);
		kit_put(t, STATE_HISTORY, key, number);
		if (state_commit(&t, &kit_error) != 1)
			return 3;
		atomic_store(done, n);
	}
	return 0;
}

/* Exactly what commit number n leaves. */
static void
expect_commit(struct state *s, uint64_t n)
{
	struct state_txn *t = kit_begin(s);
	char key[24], number[24];
	struct str text;

	assert_int_equal(state_count(t, STATE_JOURNAL), MIN(n, 3));
	assert_int_equal(state_count(t, STATE_HISTORY), MIN(n, 50));
	for (uint64_t i = n > 50 ? n - 49 : 1; i <= n; i++) {
		snprintf(key, sizeof(key), "%llu", (unsigned long long)i % 50);
		snprintf(number, sizeof(number), "%016llu", (unsigned long long)i);
		assert_int_equal(state_get(t, STATE_HISTORY, str_of(key), &text, &kit_error), 1);
		assert_true(str_eq(text, str_of(number)));
		assert_int_equal(state_get(t, STATE_JOURNAL, str_of(number), &text, &kit_error),
		    i + 3 > n ? 1 : 0);
		if (i + 3 > n)
			assert_int_equal(text.n, i % 3000);
	}
	state_abort(&t);
}

static void
killed_in_the_middle_of_commits(void **state)
{
	_Atomic uint64_t *done = kit_shared(4096);
	struct state_txn *t;
	struct state *s;
	struct str text;

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		pid_t pid = kit_start(commit_for_ever, (void *)done);
		uint64_t last;

		kit_let_run(done, 5, i * 97 % 700);
		kit_kill(pid);
		assert_int_equal(state_open(kit_dir, 8 * MAP_SIZE, &s, &kit_error), 1);
		t = kit_begin(s);
		assert_int_equal(state_get(t, STATE_META, STR("last"), &text, &kit_error), 1);
		assert_int_equal(num_u64(text, UINT64_MAX, &last, &kit_error), 1);
		state_abort(&t);
		/* It may have been on disk before it could be said. */
		assert_in_range(last, atomic_load(done), atomic_load(&done[1]));
		expect_commit(s, last);
		atomic_store(done, last);
		state_close(&s);
	}
	assert_int_equal(count_asides(), 0);
	munmap((void *)done, 4096);
}

static int
open_once(void *arg UNUSED)
{
	struct state *s;

	return state_open(kit_dir, MAP_SIZE, &s, &kit_error) == 1 ? 0 : 1;
}

/* Wherever the very first start is killed, the next one has lost nothing and says nothing. */
static void
killed_while_it_is_made(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		struct timespec nap = {0, i * 30000L};
		pid_t pid = kit_start(open_once, NULL);
		struct state *s;

		nanosleep(&nap, NULL);
		kill(pid, SIGKILL);
		kit_wait(pid);
		s = open_good();
		state_close(&s);
		assert_int_equal(count_asides(), 0);
		nftw(kit_path("state"), kit_remove_one, 8, FTW_DEPTH | FTW_PHYS);
	}
}

#define CASE(f) TEST_WITH(f, kit_dir_make, kit_dir_remove)
static const struct CMUnitTest tests[] = {
    CASE(octets_flipped),
    CASE(cut_at_any_length),
    CASE(killed_in_the_middle_of_commits),
    CASE(killed_while_it_is_made),
};
RUN_TESTS(tests)
