/* SPDX-License-Identifier: Apache-2.0
 *
 * A route: what it matches and where it goes. Rows in route.c. Precedence: gateway.conf(5), with
 * examples in contrib/doc/routing.
 */
#ifndef GW_ROUTE_H
#define GW_ROUTE_H

#include "conf/field.h"
#include "conf/websocket.h"

extern const struct fields route_fields;

enum { COND_EXACT, COND_PREFIX, COND_REGEX, COND_PRESENT, COND_ABSENT };
/* A condition on a header, a query parameter or a cookie. */
struct conf_cond {
	struct str name;
	int32_t match; /* COND_* */
	struct str value;
};

struct conf_route {
	struct strs host;   /* "example.com", "*.example.com"; empty: any */
	struct strs path;   /* exact, {parameters}, a lone star segment, a star at the end = prefix,
			       "~regex" */
	struct strs method; /* empty: any. GET also takes HEAD */
	struct conf_list headers, query, cookies; /* struct conf_cond, all must hold */
	struct strs listener;                     /* ids; empty: all */
	int64_t priority;   /* breaks ties between routes of equal path; higher first */
	struct str service; /* "" when a policy answers */
	struct {
		uint64_t first_byte, idle, total, connect; /* 0 = the service's */
	} timeouts;
	struct {
		uint64_t body; /* 0 = the listener's */
	} limits;
	bool require_length;
	bool merge_slashes;
	struct conf_websocket websocket;
	bool streaming, half_close;
	struct conf_list policies; /* struct conf_policy */
};

/* What of a route's encoded body is not for itself alone: all behind its hosts, paths and methods,
 * which say only where it hangs; everything where a path is a regular expression, which is asked at
 * each request. Decodes like the whole. Borrowed. */
struct str route_shared(struct str body);

#endif
