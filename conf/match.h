/* SPDX-License-Identifier: Apache-2.0
 *
 * What decides a candidate after its path matched: the conditions of a route on listener, headers,
 * query and cookies, with their regular expressions compiled once. Used by workers for traffic and
 * by admin for `routes test`.
 */
#ifndef GW_MATCH_H
#define GW_MATCH_H

#include "conf/route.h"
#include "conf/table.h"
#include "shm/base/regex.h"

struct matcher; /* compiled from a conf_route; owns its regexes */

struct matcher *matcher_new(
    const struct conf_route *r, struct ws *ws, const char **error_r); /* freed with ws */

/* How the request is looked at: header by name (nth occurrence), so that any head representation
 * will do. */
struct match_view {
	int (*header)(void *arg, struct str name, unsigned nth, struct str *value_r); /* 1 or 0 */
	void *arg;
	struct str query; /* raw, without "?" */
	struct str path;
	struct str listener_id;
};
/* 1 all hold; 0 not, *why_r (may be NULL) names the first condition that failed; -1 a regex limit
 * was hit. With `regex`, one of the route's regex paths must match and its named groups are
 * appended to params. */
int matcher_accept(const struct matcher *m, const struct match_view *v, bool regex,
    struct match_param *params, unsigned *n_params, const char **why_r) NODISCARD;

/* First value of a query parameter or cookie (RFC 6265 5.4 order), undecoded. 1 or 0. */
int query_get(struct str query, struct str name, struct str *value_r);
int cookie_get(struct str cookie_header, struct str name, struct str *value_r);

#endif
