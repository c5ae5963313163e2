/* SPDX-License-Identifier: Apache-2.0
 *
 * Who names whom: nobody names what is not there, and nothing goes that is named.
 */
#include "conf/apply_priv.h"

#include "conf/listener.h"
#include "shm/base/log.h"

static bool
names_others(const struct change *c)
{
	return (c->o.kind == CONF_ROUTE || c->o.kind == CONF_LISTENER) && !c->out;
}

/* --- counting -------------------------------------------------------------------------------- */

struct counting {
	struct apply *a;
	int by;
};

/* The number of an object as it is or will be. */
static void
count_one(void *arg, enum conf_kind kind, struct str id, const char *setting UNUSED)
{
	const struct counting *g = arg;
	const struct change *c = apply_pending(g->a, kind, id);
	uint32_t number = 0;

	if (c != NULL && c->o.number != 0)
		number = c->o.number;
	else if (map_number(g->a->txn, &g->a->s->map, kind, id, &number) != 1)
		return;
	refs_add(&g->a->s->refs, kind, number, g->by);
}

void
apply_count(struct apply *a, enum conf_kind kind, const void *body, int by)
{
	struct counting g = {a, by};

	refs_each(kind, body, count_one, &g);
}

void
apply_release(struct apply *a)
{
	for (uint32_t i = 0; i < a->n && a->n_old > 0; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		struct change *c = a->v[i];
		const void *body = NULL;

		if (names_others(c) && !c->fresh)
			body = apply_old_body(a, c);
		if (body != NULL) {
			apply_count(a, c->o.kind, body, -1);
			c->released = true;
		}
		ws_reset(&a->scratch, mark);
	}
}

void
apply_count_listeners(struct apply *a)
{
	for (uint32_t i = a->of[CONF_LISTENER].from; i < a->of[CONF_LISTENER].to; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		struct change *c = a->v[i];
		const void *body = NULL;

		if (c->o.kind == CONF_LISTENER && c->op == CHANGE_PUT)
			body = apply_body(a, c);
		if (body != NULL)
			apply_count(a, CONF_LISTENER, body, 1);
		ws_reset(&a->scratch, mark);
	}
}

/* --- names that lead nowhere ----------------------------------------------------------------- */

static bool
will_be(struct apply *a, enum conf_kind kind, struct str id)
{
	const struct change *c = apply_pending(a, kind, id);
	uint32_t number;

	if (c != NULL && !c->out)
		return c->op == CHANGE_PUT;
	return map_number(a->txn, &a->s->map, kind, id, &number) == 1;
}

static uint64_t
how_many(const struct apply *a, enum conf_kind kind)
{
	uint64_t n = a->meta.count[kind];

	for (uint32_t i = a->of[kind].from; i < a->of[kind].to; i++) {
		const struct change *c = a->v[i];

		if (c->o.kind == kind && !c->out)
			n += c->op == CHANGE_DELETE ? UINT64_MAX : c->fresh;
	}
	return n;
}

struct naming {
	struct apply *a;
	struct change *c;
};

static void
check_name(void *arg, enum conf_kind kind, struct str id, const char *setting)
{
	const struct naming *g = arg;

	if (!will_be(g->a, kind, id))
		apply_refuse(g->a, g->c, OUTCOME_REFUSED, setting, "\"%.*s\": no such %s",
		    STR_ARG(id), object_kinds[kind].word);
}

static bool
any_certificate(const struct conf_listener *l)
{
	return l->tls.enabled && l->tls.certificates.n == 0 && l->tls.fallback.n == 0;
}

static void
check_names(struct apply *a, struct change *c)
{
	const void *body = apply_body(a, c);
	struct naming g = {a, c};

	if (body == NULL) {
		apply_refuse(a, c, OUTCOME_REFUSED, NULL, "its settings cannot be read");
		return;
	}
	refs_each(c->o.kind, body, check_name, &g);
	if (c->o.kind == CONF_LISTENER && any_certificate(body) &&
	    how_many(a, CONF_CERTIFICATE) == 0)
		apply_refuse(a, c, OUTCOME_REFUSED, "tls.enabled",
		    "there is no certificate; needed: certificates = ( { id = \"name\"; "
		    "certificate "
		    "= \"/path\"; key = \"/path\"; } )");
}

void
apply_names(struct apply *a, enum conf_kind kind)
{
	for (uint32_t i = a->of[kind].from; i < a->of[kind].to; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		struct change *c = a->v[i];

		apply_alive(a, i);
		if (c->o.kind == kind && c->op == CHANGE_PUT && !c->out)
			check_names(a, c);
		ws_reset(&a->scratch, mark);
	}
}

/* --- deletions of what is in use ------------------------------------------------------------- */

static bool
is_named(const struct change *c)
{
	return c->op == CHANGE_DELETE && !c->out &&
	       (c->o.kind == CONF_SERVICE || c->o.kind == CONF_LISTENER ||
		   c->o.kind == CONF_CERTIFICATE);
}

struct using
{
	struct apply *a;
	const struct conf_object *o;
};

static void
user_add(void *arg, enum conf_kind kind, struct str id, const char *setting UNUSED)
{
	const struct using *g = arg;
	struct change *c = apply_pending(g->a, kind, id);

	if (c == NULL || !is_named(c) || c->user.n > 0)
		return;
	c->user = ws_printf(&g->a->ws, "%s[%.*s] of source \"%.*s\"", object_kinds[g->o->kind].list,
	    STR_ARG(g->o->id), STR_ARG(g->o->source));
	g->a->unknown_users--;
}

/* An object of the map: does it name one of those that are to go? */
static int
user_look(struct apply *a, const struct conf_object *o)
{
	const struct change *c = apply_pending(a, o->kind, o->id);
	struct using g = {a, o};
	const void *body;

	if (c != NULL && !c->out)
		return 1;
	body = object_body(o, &a->scratch);
	if (body == NULL)
		return 1;
	refs_each(o->kind, body, user_add, &g);
	return a->unknown_users > 0;
}

static void
check_deletion(struct apply *a, struct change *c)
{
	uint32_t n = refs_count(&a->s->refs, c->o.kind, c->o.number);

	if (n == 0)
		return;
	if (c->user.n == 0) {
		log_error("%s %.*s counts %u users, and nobody names it",
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

/* A listener of the map that takes whatever certificates there are. */
static int
left_without(struct apply *a, const struct conf_object *o)
{
	const struct change *c = apply_pending(a, CONF_LISTENER, o->id);
	const struct conf_listener *l;

	if (c != NULL && !c->out)
		return 1;
	l = object_body(o, &a->scratch);
	if (l == NULL || !any_certificate(l))
		return 1;
	a->last_user = ws_str(&a->ws, o->id);
	return 0;
}

static int
check_last_certificate(struct apply *a)
{
	struct change *last = NULL;

	for (uint32_t i = 0; i < a->n; i++)
		if (is_named(a->v[i]) && a->v[i]->o.kind == CONF_CERTIFICATE)
			last = a->v[i];
	if (last == NULL || how_many(a, CONF_CERTIFICATE) > 0)
		return 1;
	a->last_user = STR_NONE;
	if (apply_each(a, CONF_LISTENER, left_without) < 0)
		return -1;
	if (a->last_user.n > 0)
		apply_refuse(a, last, OUTCOME_REFUSED, NULL,
		    "is to go, but listeners[%.*s] speaks TLS and would have no certificate",
		    STR_ARG(a->last_user));
	return 1;
}

/* Users are walked only for the words, when there is something to say, and no further than the
 * words need. */
static int
find_users(struct apply *a)
{
	if (apply_each(a, CONF_LISTENER, user_look) < 0)
		return -1;
	return a->unknown_users > 0 ? apply_each(a, CONF_ROUTE, user_look) : 1;
}

int
apply_deletions(struct apply *a)
{
	a->unknown_users = 0;
	if (a->n_old == 0)
		return 1;
	for (uint32_t i = 0; i < a->n; i++)
		if (is_named(a->v[i])) {
			const struct conf_object *o = &a->v[i]->o;

			a->v[i]->user = STR_NONE;
			a->unknown_users += refs_count(&a->s->refs, o->kind, o->number) > 0;
		}
	if (a->unknown_users > 0) {
		if (find_users(a) < 0)
			return -1;
		for (uint32_t i = 0; i < a->n; i++)
			if (is_named(a->v[i]))
				check_deletion(a, a->v[i]);
	}
	return check_last_certificate(a);
}
