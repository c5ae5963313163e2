/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a request goes: the gateway's own paths first, then the table. What the table decided is
 * copied into the request before the step returns, for the map is let go of with the turn.
 */
#include "shm/base/base.h"
#include "worker/accept.h"
#include "worker/conn.h"
#include "worker/http/url.h"
#include "worker/local.h"
#include "worker/plan.h"
#include "worker/steps.h"
#include "worker/worker_priv.h"

struct route_try {
	struct req *r;
	struct table *t;
	/* The candidate that was accepted last: one reference. With no match it was only asked
	 * which methods it takes. */
	struct plan *plan;
	struct plan_route own;
	struct match_view view;
	bool doubled, merged; /* the target has slashes in a row; the path being tried has not */
};

static int
route_header(void *arg, struct str name, unsigned nth, struct str *value_r)
{
	const struct head *h = arg;
	const struct hdr *f = head_find(h, name);

	while (f && nth-- > 0)
		f = head_next(h, f);
	if (!f)
		return 0;
	*value_r = f->value;
	return 1;
}

static int
route_accept(void *arg, uint32_t route, bool regex, struct match_param *params, unsigned *n_params)
{
	struct route_try *a = arg;
	struct worker *w = a->r->worker;
	struct plan_route own;
	struct plan *p = plan_get(w->plans, a->t, route, &own);
	int rc = -1;

	if (!p)
		return -1;
	/* Slashes in a row mean one thing to this route and another to that. */
	if (a->doubled && p->route->merge_slashes != a->merged)
		rc = 0;
	else if (p->matcher)
		rc = matcher_accept(p->matcher, &a->view, regex, params, n_params, NULL);
	if (rc < 0 && p->matcher)
		metric_add(w->metrics, M_PROC_REGEX_LIMITS, 1);
	if (rc != 1) {
		plan_unref(w->plans, &p);
		return rc;
	}
	if (a->plan)
		plan_unref(w->plans, &a->plan);
	a->plan = p;
	a->own = own;
	a->own.id = ws_str(&a->r->ws, own.id);
	return rc;
}

static int
route_match(struct route_try *a, struct str path)
{
	struct req *r = a->r;
	struct match_query q = {
	    .host = r->in.host,
	    .path = path,
	    .method = r->in.method < METHOD_COUNT ? 1u << r->in.method : 0,
	    .method_name = r->in.method_text,
	    .listener = r->conn->listener->number,
	    .accept = route_accept,
	    .arg = a,
	};

	a->view.path = path;
	return table_match(a->t, &q, &r->match);
}

/* The path of the target as it was sent, in either form. */
static struct str
route_raw_path(const struct head *h)
{
	struct str t = h->target;
	ssize_t at = str_chr(t, '?');

	if (at >= 0) /* first: slashes of the query are none of the path's */
		t.n = (size_t)at;
	if (h->scheme.n && t.n && t.p[0] != '/') { /* not the origin form */
		t = str_sub(t, h->scheme.n + 3, t.n);
		at = str_chr(t, '/');
		t = at < 0 ? STR("/") : str_sub(t, (size_t)at, t.n);
	}
	return t;
}

/* 1 a route took it (a->plan), 0 none, -1 the table is damaged. */
static int
route_find(struct route_try *a)
{
	struct req *r = a->r;
	struct str raw = route_raw_path(&r->in), kept;
	uint32_t allow;
	int rc;

	a->doubled = str_find(raw, STR("//")) >= 0;
	a->merged = true;
	rc = route_match(a, r->in.path);
	if (rc != 0 || !a->doubled || url_path(raw, false, &r->ws, &kept) < 0)
		return rc;
	allow = r->match.allow;
	a->merged = false;
	rc = route_match(a, kept);
	if (rc == 1)
		r->in.path = r->up_path = kept;
	r->match.allow |= allow;
	return rc;
}

static int
route_reply(struct req *r, enum reason why)
{
	req_reply_reason(r, why);
	return step_to(r, STEP_REPLY);
}

/* 405 where the path exists for other methods, 404 where it does not. */
static int
route_none(struct req *r)
{
	char *p;

	if (r->match.allow == 0)
		return route_reply(r, REASON_NO_ROUTE);
	req_reply_reason(r, REASON_METHOD);
	p = ws_bytes(&r->ws, 96);
	if (p)
		r->reply.allow = str_n(p, method_allow(r->match.allow, p, 96));
	return step_to(r, STEP_REPLY);
}

/* Names of captured parameters lie in the map, their values in the request's path. */
static void
route_keep_params(struct req *r)
{
	for (unsigned i = 0; i < r->match.n_params; i++)
		r->match.params[i].name = ws_str(&r->ws, r->match.params[i].name);
	r->match.pattern = STR("");
}

static int
route_taken(struct req *r, struct plan *p, const struct plan_route *own)
{
	const struct conf_route *route = p->route;

	r->plan = p;
	r->route = own->id;
	r->metric_route = own->metric_row;
	r->service = p->service_id;
	route_keep_params(r);
	if (p->body_limit)
		r->body_limit = p->body_limit;
	if (p->broken)
		return route_reply(r, REASON_INTERNAL);
	if (route->require_length && r->in.body == BODY_CHUNKED)
		return route_reply(r, REASON_LENGTH_REQUIRED);
	return step_to(r, STEP_POLICIES);
}

static int
route_table(struct req *r)
{
	struct worker *w = r->worker;
	struct table *t = worker_table(w);
	struct route_try a = {.r = r,
	    .t = t,
	    .view = {.header = route_header,
		.arg = &r->in,
		.query = r->in.query,
		.listener_id = str_of(r->conn->listener->id)}};
	int rc;

	if (!t)
		return route_reply(r, REASON_INTERNAL);
	r->generation = table_generation(t);
	rc = route_find(&a);
	if (rc == 1)
		return route_taken(r, a.plan, &a.own);
	if (a.plan)
		plan_unref(w->plans, &a.plan);
	if (rc == 0)
		return route_none(r);
	metric_add(w->metrics, M_PROC_TABLE_ERRORS, 1);
	return route_reply(r, REASON_INTERNAL);
}

int
step_route(struct req *r)
{
	const struct conf_listener *l = r->conn->listener->conf;

	if (method_answers(r))
		return step_to(r, STEP_REPLY);
	if (health_answers(r, l)) {
		health_reply(r);
		return step_to(r, STEP_REPLY);
	}
	if (manage_answers(r)) {
		if (!manage_allows(r, l))
			return step_to(r, STEP_REPLY);
		r->own_upstream = true;
		return step_to(r, STEP_PREPARE);
	}
	return route_table(r);
}

bool
method_answers(struct req *r)
{
	switch (r->in.method) {
	case METHOD_CONNECT:
		req_reply_reason(r, REASON_NOT_IMPLEMENTED);
		r->reply.close = true;
		return true;
	case METHOD_TRACE:
		req_reply_reason(r, REASON_METHOD);
		r->reply.allow = STR("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
		return true;
	case METHOD_OPTIONS:
		if (!str_eq(r->in.path, STR("*")))
			return false;
		req_reply(r, 200, REASON_NONE, STR(""), STR(""));
		r->reply.allow = STR("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
		return true;
	default:
		return false;
	}
}
