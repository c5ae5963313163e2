/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict number parsing for configuration, headers and admin calls, and the way back. Locale plays
 * no part: everything here is ASCII digits.
 */
#include "shm/base/num.h"

#include <limits.h>

struct unit {
	const char *name; /* lower case */
	uint64_t factor;
};

/* Largest first: the first that divides gives the shortest text. */
static const struct unit duration_units[] = {
    {"d", 86400000},
    {"h", 3600000},
    {"m", 60000},
    {"s", 1000},
    {"ms", 1},
};
static const struct unit size_units[] = {
    {"g", 1 << 30},
    {"m", 1 << 20},
    {"k", 1 << 10},
    {"", 1},
};

static int
fail(const char **error_r, const char *text)
{
	*error_r = text;
	return -1;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Leading digits of s into *v_r; how many there were, or -1 when they do not fit. */
static ssize_t
digits(struct str s, uint64_t *v_r)
{
	size_t i;

	*v_r = 0;
	for (i = 0; i < s.n && is_digit(s.p[i]); i++)
		if (__builtin_mul_overflow(*v_r, 10, v_r) ||
		    __builtin_add_overflow(*v_r, (uint64_t)(s.p[i] - '0'), v_r))
			return -1;
	return (ssize_t)i;
}

int
num_u64(struct str s, uint64_t max, uint64_t *v_r, const char **error_r)
{
	uint64_t v;
	ssize_t n = digits(s, &v);

	if (n == 0)
		return fail(error_r, s.n == 0 ? "empty, a number is needed" : "not a number");
	if (n > 0 && (size_t)n != s.n)
		return fail(error_r, "not a number");
	if (n < 0 || v > max)
		return fail(error_r, "number too large");
	*v_r = v;
	return 1;
}

int
num_i64(struct str s, int64_t *v_r, const char **error_r)
{
	bool minus = s.n > 0 && s.p[0] == '-';
	uint64_t v;

	if (num_u64(str_sub(s, minus, s.n), (uint64_t)INT64_MAX + minus, &v, error_r) < 0)
		return -1;
	*v_r = minus ? (int64_t)(0 - v) : (int64_t)v;
	return 1;
}

static int
hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
num_hex(struct str s, uint64_t max, uint64_t *v_r)
{
	uint64_t v = 0;

	if (s.n == 0)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		int d = hex_digit(s.p[i]);

		if (d < 0 || v >> 60 != 0)
			return -1;
		v = v << 4 | (uint64_t)d;
	}
	if (v > max)
		return -1;
	*v_r = v;
	return 1;
}

static const struct unit *
unit_named(const struct unit *units, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_ieq(str_of(units[i].name), name))
			return &units[i];
	return NULL;
}

int
num_duration(struct str s, uint64_t *ms_r, const char **error_r)
{
	uint64_t v;
	ssize_t n = digits(s, &v);
	const struct unit *u;

	if (n == 0)
		return fail(error_r, "not a duration: digits and a unit are needed (\"5s\")");
	if (n < 0)
		return fail(error_r, "duration too large");
	if ((size_t)n == s.n && v == 0) {
		*ms_r = 0;
		return 1;
	}
	u = unit_named(duration_units, ARRAY_LEN(duration_units), str_sub(s, (size_t)n, s.n));
	if (u == NULL)
		return fail(error_r, "a duration needs one of the units ms, s, m, h, d");
	if (__builtin_mul_overflow(v, u->factor, &v))
		return fail(error_r, "duration too large");
	*ms_r = v;
	return 1;
}

int
num_size(struct str s, uint64_t *bytes_r, const char **error_r)
{
	uint64_t v;
	ssize_t n = digits(s, &v);
	const struct unit *u;

	if (n == 0)
		return fail(error_r, "not a size: digits are needed (\"16k\")");
	if (n < 0)
		return fail(error_r, "size too large");
	u = unit_named(size_units, ARRAY_LEN(size_units), str_sub(s, (size_t)n, s.n));
	if (u == NULL)
		return fail(error_r, "a size takes one of the units k, m, g or none");
	if (__builtin_mul_overflow(v, u->factor, &v))
		return fail(error_r, "size too large");
	*bytes_r = v;
	return 1;
}

/* ".5" and its like after the whole part; -1 when it is something else. */
static int
fraction(struct str s, double *v_r)
{
	double v = 0, scale = 1;

	if (s.n < 2 || s.n > 16 || s.p[0] != '.')
		return -1;
	for (size_t i = 1; i < s.n; i++) {
		if (!is_digit(s.p[i]))
			return -1;
		v = v * 10 + (s.p[i] - '0');
		scale *= 10;
	}
	*v_r = v / scale;
	return 1;
}

int
num_percent(struct str s, double *v_r, const char **error_r)
{
	struct str number = str_ends(s, STR("%")) ? str_sub(s, 0, s.n - 1) : s, rest;
	double part = 0;
	uint64_t whole;
	ssize_t n = digits(number, &whole);

	if (n == 0)
		return fail(error_r, "not a percentage (\"12.5%\")");
	if (n < 0 || whole > 100)
		return fail(error_r, "a percentage lies between 0 and 100");
	rest = str_sub(number, (size_t)n, number.n);
	if (rest.n > 0 && fraction(rest, &part) < 0)
		return fail(error_r, "not a percentage (\"12.5%\")");
	if (whole == 100 && part > 0)
		return fail(error_r, "a percentage lies between 0 and 100");
	*v_r = (double)whole + part;
	return 1;
}

static size_t
unit_text(uint64_t v, const struct unit *u, char *out)
{
	size_t n = 0, len = strlen(u->name);

	while (v % u->factor != 0)
		u++, len = strlen(u->name);
	n = num_u64_text(v / u->factor, out);
	memcpy(out + n, u->name, len + 1);
	return n + len;
}

size_t
num_duration_text(uint64_t ms, char *out)
{
	if (ms == 0) {
		memcpy(out, "0", 2);
		return 1;
	}
	return unit_text(ms, duration_units, out);
}

size_t
num_size_text(uint64_t bytes, char *out)
{
	if (bytes == 0) {
		memcpy(out, "0", 2);
		return 1;
	}
	return unit_text(bytes, size_units, out);
}

/* The two digits of each number below a hundred. */
static const char pairs[] = "0001020304050607080910111213141516171819"
			    "2021222324252627282930313233343536373839"
			    "4041424344454647484950515253545556575859"
			    "6061626364656667686970717273747576777879"
			    "8081828384858687888990919293949596979899";

#define TENS(n) 1##n, 10##n, 100##n, 1000##n

size_t
num_u64_text(uint64_t v, char *out)
{
	static const uint64_t tens[] = {
	    10, 100, 1000, TENS(0000), TENS(00000000), TENS(000000000000), TENS(0000000000000000u)};
	size_t n = 1, i;

	if (v < 10) {
		out[0] = (char)('0' + v);
		return 1;
	}
	while (n <= ARRAY_LEN(tens) && v >= tens[n - 1])
		n++;
	for (i = n; i > 1; v /= 100)
		memcpy(out + (i -= 2), pairs + 2 * (v % 100), 2);
	if (i > 0)
		out[0] = (char)('0' + v);
	return n;
}
