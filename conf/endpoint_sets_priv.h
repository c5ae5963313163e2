/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoint sets between endpoint_sets.c (sets, changes), endpoint_state.c, endpoint_batch.c (into
 * the map) and endpoint_names.c (names, discovery's line).
 */
#ifndef GW_ENDPOINT_SETS_PRIV_H
#define GW_ENDPOINT_SETS_PRIV_H

#include "conf/endpoint_sets.h"
#include "conf/service.h"
#include "shm/base/hash.h"
#include "shm/base/list.h"
#include "shm/base/msg.h"

/* A set as a change left it. Never altered. */
struct own_set {
	struct ws ws;
	const struct conf_service *body; /* its endpoints are the set */
	char *record;                    /* for the state; malloc'ed by jansson */
};

struct named {
	struct hnode node;
	uint32_t refs;
	bool answered;
	struct addr *v; /* without port */
	uint32_t n;
	char error[160]; /* of the last look-up; "" */
	size_t len;
	char name[]; /* in lower case */
};

/* A service with a set, a staged change, or names. */
struct entry {
	struct hnode node;
	struct list staged;  /* there is a change to come: `next` */
	struct list touched; /* its record in the map is to be made again */
	struct list look;    /* the service is to be looked at: is it there, which names has it */
	struct own_set *set, *next; /* NULL: the settings hold */
	struct named **names;
	uint32_t n_names;
	char id[64];
};

struct endpoint_sets {
	struct endpoint_sets_options o;
	struct htab entries, names;
	struct list staged, touched, look;
	uint32_t n_sets;
	struct defer soon;
	struct timer timer;
	uint64_t batch_ms; /* of the last commit; 0: none yet */
	uint64_t commits, changes;
	char error[2048];
	/* endpoint_names.c */
	struct watch line;
	struct msg msg;
	bool names_changed; /* the list was not sent yet */
	bool greeted;       /* our list was sent once: discovery may leave out what it said */
	struct timer resend;
	char last_error[256];
};

/* endpoint_sets.c */
struct entry *entry_get(struct endpoint_sets *s, struct str id, bool make);
void entry_set(struct endpoint_sets *s, struct entry *e, struct own_set *set); /* takes it */
/* Nothing is known of it any more: frees it. */
void entry_forget(struct endpoint_sets *s, struct entry *e);
void own_set_free(struct own_set **o);
void sets_unstage(struct endpoint_sets *s);
/* The endpoints of {"endpoints": [...]}, checked. NULL: check says why. */
const struct conf_service *sets_read(
    struct str id, const json_t *value, struct ws *ws, struct conf_check *check);

/* endpoint_state.c */
/* Into the state: what is staged, or (back) what is in force. 1 or -1. */
int sets_remember(struct endpoint_sets *s, bool back, const char **error_r) NODISCARD;
void sets_load(struct endpoint_sets *s);

/* endpoint_batch.c */
void batch_start(struct endpoint_sets *s);
void batch_touch(struct endpoint_sets *s, struct entry *e);
/* Staged and touched ones. -1: nothing of what is staged is in force. */
int batch_commit(struct endpoint_sets *s, const char **error_r) NODISCARD;
/* Its settings, decoded into ws, as committed. 1, 0 there is no such service, -1. */
int batch_service(struct endpoint_sets *s, struct db_txn *t, struct str id, struct ws *ws,
    uint32_t *number_r, struct conf_service **c_r) NODISCARD;

/* endpoint_names.c */
void names_start(struct endpoint_sets *s);
void names_stop(struct endpoint_sets *s);
/* Which names the entry has now: c's endpoints. Tells discovery when the list is another. */
void names_of(struct endpoint_sets *s, struct entry *e, const struct conf_service *c);
void names_none(struct endpoint_sets *s, struct entry *e);
/* Is this endpoint's address ours to find? Then its name in lower case. */
bool names_wanted(const struct conf_endpoint *e, char name_r[256], uint16_t *port_r);
/* Addresses for such endpoints of c, from ws. */
void names_fill(
    struct endpoint_sets *s, struct conf_service *c, const struct endpoint_set *old, struct ws *ws);
void names_send(struct endpoint_sets *s);

#endif
