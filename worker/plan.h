/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans: what a request takes with it when it first waits. A route's configuration, its service's,
 * its matcher and its compiled policy chain, copied once per worker out of the map, cached by
 * content hash (route digest and service digest), bounded, counted by reference: a stream keeps its
 * plan over any number of reloads.
 */
#ifndef GW_PLAN_H
#define GW_PLAN_H

#include "conf/match.h"
#include "conf/route.h"
#include "conf/service.h"
#include "conf/table.h"
#include "shm/base/list.h"
#include "shm/metric.h"
#include "worker/policy/policy.h"
#include "worker/up/trust.h"

struct plan {
	uint32_t refs;
	struct list unused; /* among those nobody holds */
	struct hnode node;
	struct digest digest;
	struct ws ws;
	uint32_t route_number,
	    service_number; /* as of the last look-up: renumbering makes a new plan */
	struct str id;      /* route id */
	const struct conf_route *route;
	struct str service_id;
	const struct conf_service *service; /* NULL: the route has none */
	struct trust_memo trust;            /* of the service's TLS */
	struct matcher *matcher;
	struct policy_use *chain; /* service's, then route's */
	unsigned n_chain;
	uint32_t metric_route, metric_service; /* rows */
	uint64_t connect_ms, first_byte_ms, idle_ms, total_ms,
	    body_limit;     /* settled: the route's or the service's */
	const char *broken; /* compile failed: why; the route answers 500 */
};

struct plans; /* the cache */
struct plans *plans_new(struct metrics *m, unsigned max);
void plans_free(struct plans **p);

/* The plan of a route by number in the current snapshot: a reference is taken. NULL: no such route,
 * or malformed value. Hot path: one array look-up while the generation is unchanged. */
struct plan *plan_get(struct plans *p, struct table *t, uint32_t route);
void plan_ref(struct plan *p);
void plan_unref(struct plans *ps, struct plan **p);
/* Another map: numbers are looked up again, content stays known. */
void plans_forget(struct plans *p);
unsigned plans_count(const struct plans *p);

#endif
