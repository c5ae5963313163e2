/* SPDX-License-Identifier: Apache-2.0
 *
 * Just enough of libconfig's lexer to tell numbers from names, strings and comments, and to see
 * which brackets are open.
 */
#include "conf/read_scan.h"

#include "shm/base/bug.h"

#define SCAN_DEPTH 32 /* brackets; deeper texts are not cut */

/* Where in the brackets it is. */
struct shape {
	char close[SCAN_DEPTH]; /* what each open one is closed by */
	unsigned depth;
	uint32_t lists;    /* of the top, begun so far */
	uint32_t commas;   /* between members, since the last cut or the list's begin */
	const char *from;  /* that place */
	const char *comma; /* the last one, while nothing but a member's begin is behind it */
	bool member;       /* something is behind the last comma or bracket that opened */
	bool cut;          /* this list was cut */
	bool odd;          /* brackets do not fit, or are too many */
};

struct scan {
	const char *text, *p, *end;
	const char *name;
	struct conf_check *c;
	struct scan_cuts *cuts;
	struct shape shape;
	uint32_t errors;
	bool includes;
};

/* Lines are counted for those who are told of one. */
static uint32_t
line_of(const struct scan *s)
{
	uint32_t line = 1;

	for (const char *p = s->text; p < s->p; p++)
		line += *p == '\n';
	return line;
}

static void
complain(struct scan *s, struct str what, const char *why)
{
	struct conf_place at = {str_of(s->name), line_of(s), STR_NONE};

	s->errors++;
	if (s->errors <= CHECK_LINES)
		check_error_at(s->c, &at, "%.*s: %s", STR_ARG(what), why);
	else
		s->c->errors++; /* counted, not kept */
}

/* What an octet may begin, so that most are passed over by one look. */
enum {
	WORD = 1,
	DIGIT = 2,
	STRING = 4,
	COMMENT = 8,
	INCLUDE = 16,
	NOTHING = 32,
	SHAPE = 64,
	POINT = 128 /* alone it is a number, too */
};

static const uint8_t begins[256] = {
    ['a' ... 'z'] = WORD,
    ['A' ... 'Z'] = WORD,
    ['_'] = WORD,
    ['*'] = WORD,
    ['0' ... '9'] = DIGIT,
    ['"'] = STRING,
    ['#'] = COMMENT,
    ['/'] = COMMENT,
    ['@'] = INCLUDE,
    ['('] = SHAPE,
    [')'] = SHAPE,
    ['['] = SHAPE,
    [']'] = SHAPE,
    ['{'] = SHAPE,
    ['}'] = SHAPE,
    [','] = SHAPE,
    ['.'] = POINT,
    ['\0'] = NOTHING,
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_name(char c)
{
	return (begins[(uint8_t)c] & (WORD | DIGIT)) != 0 || c == '-';
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
		;
	s->p += MIN(2, s->end - s->p);
}

static void
skip_string(struct scan *s)
{
	for (s->p++; s->p < s->end && *s->p != '"'; s->p++) {
		if (*s->p != '\\' || s->end - s->p < 2)
			continue;
		if (s->end - s->p >= 4 && memcmp(s->p, "\\x00", 4) == 0)
			complain(s, str_n(s->p, 4), "a string cannot hold a NUL");
		s->p++;
	}
	if (s->p < s->end)
		s->p++;
}

static void
skip_word(struct scan *s)
{
	while (s->p < s->end && is_name(*s->p))
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
scan_comment(struct scan *s)
{
	if (*s->p == '#' || at_two(s, '/', '/'))
		skip_to_eol(s);
	else if (at_two(s, '/', '*'))
		skip_comment(s);
	else
		s->p++;
}

/* --- brackets --------------------------------------------------------------------------------- */

static bool
in_list_of_top(const struct shape *sh)
{
	return sh->depth == 1 && sh->close[0] == ')';
}

/* Later libconfigs take a comma behind the last member: it is none. */
static void
cut_ends(struct scan *s, const char *at, uint32_t members)
{
	struct scan_cut *last = &s->cuts->v[s->cuts->n - 1];

	last->to = (size_t)(at - s->text);
	last->members = members;
}

/* In front of the member that begins here: what is behind the comma can stand by itself. */
static void
cut_here(struct scan *s)
{
	struct scan_cuts *cuts = s->cuts;
	struct shape *sh = &s->shape;

	if (sh->cut)
		cut_ends(s, sh->comma, sh->commas);
	if (cuts->n == cuts->cap) {
		cuts->cap = MAX(2 * cuts->cap, 64u);
		cuts->v = xrealloc(cuts->v, cuts->cap * sizeof(*cuts->v));
	}
	cuts->v[cuts->n++] =
	    (struct scan_cut){.from = (size_t)(sh->comma - s->text), .list = sh->lists - 1};
	sh->cut = true;
	sh->commas = 0;
	sh->from = sh->comma;
}

static void
bracket_opens(struct scan *s, char close)
{
	struct shape *sh = &s->shape;

	if (sh->depth == SCAN_DEPTH) {
		sh->odd = true;
		return;
	}
	if (close == '}' && in_list_of_top(sh) && sh->comma != NULL && s->cuts->aim > 0 &&
	    (size_t)(s->p - sh->from) >= s->cuts->aim)
		cut_here(s);
	if (sh->depth == 0 && close == ')') {
		sh->lists++;
		sh->commas = 0;
		sh->from = s->p;
		sh->cut = false;
	}
	sh->close[sh->depth++] = close;
	sh->comma = NULL;
	sh->member = false;
}

static void
bracket_closes(struct scan *s)
{
	struct shape *sh = &s->shape;

	if (sh->depth == 0 || sh->close[sh->depth - 1] != *s->p) {
		sh->odd = true;
		return;
	}
	if (in_list_of_top(sh) && sh->cut)
		cut_ends(s, s->p, sh->commas + sh->member);
	sh->depth--;
	sh->comma = NULL;
	sh->member = true;
}

static void
scan_shape(struct scan *s)
{
	switch (*s->p) {
	case '(':
		bracket_opens(s, ')');
		break;
	case '[':
		bracket_opens(s, ']');
		break;
	case '{':
		bracket_opens(s, '}');
		break;
	case ',':
		if (in_list_of_top(&s->shape)) {
			s->shape.comma = s->shape.member ? s->p : NULL;
			s->shape.member = false;
			s->shape.commas++;
		}
		break;
	default:
		bracket_closes(s);
	}
	s->p++;
}

/* --- all of it -------------------------------------------------------------------------------- */

static void
scan_one(struct scan *s)
{
	switch (begins[(uint8_t)*s->p]) {
	case WORD:
		s->shape.member = true;
		skip_word(s);
		return;
	case DIGIT:
		s->shape.member = true;
		scan_number(s);
		return;
	case STRING:
		s->shape.member = true;
		skip_string(s);
		return;
	case COMMENT:
		scan_comment(s);
		return;
	case INCLUDE:
		s->includes = true;
		s->p++;
		return;
	case SHAPE:
		scan_shape(s);
		return;
	case POINT:
		s->shape.member = true;
		s->p++;
		return;
	case NOTHING:
		complain(s, STR("NUL"), "not allowed in a configuration file");
		s->p++;
		return;
	default:
		s->p++;
	}
}

int
read_scan(struct str text, const char *name, struct scan_cuts *cuts, struct conf_check *c)
{
	struct scan s = {.text = text.p,
	    .p = text.p,
	    .end = text.p + text.n,
	    .name = name,
	    .c = c,
	    .cuts = cuts};

	while (s.p < s.end)
		scan_one(&s);
	/* libconfig's text ends at a NUL, wherever that stands. */
	if (s.includes || s.shape.odd || s.shape.depth > 0 || memchr(text.p, '\0', text.n) != NULL)
		cuts->n = 0;
	return s.errors == 0 ? 1 : -1;
}

void
scan_cuts_free(struct scan_cuts *cuts)
{
	free(cuts->v);
	*cuts = (struct scan_cuts){0};
}
