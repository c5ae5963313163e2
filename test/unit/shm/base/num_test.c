/* SPDX-License-Identifier: Apache-2.0
 *
 * Durations and sizes with units as the configuration takes them (R-8.1).
 */
#include "test/unit/harness.h"
#include "shm/base/num.h"

static const char *error;

static void
decimal(void **state)
{
	uint64_t v = 77;

	(void)state;
	assert_int_equal(num_u64(STR("0"), 10, &v, &error), 1);
	assert_int_equal(v, 0);
	assert_int_equal(num_u64(STR("007"), 10, &v, &error), 1);
	assert_int_equal(v, 7);
	assert_int_equal(num_u64(STR("18446744073709551615"), UINT64_MAX, &v, &error), 1);
	assert_true(v == UINT64_MAX);
	v = 77;
	assert_int_equal(num_u64(STR("18446744073709551616"), UINT64_MAX, &v, &error), -1);
	assert_int_equal(num_u64(STR("99999999999999999999999"), UINT64_MAX, &v, &error), -1);
	assert_int_equal(num_u64(STR("11"), 10, &v, &error), -1);
	assert_string_equal(error, "number too large");
	assert_int_equal(num_u64(STR(""), 10, &v, &error), -1);
	assert_int_equal(num_u64(STR_NONE, 10, &v, &error), -1);
	assert_string_equal(error, "empty, a number is needed");
	assert_int_equal(num_u64(STR("+1"), 10, &v, &error), -1);
	assert_int_equal(num_u64(STR("-1"), 10, &v, &error), -1);
	assert_int_equal(num_u64(STR(" 1"), 10, &v, &error), -1);
	assert_int_equal(num_u64(STR("1 "), 10, &v, &error), -1);
	assert_int_equal(num_u64(STR("1\0"), 10, &v, &error), -1);
	assert_int_equal(num_u64(STR("0x1"), 10, &v, &error), -1);
	assert_string_equal(error, "not a number");
	assert_int_equal(v, 77); /* untouched by failures */
}

static void
with_sign(void **state)
{
	int64_t v = 5;

	(void)state;
	assert_int_equal(num_i64(STR("-9223372036854775808"), &v, &error), 1);
	assert_true(v == INT64_MIN);
	assert_int_equal(num_i64(STR("9223372036854775807"), &v, &error), 1);
	assert_true(v == INT64_MAX);
	assert_int_equal(num_i64(STR("-0"), &v, &error), 1);
	assert_int_equal(v, 0);
	assert_int_equal(num_i64(STR("9223372036854775808"), &v, &error), -1);
	assert_int_equal(num_i64(STR("-9223372036854775809"), &v, &error), -1);
	assert_int_equal(num_i64(STR("-"), &v, &error), -1);
	assert_int_equal(num_i64(STR("--1"), &v, &error), -1);
	assert_int_equal(num_i64(STR_NONE, &v, &error), -1);
}

static void
hexadecimal(void **state)
{
	uint64_t v = 5;

	(void)state;
	assert_int_equal(num_hex(STR("fF"), 255, &v), 1);
	assert_int_equal(v, 255);
	assert_int_equal(num_hex(STR("ffffffffffffffff"), UINT64_MAX, &v), 1);
	assert_true(v == UINT64_MAX);
	assert_int_equal(num_hex(STR("0000000000000000000001"), UINT64_MAX, &v), 1);
	assert_int_equal(v, 1);
	assert_int_equal(num_hex(STR("10000000000000000"), UINT64_MAX, &v), -1);
	assert_int_equal(num_hex(STR("100"), 255, &v), -1);
	assert_int_equal(num_hex(STR(""), 255, &v), -1);
	assert_int_equal(num_hex(STR("0x1"), 255, &v), -1);
	assert_int_equal(num_hex(STR("g"), 255, &v), -1);
	assert_int_equal(num_hex(STR("@"), 255, &v), -1);
	assert_int_equal(num_hex(STR("\x10"), 255, &v), -1); /* folds to '0' by the case bit */
}

struct good {
	const char *text;
	uint64_t v;
	const char *back; /* shortest text; NULL when it is `text` */
};

static const struct good durations[] = {
    {"0", 0, NULL},
    {"0s", 0, "0"},
    {"250ms", 250, NULL},
    {"5s", 5000, NULL},
    {"10m", 600000, NULL},
    {"2h", 7200000, NULL},
    {"7d", 604800000, NULL},
    {"1500ms", 1500, NULL},
    {"60s", 60000, "1m"},
    {"90s", 90000, NULL},
    {"24H", 86400000, "1d"},
    {"18446744073709551615ms", UINT64_MAX, NULL},
};

static const char *const bad_durations[] = {"", "5", "s", "5 s", "5ss", "-5s", "1.5s", "5w", "5s ",
    "1m30s", "18446744073709551616ms", "213503982335d", "18446744073709551615d", "00"};

static void
duration_units(void **state)
{
	char text[32];
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		const struct good *g = &durations[i];
		const char *back = g->back == NULL ? g->text : g->back;

		assert_int_equal(num_duration(str_of(g->text), &v, &error), 1);
		assert_true(v == g->v);
		assert_int_equal(num_duration_text(v, text), strlen(back));
		assert_string_equal(text, back);
	}
	v = 3;
	for (size_t i = 0; i + 1 < ARRAY_LEN(bad_durations); i++) {
		error = NULL;
		assert_int_equal(num_duration(str_of(bad_durations[i]), &v, &error), -1);
		assert_non_null(error);
	}
	assert_int_equal(v, 3);
	assert_int_equal(num_duration(STR("00"), &v, &error), 1); /* zero needs no unit */
}

static const struct good sizes[] = {
    {"0", 0, NULL},
    {"512", 512, NULL},
    {"16k", 16384, NULL},
    {"10m", 10485760, NULL},
    {"2G", UINT64_C(2147483648), "2g"},
    {"1024", 1024, "1k"},
    {"1025", 1025, NULL},
    {"2048m", UINT64_C(2147483648), "2g"},
    {"18446744073709551615", UINT64_MAX, NULL},
};

static const char *const bad_sizes[] = {
    "", "k", "1kb", "1.5m", "-1", "1 k", "1t", "18446744073709551616", "17179869184g"};

static void
size_units(void **state)
{
	char text[32];
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		const struct good *g = &sizes[i];
		const char *back = g->back == NULL ? g->text : g->back;

		assert_int_equal(num_size(str_of(g->text), &v, &error), 1);
		assert_true(v == g->v);
		assert_int_equal(num_size_text(v, text), strlen(back));
		assert_string_equal(text, back);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_sizes); i++) {
		error = NULL;
		assert_int_equal(num_size(str_of(bad_sizes[i]), &v, &error), -1);
		assert_non_null(error);
	}
}

static void
percentages(void **state)
{
	static const char *const bad[] = {"", "%", "1%%", "101", "100.1%", "100.0000001", ".5",
	    "5.", "-1", "1e1", "1,5", "nan", "0.00000000000000000001", "99999999999999999999999"};
	double v;

	(void)state;
	assert_int_equal(num_percent(STR("12.5%"), &v, &error), 1);
	assert_true(v == 12.5);
	assert_int_equal(num_percent(STR("0"), &v, &error), 1);
	assert_true(v == 0);
	assert_int_equal(num_percent(STR("100.00%"), &v, &error), 1);
	assert_true(v == 100);
	assert_int_equal(num_percent(STR("0.001"), &v, &error), 1);
	assert_true(v > 0.00099 && v < 0.00101);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(num_percent(str_of(bad[i]), &v, &error), -1);
}

static void
text_as_printf_has_it(uint64_t v)
{
	char want[24], text[24];
	int n = snprintf(want, sizeof(want), "%llu", (unsigned long long)v);

	assert_int_equal(num_u64_text(v, text), n);
	assert_memory_equal(text, want, (size_t)n);
}

/* Around every power of ten. */
static void
numbers_of_every_length(void **state)
{
	uint64_t v = 1;

	(void)state;
	do {
		text_as_printf_has_it(v - 1);
		text_as_printf_has_it(v);
		text_as_printf_has_it(v / 9 * 7 + 3);
	} while (!__builtin_mul_overflow(v, 10, &v));
}

static void
number_text(void **state)
{
	char text[32];

	(void)state;
	memset(text, '#', sizeof(text));
	assert_int_equal(num_u64_text(UINT64_MAX, text), 20);
	assert_memory_equal(text, "18446744073709551615#", 21);
	assert_int_equal(num_u64_text(0, text), 1);
	assert_int_equal(text[0], '0');
}

static const struct CMUnitTest tests[] = {
    TEST(numbers_of_every_length),
    TEST(decimal),
    TEST(with_sign),
    TEST(hexadecimal),
    TEST(duration_units),
    TEST(size_units),
    TEST(percentages),
    TEST(number_text),
};
RUN_TESTS(tests)
