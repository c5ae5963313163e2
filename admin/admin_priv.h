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
	struct watch chan, keeper, redis;
	struct region procs_region, metrics_region, access_region;
	struct procs *procs;
	struct metrics *metrics;
	struct arena *arena;
	struct table *table;
	json_t *facts;             /* certificates, for people: an array; NULL: none were told */
	const char *metrics_error; /* why the metrics listener is not there; NULL when it is, or is
				      not wanted */
};

/* A row of cmds.def. */
struct call;
typedef void api_f(struct call *c);
struct api_row {
	enum http_method method;
	const char *path;
	int role;
	api_f *fn;
	const char *params, *body, *answers, *help;
};
extern const struct api_row api_table[];
extern const unsigned api_table_n;
/* What every call that changes configuration answers. */
#define API_CHANGED "200 Changed, 201 Changed, 202 Published, 404, 409, 412, 422, 507"

struct call {
	struct admin *a;
	struct session *s;
	const struct api_row *row;
	struct ws *ws;     /* the session's */
	struct str arg[4]; /* what the template's {} took, percent-decoded */
	unsigned n_args;
	enum conf_kind kind; /* of the path's list; CONF_SETTINGS: it has none */
};

#define API(METHOD, path, role, fn, params, body, answers, help) api_f fn;
#include "admin/cmds.def"
#undef API

/* Called by the server for each request: finds the row, checks the role, runs it inside one
 * snapshot of the map. */
void api_request(struct session *s);
bool api_is_bulk(struct session *s);

/* Answers. call_json takes the reference. */
void call_json(struct call *c, unsigned status, json_t *j);
/* First query parameter of that name, percent-decoded; nth counts from 0. 1 or 0. */
int call_query(struct call *c, const char *name, unsigned nth, struct str *value_r);
/* Is the query parameter there, and not 0 or false? */
bool call_flag(struct call *c, const char *name);
/* A number of the query, or what it is without one. -1 after a 400 was answered. */
int call_number(struct call *c, const char *name, uint64_t min, uint64_t max, uint64_t without,
    uint64_t *n_r) NODISCARD;
/* The body as a JSON object. NULL after a 400 was answered; an empty body gives an empty object. */
json_t *call_body(struct call *c);
/* If-Match and If-None-Match: 0 absent, IF_ANY, or a version. -1 after a 400 was answered. */
int call_condition(struct call *c, struct str header, uint64_t *version_r) NODISCARD;

/* The settings in force, decoded into ws; those of the start when the map has none. */
const struct conf_settings *admin_settings(struct admin *a, struct ws *ws);

json_t *json_of_str(struct str s); /* a JSON string; octets that are not UTF-8 are escaped as %XX */
json_t *json_of_wall(uint64_t us); /* RFC 3339, or null for 0 */

/* The settings of an object. NULL when its value is malformed. */
json_t *object_settings(const struct conf_object *o, bool all);
json_t *service_state(struct admin *a, const struct conf_object *o);

/* Sends a change document; the answer to the call is what becomes of it. Takes `document`. */
void change_send(struct call *c, json_t *document);
/* The document again as one for the console: whole values, no conditions. NULL when `document` has
 * what cannot be published; *error_r says so. */
json_t *publish_document(struct admin *a, const json_t *document, const char **error_r);
/* Asks the keeper or the redis process (enum ask); the answer to the call is theirs. */
void ask_send(struct call *c, enum line line, uint32_t what, uint64_t n1, uint64_t n2);

/* Replies of the other processes, by the id session_wait gave. */
void api_on_verdict(struct admin *a, struct msg *m);
void api_on_changed(struct admin *a, struct msg *m);
void api_on_answer(struct admin *a, struct msg *m);
void api_on_hello(struct admin *a, struct msg *m);

/* One endpoint with its arena row, as api_endpoints shows it. */
json_t *endpoint_json(struct admin *a, struct str service, const struct endpoint_ref *e);

/* How it stands with the console. */
json_t *console_json(struct call *c);

/* The master tells what there is to know of certificates; the descriptor is taken over. */
void admin_facts(struct admin *a, int fd);

/* The schemas of openapi.json: those of schemas.def and of the field tables. */
json_t *openapi_schemas(void);
/* "string", "Name[]" ... as schemas.def writes types. */
json_t *openapi_type(struct str type);

/* /metrics, into out. */
void openmetrics_write(struct admin *a, struct gbuf *out);
void openmetrics_console(struct admin *a, struct gbuf *out);
void openmetrics_certificates(struct admin *a, struct gbuf *out);
void openmetrics_family(struct gbuf *out, const char *name, const char *type, const char *help);
void openmetrics_label(struct gbuf *out, const char *name, struct str v); /* escaped */
void openmetrics_simple(
    struct gbuf *out, const char *name, const char *type, const char *help, uint64_t v);

#endif
