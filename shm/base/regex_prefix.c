/* SPDX-License-Identifier: Apache-2.0
 *
 * The literal beginning of a pattern, under which the route table files it. Wrong in one direction
 * only: it may find less than there is, never something a match need not begin with. Whatever could
 * hide an alternative at the top level from this small reader (comments, quoting, options, verbs)
 * yields nothing.
 */
#include "shm/base/regex.h"

static bool
one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* Past the class that opens at `at`; 0 when it does not end. */
static size_t
skip_class(struct str p, size_t at)
{
	size_t i = at + 1;

	if (i < p.n && p.p[i] == '^')
		i++;
	if (i < p.n && p.p[i] == ']')
		i++;
	for (; i < p.n; i++) {
		if (p.p[i] == '\\')
			i++;
		else if (p.p[i] == '[' && i + 1 < p.n && one_of(p.p[i + 1], ":.="))
			return 0; /* a named class: rare enough not to be read */
		else if (p.p[i] == ']')
			return i + 1;
	}
	return 0;
}

/* Can what opens at `at` be read as a plain group? */
static bool
group_is_plain(struct str p, size_t at)
{
	char c = at + 1 < p.n ? p.p[at + 1] : '\0';

	if (c == '*')
		return false;
	return c != '?' || (at + 2 < p.n && one_of(p.p[at + 2], ":P<'=!>|"));
}

/* True when it is certain that the pattern is one branch, all of it behind its beginning. */
static bool
single_branch(struct str p)
{
	size_t depth = 0;

	for (size_t i = 0; i < p.n; i++) {
		switch (p.p[i]) {
		case '\\':
			if (++i == p.n || one_of(p.p[i], "QEc"))
				return false;
			break;
		case '[':
			i = skip_class(p, i);
			if (i-- == 0)
				return false;
			break;
		case '(':
			if (!group_is_plain(p, i))
				return false;
			depth++;
			break;
		case ')':
			if (depth-- == 0)
				return false;
			break;
		case '|':
			if (depth == 0)
				return false;
			break;
		}
	}
	return depth == 0;
}

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* The literal at `at`: its octet and where the next begins; false when there is none. */
static bool
literal(struct str p, size_t at, char *c_r, size_t *next_r)
{
	char c = p.p[at];

	if (c == '\\') {
		if (++at == p.n || is_alnum(p.p[at]) || (p.p[at] & 0x80) != 0)
			return false;
		c = p.p[at];
	} else if (one_of(c, "^$.[|()?*+{")) {
		return false;
	}
	*c_r = c;
	*next_r = at + 1;
	return true;
}

struct str
regex_prefix(struct str pattern, char *out, size_t cap)
{
	size_t at = 1, n = 0, next;
	char c;

	if (!str_starts(pattern, STR("^")) || !single_branch(pattern))
		return str_n(out, 0);
	while (at < pattern.n && n < cap && literal(pattern, at, &c, &next)) {
		char after = next < pattern.n ? pattern.p[next] : '\0';

		if (one_of(after, "?*{"))
			break; /* may be absent */
		out[n++] = c;
		if (after == '+')
			break;
		at = next;
	}
	return str_n(out, n);
}
