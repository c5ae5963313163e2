/* SPDX-License-Identifier: Apache-2.0
 *
 * The arena (C-3): rows and their life. How shares survive kill -9 is arena_kill_test.c.
 */
#include "test/unit/harness.h"

#include "shm/arena.h"
#include "shm/arena_priv.h"
#include "test/unit/shm/procs_kit.h"

#define SLOTS     3
#define ENDPOINTS 20
#define SERVICES  4

static struct arena *arena;

static int
setup(void **state)
{
	const char *error = "";

	if (kit_dir_make(state) < 0)
		return -1;
	if (arena_create(kit_path("arena"), SLOTS, ENDPOINTS, SERVICES, 0660, &error) != 1 ||
	    arena_open(kit_path("arena"), &arena, &error) != 1) {
		print_error("%s\n", error);
		return -1;
	}
	return 0;
}

static int
teardown(void **state)
{
	arena_close(&arena);
	return kit_dir_remove(state);
}

static void
it_is_zeroed_and_aligned(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal((uintptr_t)arena_head(arena) % CACHE_LINE, 0);
	assert_int_equal((uintptr_t)arena_endpoint(arena, 1) % CACHE_LINE, 0);
	assert_int_equal((uintptr_t)arena_service(arena, 1) % CACHE_LINE, 0);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		assert_int_equal((uintptr_t)arena_shadow(arena, slot, 0) % CACHE_LINE, 0);
	assert_int_equal(arena_head(arena)->endpoints, ENDPOINTS);
	assert_int_equal(arena_head(arena)->slots, SLOTS);
	for (uint32_t row = 0; row < ENDPOINTS; row++)
		assert_int_equal(arena_endpoint(arena, row)->incarnation, 0);
	assert_null(arena_endpoint(arena, ENDPOINTS));
	assert_null(arena_service(arena, SERVICES));
	/* All of it is there already: a full disk is found at the start. */
	assert_int_equal(stat(kit_path("arena/data.mdb"), &st), 0);
	assert_true(st.st_blocks * 512 >= st.st_size);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(stat(kit_path("arena/lock.mdb"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void
refused_dir(const char *dir, const char *words)
{
	struct arena *a = NULL;
	const char *error = "";

	assert_int_equal(arena_open(dir, &a, &error), -1);
	assert_null(a);
	if (strstr(error, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", error, words);
}

static void
foreign_layouts_are_refused(void **state)
{
	struct arena_head *h = arena_head(arena), saved = *h;
	const char *error = "", *dir = "/";
	int fd;

	(void)state;
	dir = kit_path("arena");
	h->layout++;
	refused_dir(dir, "layout");
	h->layout = saved.layout;
	h->slots = UINT32_MAX;
	refused_dir(dir, "layout");
	h->slots = saved.slots;
	h->endpoints *= 1000;
	refused_dir(dir, "layout");
	h->endpoints = saved.endpoints;
	h->magic = 0;
	refused_dir(dir, "layout");
	h->magic = saved.magic;

	refused_dir(kit_path("absent"), "No such file");
	assert_int_equal(arena_create(dir, 1, 1, 1, 0600, &error), -1);
	assert_non_null(strstr(error, "already"));
	assert_int_equal(arena_create(kit_path("b"), 0, 1, 1, 0600, &error), -1);
	assert_int_equal(arena_create(kit_path("b"), 1, UINT32_MAX, 1, 0600, &error), -1);

	assert_int_equal(mkdir(kit_path("torn"), 0700), 0);
	fd = open(kit_path("torn/data.mdb"), O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "not a database at all", 21), 21);
	close(fd);
	refused_dir(kit_path("torn"), "");
}

static int
count_in_child(void *dir)
{
	struct arena *a;
	const char *error;

	if (arena_open(dir, &a, &error) != 1)
		return 1;
	for (unsigned i = 0; i < 100000; i++)
		atomic_fetch_add_explicit(&arena_service(a, 2)->ticket, 1, memory_order_relaxed);
	atomic_store(&arena_head(a)->generation, 17);
	arena_close(&a);
	return 0;
}

static void
every_process_sees_the_same_words(void **state)
{
	char dir[160];
	pid_t pid[3];

	(void)state;
	snprintf(dir, sizeof(dir), "%s", kit_path("arena"));
	for (unsigned i = 0; i < 3; i++)
		pid[i] = kit_start(count_in_child, dir);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(kit_wait(pid[i]), 0);
	assert_int_equal(arena_service(arena, 2)->ticket, 300000);
	assert_int_equal(arena_head(arena)->generation, 17);
}

static void
rows_are_given_out_once(void **state)
{
	uint32_t row, incarnation;

	(void)state;
	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		assert_int_equal(arena_endpoint_alloc(arena, 1, &row, &incarnation), 1);
		assert_int_equal(row, i);
		assert_int_equal(incarnation, 1);
		assert_int_equal(arena_endpoint(arena, row)->weight, WEIGHT_UNSET);
	}
	assert_int_equal(arena_endpoint_alloc(arena, 1, &row, &incarnation), 0);
	assert_int_equal(arena_endpoints_used(arena), ENDPOINTS);
	arena_endpoint_retire(arena, 5, 0);
	arena_endpoint_retire(arena, 5, 0); /* once is enough */
	arena_endpoint_retire(arena, ENDPOINTS, 0);
	assert_int_equal(arena_endpoints_used(arena), ENDPOINTS - 1);
	assert_int_equal(arena_endpoint_alloc(arena, 1, &row, &incarnation), 1);
	assert_int_equal(row, 5);
	assert_int_equal(incarnation, 3);
}

static void
a_retired_row_rests(void **state)
{
	uint32_t row, incarnation, next;

	(void)state;
	assert_int_equal(arena_endpoint_alloc(arena, 7, &row, &incarnation), 1);
	assert_int_equal(endpoint_take(arena, 1, row, incarnation), 1);
	atomic_store(&arena_endpoint(arena, row)->verdict, VERDICT_DRAIN);
	atomic_store(&arena_endpoint(arena, row)->picks, 9);
	arena_endpoint_retire(arena, row, 7);
	/* A worker that has not looked again must find nothing broken. */
	assert_int_equal(endpoint_take(arena, 1, row, incarnation), 1);
	endpoint_release(arena, 1, row, incarnation);

	/* A worker still goes by version 7; then none does, but a request is under way. */
	assert_int_equal(arena_endpoint_alloc(arena, 7, &next, &incarnation), 1);
	assert_int_equal(next, row + 1);
	assert_int_equal(arena_endpoint_alloc(arena, 8, &next, &incarnation), 1);
	assert_int_equal(next, row + 2);
	endpoint_release(arena, 1, row, 1);
	assert_int_equal(endpoint_inflight(arena, row), 0);
	assert_int_equal(arena_endpoint_alloc(arena, 8, &next, &incarnation), 1);
	assert_int_equal(next, row);
	assert_int_equal(incarnation, 3);
	assert_int_equal(arena_endpoint(arena, row)->verdict, VERDICT_NONE);
	assert_int_equal(arena_endpoint(arena, row)->picks, 0);
	/* What the old incarnation knew is refused, and counts nothing. */
	assert_int_equal(endpoint_take(arena, 1, row, 1), 0);
	assert_int_equal(endpoint_take(arena, 1, ENDPOINTS + 3, 1), 0);
	assert_int_equal(endpoint_inflight(arena, row), 0);
	assert_int_equal(endpoint_inflight(arena, ENDPOINTS), 0);
	assert_int_equal(SHADOW_COUNT(*arena_shadow(arena, 1, row)), 0);
}

static void
an_unsettled_row_rests_too(void **state)
{
	uint32_t row, incarnation, next;

	(void)state;
	assert_int_equal(arena_endpoint_alloc(arena, 1, &row, &incarnation), 1);
	arena_endpoint_retire(arena, row, 0);
	atomic_store(&arena_endpoint(arena, row)->unsettled, 1);
	assert_int_equal(arena_endpoint_alloc(arena, 1, &next, &incarnation), 1);
	assert_int_not_equal(next, row);
	assert_int_equal(arena_settle(arena), 0);
	assert_int_equal(arena_endpoint_alloc(arena, 1, &next, &incarnation), 1);
	assert_int_equal(next, row);
}

static void
service_rows(void **state)
{
	uint32_t row;

	(void)state;
	for (uint32_t i = 0; i < SERVICES; i++) {
		assert_int_equal(arena_service_alloc(arena, &row), 1);
		assert_int_equal(row, i);
	}
	assert_int_equal(arena_service_alloc(arena, &row), 0);
	atomic_store(&arena_service(arena, 2)->ticket, 99);
	arena_service_free(arena, 2);
	arena_service_free(arena, 2);
	arena_service_free(arena, SERVICES);
	assert_int_equal(arena_service_alloc(arena, &row), 1);
	assert_int_equal(row, 2);
	assert_int_equal(arena_service(arena, 2)->ticket, 0);
	assert_int_equal(arena_service(arena, 2)->incarnation, 3);
}

static void
what_makes_an_endpoint_usable(void **state)
{
	static const struct {
		uint32_t verdict, flags;
		uint64_t until_us, ejected_ms;
		bool usable;
	} cases[] = {
	    {VERDICT_NONE, 0, 0, 0, true}, {VERDICT_NONE, 0, 0, 999, true},
	    {VERDICT_NONE, 0, 0, 1000, true}, /* back at that time */
	    {VERDICT_NONE, 0, 0, 1001, false}, {VERDICT_DOWN, 0, 0, 0, false},
	    {VERDICT_DRAIN, 0, 0, 0, false}, {VERDICT_DOWN, 0, 5001, 0, false},
	    {VERDICT_DOWN, 0, 5000, 0, true}, /* expired */
	    {VERDICT_UP, 0, 0, 2000, true},   /* overrides ejection */
	    {VERDICT_UP, 0, 5000, 2000, false}, {VERDICT_WEIGHT, 0, 0, 0, true},
	    {VERDICT_WEIGHT, 0, 0, 2000, false}, {VERDICT_UP, ENDPOINT_UNRESOLVED, 0, 0, false},
	    {12345, 0, 0, 0, true}, /* of another version: none */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct endpoint_row e = {.verdict = cases[i].verdict,
		    .flags = cases[i].flags,
		    .verdict_until_us = cases[i].until_us,
		    .ejected_until_ms = cases[i].ejected_ms};

		if (endpoint_usable(&e, 1000, 5000) != cases[i].usable)
			fail_msg("case %u", i);
	}
	assert_string_equal(endpoint_verdict_names[VERDICT_WEIGHT], "weight");
	assert_null(endpoint_verdict_names[VERDICT_COUNT]);
}

static void
failures_eject(void **state)
{
	struct endpoint_row *e = arena_endpoint(arena, 0);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(endpoint_failed(e, 0, 500, 1000), 0); /* off */
	assert_int_equal(endpoint_failed(e, 3, 500, 1000), 0);
	assert_int_equal(endpoint_failed(e, 3, 500, 1000), 0);
	endpoint_succeeded(e); /* consecutive ones only */
	assert_int_equal(endpoint_failed(e, 3, 500, 1000), 0);
	assert_int_equal(endpoint_failed(e, 3, 500, 1000), 0);
	assert_true(endpoint_usable(e, 1000, 0));
	assert_int_equal(endpoint_failed(e, 3, 500, 1000), 1);
	assert_false(endpoint_usable(e, 1000, 0));
	assert_false(endpoint_usable(e, 1499, 0));
	assert_true(endpoint_usable(e, 1500, 0));
	assert_int_equal(e->ejections, 1);
	/* What was under way when it was ejected does not eject it again. */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(endpoint_failed(e, 3, 500, 1100), 0);
	assert_int_equal(e->ejections, 1);
}

/* Says by its exit code how often it was the one. */
static int
fail_in_child(void *shared)
{
	_Atomic uint32_t *go = shared;
	int won = 0;

	while (atomic_load(go) == 0)
		continue;
	for (unsigned i = 0; i < 1000; i++)
		won += endpoint_failed(arena_endpoint(arena, 0), 5, 1000, 1000);
	return won;
}

static void
one_process_ejects(void **state)
{
	_Atomic uint32_t *go = kit_shared(4096);
	pid_t pid[4];
	int won = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		pid[i] = kit_start(fail_in_child, (void *)go);
	atomic_store(go, 1);
	for (unsigned i = 0; i < 4; i++)
		won += kit_wait(pid[i]);
	assert_int_equal(won, 1);
	munmap((void *)go, 4096);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(it_is_zeroed_and_aligned, setup, teardown),
    TEST_WITH(foreign_layouts_are_refused, setup, teardown),
    TEST_WITH(every_process_sees_the_same_words, setup, teardown),
    TEST_WITH(rows_are_given_out_once, setup, teardown),
    TEST_WITH(a_retired_row_rests, setup, teardown),
    TEST_WITH(an_unsettled_row_rests_too, setup, teardown),
    TEST_WITH(service_rows, setup, teardown),
    TEST_WITH(what_makes_an_endpoint_usable, setup, teardown),
    TEST_WITH(failures_eject, setup, teardown),
    TEST_WITH(one_process_ejects, setup, teardown),
};
RUN_TESTS(tests)
