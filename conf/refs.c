/* SPDX-License-Identifier: Apache-2.0
 *
 * See refs.h.
 */
#include "conf/refs.h"

#include "conf/listener.h"
#include "conf/route.h"
#include "shm/base/bug.h"

#define LOG_KEPT 4096 /* steps a commit leaves room for */

struct refs_step {
	enum conf_kind kind;
	uint32_t number;
	int by;
};

static void
change(struct refs *r, enum conf_kind kind, uint32_t number, int by)
{
	if (number >= r->of[kind].n) {
		size_t n = MAX(r->of[kind].n * 2, (size_t)number + 64);

		r->of[kind].v = xrealloc(r->of[kind].v, n * sizeof(uint32_t));
		memset(r->of[kind].v + r->of[kind].n, 0, (n - r->of[kind].n) * sizeof(uint32_t));
		r->of[kind].n = n;
	}
	r->of[kind].v[number] += (uint32_t)by;
}

void
refs_add(struct refs *r, enum conf_kind kind, uint32_t number, int by)
{
	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 64 : r->cap * 2;
		r->log = xrealloc(r->log, r->cap * sizeof(*r->log));
	}
	r->log[r->n++] = (struct refs_step){.kind = kind, .number = number, .by = by};
	change(r, kind, number, by);
}

uint32_t
refs_count(const struct refs *r, enum conf_kind kind, uint32_t number)
{
	return number < r->of[kind].n ? r->of[kind].v[number] : 0;
}

void
refs_commit(struct refs *r)
{
	r->n = 0;
	if (r->cap <= LOG_KEPT)
		return;
	free(r->log);
	r->log = NULL;
	r->cap = 0;
}

void
refs_abort(struct refs *r)
{
	while (r->n > 0) {
		const struct refs_step *s = &r->log[--r->n];

		change(r, s->kind, s->number, -s->by);
	}
}

void
refs_fini(struct refs *r)
{
	for (unsigned i = 0; i < CONF_KIND_COUNT; i++)
		free(r->of[i].v);
	free(r->log);
	*r = (struct refs){.log = NULL};
}

/* --- who names whom -------------------------------------------------------------------------- */

static void
route_each(const struct conf_route *r, refs_f *fn, void *arg)
{
	if (r->service.n > 0)
		fn(arg, CONF_SERVICE, r->service, "service");
	for (uint32_t i = 0; i < r->listener.n; i++)
		fn(arg, CONF_LISTENER, r->listener.v[i], "listener");
}

/* Where `certificates` is given, `default` is of those. */
static void
listener_each(const struct conf_listener *l, refs_f *fn, void *arg)
{
	bool given = l->tls.certificates.n > 0;
	const struct strs *ids = given ? &l->tls.certificates : &l->tls.fallback;

	for (uint32_t i = 0; i < ids->n; i++)
		fn(arg, CONF_CERTIFICATE, ids->v[i], given ? "tls.certificates" : "tls.default");
}

void
refs_each(enum conf_kind kind, const void *body, refs_f *fn, void *arg)
{
	if (kind == CONF_ROUTE)
		route_each(body, fn, arg);
	else if (kind == CONF_LISTENER)
		listener_each(body, fn, arg);
}

/* --- at the start ---------------------------------------------------------------------------- */

struct counting {
	struct refs *r;
	struct db_txn *t;
	const struct map *m;
};

static void
count_name(void *arg, enum conf_kind kind, struct str id, const char *setting UNUSED)
{
	const struct counting *g = arg;
	uint32_t number;

	if (map_number(g->t, g->m, kind, id, &number) == 1)
		change(g->r, kind, number, 1);
}

static void
count_object(void *arg, const struct conf_object *o, const void *body)
{
	if (body != NULL)
		refs_each(o->kind, body, count_name, arg);
}

int
refs_load(struct refs *r, struct db_txn *t, const struct map *m)
{
	struct counting g = {r, t, m};

	if (map_each_object(t, m, CONF_ROUTE, count_object, &g) < 0)
		return -1;
	return map_each_object(t, m, CONF_LISTENER, count_object, &g);
}
