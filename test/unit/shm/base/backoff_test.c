/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"
#include "shm/base/backoff.h"
#include "shm/base/rnd.h"

static void
first_failure_costs_nothing(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 100, 1000);
	backoff_started(&b, 5000);
	assert_int_equal(backoff_failed(&b, 5001), 0);
}

static void
doubles_up_to_the_most(void **state)
{
	static const uint64_t want[] = {0, 100, 200, 400, 800, 1000, 1000, 1000};
	struct backoff b;

	(void)state;
	backoff_init(&b, 100, 1000);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		backoff_started(&b, 5000 + i);
		assert_int_equal(backoff_failed(&b, 5000 + i), want[i]);
	}
}

static void
a_long_life_forgives(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 100, 1000);
	for (unsigned i = 0; i < 5; i++) {
		backoff_started(&b, 10000);
		(void)backoff_failed(&b, 10000);
	}
	backoff_started(&b, 20000);
	assert_int_equal(backoff_failed(&b, 21000), 1000); /* as long as max: not yet */
	backoff_started(&b, 30000);
	assert_int_equal(backoff_failed(&b, 31001), 0);
	assert_int_equal(backoff_failed(&b, 39000), 100); /* nothing has lived since */
}

static void
odd_bounds_are_put_right(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 0, 0);
	(void)backoff_failed(&b, 1);
	assert_int_equal(backoff_failed(&b, 1), 1);
	backoff_init(&b, 500, 100);
	(void)backoff_failed(&b, 1);
	assert_int_equal(backoff_failed(&b, 1), 500);
}

static void
never_overflows(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 1, UINT64_MAX);
	for (unsigned i = 0; i < 200; i++)
		(void)backoff_failed(&b, 1);
	assert_true(backoff_failed(&b, 1) > 0);
}

static void
jitter_adds_up_to_a_fifth(void **state)
{
	struct backoff b;

	(void)state;
	rnd_init();
	backoff_init(&b, 1000, 1000);
	assert_int_equal(backoff_failed_jitter(&b, 1), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_in_range(backoff_failed_jitter(&b, 1), 1000, 1200);
}

static const struct CMUnitTest tests[] = {
    TEST(first_failure_costs_nothing),
    TEST(doubles_up_to_the_most),
    TEST(a_long_life_forgives),
    TEST(odd_bounds_are_put_right),
    TEST(never_overflows),
    TEST(jitter_adds_up_to_a_fifth),
};
RUN_TESTS(tests)
