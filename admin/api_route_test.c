/* SPDX-License-Identifier: Apache-2.0
 *
 * `routes test`: runs the data plane's own matching over a request that is only described, and says
 * which candidates were looked at and why each was taken or not.
 */
#include "admin/admin_priv.h"
#include "conf/match.h"
#include "conf/route.h"
#include "shm/base/base.h"
#include "worker/http/url.h"

#define TEST_HEADERS 32

struct test_run {
	struct call *c;
	json_t *tried;
	struct match_view view;
	struct str name[TEST_HEADERS], value[TEST_HEADERS];
	unsigned n_headers;
};

static int
test_header(void *arg, struct str name, unsigned nth, struct str *value_r)
{
	struct test_run *t = arg;

	for (unsigned i = 0; i < t->n_headers; i++) {
		if (!str_ieq(t->name[i], name) || nth-- > 0)
			continue;
		*value_r = t->value[i];
		return 1;
	}
	return 0;
}

static void
test_note(struct test_run *t, struct str id, int got, const char *why)
{
	json_t *j = json_object();

	json_object_set_new(j, "route", json_of_str(id));
	json_object_set_new(j, "taken", json_boolean(got == 1));
	if (got != 1)
		json_object_set_new(j, "why", json_string(why != NULL ? why : "unusable"));
	json_array_append_new(t->tried, j);
}

static int
test_accept(void *arg, uint32_t number, bool regex, struct match_param *params, unsigned *n_params)
{
	struct test_run *t = arg;
	struct conf_object o;
	struct conf_route *route;
	struct matcher *m;
	const char *why = NULL, *error = NULL;
	int got;

	if (table_object(t->c->a->table, CONF_ROUTE, number, &o) != 1)
		return -1;
	route = object_body(&o, t->c->ws);
	m = route != NULL ? matcher_new(route, t->c->ws, &error) : NULL;
	if (m == NULL) {
		test_note(t, o.id, -1, error);
		return -1;
	}
	got = matcher_accept(m, &t->view, regex, params, n_params, &why);
	test_note(t, o.id, got, why);
	return got;
}

/* "Name:value" of every ?header=. */
static void
test_headers(struct test_run *t)
{
	struct str v;

	for (unsigned i = 0; i < TEST_HEADERS && call_query(t->c, "header", i, &v) == 1; i++) {
		ssize_t colon = str_chr(v, ':');

		if (colon <= 0)
			continue;
		t->name[t->n_headers] = str_trim(str_sub(v, 0, (size_t)colon));
		t->value[t->n_headers++] = str_trim(str_sub(v, (size_t)colon + 1, v.n));
	}
}

/* "http://host:port/path?query", or only "/path?query". False after the problem was answered. */
static bool
test_url(struct test_run *t, struct match_query *q)
{
	struct str url = STR(""), authority = STR(""), path;
	uint16_t port;
	ssize_t at;

	(void)call_query(t->c, "url", 0, &url);
	at = str_find(url, STR("://"));
	if (at >= 0) {
		url = str_sub(url, (size_t)at + 3, url.n);
		ssize_t slash = str_chr(url, '/');

		authority = slash < 0 ? url : str_sub(url, 0, (size_t)slash);
		url = slash < 0 ? STR("/") : str_sub(url, (size_t)slash, url.n);
	}
	at = str_chr(url, '?');
	path = at < 0 ? url : str_sub(url, 0, (size_t)at);
	t->view.query = at < 0 ? STR("") : str_sub(url, (size_t)at + 1, url.n);
	if (url_path(path, true, t->c->ws, &q->path) < 0) {
		session_problem(
		    t->c->s, 400, "not a path the gateway would accept: \"%.*s\"", STR_ARG(path));
		return false;
	}
	if (authority.n > 0 &&
	    url_authority(authority, t->c->ws, &authority, &q->host, &port) < 0) {
		session_problem(t->c->s, 400, "not a host: \"%.*s\"", STR_ARG(authority));
		return false;
	}
	t->view.path = q->path;
	return true;
}

static bool
test_listener(struct test_run *t, struct match_query *q)
{
	struct conf_object o;
	uint32_t number = 0;
	struct str id;

	if (call_query(t->c, "listener", 0, &id) != 1) {
		if (table_next(t->c->a->table, CONF_LISTENER, &number, &o) != 1)
			return true;
	} else if (table_find(t->c->a->table, CONF_LISTENER, id, &o) != 1) {
		session_problem(t->c->s, 404, "no listener \"%.*s\"", STR_ARG(id));
		return false;
	}
	q->listener = o.number;
	t->view.listener_id = o.id;
	return true;
}

static void
test_result(struct test_run *t, const struct match_result *m, json_t *j)
{
	struct conf_object o;
	struct conf_route *route;
	json_t *params = json_object();

	if (table_object(t->c->a->table, CONF_ROUTE, m->route, &o) != 1)
		o = (struct conf_object){.id = STR("")};
	route = o.id.n > 0 ? object_body(&o, t->c->ws) : NULL;
	json_object_set_new(j, "route", json_of_str(o.id));
	json_object_set_new(j, "service", json_of_str(route != NULL ? route->service : STR("")));
	json_object_set_new(j, "pattern", json_of_str(m->pattern));
	json_object_set_new(j, "rest", json_of_str(m->rest));
	for (unsigned i = 0; i < m->n_params; i++) {
		char *name = str_z(m->params[i].name);

		json_object_set_new(params, name, json_of_str(m->params[i].value));
		free(name);
	}
	json_object_set_new(j, "params", params);
}

/* Where nobody was taken, whoever stood was only passed over for the method. */
static void
test_method(struct test_run *t)
{
	json_t *j;
	size_t i;

	json_array_foreach(t->tried, i, j)
	{
		if (!json_is_true(json_object_get(j, "taken")))
			continue;
		json_object_set_new(j, "taken", json_false());
		json_object_set_new(j, "why", json_string("it does not take the method"));
	}
}

static json_t *
test_answer(struct test_run *t, int got, const struct match_result *m)
{
	json_t *j = json_pack("{s:b}", "matched", got == 1);

	if (got != 1)
		test_method(t);
	if (got == 1)
		test_result(t, m, j);
	else if (got == 0 && m->allow != 0) {
		char allow[96];

		json_object_set_new(j, "status", json_integer(405));
		json_object_set_new(
		    j, "allow", json_stringn(allow, method_allow(m->allow, allow, sizeof(allow))));
	} else
		json_object_set_new(j, "status", json_integer(got == 0 ? 404 : 500));
	json_object_set(j, "tried", t->tried);
	return j;
}

void
api_route_test(struct call *c)
{
	struct test_run t = {.c = c};
	struct match_query q = {.accept = test_accept, .arg = &t, .explain = true};
	struct match_result m = {0};
	struct str method = STR("GET");

	(void)call_query(c, "method", 0, &method);
	q.method_name = method;
	q.method = method_of(method) < METHOD_COUNT ? 1u << method_of(method) : 0;
	t.view = (struct match_view){.header = test_header, .arg = &t};
	test_headers(&t);
	if (!test_url(&t, &q) || !test_listener(&t, &q))
		return;
	t.tried = json_array();
	int got = table_match(c->a->table, &q, &m);

	call_json(c, 200, test_answer(&t, got, &m));
	json_decref(t.tried);
}
