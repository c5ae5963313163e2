/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"

#include <time.h>

static void
ticks(void **state)
{
	uint64_t a, precise;

	(void)state;
	fake_clock_stop();
	clock_tick();
	a = clock_ns();
	assert_true(a > 0);
	assert_true(clock_ns() == a); /* cached */
	precise = clock_precise_ns();
	assert_true(precise >= a);
	clock_tick();
	assert_true(clock_ns() >= precise);
	assert_int_equal(clock_ms(), clock_ns() / 1000000);
	assert_true(clock_wall_us() / 1000000 + 1 >= (uint64_t)time(NULL));
}

static void
faked(void **state)
{
	(void)state;
	clock_fake(5000000, 7000);
	clock_tick();
	assert_int_equal(clock_ns(), 5000000);
	assert_int_equal(clock_ms(), 5);
	assert_int_equal(clock_wall_us(), 7000);
	assert_int_equal(clock_precise_ns(), 5000000);
	fake_clock_at(0);
	fake_clock_advance(250);
	assert_int_equal(clock_ms(), 1250);
	fake_clock_stop();
	assert_true(clock_wall_us() > FAKE_WALL_US / 2);
}

static void
known_dates(void **state)
{
	char text[30];

	(void)state;
	clock_rfc3339(FAKE_WALL_US + 123999, text);
	assert_string_equal(text, "2026-11-21T02:00:00.123Z");
	clock_http_date(FAKE_WALL_US, text);
	assert_string_equal(text, "Sat, 21 Nov 2026 02:00:00 GMT");
	clock_http_date(784111777 * UINT64_C(1000000), text); /* RFC 9110 5.6.7 */
	assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	clock_rfc3339(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

/* Against the C library, over leap years and centuries. */
static void
all_dates(void **state)
{
	char ours[30], theirs[30];
	struct tm tm;

	(void)state;
	for (time_t t = 0; t < INT64_C(253402300800); t += 86400 * 17 + 3661) {
		gmtime_r(&t, &tm);
		clock_rfc3339((uint64_t)t * 1000000, ours);
		strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
		assert_string_equal(ours, theirs);
		clock_http_date((uint64_t)t * 1000000, ours);
		strftime(theirs, sizeof(theirs), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		assert_string_equal(ours, theirs);
	}
}

/* Made once a second, and never of the second before. */
static void
http_date_of_now(void **state)
{
	char out[30];

	(void)state;
	clock_fake(1, UINT64_C(1000000) * 1795219199 + 999999);
	clock_http_now(out);
	assert_string_equal(out, "Fri, 20 Nov 2026 23:59:59 GMT");
	clock_fake(1, UINT64_C(1000000) * 1795219200);
	clock_http_now(out);
	assert_string_equal(out, "Sat, 21 Nov 2026 00:00:00 GMT");
	clock_fake(0, 0);
}

static const struct CMUnitTest tests[] = {
    TEST(ticks),
    TEST(faked),
    TEST(known_dates),
    TEST(all_dates),
    TEST(http_date_of_now),
};
RUN_TESTS(tests)
