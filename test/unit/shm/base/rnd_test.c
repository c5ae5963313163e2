/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"
#include "shm/base/rnd.h"

static void
bytes(void **state)
{
	unsigned char a[300] = {0}, b[300] = {0};

	(void)state;
	rnd_bytes(a, sizeof(a)); /* more than the kernel promises at once */
	rnd_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 280, b + 280, 20);
	rnd_bytes(a, 0);
}

static void
generator(void **state)
{
	uint64_t a = rnd_u64(), ones = 0, zeros = 0;

	(void)state;
	assert_true(a != rnd_u64());
	for (int i = 0; i < 1000; i++) {
		a = rnd_u64();
		ones |= a;
		zeros |= ~a;
	}
	assert_true(ones == UINT64_MAX && zeros == UINT64_MAX);
	rnd_init();
	assert_true(a != rnd_u64());
}

static void
ranges(void **state)
{
	unsigned seen[6] = {0};

	(void)state;
	for (int i = 0; i < 60000; i++) {
		double u = rnd_unit();

		seen[rnd_below(6)]++;
		assert_true(u >= 0 && u < 1);
	}
	for (int i = 0; i < 6; i++)
		assert_in_range(seen[i], 9000, 11000); /* over ten standard deviations */
	assert_int_equal(rnd_below(1), 0);
	assert_true(rnd_below(UINT64_MAX) < UINT64_MAX);
	assert_true(rnd_below(UINT64_C(1) << 63) < UINT64_C(1) << 63);
}

static const struct CMUnitTest tests[] = {
    TEST(bytes),
    TEST(generator),
    TEST(ranges),
};
RUN_TESTS(tests)
