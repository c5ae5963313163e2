/* SPDX-License-Identifier: Apache-2.0
 *
 * See wants.h.
 */
#include "conf/wants.h"

#include <unistd.h>

#include "conf/bundle.h"
#include "conf/certificate.h"
#include "conf/changeset.h"
#include "conf/listener.h"
#include "conf/service.h"
#include "conf/settings.h"
#include "shm/base/bug.h"

#define WANT_PAIR BUNDLE_KIND_COUNT /* no blob, but that the two belong together */
#define WANT_REFS 8                 /* of one object */

struct want_ref {
	struct hnode node;
	uint32_t count;
	uint32_t n;
	char key[]; /* the kind, the reference */
};

/* One object. Never altered: another takes its place. */
struct want {
	struct hnode node;
	enum conf_kind kind;
	uint32_t number;
	uint32_t n;
	struct want_ref *v[];
};

struct want_step {
	struct want *old, *now; /* NULL: it wanted, it wants nothing */
};

/* --- references ------------------------------------------------------------------------------ */

static bool
ref_is(const struct hnode *n, const void *key)
{
	const struct want_ref *r = container_of(n, struct want_ref, node);

	return str_eq(str_n(r->key, r->n), *(const struct str *)key);
}

static struct want_ref *
ref_get(struct wants *w, struct str key)
{
	struct hnode *n = htab_get(&w->refs, hash_keyed(key), ref_is, &key);
	struct want_ref *r;

	if (n != NULL)
		return container_of(n, struct want_ref, node);
	r = xcalloc(1, sizeof(*r) + key.n);
	r->n = (uint32_t)key.n;
	memcpy(r->key, key.p, key.n);
	htab_put(&w->refs, &r->node, hash_keyed(key));
	return r;
}

static void
ref_drop(struct wants *w, struct want_ref *r)
{
	if (--r->count > 0)
		return;
	htab_del(&w->refs, &r->node);
	free(r);
}

/* --- objects --------------------------------------------------------------------------------- */

struct want_key {
	enum conf_kind kind;
	uint32_t number;
};

static bool
want_is(const struct hnode *n, const void *key)
{
	const struct want *o = container_of(n, struct want, node);
	const struct want_key *k = key;

	return o->kind == k->kind && o->number == k->number;
}

static uint64_t
want_hash(enum conf_kind kind, uint32_t number)
{
	char key[5] = {(char)kind};

	memcpy(key + 1, &number, sizeof(number));
	return hash_keyed(str_n(key, sizeof(key)));
}

static struct want *
want_find(struct wants *w, enum conf_kind kind, uint32_t number)
{
	struct want_key k = {kind, number};
	struct hnode *n = htab_get(&w->objects, want_hash(kind, number), want_is, &k);

	return n == NULL ? NULL : container_of(n, struct want, node);
}

static void
want_free(struct wants *w, struct want *o)
{
	for (uint32_t i = 0; i < o->n; i++)
		ref_drop(w, o->v[i]);
	free(o);
}

static void
want_in(struct wants *w, struct want *o)
{
	htab_put(&w->objects, &o->node, want_hash(o->kind, o->number));
	w->n++;
}

static void
want_out(struct wants *w, struct want *o)
{
	htab_del(&w->objects, &o->node);
	w->n--;
}

static bool
want_has(const struct want *o, const struct want_ref *r)
{
	for (uint32_t i = 0; o != NULL && i < o->n; i++)
		if (o->v[i] == r)
			return true;
	return false;
}

/* --- what settings name ---------------------------------------------------------------------- */

struct naming {
	struct wants *w;
	bool wants; /* it belongs among them, whether it names anything or not */
	struct want_ref *v[WANT_REFS];
	uint32_t n;
	struct gbuf key;
	struct ws ws;
};

static void
put_key(struct naming *g, unsigned kind, struct str a, struct str b)
{
	struct want_ref *r;

	g->key.n = 0;
	gbuf_u8(&g->key, (uint8_t)kind);
	gbuf_str(&g->key, a);
	if (kind == WANT_PAIR) {
		gbuf_u8(&g->key, '\0');
		gbuf_str(&g->key, b);
	}
	g->wants = true;
	r = ref_get(g->w, str_n(g->key.p, g->key.n));
	for (uint32_t i = 0; i < g->n; i++)
		if (g->v[i] == r)
			return; /* counted once for each object */
	BUG_ON(g->n == WANT_REFS);
	r->count++;
	g->v[g->n++] = r;
}

static void
name(struct naming *g, enum bundle_kind kind, struct str setting)
{
	if (setting.n > 0)
		put_key(g, kind, tls_ref(setting, &g->ws), STR_NONE);
}

static void
name_listener(struct naming *g, const struct conf_listener_tls *t)
{
	if (!t->enabled)
		return;
	if (t->tickets)
		put_key(g, BUNDLE_SECRET, TLS_REF_TICKET, STR_NONE);
	if (t->client.mode != TLS_CLIENT_NONE) {
		name(g, BUNDLE_CHAIN, t->client.ca);
		name(g, BUNDLE_CRL, t->client.crl);
	}
	g->wants = true;
}

static bool
has_https(const struct conf_service *c)
{
	const struct conf_endpoint *e = c->endpoints.v;

	for (uint32_t i = 0; i < c->endpoints.n; i++)
		if (e[i].tls)
			return true;
	return false;
}

bool
wants_service(const struct conf_service *c)
{
	const struct conf_service_tls *t = &c->tls;

	return t->ca.n > 0 || t->crl.n > 0 || t->certificate.n > 0 || t->key.n > 0 || has_https(c);
}

static void
name_service(struct naming *g, const struct conf_service *c)
{
	const struct conf_service_tls *t = &c->tls;

	if (!wants_service(c))
		return;
	if (t->ca.n > 0)
		name(g, BUNDLE_CHAIN, t->ca);
	else
		put_key(g, BUNDLE_CHAIN, TLS_REF_SYSTEM, STR_NONE);
	name(g, BUNDLE_CRL, t->crl);
	name(g, BUNDLE_CHAIN, t->certificate);
	name(g, BUNDLE_KEY, t->key);
	if (t->key.n > 0)
		put_key(g, WANT_PAIR, t->certificate, t->key);
}

static void
name_all(struct naming *g, enum conf_kind kind, const void *body)
{
	const struct conf_listener *l = body;
	const struct conf_settings *s = body;

	switch (kind) {
	case CONF_CERTIFICATE:
		g->wants = true;
		break;
	case CONF_LISTENER:
		name_listener(g, &l->tls);
		break;
	case CONF_SERVICE:
		name_service(g, body);
		break;
	case CONF_SETTINGS:
		name(g, BUNDLE_SECRET, s->tls.ticket_secret);
		break;
	default:
		break;
	}
}

/* NULL: nothing. */
static struct want *
want_of(struct wants *w, enum conf_kind kind, uint32_t number, const void *body)
{
	struct naming g = {.w = w};
	struct want *o = NULL;

	if (body == NULL)
		return NULL;
	ws_init(&g.ws, NULL, 0);
	name_all(&g, kind, body);
	if (g.wants) {
		o = xcalloc(1, sizeof(*o) + g.n * sizeof(struct want_ref *));
		o->kind = kind;
		o->number = number;
		o->n = g.n;
		if (g.n > 0)
			memcpy(o->v, g.v, g.n * sizeof(struct want_ref *));
	}
	gbuf_free(&g.key);
	ws_free(&g.ws);
	return o;
}

/* --- a transaction --------------------------------------------------------------------------- */

/* Has it to be sealed for this? A reference that was there before the transaction is counted by
 * whom it was there for, in force or in the log, so it counts more than we do here. */
static bool
is_news(const struct want *old, const struct want *now, enum conf_kind kind)
{
	if (kind == CONF_CERTIFICATE)
		return true;
	if (kind == CONF_LISTENER && now != NULL)
		return true; /* there are few, and OpenSSL has to judge their words */
	if (kind == CONF_SETTINGS && old != NULL && now == NULL)
		return true; /* a secret is made instead */
	for (uint32_t i = 0; now != NULL && i < now->n; i++)
		if (now->v[i]->count == 1 && !want_has(old, now->v[i]))
			return true;
	return false;
}

/* The old value keeps its references until the end, so that they still count as known. */
void
wants_set(struct wants *w, enum conf_kind kind, uint32_t number, const void *body)
{
	struct want *old = want_find(w, kind, number), *now = want_of(w, kind, number, body);

	if (old == NULL && now == NULL)
		return;
	if (w->n_log == w->cap) {
		w->cap = w->cap == 0 ? 64 : w->cap * 2;
		w->log = xrealloc(w->log, w->cap * sizeof(*w->log));
	}
	w->log[w->n_log++] = (struct want_step){old, now};
	w->needed |= is_news(old, now, kind);
	if (old != NULL)
		want_out(w, old);
	if (now != NULL)
		want_in(w, now);
}

bool
wants_needed(const struct wants *w)
{
	return w->needed;
}

bool
wants_any(const struct wants *w)
{
	return w->n > 0 || w->n_log > 0;
}

static void
log_end(struct wants *w)
{
	w->n_log = 0;
	w->needed = false;
}

void
wants_commit(struct wants *w)
{
	for (size_t i = 0; i < w->n_log; i++)
		if (w->log[i].old != NULL)
			want_free(w, w->log[i].old);
	log_end(w);
}

void
wants_abort(struct wants *w)
{
	for (size_t i = w->n_log; i-- > 0;) {
		const struct want_step *s = &w->log[i];

		if (s->now != NULL) {
			want_out(w, s->now);
			want_free(w, s->now);
		}
		if (s->old != NULL)
			want_in(w, s->old);
	}
	log_end(w);
}

static void
forget(struct hnode *n, void *arg)
{
	struct wants *w = arg;
	struct want *o = container_of(n, struct want, node);

	want_out(w, o);
	want_free(w, o);
}

void
wants_fini(struct wants *w)
{
	wants_abort(w);
	htab_each(&w->objects, forget, w);
	htab_free(&w->objects);
	htab_free(&w->refs);
	free(w->log);
	*w = (struct wants){.log = NULL};
}

/* --- at the start ---------------------------------------------------------------------------- */

static const enum conf_kind kinds[] = {
    CONF_SETTINGS, CONF_LISTENER, CONF_SERVICE, CONF_CERTIFICATE};

static void
load_object(void *arg, const struct conf_object *o, const void *body)
{
	wants_set(arg, o->kind, o->number, body);
}

int
wants_load(struct wants *w, struct db_txn *t, const struct map *m)
{
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (map_each_object(t, m, kinds[i], load_object, w) < 0)
			return -1;
	wants_commit(w);
	return 1;
}

/* --- sealing --------------------------------------------------------------------------------- */

struct listing {
	const struct want **v;
	uint64_t n;
};

static void
listing_add(struct hnode *n, void *arg)
{
	struct listing *l = arg;

	l->v[l->n++] = container_of(n, struct want, node);
}

static int
by_number(const void *pa, const void *pb)
{
	const struct want *a = *(const struct want *const *)pa,
			  *b = *(const struct want *const *)pb;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

int
wants_seal(const struct wants *w, struct db_txn *t, const struct map *m, const char **error_r)
{
	struct changeset_writer *set = changeset_new(STR("keeper"), STR(""), true);
	struct listing l = {.v = xcalloc(w->n + 1, sizeof(struct want *))};
	struct conf_object o;
	bool damaged = false;
	int fd;

	htab_each((struct htab *)(uintptr_t)&w->objects, listing_add, &l);
	qsort(l.v, l.n, sizeof(struct want *), by_number);
	for (uint64_t i = 0; i < l.n && !damaged; i++) {
		damaged = map_object(t, m, l.v[i]->kind, l.v[i]->number, &o) != 1;
		if (!damaged)
			changeset_put(set, CHANGE_PUT, &o);
	}
	free(l.v);
	fd = changeset_seal(&set, error_r);
	if (!damaged || fd < 0)
		return fd;
	(void)close(fd);
	*error_r = "an object in the map is damaged; a restart builds the map anew";
	return -1;
}
