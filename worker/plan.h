/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans: what a request takes with it when it first waits. A route's settings, its service's, its
 * matcher and its compiled policy chain, copied out of the map once per worker. Routes that differ
 * in id, host, path and method alone share one plan, so that a table of many routes comes to a few
 * plans; which plan a route leads to is a cache line of its own, made when it is first asked for.
 * Both are bounded. A plan is counted by reference: a stream keeps its own over any number of
 * reloads.
 */
#ifndef GW_PLAN_H
#define GW_PLAN_H

#include "conf/match.h"
#include "conf/route.h"
#include "conf/service.h"
#include "conf/table.h"
#include "shm/metric.h"
#include "worker/policy/policy.h"
#include "worker/up/trust.h"

struct plan_service; /* a service as plans share it */

struct plan {
	uint32_t refs;                  /* requests, and routes that lead to it */
	const struct conf_route *route; /* host, path and method are empty, but for a regex's */
	struct str service_id;
	const struct conf_service *service; /* NULL: the route has none */
	uint32_t service_number, metric_service /* row */;
	struct trust_memo trust; /* of the service's TLS */
	struct matcher *matcher;
	struct policy_use *chain; /* service's, then route's */
	unsigned n_chain;
	uint64_t connect_ms, first_byte_ms, idle_ms, total_ms,
	    body_limit;     /* settled: the route's or the service's */
	const char *broken; /* compile failed: why; its routes answer 500 */

	/* The cache's own. */
	struct hnode node;  /* by content, as long as it is known by that */
	bool known;         /* false: its service is another by now, and it serves no new request */
	struct str content; /* what of the route's body is not its own alone */
	struct plan_service *of; /* a reference; NULL: none */
	struct ws ws;
};

/* What of a route is its own. */
struct plan_route {
	struct str id; /* borrowed until the next plan is asked for */
	uint32_t metric_row;
};

struct plans; /* the cache */
/* At most `max` plans, and PLAN_ROUTES times as many routes that lead to them; those not asked for
 * lately make room. What requests hold stays. */
#define PLAN_ROUTES 32
struct plans *plans_new(struct metrics *m, unsigned max);
void plans_free(struct plans **p);

/* The plan of a route by number in the current snapshot: a reference is taken. NULL: no such route,
 * or malformed value. Hot path: one cache line while the generation is unchanged; after that the
 * route's digest is compared. */
struct plan *plan_get(struct plans *p, struct table *t, uint32_t route, struct plan_route *route_r);
void plan_unref(struct plans *ps, struct plan **p);
/* Another map: routes are looked up again, content stays known. */
void plans_forget(struct plans *p);
unsigned plans_count(const struct plans *p);
/* Room taken for routes. */
unsigned plans_routes(const struct plans *p);

#endif
