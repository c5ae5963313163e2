/* SPDX-License-Identifier: Apache-2.0
 *
 * Slices. Pure functions, used by everything; an empty slice may have a NULL pointer, so nothing
 * here hands a pointer to the C library before it has looked at the length.
 */
#include "shm/base/str.h"
#include "shm/base/bug.h"

#define DISTANCE_MAX 64

struct str
str_of(const char *z)
{
	return z == NULL ? STR_NONE : (struct str){z, strlen(z)};
}

static inline unsigned char
fold(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'A' && u <= 'Z' ? u | 0x20 : u;
}

static uint64_t
load8(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static bool
fold_eq(const char *a, const char *b, size_t n)
{
	size_t i = 0;

	for (; n - i >= 8; i += 8)
		if (str_fold8(load8(a + i)) != str_fold8(load8(b + i)))
			return false;
	if (i > 0) /* the rest as the end of eight that were mostly seen */
		return str_fold8(load8(a + n - 8)) == str_fold8(load8(b + n - 8));
	for (; i < n; i++)
		if (a[i] != b[i] && fold(a[i]) != fold(b[i]))
			return false;
	return true;
}

bool
str_ieq(struct str a, struct str b)
{
	return a.n == b.n && fold_eq(a.p, b.p, a.n);
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = MIN(a.n, b.n);
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_n(s.p, prefix.n), prefix);
}

bool
str_istarts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && fold_eq(s.p, prefix.p, prefix.n);
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_sub(s, s.n - suffix.n, s.n), suffix);
}

struct str
str_sub(struct str s, size_t from, size_t to)
{
	to = MIN(to, s.n);
	from = MIN(from, to);
	return s.p == NULL ? s : str_n(s.p + from, to - from);
}

ssize_t
str_chr(struct str s, char c)
{
	const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);

	return at == NULL ? -1 : at - s.p;
}

ssize_t
str_find(struct str s, struct str needle)
{
	const char *at;

	if (needle.n == 0)
		return 0;
	if (s.n < needle.n)
		return -1;
	at = memmem(s.p, s.n, needle.p, needle.n);
	return at == NULL ? -1 : at - s.p;
}

static inline bool
is_ows(char c)
{
	return c == ' ' || c == '\t';
}

struct str
str_trim(struct str s)
{
	while (s.n > 0 && is_ows(s.p[s.n - 1]))
		s.n--;
	while (s.n > 0 && is_ows(s.p[0]))
		s.p++, s.n--;
	return s;
}

int
str_cut(struct str *rest, char sep, struct str *piece_r)
{
	ssize_t at;

	if (rest->p == NULL)
		return 0;
	at = str_chr(*rest, sep);
	if (at < 0) {
		*piece_r = *rest;
		*rest = STR_NONE;
	} else {
		*piece_r = str_n(rest->p, (size_t)at);
		*rest = str_n(rest->p + at + 1, rest->n - (size_t)at - 1);
	}
	return 1;
}

/* Where the list member that starts at s ends: the first comma outside of a quoted string. */
static size_t
member_len(struct str s)
{
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			quoted = !quoted;
		else if (quoted && s.p[i] == '\\' && i + 1 < s.n)
			i++;
		else if (!quoted && s.p[i] == ',')
			return i;
	}
	return s.n;
}

int
str_list_next(struct str *rest, struct str *member_r)
{
	while (rest->n > 0) {
		size_t n = member_len(*rest);
		struct str member = str_trim(str_n(rest->p, n));

		*rest = str_sub(*rest, n + 1, rest->n);
		if (member.n > 0) {
			*member_r = member;
			return 1;
		}
	}
	return 0;
}

bool
str_list_has(struct str list, struct str token)
{
	struct str member;

	while (str_list_next(&list, &member) == 1)
		if (str_ieq(member, token))
			return true;
	return false;
}

char *
str_z(struct str s)
{
	char *z = xmalloc(s.n + 1);

	if (s.n > 0)
		memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	return z;
}

unsigned
str_distance(struct str a, struct str b)
{
	unsigned row[DISTANCE_MAX + 1], diagonal, above;

	a.n = MIN(a.n, (size_t)DISTANCE_MAX);
	b.n = MIN(b.n, (size_t)DISTANCE_MAX);
	for (unsigned j = 0; j <= b.n; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a.n; i++) {
		diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b.n; j++) {
			above = row[j];
			row[j] =
			    MIN(MIN(above, row[j - 1]) + 1, diagonal + (a.p[i - 1] != b.p[j - 1]));
			diagonal = above;
		}
	}
	return row[b.n];
}
