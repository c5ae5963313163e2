/* SPDX-License-Identifier: Apache-2.0
 *
 * Listeners: there are few, so as soon as one is touched they are looked at together. The master is
 * needed only when their sockets differ.
 */
#include "conf/apply_priv.h"

#include "conf/listener.h"
#include "shm/base/bug.h"

int
apply_each(struct apply *a, enum conf_kind kind, apply_each_f *fn)
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
			got = fn(a, &o);
		ws_reset(&a->scratch, mark);
		if (got == 1)
			got = db_cursor_next(c, &key, &value);
	}
	db_cursor_free(&c);
	if (got < 0 && !a->fatal)
		apply_fatal(a, "an object in the map is damaged; a restart builds the map anew");
	return got < 0 ? -1 : 1;
}

static struct apply_listener
listener_of(const struct conf_object *o, const struct conf_listener *l)
{
	struct apply_listener to = {
	    .number = o->number, .backlog = (uint32_t)l->backlog, .addr = l->address};

	snprintf(to.id, sizeof(to.id), "%.*s", STR_ARG(o->id));
	if (o->file.n > 0)
		snprintf(to.place, sizeof(to.place), "%.*s:%u", STR_ARG(o->file), o->line);
	return to;
}

/* --- of the last commit ---------------------------------------------------------------------- */

static int
known_add(struct apply *a, const struct conf_object *o)
{
	const struct conf_listener *l = object_body(o, &a->scratch);

	if (l != NULL && a->s->n_listeners < LISTEN_MAX)
		a->s->listeners[a->s->n_listeners++] = listener_of(o, l);
	return 1;
}

int
apply_listen_known(struct apply *a)
{
	if (a->s->listeners_known)
		return 1;
	free(a->s->listeners);
	a->s->listeners = xcalloc(LISTEN_MAX, sizeof(*a->s->listeners));
	a->s->n_listeners = 0;
	if (apply_each(a, CONF_LISTENER, known_add) < 0)
		return -1;
	a->s->listeners_known = true;
	return 1;
}

/* --- as they will be ------------------------------------------------------------------------- */

static void
keep_others(struct apply *a)
{
	a->n_listeners = 0;
	for (unsigned i = 0; i < a->s->n_listeners; i++) {
		const struct apply_listener *l = &a->s->listeners[i];
		const struct change *c = apply_pending(a, CONF_LISTENER, str_of(l->id));

		if (c == NULL || c->out)
			a->listeners[a->n_listeners++] = *l;
	}
}

static bool
fits(struct apply *a, struct change *c, const struct conf_listener *l)
{
	if (a->n_listeners == LISTEN_MAX) {
		apply_refuse(a, c, OUTCOME_REFUSED, NULL,
		    "one listener too many; allowed: up to %d", LISTEN_MAX);
		return false;
	}
	for (unsigned i = 0; i < a->n_listeners; i++)
		if (addr_eq(&a->listeners[i].addr, &l->address)) {
			apply_refuse(a, c, OUTCOME_REFUSED, "address",
			    "listener \"%s\" has the same one", a->listeners[i].id);
			return false;
		}
	return true;
}

static void
listener_add(struct apply *a, struct change *c, bool check)
{
	const struct conf_listener *l = object_body(&c->o, &a->scratch);

	if (l == NULL)
		apply_refuse(a, c, OUTCOME_REFUSED, NULL, "its settings cannot be read");
	else if (!check || fits(a, c, l))
		a->listeners[a->n_listeners++] = listener_of(&c->o, l);
}

static int
by_number(const void *pa, const void *pb)
{
	const struct apply_listener *a = pa, *b = pb;

	return a->number < b->number ? -1 : a->number > b->number;
}

int
apply_listen(struct apply *a, bool check)
{
	if (a->listeners == NULL)
		a->listeners = xcalloc(LISTEN_MAX, sizeof(*a->listeners));
	keep_others(a);
	for (uint32_t i = a->of[CONF_LISTENER].from; i < a->of[CONF_LISTENER].to; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		struct change *c = a->v[i];

		if (c->o.kind == CONF_LISTENER && c->op == CHANGE_PUT && !c->out)
			listener_add(a, c, check);
		ws_reset(&a->scratch, mark);
	}
	qsort(a->listeners, a->n_listeners, sizeof(*a->listeners), by_number);
	return a->fatal ? -1 : 1;
}

const struct apply_listener *
apply_listeners(const struct apply *a, unsigned *n_r)
{
	*n_r = a->listening ? a->n_listeners : a->s->n_listeners;
	return a->listening ? a->listeners : a->s->listeners;
}

bool
apply_listeners_differ(const struct apply *a)
{
	if (!a->listening)
		return false;
	if (a->n_listeners != a->s->n_listeners)
		return true;
	for (unsigned i = 0; i < a->n_listeners; i++) {
		const struct apply_listener *x = &a->listeners[i], *y = &a->s->listeners[i];

		if (x->number != y->number || x->backlog != y->backlog ||
		    strcmp(x->id, y->id) != 0 || !addr_eq(&x->addr, &y->addr))
			return true;
	}
	return false;
}
