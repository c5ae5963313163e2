/* SPDX-License-Identifier: Apache-2.0
 *
 * What the keeper keeps: the map's environment and the arena of one instance. A fresh start makes
 * new ones (a new epoch; old directories go away); a keeper that replaces a dead one finds the
 * instance's own and goes on with them, for the workers have them mapped.
 */
#ifndef GW_STORE_H
#define GW_STORE_H

#include "conf/map.h"
#include "conf/numbers.h"
#include "conf/recent.h"
#include "conf/refs.h"
#include "conf/rows.h"
#include "conf/wants.h"
#include "shm/arena.h"

/* Which endpoints a service is compiled with. s is its settings, decoded: may be given other
 * endpoints and addresses, from ws; old: its set in the map, or NULL. s NULL: the service goes. */
struct conf_service;
typedef void endpoints_f(void *arg, const struct conf_object *o, const struct endpoint_set *old,
    struct conf_service *s, struct ws *ws);

struct store_options {
	const char *run_dir;
	uint64_t started_us; /* the instance: the same value, the same instance */
	unsigned slots, endpoints, services;
	uint64_t map_size;
};

struct store {
	struct store_options o;
	char dir[512]; /* of the map */
	struct map map;
	struct map_meta meta; /* of the last commit */
	struct recent recent; /* as of it */
	struct arena *arena;
	struct numbers numbers;
	struct refs refs;
	struct wants wants;
	struct apply_listener *listeners; /* of the last commit, by number; known after the first
					     apply_compile */
	unsigned n_listeners;
	bool listeners_known;
	uint64_t readers_checked_ns;
	unsigned fill_warned; /* percent */
	bool fresh;           /* nothing was there to go on with */
	/* Objects allowed, of the settings in force; 0: any number. Follows the settings object. */
	uint64_t max[CONF_KIND_COUNT];
	/* Set by the owner after store_open; each may be NULL. */
	rows_verdict_f *verdict;
	uint64_t (*oldest)(void *arg); /* endpoints_version of the slowest worker */
	endpoints_f *endpoints;
	void (*alive)(void *arg); /* called now and then in long work */
	void *arg;
};

/* What a settings object allows, into s->max or the like. Unreadable ones change nothing. */
void store_limits(const struct conf_object *settings, uint64_t max[CONF_KIND_COUNT]);

int store_open(struct store *s, const struct store_options *o, const char **error_r) NODISCARD;
void store_close(struct store *s);
/* The map's environment anew, between transactions: LMDB keeps every page that the largest one so
 * far has written as memory of this process. -1: it cannot be gone on with. */
int store_slim(struct store *s, const char **error_r) NODISCARD;

#endif
