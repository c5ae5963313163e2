/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines of gRPC calls (PROTOCOL-HTTP2, R-5.1): what grpc-timeout may be, and what is passed on
 * of it.
 */
#include "shm/base/clock.h"
#include "shm/base/num.h"
#include "test/unit/harness.h"
#include "worker/grpc.h"
#include "worker/plan.h"

static struct req r;

static void
begin(const char *timeout)
{
	memset(&r, 0, sizeof(r));
	ws_init(&r.ws, NULL, 0);
	head_init(&r.in, &r.ws, true);
	r.t.start = clock_ns();
	if (timeout)
		assert_true(head_add(&r.in, STR("grpc-timeout"), str_of(timeout)));
}

static char
last_of(struct str s)
{
	return s.p != NULL && s.n > 0 ? s.p[s.n - 1] : '\0';
}

static struct str
forwarded(void)
{
	const struct hdr *f;

	grpc_forward(&r);
	f = head_find(&r.in, STR("grpc-timeout"));
	if (f)
		assert_null(head_next(&r.in, f));
	return f ? f->value : STR_NONE;
}

/* Of eight digits none overflows, in any unit; less than a millisecond is one. */
static void
units_are_what_they_say(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} rows[] = {
	    {"1H", 3600000},
	    {"99999999H", UINT64_C(359999996400000)},
	    {"5124095H", UINT64_C(18446742000000)}, /* 2^64 nanoseconds are 5124095.6 hours */
	    {"5124096H", UINT64_C(18446745600000)},
	    {"99999999M", UINT64_C(5999999940000)},
	    {"99999999S", UINT64_C(99999999000)},
	    {"99999999m", 99999999},
	    {"99999999u", 99999},
	    {"99999999n", 99},
	    {"1500u", 1},
	    {"999u", 1},
	    {"1n", 1},
	    {"0S", 1},
	    {"00000010m", 10},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(rows[i].text);
		assert_true(grpc_begin(&r));
		assert_int_equal(r.deadline_ms - r.t.start / 1000000, rows[i].ms);
		ws_free(&r.ws);
	}
}

static void
what_is_no_time_is_refused(void **state)
{
	static const char *const rows[] = {"", "S", "1", "1s", "1h", "100000000S", "-1S", "+1S",
	    "1.5S", "1 S", " 1S", "1SS", "0x1S"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(rows[i]);
		assert_false(grpc_begin(&r));
		assert_int_equal(r.deadline_ms, 0);
		ws_free(&r.ws);
	}
	begin(NULL);
	assert_true(grpc_begin(&r));
	assert_int_equal(r.deadline_ms, 0);
	assert_int_equal(forwarded().n, 0);
	ws_free(&r.ws);
}

/* As finely as eight digits allow, and never more of them. The clock may tick meanwhile. */
static void
what_is_passed_on_has_eight_digits(void **state)
{
	static const struct {
		const char *text;
		char unit;
		uint64_t most, least; /* of the number */
	} rows[] = {
	    {"10S", 'm', 10000, 9000},
	    {"99999999m", 'm', 99999999, 99990000},
	    {"100000S", 'S', 100000, 99990}, /* a digit more in milliseconds */
	    {"99999999S", 'S', 99999999, 99999980},
	    {"1666667M", 'M', 1666667, 1666665}, /* 100000020 seconds */
	    {"99999999M", 'M', 99999999, 99999990},
	    {"1666667H", 'H', 1666667, 1666665},
	    {"99999999H", 'H', 99999999, 99999990},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str s;
		const char *error;
		uint64_t v;

		begin(rows[i].text);
		assert_true(grpc_begin(&r));
		s = forwarded();
		assert_in_range(s.n, 2, 9);
		assert_int_equal(last_of(s), rows[i].unit);
		assert_int_equal(num_u64(str_sub(s, 0, s.n - 1), 99999999, &v, &error), 1);
		assert_in_range(v, rows[i].least, rows[i].most);
		ws_free(&r.ws);
	}
}

/* A deadline that has passed is one millisecond: none would be no limit. The plan's may be nearer.
 */
static void
what_is_left_is_passed_on(void **state)
{
	struct plan plan = {.total_ms = 5000};
	uint64_t v;
	const char *error;
	struct str s;

	(void)state;
	begin("1m");
	r.t.start -= UINT64_C(1000000000);
	assert_true(grpc_begin(&r));
	assert_true(str_eq(forwarded(), STR("1m")));
	ws_free(&r.ws);
	begin("99999999H");
	assert_true(grpc_begin(&r));
	r.plan = &plan;
	s = forwarded();
	assert_int_equal(last_of(s), 'm');
	assert_int_equal(num_u64(str_sub(s, 0, s.n - 1), 99999999, &v, &error), 1);
	assert_in_range(v, 4000, 5000);
	ws_free(&r.ws);
}

static const struct CMUnitTest tests[] = {
    TEST(units_are_what_they_say),
    TEST(what_is_no_time_is_refused),
    TEST(what_is_passed_on_has_eight_digits),
    TEST(what_is_left_is_passed_on),
};
RUN_TESTS(tests)
