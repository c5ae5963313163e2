/* SPDX-License-Identifier: Apache-2.0
 *
 * See override.h.
 */
#include "conf/override.h"

#include "shm/base/bug.h"
#include "shm/base/enc.h"
#include "shm/base/log.h"

struct overrides {
	struct htab tab;
	struct list ending;
};

struct key {
	enum conf_kind kind;
	struct str id;
};

static uint64_t
key_hash(const struct key *k)
{
	return hash_keyed(k->id) + (uint64_t)k->kind;
}

static bool
is(const struct hnode *n, const void *key)
{
	const struct override *v = container_of(n, struct override, node);
	const struct key *k = key;

	return v->kind == k->kind && str_eq(v->id, k->id);
}

static struct override *
find(const struct overrides *o, enum conf_kind kind, struct str id)
{
	struct key k = {kind, id};
	struct hnode *n = htab_get(&o->tab, key_hash(&k), is, &k);

	return n == NULL ? NULL : container_of(n, struct override, node);
}

struct overrides *
overrides_new(void)
{
	struct overrides *o = xcalloc(1, sizeof(*o));

	list_init(&o->ending);
	return o;
}

static void
take_out(struct overrides *o, struct override *v)
{
	htab_del(&o->tab, &v->node);
	list_del(&v->ending);
	json_decref(v->value);
	free(v);
}

/* --- in and out of records ------------------------------------------------------------------- */

static struct str
text_add(struct override *v, size_t *at, struct str s)
{
	char *p = v->text + *at;

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	*at += s.n;
	return str_n(p, s.n);
}

/* A copy in the table, in place of the one that was there. */
static struct override *
put(struct overrides *o, const struct override *like)
{
	struct override *old = find(o, like->kind, like->id), *v;
	struct key k = {like->kind, like->id};
	size_t at = 0;

	v = xcalloc(1, sizeof(*v) + like->id.n + like->name.n + like->source.n + like->author.n +
			   like->since.n + 1);
	v->kind = like->kind;
	v->id = text_add(v, &at, like->id);
	v->name = text_add(v, &at, like->name);
	v->source = text_add(v, &at, like->source);
	v->author = text_add(v, &at, like->author);
	v->since = text_add(v, &at, like->since);
	v->own = like->own;
	v->digest = like->digest;
	v->value = json_incref(like->value);
	list_init(&v->ending);
	if (old != NULL)
		take_out(o, old);
	htab_put(&o->tab, &v->node, key_hash(&k));
	return v;
}

static json_t *
record_of(const struct override *v)
{
	json_t *j = json_object();
	char hex[33] = "";

	if (v->own)
		digest_hex(&v->digest, hex);
	(void)json_object_set_new(j, "schema", json_integer(REMEMBER_SCHEMA));
	(void)json_object_set_new(j, "name", json_of(v->name));
	(void)json_object_set_new(j, "source", json_of(v->source));
	(void)json_object_set_new(j, "digest", json_string(hex));
	(void)json_object_set_new(j, "since", json_of(v->since));
	(void)json_object_set_new(j, "author", json_of(v->author));
	(void)json_object_set_new(
	    j, "value", v->value != NULL ? json_incref(v->value) : json_null());
	return j;
}

static int
load_one(void *arg, struct str key, struct str text)
{
	struct overrides *o = arg;
	struct override like = {.kind = CONF_ROUTE};
	json_t *j = remember_parse(text, key);
	struct str hex = json_str(j, "digest");

	like.name = json_str(j, "name");
	like.source = json_str(j, "source");
	like.author = json_str(j, "author");
	like.since = json_str(j, "since");
	like.value = json_object_get(j, "value");
	like.own = hex.n > 0;
	if (!json_is_object(like.value))
		like.value = NULL;
	if (remember_key_read(key, &like.kind, &like.id) == 1 && like.name.n > 0 &&
	    json_u64(j, "schema") == REMEMBER_SCHEMA &&
	    (!like.own || enc_unhex(hex, like.digest.b, sizeof(like.digest.b)) == 1))
		(void)put(o, &like);
	else
		log_error("state: override %.*s is malformed", STR_ARG(key));
	json_decref(j);
	return 1;
}

void
overrides_load(struct overrides *o, struct state *s)
{
	struct state_txn *t;
	const char *error;

	if (state_begin(s, &t, &error) < 0) {
		log_error("state: overrides cannot be read: %s", error);
		return;
	}
	if (state_each(t, STATE_OVERRIDES, STR(""), load_one, o, &error) < 0)
		log_error("state: overrides cannot be read: %s", error);
	state_abort(&t);
}

/* --- looking --------------------------------------------------------------------------------- */

const struct override *
override_find(const struct overrides *o, enum conf_kind kind, struct str id)
{
	return find(o, kind, id);
}

struct each {
	override_f *fn;
	void *arg;
};

static void
each_one(struct hnode *n, void *arg)
{
	const struct each *e = arg;

	e->fn(e->arg, container_of(n, struct override, node));
}

void
override_each(const struct overrides *o, override_f *fn, void *arg)
{
	struct each e = {fn, arg};

	htab_each((struct htab *)&o->tab, each_one, &e);
}

uint32_t
override_count(const struct overrides *o)
{
	return (uint32_t)o->tab.n;
}

enum override_says
override_says(void *arg, enum conf_kind kind, struct str id, const struct digest *digest)
{
	struct overrides *o = arg;
	struct override *v = find(o, kind, id);

	if (v == NULL)
		return OVERRIDE_NONE;
	if (v->ends)
		return OVERRIDE_ENDS;
	if (digest == NULL ? !v->own : v->own && digest_eq(digest, &v->digest))
		return OVERRIDE_HOLDS;
	override_end(o, kind, id);
	return OVERRIDE_ENDS;
}

/* --- what a transaction changes -------------------------------------------------------------- */

void
override_end(struct overrides *o, enum conf_kind kind, struct str id)
{
	struct override *v = find(o, kind, id);

	if (v == NULL || v->ends)
		return;
	v->ends = true;
	list_push(&o->ending, &v->ending);
}

void
override_spare(struct overrides *o, enum conf_kind kind, struct str id)
{
	struct override *v = find(o, kind, id);

	if (v == NULL || !v->ends)
		return;
	v->ends = false;
	list_del(&v->ending);
}

void
override_commit(struct overrides *o, struct remember *r)
{
	struct list *n;

	while ((n = list_first(&o->ending)) != NULL) {
		struct override *v = container_of(n, struct override, ending);

		log_info("override %.*s of %s %.*s ends", STR_ARG(v->name),
		    document_kind_word(v->kind), STR_ARG(v->id));
		override_drop(o, r, v->kind, v->id);
	}
}

void
override_abort(struct overrides *o)
{
	struct list *n;

	while ((n = list_first(&o->ending)) != NULL) {
		container_of(n, struct override, ending)->ends = false;
		list_del(n);
	}
}

void
override_put(
    struct overrides *o, struct remember *r, const struct override *like, const struct digest *own)
{
	char key[REMEMBER_KEY];
	struct override with = *like, *v;
	json_t *j;

	with.own = own != NULL;
	if (own != NULL)
		with.digest = *own;
	v = put(o, &with);
	j = record_of(v);
	remember_json(r, STATE_OVERRIDES, remember_key_object(key, v->kind, v->id), j);
	json_decref(j);
}

void
override_drop(struct overrides *o, struct remember *r, enum conf_kind kind, struct str id)
{
	struct override *v = find(o, kind, id);
	char key[REMEMBER_KEY];

	if (v == NULL)
		return;
	remember_del(r, STATE_OVERRIDES, remember_key_object(key, kind, id));
	take_out(o, v);
}
