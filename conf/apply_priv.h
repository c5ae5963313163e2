/* SPDX-License-Identifier: Apache-2.0
 *
 * A change set under way, for apply.c (the order of things), apply_words.c (who is told what),
 * apply_diff.c (what differs), apply_check.c, apply_names.c and apply_listen.c (what must hold
 * between objects), apply_objects.c (records and tables), apply_wants.c (keys and certificates).
 */
#ifndef GW_APPLY_PRIV_H
#define GW_APPLY_PRIV_H

#include "conf/apply.h"
#include "conf/changeset.h"
#include "conf/route.h"
#include "conf/routing.h"
#include "shm/base/ws.h"

/* Whose a change is, where it is no operation's. */
#define BY_SET   UINT32_MAX       /* the change set's */
#define BY_WHOLE (UINT32_MAX - 1) /* a deletion, because in->whole has the object no more */

struct change {
	struct hnode node; /* of apply.pending */
	enum change_op op;
	uint32_t by;             /* index of its operation, or BY_* */
	bool fresh;              /* the object is new */
	bool relink;             /* route: the tables name it otherwise than before */
	bool out;                /* refused by itself: as if it had not been asked for */
	bool released;           /* what its old value names counts one less */
	struct conf_object o;    /* put: borrowed from change set or operation; delete: as it was */
	struct conf_object *old; /* as it was; body of who may name others, and with
				    capture; NULL: fresh */
	const void *body, *old_body; /* decoded; remembered in small sets */
	struct str user;             /* delete: who names it still */
	uint32_t users;
};

/* What becomes of an operation over all attempts. */
struct apply_fate {
	bool out; /* taken out of all later attempts */
	struct gbuf words;
	uint32_t errors;
};

struct apply {
	struct store *s;
	struct apply_input input; /* the caller's own may be gone; not so what its `v` points to */
	const struct apply_input *in;
	struct conf_check *report;
	struct changeset set;
	bool has_set;
	bool whole_lenient;
	struct db_txn *txn;
	struct map_meta meta;    /* as it will be */
	struct recent recent;    /* so is this */
	struct rows *rows;       /* NULL: no service was touched */
	struct routing *routing; /* NULL: no route was */
	struct ws ws;            /* until the end */
	struct ws scratch;       /* one object at a time */
	struct gbuf out;
	struct change **v;
	uint32_t n, cap;
	uint32_t n_old; /* that change or delete what is there */
	struct {
		uint32_t from, to; /* no change of that kind stands elsewhere in v */
		struct str last;   /* the greatest id */
	} of[CONF_KIND_COUNT];
	struct htab pending; /* changes by kind and id */
	struct apply_fate *fate;
	struct bits mine[CONF_KIND_COUNT]; /* of whole sources: what is not to be deleted */
	uint64_t max[CONF_KIND_COUNT];     /* objects allowed, by the settings as they will be */
	uint32_t errors;                   /* that refuse the whole, in this attempt */
	bool dropped;                      /* somebody was taken out since this was last false */
	bool again;                        /* with somebody out who had left traces */
	bool damaged; /* a route's old settings cannot be read: where it hangs is not known */
	bool rebuild; /* the tables were found damaged: all routes anew */
	bool fatal;   /* the map refused; no use in going on */
	struct apply_listener *listeners; /* where `listening`; else they are the store's */
	unsigned n_listeners;
	bool listening;         /* a listener is touched */
	struct str last_user;   /* who would be left without any certificate */
	uint32_t unknown_users; /* deletions of what is in use, whose first user is not found yet */
};

/* Who is refused: "file:line: routes[id].setting: ...". A lenient one is taken out, any other
 * refuses the whole. */
void apply_refuse(struct apply *a, struct change *c, enum apply_outcome outcome,
    const char *setting, const char *fmt, ...) PRINTF(5, 6);
/* Errors of nobody in particular. */
void apply_error(struct apply *a, const char *path, const char *fmt, ...) PRINTF(3, 4);
/* What the map said; ends the attempt. A full map is put into words that help. */
void apply_fatal(struct apply *a, const char *error);
/* Every operation's outcome and part of the report, at the end. */
void apply_tell(struct apply *a, bool ok);
/* Forgets what was said of operations that are tried again. */
void apply_forget(struct apply *a);

/* Every so many objects: somebody may be waiting for a sign of life. */
void apply_alive(struct apply *a, uint32_t i);

/* The steps: 1 or -1: fatal. Errors are in the report. */
int apply_diff(struct apply *a) NODISCARD;
int apply_check(struct apply *a) NODISCARD;
int apply_unlink(struct apply *a) NODISCARD;
int apply_objects(struct apply *a) NODISCARD;
int apply_services(struct apply *a) NODISCARD;
int apply_link(struct apply *a) NODISCARD;

/* What the changed objects name, once all is written. */
void apply_want(struct apply *a);

/* Counts v[i] in the ranges of kinds. */
void apply_range(struct apply *a, uint32_t i);
/* The change of an object that is under way; NULL: none. */
struct change *apply_pending(struct apply *a, enum conf_kind kind, struct str id);
/* Settings of the new or old value, in `scratch` where there are many; NULL: unreadable. The old
 * one of routes and listeners only. */
const void *apply_body(struct apply *a, struct change *c);
const void *apply_old_body(struct apply *a, struct change *c);

/* What an object names counts `by` more, by the numbers the objects have or will have. */
void apply_count(struct apply *a, enum conf_kind kind, const void *body, int by);
/* What the old values name counts no more, before deletions are looked at. */
void apply_release(struct apply *a);
/* What the listeners of the set name counts: those of routes when they are linked. */
void apply_count_listeners(struct apply *a);
/* Does what this kind's objects name exist, as it will be? */
void apply_names(struct apply *a, enum conf_kind kind);
/* Is anything to go that somebody needs? */
int apply_deletions(struct apply *a) NODISCARD;

/* Listeners as they will be, into a->listeners; with `check` telling what cannot be. */
int apply_listen(struct apply *a, bool check) NODISCARD;
/* Those of the last commit, once. 1 or -1. */
int apply_listen_known(struct apply *a) NODISCARD;

/* Calls fn for every object of a kind that the map has, until it returns 0. */
typedef int apply_each_f(struct apply *a, const struct conf_object *o);
int apply_each(struct apply *a, enum conf_kind kind, apply_each_f *fn) NODISCARD;

#endif
