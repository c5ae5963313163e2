/* SPDX-License-Identifier: Apache-2.0
 *
 * Verdicts about endpoints that came from outside (admin, console), by identity. The state has them
 * for good, this is the keeper's copy: rows that appear get theirs from here.
 */
#ifndef GW_VERDICTS_H
#define GW_VERDICTS_H

#include "shm/arena.h"
#include "shm/base/str.h"
#include "shm/state.h"

struct verdicts;

/* state may be NULL: then nothing outlives the process. Borrowed. Kept for
 * life. */
struct verdicts *verdicts_new(struct state *state);

/* What a command says: enum endpoint_verdict, VERDICT_WEIGHT with value. VERDICT_NONE takes verdict
 * and weight back. expires_ms: wall, 0 = never. Into the state and the row (may be NULL).
 * -1 with *error_r: not kept, the row is as it was. */
int verdicts_set(struct verdicts *v, struct str service, struct str endpoint, uint32_t what,
    uint32_t value, uint64_t expires_ms, struct endpoint_row *row, const char **error_r) NODISCARD;

/* A row was taken for this endpoint. */
void verdicts_apply(
    const struct verdicts *v, struct str service, struct str endpoint, struct endpoint_row *row);

/* Forgets what has expired; calls fn for each, before. Returns the next expiry in wall
 * milliseconds, 0 = none. */
typedef void verdicts_gone_f(void *arg, struct str service, struct str endpoint);
uint64_t verdicts_expire(struct verdicts *v, uint64_t wall_us, verdicts_gone_f *fn, void *arg);

/* Into the atomics; the one place that does. */
void verdict_to_row(struct endpoint_row *row, const struct state_verdict *v);

#endif
