/* SPDX-License-Identifier: Apache-2.0
 *
 * What brings this instance to what the console has: a machine without sockets. Redis is asked
 * through ops->ask and answers through sync_reply, one question at a time; documents go to the
 * keeper through ops->change and come back through sync_changed, one at a time, so that what the
 * keeper does is what Redis said last, in whatever order processes are replaced.
 *
 *	READ      version and the stream's entries behind ours, in one transaction: they say which
 *	          fields changed
 *	FETCH     version and those fields, in one transaction: what they are now. Refused ones too
 *	SNAPSHOT  version and all fields, in one transaction, where the stream does not lead
 *	          here: it was trimmed, the epoch is another, the number went back, the hashes
 *	          differ
 *	KEEPER    a document is with the keeper
 *
 * The position moves when the keeper has answered.
 */
#ifndef GW_REDIS_SYNC_H
#define GW_REDIS_SYNC_H

#include "master/watcher/redis/batch.h"
#include "master/watcher/redis/keys.h"
#include "master/watcher/redis/mirror.h"
#include "shm/base/backoff.h"

enum sync_step { SYNC_IDLE, SYNC_READ, SYNC_FETCH, SYNC_SNAPSHOT, SYNC_KEEPER };

struct sync;
struct sync_ops {
	/* Sends it; the answer comes by sync_reply. */
	void (*ask)(void *arg, struct command *c);
	/* Gives the keeper a document; the answer comes by sync_changed with this id. */
	void (*change)(void *arg, uint32_t id, struct str text);
	/* Something that is told about has changed. */
	void (*told)(void *arg);
	/* Somebody wants every instance to load its files again. */
	void (*ring)(void *arg);
	/* sync_kick after so many ms, please; once. */
	void (*later)(void *arg, uint64_t ms);
};

struct sync_position {
	bool known;
	char epoch[EPOCH_MAX + 1];
	uint64_t number;
	char hash[65];
};

struct sync {
	const struct sync_ops *ops;
	void *arg;
	const struct keys *keys;
	double deletions; /* share an unmarked snapshot may delete */

	enum sync_step step;
	bool live;   /* Redis answers */
	bool held;   /* somebody else needs the connection to himself */
	bool wanted; /* another round, when this one is over */
	bool asked;  /* the keeper's position has come */
	bool retry;  /* refused objects are to be tried again */
	bool whole;  /* the mirror is not what is in force: a whole snapshot is needed */
	struct backoff backoff;

	struct mirror mirror;
	struct sync_position at; /* in force */
	bool seen_known;         /* Redis has a version, and this is it */
	struct version seen;
	bool seen_reloads; /* `reloads` is what was seen first, or last */
	uint64_t reloads;
	bool troubled;        /* the last try to learn what Redis has failed */
	bool guarded;         /* refused as a whole, until the version changes */
	bool deletions_guard; /* for how much it would delete; otherwise it is tried again */
	struct version guard;
	bool wrong; /* the console's own hash is wrong, by this much */
	uint8_t delta[HASH_SHA256];

	/* the round */
	char **fields;
	uint32_t n_fields, cap_fields;
	uint64_t last; /* number after it */
	char author[129];
	struct batch batch;
	struct gbuf text; /* of the document with the keeper */
	uint32_t id;
	struct sync_position next;
	bool next_whole;

	uint64_t generation;
	uint64_t changes, snapshots, reconciles, guards;
	uint64_t applied_us;
	char error[256]; /* why not in sync; empty */
};

void sync_init(struct sync *s, const struct sync_ops *ops, void *arg, const struct keys *keys,
    double deletions);
void sync_free(struct sync *s);

/* The bell rang, or a timer of ops->later. */
void sync_kick(struct sync *s);
/* The timer of redis.reconcile. */
void sync_reconcile(struct sync *s);
/* The connection is up, or gone: what was asked is not answered any more. */
void sync_connected(struct sync *s, bool live);
/* The connection is gone. Where it broke while the console was read, that is told until it can be
 * read: what is too large ends the connection every time. */
void sync_broken(struct sync *s, const char *why);
/* While held nothing new is asked. What was asked already is answered first. */
void sync_hold(struct sync *s, bool held);

/* The answer to ops->ask: of EXEC, or an error. */
void sync_reply(struct sync *s, const struct reply *r);
/* What the keeper says of itself: text is its position as JSON, "" or "null" for none. hello: it
 * has just come up, and knows nothing of what its predecessor was asked. */
void sync_keeper(struct sync *s, struct str position, bool hello);
/* The keeper's answer. */
void sync_changed(
    struct sync *s, uint32_t id, uint32_t status, uint64_t generation, struct str body);

/* Is what Redis had when it was seen last in force here? */
bool sync_in_sync(const struct sync *s);
/* "in_sync", "applying", "refused", "guard", "wrong_hash", "no_version", "error" */
const char *sync_word(const struct sync *s);

#endif
