/* SPDX-License-Identifier: Apache-2.0
 *
 * Slices: a pointer and a length, borrowed, not terminated. All text that comes from outside is one
 * of these.
 */
#ifndef GW_STR_H
#define GW_STR_H

#include "shm/base/base.h"

struct str {
	const char *p;
	size_t n;
};

#define STR(lit)   ((struct str){"" lit, sizeof(lit) - 1})
#define STR_NONE   ((struct str){NULL, 0})
#define STR_ARG(s) (int)(s).n, (s).p /* for "%.*s" */

struct str str_of(const char *z); /* NULL gives STR_NONE */
static inline struct str
str_n(const char *p, size_t n)
{
	return (struct str){p, n};
}
static inline bool
str_eq(struct str a, struct str b) /* octets */
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
bool str_ieq(struct str a, struct str b); /* ASCII case folded (RFC 9110 5.1) */
int str_cmp(struct str a, struct str b);  /* memcmp order, shorter first */
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_sub(struct str s, size_t from, size_t to); /* [from, to), clamped */
ssize_t str_chr(struct str s, char c);                    /* index or -1 */
ssize_t str_find(struct str s, struct str needle);        /* index or -1 */
struct str str_trim(struct str s);                        /* SP and HTAB at both ends (OWS) */

/* Cuts the next piece of *rest up to `sep`, which is dropped. Returns 1, or 0 when *rest was used
 * up (its pointer is NULL then). Empty pieces count: "a," has two, "" one, STR_NONE none. */
int str_cut(struct str *rest, char sep, struct str *piece_r);

/* Next member of an RFC 9110 5.6.1 list ("a, b;q=1 , c"): trimmed, empty members skipped, quoted
 * strings kept whole. */
int str_list_next(struct str *rest, struct str *member_r);

/* Is `token` (ASCII case folded) a member of the comma list? */
bool str_list_has(struct str list, struct str token);

/* Eight octets as one word, the ASCII capitals among them made small letters. */
static inline uint64_t
str_fold8(uint64_t w)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
	uint64_t low = w & ~tops; /* seven bits each: sums stay in their octet */
	uint64_t from_a = low + ones * (0x80 - 'A'), above_z = low + ones * (0x7f - 'Z');

	return w | ((from_a & ~above_z & ~w & tops) >> 2);
}

/* Copies s to p, where there is room for it; returns the place behind. Short ones, which most are,
 * as two words that may lie over each other, without a call. */
static inline char *
str_put(char *p, struct str s)
{
	if (s.n > 32) {
		memcpy(p, s.p, s.n);
	} else if (s.n >= 16) {
		memcpy(p, s.p, 16);
		memcpy(p + s.n - 16, s.p + s.n - 16, 16);
	} else if (s.n >= 8) {
		memcpy(p, s.p, 8);
		memcpy(p + s.n - 8, s.p + s.n - 8, 8);
	} else if (s.n >= 4) {
		memcpy(p, s.p, 4);
		memcpy(p + s.n - 4, s.p + s.n - 4, 4);
	} else if (s.n > 0) {
		p[0] = s.p[0];
		p[s.n / 2] = s.p[s.n / 2];
		p[s.n - 1] = s.p[s.n - 1];
	}
	return p + s.n;
}

char *str_z(struct str s); /* malloc'ed, terminated copy; the caller frees */

/* Levenshtein distance, for "did you mean"; at most 64 octets of each are looked at. */
unsigned str_distance(struct str a, struct str b);

#endif
