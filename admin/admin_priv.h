/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the admin process share: its one struct, and a call of the API.
 */
#ifndef GW_ADMIN_PRIV_H
#define GW_ADMIN_PRIV_H

#include <jansson.h>

#include "admin/server.h"
#include "conf/settings.h"
#include "conf/table.h"
#include "shm/arena.h"
#include "shm/heritage.h"
#include "shm/metric.h"
#include "shm/procs.h"
#include "shm/ring.h"

struct admin {
	const struct heritage *h;
	struct loop *loop;
	struct server server;
	struct watch chan, keeper;
	struct region procs_region, metrics_region, access_region;
	struct procs *procs;
	struct metrics *metrics;
	struct arena *arena;
	struct table *table;
	const char *metrics_error; /* why the metrics listener is not there; NULL when it is, or is
				      not wanted */
};

struct call {
	struct admin *a;
	struct session *s;
	struct ws *ws;     /* the session's */
	struct str arg[4]; /* what the template's {} took, percent-decoded */
	unsigned n_args;
};
typedef void api_f(struct call *c);

#define API(METHOD, path, role, fn, help) api_f fn;
#include "admin/cmds.def"
#undef API

/* Called by the server for each request: finds the row, checks the role, runs it inside one
 * snapshot of the map. */
void api_request(struct session *s);

/* Answers. call_json takes the reference. */
void call_json(struct call *c, unsigned status, json_t *j);
/* First query parameter of that name, percent-decoded; nth counts from 0. 1 or 0. */
int call_query(struct call *c, const char *name, unsigned nth, struct str *value_r);
/* The body as a JSON object. NULL after a 400 was answered; an empty body gives an empty object. */
json_t *call_body(struct call *c);

/* The settings in force, decoded into ws; those of the start when the map has none. */
const struct conf_settings *admin_settings(struct admin *a, struct ws *ws);

json_t *json_of_str(struct str s); /* a JSON string; octets that are not UTF-8 are escaped as %XX */
json_t *json_of_wall(uint64_t us); /* RFC 3339, or null for 0 */

/* Replies of master and keeper, by the id session_wait gave. */
void api_on_verdict(struct admin *a, struct msg *m);
void api_on_endpoint_done(struct admin *a, struct msg *m);

/* One endpoint with its arena row, as api_endpoints shows it. */
json_t *endpoint_json(struct admin *a, struct str service, const struct endpoint_ref *e);
const char *endpoint_state_word(struct admin *a, const struct endpoint_ref *e);

/* /metrics, into out. */
void openmetrics_write(struct admin *a, struct gbuf *out);

#endif
