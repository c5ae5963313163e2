/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints that change without a generation: sets that take the place of what a service's settings
 * say, and what host names stand for now. The keeper's; changes go into the map's endpoint table in
 * transactions of their own, at most one in ENDPOINT_BATCH_MS except where somebody waits
 * (endpoint_sets_flush). Sets lie in the state's `endpoints` table: service ->
 *
 *	{"schema":1,"author":..,"time":..,"endpoints":[{"url":..,"weight":..},..]}
 *
 * Names come from sets, and from services that did not come through the loader (their endpoints say
 * SERVICE_NOT_LOOKED_UP). Until discovery has answered, a name stands for what the map says.
 */
#ifndef GW_ENDPOINT_SETS_H
#define GW_ENDPOINT_SETS_H

#include "conf/document.h"
#include "conf/service.h"
#include "conf/store.h"
#include "shm/base/loop.h"
#include "shm/state.h"

#define ENDPOINT_BATCH_MS 20

struct endpoint_sets_options {
	struct store *store;
	struct state *state; /* NULL: sets do not outlive the instance */
	/* Takes what is to stand in the state, for a commit of its own before anybody is answered;
	 * record NULL: nothing. NULL: the state is committed here, before the map. */
	void (*remember)(void *arg, struct str service, const char *record);
	struct loop *loop;
	int line;                   /* to discovery; -1: nothing is looked up */
	bool (*busy)(void *arg);    /* a transaction of the map is open; may be NULL */
	void (*changed)(void *arg); /* after a commit: ring the workers */
	void (*want)(void *arg);    /* there are names to look up: start discovery */
	void *arg;
};

struct endpoint_sets;

/* With the sets the state remembers, and the names of the map as it is. The store's `endpoints` is
 * for the owner to set (endpoint_sets_compile). */
struct endpoint_sets *endpoint_sets_new(const struct endpoint_sets_options *o);
void endpoint_sets_free(struct endpoint_sets **s);

/* One change of kind "endpoints": staged until endpoint_sets_flush. 1 changed; 0 it was so already;
 * -1 refused: *status_r (404, 409, 412, 422) and words. check_only: stages nothing. */
int endpoint_sets_change(struct endpoint_sets *s, const struct document_change *c,
    struct str author, bool check_only, uint32_t *status_r, const char **error_r) NODISCARD;
/* What is staged, in force and remembered. -1 with words: nothing of it is. */
int endpoint_sets_flush(struct endpoint_sets *s, const char **error_r) NODISCARD;
/* A generation was committed: services came and went. */
void endpoint_sets_generation(struct endpoint_sets *s);

/* What struct store asks, with the sets for arg. */
endpoints_f endpoint_sets_compile;

struct endpoint_sets_status {
	uint32_t sets;             /* services with a set of their own rhythm */
	uint32_t names;            /* asked of discovery */
	uint32_t unresolved;       /* of them: without address */
	uint32_t failing;          /* of them: the last look-up failed */
	uint64_t commits, changes; /* transactions; services whose endpoints they changed */
	char last_error[256];      /* "name: why", of the last look-up that failed; "" */
};
void endpoint_sets_status(const struct endpoint_sets *s, struct endpoint_sets_status *st_r);
/* {"sets", "names", "unresolved", "failing": [{"name", "error"}, up to 100], ...}: new reference */
json_t *endpoint_sets_json(const struct endpoint_sets *s);

#endif
