/* SPDX-License-Identifier: Apache-2.0
 *
 * A reload as a state machine, from the first message to the verdict. It knows no process and no
 * descriptor but those handed to it: what it wants done it asks of `struct reload_ops`, what
 * happened it is told by the events below. One runs at a time; wishes that arrive meanwhile become
 * one more run. A document of the keeper's (SUBMIT) is a run that begins at applying.
 *
 *	idle -> loading -> (held) -> applying -> (sealing) -> offering -> committing -> switching ->
 *idle
 *
 * Sealing is for configurations that name certificates or keys: the objects that do come with
 * PREPARE, and what they stand for is read and checked before anything is offered to anybody.
 *
 * Up to `committing` any failure ends the run with nothing changed. A keeper that dies makes the
 * run begin anew, once: after COMMIT nobody can say whether it was done, and applying the same
 * again settles it. A document's run is dropped then: the successor replays its journal, and either
 * submits again or, when it is up for a while without a word, finds it committed.
 */
#ifndef GW_RELOAD_H
#define GW_RELOAD_H

#include "shm/base/addr.h"
#include "shm/base/buf.h"
#include "shm/base/timer.h"
#include "shm/heritage.h"

enum reload_step {
	RELOAD_IDLE,
	RELOAD_LOADING,    /* the loader reads */
	RELOAD_HELD,       /* loaded; the keeper is not there yet */
	RELOAD_APPLYING,   /* the keeper checks and compiles; answers PREPARE or APPLIED */
	RELOAD_SEALING,    /* certificates and keys are read and checked */
	RELOAD_OFFERING,   /* workers take new sockets and certificates; each acknowledges */
	RELOAD_COMMITTING, /* the keeper commits */
	RELOAD_SWITCHING,  /* workers turn to the new generation */
	RELOAD_STEP_COUNT
};

/* A listener as PREPARE names it. */
struct listen_want {
	uint32_t number;
	char id[64];
	struct addr addr;
	uint32_t backlog, flags;
	char place[128]; /* "file:line", "" when it did not come from a file */
};

struct reload_outcome {
	bool ok;
	uint64_t run; /* which one: as reload_next promised; submitted: the last one of the files */
	uint64_t generation; /* 0: submitted, and settled by another keeper */
	uint32_t changed;
	struct str report; /* text of all errors and warnings; borrowed */
	bool in_doubt;     /* not ok, and it may have been committed all the same */
	bool submitted;    /* it was the keeper's document: nothing was loaded or staged */
};

/* What a commit makes of the certificates that are held. */
enum reload_seal {
	RELOAD_SEAL_SAME, /* they were not looked at */
	RELOAD_SEAL_NEXT, /* those of the last `seal` are in force */
	RELOAD_SEAL_NONE, /* nothing names any */
};

struct reload_ops {
	int (*load)(void *arg, const char **error_r); /* start a loader: 1 or -1 */
	void (*load_stop)(void *arg);
	/* Looks at the new settings and keeps them aside: 1 go on, 0 the keeper is not there
	 * (reload_go follows), -1. */
	int (*stage)(void *arg, struct str boot, const char **error_r);
	/* changeset -1: the document the keeper knows by cookie. 1 or -1 */
	int (*apply)(void *arg, uint32_t txn, uint32_t cookie, int changeset);
	int (*bind)(
	    void *arg, const struct listen_want *v, unsigned n, const char **error_r); /* 1 or -1 */
	/* Has what these objects name read and checked; reload_sealed or reload_seal_failed
	 * follows. The descriptor is taken over. */
	void (*seal)(void *arg, uint32_t txn, int objects);
	/* Hands new sockets, and what was sealed, to every worker; acks_r[slot] = how many
	 * acknowledgements will come (zeroed before). */
	void (*offer)(void *arg, uint32_t txn, unsigned acks_r[SLOT_MAX]);
	int (*commit)(void *arg, uint32_t txn); /* 1 or -1 */
	void (*abort)(void *arg, uint32_t txn, const char *reason);
	/* Committed, before `ring`; changed: objects. */
	void (*adopt)(void *arg, enum reload_seal what, uint32_t changed);
	/* What was sealed for txn is not committed: nobody may go by it any more. `abort` stands
	 * for this too. After a COMMIT whose fate is not known it is not called: what is sealed
	 * next takes the place of what may be in use. */
	void (*unseal)(void *arg, uint32_t txn);
	void (*ring)(void *arg, uint64_t generation);
	bool (*behind)(
	    void *arg, uint64_t generation); /* is there a worker that does not go by it yet? */
	void (*finish)(void *arg, const struct reload_outcome *o);
	uint64_t (*patience)(void *arg, enum reload_step step); /* milliseconds */
};

struct reload;
struct reload *reload_new(struct timers *timers, const struct reload_ops *ops, void *arg);
void reload_free(struct reload **r);
enum reload_step reload_step(const struct reload *r);
/* Certificates were offered and it is not settled whether they will be in force: a worker that
 * starts now would miss them, and has to wait for the outcome. */
bool reload_pledged(const struct reload *r);

/* Starts a run, or has one more follow. */
void reload_want(struct reload *r);
/* The keeper has a document that changes listening sockets: a run of its own that begins with
 * APPLY, after the one under way. The keeper has at most one; a later cookie replaces one that has
 * not begun. Cookies are not 0. */
void reload_submit(struct reload *r, uint32_t cookie);
/* The number of the run whose outcome answers a wish that is made now. */
uint64_t reload_next(const struct reload *r);
/* No further runs; the one that goes on is given up without a word. */
void reload_cancel(struct reload *r);

/* What happened. Descriptors are taken over; -1 where there is none. */
void reload_loaded(struct reload *r, bool ok, struct str boot, int report, int changeset);
void reload_loader_gone(struct reload *r, const char *how);
void reload_go(struct reload *r); /* a keeper came up */
void reload_prepare(
    struct reload *r, uint32_t txn, const struct listen_want *v, unsigned n, int objects);
/* Certificates are read and good, or they are not: the report says what is wrong. */
void reload_sealed(struct reload *r, uint32_t txn, bool ok, int report);
void reload_seal_failed(struct reload *r, const char *why); /* nobody could read them */
void reload_applied(
    struct reload *r, uint32_t txn, bool ok, uint64_t generation, uint32_t changed, int report);
void reload_acked(struct reload *r, unsigned slot, uint32_t txn, bool ok, const char *error);
void reload_worker_gone(struct reload *r, unsigned slot);
void reload_switched(struct reload *r); /* some worker turned: look again */
void reload_keeper_gone(struct reload *r);

#endif
