/* SPDX-License-Identifier: Apache-2.0
 *
 * What is really to be changed: objects whose digest the map has already are passed over, whoever
 * may not touch an object is refused, and what a whole source has no more is deleted. Nothing is
 * written here; a list of changes comes out.
 */
#include "conf/apply_priv.h"

#include "shm/base/bug.h"

#define OBJECT_LEAST 64 /* octets that one takes in a change set */
#define DAMAGED      "an object in the map is damaged; a restart builds the map anew"

/* --- the list -------------------------------------------------------------------------------- */

struct pending_key {
	enum conf_kind kind;
	struct str id;
};

static bool
pending_is(const struct hnode *n, const void *key)
{
	const struct change *c = container_of(n, struct change, node);
	const struct pending_key *k = key;

	return c->o.kind == k->kind && str_eq(c->o.id, k->id);
}

struct change *
apply_pending(struct apply *a, enum conf_kind kind, struct str id)
{
	struct pending_key k = {.kind = kind, .id = id};
	struct hnode *n;

	if (a->n == 0)
		return NULL;
	n = htab_get(&a->pending, hash_keyed(id) + (uint64_t)kind, pending_is, &k);
	return n != NULL ? container_of(n, struct change, node) : NULL;
}

static struct conf_object *
old_copy(struct apply *a, const struct conf_object *old)
{
	struct conf_object *o = ws_alloc(&a->ws, sizeof(*o));

	if (o == NULL)
		oom_fail(sizeof(*o));
	*o = *old;
	o->id = ws_str(&a->ws, old->id);
	o->source = ws_str(&a->ws, old->source);
	o->file = ws_str(&a->ws, old->file);
	o->override = ws_str(&a->ws, old->override);
	o->body = old->kind == CONF_ROUTE || old->kind == CONF_LISTENER || a->in->capture
		      ? ws_str(&a->ws, old->body)
		      : STR_NONE;
	return o;
}

void
apply_range(struct apply *a, uint32_t i)
{
	enum conf_kind kind = a->v[i]->o.kind;

	if (a->of[kind].to == 0)
		a->of[kind].from = i;
	a->of[kind].to = i + 1;
	a->n_old += a->v[i]->old != NULL;
}

static void
list_add(struct apply *a, struct change *c)
{
	if (a->n == a->cap) {
		a->cap = a->cap == 0 ? 16 : a->cap * 2;
		a->v = xrealloc(a->v, a->cap * sizeof(struct change *));
	}
	a->v[a->n] = c;
	apply_range(a, a->n++);
}

/* old: borrowed from the map, which is about to be written to; NULL: there is none. */
static void
change_add(struct apply *a, const struct change *from, const struct conf_object *old)
{
	struct change *c = ws_alloc(&a->ws, sizeof(*c));

	if (c == NULL)
		oom_fail(sizeof(*c));
	*c = *from;
	c->fresh = c->relink = old == NULL;
	if (old != NULL) {
		c->old = old_copy(a, old);
		c->o.number = old->number;
	}
	if (c->op == CHANGE_DELETE) {
		c->o = *c->old;
		c->o.body = STR_NONE;
	}
	list_add(a, c);
	if (str_cmp(c->o.id, a->of[c->o.kind].last) > 0)
		a->of[c->o.kind].last = c->o.id;
	htab_put(&a->pending, &c->node, hash_keyed(c->o.id) + (uint64_t)c->o.kind);
	a->listening |= c->o.kind == CONF_LISTENER;
}

/* --- one object ------------------------------------------------------------------------------ */

/* The object as the map has it: 1, 0 there is none, -1. */
static int
old_find(struct apply *a, const struct conf_object *o, struct conf_object *old_r)
{
	uint32_t number;
	int got = map_number(a->txn, &a->s->map, o->kind, o->id, &number);

	if (got == 1)
		got = map_object(a->txn, &a->s->map, o->kind, number, old_r) == 1 ? 1 : -1;
	if (got < 0)
		apply_fatal(a, DAMAGED);
	return got;
}

static struct apply_op *
op_of(struct apply *a, const struct change *c)
{
	return c->by < BY_WHOLE ? &a->in->v[c->by] : NULL;
}

static uint32_t
flags_of(struct apply *a, const struct change *c)
{
	return c->by < BY_WHOLE ? a->in->v[c->by].flags : 0;
}

static void
came_to(struct apply *a, const struct change *c, enum apply_outcome outcome, uint64_t version)
{
	struct apply_op *op = op_of(a, c);

	if (op == NULL)
		return;
	op->outcome = outcome;
	op->version = version;
}

static void
owned(struct apply *a, struct change *c, struct str owner)
{
	struct apply_op *op = op_of(a, c);

	if (op != NULL)
		snprintf(op->owner, sizeof(op->owner), "%.*s", STR_ARG(owner));
	apply_refuse(
	    a, c, OUTCOME_OWNED, NULL, "belongs to source \"%.*s\" already", STR_ARG(owner));
}

/* Is somebody else of this change set at the same object? */
static bool
twice(struct apply *a, struct change *c)
{
	const struct change *other = NULL;

	/* Most sets stand in order, and need not be searched. */
	if (str_cmp(c->o.id, a->of[c->o.kind].last) <= 0)
		other = apply_pending(a, c->o.kind, c->o.id);
	if (other == NULL)
		return false;
	if (!str_eq(other->o.source, c->o.source))
		owned(a, c, other->o.source);
	else
		apply_refuse(a, c, OUTCOME_REFUSED, NULL, "stands twice in one change set");
	return true;
}

static bool
held(struct apply *a, const struct change *c)
{
	const struct digest *digest = c->op == CHANGE_PUT ? &c->o.digest : NULL;

	if (a->in->override == NULL || c->o.override.n > 0)
		return false;
	return a->in->override(a->in->arg, c->o.kind, c->o.id, digest) == OVERRIDE_HOLDS;
}

/* Everything that keeps an operation from an object, or from there being none. */
static bool
refused(struct apply *a, struct change *c, const struct conf_object *old)
{
	const struct apply_op *op = op_of(a, c);
	uint32_t flags = flags_of(a, c);

	if (old != NULL && !str_eq(old->source, c->o.source))
		owned(a, c, old->source);
	else if (old == NULL &&
		 ((flags & APPLY_EXISTS) != 0 || (c->op == CHANGE_DELETE && op != NULL)))
		apply_refuse(a, c, OUTCOME_ABSENT, NULL, "there is no such object");
	else if (old != NULL && (flags & APPLY_CREATE) != 0)
		apply_refuse(a, c, OUTCOME_EXISTS, NULL, "is there already, at version %llu",
		    (unsigned long long)old->version);
	else if (op != NULL && op->if_version != 0 &&
		 (old == NULL || old->version != op->if_version))
		apply_refuse(a, c, OUTCOME_PRECONDITION, NULL, "is at version %llu, not %llu",
		    (unsigned long long)(old != NULL ? old->version : 0),
		    (unsigned long long)op->if_version);
	else
		return false;
	return true;
}

static void
decide(struct apply *a, struct change *c, const struct conf_object *old)
{
	uint64_t was = old != NULL ? old->version : 0;

	if (refused(a, c, old) || (old == NULL && c->op == CHANGE_DELETE))
		return;
	/* Only now, for to be asked may end an override. */
	if (held(a, c)) {
		came_to(a, c, OUTCOME_KEPT, was);
		return;
	}
	if (c->op == CHANGE_PUT && old != NULL && digest_eq(&c->o.digest, &old->digest) &&
	    str_eq(c->o.override, old->override)) {
		came_to(a, c, OUTCOME_UNCHANGED, was);
		return;
	}
	change_add(a, c, old);
	if (c->op == CHANGE_DELETE)
		came_to(a, c, OUTCOME_DELETED, was);
	else
		came_to(a, c, old == NULL ? OUTCOME_CREATED : OUTCOME_REPLACED, a->meta.generation);
}

static bool
same_source(struct str whole, const struct conf_object *o)
{
	return whole.n > 0 && str_eq(whole, o->source);
}

/* Of a whole source, and in its set: not to be swept away. */
static void
mine(struct apply *a, bool by_set, const struct conf_object *old)
{
	struct str whole = by_set && a->set.whole ? a->set.source
			   : by_set               ? STR_NONE
						  : a->in->whole;

	if (same_source(whole, old))
		bits_set(&a->mine[old->kind], old->number);
}

static int
diff_one(struct apply *a, struct change *c)
{
	struct conf_object old = {.number = 0};
	int got = old_find(a, &c->o, &old);

	if (got < 0)
		return -1;
	if (got == 1) {
		came_to(a, c, OUTCOME_NONE, old.version);
		mine(a, c->by == BY_SET, &old);
	}
	if (!twice(a, c))
		decide(a, c, got == 1 ? &old : NULL);
	return 1;
}

/* --- what a whole source has no more --------------------------------------------------------- */

struct sweep {
	uint64_t of_source, deleted; /* of in->whole */
};

static void
sweep_one(struct apply *a, const struct conf_object *old, struct sweep *s)
{
	struct change c = {.op = CHANGE_DELETE, .o = *old};
	bool by_ops = same_source(a->in->whole, old);

	s->of_source += by_ops;
	if (!by_ops && !(a->has_set && a->set.whole && same_source(a->set.source, old)))
		return;
	if (bits_has(&a->mine[old->kind], old->number) ||
	    apply_pending(a, old->kind, old->id) != NULL)
		return;
	c.by = by_ops ? BY_WHOLE : BY_SET;
	c.o.override = STR_NONE;
	if (held(a, &c))
		return;
	s->deleted += by_ops;
	change_add(a, &c, old);
}

static int
sweep(struct apply *a)
{
	struct db_cursor *c = NULL;
	struct conf_object old;
	struct str key, value;
	struct sweep s = {0};
	int got = db_cursor_at(a->txn, a->s->map.tab[MAP_OBJECT], STR_NONE, &c, &key, &value);

	for (uint32_t i = 0; got == 1; got = db_cursor_next(c, &key, &value), i++) {
		apply_alive(a, i);
		if (map_object_decode(key, value, &old) < 0) {
			got = -1;
			break;
		}
		sweep_one(a, &old, &s);
	}
	db_cursor_free(&c);
	if (got < 0) {
		apply_fatal(a, DAMAGED);
		return -1;
	}
	if (s.deleted > a->in->deletions_max)
		apply_error(a, "deletions",
		    "%llu of the %llu objects of source \"%.*s\" would be deleted; allowed: up to "
		    "%llu unless it is said that they may",
		    (unsigned long long)s.deleted, (unsigned long long)s.of_source,
		    STR_ARG(a->in->whole), (unsigned long long)a->in->deletions_max);
	return 1;
}

/* --- all of it ------------------------------------------------------------------------------- */

static int
diff_set(struct apply *a)
{
	struct change c = {.by = BY_SET};
	int got;

	changeset_rewind(&a->set);
	htab_reserve(&a->pending, MIN((size_t)a->set.n, a->set.map.n / OBJECT_LEAST));
	for (uint32_t i = 0; (got = changeset_next(&a->set, &c.op, &c.o)) == 1; i++) {
		apply_alive(a, i);
		c.o.source = a->set.source;
		if (diff_one(a, &c) < 0)
			return -1;
	}
	if (got == 0)
		return 1;
	apply_fatal(a, "the change set is malformed");
	return -1;
}

/* One that is out keeps what is there from being swept away. */
static int
keep_mine(struct apply *a, const struct conf_object *o)
{
	struct conf_object old;
	int got = a->in->whole.n > 0 ? old_find(a, o, &old) : 0;

	if (got == 1)
		mine(a, false, &old);
	return got < 0 ? -1 : 1;
}

static int
diff_ops(struct apply *a)
{
	for (uint32_t i = 0; i < a->in->n; i++) {
		const struct apply_op *op = &a->in->v[i];
		struct change c = {.by = i, .op = op->op, .o = op->o};
		int ok;

		apply_alive(a, i);
		ok = a->fate[i].out ? keep_mine(a, &op->o) : diff_one(a, &c);
		if (ok < 0)
			return -1;
	}
	return 1;
}

int
apply_diff(struct apply *a)
{
	if (a->has_set && diff_set(a) < 0)
		return -1;
	if (diff_ops(a) < 0)
		return -1;
	return (a->has_set && a->set.whole) || a->in->whole.n > 0 ? sweep(a) : 1;
}
