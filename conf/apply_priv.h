/* SPDX-License-Identifier: Apache-2.0
 *
 * A change set under way, for apply.c (the order of things), apply_diff.c (what differs),
 * apply_objects.c (records and tables) and apply_refs.c (what must hold between objects).
 */
#ifndef GW_APPLY_PRIV_H
#define GW_APPLY_PRIV_H

#include "conf/apply.h"
#include "conf/changeset.h"
#include "conf/routing.h"
#include "shm/base/ws.h"

struct change {
	enum change_op op;
	bool fresh;  /* the object is new */
	bool relink; /* route: the tables name it otherwise than before */
	struct conf_object
	    o; /* put: borrowed from the change set; delete: as it was, without body */
	struct str old_body; /* of a route that was there; in ws */
};

struct apply {
	struct store *s;
	struct conf_check *report;
	struct changeset set;
	struct db_txn *txn;
	struct map_meta meta; /* as it will be */
	struct rows *rows;
	struct routing *routing;
	struct ws ws;      /* until the end */
	struct ws scratch; /* one object at a time */
	struct gbuf out;
	struct change *v;
	uint32_t n, cap;
	struct bits touched[CONF_KIND_COUNT];
	bool damaged; /* a route's old settings cannot be read: where it hangs is not known */
	bool rebuild; /* the tables were found damaged: all routes anew */
	bool fatal;   /* the map refused; no use in going on */
	struct apply_listener listeners[LISTEN_MAX];
	unsigned n_listeners;
};

/* "file:line: routes[id].setting: ..." */
void apply_error(struct apply *a, const struct conf_object *o, const char *setting, const char *fmt,
    ...) PRINTF(4, 5);
/* What the map said; ends the attempt. A full map is put into words that help. */
void apply_fatal(struct apply *a, const char *error);
/* Every so many objects: somebody may be waiting for a sign of life. */
void apply_alive(struct apply *a, uint32_t i);

/* 1 or -1: fatal. Errors are in the report. */
int apply_diff(struct apply *a) NODISCARD;
int apply_unlink(struct apply *a) NODISCARD;
int apply_objects(struct apply *a) NODISCARD;
int apply_services(struct apply *a) NODISCARD;
int apply_refs(struct apply *a) NODISCARD;
int apply_link(struct apply *a) NODISCARD;

/* Services and listeners that a route names are there. */
void apply_refs_route(struct apply *a, const struct conf_object *o, const struct conf_route *r);

#endif
