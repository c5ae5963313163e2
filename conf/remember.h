/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's memory on disk: journal, objects, history, overrides, as JSON records in the state.
 * The life of a document:
 *
 *	taken    -> journal (one commit for all that were queued: from here on it is not lost)
 *	applied  -> the map's transaction, the bell
 *	folded   -> objects, history, overrides, console's position; out of the journal (one commit
 *		    for all)
 *	answered
 *
 * At the start of a keeper what is still in the journal is applied again; what an object's record
 * says and the map does not have is put there.
 *
 *	objects		{"schema":1,"source":"admin","author":..,"time":..,"version":12,
 *			 "digest":"32 hex digits","value":{..}}
 *	history		{"schema":1,"generation":12,"time":..,"source":..,"author":..,"comment":..,
 *			 "changed":3,"changes":[{"kind","id","source","before":{..}|null,
 *			 "after":{..}|null}]}; changes is absent where there were more than
 *			 HISTORY_CHANGES: such a one cannot be taken back
 *	meta "files"	{"schema":1,"digest":of all the files said last}. A start that finds the
 *			 same is written down as one that changed nothing: one can go back behind it
 *	overrides	{"schema":1,"name":"rollback-12","source":"file","digest":"32 hex digits of
 *			 what the source says, or empty: it has no such object","since":..,
 *			 "author":..,"value":{..}|null}
 *	journal		{"schema":1,"source":..,"ask":id of the question,"time":..,
 *			 "document":{..}}
 *	meta		"generation"; "console": position; "replay": {"sequence","attempts"}, while
 *			 a document of the journal is applied again
 */
#ifndef GW_REMEMBER_H
#define GW_REMEMBER_H

#include "conf/document.h"
#include "shm/state.h"

#define REMEMBER_SCHEMA 1
#define HISTORY_CHANGES 2000       /* of one change set */
#define HISTORY_OCTETS  (4u << 20) /* of one record */

/* What is to be written next, in order. Survives a failed commit. */
struct remember_note {
	enum state_table tab;
	struct str key;
	char *text; /* NULL: delete */
};
struct remember {
	struct remember_note *v;
	uint32_t n, cap;
	size_t octets;
};

void remember_put(struct remember *r, enum state_table tab, struct str key, struct str text);
void remember_json(struct remember *r, enum state_table tab, struct str key, const json_t *j);
void remember_del(struct remember *r, enum state_table tab, struct str key);
/* One commit. 1: nothing is noted any more; -1: everything still is. */
int remember_commit(struct remember *r, struct state *s, const char **error_r) NODISCARD;
void remember_drop(struct remember *r);                       /* forgets what is noted */
void remember_cat(struct remember *r, struct remember *more); /* takes over what more has noted */

/* Keys. */
#define REMEMBER_KEY 128
struct str remember_key_object(char out[REMEMBER_KEY], int kind, struct str id);
int remember_key_read(struct str key, enum conf_kind *kind_r, struct str *id_r) NODISCARD;
struct str remember_key_number(char out[REMEMBER_KEY], uint64_t n);
uint64_t remember_number(struct str key); /* 0: none */

/* A record's text (a new reference); NULL: malformed, said in the log. */
json_t *remember_parse(struct str text, struct str key);
/* One record as JSON (a new reference); NULL: none, or malformed (said in the log). */
json_t *remember_get(struct state *s, enum state_table tab, struct str key);
uint64_t remember_generation(struct state *s); /* meta; 0 when there is none */
/* "2026-11-21T02:00:00.123Z" of now, and back; 0 when it is none. */
json_t *remember_now(void);
uint64_t remember_time(struct str text);

/* Members of records, forgiving: "" and 0 where there is none. */
struct str json_str(const json_t *o, const char *name);
uint64_t json_u64(const json_t *o, const char *name);
json_t *json_of(struct str s); /* a string */

#endif
