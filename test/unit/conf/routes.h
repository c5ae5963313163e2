/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes in a few words, linked into a map of their own, and requests put to them.
 */
#ifndef GW_TEST_CONF_ROUTES_H
#define GW_TEST_CONF_ROUTES_H

#include "conf/method.h"
#include "test/unit/conf/kit.h"

#define MAX_LIST 4

struct def {
	const char *id;
	const char *host, *path, *method, *listener; /* lists separated by blanks; NULL: any */
	int priority;
	unsigned conditions;
	bool refuses; /* its conditions do not hold */
};

struct route {
	struct def d;
	uint32_t number;
	struct conf_route r;
	struct str list[4][MAX_LIST];
	struct conf_cond cond[8];
};

UNUSED static struct strs
words(const char *text, struct str *room)
{
	struct strs s = {.v = room};
	struct str rest = str_of(text), word;

	while (str_cut(&rest, ' ', &word))
		room[s.n++] = word;
	return s;
}

UNUSED static void
route_make(struct route *r, const struct def *d, uint32_t number)
{
	*r = (struct route){.d = *d, .number = number};
	r->r.host = words(d->host, r->list[0]);
	r->r.path = words(d->path, r->list[1]);
	r->r.method = words(d->method, r->list[2]);
	r->r.listener = words(d->listener, r->list[3]);
	r->r.priority = d->priority;
	r->r.headers = (struct conf_list){.v = r->cond, .n = d->conditions};
}

UNUSED static void
link_routes(struct kit *k, struct route *v, unsigned n, bool on)
{
	struct routing *r = routing_new(k->txn, &k->map, &k->meta);
	const char *error = NULL;
	int ok = 1;

	for (unsigned i = 0; i < n && ok == 1; i++) {
		kit_object(k, CONF_ROUTE, v[i].number, str_of(v[i].d.id));
		ok = on ? routing_link(r, v[i].number, &v[i].r, &error)
			: routing_unlink(r, v[i].number, &v[i].r, &error);
	}
	if (ok != 1 || routing_flush(r, &error) < 0)
		fail_msg("%s", error);
	routing_free(&r);
}

/* --- asking ---------------------------------------------------------------------------------- */

struct ask {
	struct route *v;
	unsigned n, asked;
};

UNUSED static int
accept_by_def(void *arg, uint32_t number, bool regex, struct match_param *params, unsigned *n)
{
	struct ask *a = arg;

	a->asked++;
	for (unsigned i = 0; i < a->n; i++) {
		if (a->v[i].number != number)
			continue;
		if (regex && *n < MATCH_PARAMS)
			params[(*n)++] = (struct match_param){STR("regex"), STR("yes")};
		return !a->v[i].d.refuses;
	}
	return -1;
}

UNUSED static struct match_query
query_of(const char *method, const char *host, const char *path, struct ask *a)
{
	enum http_method m = method_of(str_of(method));

	return (struct match_query){
	    .host = str_of(host),
	    .path = str_of(path),
	    .method = m < METHOD_COUNT ? 1u << m : 0,
	    .method_name = str_of(method),
	    .listener = 1,
	    .accept = accept_by_def,
	    .arg = a,
	    .explain = true,
	};
}

struct fixture {
	struct kit kit;
	struct route v[64];
	unsigned n;
};

UNUSED static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	kit_open(&f->kit);
	*state = f;
	return 0;
}

UNUSED static int
teardown(void **state)
{
	struct fixture *f = *state;

	kit_close(&f->kit);
	free(f);
	return 0;
}

#endif
