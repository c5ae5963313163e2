/* SPDX-License-Identifier: Apache-2.0
 *
 * PCRE2 behind a small door. UTF off, JIT where the platform allows it, match and depth limits
 * always set, so that no pattern can hold a worker.
 */
#ifndef GW_REGEX_H
#define GW_REGEX_H

#include "shm/base/base.h"
#include "shm/base/str.h"

struct regex;

#define REGEX_GROUPS 16 /* captures kept, group 0 included */

/* "$" is the very end of the subject. NULL with *error_r ("at offset 7: missing closing
 * parenthesis") when the pattern is bad. */
struct regex *regex_new(struct str pattern, const char **error_r) NODISCARD;
void regex_free(struct regex **r);

/* 1 match, 0 none, -1 a limit was hit (counts as no match; the caller counts it). groups may be
 * NULL. */
int regex_match(const struct regex *r, struct str subject, struct str groups[REGEX_GROUPS]);

/* Named groups: calls fn for each, with its number. */
void regex_names(
    const struct regex *r, void (*fn)(void *arg, struct str name, unsigned group), void *arg);

/* The literal octets every match must begin with ("^/a/b\.x/[0-9]" gives "/a/b.x/"), or empty when
 * unanchored. */
struct str regex_prefix(struct str pattern, char *out, size_t cap);

#endif
