/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper process between its files:
 *
 *	keeper.c		start, loop, the end
 *	keeper_master.c		the master's change sets: APPLY, PREPARE, COMMIT, ABORT
 *	keeper_queue.c		lines: documents come in, answers go out
 *	keeper_turn.c		a turn: journal, each document, fold, answers
 *	keeper_job.c		one document: objects checked, compiled, committed
 *	keeper_force.c		what is in force where it wants to change something
 *	keeper_note.c		its commit, and what the state shall remember of it
 *	keeper_back.c		rollback and drop_override as a job's changes
 *	keeper_body.c		what a job came to, as JSON
 *	keeper_start.c		what the state remembers, at the start of a keeper and of a map
 *	keeper_ask.c		questions
 *	keeper_verdict.c	verdicts about endpoints
 *	keeper_endpoints.c	endpoint sets outside generations
 */
#ifndef GW_KEEPER_PRIV_H
#define GW_KEEPER_PRIV_H

#include "conf/apply.h"
#include "conf/document.h"
#include "conf/enclosed.h"
#include "conf/keeper.h"
#include "conf/override.h"
#include "conf/remember.h"
#include "conf/settings.h"
#include "conf/table.h"
#include "conf/verdicts.h"
#include "shm/base/list.h"
#include "shm/base/loop.h"
#include "shm/base/msg.h"
#include "shm/beat.h"

#define SLIM_OBJECTS    4096 /* of one commit: what it needed is not kept for the next */
#define QUEUE_DOCUMENTS 4096
#define QUEUE_OCTETS    ((size_t)64 << 20)
#define BATCH_DOCUMENTS 256 /* of one turn */
#define BATCH_OCTETS    ((size_t)16 << 20)

/* What is to become of one object, and what became of it. */
struct job_change {
	const struct document_change *asked; /* NULL: a rollback's own */
	int kind;
	struct str id;
	bool has_op; /* a change of the map: ops[op] */
	bool forget; /* an override hides it: the source's own object goes, the map has none */
	bool refused;
	bool condition; /* refused because of if_match or if_none_match */
	uint32_t op;
	enum apply_outcome outcome;
	uint64_t in_force; /* version */
	char owner[16];
	uint32_t status;     /* of a refusal by other kinds than objects */
	uint32_t at, n_text; /* its part of the job's check */
	json_t *value;       /* patched, or a rollback's: owned */
	/* a rollback's, where the object is not admin's: the override's name, whose object it is,
	 * what its source says (owned), and the digest of that */
	struct str override, source;
	json_t *before;
	bool own;
	struct digest own_digest;
};

/* A document on its way. Taken in by keeper_queue.c, freed there when it is answered. */
struct job {
	struct list node;
	struct keeper_line *from; /* NULL: nobody waits */
	uint32_t id;              /* of the question */
	struct str source;        /* "admin", "console" */
	struct enclosed enclosed; /* what it came in */
	struct str text;          /* that; from the journal: malloc'ed */
	bool replay;
	uint64_t seq; /* in the journal; 0: not there */
	struct ws ws;
	struct document d;
	bool read; /* d is there */
	struct conf_check check;
	struct job_change *c;
	uint32_t n;
	struct apply_op *ops;
	uint32_t n_ops;
	bool guard;      /* refused for how much it would have deleted */
	json_t *dropped; /* drop_override: what went */
	bool endpoints;  /* it changed some: not in force before the turn settles */
	/* the answer */
	uint32_t status; /* 0: not yet */
	uint64_t generation;
	uint32_t changed, refused;
};

/* A line to a source of documents. */
struct keeper_line {
	struct keeper *k;
	enum line line;
	const char *source;
	struct watch w;
	bool stuck; /* it did not read for long: no more waiting for it */
};
enum { KEEPER_ADMIN, KEEPER_REDIS, KEEPER_LINES };

struct keeper {
	const struct heritage *h;
	struct loop *loop;
	struct beat *beat;
	struct store store;
	struct state *state;     /* NULL: nothing outlives the instance, documents are not taken */
	const char *state_error; /* why; with a state: what was set aside for it */
	struct verdicts *verdicts;
	struct overrides *overrides;
	struct remember remember;
	struct table *table;        /* committed generations */
	struct endpoint_sets *sets; /* keeper_endpoints.c */
	struct digest settings;     /* of what the next two were taken from */
	uint64_t history;           /* limits.history in force */
	double deletions;           /* redis.deletions */

	/* the master's transaction */
	struct apply *pending; /* compiled, waiting for COMMIT or ABORT */
	struct apply_input in; /* what it was compiled from */
	struct ws pending_ws;
	struct job *pending_job; /* it is a document's */
	char author[STATE_AUTHOR_MAX];
	uint32_t txn;          /* its id */
	bool prepared;         /* this process has gone through a PREPARE */
	bool begun;            /* the map has a generation: documents are taken up */
	uint64_t base;         /* fresh: the generation the last map had reached */
	uint64_t rung_version; /* endpoints_version of the last commit */
	bool unrung;           /* workers were not told of the last commit */
	struct digest files;   /* of all the master's change set under way says */
	bool start_whole;      /* nothing that was remembered was refused at the start */
	struct watch chan;

	/* documents */
	struct keeper_line line[KEEPER_LINES];
	struct list queue, batch, done;
	uint32_t queued;
	size_t queued_octets;
	struct job *submitted; /* waits for the master; first of the batch */
	uint64_t seq;          /* the last given */
	struct defer turn;
	struct timer retry;
	bool folding_failed;
	bool leaving;
	bool greeted;    /* HELLO was said */
	bool adopted;    /* the map was there before this process: it may differ from the state */
	json_t *refused; /* of the state's objects, at the start: [{kind, id, source, error}] */

	struct timer expiry;
	int status;
	struct msg in_msg, out;
};

/* keeper.c */
/* Waits a little for room; a peer that does not read for long is given up: 1 or -1. */
int keeper_send(int fd, struct msg *m) NODISCARD;
void keeper_leave(struct keeper *k, int status);
void keeper_ring(struct keeper *k); /* the workers' mailboxes */
/* Where a generation was committed since: at the end of a turn, before anybody is answered. */
void keeper_ring_late(struct keeper *k);
/* After every commit that made a generation: beat, note, settings in force. Rings where rows went,
 * for they rest until every worker has seen it; else keeper_ring_late is to follow. */
void keeper_committed(struct keeper *k);
/* Gives back what a commit of many objects needed; no transaction is under way. */
void keeper_slim(struct keeper *k, uint32_t changed);
void keeper_note_generation(struct keeper *k);
/* What the keeper itself goes by, of the settings in force. */
void keeper_settings(struct keeper *k);

/* keeper_master.c */
void keeper_master_message(struct watch *w, uint32_t events);
void keeper_submit(struct keeper *k, struct job *j);
void keeper_ask_reload(struct keeper *k);

/* keeper_queue.c */
int keeper_lines_start(struct keeper *k) NODISCARD;
void keeper_hello(struct keeper *k);
struct keeper_line *keeper_line_of(struct keeper *k, struct str source); /* NULL: none */
struct job *job_new(struct keeper *k, struct str source);
void job_free(struct job **j);
void keeper_answer(struct keeper *k, struct job *j);
void keeper_answer_json(struct keeper *k, struct keeper_line *l, uint32_t id, uint32_t status,
    const json_t *body); /* ANSWER */

/* keeper_turn.c */
void keeper_turn_start(struct keeper *k);
void keeper_turn_soon(struct keeper *k);
/* Writes what is noted: 1; -1 it stays noted, and is tried again. */
int keeper_fold(struct keeper *k);
/* The submitted document is through (its status is set): on with the batch. */
void keeper_turn_go_on(struct keeper *k);

/* keeper_force.c */
struct force {
	bool there, hidden; /* hidden: an override keeps it out of the map */
	uint64_t version;
	char source[16];
	json_t *value; /* where it is needed; owned */
};
struct force force_get(struct keeper *k, const struct job *j, const struct job_change *c);
/* Of the map alone. */
void force_map(struct keeper *k, const struct job *j, const struct job_change *c, struct force *f);
/* Conditions, in the order in which failures are told. 1 or 0: refused, c says why. */
int force_check(const struct job *j, struct job_change *c, const struct force *f);

/* keeper_job.c */
void job_refuse_change(struct job_change *c, enum apply_outcome outcome, bool condition);
/* Reads the frame. Malformed: status is set. */
void job_read(struct job *j);
/* Everything but waiting: 1 through (status is set), 0 it needs the master. */
int job_run(struct keeper *k, struct job *j) NODISCARD;
/* For a document that needs the master. NULL: refused, status is set. */
struct apply *job_compile(struct keeper *k, struct job *j);
/* Looks at what is in force and makes the operations: 1; -1 the status is set. May be done again.
 */
int job_prepare(struct keeper *k, struct job *j) NODISCARD;
void job_reset(struct job *j);
/* After the map's part, done or refused: the rest of it, the answer. */
void job_end(struct keeper *k, struct job *j);
void job_refuse(struct job *j, uint32_t status, const char *fmt, ...) PRINTF(3, 4);
/* An operation for an object; the value is checked. 1; -1 with words in j->check. */
int job_op(struct keeper *k, struct job *j, struct job_change *c, const json_t *value,
    struct str source, struct str override) NODISCARD;

/* keeper_note.c */
/* Commits and notes; on failure the status is set. */
void job_commit(struct keeper *k, struct job *j, struct apply **a);
/* The record of an object in r; body NULL: its deletion. */
void keeper_note_object(
    struct remember *r, struct str author, const struct conf_object *o, uint64_t version);
/* It went through: what the map does not tell. */
void job_note(struct keeper *k, const struct job *j);

/* keeper_back.c: fill j->c and j->ops, or set the status. */
void job_rollback(struct keeper *k, struct job *j);
void job_drop(struct keeper *k, struct job *j);

/* keeper_body.c: new references. */
json_t *job_body(const struct job *j);
json_t *problem_body(uint32_t status, const char *fmt, ...) PRINTF(2, 3);

/* keeper_start.c */
/* Journal into the queue; overrides; how far generations had come. */
void keeper_remembered(struct keeper *k);
/* What the state remembers, as operations beside the first change set of a fresh map: into k->in,
 * which lives in k->pending_ws. */
void keeper_start_ops(struct keeper *k, int changeset_fd);
/* Compiled: which were refused. */
void keeper_start_outcomes(struct keeper *k, const struct conf_check *report);
/* An existing map: makes it what the state says. */
void keeper_compare(struct keeper *k);

/* keeper_ask.c */
void keeper_ask(struct keeper *k, struct keeper_line *l, struct msg *m);

/* keeper_verdict.c */
/* 1; 0 nothing to do; -1 *status_r (404, 422) and words. check_only: changes nothing. */
int keeper_verdict_change(struct keeper *k, const struct job *j, const struct document_change *c,
    bool check_only, uint32_t *status_r, const char **error_r) NODISCARD;
void keeper_expiry_start(struct keeper *k);

/* keeper_endpoints.c */
/* After state and store are open. Its own line (discovery) is its own to watch. */
void keeper_endpoints_start(struct keeper *k);
/* One change of kind "endpoints". 1 changed, as of keeper_endpoints_settle; 0 it was so already; -1
 * refused: *status_r (404, 409, 412, 422) and words. check_only: changes nothing. */
int keeper_endpoints_change(struct keeper *k, const struct job *j, const struct document_change *c,
    bool check_only, uint32_t *status_r, const char **error_r) NODISCARD;
/* What the documents in k->done changed is in force, in one transaction, and noted; those for which
 * that cannot be are refused. */
void keeper_endpoints_settle(struct keeper *k);
/* A generation was committed: services came and went. */
void keeper_endpoints_generation(struct keeper *k);

#endif
