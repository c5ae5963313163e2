/* SPDX-License-Identifier: Apache-2.0
 *
 * What must hold between the objects of all sources once the change is made, before anything of it
 * is written: so whoever may be taken out is, and those who need him with him, at the price of
 * another look at the list. The loader sees one source and complains better; this is what nothing
 * gets past.
 */
#include "conf/apply_priv.h"

#include "shm/base/bug.h"
#include "shm/base/log.h"

#define REMEMBER 256 /* changes: of no more their settings are kept decoded */

/* --- settings of routes ---------------------------------------------------------------------- */

const struct conf_route *
apply_route(struct apply *a, struct change *c)
{
	const struct conf_route *r = c->route;

	if (r != NULL)
		return r;
	r = object_body(&c->o, a->n <= REMEMBER ? &a->ws : &a->scratch);
	c->route = a->n <= REMEMBER ? r : NULL;
	return r;
}

const struct conf_route *
apply_old_route(struct apply *a, struct change *c)
{
	const struct conf_route *r = c->old_route;

	if (r != NULL)
		return r;
	r = object_body(c->old, a->n <= REMEMBER ? &a->ws : &a->scratch);
	c->old_route = a->n <= REMEMBER ? r : NULL;
	return r;
}

/* --- who names whom -------------------------------------------------------------------------- */

/* The number of an object as it will be; 0 in *number_r: it has none yet. */
static bool
will_be(struct apply *a, enum conf_kind kind, struct str id, uint32_t *number_r)
{
	const struct change *c = apply_pending(a, kind, id);

	if (c != NULL && !c->out) {
		*number_r = c->o.number;
		return c->op == CHANGE_PUT;
	}
	return map_number(a->txn, &a->s->map, kind, id, number_r) == 1;
}

/* The number of an object as it is or will be. */
static void
count_one(struct apply *a, enum conf_kind kind, struct str id, int by)
{
	const struct change *c = apply_pending(a, kind, id);
	uint32_t number = 0;

	if (c != NULL && c->o.number != 0)
		number = c->o.number;
	else if (map_number(a->txn, &a->s->map, kind, id, &number) != 1)
		return;
	refs_add(&a->s->refs, kind, number, by);
}

void
apply_count(struct apply *a, const struct conf_route *r, int by)
{
	if (r->service.n > 0)
		count_one(a, CONF_SERVICE, r->service, by);
	for (uint32_t i = 0; i < r->listener.n; i++)
		count_one(a, CONF_LISTENER, r->listener.v[i], by);
}

static void
check_route(struct apply *a, struct change *c)
{
	const struct conf_route *r = apply_route(a, c);
	uint32_t number;

	if (r == NULL) {
		apply_refuse(a, c, OUTCOME_REFUSED, NULL, "its settings cannot be read");
		return;
	}
	if (r->service.n > 0 && !will_be(a, CONF_SERVICE, r->service, &number))
		apply_refuse(a, c, OUTCOME_REFUSED, "service", "\"%.*s\": no such service",
		    STR_ARG(r->service));
	for (uint32_t i = 0; i < r->listener.n; i++)
		if (!will_be(a, CONF_LISTENER, r->listener.v[i], &number))
			apply_refuse(a, c, OUTCOME_REFUSED, "listener",
			    "\"%.*s\": no such listener", STR_ARG(r->listener.v[i]));
}

static void
check_routes(struct apply *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		struct change *c = a->v[i];

		apply_alive(a, i);
		if (c->o.kind == CONF_ROUTE && c->op == CHANGE_PUT && !c->out)
			check_route(a, c);
		ws_reset(&a->scratch, mark);
	}
}

/* What the old values of routes name counts no more, before deletions are looked at. */
static void
release_old(struct apply *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		struct change *c = a->v[i];
		const struct conf_route *r = NULL;

		if (c->o.kind == CONF_ROUTE && !c->fresh && !c->out)
			r = apply_old_route(a, c);
		if (r != NULL) {
			apply_count(a, r, -1);
			c->released = true;
		}
		ws_reset(&a->scratch, mark);
	}
}

/* --- deletions of what is in use ------------------------------------------------------------- */

static bool
is_named(const struct change *c)
{
	return c->op == CHANGE_DELETE && !c->out &&
	       (c->o.kind == CONF_SERVICE || c->o.kind == CONF_LISTENER);
}

static void
user_add(struct apply *a, enum conf_kind kind, struct str id, const struct conf_object *route)
{
	struct change *c = apply_pending(a, kind, id);

	if (c == NULL || !is_named(c) || c->user.n > 0)
		return;
	c->user = ws_printf(
	    &a->ws, "routes[%.*s] of source \"%.*s\"", STR_ARG(route->id), STR_ARG(route->source));
	a->unknown_users--;
}

/* A route of the map: does it name one of those that are to go? */
static int
user_look(struct apply *a, const struct conf_object *o)
{
	const struct change *c = apply_pending(a, CONF_ROUTE, o->id);
	const struct conf_route *r;

	if (c != NULL && !c->out)
		return 1;
	r = object_body(o, &a->scratch);
	if (r == NULL)
		return 1;
	user_add(a, CONF_SERVICE, r->service, o);
	for (uint32_t i = 0; i < r->listener.n; i++)
		user_add(a, CONF_LISTENER, r->listener.v[i], o);
	return a->unknown_users > 0;
}

static void
check_deletion(struct apply *a, struct change *c)
{
	uint32_t n = refs_count(&a->s->refs, c->o.kind, c->o.number);

	if (n == 0)
		return;
	if (c->user.n == 0) {
		log_error("%s %.*s counts %u routes, and none names it",
		    object_kinds[c->o.kind].word, STR_ARG(c->o.id), n);
		refs_add(&a->s->refs, c->o.kind, c->o.number, -(int)n);
	} else if (n == 1) {
		apply_refuse(
		    a, c, OUTCOME_REFUSED, NULL, "is to go, but %.*s names it", STR_ARG(c->user));
	} else {
		apply_refuse(a, c, OUTCOME_REFUSED, NULL, "is to go, but %.*s and %u more name it",
		    STR_ARG(c->user), n - 1);
	}
}

/* Routes are walked only for the words, when there is something to say, and no further than the
 * words need. */
static int
check_deletions(struct apply *a)
{
	a->unknown_users = 0;
	for (uint32_t i = 0; i < a->n; i++)
		if (is_named(a->v[i])) {
			const struct conf_object *o = &a->v[i]->o;

			a->v[i]->user = STR_NONE;
			a->unknown_users += refs_count(&a->s->refs, o->kind, o->number) > 0;
		}
	if (a->unknown_users == 0)
		return 1;
	if (apply_each(a, CONF_ROUTE, user_look) < 0)
		return -1;
	for (uint32_t i = 0; i < a->n; i++)
		if (is_named(a->v[i]))
			check_deletion(a, a->v[i]);
	return 1;
}

/* --- limits ---------------------------------------------------------------------------------- */

static void
check_sizes(struct apply *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct change *c = a->v[i];
		size_t n = IMAGE_HEAD + object_size(&c->o);

		if (c->op == CHANGE_PUT && n > IMAGE_MAX)
			apply_refuse(a, c, OUTCOME_REFUSED, NULL,
			    "takes %zu octets in the map; allowed: up to %d", n, IMAGE_MAX);
	}
}

/* The settings object may be changed in the same set. */
static void
limits_now(struct apply *a)
{
	const struct change *c = apply_pending(a, CONF_SETTINGS, STR("gateway"));

	memcpy(a->max, a->s->max, sizeof(a->max));
	if (c != NULL && c->op == CHANGE_PUT && !c->out)
		store_limits(&c->o, a->max);
}

/* The last new ones of a kind are the ones too many. The change set's are told once. */
static void
check_quota(struct apply *a, enum conf_kind kind)
{
	uint64_t max = a->max[kind], n = a->meta.count[kind];
	bool told = false;

	if (max == 0)
		return;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct change *c = a->v[i];

		if (c->o.kind == kind && !c->out)
			n += c->op == CHANGE_DELETE ? UINT64_MAX : c->fresh;
	}
	for (uint32_t i = a->n; i-- > 0 && n > max;) {
		struct change *c = a->v[i];

		if (c->o.kind != kind || c->out || !c->fresh)
			continue;
		if (c->by != BY_SET || !told)
			apply_refuse(a, c, OUTCOME_REFUSED, NULL,
			    "%llu %s would be too many; limits.%s is %llu", (unsigned long long)n,
			    object_kinds[kind].list, object_kinds[kind].list,
			    (unsigned long long)max);
		told |= c->by == BY_SET;
		n--;
	}
}

/* --- all of it ------------------------------------------------------------------------------- */

/* Each only when those whom the next go by are settled: what stays after all is there to be named,
 * and those who go for another reason make room. */
static int
check_once(struct apply *a)
{
	if (check_deletions(a) < 0)
		return -1;
	if (a->listening && !a->dropped && apply_listen(a, true) < 0)
		return -1;
	if (!a->dropped)
		check_routes(a);
	limits_now(a);
	for (unsigned kind = 0; kind < CONF_KIND_COUNT && !a->dropped; kind++)
		check_quota(a, (enum conf_kind)kind);
	return 1;
}

/* Those who are out leave the list; new objects get their numbers. */
static void
settle(struct apply *a)
{
	uint32_t n = 0;

	a->listening = false;
	for (uint32_t i = 0; i < a->n; i++) {
		struct change *c = a->v[i];

		if (c->out) {
			htab_del(&a->pending, &c->node);
			continue;
		}
		if (c->fresh)
			c->o.number = numbers_take(&a->s->numbers, c->o.kind);
		a->listening |= c->o.kind == CONF_LISTENER;
		a->v[n++] = c;
	}
	a->n = n;
}

int
apply_check(struct apply *a)
{
	check_sizes(a);
	release_old(a);
	do {
		a->dropped = false;
		if (check_once(a) < 0)
			return -1;
	} while (a->dropped && a->errors == 0);
	if (a->errors > 0)
		return -1;
	settle(a);
	return a->listening ? apply_listen(a, false) : 1;
}
