/* SPDX-License-Identifier: Apache-2.0
 *
 * What a change set really changes: objects whose digest the map has already are passed over, and
 * of a whole set, objects of its source that are not in it are deletions. New objects get their
 * numbers (and names) here.
 */
#include "conf/apply_priv.h"

#include "shm/base/bug.h"

static struct change *
change_add(struct apply *a, enum change_op op, const struct conf_object *o)
{
	struct change *c;

	if (a->n == a->cap) {
		a->cap = a->cap == 0 ? 64 : a->cap * 2;
		a->v = xrealloc(a->v, a->cap * sizeof(*a->v));
	}
	c = &a->v[a->n++];
	*c = (struct change){.op = op, .o = *o};
	return c;
}

static int
name_put(struct apply *a, const struct conf_object *o)
{
	const char *error;
	char key[80];
	size_t at;

	a->out.n = 0;
	at = image_begin(&a->out, 'N');
	gbuf_u32(&a->out, o->number);
	image_end(&a->out, at);
	if (db_put(a->txn, a->s->map.tab[MAP_NAME], image_key_name(key, o->kind, o->id),
		str_n(a->out.p, a->out.n), &error) == 1)
		return 1;
	apply_fatal(a, error);
	return -1;
}

/* The object as the map has it: 1, 0 there is none, -1. */
static int
old_find(struct apply *a, const struct conf_object *o, struct conf_object *old_r)
{
	uint32_t number;
	int got = map_number(a->txn, &a->s->map, o->kind, o->id, &number);

	if (got == 1) {
		/* Named in this transaction, not written yet: the set has it twice. */
		if (bits_has(&a->touched[o->kind], number)) {
			apply_error(a, o, NULL, "stands twice in one change set");
			return -1;
		}
		got = map_object(a->txn, &a->s->map, o->kind, number, old_r) == 1 ? 1 : -1;
	}
	if (got < 0)
		apply_fatal(a, "an object in the map is damaged; a restart builds the map anew");
	return got;
}

static bool
source_ok(struct apply *a, const struct conf_object *o, const struct conf_object *old)
{
	if (str_eq(old->source, a->set.source))
		return true;
	apply_error(a, o, NULL, "belongs to source \"%.*s\" already", STR_ARG(old->source));
	return false;
}

static int
put_new(struct apply *a, const struct conf_object *o)
{
	struct change *c = change_add(a, CHANGE_PUT, o);

	c->fresh = c->relink = true;
	c->o.number = numbers_take(&a->s->numbers, o->kind);
	c->o.source = a->set.source;
	bits_set(&a->touched[o->kind], c->o.number);
	return name_put(a, &c->o);
}

static void
keep_old(struct apply *a, struct change *c, const struct conf_object *old)
{
	if (old->kind == CONF_ROUTE)
		c->old_body = ws_str(&a->ws, old->body);
}

static int
diff_put(struct apply *a, const struct conf_object *o)
{
	struct conf_object old = {.number = 0};
	struct change *c;
	int got;

	got = old_find(a, o, &old);
	if (got == 0)
		return put_new(a, o);
	if (got < 0 || !source_ok(a, o, &old))
		return a->fatal ? -1 : 1;
	bits_set(&a->touched[o->kind], old.number);
	if (digest_eq(&o->digest, &old.digest))
		return 1;
	c = change_add(a, CHANGE_PUT, o);
	c->o.number = old.number;
	c->o.source = a->set.source;
	keep_old(a, c, &old);
	return 1;
}

/* `old` is borrowed from the map, which is about to be written to. */
static void
delete_add(struct apply *a, const struct conf_object *old)
{
	struct change *c = change_add(a, CHANGE_DELETE, old);

	c->o.id = ws_str(&a->ws, old->id);
	c->o.source = a->set.source;
	c->o.file = ws_str(&a->ws, old->file);
	c->o.body = STR_NONE;
	keep_old(a, c, old);
	bits_set(&a->touched[old->kind], old->number);
}

static int
diff_delete(struct apply *a, const struct conf_object *o)
{
	struct conf_object old = {.number = 0};
	int got = old_find(a, o, &old);

	if (got == 1 && source_ok(a, o, &old))
		delete_add(a, &old);
	return a->fatal ? -1 : 1;
}

/* The source has no more than this set: what else there is of it goes. */
static int
diff_rest(struct apply *a)
{
	struct db_cursor *c = NULL;
	struct conf_object old;
	struct str key, value;
	int got = db_cursor_at(a->txn, a->s->map.tab[MAP_OBJECT], STR_NONE, &c, &key, &value);

	for (uint32_t i = 0; got == 1; got = db_cursor_next(c, &key, &value), i++) {
		apply_alive(a, i);
		if (map_object_decode(key, value, &old) < 0) {
			got = -1;
			break;
		}
		if (str_eq(old.source, a->set.source) &&
		    !bits_has(&a->touched[old.kind], old.number))
			delete_add(a, &old);
	}
	db_cursor_free(&c);
	if (got == 0)
		return 1;
	apply_fatal(a, "an object in the map is damaged; a restart builds the map anew");
	return -1;
}

int
apply_diff(struct apply *a)
{
	struct conf_object o;
	enum change_op op;
	int got;

	changeset_rewind(&a->set);
	for (uint32_t i = 0; (got = changeset_next(&a->set, &op, &o)) == 1; i++) {
		apply_alive(a, i);
		if ((op == CHANGE_PUT ? diff_put(a, &o) : diff_delete(a, &o)) < 0)
			return -1;
	}
	if (got < 0) {
		apply_fatal(a, "the change set is malformed");
		return -1;
	}
	return a->set.whole ? diff_rest(a) : 1;
}
