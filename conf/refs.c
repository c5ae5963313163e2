/* SPDX-License-Identifier: Apache-2.0
 *
 * See refs.h.
 */
#include "conf/refs.h"

#include "conf/route.h"
#include "shm/base/bug.h"

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

/* --- at the start ---------------------------------------------------------------------------- */

static void
count_name(
    struct refs *r, struct db_txn *t, const struct map *m, enum conf_kind kind, struct str id)
{
	uint32_t number;

	if (id.n > 0 && map_number(t, m, kind, id, &number) == 1)
		change(r, kind, number, 1);
}

int
refs_load(struct refs *r, struct db_txn *t, const struct map *m)
{
	struct db_cursor *c = NULL;
	struct conf_object o;
	struct str key, value;
	struct ws ws;
	char from[8];
	int got = db_cursor_at(
	    t, m->tab[MAP_OBJECT], image_key_object(from, CONF_ROUTE, 0), &c, &key, &value);

	ws_init(&ws, NULL, 0);
	while (got == 1 && key.p[0] == CONF_ROUTE) {
		struct ws_mark mark = ws_mark(&ws);
		const struct conf_route *route = NULL;

		if (map_object_decode(key, value, &o) == 1)
			route = object_body(&o, &ws);
		if (route != NULL) {
			count_name(r, t, m, CONF_SERVICE, route->service);
			for (uint32_t i = 0; i < route->listener.n; i++)
				count_name(r, t, m, CONF_LISTENER, route->listener.v[i]);
		}
		ws_reset(&ws, mark);
		got = db_cursor_next(c, &key, &value);
	}
	db_cursor_free(&c);
	ws_free(&ws);
	return got < 0 ? -1 : 1;
}
