/* SPDX-License-Identifier: Apache-2.0
 *
 * What every unit test includes first: CMocka, a main with options, and the fake clock.
 *
 *	#include "test/unit/harness.h"
 *	#include "shm/base/num.h"
 *
 *	static void
 *	duration_takes_units(void **state)
 *	{
 *		(void)state;
 *		assert_int_equal(...);
 *	}
 *
 *	static const struct CMUnitTest tests[] = {
 *		TEST(duration_takes_units),
 *		TEST_WITH(needs_a_map, map_setup, map_teardown),
 *	};
 *	RUN_TESTS(tests)
 *
 * The program takes -l (list the tests) and -t PATTERN (run those that match; * and ? as in a
 *shell). Tests that fork must leave the child by _exit.
 */
#ifndef GW_HARNESS_H
#define GW_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "shm/base/base.h"
#include "shm/base/clock.h"

#define TEST(f)                       cmocka_unit_test(f)
#define TEST_WITH(f, setup, teardown) cmocka_unit_test_setup_teardown(f, setup, teardown)

#define RUN_TESTS(tests) RUN_TESTS_WITH(tests, NULL, NULL)
#define RUN_TESTS_WITH(tests, setup, teardown)                                                     \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return harness_run(argc, argv, tests, ARRAY_LEN(tests), setup, teardown);          \
	}

/* Runs the group; the exit code is the number of failed tests (0 is good). */
static inline int
harness_run(int argc, char **argv, const struct CMUnitTest *tests, size_t n,
    CMFixtureFunction setup, CMFixtureFunction teardown)
{
	const char *name = strrchr(argv[0], '/');
	int c;

	while ((c = getopt(argc, argv, "lt:")) != -1) {
		if (c == 'l') {
			for (size_t i = 0; i < n; i++)
				puts(tests[i].name);
			return 0;
		}
		if (c != 't')
			return 64;
		cmocka_set_test_filter(optarg);
	}
	return _cmocka_run_group_tests(name ? name + 1 : argv[0], tests, n, setup, teardown);
}

/* The fake clock starts at one second and 2026-11-21T02:00:00Z; real time comes back
 * with fake_clock_stop. */
#define FAKE_WALL_US UINT64_C(1795226400000000)

UNUSED static void
fake_clock_at(uint64_t ms)
{
	clock_fake(UINT64_C(1000000) * (1000 + ms), FAKE_WALL_US + ms * 1000);
}

UNUSED static void
fake_clock_advance(uint64_t ms)
{
	clock_fake(clock_ns() + ms * UINT64_C(1000000), clock_wall_us() + ms * 1000);
}

UNUSED static void
fake_clock_stop(void)
{
	clock_fake(0, 0);
}

#endif
