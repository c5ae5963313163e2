/* SPDX-License-Identifier: Apache-2.0
 *
 * A change set's records in the map: objects with their names, endpoint sets, and routes in the
 * matching tables.
 */
#include "conf/apply_priv.h"

#include "conf/endpoint_set.h"
#include "conf/service.h"
#include "shm/base/bug.h"

/* --- objects --------------------------------------------------------------------------------- */

static int
image_put(struct apply *a, enum map_table table, struct str key, bool fresh)
{
	db_table tab = a->s->map.tab[table];
	struct str value = str_n(a->out.p, a->out.n);
	const char *error;

	if ((fresh ? db_append(a->txn, tab, key, value, &error)
		   : db_put(a->txn, tab, key, value, &error)) == 1)
		return 1;
	apply_fatal(a, error);
	return -1;
}

static int
name_put(struct apply *a, const struct conf_object *o)
{
	char key[80];
	size_t at;

	a->out.n = 0;
	at = image_begin(&a->out, 'N');
	gbuf_u32(&a->out, o->number);
	image_end(&a->out, at);
	return image_put(a, MAP_NAME, image_key_name(key, o->kind, o->id), true);
}

static int
by_id(const void *x, const void *y)
{
	return str_cmp((*(struct change *const *)x)->o.id, (*(struct change *const *)y)->o.id);
}

/* In the order they stand in, as most files have them already. */
static int
names_put(struct apply *a, enum conf_kind kind)
{
	uint32_t n = 0, from = a->of[kind].from, to = a->of[kind].to;
	struct change **v = xcalloc(to - from + 1, sizeof(*v));
	bool sorted = true;
	int ok = 1;

	for (uint32_t i = from; i < to; i++) {
		struct change *c = a->v[i];

		if (c->o.kind != kind || c->op != CHANGE_PUT || !c->fresh)
			continue;
		v[n++] = c;
		sorted = sorted && (n == 1 || by_id(&v[n - 2], &v[n - 1]) < 0);
	}
	if (!sorted)
		qsort(v, n, sizeof(*v), by_id);
	for (uint32_t i = 0; i < n && ok == 1; i++)
		ok = name_put(a, &v[i]->o);
	free(v);
	return ok;
}

static int
object_put(struct apply *a, struct change *c)
{
	char key[8];
	size_t at;

	c->o.version = a->meta.generation;
	a->out.n = 0;
	at = image_begin(&a->out, 'O');
	object_encode(&c->o, &a->out);
	image_end(&a->out, at);
	if (image_put(a, MAP_OBJECT, image_key_object(key, c->o.kind, c->o.number), c->fresh) < 0)
		return -1;
	a->meta.count[c->o.kind] += c->fresh;
	return 1;
}

static int
object_delete(struct apply *a, const struct change *c)
{
	const struct map *m = &a->s->map;
	char key[8], name[80];

	if (db_del(a->txn, m->tab[MAP_OBJECT], image_key_object(key, c->o.kind, c->o.number)) < 0 ||
	    db_del(a->txn, m->tab[MAP_NAME], image_key_name(name, c->o.kind, c->o.id)) < 0) {
		apply_fatal(a, "an object cannot be deleted");
		return -1;
	}
	numbers_give(&a->s->numbers, c->o.kind, c->o.number);
	a->meta.count[c->o.kind]--;
	return 1;
}

int
apply_objects(struct apply *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct change *c = a->v[i];

		apply_alive(a, i);
		if ((c->op == CHANGE_PUT ? object_put(a, c) : object_delete(a, c)) < 0)
			return -1;
	}
	for (unsigned kind = 0; kind < CONF_KIND_COUNT; kind++)
		if (names_put(a, (enum conf_kind)kind) < 0)
			return -1;
	return 1;
}

/* --- services -------------------------------------------------------------------------------- */

/* Made for the first service; the slowest worker is asked for no sooner. */
static struct rows *
rows_of(struct apply *a)
{
	struct store *s = a->s;

	if (a->rows == NULL)
		a->rows = rows_new(s->arena, s->oldest != NULL ? s->oldest(s->arg) : UINT64_MAX,
		    s->verdict, s->arg);
	return a->rows;
}

/* The set as it was, copied out of the map. 1 or 0. */
static int
set_old(struct apply *a, uint32_t number, struct endpoint_set *old_r)
{
	struct str value;
	char key[8];

	if (db_get(a->txn, a->s->map.tab[MAP_ENDPOINT], image_key_number(key, number), &value) != 1)
		return 0;
	return endpoint_set_open(ws_str(&a->scratch, value), old_r) == 1;
}

static int
service_put(struct apply *a, struct change *c)
{
	struct conf_service *s = object_body(&c->o, &a->scratch);
	struct endpoint_set old;
	bool had = set_old(a, c->o.number, &old) == 1;
	const char *error;
	char key[8];

	if (s == NULL) {
		apply_refuse(a, c, OUTCOME_REFUSED, NULL, "its settings cannot be read");
		return 1;
	}
	if (a->s->endpoints != NULL)
		a->s->endpoints(a->s->arg, &c->o, had ? &old : NULL, s, &a->scratch);
	a->out.n = 0;
	if (rows_set(rows_of(a), c->o.id, s, had ? &old : NULL, &a->out, &error) < 0) {
		apply_refuse(a, c, OUTCOME_REFUSED, "endpoints", "%s", error);
		return 1;
	}
	if (had && str_eq(old.bytes, str_n(a->out.p, a->out.n)))
		return 1;
	return image_put(a, MAP_ENDPOINT, image_key_number(key, c->o.number), !had);
}

static int
service_delete(struct apply *a, const struct change *c)
{
	struct endpoint_set old;
	bool had = set_old(a, c->o.number, &old) == 1;
	char key[8];

	if (a->s->endpoints != NULL)
		a->s->endpoints(a->s->arg, &c->o, had ? &old : NULL, NULL, &a->scratch);
	if (had)
		rows_drop(rows_of(a), &old);
	if (db_del(a->txn, a->s->map.tab[MAP_ENDPOINT], image_key_number(key, c->o.number)) >= 0)
		return 1;
	apply_fatal(a, "a service's endpoints cannot be deleted");
	return -1;
}

int
apply_services(struct apply *a)
{
	for (uint32_t i = a->of[CONF_SERVICE].from; i < a->of[CONF_SERVICE].to; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		struct change *c = a->v[i];
		int ok;

		if (c->o.kind != CONF_SERVICE)
			continue;
		ok = c->op == CHANGE_PUT ? service_put(a, c) : service_delete(a, c);
		ws_reset(&a->scratch, mark);
		if (ok < 0)
			return -1;
	}
	return 1;
}

/* --- routes ---------------------------------------------------------------------------------- */

static struct routing *
routing_of(struct apply *a)
{
	if (a->routing == NULL)
		a->routing = routing_new(a->txn, &a->s->map, &a->meta);
	return a->routing;
}

/* A route that still hangs at the same places stays where it is. */
static int
route_unlink(struct apply *a, struct change *c)
{
	const struct conf_route *old = apply_old_body(a, c), *new = NULL;
	const char *error = "its old settings cannot be read";

	if (c->op == CHANGE_PUT)
		new = apply_body(a, c);
	c->relink = old == NULL || new == NULL || !routing_same(old, new);
	if (!c->relink)
		return 1;
	a->damaged |= old == NULL;
	if (old != NULL && routing_unlink(routing_of(a), c->o.number, old, &error) == 1)
		return 1;
	apply_fatal(a, error);
	return -1;
}

int
apply_unlink(struct apply *a)
{
	if (a->rebuild && routing_drop(a->txn, &a->s->map, &a->meta) < 0) {
		apply_fatal(a, "the routing tables cannot be emptied");
		return -1;
	}
	for (uint32_t i = 0; i < a->n && a->n_old > 0 && !a->rebuild; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		struct change *c = a->v[i];
		int ok;

		apply_alive(a, i);
		if (c->o.kind != CONF_ROUTE || c->fresh)
			continue;
		ok = route_unlink(a, c);
		ws_reset(&a->scratch, mark);
		if (ok < 0)
			return -1;
	}
	return 1;
}

static int
route_link(struct apply *a, struct change *c, const struct conf_route *r)
{
	const char *error;

	if (routing_link(routing_of(a), c->o.number, r, &error) == 1)
		return 1;
	if (!routing_damaged(a->routing)) {
		apply_refuse(a, c, OUTCOME_REFUSED, NULL, "%s", error);
		return 1;
	}
	apply_fatal(a, error);
	return -1;
}

/* A route of the map, for the tables that are built anew. The walk only reads: what it links is
 * written at the flush. */
static int
link_again(struct apply *a, const struct conf_object *o)
{
	struct change *c = apply_pending(a, CONF_ROUTE, o->id);
	struct change other = {.by = BY_SET, .o = *o};
	const struct conf_route *r = object_body(o, &a->scratch);

	if (c == NULL)
		c = &other;
	if (r != NULL)
		return route_link(a, c, r);
	apply_refuse(a, c, OUTCOME_REFUSED, NULL, "its settings cannot be read");
	return 1;
}

static int
link_changed(struct apply *a, struct change *c)
{
	const struct conf_route *r = apply_body(a, c);

	if (r == NULL) { /* was readable a moment ago */
		apply_fatal(a, "a route's settings cannot be read");
		return -1;
	}
	apply_count(a, CONF_ROUTE, r, 1);
	return a->rebuild || !c->relink ? 1 : route_link(a, c, r);
}

int
apply_link(struct apply *a)
{
	apply_count_listeners(a);
	for (uint32_t i = a->of[CONF_ROUTE].from; i < a->of[CONF_ROUTE].to; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		struct change *c = a->v[i];
		int ok;

		apply_alive(a, i);
		if (c->o.kind != CONF_ROUTE || c->op != CHANGE_PUT)
			continue;
		ok = link_changed(a, c);
		ws_reset(&a->scratch, mark);
		if (ok < 0)
			return -1;
	}
	if (!a->rebuild)
		return 1;
	(void)routing_of(a);
	return apply_each(a, CONF_ROUTE, link_again);
}
