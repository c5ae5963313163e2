/* SPDX-License-Identifier: Apache-2.0
 *
 * See endpoint_sets.h. A set is always made whole by the service's own field table, from the list
 * that a change leaves behind, so it has passed the checks of a service's endpoints.
 */
#include "conf/endpoint_sets_priv.h"

#include "conf/endpoint_set.h"
#include "conf/endpoint_url.h"
#include "conf/wants.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"

/* --- entries --------------------------------------------------------------------------------- */

static bool
entry_is(const struct hnode *n, const void *key)
{
	return str_eq(str_of(container_of(n, struct entry, node)->id), *(const struct str *)key);
}

struct entry *
entry_get(struct endpoint_sets *s, struct str id, bool make)
{
	struct hnode *n = htab_get(&s->entries, hash_keyed(id), entry_is, &id);
	struct entry *e;

	if (n != NULL)
		return container_of(n, struct entry, node);
	if (!make || id.n == 0 || id.n >= sizeof(e->id))
		return NULL;
	e = xcalloc(1, sizeof(*e));
	snprintf(e->id, sizeof(e->id), "%.*s", STR_ARG(id));
	list_init(&e->staged);
	list_init(&e->touched);
	list_init(&e->look);
	htab_put(&s->entries, &e->node, hash_keyed(id));
	return e;
}

void
own_set_free(struct own_set **op)
{
	struct own_set *o = *op;

	*op = NULL;
	if (o == NULL)
		return;
	ws_free(&o->ws);
	free(o->record);
	free(o);
}

void
entry_set(struct endpoint_sets *s, struct entry *e, struct own_set *set)
{
	s->n_sets += (set != NULL) - (e->set != NULL);
	own_set_free(&e->set);
	e->set = set;
}

void
entry_forget(struct endpoint_sets *s, struct entry *e)
{
	entry_set(s, e, NULL);
	own_set_free(&e->next);
	names_none(s, e);
	list_del(&e->staged);
	list_del(&e->touched);
	list_del(&e->look);
	htab_del(&s->entries, &e->node);
	free(e);
}

static void
forget_node(struct hnode *n, void *arg)
{
	entry_forget(arg, container_of(n, struct entry, node));
}

/* --- making a set ---------------------------------------------------------------------------- */

/* The check's lines as one text of ours. */
static int
refused(struct endpoint_sets *s, const struct conf_check *check, uint32_t *status_r,
    const char **error_r)
{
	struct str text = str_trim(str_n(check->text.p, check->text.n));

	while (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	snprintf(s->error, sizeof(s->error), "%.*s", (int)MIN(text.n, sizeof(s->error) - 1),
	    text.n > 0 ? text.p : "");
	*status_r = 422;
	*error_r = s->error;
	return -1;
}

static int refuse(struct endpoint_sets *s, uint32_t status, uint32_t *status_r,
    const char **error_r, const char *fmt, ...) PRINTF(5, 6);

static int
refuse(struct endpoint_sets *s, uint32_t status, uint32_t *status_r, const char **error_r,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error, sizeof(s->error), fmt, ap);
	va_end(ap);
	*status_r = status;
	*error_r = s->error;
	return -1;
}

const struct conf_service *
sets_read(struct str id, const json_t *value, struct ws *ws, struct conf_check *check)
{
	struct conf_object o;

	if (!json_is_object(value) || json_object_size(value) != 1 ||
	    !json_is_array(json_object_get(value, "endpoints"))) {
		check_error(check, NULL,
		    "endpoints[%.*s]: a set is {\"endpoints\": [{\"url\": text, \"weight\": "
		    "number}, ...]} and nothing else",
		    STR_ARG(id));
		return NULL;
	}
	if (document_object(CONF_SERVICE, id, STR("admin"), value, ws, &o, check) < 0)
		return NULL;
	return object_body(&o, ws);
}

static json_t *
list_json(const struct conf_list *l)
{
	const struct conf_endpoint *e = l->v;
	json_t *list = json_array();

	for (uint32_t i = 0; i < l->n; i++)
		json_array_append_new(
		    list, json_pack("{s:s#, s:I}", "url", e[i].url.p, (int)e[i].url.n, "weight",
			      (json_int_t)e[i].weight));
	return list;
}

static char *
record_text(struct str author, const json_t *list)
{
	char now[25];
	json_t *j;
	char *text;

	clock_rfc3339(clock_wall_us(), now);
	j = json_pack("{s:i, s:s#, s:s, s:O}", "schema", 1, "author", author.n > 0 ? author.p : "",
	    (int)author.n, "time", now, "endpoints", list);
	text = j == NULL ? NULL : document_text(j);
	json_decref(j);
	return text;
}

/* NULL: check says why. */
static struct own_set *
own_set_new(struct str id, const struct conf_list *l, struct str author, struct conf_check *check)
{
	struct own_set *o = xcalloc(1, sizeof(*o));
	json_t *list = list_json(l), *value = json_pack("{s:O}", "endpoints", list);

	ws_init(&o->ws, NULL, 0);
	o->body = sets_read(id, value, &o->ws, check);
	o->record = record_text(author, list);
	json_decref(value);
	json_decref(list);
	if (o->body == NULL || o->record == NULL)
		own_set_free(&o);
	return o;
}

/* What a change leaves must fit the map's record; names count once here, their addresses come
 * later.
 */
static bool
set_fits(const struct conf_list *l)
{
	const struct conf_endpoint *v = l->v;
	struct endpoint_bytes bytes = {.n = 0};
	struct gbuf out = {0};
	int ok;

	for (uint32_t i = 0; i < l->n; i++) {
		const struct conf_endpoint_addr *a = v[i].addresses.v;
		struct endpoint_ref e = {
		    .host = v[i].host, .base_path = v[i].base_path, .tls = v[i].tls};
		char text[ENDPOINT_NAME];

		e.name = v[i].tls ? v[i].url : v[i].host;
		if (v[i].addresses.n > 0) {
			e.addr = a->addr;
			e.name = endpoint_addr_name(e.tls, &e.addr, text);
		}
		endpoint_bytes_add(&bytes, &e);
	}
	ok = endpoint_bytes_end(&bytes, 0, 0, &out);
	gbuf_free(&out);
	return ok == 1;
}

/* --- changes --------------------------------------------------------------------------------- */

struct changing {
	struct endpoint_sets *s;
	const struct document_change *c;
	struct ws ws;
	struct conf_check check;
	struct conf_list in_force, given, result;
	bool wants; /* the service's settings name what connections at https:// need */
	uint32_t *status_r;
	const char **error_r;
};

static bool
same_place(const struct conf_endpoint *a, const struct conf_endpoint *b)
{
	struct endpoint_url ua, ub;
	const char *error;

	if (endpoint_url_parse(a->url, &ua, &error) < 0 ||
	    endpoint_url_parse(b->url, &ub, &error) < 0)
		return false;
	return endpoint_url_same(&ua, &ub);
}

static struct conf_endpoint *
find_place(const struct conf_list *l, const struct conf_endpoint *e)
{
	struct conf_endpoint *v = l->v;

	for (uint32_t i = 0; i < l->n; i++)
		if (same_place(&v[i], e))
			return &v[i];
	return NULL;
}

/* The given ones take the place of those at the same address, new ones stand behind. */
static void
join(struct changing *g)
{
	struct conf_endpoint *given = g->given.v, *v;

	v = ws_zalloc(&g->ws, (g->in_force.n + g->given.n + 1) * sizeof(*v));
	g->result = (struct conf_list){v, g->in_force.n};
	if (g->in_force.n > 0)
		memcpy(v, g->in_force.v, g->in_force.n * sizeof(*v));
	for (uint32_t i = 0; i < g->given.n; i++) {
		struct conf_endpoint *at = find_place(&g->result, &given[i]);

		if (at == NULL)
			at = &v[g->result.n++];
		*at = given[i];
	}
}

static void
take_out(struct changing *g)
{
	const struct conf_endpoint *old = g->in_force.v;
	struct conf_endpoint *v = ws_zalloc(&g->ws, (g->in_force.n + 1) * sizeof(*v));

	g->result = (struct conf_list){v, 0};
	for (uint32_t i = 0; i < g->in_force.n; i++)
		if (find_place(&g->given, &old[i]) == NULL)
			v[g->result.n++] = old[i];
}

static bool
lists_same(const struct conf_list *a, const struct conf_list *b)
{
	const struct conf_endpoint *va = a->v, *vb = b->v;

	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!str_eq(va[i].url, vb[i].url) || va[i].weight != vb[i].weight)
			return false;
	return true;
}

static struct own_set *
coming(const struct entry *e)
{
	if (e == NULL)
		return NULL;
	return list_empty(&e->staged) ? e->set : e->next;
}

/* 1, or -1: no such service, a map that cannot be read. */
static int
changing_service(struct changing *g)
{
	struct endpoint_sets *s = g->s;
	struct conf_service *settings;
	const char *error = "";
	struct db_txn *t;
	uint32_t number;
	int got;

	if (db_read_begin(s->o.store->map.db, &t, &error) < 0)
		return refuse(s, 500, g->status_r, g->error_r, "%s", error);
	got = batch_service(s, t, g->c->id, &g->ws, &number, &settings);
	db_abort(&t);
	if (got < 0)
		return refuse(s, 500, g->status_r, g->error_r,
		    "the service \"%.*s\" cannot be read from the map", STR_ARG(g->c->id));
	if (got == 0)
		return refuse(s, 404, g->status_r, g->error_r, "\"%.*s\": no such service",
		    STR_ARG(g->c->id));
	g->in_force = settings->endpoints;
	g->wants = wants_service(settings);
	return 1;
}

/* Certificates come with generations, and a set makes none. */
static int
changing_tls(struct changing *g)
{
	const struct conf_endpoint *v = g->result.v;

	for (uint32_t i = 0; i < g->result.n && !g->wants; i++)
		if (v[i].tls)
			return refuse(g->s, 422, g->status_r, g->error_r,
			    "\"%.*s\": whom to trust is not known; allowed where the settings of "
			    "the service have tls.ca, or an endpoint at https://",
			    STR_ARG(str_sub(v[i].url, 0, 300)));
	return 1;
}

/* If-Match and its like: a set is there or not; it has no version. */
static int
changing_condition(struct changing *g, const struct own_set *now)
{
	const struct document_change *c = g->c;

	if (c->op == DOC_PATCH)
		return refuse(g->s, 422, g->status_r, g->error_r,
		    "endpoints are put, added to, removed from or deleted, not patched");
	if (c->op == DOC_CREATE && now != NULL)
		return refuse(g->s, 409, g->status_r, g->error_r,
		    "the service has a set of endpoints already");
	if (c->if_none_match && now != NULL)
		return refuse(
		    g->s, 412, g->status_r, g->error_r, "the service has a set of endpoints");
	if (c->if_match != 0 && (c->if_match != IF_ANY || now == NULL))
		return refuse(g->s, 412, g->status_r, g->error_r,
		    now == NULL ? "the service has no set of endpoints"
				: "a set of endpoints has no version; allowed: *");
	if (c->op == DOC_DELETE && now == NULL)
		return refuse(g->s, 404, g->status_r, g->error_r,
		    "the service has no set of endpoints: its settings hold");
	return 1;
}

static void
stage(struct endpoint_sets *s, struct str id, struct own_set *next)
{
	struct entry *e = entry_get(s, id, true);

	own_set_free(&e->next);
	e->next = next;
	if (list_empty(&e->staged))
		list_push(&s->staged, &e->staged);
}

static int
changing_result(struct changing *g, const struct own_set *now, struct str author, bool check_only)
{
	const struct document_change *c = g->c;
	const struct conf_service *given;
	struct own_set *next;

	given = sets_read(c->id, c->value, &g->ws, &g->check);
	if (given == NULL)
		return refused(g->s, &g->check, g->status_r, g->error_r);
	g->given = given->endpoints;
	if (c->op == DOC_ADD)
		join(g);
	else if (c->op == DOC_REMOVE)
		take_out(g);
	else
		g->result = g->given;
	if (changing_tls(g) < 0)
		return -1;
	if ((now != NULL || c->op == DOC_ADD || c->op == DOC_REMOVE) &&
	    lists_same(&g->result, &g->in_force))
		return 0;
	next = own_set_new(c->id, &g->result, author, &g->check);
	if (next == NULL)
		return refused(g->s, &g->check, g->status_r, g->error_r);
	if (!set_fits(&next->body->endpoints)) {
		own_set_free(&next);
		return refuse(g->s, 422, g->status_r, g->error_r,
		    "%u endpoints are too many for one service: their record would be over %d "
		    "octets",
		    g->result.n, IMAGE_MAX);
	}
	if (check_only)
		own_set_free(&next);
	else
		stage(g->s, c->id, next);
	return 1;
}

static int
change(struct changing *g, struct str author, bool check_only)
{
	const struct own_set *now = coming(entry_get(g->s, g->c->id, false));

	if (changing_service(g) < 0 || changing_condition(g, now) < 0)
		return -1;
	if (now != NULL)
		g->in_force = now->body->endpoints;
	if (g->c->op != DOC_DELETE)
		return changing_result(g, now, author, check_only);
	if (!check_only)
		stage(g->s, g->c->id, NULL);
	return 1;
}

int
endpoint_sets_change(struct endpoint_sets *s, const struct document_change *c, struct str author,
    bool check_only, uint32_t *status_r, const char **error_r)
{
	struct changing g = {.s = s, .c = c, .status_r = status_r, .error_r = error_r};
	int ok;

	ws_init(&g.ws, NULL, 0);
	check_init(&g.check);
	ok = change(&g, author, check_only);
	check_free(&g.check);
	ws_free(&g.ws);
	return ok;
}

int
endpoint_sets_flush(struct endpoint_sets *s, const char **error_r)
{
	return list_empty(&s->staged) ? 1 : batch_commit(s, error_r);
}

void
sets_unstage(struct endpoint_sets *s)
{
	list_each_safe (n, &s->staged) {
		struct entry *e = container_of(n, struct entry, staged);

		list_del(&e->staged);
		own_set_free(&e->next);
		if (e->set == NULL && e->n_names == 0 && list_empty(&e->touched) &&
		    list_empty(&e->look))
			entry_forget(s, e);
	}
}

/* --- the life of it -------------------------------------------------------------------------- */

struct endpoint_sets *
endpoint_sets_new(const struct endpoint_sets_options *o)
{
	struct endpoint_sets *s = xcalloc(1, sizeof(*s));

	s->o = *o;
	list_init(&s->staged);
	list_init(&s->touched);
	list_init(&s->look);
	sets_load(s);
	names_start(s);
	batch_start(s);
	return s;
}

void
endpoint_sets_free(struct endpoint_sets **sp)
{
	struct endpoint_sets *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	defer_cancel(&s->soon);
	timer_stop(&s->timer);
	htab_each(&s->entries, forget_node, s);
	htab_free(&s->entries);
	names_stop(s);
	free(s);
}
