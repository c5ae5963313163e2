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
struct str str_n(const char *p, size_t n);
bool str_eq(struct str a, struct str b);  /* octets */
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

char *str_z(struct str s); /* malloc'ed, terminated copy; the caller frees */

/* Levenshtein distance, for "did you mean"; at most 64 octets of each are looked at. */
unsigned str_distance(struct str a, struct str b);

#endif
