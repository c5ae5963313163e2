/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of a load share: the trees, the ids seen so far, the services waiting for
 * addresses.
 */
#ifndef GW_LOAD_PRIV_H
#define GW_LOAD_PRIV_H

#include "conf/listener.h"
#include "conf/load.h"
#include "conf/node.h"
#include "conf/route.h"
#include "conf/service.h"
#include "shm/base/hash.h"

/* An id and where it was given. */
struct load_id {
	struct hnode node;
	struct load_id *next; /* of its kind, as they came */
	struct str id;
	const char *file;
	uint32_t line;
};

/* A service is encoded last, with the addresses of its endpoints. */
struct load_service {
	struct conf_service *body;
	const struct node *at;
	struct conf_object *object;
};

struct load {
	struct load_result *r;
	struct conf_check *c;
	struct ws_pool pool;
	struct ws keep;    /* trees, ids, services: until the load's end */
	struct ws scratch; /* one object at a time */
	struct runs *runs;
	struct node *root; /* all files merged */
	bool unreadable;   /* a run's text is not well formed: nothing behind it was looked at */
	struct {
		struct htab by_id;
		struct load_id *first, *last;
		struct str greatest;
	} ids[CONF_KIND_COUNT];
	const struct load_id *now; /* of the object being read */
	struct htab matches;       /* of routes, to find two that match the same */
	struct load_service *services;
	uint32_t n_services;
	struct conf_listener *listeners;
	struct str *listener_ids;
	const struct node **listener_at;
	uint32_t n_listeners;
	struct gbuf body;
};

/* load_tree.c: main file and conf.d into l->root. -1 after errors that leave no tree. */
int load_tree(struct load *l, const char *conf_file, const char *dir) NODISCARD;

/* load_object.c: every object of the lists; errors through l->c. */
void load_settings(struct load *l);
void load_objects(struct load *l);
void load_store(struct load *l, struct conf_object *o, const void *self); /* encodes its body */

/* load_refs.c: what holds between objects. */
bool load_has(const struct load *l, enum conf_kind kind, struct str id);
void load_check_listeners(struct load *l);
void load_check_route(struct load *l, const struct conf_route *r);

/* load_resolve.c: addresses for all endpoints whose host is a name. look_up false: none gets any.
 */
void load_resolve(struct load *l, bool look_up);

#endif
