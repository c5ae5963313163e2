/* SPDX-License-Identifier: Apache-2.0
 *
 * A change set's records in the map: objects, endpoint sets, and routes in the matching tables.
 */
#include "conf/apply_priv.h"

#include "conf/endpoint_set.h"
#include "conf/service.h"

/* --- objects --------------------------------------------------------------------------------- */

static int
object_put(struct apply *a, struct change *c)
{
	const char *error;
	char key[8];
	size_t at;

	c->o.version = a->meta.generation;
	a->out.n = 0;
	at = image_begin(&a->out, 'O');
	object_encode(&c->o, &a->out);
	image_end(&a->out, at);
	if (a->out.n > IMAGE_MAX) {
		apply_error(a, &c->o, NULL, "takes %zu octets in the map; allowed: up to %d",
		    a->out.n, IMAGE_MAX);
		return 1;
	}
	if (db_put(a->txn, a->s->map.tab[MAP_OBJECT], image_key_object(key, c->o.kind, c->o.number),
		str_n(a->out.p, a->out.n), &error) < 0) {
		apply_fatal(a, error);
		return -1;
	}
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
		struct change *c = &a->v[i];

		apply_alive(a, i);
		if ((c->op == CHANGE_PUT ? object_put(a, c) : object_delete(a, c)) < 0)
			return -1;
	}
	return 1;
}

/* --- services -------------------------------------------------------------------------------- */

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
service_put(struct apply *a, const struct change *c)
{
	struct conf_service *s = object_body(&c->o, &a->scratch);
	struct endpoint_set old;
	bool had = set_old(a, c->o.number, &old) == 1;
	const char *error;
	char key[8];

	if (s == NULL) {
		apply_error(a, &c->o, NULL, "its settings cannot be read");
		return 1;
	}
	if (a->s->endpoints != NULL)
		a->s->endpoints(a->s->arg, &c->o, had ? &old : NULL, s, &a->scratch);
	a->out.n = 0;
	if (rows_set(a->rows, c->o.id, s, had ? &old : NULL, &a->out, &error) < 0) {
		apply_error(a, &c->o, "endpoints", "%s", error);
		return 1;
	}
	if (had && str_eq(old.bytes, str_n(a->out.p, a->out.n)))
		return 1;
	if (db_put(a->txn, a->s->map.tab[MAP_ENDPOINT], image_key_number(key, c->o.number),
		str_n(a->out.p, a->out.n), &error) == 1)
		return 1;
	apply_fatal(a, error);
	return -1;
}

static int
service_delete(struct apply *a, const struct change *c)
{
	struct endpoint_set old;
	char key[8];

	if (a->s->endpoints != NULL)
		a->s->endpoints(a->s->arg, &c->o, NULL, NULL, NULL);
	if (set_old(a, c->o.number, &old) == 1)
		rows_drop(a->rows, &old);
	if (db_del(a->txn, a->s->map.tab[MAP_ENDPOINT], image_key_number(key, c->o.number)) >= 0)
		return 1;
	apply_fatal(a, "a service's endpoints cannot be deleted");
	return -1;
}

int
apply_services(struct apply *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		const struct change *c = &a->v[i];
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

static const struct conf_route *
route_body(struct apply *a, const struct conf_object *o, struct str body)
{
	struct conf_object copy = *o;

	copy.body = body;
	return object_body(&copy, &a->scratch);
}

/* A route that still hangs at the same places stays where it is. */
static int
route_unlink(struct apply *a, struct change *c)
{
	const struct conf_route *old = route_body(a, &c->o, c->old_body), *new = NULL;
	const char *error = "its old settings cannot be read";

	if (c->op == CHANGE_PUT)
		new = route_body(a, &c->o, c->o.body);
	c->relink = old == NULL || new == NULL || !routing_same(old, new);
	if (!c->relink)
		return 1;
	a->damaged |= old == NULL;
	if (old != NULL && routing_unlink(a->routing, c->o.number, old, &error) == 1)
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
	for (uint32_t i = 0; i < a->n && !a->rebuild; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		struct change *c = &a->v[i];
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

/* relink false: it hangs where it hung; only what it names is looked at. */
static int
route_link(struct apply *a, const struct conf_object *o, bool relink)
{
	const struct conf_route *r = object_body(o, &a->scratch);
	uint32_t errors = a->report->errors;
	const char *error;

	if (r == NULL) {
		apply_error(a, o, NULL, "its settings cannot be read");
		return 1;
	}
	apply_refs_route(a, o, r);
	if (!relink || a->report->errors > errors ||
	    routing_link(a->routing, o->number, r, &error) == 1)
		return 1;
	if (!routing_damaged(a->routing)) {
		apply_error(a, o, NULL, "%s", error);
		return 1;
	}
	apply_fatal(a, error);
	return -1;
}

/* All routes of the map. The walk only reads: what it links is written at the flush. */
static int
link_all(struct apply *a)
{
	struct db_cursor *c = NULL;
	struct conf_object o;
	struct str key, value;
	char from[8];
	int got = db_cursor_at(a->txn, a->s->map.tab[MAP_OBJECT],
	    image_key_object(from, CONF_ROUTE, 0), &c, &key, &value);

	for (uint32_t i = 0; got == 1 && key.p[0] == CONF_ROUTE; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);

		apply_alive(a, i);
		if (map_object_decode(key, value, &o) < 0 || route_link(a, &o, true) < 0)
			got = -1;
		ws_reset(&a->scratch, mark);
		if (got == 1)
			got = db_cursor_next(c, &key, &value);
	}
	db_cursor_free(&c);
	if (got < 0 && !a->fatal)
		apply_fatal(a, "a route in the map is damaged; a restart builds the map anew");
	return got < 0 ? -1 : 1;
}

int
apply_link(struct apply *a)
{
	if (a->rebuild)
		return link_all(a);
	for (uint32_t i = 0; i < a->n; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		const struct change *c = &a->v[i];
		int ok;

		apply_alive(a, i);
		if (c->o.kind != CONF_ROUTE || c->op != CHANGE_PUT)
			continue;
		ok = route_link(a, &c->o, c->relink);
		ws_reset(&a->scratch, mark);
		if (ok < 0)
			return -1;
	}
	return 1;
}
