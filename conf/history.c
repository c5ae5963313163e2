/* SPDX-License-Identifier: Apache-2.0
 *
 * See history.h.
 */
#include "conf/history.h"

#include "shm/base/bug.h"
#include "shm/base/log.h"

/* --- writing --------------------------------------------------------------------------------- */

void
history_change_add(json_t *changes, enum conf_kind kind, struct str id, struct str source,
    struct str override, json_t *before, json_t *after)
{
	json_t *j = json_object();

	(void)json_object_set_new(j, "kind", json_string(object_kinds[kind].word));
	(void)json_object_set_new(j, "id", json_of(id));
	(void)json_object_set_new(j, "source", json_of(source));
	if (override.n > 0)
		(void)json_object_set_new(j, "override", json_of(override));
	(void)json_object_set_new(j, "before", before != NULL ? json_incref(before) : json_null());
	(void)json_object_set_new(j, "after", after != NULL ? json_incref(after) : json_null());
	(void)json_array_append_new(changes, j);
}

/* As the state has it: of a document that may have been applied before, the map cannot say. */
static json_t *
remembered_value(struct state *s, const struct conf_object *o)
{
	char key[REMEMBER_KEY];
	json_t *record = remember_get(s, STATE_OBJECTS, remember_key_object(key, o->kind, o->id));
	json_t *value = json_incref(json_object_get(record, "value"));

	json_decref(record);
	return value;
}

static void
change_of(json_t *changes, struct conf_object *old, struct conf_object *new, struct state *s)
{
	const struct conf_object *o = new->body.p != NULL ? new : old;
	json_t *before, *after;

	if (s != NULL && o->kind != CONF_SETTINGS && o->override.n == 0 &&
	    !str_eq(o->source, STR("file")))
		before = remembered_value(s, o);
	else
		before = old->body.p != NULL ? document_value(old, false) : NULL;
	after = new->body.p != NULL ? document_value(new, false) : NULL;
	history_change_add(changes, o->kind, o->id, o->source, new->override, before, after);
	json_decref(before);
	json_decref(after);
}

json_t *
history_changes(const struct apply *a, struct state *remembered)
{
	json_t *changes;
	struct conf_object old, new;
	uint32_t i = 0;

	if (apply_changed(a) > HISTORY_CHANGES)
		return NULL;
	changes = json_array();
	for (; apply_change_get(a, i, &old, &new) == 1; i++)
		change_of(changes, &old, &new, remembered);
	if (i == apply_changed(a))
		return changes;
	json_decref(changes);
	return NULL;
}

void
history_note(struct remember *r, const struct history_head *h, json_t *changes)
{
	json_t *j = json_object();
	char key[REMEMBER_KEY], *text;

	(void)json_object_set_new(j, "schema", json_integer(REMEMBER_SCHEMA));
	(void)json_object_set_new(j, "generation", json_integer((json_int_t)h->generation));
	(void)json_object_set_new(j, "time", remember_now());
	(void)json_object_set_new(j, "source", json_of(h->source));
	(void)json_object_set_new(j, "author", json_of(h->author));
	(void)json_object_set_new(j, "comment", json_of(h->comment));
	(void)json_object_set_new(j, "changed", json_integer(h->changed));
	if (changes != NULL)
		(void)json_object_set_new(j, "changes", changes);
	text = document_text(j);
	if (text != NULL && strlen(text) > HISTORY_OCTETS) {
		free(text);
		(void)json_object_del(j, "changes");
		text = document_text(j);
	}
	BUG_ON(text == NULL);
	remember_put(r, STATE_HISTORY, remember_key_number(key, h->generation), str_of(text));
	free(text);
	json_decref(j);
}

void
history_lean(struct remember *r)
{
	for (uint32_t i = 0; i < r->n; i++) {
		json_t *j;

		if (r->v[i].tab != STATE_HISTORY || r->v[i].text == NULL)
			continue;
		j = remember_parse(str_of(r->v[i].text), r->v[i].key);
		(void)json_object_del(j, "changes");
		free(r->v[i].text);
		r->v[i].text = document_text(j);
		BUG_ON(r->v[i].text == NULL);
		json_decref(j);
	}
}

struct trim {
	struct remember *r;
	uint64_t extra;
};

static int
trim_one(void *arg, struct str key, struct str text UNUSED)
{
	struct trim *t = arg;

	if (t->extra-- == 0)
		return 0;
	remember_del(t->r, STATE_HISTORY, key);
	return 1;
}

void
history_trim(struct state *s, struct remember *r, uint64_t keep)
{
	struct trim trim = {.r = r};
	struct state_txn *t;
	const char *error;
	uint64_t n;

	if (state_begin(s, &t, &error) < 0)
		return;
	n = state_count(t, STATE_HISTORY);
	for (uint32_t i = 0; i < r->n; i++)
		n += r->v[i].tab == STATE_HISTORY && r->v[i].text != NULL;
	trim.extra = n > keep ? n - keep : 0;
	if (trim.extra > 0 && state_each(t, STATE_HISTORY, STR(""), trim_one, &trim, &error) < 0)
		log_error("state: history cannot be read: %s", error);
	state_abort(&t);
}

/* --- what differs ---------------------------------------------------------------------------- */

struct net {
	uint64_t to;
	json_t *by; /* "kind id" -> entry */
	const char *error;
	uint32_t status;
};

/* The first that says what was before decides that, the last what is after. */
static void
net_add(struct net *n, const json_t *change)
{
	struct str kind = json_str(change, "kind"), id = json_str(change, "id");
	json_t *after = json_object_get(change, "after"), *e;
	char name[128];

	snprintf(name, sizeof(name), "%.*s %.*s", STR_ARG(str_sub(kind, 0, 40)),
	    STR_ARG(str_sub(id, 0, 70)));
	e = json_object_get(n->by, name);
	if (e == NULL) {
		e = json_object();
		(void)json_object_set_new(n->by, name, e);
		(void)json_object_set(e, "kind", json_object_get(change, "kind"));
		(void)json_object_set(e, "id", json_object_get(change, "id"));
		(void)json_object_set(e, "before", json_object_get(change, "before"));
	}
	(void)json_object_set(e, "source", json_object_get(change, "source"));
	(void)json_object_set(e, "after", after);
}

static int
net_record(void *arg, struct str key, struct str text)
{
	struct net *n = arg;
	json_t *record, *changes, *change;
	size_t i;

	if (remember_number(key) > n->to)
		return 0;
	record = remember_parse(text, key);
	changes = json_object_get(record, "changes");
	if (!json_is_array(changes)) {
		n->status = 410;
		n->error = "a generation between the two has no list of its changes (a start, or "
			   "more than history keeps of one)";
	}
	json_array_foreach(changes, i, change) net_add(n, change);
	json_decref(record);
	return n->status == 0 ? 1 : 0;
}

/* Whatever is as it was goes; with `back` before and after change places. */
static json_t *
net_list(const struct net *n, bool back)
{
	json_t *list = json_array(), *e;
	const char *name;

	json_object_foreach(n->by, name, e)
	{
		json_t *before = json_incref(json_object_get(e, "before"));
		json_t *after = json_incref(json_object_get(e, "after"));

		if (!json_equal(before, after)) {
			(void)json_object_set(e, "before", back ? after : before);
			(void)json_object_set(e, "after", back ? before : after);
			(void)json_array_append(list, e);
		}
		json_decref(before);
		json_decref(after);
	}
	return list;
}

/* Does history know every change after that generation? */
static int
first_one(void *arg, struct str key, struct str text UNUSED)
{
	*(uint64_t *)arg = remember_number(key);
	return 0;
}

static int
net_walk(struct state *s, struct net *n, uint64_t from, uint64_t now)
{
	char key[REMEMBER_KEY];
	uint64_t first = 0;
	struct state_txn *t;
	int got;

	if (state_begin(s, &t, &n->error) < 0)
		return -1;
	got = state_each(t, STATE_HISTORY, STR(""), first_one, &first, &n->error);
	if (got >= 0 && from < now && (first == 0 || from + 1 < first)) {
		n->status = 410;
		n->error = "history does not reach back so far";
	} else if (got >= 0) {
		got = state_each(
		    t, STATE_HISTORY, remember_key_number(key, from + 1), net_record, n, &n->error);
	}
	state_abort(&t);
	return got < 0 || n->status != 0 ? -1 : 1;
}

json_t *
history_net(
    struct state *s, uint64_t now, uint64_t a, uint64_t b, uint32_t *status_r, const char **error_r)
{
	struct net n = {.to = 0};
	json_t *list = NULL;

	a = a == 0 ? now : a;
	b = b == 0 ? now : b;
	*status_r = 404;
	*error_r = "there is no such generation yet";
	if (MAX(a, b) > now)
		return NULL;
	n.to = MAX(a, b);
	n.by = json_object();
	if (net_walk(s, &n, MIN(a, b), now) == 1) {
		list = net_list(&n, a > b);
	} else {
		*status_r = n.status != 0 ? n.status : 503;
		*error_r = n.error;
	}
	json_decref(n.by);
	return list;
}

/* --- the list -------------------------------------------------------------------------------- */

struct listing {
	json_t *list;
	uint64_t left;
};

static int
list_one(void *arg, struct str key, struct str text)
{
	struct listing *l = arg;
	json_t *record;

	if (l->left-- == 0)
		return 0;
	record = remember_parse(text, key);
	if (record == NULL)
		return 1;
	(void)json_object_set_new(
	    record, "reversible", json_boolean(json_object_get(record, "changes") != NULL));
	(void)json_object_del(record, "changes");
	(void)json_array_append_new(l->list, record);
	return 1;
}

json_t *
history_list(struct state *s, uint64_t n, uint64_t before)
{
	struct listing l = {.list = json_array(), .left = n};
	char key[REMEMBER_KEY];
	struct state_txn *t;
	const char *error;
	int got = -1;

	if (state_begin(s, &t, &error) == 1) {
		got = state_each_down(t, STATE_HISTORY,
		    before == 0 ? STR_NONE : remember_key_number(key, before), list_one, &l,
		    &error);
		state_abort(&t);
	}
	if (got < 0)
		log_error("state: history cannot be read: %s", error);
	return l.list;
}
