/* SPDX-License-Identifier: Apache-2.0
 *
 * One change set against the map: what differs, numbers, rows, tables, in a single transaction that
 * stays open until somebody says commit. One at a time. Called by the keeper process and by
 * `gateway -t`.
 */
#ifndef GW_APPLY_H
#define GW_APPLY_H

#include "conf/changeset.h"
#include "conf/check.h"
#include "conf/store.h"
#include "shm/heritage.h"

struct apply;

struct apply_listener {
	uint32_t number, backlog;
	char id[64];
	struct addr addr;
	char place[128]; /* "file:line" */
};

enum apply_flag {
	APPLY_LENIENT =
	    1, /* an error takes out this operation (and what then dangles), not the whole */
	APPLY_CREATE = 2, /* the object must not be there */
	APPLY_EXISTS = 4, /* it must */
	APPLY_SKIP = 8    /* refused by the caller already: not done, but of a whole source's set it
			     keeps what is there */
};
enum apply_outcome {
	OUTCOME_NONE, /* not come to: something else refused the whole */
	OUTCOME_UNCHANGED,
	OUTCOME_CREATED,
	OUTCOME_REPLACED,
	OUTCOME_DELETED,
	OUTCOME_KEPT,         /* an override holds; the source's own value waits behind it */
	OUTCOME_ABSENT,       /* delete or APPLY_EXISTS of what is not there. A lenient delete
				 says nothing of it in the report */
	OUTCOME_EXISTS,       /* APPLY_CREATE of what is */
	OUTCOME_OWNED,        /* belongs to another source; `owner` says which */
	OUTCOME_PRECONDITION, /* if_version; `version` has the one in force */
	OUTCOME_REFUSED,      /* settings, references, limits: see the report */
	OUTCOME_COUNT
};
extern const char *const apply_outcome_names[];

struct apply_op {
	enum change_op op;
	uint32_t flags;
	uint64_t if_version;  /* 0: not asked */
	struct conf_object o; /* with its source; delete: kind, id and source count. o.override: put
				 as that override's value (of the source's object) */
	/* Set by apply_compile. */
	enum apply_outcome outcome;
	uint64_t version; /* of the object: as it will be, or as it is when refused */
	char owner[16];
	uint32_t report_at, report_n; /* its part of report->text; errors of lenient operations
					 stand there too, and count */
};

enum override_says { OVERRIDE_NONE, OVERRIDE_HOLDS, OVERRIDE_ENDS };

/* What a change set is made of: a sealed change set of the loader's, or operations, or both in one
 * generation (a start: the files, and what the state remembers of the other sources). */
struct apply_input {
	int changeset_fd; /* -1: none */
	/* Operations: this source has nothing else; empty: no such thing. Where all operations are
	 * lenient, its deletions are too: what others still name stays. */
	struct str whole;
	uint64_t
	    deletions_max; /* whole: more deletions than that are refused as a whole; UINT64_MAX */
	struct apply_op *v;
	uint32_t n;
	bool capture; /* keep objects as they were, for the history (apply_change_get) */
	/* Does an override stand before a source's own object? digest: of what the source says now;
	 * NULL: it has no such object (any more). Asked for the change set's objects, for all
	 * operations without o.override, and for what `whole` would delete; not for those that
	 * owner or precondition refuse. A lenient one may be refused after it was asked for. May be
	 * NULL. */
	enum override_says (*override)(
	    void *arg, enum conf_kind kind, struct str id, const struct digest *digest);
	void *arg;
};

/* Everything up to the commit; one transaction, one generation. The descriptor may be closed
 * afterwards; what in->v points to is borrowed until the end. NULL: refused, `report` and the
 * outcomes have the reasons; nothing was changed. */
struct apply *apply_compile(struct store *s, struct apply_input *in, struct conf_check *report);

const uint64_t *apply_counts(const struct apply *a); /* objects there will be, by kind */
uint32_t apply_looked_at(const struct apply *a);     /* objects of the change set, changed or not */
uint32_t apply_changed(const struct apply *a);       /* objects put and deleted; 0: nothing to do */
uint64_t apply_generation(const struct apply *a);    /* that it will be */
/* Does it need the master: another listening socket, name or number than the committed generation?
 */
bool apply_listeners_differ(const struct apply *a);
/* Have keys and certificates to be read before it may be committed (conf/wants.h)? A change set of
 * the files says so as soon as anybody names any: what stands in them may be new. */
bool apply_wants(const struct apply *a);
/* All objects that name some, as they will be: a sealed change set, or -1 with *error_r. */
int apply_wants_fd(const struct apply *a, const char **error_r) NODISCARD;
/* The i-th changed object, captured: as it was (old_r->body.p NULL: it was not there) and as it
 * will be (likewise). Lives as long as `a`. 1; 0 past the end or not captured. */
int apply_change_get(const struct apply *a, uint32_t i, struct conf_object *old_r,
    struct conf_object *new_r) NODISCARD;
/* All listeners as they will be. */
const struct apply_listener *apply_listeners(const struct apply *a, unsigned *n_r);

/* Ends it either way and frees it. -1: not committed, and `report` says why. With nothing to do the
 * generation stays. */
int apply_commit(struct apply **a, struct conf_check *report) NODISCARD;
void apply_abort(struct apply **a);

#endif
