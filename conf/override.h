/* SPDX-License-Identifier: Apache-2.0
 *
 * Overrides: values that stand before a source's own object, by the name of the rollback that made
 * them. The keeper's copy of the state's table, made at its start; apply asks here (override_says).
 * What a transaction changes is noted and becomes true with override_commit.
 */
#ifndef GW_OVERRIDE_H
#define GW_OVERRIDE_H

#include "conf/apply.h"
#include "shm/base/hash.h"
#include "shm/base/list.h"
#include "conf/remember.h"

struct override {
	struct hnode node;
	enum conf_kind kind;
	struct str id, name, source, author, since; /* in `text` */
	bool own; /* the source has such an object; digest is its */
	struct digest digest;
	json_t *value; /* NULL: the object is not there */
	bool ends;     /* in the transaction under way */
	struct list ending;
	char text[];
};

struct overrides;

struct overrides *overrides_new(void);
/* All records of the state; those it cannot read are logged and left alone. */
void overrides_load(struct overrides *o, struct state *s);
const struct override *override_find(const struct overrides *o, enum conf_kind kind, struct str id);
/* In no order; fn must not change them. */
typedef void override_f(void *arg, const struct override *v);
void override_each(const struct overrides *o, override_f *fn, void *arg);
uint32_t override_count(const struct overrides *o);

/* apply_input.override; arg: struct overrides. */
enum override_says override_says(
    void *arg, enum conf_kind kind, struct str id, const struct digest *digest);
/* It shall end with the transaction under way. */
void override_end(struct overrides *o, enum conf_kind kind, struct str id);
/* It shall not, after all: what would have ended it was refused. */
void override_spare(struct overrides *o, enum conf_kind kind, struct str id);
/* The transaction was committed: what ended is gone, noted in r and logged. Aborted: it stays. */
void override_commit(struct overrides *o, struct remember *r);
void override_abort(struct overrides *o);

/* A new one, in place of one that was there. Noted in r. own NULL: the source has no such object.
 * value: NULL, or borrowed. */
void override_put(
    struct overrides *o, struct remember *r, const struct override *like, const struct digest *own);
/* Away with it, at once. Noted in r. */
void override_drop(struct overrides *o, struct remember *r, enum conf_kind kind, struct str id);

#endif
