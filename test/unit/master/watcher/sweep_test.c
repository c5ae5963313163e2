/* SPDX-License-Identifier: Apache-2.0
 *
 * The arena's sweep, on an arena of the test's own.
 */
#include "test/unit/harness.h"

#include "master/watcher/sweep.h"

#define NOW_MS  5000
#define WALL_US 9000000

static char dir[64];

static int
set_up(void **state)
{
	struct arena *a;
	const char *error = "";
	char path[80];

	strcpy(dir, "/dev/shm/gw-sweep-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/arena", dir);
	assert_int_equal(arena_create(path, 2, 8, 2, 0600, &error), 1);
	assert_int_equal(arena_open(path, &a, &error), 1);
	*state = a;
	return 0;
}

static int
tear_down(void **state)
{
	struct arena *a = *state;
	char command[96];

	arena_close(&a);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

struct seen {
	unsigned n;
	uint32_t row, verdict;
	enum sweep_what what;
};

static void
note(void *arg, uint32_t row, enum sweep_what what, uint32_t verdict)
{
	struct seen *s = arg;

	*s = (struct seen){s->n + 1, row, verdict, what};
}

static struct endpoint_row *
new_row(struct arena *a, uint32_t *row)
{
	uint32_t incarnation;

	assert_int_equal(arena_endpoint_alloc(a, 0, row, &incarnation), 1);
	return arena_endpoint(a, *row);
}

static void
an_expired_verdict_ends(void **state)
{
	struct arena *a = *state;
	struct seen s = {0};
	uint32_t row;
	struct endpoint_row *e = new_row(a, &row);

	atomic_store(&e->verdict, VERDICT_DOWN);
	atomic_store(&e->verdict_until_us, WALL_US + 1);
	sweep_arena(a, NOW_MS, WALL_US, note, &s);
	assert_int_equal(s.n, 0);
	assert_int_equal(atomic_load(&e->verdict), VERDICT_DOWN);
	sweep_arena(a, NOW_MS, WALL_US + 1, note, &s);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.row, row);
	assert_int_equal(s.what, SWEEP_VERDICT);
	assert_int_equal(s.verdict, VERDICT_DOWN);
	assert_int_equal(atomic_load(&e->verdict), VERDICT_NONE);
	assert_int_equal(atomic_load(&e->verdict_until_us), 0);
	sweep_arena(a, NOW_MS, WALL_US + 1, note, &s);
	assert_int_equal(s.n, 1);
}

static void
a_verdict_without_end_stays(void **state)
{
	struct arena *a = *state;
	struct seen s = {0};
	uint32_t row;
	struct endpoint_row *e = new_row(a, &row);

	atomic_store(&e->verdict, VERDICT_DRAIN);
	sweep_arena(a, UINT64_MAX, UINT64_MAX, note, &s);
	assert_int_equal(s.n, 0);
	assert_int_equal(atomic_load(&e->verdict), VERDICT_DRAIN);
}

static void
an_ejection_ends(void **state)
{
	struct arena *a = *state;
	struct seen s = {0};
	uint32_t row;
	struct endpoint_row *e = new_row(a, &row);

	atomic_store(&e->ejected_until_ms, NOW_MS + 1);
	sweep_arena(a, NOW_MS, WALL_US, note, &s);
	assert_int_equal(s.n, 0);
	sweep_arena(a, NOW_MS + 1, WALL_US, note, &s);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.what, SWEEP_EJECTION);
	assert_int_equal(atomic_load(&e->ejected_until_ms), 0);
	assert_int_equal(atomic_load(&e->last_change_us), WALL_US);
}

static void
free_rows_are_left_alone(void **state)
{
	struct arena *a = *state;
	struct seen s = {0};
	struct endpoint_row *e = arena_endpoint(a, 5);

	assert_int_equal(atomic_load(&e->incarnation) & 1, 0);
	atomic_store(&e->ejected_until_ms, 1);
	sweep_arena(a, NOW_MS, WALL_US, note, &s);
	assert_int_equal(s.n, 0);
}

#define CASE(f) TEST_WITH(f, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(an_expired_verdict_ends),
    CASE(a_verdict_without_end_stays),
    CASE(an_ejection_ends),
    CASE(free_rows_are_left_alone),
};
RUN_TESTS(tests)
