/* SPDX-License-Identifier: Apache-2.0
 *
 * The state: what must outlive a reboot, in a durable environment below the state directory. The
 * keeper alone opens it, first of all environments, and commits to it before the map. Records are
 * text with a version, never structs. Tables:
 *
 *	meta		format, schema, readable (the lowest schema whose binaries can read it)
 *	verdicts	what an operator or a console decided about an endpoint
 *
 * Objects of console and admin API, history, key hashes come here as tables of their own.
 */
#ifndef GW_STATE_H
#define GW_STATE_H

#include "shm/arena.h"
#include "shm/base/base.h"
#include "shm/base/str.h"

#define STATE_AUTHOR_MAX 128

struct state;

/* Opens <state_dir>/state, or starts one. 1; 0 when the one found is damaged or not this program's:
 * it was renamed, a new one is open, *error_r says so for the log; -1 when neither can be done. A
 * child looks at the file first, so that a page gone bad cannot take the caller down. map_size: at
 * most that many octets; may grow from one start to the next. Waits for the disk. */
int state_open(
    const char *state_dir, size_t map_size, struct state **s_r, const char **error_r) NODISCARD;
void state_close(struct state **s);

struct state_verdict {
	enum endpoint_verdict verdict;
	uint32_t weight;     /* WEIGHT_UNSET when it says nothing of weight */
	uint64_t expires_us; /* wall; 0 = never */
	uint64_t set_us;     /* wall */
	struct str
	    author; /* cut at STATE_AUTHOR_MAX; control octets become '?' when it is stored */
};

/* By identity: the service's id and the endpoint's address text; rows of the arena come and go.
 * Each is one commit: on disk when it returns 1. */
int state_verdict_put(struct state *s, struct str service, struct str endpoint,
    const struct state_verdict *v, const char **error_r) NODISCARD;
/* 1 deleted, 0 there was none, -1. */
int state_verdict_del(
    struct state *s, struct str service, struct str endpoint, const char **error_r) NODISCARD;
/* Calls fn for each in key order; slices are good during the call. fn must not change the state. */
typedef void state_verdict_f(
    void *arg, struct str service, struct str endpoint, const struct state_verdict *v);
int state_verdict_each(
    struct state *s, state_verdict_f *fn, void *arg, const char **error_r) NODISCARD;

#endif
