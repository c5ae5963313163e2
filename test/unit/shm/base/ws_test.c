/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"
#include "shm/base/ws.h"

static struct {
	unsigned n;
	int order[16];
} undone;

static int numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void
undo(void *arg)
{
	undone.order[undone.n++] = *(int *)arg;
}

static int
forget(void **state)
{
	(void)state;
	undone.n = 0;
	return 0;
}

static void
alignment_and_growth(void **state)
{
	struct ws ws;
	char *last = NULL;

	(void)state;
	ws_init(&ws, NULL, 0);
	for (size_t n = 1; n < 3000; n += 37) {
		char *p = ws_alloc(&ws, n);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_ptr_not_equal(p, last);
		memset(p, 0xa5, n);
		last = p;
	}
	last = ws_zalloc(&ws, 5000);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(last[i], 0);
	assert_non_null(ws_alloc(&ws, 0));
	assert_false(ws.overflow);
	ws_free(&ws);
	assert_int_equal(ws_used(&ws), 0);
	assert_null(ws.block);
}

static void
strings(void **state)
{
	struct ws ws;
	const struct str three[] = {STR("a"), STR_NONE, STR("bc")};
	struct str s;

	(void)state;
	ws_init(&ws, NULL, 0);
	s = ws_str(&ws, str_n("hello world", 5));
	assert_str(s, "hello");
	assert_int_equal(s.p[5], '\0');
	assert_str(ws_str(&ws, STR_NONE), "");
	assert_str(ws_cat(&ws, 3, three), "abc");
	assert_str(ws_cat(&ws, 0, NULL), "");
	assert_str(ws_printf(&ws, "%s-%d", "n", 42), "n-42");
	assert_int_equal(ws_printf(&ws, "%5000s", "x").n, 5000);
	ws_free(&ws);
}

static void
limit_is_sticky(void **state)
{
	struct ws ws;

	(void)state;
	ws_init(&ws, NULL, 100);
	assert_non_null(ws_alloc(&ws, 60));
	assert_false(ws.overflow);
	assert_null(ws_alloc(&ws, 60));
	assert_true(ws.overflow);
	assert_non_null(ws_alloc(&ws, 8)); /* fits still, the mark stays */
	assert_true(ws.overflow);
	assert_null(ws_str(&ws, str_n("0123456789012345678901234567890123456789", 40)).p);
	assert_null(ws_printf(&ws, "%200d", 1).p);
	assert_null(ws_alloc(&ws, SIZE_MAX));
	assert_null(ws_alloc(&ws, SIZE_MAX - 8));
	ws_free(&ws);
	assert_false(ws.overflow);
	assert_non_null(ws_alloc(&ws, 100));
	ws_free(&ws);
	ws_init(&ws, NULL, 0);
	assert_null(ws_alloc(&ws, SIZE_MAX - 1));
	assert_true(ws.overflow);
	ws_free(&ws);
}

static void
cleanups_run_newest_first(void **state)
{
	struct ws ws;

	(void)state;
	ws_init(&ws, NULL, 20); /* smaller than one clean-up: they never fail */
	ws_on_free(&ws, undo, &numbers[1]);
	ws_on_free(&ws, undo, &numbers[2]);
	ws_on_free(&ws, undo, &numbers[3]);
	assert_null(ws_alloc(&ws, 1));
	ws_free(&ws);
	assert_int_equal(undone.n, 3);
	assert_int_equal(undone.order[0], 3);
	assert_int_equal(undone.order[2], 1);
	ws_free(&ws);
	assert_int_equal(undone.n, 3);
}

static void
marks(void **state)
{
	struct ws ws;
	struct ws_mark empty, mark;
	char *a, *b;
	size_t used;

	(void)state;
	ws_init(&ws, NULL, 0);
	empty = ws_mark(&ws);
	a = ws_alloc(&ws, 64);
	memset(a, 'a', 64);
	ws_on_free(&ws, undo, &numbers[1]);
	mark = ws_mark(&ws);
	used = ws_used(&ws);
	b = ws_alloc(&ws, 32);
	ws_on_free(&ws, undo, &numbers[2]);
	for (int i = 0; i < 10; i++)
		assert_non_null(ws_alloc(&ws, 3000));
	ws_reset(&ws, mark);
	assert_int_equal(undone.n, 1);
	assert_int_equal(undone.order[0], 2);
	assert_int_equal(ws_used(&ws), used);
	assert_ptr_equal(ws_alloc(&ws, 32), b);
	assert_int_equal(a[63], 'a');
	ws_reset(&ws, empty);
	assert_int_equal(undone.n, 2);
	assert_int_equal(ws_used(&ws), 0);
	ws_free(&ws);
}

static void
blocks_are_recycled(void **state)
{
	struct ws_pool pool;
	struct ws ws;
	void *first;

	(void)state;
	ws_pool_init(&pool, 1000, 2);
	assert_int_equal(pool.block_size % 16, 0);
	ws_init(&ws, &pool, 0);
	first = ws_alloc(&ws, 16);
	ws_free(&ws);
	assert_int_equal(pool.n_free, 1);
	assert_ptr_equal(ws_alloc(&ws, 16), first);
	assert_int_equal(pool.n_free, 0);
	for (int i = 0; i < 5; i++)
		assert_non_null(ws_alloc(&ws, 900));
	assert_non_null(ws_alloc(&ws, 100000)); /* a block of its own, never kept */
	ws_free(&ws);
	assert_int_equal(pool.n_free, 2); /* max_free */
	assert_int_equal(ws_pool_trim(&pool, 2), 0);
	assert_int_equal(ws_pool_trim(&pool, 0), 1);
	assert_int_equal(pool.n_free, 1);
	ws_pool_fini(&pool);
	assert_int_equal(pool.n_free, 0);
	assert_null(pool.free);
}

static const struct CMUnitTest tests[] = {
    TEST(alignment_and_growth),
    TEST(strings),
    TEST(limit_is_sticky),
    TEST_WITH(cleanups_run_newest_first, forget, NULL),
    TEST_WITH(marks, forget, NULL),
    TEST(blocks_are_recycled),
};
RUN_TESTS(tests)
