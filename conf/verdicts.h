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

/* Of the console: a verdict on whatever endpoints a service will have; one on an endpoint by name
 * comes before it. */
#define VERDICTS_ALL STR("*")

/* 1 and what was decided, 0 nothing. Without author. */
int verdicts_get(const struct verdicts *v, struct str service, struct str endpoint,
    struct state_verdict *v_r) NODISCARD;
/* Into the state; neither verdict nor weight: it is taken back. 1; -1 with *error_r: as it was. */
int verdicts_put(struct verdicts *v, struct str service, struct str endpoint,
    const struct state_verdict *now, const char **error_r) NODISCARD;

/* Into a row's atomics: what was decided about that endpoint, or nothing. */
void verdicts_row(
    const struct verdicts *v, struct str service, struct str endpoint, struct endpoint_row *row);
/* A row was taken for this endpoint: the same, but nothing leaves it as it is. */
void verdicts_apply(
    const struct verdicts *v, struct str service, struct str endpoint, struct endpoint_row *row);

/* Forgets what has expired; calls fn for each, before. Returns the next expiry in wall
 * milliseconds, 0 = none. */
typedef void verdicts_gone_f(void *arg, struct str service, struct str endpoint);
uint64_t verdicts_expire(struct verdicts *v, uint64_t wall_us, verdicts_gone_f *fn, void *arg);

/* Those of one service; fn may take back the one it is given. */
void verdicts_each(struct verdicts *v, struct str service, verdicts_gone_f *fn, void *arg);

#endif
