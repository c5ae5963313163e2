/* SPDX-License-Identifier: Apache-2.0
 *
 * Just enough of libconfig's lexer to tell numbers from names, strings and comments.
 */
#include "conf/read_scan.h"

struct scan {
	const char *text, *p, *end;
	uint32_t line;
	const char *name;
	struct conf_check *c;
	uint32_t errors;
};

static void
complain(struct scan *s, struct str what, const char *why)
{
	struct conf_place at = {str_of(s->name), s->line, STR_NONE};

	check_error_at(s->c, &at, "%.*s: %s", STR_ARG(what), why);
	s->errors++;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
	       c == '-' || c == '*';
}

static bool
at_two(const struct scan *s, char a, char b)
{
	return s->end - s->p >= 2 && s->p[0] == a && s->p[1] == b;
}

static void
skip_to_eol(struct scan *s)
{
	const char *eol = memchr(s->p, '\n', (size_t)(s->end - s->p));

	s->p = eol != NULL ? eol : s->end;
}

static void
skip_comment(struct scan *s)
{
	for (s->p += 2; s->p < s->end && !at_two(s, '*', '/'); s->p++)
		s->line += *s->p == '\n';
	s->p += MIN(2, s->end - s->p);
}

static void
skip_string(struct scan *s)
{
	for (s->p++; s->p < s->end && *s->p != '"'; s->p++) {
		s->line += *s->p == '\n';
		if (*s->p != '\\' || s->end - s->p < 2)
			continue;
		if (s->end - s->p >= 4 && memcmp(s->p, "\\x00", 4) == 0)
			complain(s, str_n(s->p, 4), "a string cannot hold a NUL");
		s->p++;
		s->line += *s->p == '\n';
	}
	if (s->p < s->end)
		s->p++;
}

/* Decimal or 0x: does the value fit the bits that libconfig gives it? */
static bool
fits(struct str digits, bool hex, bool wide, bool minus)
{
	uint64_t v = 0, max = (wide ? (uint64_t)INT64_MAX : INT32_MAX) + minus;

	for (size_t i = 0; i < digits.n; i++) {
		char c = digits.p[i];
		unsigned d = is_digit(c) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);

		if (v > (max - d) / (hex ? 16 : 10))
			return false;
		v = v * (hex ? 16 : 10) + d;
	}
	return true;
}

static size_t
digits_at(const struct scan *s, bool hex)
{
	size_t n = 0;

	while (s->p + n < s->end &&
	       (is_digit(s->p[n]) || (hex && (s->p[n] | 0x20) >= 'a' && (s->p[n] | 0x20) <= 'f')))
		n++;
	return n;
}

static void
scan_number(struct scan *s)
{
	const char *start = s->p;
	bool minus = start > s->text && start[-1] == '-';
	bool hex = s->p[0] == '0' && s->end - s->p > 2 && (s->p[1] | 0x20) == 'x', wide;
	struct str digits;

	s->p += hex ? 2 : 0;
	digits = str_n(s->p, digits_at(s, hex));
	s->p += digits.n;
	wide = s->p < s->end && *s->p == 'L';
	while (s->p < s->end && *s->p == 'L')
		s->p++;
	if (s->p < s->end && (*s->p == '.' || (!hex && (*s->p | 0x20) == 'e'))) {
		while (s->p < s->end && (is_name(*s->p) || *s->p == '.' || *s->p == '+'))
			s->p++; /* a float */
		return;
	}
	if (!fits(digits, hex, wide, minus))
		complain(s, str_n(start, (size_t)(s->p - start)),
		    wide
			? "does not fit 64 bits"
			: "does not fit 32 bits; larger numbers are written with an L behind them");
}

static void
scan_one(struct scan *s)
{
	if (*s->p == '"') {
		skip_string(s);
	} else if (*s->p == '#' || at_two(s, '/', '/')) {
		skip_to_eol(s);
	} else if (at_two(s, '/', '*')) {
		skip_comment(s);
	} else if (is_digit(*s->p)) {
		scan_number(s);
	} else if (is_name(*s->p) && *s->p != '-') {
		while (s->p < s->end && is_name(*s->p))
			s->p++;
	} else {
		if (*s->p == '\0')
			complain(s, STR("NUL"), "not allowed in a configuration file");
		s->line += *s->p == '\n';
		s->p++;
	}
}

int
read_scan(struct str text, const char *name, struct conf_check *c)
{
	struct scan s = {text.p, text.p, text.p + text.n, 1, name, c, 0};

	while (s.p < s.end)
		scan_one(&s);
	return s.errors == 0 ? 1 : -1;
}
