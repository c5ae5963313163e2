/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine between its files: sync.c (rounds, the keeper), sync_read.c (what Redis answers).
 */
#ifndef GW_REDIS_SYNC_PRIV_H
#define GW_REDIS_SYNC_PRIV_H

#include "master/watcher/redis/sync.h"

#define SYNC_ENTRIES 1000 /* of the stream, in one go */
#define SYNC_FIELDS  5000 /* about, in one document of a stream */
#define SYNC_REFUSED 1000 /* tried again with a document */

/* sync.c */
void sync_say(struct sync *s, const char *fmt, ...) PRINTF(2, 3);
void sync_trouble(struct sync *s, const char *fmt, ...) PRINTF(2, 3);
void sync_forget(struct sync *s); /* the mirror: a whole snapshot is needed */
void sync_guard(struct sync *s, const struct version *v, bool deletions);
bool sync_may_delete(const struct sync *s, const struct version *v);
/* The batch, with this position after it, to the keeper; nothing in it and nothing to say: over. */
void sync_send(struct sync *s, const struct version *v, uint64_t number);
void sync_settled(struct sync *s);
void sync_fields_add(void *s, struct str field);
void sync_fields_clear(struct sync *s);
bool sync_hash_ok(const struct sync *s, const struct version *v);

/* sync_read.c: questions, and what is made of the answers */
void sync_ask_read(struct sync *s);
void sync_ask_fetch(struct sync *s);
void sync_ask_snapshot(struct sync *s);
void sync_read_done(struct sync *s, const struct reply *r);
void sync_fetch_done(struct sync *s, const struct reply *r);
void sync_snapshot_done(struct sync *s, const struct reply *r);

#endif
