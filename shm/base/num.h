/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers, durations and sizes to and from text. Strict: the whole slice must be the number, no
 * sign unless allowed, no overflow. Return 1, or -1 with *error_r naming what is wrong.
 */
#ifndef GW_NUM_H
#define GW_NUM_H

#include "shm/base/base.h"
#include "shm/base/str.h"

/* decimal */
int num_u64(struct str s, uint64_t max, uint64_t *v_r, const char **error_r) NODISCARD;
int num_i64(struct str s, int64_t *v_r, const char **error_r) NODISCARD;
/* no prefix, at least one digit */
int num_hex(struct str s, uint64_t max, uint64_t *v_r) NODISCARD;
/* "250ms" "5s" "10m" "2h" "7d", "0"; unit needed */
int num_duration(struct str s, uint64_t *ms_r, const char **error_r) NODISCARD;
/* "512" "16k" "10m" "2g" (1024) */
int num_size(struct str s, uint64_t *bytes_r, const char **error_r) NODISCARD;
/* "12.5%" or "12.5", 0..100 */
int num_percent(struct str s, double *v_r, const char **error_r) NODISCARD;

/* Shortest text that parses back to the same value. `out` holds at least 32 bytes; returns its
 * length. */
size_t num_duration_text(uint64_t ms, char *out);
size_t num_size_text(uint64_t bytes, char *out);
size_t num_u64_text(uint64_t v, char *out); /* no terminating NUL */

#endif
