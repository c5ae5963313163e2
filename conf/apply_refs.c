/* SPDX-License-Identifier: Apache-2.0
 *
 * What must hold between the objects of all sources once the change is made. The loader sees one
 * source and complains better; this is what nothing gets past.
 */
#include "conf/apply_priv.h"

#include "conf/listener.h"

static bool
exists(struct apply *a, enum conf_kind kind, struct str id)
{
	uint32_t number;

	return map_number(a->txn, &a->s->map, kind, id, &number) == 1;
}

void
apply_refs_route(struct apply *a, const struct conf_object *o, const struct conf_route *r)
{
	if (r->service.n > 0 && !exists(a, CONF_SERVICE, r->service))
		apply_error(a, o, "service", "\"%.*s\": no such service", STR_ARG(r->service));
	for (uint32_t i = 0; i < r->listener.n; i++)
		if (!exists(a, CONF_LISTENER, r->listener.v[i]))
			apply_error(a, o, "listener", "\"%.*s\": no such listener",
			    STR_ARG(r->listener.v[i]));
}

/* A route that is not in the change set. */
static void
check_other(struct apply *a, const struct conf_object *o)
{
	const struct conf_route *r;

	if (bits_has(&a->touched[CONF_ROUTE], o->number))
		return;
	r = object_body(o, &a->scratch);
	if (r == NULL)
		apply_error(a, o, NULL, "its settings cannot be read");
	else
		apply_refs_route(a, o, r);
}

static void
check_listener(struct apply *a, const struct conf_object *o)
{
	const struct conf_listener *l = object_body(o, &a->scratch);
	struct apply_listener *to;

	if (l == NULL) {
		apply_error(a, o, NULL, "its settings cannot be read");
		return;
	}
	if (a->n_listeners == LISTEN_MAX) {
		apply_error(a, o, NULL, "one listener too many; allowed: up to %d", LISTEN_MAX);
		return;
	}
	for (unsigned i = 0; i < a->n_listeners; i++)
		if (addr_eq(&a->listeners[i].addr, &l->address))
			apply_error(a, o, "address", "listener \"%s\" has the same one",
			    a->listeners[i].id);
	to = &a->listeners[a->n_listeners++];
	*to = (struct apply_listener){
	    .number = o->number, .backlog = (uint32_t)l->backlog, .addr = l->address};
	snprintf(to->id, sizeof(to->id), "%.*s", STR_ARG(o->id));
	snprintf(to->place, sizeof(to->place), "%.*s:%u", STR_ARG(o->file), o->line);
}

/* Calls fn for every object of a kind, as the map will have it. */
static int
each(struct apply *a, enum conf_kind kind, void (*fn)(struct apply *a, const struct conf_object *o))
{
	struct db_cursor *c = NULL;
	struct conf_object o;
	struct str key, value;
	char from[8];
	int got = db_cursor_at(
	    a->txn, a->s->map.tab[MAP_OBJECT], image_key_object(from, kind, 0), &c, &key, &value);

	for (uint32_t i = 0; got == 1 && key.p[0] == (char)kind; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);

		apply_alive(a, i);
		got = map_object_decode(key, value, &o);
		if (got == 1)
			fn(a, &o);
		ws_reset(&a->scratch, mark);
		if (got == 1)
			got = db_cursor_next(c, &key, &value);
	}
	db_cursor_free(&c);
	if (got >= 0)
		return 1;
	apply_fatal(a, "an object in the map is damaged; a restart builds the map anew");
	return -1;
}

/* Is somebody gone whom a route may name? Then routes that are not in this set count too. */
static bool
named_are_gone(const struct apply *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->v[i].op == CHANGE_DELETE &&
		    (a->v[i].o.kind == CONF_SERVICE || a->v[i].o.kind == CONF_LISTENER))
			return true;
	return false;
}

int
apply_refs(struct apply *a)
{
	a->n_listeners = 0;
	if (each(a, CONF_LISTENER, check_listener) < 0)
		return -1;
	return named_are_gone(a) ? each(a, CONF_ROUTE, check_other) : 1;
}
