/* SPDX-License-Identifier: Apache-2.0
 *
 * What must hold between objects: references that lead somewhere, addresses used once, and no two
 * routes that match the very same requests.
 */
#include "conf/field_read.h"
#include "conf/load_priv.h"
#include "conf/read.h"
#include "shm/base/bug.h"
#include "shm/heritage.h"

#define SUGGEST_ERRORS 20   /* looking for the nearest id costs; only for the first errors ... */
#define SUGGEST_IDS    2000 /* ... and among so many */
#define MATCH_PAIRS    4096 /* hosts times paths of one route that are compared with other routes' */

/* --- references ------------------------------------------------------------------------------- */

static struct str
nearest_id(struct load *l, enum conf_kind kind, struct str word)
{
	struct str nearest = STR_NONE;
	unsigned best = UINT32_MAX, n = 0;

	if (l->c->errors >= SUGGEST_ERRORS)
		return nearest;
	for (const struct load_id *i = l->ids[kind].first; i != NULL && n < SUGGEST_IDS;
	     i = i->next, n++)
		if (check_near(word, i->id, &best))
			nearest = i->id;
	return nearest;
}

static void
check_reference(struct load *l, enum conf_kind kind, struct str id, const char *setting)
{
	struct str nearest;

	if (load_has(l, kind, id))
		return;
	nearest = nearest_id(l, kind, id);
	if (nearest.n > 0)
		check_error(l->c, setting, "\"%.*s\": no such %s; did you mean \"%.*s\"?",
		    STR_ARG(id), object_kinds[kind].word, STR_ARG(nearest));
	else
		check_error(l->c, setting, "\"%.*s\": no such %s; allowed: an id among %s",
		    STR_ARG(id), object_kinds[kind].word, object_kinds[kind].list);
}

/* --- listeners -------------------------------------------------------------------------------- */

static void
complain_listener(struct load *l, uint32_t i, uint32_t k)
{
	char address[160];
	size_t path = check_push(l->c, STR("listeners")), n;
	struct conf_object *o = &l->r->v[1 + i]; /* listeners come right behind the settings */

	n = addr_text(&l->listeners[i].address, address, sizeof(address));
	check_push_id(l->c, l->listener_ids[i]);
	l->c->at.file = o->file;
	l->c->at.line = o->line;
	check_error(l->c, "address", "%.*s is the address of listener \"%.*s\" already", (int)n,
	    address, STR_ARG(l->listener_ids[k]));
	check_cut(l->c, path);
	l->c->at.file = STR_NONE;
	l->c->at.line = 0;
}

/* Certificates of another source may be all a listener needs: that there is one at all is for the
 * keeper to see. */
static void
check_certificates(struct load *l, uint32_t i)
{
	const struct conf_listener_tls *t = &l->listeners[i].tls;
	struct field_place before = field_enter(l->c, l->listener_at[i]);
	size_t path = check_push(l->c, STR("listeners"));

	check_push_id(l->c, l->listener_ids[i]);
	for (uint32_t k = 0; k < t->certificates.n; k++)
		check_reference(l, CONF_CERTIFICATE, t->certificates.v[k], "tls.certificates");
	for (uint32_t k = 0; t->certificates.n == 0 && k < t->fallback.n; k++)
		check_reference(l, CONF_CERTIFICATE, t->fallback.v[k], "tls.default");
	check_cut(l->c, path);
	field_leave(l->c, before);
}

void
load_check_listeners(struct load *l)
{
	struct conf_place at = {.file = str_of(l->root->file), .path = STR("listeners")};

	if (l->n_listeners == 0 && l->c->errors == 0)
		check_warn_at(l->c, &at, "there is none, so nothing will be served");
	if (l->n_listeners > LISTEN_MAX) {
		check_error_at(l->c, &at, "%u; allowed: up to %u", l->n_listeners, LISTEN_MAX);
		return;
	}
	for (uint32_t i = 0; i < l->n_listeners; i++) {
		check_certificates(l, i);
		for (uint32_t k = 0; k < i; k++) {
			if (l->listeners[i].address.family == 0 ||
			    !addr_eq(&l->listeners[i].address, &l->listeners[k].address))
				continue;
			complain_listener(l, i, k);
			break;
		}
	}
}

/* --- routes that match the same ----------------------------------------------------------------
 */

struct match {
	struct hnode node;
	const struct load_id *id;
};

static int
by_octets(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void
put_sorted(struct load *l, const struct strs *list)
{
	struct str *v = ws_alloc(&l->scratch, (list->n + 1) * sizeof(*v));

	if (v == NULL)
		oom_fail(list->n);
	if (list->n > 0)
		memcpy(v, list->v, list->n * sizeof(*v));
	if (list->n > 1)
		qsort(v, list->n, sizeof(*v), by_octets);
	for (uint32_t i = 0; i < list->n; i++) {
		gbuf_str(&l->body, v[i]);
		gbuf_u8(&l->body, '\0');
	}
	gbuf_u8(&l->body, '\1');
}

static void
put_conditions(struct load *l, const struct conf_list *list)
{
	const struct conf_cond *c = list->v;

	for (uint32_t i = 0; i < list->n; i++) {
		gbuf_u8(&l->body, (uint8_t)c[i].match);
		gbuf_str(&l->body, c[i].name);
		gbuf_u8(&l->body, '\0');
		gbuf_str(&l->body, c[i].value);
		gbuf_u8(&l->body, '\0');
	}
	gbuf_u8(&l->body, '\1');
}

/* Two parameters at one place match the same, whatever their names. */
static void
put_path(struct load *l, struct str path)
{
	struct str rest = path, segment;

	if (path.n == 0 || path.p[0] == '~' || str_chr(path, '{') < 0) {
		gbuf_str(&l->body, path);
		return;
	}
	while (str_cut(&rest, '/', &segment)) {
		if (segment.n > 0 && segment.p[0] == '{')
			segment = STR("{}");
		gbuf_str(&l->body, segment);
		gbuf_u8(&l->body, '/');
	}
}

static bool
any(const struct hnode *n, const void *key)
{
	(void)n;
	(void)key;
	return true; /* 64 bits of a keyed hash are enough for a warning */
}

static void
match_new(struct load *l, uint64_t hash)
{
	struct match *m = ws_zalloc(&l->keep, sizeof(*m));

	if (m == NULL)
		oom_fail(sizeof(*m));
	m->id = l->now;
	htab_put(&l->matches, &m->node, hash);
}

static void
match_seen(struct load *l, struct str path)
{
	uint64_t hash = hash_keyed(str_n(l->body.p, l->body.n));
	struct hnode *there = htab_get(&l->matches, hash, any, NULL);
	const struct load_id *other;

	if (there == NULL) {
		match_new(l, hash);
		return;
	}
	other = ((const struct match *)(const void *)there)->id;
	if (other != l->now)
		check_warn(l->c, "path",
		    "\"%.*s\" matches the same as route \"%.*s\" (%s:%u); the smaller id wins",
		    STR_ARG(path), STR_ARG(other->id), other->file, other->line);
}

static void
check_ambiguous(struct load *l, const struct conf_route *r)
{
	size_t fixed;

	if ((uint64_t)MAX(r->host.n, 1) * r->path.n > MATCH_PAIRS)
		return;
	l->body.n = 0;
	gbuf_u64(&l->body, (uint64_t)r->priority);
	put_sorted(l, &r->method);
	put_sorted(l, &r->listener);
	put_conditions(l, &r->headers);
	put_conditions(l, &r->query);
	put_conditions(l, &r->cookies);
	fixed = l->body.n;
	for (uint32_t i = 0; i < r->path.n; i++) {
		for (uint32_t k = 0; k < MAX(r->host.n, 1); k++) {
			l->body.n = fixed;
			if (r->host.n > 0)
				gbuf_str(&l->body, r->host.v[k]);
			gbuf_u8(&l->body, '\0');
			put_path(l, r->path.v[i]);
			match_seen(l, r->path.v[i]);
		}
	}
}

void
load_check_route(struct load *l, const struct conf_route *r)
{
	if (r->service.n > 0)
		check_reference(l, CONF_SERVICE, r->service, "service");
	for (uint32_t i = 0; i < r->listener.n; i++)
		check_reference(l, CONF_LISTENER, r->listener.v[i], "listener");
	check_ambiguous(l, r);
}
