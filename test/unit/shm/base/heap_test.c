/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory asked for ahead of its use: a wish that changes nothing of what malloc gives.
 */
#include "test/unit/harness.h"

#include <malloc.h>
#include <stdlib.h>

#include "shm/base/heap.h"

#define PIECES 4096
#define PIECE  4000

static void
work(void)
{
	static char *v[PIECES];

	for (unsigned i = 0; i < PIECES; i++) {
		v[i] = malloc(PIECE);
		assert_non_null(v[i]);
		memset(v[i], (int)(i % 251), PIECE);
	}
	for (unsigned i = 0; i < PIECES; i++) {
		assert_int_equal((unsigned char)v[i][0], i % 251);
		assert_int_equal((unsigned char)v[i][PIECE - 1], i % 251);
		free(v[i]);
	}
}

static void
what_is_used_meanwhile_stays_as_it_is(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		heap_ahead(32u << 20);
		heap_ahead(32u << 20); /* one is enough */
		work();
		heap_settle();
		work();
	}
}

static void
unused_memory_is_given_back(void **state)
{
	(void)state;
	heap_ahead(32u << 20);
	work();
	heap_settle();
	assert_true(mallinfo2().keepcost < 4u << 20);
}

static void
little_is_left_to_malloc(void **state)
{
	size_t before = mallinfo2().arena;

	(void)state;
	heap_ahead(0);
	heap_ahead(4096);
	assert_int_equal(mallinfo2().arena, before);
	heap_settle();
}

static const struct CMUnitTest tests[] = {
    TEST(what_is_used_meanwhile_stays_as_it_is),
    TEST(unused_memory_is_given_back),
    TEST(little_is_left_to_malloc),
};
RUN_TESTS(tests)
