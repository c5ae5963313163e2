/* SPDX-License-Identifier: Apache-2.0
 *
 * The state (C-3): what was decided outlives processes; what cannot be believed is put aside whole
 * and never takes the keeper down.
 */
#include "test/unit/harness.h"

#include "shm/base/bug.h"
#include "test/unit/assert_str.h"
#include "test/unit/shm/state_kit.h"

static void
put(struct state *s, const char *service, const char *endpoint, enum endpoint_verdict verdict)
{
	struct state_verdict v = {.verdict = verdict,
	    .weight = verdict == VERDICT_WEIGHT ? 30 : WEIGHT_UNSET,
	    .expires_us = 7,
	    .set_us = FAKE_WALL_US,
	    .author = STR("uid 0")};
	const char *error = "";

	if (state_verdict_put(s, str_of(service), str_of(endpoint), &v, &error) != 1)
		fail_msg("%s", error);
}

/* All of them as one text. */
static void
append(void *arg, struct str service, struct str endpoint, const struct state_verdict *v)
{
	char *out = arg;
	size_t n = strlen(out);

	snprintf(out + n, 1000 - n, "%.*s|%.*s|%s|%d|%llu|%llu|%.*s\n", STR_ARG(service),
	    STR_ARG(endpoint), endpoint_verdict_names[v->verdict], (int)v->weight,
	    (unsigned long long)v->expires_us, (unsigned long long)v->set_us, STR_ARG(v->author));
}

static void
expect(struct state *s, const char *text)
{
	const char *error = "";
	char got[1000] = "";

	if (state_verdict_each(s, append, got, &error) != 1)
		fail_msg("%s", error);
	assert_string_equal(got, text);
}

static void
verdicts_outlive_the_process(void **state)
{
	struct state *s = open_good();
	const char *error = "";

	(void)state;
	expect(s, "");
	put(s, "shop", "[::1]:80", VERDICT_DOWN);
	put(s, "auth", "10.0.0.1:8080", VERDICT_DRAIN);
	put(s, "auth", "10.0.0.2:8080", VERDICT_WEIGHT);
	put(s, "auth", "10.0.0.1:8080", VERDICT_UP);
	state_close(&s);
	assert_null(s);
	s = open_good();
	expect(s, "auth|10.0.0.1:8080|up|-1|7|1795226400000000|uid 0\n"
		  "auth|10.0.0.2:8080|weight|30|7|1795226400000000|uid 0\n"
		  "shop|[::1]:80|down|-1|7|1795226400000000|uid 0\n");
	assert_int_equal(state_verdict_del(s, STR("auth"), STR("10.0.0.2:8080"), &error), 1);
	assert_int_equal(state_verdict_del(s, STR("auth"), STR("10.0.0.2:8080"), &error), 0);
	assert_int_equal(state_verdict_del(s, STR("auth"), STR(""), &error), 0);
	assert_int_equal(state_verdict_del(s, STR("shop"), STR("[::1]:80"), &error), 1);
	state_close(&s);
	state_close(&s);
	s = open_good();
	expect(s, "auth|10.0.0.1:8080|up|-1|7|1795226400000000|uid 0\n");
	state_close(&s);
	assert_int_equal(count_asides(), 0);
}

static void
what_verdicts_hold(void **state)
{
	struct state *s = open_good();
	char long_name[600];
	struct state_verdict v = {.verdict = VERDICT_UP, .author = STR("a\nb\x7f c")};
	const char *error = "";

	(void)state;
	memset(long_name, 'n', sizeof(long_name));
	assert_int_equal(state_verdict_put(s, STR("s"), STR("e"), &v, &error), 1);
	expect(s, "s|e|up|0|0|0|a?b? c\n");
	v.author = STR_NONE;
	assert_int_equal(state_verdict_put(s, STR("s"), STR("e"), &v, &error), 1);
	expect(s, "s|e|up|0|0|0|\n");
	v.author = str_n(long_name, sizeof(long_name));
	assert_int_equal(state_verdict_put(s, STR("s"), STR("e"), &v, &error), 1);

	assert_int_equal(state_verdict_put(s, STR(""), STR("e"), &v, &error), -1);
	assert_int_equal(state_verdict_put(s, STR("s"), STR(""), &v, &error), -1);
	assert_int_equal(state_verdict_put(s, STR("s\0s"), STR("e"), &v, &error), -1);
	assert_int_equal(state_verdict_put(s, str_n(long_name, 510), STR("e"), &v, &error), -1);
	assert_non_null(strstr(error, "510 octets"));
	assert_int_equal(state_verdict_put(s, str_n(long_name, 509), STR("e"), &v, &error), 1);
	state_close(&s);
	s = open_good(); /* its own check takes all that */
	state_close(&s);
}

static void
records_that_are_refused(void **state)
{
	static const char *const records[] = {"", "up", "up - 0 0", "1 up - 0 0 me",
	    "sideways - 0 0 me", "up x 0 0 me", "up 4294967295 0 0 me", "up - -1 0 me",
	    "up - 0 99999999999999999999 me", " up - 0 0 me", "up  0 0 me"};
	struct str service, endpoint, key = STR("s\0e");
	struct state_verdict v;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(records); i++)
		if (state_verdict_decode(key, str_of(records[i]), &service, &endpoint, &v) != -1)
			fail_msg("taken: \"%s\"", records[i]);
	assert_int_equal(
	    state_verdict_decode(key, STR("up 5 6 7 me too"), &service, &endpoint, &v), 1);
	assert_str(service, "s");
	assert_str(endpoint, "e");
	assert_int_equal(v.weight, 5);
	assert_int_equal(v.expires_us, 6);
	assert_int_equal(v.set_us, 7);
	assert_str(v.author, "me too");
	assert_int_equal(
	    state_verdict_decode(STR("no nul"), STR("up - 0 0 me"), &service, &endpoint, &v), -1);
	assert_int_equal(
	    state_verdict_decode(STR("s\0"), STR("up - 0 0 me"), &service, &endpoint, &v), -1);
}

/* --- what is put aside --- */

static char data_path[160];

/* A sound state with some verdicts, closed. */
static void
make_state(unsigned verdicts)
{
	struct state *s = open_good();
	char name[200];

	snprintf(data_path, sizeof(data_path), "%s", kit_path("state/data.mdb"));
	for (unsigned i = 0; i < verdicts; i++) {
		snprintf(name, sizeof(name), "%0150u", i);
		put(s, name, "10.0.0.1:80", VERDICT_DOWN);
	}
	state_close(&s);
}

static void
expect_set_aside(const char *words)
{
	unsigned asides = count_asides();
	const char *error;
	struct state *s;
	int rc = try_open(&s, &error);

	if (rc != 0 || strstr(error, "set aside as") == NULL || strstr(error, words) == NULL)
		fail_msg("%d \"%s\" does not say \"%s\"", rc, error, words);
	assert_non_null(s);
	assert_int_equal(count_asides(), asides + 1);
	expect(s, "");
	put(s, "s", "e", VERDICT_UP);
	state_close(&s);
	s = open_good(); /* the new one is well */
	state_close(&s);
}

static void
file_write(long at, const void *p, size_t n)
{
	int fd = open(data_path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, at), n);
	close(fd);
}

static void
a_cut_file(void **state)
{
	(void)state;
	make_state(50);
	assert_int_equal(truncate(data_path, 4 * 4096), 0);
	expect_set_aside("octets where its pages need");
	assert_int_equal(truncate(data_path, 4096 + 100), 0);
	expect_set_aside("");
	assert_int_equal(truncate(data_path, 10), 0);
	expect_set_aside("");
}

/* A new state gets its name when it is complete, so a file without content lost it. */
static void
an_empty_file_is_a_loss(void **state)
{
	(void)state;
	make_state(1);
	assert_int_equal(truncate(data_path, 0), 0);
	expect_set_aside("its data file is empty");
	assert_int_equal(unlink(data_path), 0);
	expect_set_aside("its data file is gone");
}

static void
a_first_start_that_was_killed(void **state)
{
	struct state *s;
	int fd;

	(void)state;
	/* Under its first name: whatever is there goes. */
	make_state(1);
	assert_int_equal(rename(kit_path("state"), kit_path("state.new")), 0);
	s = open_good();
	expect(s, "");
	state_close(&s);
	assert_int_equal(access(kit_path("state.new"), F_OK), -1);
	/* Nothing was ever locked: nothing was ever in it. */
	assert_int_equal(unlink(kit_path("state/lock.mdb")), 0);
	assert_int_equal(unlink(data_path), 0);
	fd = open(data_path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	s = open_good();
	expect(s, "");
	state_close(&s);
	assert_int_equal(count_asides(), 0);
}

static void
another_programs_file(void **state)
{
	static char garbage[16384];
	static const char *const names[] = {"songs"};
	struct db_options o = {.mode = DB_DURABLE, .map_size = MAP_SIZE};
	struct db_txn *t;
	const char *error;
	struct db *db;
	db_table tab;

	(void)state;
	make_state(1);
	memset(garbage, 'g', sizeof(garbage));
	file_write(0, garbage, sizeof(garbage));
	expect_set_aside("INVALID");

	assert_int_equal(rename(kit_path("state"), kit_path("elsewhere")), 0);
	assert_int_equal(db_open(kit_path("state"), &o, &db, &error), 1);
	assert_int_equal(db_tables(db, 1, names, &tab, &error), 1);
	assert_int_equal(db_begin(db, &t, &error), 1);
	assert_int_equal(db_put(t, tab, STR("la"), STR("la la"), &error), 1);
	assert_int_equal(db_commit(&t, &error), 1);
	db_close(&db);
	expect_set_aside("does not say what it is");
}

static void
records_of_another_version(void **state)
{
	(void)state;
	make_state(2);
	forge("meta", STR("readable"), STR("3"));
	expect_set_aside("too new");
	forge("meta", STR("schema"), STR("one"));
	expect_set_aside("schema");
	forge("meta", STR("format"), STR("gateway stats"));
	expect_set_aside("another program");
	forge("verdicts", STR("s\0e"), STR("1 0123456789abcdef up - 0 0 me"));
	expect_set_aside("malformed");
	forge("objects", STR("route\0r"), STR("{}"));
	expect_set_aside("check sum");
}

/* Octets changed anywhere: nothing crashes, nothing hangs; whether it is noticed depends on what
 * they were. */
static void
damaged_pages(void **state)
{
	static char pages[40 * 4096];
	const char *error;
	struct state *s;
	unsigned asides = 0;
	int fd;

	(void)state;
	make_state(400);
	fd = open(data_path, O_RDONLY);
	assert_int_equal(read(fd, pages, sizeof(pages)), sizeof(pages));
	close(fd);
	for (unsigned i = 0; i < 120; i++) {
		/* Half of them where pages keep their heads and pointers. */
		long at = i % 2 == 0 ? (long)(i % 40) * 4096 + i * 7 % 64
				     : (long)(i * 7919u % sizeof(pages));
		unsigned char junk[8];
		int rc;

		memset(junk, (int)(0xff - i * 37 % 256), sizeof(junk));
		file_write(at, junk, 1 + i % sizeof(junk));
		rc = try_open(&s, &error);
		assert_true(rc == 0 || rc == 1);
		asides += rc == 0;
		state_close(&s);
		assert_int_equal(truncate(data_path, 0), 0);
		file_write(0, pages, sizeof(pages));
		assert_int_equal(truncate(data_path, MAP_SIZE), 0);
	}
	assert_true(asides > 20);
	assert_int_equal(count_asides(), asides);
	s = open_good();
	state_close(&s);
}

static void
what_cannot_be_opened_is_left_alone(void **state)
{
	const char *error = "";
	struct state *s = NULL;
	char path[600];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(state_open(path, MAP_SIZE, &s, &error), -1);
	assert_int_equal(state_open(kit_path("absent"), MAP_SIZE, &s, &error), -1);
	assert_non_null(strstr(error, "No such file"));
	/* A directory that is in the way is no damage. */
	assert_int_equal(mkdir(kit_path("state"), 0700), 0);
	assert_int_equal(mkdir(kit_path("state/data.mdb"), 0700), 0);
	assert_int_equal(state_open(kit_dir, MAP_SIZE, &s, &error), -1);
	assert_null(s);
	assert_int_equal(count_asides(), 0);
}

static int
put_for_ever(void *arg)
{
	_Atomic uint64_t *done = arg;
	struct state_verdict v = {.verdict = VERDICT_DOWN, .author = STR("me")};
	const char *error;
	struct state *s;
	char name[32];

	if (state_open(kit_dir, MAP_SIZE, &s, &error) != 1)
		return 1;
	for (uint64_t n = atomic_load(done); n < UINT64_MAX; n++) {
		snprintf(name, sizeof(name), "%llu", (unsigned long long)n);
		if (state_verdict_put(s, STR("s"), str_of(name), &v, &error) != 1 ||
		    (n > 20 && state_verdict_del(s, STR("s"), str_of(name), &error) != 1))
			return 2;
		atomic_store(done, n + 1);
	}
	return 0;
}

static void
a_keeper_killed_while_it_writes(void **state)
{
	_Atomic uint64_t *done = kit_shared(4096);
	struct state *s;

	(void)state;
	for (unsigned i = 0; i < 15; i++) {
		pid_t pid = kit_start(put_for_ever, (void *)done);

		kit_let_run(done, 10, i * 97 % 1000);
		kit_kill(pid);
	}
	s = open_good();
	state_close(&s);
	assert_int_equal(count_asides(), 0);
	munmap((void *)done, 4096);
}

#define CASE(f) TEST_WITH(f, kit_dir_make, kit_dir_remove)
static const struct CMUnitTest tests[] = {
    CASE(verdicts_outlive_the_process),
    CASE(what_verdicts_hold),
    TEST(records_that_are_refused),
    CASE(a_cut_file),
    CASE(an_empty_file_is_a_loss),
    CASE(a_first_start_that_was_killed),
    CASE(another_programs_file),
    CASE(records_of_another_version),
    CASE(damaged_pages),
    CASE(what_cannot_be_opened_is_left_alone),
    CASE(a_keeper_killed_while_it_writes),
};
RUN_TESTS(tests)
