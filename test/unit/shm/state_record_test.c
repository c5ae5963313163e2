/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of the state (C-3): they come back as they were put, over a full state and over versions
 * of it (S-OP-3).
 */
#include "test/unit/harness.h"

#include "test/unit/shm/state_kit.h"

/* Keys and texts as one text, "stop" at a record that says so. */
static int
append(void *arg, struct str key, struct str text)
{
	char *out = arg;
	size_t n = strlen(out);

	snprintf(out + n, 1000 - n, "%.*s=%.*s ", STR_ARG(key), STR_ARG(text));
	return str_eq(text, STR("stop")) ? 7 : 1;
}

static void
expect_up(struct state_txn *t, enum state_table tab, const char *from, const char *all)
{
	char got[1000] = "";

	assert_int_equal(state_each(t, tab, str_of(from), append, got, &kit_error), 1);
	assert_string_equal(got, all);
}

static void
expect_down(struct state_txn *t, enum state_table tab, const char *before, const char *all)
{
	char got[1000] = "";

	assert_int_equal(state_each_down(t, tab, str_of(before), append, got, &kit_error), 1);
	assert_string_equal(got, all);
}

static void
records_come_back(void **state)
{
	struct state *s = open_good();
	struct state_txn *t = kit_begin(s);
	struct str text;

	(void)state;
	kit_put(t, STATE_OBJECTS, "b", "{\"b\":1}");
	kit_put(t, STATE_OBJECTS, "a", "");
	kit_put(t, STATE_JOURNAL, "a", "other");
	kit_put(t, STATE_META, "console", "epoch 7");
	kit_put(t, STATE_OBJECTS, "b", "{\"b\":2}");
	assert_int_equal(state_put(t, STATE_HISTORY, STR("x\0y"), STR("n\0l"), &kit_error), 1);
	kit_commit(t);
	state_close(&s);
	s = open_good();
	t = kit_begin(s);
	expect_up(t, STATE_OBJECTS, NULL, "a= b={\"b\":2} ");
	expect_up(t, STATE_JOURNAL, NULL, "a=other ");
	expect_up(t, STATE_META, NULL, "console=epoch 7 ");
	assert_int_equal(state_get(t, STATE_HISTORY, STR("x\0y"), &text, &kit_error), 1);
	assert_true(str_eq(text, STR("n\0l")));
	assert_int_equal(state_get(t, STATE_OBJECTS, STR("c"), &text, &kit_error), 0);
	assert_int_equal(state_get(t, STATE_META, STR("schema"), &text, &kit_error), 0);
	assert_int_equal(state_count(t, STATE_OBJECTS), 2);
	assert_int_equal(state_count(t, STATE_META), 1);
	assert_int_equal(state_del(t, STATE_OBJECTS, STR("a"), &kit_error), 1);
	assert_int_equal(state_del(t, STATE_OBJECTS, STR("a"), &kit_error), 0);
	assert_int_equal(state_clear(t, STATE_JOURNAL, &kit_error), 1);
	assert_int_equal(state_clear(t, STATE_JOURNAL, &kit_error), 1);
	kit_commit(t);
	state_close(&s);
	s = open_good();
	t = kit_begin(s);
	expect_up(t, STATE_OBJECTS, NULL, "b={\"b\":2} ");
	assert_int_equal(state_count(t, STATE_JOURNAL), 0);
	kit_commit(t); /* nothing */
	state_close(&s);
}

static void
in_order_up_and_down(void **state)
{
	struct state *s = open_good();
	struct state_txn *t = kit_begin(s);
	char got[1000] = "";

	(void)state;
	expect_down(t, STATE_HISTORY, NULL, "");
	expect_down(t, STATE_HISTORY, "5", "");
	for (const char *k = "31524"; *k != '\0'; k++)
		assert_int_equal(state_put(t, STATE_HISTORY, str_n(k, 1), STR("v"), &kit_error), 1);
	expect_up(t, STATE_HISTORY, "3", "3=v 4=v 5=v ");
	expect_up(t, STATE_HISTORY, "35", "4=v 5=v ");
	expect_up(t, STATE_HISTORY, "6", "");
	expect_down(t, STATE_HISTORY, NULL, "5=v 4=v 3=v 2=v 1=v ");
	expect_down(t, STATE_HISTORY, "3", "2=v 1=v ");
	expect_down(t, STATE_HISTORY, "35", "3=v 2=v 1=v ");
	expect_down(t, STATE_HISTORY, "9", "5=v 4=v 3=v 2=v 1=v ");
	expect_down(t, STATE_HISTORY, "1", "");
	kit_put(t, STATE_HISTORY, "3", "stop");
	assert_int_equal(state_each_down(t, STATE_HISTORY, STR_NONE, append, got, &kit_error), 7);
	assert_string_equal(got, "5=v 4=v 3=stop ");
	kit_put(t, STATE_META, "aaa", "1");
	kit_put(t, STATE_META, "zzz", "2");
	expect_down(t, STATE_META, NULL, "zzz=2 aaa=1 ");
	state_abort(&t);
	state_close(&s);
}

static void
an_abort_leaves_nothing(void **state)
{
	struct state *s = open_good();
	struct state_txn *t = kit_begin(s);

	(void)state;
	kit_put(t, STATE_OBJECTS, "a", "1");
	kit_commit(t);
	t = kit_begin(s);
	kit_put(t, STATE_OBJECTS, "a", "2");
	kit_put(t, STATE_OBJECTS, "b", "2");
	assert_int_equal(state_clear(t, STATE_OBJECTS, &kit_error), 1);
	kit_put(t, STATE_OBJECTS, "c", "2");
	state_abort(&t);
	state_abort(&t);
	t = kit_begin(s);
	expect_up(t, STATE_OBJECTS, NULL, "a=1 ");
	kit_put(t, STATE_OBJECTS, "b", "3");
	kit_commit(t);
	state_close(&s);
	s = open_good();
	state_close(&s);
}

static void
keys_that_are_refused(void **state)
{
	struct state *s = open_good();
	struct state_txn *t = kit_begin(s);
	char key[STATE_KEY_MAX + 1];

	(void)state;
	memset(key, 'k', sizeof(key));
	assert_int_equal(
	    state_put(t, STATE_OBJECTS, str_n(key, sizeof(key)), STR("1"), &kit_error), -1);
	assert_non_null(strstr(kit_error, "201 octets"));
	assert_int_equal(state_put(t, STATE_OBJECTS, STR_NONE, STR("1"), &kit_error), -1);
	assert_int_equal(state_put(t, STATE_META, STR("seal"), STR("1"), &kit_error), -1);
	assert_int_equal(state_del(t, STATE_META, STR("seal"), &kit_error), 0);
	assert_int_equal(
	    state_put(t, STATE_OBJECTS, str_n(key, STATE_KEY_MAX), STR("1"), &kit_error), 1);
	kit_commit(t);
	state_close(&s);
}

/* Full is an kit_error with words; what is there stays, and can be deleted. */
static void
a_full_state(void **state)
{
	static char big[8000];
	struct state *s = open_good();
	struct state_txn *t;
	struct state_fill fill;
	char key[24];
	unsigned n = 0;
	int rc = 1;

	(void)state;
	memset(big, 'b', sizeof(big));
	while (rc == 1) {
		t = kit_begin(s);
		snprintf(key, sizeof(key), "%08u", n);
		rc = state_put(t, STATE_OBJECTS, str_of(key), str_n(big, sizeof(big)), &kit_error);
		if (rc == 1)
			kit_commit(t);
		else
			state_abort(&t);
		n += rc == 1;
	}
	assert_non_null(strstr(kit_error, "limits.state_size"));
	assert_in_range(n, 70, 100);
	state_fill(s, &fill);
	assert_int_equal(fill.count[STATE_OBJECTS], n);
	assert_in_range(fill.used_bytes, n * sizeof(big), fill.map_bytes);
	assert_int_equal(fill.map_bytes, MAP_SIZE / 4 * 3);
	/* More than all at once: LMDB's own limit is not met before ours. */
	t = kit_begin(s);
	assert_int_equal(state_put(t, STATE_OBJECTS, STR("x"), str_n(big, 4000), &kit_error), 1);
	assert_int_equal(
	    state_put(t, STATE_OBJECTS, STR("y"), str_n(big, sizeof(big)), &kit_error), -1);
	state_abort(&t);
	for (unsigned i = 0; i < n; i++) {
		t = kit_begin(s);
		snprintf(key, sizeof(key), "%08u", i);
		assert_int_equal(state_del(t, STATE_OBJECTS, str_of(key), &kit_error), 1);
		kit_commit(t);
	}
	t = kit_begin(s);
	kit_put(t, STATE_OBJECTS, "a", "1");
	kit_commit(t);
	state_close(&s);
	s = open_good();
	state_close(&s);
}

/* --- versions (S-OP-3) --- */

static const struct {
	struct str key, record;
} schema_1[] = {
    {STR("auth\0"
	 "10.0.0.1:8080"),
	STR("1 drain - 0 1795226400000000 uid 0")},
    {STR("auth\0"
	 "10.0.0.2:8080"),
	STR("1 weight 30 7 1795226400000000 ")},
    {STR("shop\0"
	 "[::1]:80"),
	STR("1 down - 0 1795226400000000 me and you")},
};

/* As the old code did: tables in one commit, what it is in another, then each verdict. */
static void
make_schema_1(bool meta)
{
	static const char *const names[] = {"meta", "verdicts"};
	struct db_options o = {
	    .mode = DB_DURABLE, .map_size = MAP_SIZE, .max_tables = 32, .file_mode = 0600};
	db_table tab[2];
	struct db *db;

	assert_int_equal(db_open(kit_path("state"), &o, &db, &kit_error), 1);
	assert_int_equal(db_tables(db, 2, names, tab, &kit_error), 1);
	db_close(&db);
	if (!meta)
		return;
	forge("meta", STR("format"), STR("gateway state"));
	forge("meta", STR("schema"), STR("1"));
	forge("meta", STR("readable"), STR("1"));
	for (unsigned i = 0; i < ARRAY_LEN(schema_1); i++)
		forge("verdicts", schema_1[i].key, schema_1[i].record);
}

static void
append_verdict(void *arg, struct str service, struct str endpoint, const struct state_verdict *v)
{
	char *out = arg;
	size_t n = strlen(out);

	snprintf(out + n, 1000 - n, "%.*s|%.*s|%s|%d|%llu|%.*s\n", STR_ARG(service),
	    STR_ARG(endpoint), endpoint_verdict_names[v->verdict], (int)v->weight,
	    (unsigned long long)v->expires_us, STR_ARG(v->author));
}

static void
expect_schema_1(struct state *s)
{
	char got[1000] = "";

	assert_int_equal(state_verdict_each(s, append_verdict, got, &kit_error), 1);
	assert_string_equal(got, "auth|10.0.0.1:8080|drain|-1|0|uid 0\n"
				 "auth|10.0.0.2:8080|weight|30|7|\n"
				 "shop|[::1]:80|down|-1|0|me and you\n");
}

static void
schema_1_is_taken_over(void **state)
{
	struct state *s;
	struct state_txn *t;

	(void)state;
	make_schema_1(true);
	for (unsigned i = 0; i < 3; i++) { /* once migrated, it stays */
		s = open_good();
		expect_schema_1(s);
		t = kit_begin(s);
		kit_put(t, STATE_OBJECTS, "o", "{}");
		kit_commit(t);
		assert_int_equal(s->schema, STATE_SCHEMA);
		state_close(&s);
	}
	assert_int_equal(count_asides(), 0);
}

static void
schema_1_without_content(void **state)
{
	struct state *s;

	(void)state;
	make_schema_1(false);
	s = open_good();
	state_close(&s);
	assert_int_equal(count_asides(), 0);
}

static void
schema_1_damaged(void **state)
{
	struct state *s;

	(void)state;
	make_schema_1(true);
	forge("verdicts", STR("s\0e"), STR("1 maybe - 0 0 me"));
	assert_int_equal(try_open(&s, &kit_error), 0);
	assert_non_null(strstr(kit_error, "malformed"));
	state_close(&s);
	assert_int_equal(rename(kit_path("state"), kit_path("gone")), 0);
	make_schema_1(true);
	forge("objects", STR("o"), STR("{}"));
	assert_int_equal(try_open(&s, &kit_error), 0);
	assert_int_equal(count_asides(), 2);
	state_close(&s);
}

/* What a later version would leave: its schema, a table more, its seal. */
static void
make_later(unsigned readable)
{
	static const char *const names[] = {"meta", "apikeys"};
	struct db_options o = {.mode = DB_DURABLE, .max_tables = 32};
	struct state *s = open_good();
	struct state_txn *st = kit_begin(s), t = {.s = s};
	char n[12];
	db_table tab[2];

	kit_put(st, STATE_OBJECTS, "o", "{}");
	kit_commit(st);
	db_close(&s->db);
	assert_int_equal(db_open(kit_path("state"), &o, &s->db, &kit_error), 1);
	assert_int_equal(db_tables(s->db, 7, state_table_names, s->table, &kit_error), 1);
	assert_int_equal(db_tables(s->db, 2, names, tab, &kit_error), 1);
	assert_int_equal(db_begin(s->db, &t.t, &kit_error), 1);
	snprintf(n, sizeof(n), "%u", readable);
	assert_int_equal(db_put(t.t, tab[0], STR("schema"), STR("3"), &kit_error), 1);
	assert_int_equal(db_put(t.t, tab[0], STR("readable"), str_of(n), &kit_error), 1);
	assert_int_equal(db_put(t.t, tab[1], STR("k"), STR("whatever"), &kit_error), 1);
	s->schema = 3;
	s->readable = readable;
	t.sums = s->sums;
	assert_int_equal(state_seal(&t, &kit_error), 1);
	assert_int_equal(db_commit(&t.t, &kit_error), 1);
	state_close(&s);
}

static void
a_later_schema(void **state)
{
	struct state *s;
	struct state_txn *t;

	(void)state;
	make_later(2);
	for (unsigned i = 0; i < 2; i++) {
		s = open_good();
		t = kit_begin(s);
		expect_up(t, STATE_OBJECTS, NULL, "o={} ");
		kit_put(t, STATE_OBJECTS, "o", "{}");
		kit_commit(t);
		assert_int_equal(s->schema, 3);
		state_close(&s);
	}
	make_later(3);
	assert_int_equal(try_open(&s, &kit_error), 0);
	assert_non_null(strstr(kit_error, "too new"));
	t = kit_begin(s);
	assert_int_equal(state_count(t, STATE_OBJECTS), 0);
	state_abort(&t);
	state_close(&s);
}

/* What is on disk under no name is lost with the next start: it must not be promised. */
static void
a_file_taken_away(void **state)
{
	struct state *s = open_good();
	struct state_txn *t = kit_begin(s);
	char path[600], away[620];

	(void)state;
	kit_put(t, STATE_OBJECTS, "a", "1");
	kit_commit(t);
	snprintf(path, sizeof(path), "%s/state/data.mdb", kit_dir);
	snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	t = kit_begin(s);
	kit_put(t, STATE_OBJECTS, "b", "2");
	assert_int_equal(state_commit(&t, &kit_error), -1);
	assert_non_null(strstr(kit_error, "deleted while in use"));
	close(open(path, O_CREAT | O_WRONLY, 0600));
	t = kit_begin(s);
	kit_put(t, STATE_OBJECTS, "b", "2");
	assert_int_equal(state_commit(&t, &kit_error), -1);
	assert_non_null(strstr(kit_error, "replaced while in use"));
	assert_int_equal(rename(away, path), 0);
	t = kit_begin(s);
	expect_up(t, STATE_OBJECTS, NULL, "a=1 ");
	kit_put(t, STATE_OBJECTS, "b", "2");
	kit_commit(t);
	state_close(&s);
}

#define CASE(f) TEST_WITH(f, kit_dir_make, kit_dir_remove)
static const struct CMUnitTest tests[] = {
    CASE(records_come_back),
    CASE(in_order_up_and_down),
    CASE(an_abort_leaves_nothing),
    CASE(keys_that_are_refused),
    CASE(a_full_state),
    CASE(schema_1_is_taken_over),
    CASE(schema_1_without_content),
    CASE(schema_1_damaged),
    CASE(a_later_schema),
    CASE(a_file_taken_away),
};
RUN_TESTS(tests)
