/* SPDX-License-Identifier: Apache-2.0
 *
 * The lists of the tree to objects: ids, bodies, canonical bytes.
 */
#include "conf/certificate.h"
#include "conf/field_read.h"
#include "conf/load_priv.h"
#include "conf/object_read.h"
#include "conf/read.h"
#include "shm/base/bug.h"

/* Names at the top level that are not settings: the lists. */
static const char *const list_names[] = {
#define OBJECT(KIND, type, list, word) list,
#include "conf/objects.def"
#undef OBJECT
    NULL,
};

static void
must(const void *p, size_t n)
{
	if (p == NULL)
		oom_fail(n);
}

void
load_store(struct load *l, struct conf_object *o, const void *self)
{
	object_store(o, self, &l->body, &l->r->ws);
}

static struct conf_object *
new_object(struct load *l, enum conf_kind kind, struct str id, const struct node *at)
{
	struct conf_object *o = &l->r->v[l->r->n++];
	struct str file = str_of(at->file);

	*o = (struct conf_object){.kind = kind, .line = at->line, .source = STR("file")};
	o->id = ws_str(&l->r->ws, id);
	must(o->id.p, id.n);
	/* One copy of the file's name for all that stand in it. */
	if (l->r->n > 1 && str_eq(o[-1].file, file))
		o->file = o[-1].file;
	else
		o->file = ws_str(&l->r->ws, file);
	return o;
}

void
load_settings(struct load *l)
{
	struct conf_settings *s = ws_zalloc(&l->keep, sizeof(*s));
	struct field_place before = field_enter(l->c, l->root);
	struct conf_object *o;

	must(s, sizeof(*s));
	l->c->at.line = 0;
	field_read(&settings_fields, l->root, list_names + 1, s, l->c);
	field_leave(l->c, before);
	o = new_object(l, CONF_SETTINGS, STR("gateway"), l->root);
	load_store(l, o, s);
	/* Decoded again, so that it lives as long as the result does. */
	l->r->settings = ws_zalloc(&l->r->ws, sizeof(*s));
	must(l->r->settings, sizeof(*s));
	BUG_ON(l->c->errors == 0 &&
	       fields_decode(&settings_fields, o->body, l->r->settings, &l->r->ws) < 0);
}

/* --- ids -------------------------------------------------------------------------------------- */

static bool
is_id(const struct hnode *n, const void *key)
{
	const struct load_id *i = (const struct load_id *)(const void *)n;

	return str_eq(i->id, *(const struct str *)key);
}

bool
load_has(const struct load *l, enum conf_kind kind, struct str id)
{
	return htab_get(&l->ids[kind].by_id, hash_keyed(id), is_id, &id) != NULL;
}

static struct load_id *
id_new(struct load *l, enum conf_kind kind, struct str id, const struct node *at)
{
	struct load_id *i = ws_zalloc(&l->keep, sizeof(*i));

	must(i, sizeof(*i));
	i->id = ws_str(&l->keep, id);
	i->file = at->file;
	i->line = at->line;
	if (l->ids[kind].last != NULL)
		l->ids[kind].last->next = i;
	else
		l->ids[kind].first = i;
	l->ids[kind].last = i;
	return i;
}

static void
id_add(struct load *l, enum conf_kind kind, struct str id, const struct node *at)
{
	uint64_t hash = hash_keyed(id);
	struct load_id *there = NULL;
	int order = str_cmp(id, l->ids[kind].greatest);

	/* Most files have them in order, and need not be searched. */
	if (order <= 0)
		there = (void *)htab_get(&l->ids[kind].by_id, hash, is_id, &id);
	l->now = there;
	if (there != NULL) {
		check_error(l->c, NULL, "the id is taken already: %s:%u; ids are unique among %s",
		    there->file, there->line, object_kinds[kind].list);
		return;
	}
	there = id_new(l, kind, id, at);
	htab_put(&l->ids[kind].by_id, &there->node, hash);
	if (order > 0)
		l->ids[kind].greatest = there->id;
	l->now = there;
}

/* 1 with a good id; the path then ends in [id]. */
static int
read_id(struct load *l, enum conf_kind kind, const struct node *n, struct str *id_r)
{
	const struct node *id = node_get(n, STR("id"));

	if (id == NULL || id->type != NODE_STRING) {
		check_error(l->c, id != NULL ? "id" : NULL,
		    "id is missing; allowed: id = \"name\", unique among %s",
		    object_kinds[kind].list);
		return -1;
	}
	if (field_read_string(id, l->c, id_r) < 0)
		return -1;
	return object_id_check(*id_r, l->c);
}

/* --- objects ---------------------------------------------------------------------------------- */

static void
load_listener(struct load *l, struct str id, const struct node *n)
{
	struct conf_listener *self = &l->listeners[l->n_listeners];

	l->c->ws = &l->keep;
	object_read(CONF_LISTENER, n, self, l->c);
	l->listener_at[l->n_listeners] = n;
	l->listener_ids[l->n_listeners++] = ws_str(&l->keep, id);
	load_store(l, new_object(l, CONF_LISTENER, id, n), self);
}

static void
load_service(struct load *l, struct str id, const struct node *n)
{
	struct load_service *s = &l->services[l->n_services++];

	l->c->ws = &l->keep;
	s->at = n;
	s->body = ws_zalloc(&l->keep, sizeof(*s->body));
	must(s->body, sizeof(*s->body));
	object_read(CONF_SERVICE, n, s->body, l->c);
	s->object = new_object(l, CONF_SERVICE, id, n);
}

static void
load_certificate(struct load *l, struct str id, const struct node *n)
{
	struct conf_certificate self;

	object_read(CONF_CERTIFICATE, n, &self, l->c);
	load_store(l, new_object(l, CONF_CERTIFICATE, id, n), &self);
}

static void
load_route(struct load *l, struct str id, const struct node *n)
{
	struct conf_route self;

	object_read(CONF_ROUTE, n, &self, l->c);
	load_check_route(l, &self);
	load_store(l, new_object(l, CONF_ROUTE, id, n), &self);
}

static void (*const load_kind[CONF_KIND_COUNT])(
    struct load *l, struct str id, const struct node *n) = {
    [CONF_LISTENER] = load_listener,
    [CONF_SERVICE] = load_service,
    [CONF_ROUTE] = load_route,
    [CONF_CERTIFICATE] = load_certificate,
};

static void
load_object(struct load *l, enum conf_kind kind, const struct node *n, uint32_t index)
{
	size_t list = l->c->at.path.n;
	struct str id;

	check_push_index(l->c, index);
	if (n->type != NODE_GROUP) {
		check_error(l->c, NULL,
		    "%s: not what belongs here; allowed: { id = \"name\"; ... }", node_word(n));
		return;
	}
	if (read_id(l, kind, n, &id) < 0)
		return;
	check_cut(l->c, list);
	check_push_id(l->c, id);
	id_add(l, kind, id, n);
	load_kind[kind](l, id, n);
}

/* What is kept of an object is copied or lies in l->keep; the rest goes at once. */
static void
load_one(struct load *l, enum conf_kind kind, const struct node *n, uint32_t index)
{
	struct ws_mark mark = ws_mark(&l->scratch);
	struct field_place before = field_enter(l->c, n);
	size_t path = l->c->at.path.n;

	l->c->ws = &l->scratch;
	load_object(l, kind, n, index);
	check_cut(l->c, path);
	field_leave(l->c, before);
	ws_reset(&l->scratch, mark);
}

/* Of routes nothing is looked at again, so a run's memory serves the next. */
static void
load_run(struct load *l, enum conf_kind kind, const struct node *n, uint32_t index)
{
	struct run_reading run;

	l->c->ws = &l->keep;
	if (read_run(n, &run, l->c) < 0) {
		l->unreadable = true;
		return;
	}
	for (uint32_t i = 0; i < n->run->members; i++) {
		struct ws_mark mark = ws_mark(&l->scratch);
		struct ws *ws = kind == CONF_ROUTE ? &l->scratch : &l->keep;

		load_one(l, kind, read_run_member(&run, i, ws, l->c), index + i);
		ws_reset(&l->scratch, mark);
	}
	if (kind == CONF_ROUTE)
		run_give(n->run);
}

static void
load_members(struct load *l, enum conf_kind kind, const struct node *list)
{
	uint32_t index = 0;

	for (const struct node *n = list->first; n != NULL && !l->unreadable; n = n->next) {
		if (n->type == NODE_RUN) {
			load_run(l, kind, n, index);
			index += n->run->members;
		} else {
			load_one(l, kind, n, index++);
		}
	}
}

static void
load_list(struct load *l, enum conf_kind kind)
{
	struct str name = str_of(object_kinds[kind].list);
	const struct node *list = node_get(l->root, name);
	size_t path;

	if (list == NULL)
		return;
	path = check_push(l->c, name);
	if (list->type != NODE_LIST) {
		struct conf_place at = node_place(list, l->c->at.path);

		check_error_at(l->c, &at,
		    "%s: not what belongs here; allowed: a list of groups: ( { id = \"name\"; ... "
		    "}, ... )",
		    node_word(list));
	} else {
		load_members(l, kind, list);
	}
	check_cut(l->c, path);
}

/* In the order of the kinds, so that routes find listeners and services known. */
void
load_objects(struct load *l)
{
	for (unsigned k = CONF_SETTINGS + 1; k < CONF_KIND_COUNT && !l->unreadable; k++)
		load_list(l, (enum conf_kind)k);
}
