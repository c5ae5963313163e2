/* SPDX-License-Identifier: Apache-2.0
 *
 * History: one record for each generation that was made (conf/remember.h has its form), the last
 * limits.history of them. Written by the keeper's turn, read for questions and rollbacks.
 */
#ifndef GW_HISTORY_H
#define GW_HISTORY_H

#include "conf/apply.h"
#include "conf/remember.h"

struct history_head {
	uint64_t generation;
	struct str source, author, comment;
	uint32_t changed;
};

/* What a transaction changes, captured: to be called before its commit. remembered: not NULL where
 * a journal is replayed; what was before then comes from its objects. NULL: too many, or not
 * captured. */
json_t *history_changes(const struct apply *a, struct state *remembered);
/* One entry; borrows before and after (NULL: it was, is not there). */
void history_change_add(json_t *changes, enum conf_kind kind, struct str id, struct str source,
    struct str override, json_t *before, json_t *after);
/* A new record, noted. Takes changes over (NULL: they cannot be taken back). */
void history_note(struct remember *r, const struct history_head *h, json_t *changes);
/* Notes the deletion of all but the last `keep`. */
void history_trim(struct state *s, struct remember *r, uint64_t keep);

/* Takes the changes out of the records noted. */
void history_lean(struct remember *r);

/* What differs between the configurations as of generations a and b: [{kind, id, source, before,
 * after}], a new reference. now: the generation in force. NULL with *status_r (404, 409, 410) and
 * words. */
json_t *history_net(struct state *s, uint64_t now, uint64_t a, uint64_t b, uint32_t *status_r,
    const char **error_r);
/* Records without their changes, newest first: at most n, before that generation (0: from the end).
 * A new reference. */
json_t *history_list(struct state *s, uint64_t n, uint64_t before);

#endif
