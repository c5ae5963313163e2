/* SPDX-License-Identifier: Apache-2.0
 *
 * The reading side of the map: how workers and admin find listeners, routes, services and
 * endpoints. Every slice returned points into the map and dies at table_reset: no map pointer
 * survives a return to the loop. Every access checks bounds; a value that fails is counted by the
 * caller, answered with 500, and reported to the keeper for a rebuild.
 */
#ifndef GW_TABLE_H
#define GW_TABLE_H

#include "conf/object.h"

#define MAP_FORMAT 3

struct table;

/* Opens the map of the epoch the arena names: <run_dir>/map-<format>-<epoch>. After fork, once. */
int table_open(
    const char *run_dir, uint64_t epoch, struct table **t_r, const char **error_r) NODISCARD;
void table_close(struct table **t);

/* Start and end of a turn's reading. renew: 1, or -1 when the map cannot be read any more.
 * Idempotent within a turn. */
int table_renew(struct table *t) NODISCARD;
void table_reset(struct table *t);
uint64_t table_generation(struct table *t); /* of the snapshot being read */

/* Objects. 1, 0 absent, -1 malformed value. */
int table_object(
    struct table *t, enum conf_kind kind, uint32_t number, struct conf_object *o_r) NODISCARD;
int table_find(
    struct table *t, enum conf_kind kind, struct str id, struct conf_object *o_r) NODISCARD;
/* All of a kind in number order: start with *number = 0; 1 per object, 0 at the end. */
int table_next(
    struct table *t, enum conf_kind kind, uint32_t *number, struct conf_object *o_r) NODISCARD;
/* The next of a kind behind `id` in byte order of ids, for pages; "": the first. `id` need not be
 * there. */
int table_after(
    struct table *t, enum conf_kind kind, struct str id, struct conf_object *o_r) NODISCARD;
uint64_t table_count(struct table *t, enum conf_kind kind);
/* Calls fn for each object that another generation than `from` may have otherwise: changed, new or
 * gone since. 0: that is not known, and any may be; fn may have been called for some. */
int table_changes(struct table *t, uint64_t from,
    void (*fn)(void *arg, enum conf_kind kind, uint32_t number), void *arg) NODISCARD;

/* Endpoints of a service, from the sub-database of their own rhythm. */
struct endpoint_ref {
	uint32_t row, incarnation; /* in the arena */
	uint32_t weight;
	struct addr addr;
	bool unresolved;
	bool tls;             /* https: the host of its URL is whom it has to prove to be */
	struct str host;      /* Host header for HOST_ENDPOINT */
	struct str base_path; /* "" or "/base" */
	struct str name;      /* its address as text, or the host name that did not resolve, behind
				 "https://" with TLS; the name in commands and logs */
	struct str error;     /* why it did not resolve */
};
struct endpoint_set {
	struct digest digest; /* content; changes with every change of the set */
	uint32_t service_row, service_incarnation; /* arena */
	struct str bytes;                          /* borrowed */
	uint32_t n;
};
int table_endpoints(struct table *t, uint32_t service, struct endpoint_set *s_r) NODISCARD;
int endpoint_set_get(
    const struct endpoint_set *s, uint32_t i, struct endpoint_ref *e_r) NODISCARD; /* 1 or -1 */

/* Routing. Precedence (the whole of it, see contrib/doc/routing): host exact, then the longest
 * wildcard, then routes without host; within a host the deepest path node, literal segments before
 * parameters; at a node exact, then regex, then prefix; at equal paths higher priority, more
 * conditions, the source (admin, console, file), smaller id. The first candidate that `accept`
 * takes wins. */
#define MATCH_PARAMS 16
struct match_param {
	struct str name, value; /* value borrowed from the path, not decoded */
};
struct match_query {
	struct str host; /* lower case, without port; "" when there is none */
	struct str path; /* normalised, begins with "/" */
	uint32_t method; /* 1 << enum http_method, of known ones; 0: extension method */
	struct str method_name;
	uint32_t listener; /* number */
	/* Does this candidate's rest hold: headers, query, cookies, regex (for which `regex` is
	 * true and params are added), listener? 1 yes, 0 no, -1 the candidate is unusable (counts
	 * as no). The last one that said yes is the match, if there is one; else those who said yes
	 * were asked only because their methods belong into `allow`. */
	int (*accept)(
	    void *arg, uint32_t route, bool regex, struct match_param *params, unsigned *n_params);
	void *arg;
	bool explain; /* fill match_result.pattern: for people, not for traffic */
};
struct match_result {
	uint32_t route; /* number */
	struct match_param params[MATCH_PARAMS];
	unsigned n_params;
	struct str rest; /* what a prefix's star matched, without leading slash; "" else */
	uint32_t allow;  /* on no match: methods that a route at a matching path would take (1 <<
			    enum http_method) */
	/* With query.explain: host and path pattern that decided, "example.com/users/{id}". Lies in
	 * the table until the next match; "" else. */
	struct str pattern;
};
/* 1 match; 0 none (allow != 0: the path exists for other methods); -1 a malformed value was met (no
 * result). */
int table_match(struct table *t, const struct match_query *q, struct match_result *r) NODISCARD;

/* Fill levels for metrics. */
struct table_fill {
	uint64_t used_bytes, map_bytes, readers, objects;
};
void table_fill(struct table *t, struct table_fill *f_r);

#endif
