/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses for endpoints whose URL holds a name. Each name is asked for once, however many
 * endpoints have it. A name that does not resolve takes its endpoint out and warns; it never fails
 * the load.
 */
#include "conf/endpoint_url.h"
#include "conf/load_priv.h"
#include "conf/resolve.h"
#include "shm/base/bug.h"

struct name {
	struct hnode node;
	struct str name;
	uint32_t index;
};

struct names {
	struct load *l;
	struct htab seen;
	struct resolve_name *v;
	uint32_t n;
};

typedef void endpoint_f(
    struct names *k, struct load_service *s, uint32_t i, const struct endpoint_url *u);

static void *
room(struct load *l, size_t n)
{
	void *p = ws_zalloc(&l->keep, n);

	if (p == NULL)
		oom_fail(n);
	return p;
}

/* Every endpoint with a name, in order. */
static void
each_named(struct names *k, endpoint_f *fn)
{
	for (uint32_t i = 0; i < k->l->n_services; i++) {
		struct load_service *s = &k->l->services[i];
		const struct conf_endpoint *e = s->body->endpoints.v;

		for (uint32_t j = 0; j < s->body->endpoints.n; j++) {
			struct endpoint_url u;
			const char *ignored;

			if (endpoint_url_parse(e[j].url, &u, &ignored) == 1 && u.name.n > 0)
				fn(k, s, j, &u);
		}
	}
}

static void
count(struct names *k, struct load_service *s, uint32_t i, const struct endpoint_url *u)
{
	(void)s;
	(void)i;
	(void)u;
	k->n++;
}

static bool
is_name(const struct hnode *n, const void *key)
{
	return str_eq(((const struct name *)(const void *)n)->name, *(const struct str *)key);
}

static struct name *
find(struct names *k, struct str name)
{
	return (struct name *)(void *)htab_get(&k->seen, hash_keyed(name), is_name, &name);
}

static void
add(struct names *k, struct load_service *s, uint32_t i, const struct endpoint_url *u)
{
	struct name *name;

	(void)s;
	(void)i;
	if (find(k, u->name) != NULL)
		return;
	name = room(k->l, sizeof(*name));
	name->name = u->name;
	name->index = k->n;
	k->v[k->n++].name = u->name;
	htab_put(&k->seen, &name->node, hash_keyed(u->name));
}

static void
warn(struct names *k, const struct load_service *s, uint32_t i, struct str name, struct str error)
{
	struct conf_check *c = k->l->c;
	char setting[48];
	size_t path;

	path = check_push(c, STR("services"));
	check_push_id(c, s->object->id);
	c->node = s->at;
	c->at.file = str_of(s->at->file);
	c->at.line = s->at->line;
	snprintf(setting, sizeof(setting), "endpoints[%u].url", i);
	check_warn(c, check_given(c, "url") ? "url" : setting,
	    "the host \"%.*s\" was not resolved: %.*s; the endpoint stays down", STR_ARG(name),
	    STR_ARG(error));
	check_cut(c, path);
	c->node = NULL;
	c->at.file = STR_NONE;
	c->at.line = 0;
}

static void
distribute(struct names *k, struct load_service *s, uint32_t i, const struct endpoint_url *u)
{
	struct conf_endpoint *e = (struct conf_endpoint *)s->body->endpoints.v + i;
	const struct resolve_name *found = &k->v[find(k, u->name)->index];
	struct conf_endpoint_addr *v;

	e->resolve_error = found->error;
	if (found->n == 0) {
		warn(k, s, i, u->name, found->error);
		return;
	}
	v = room(k->l, found->n * sizeof(*v));
	for (uint32_t j = 0; j < found->n; j++) {
		v[j].addr = found->v[j];
		v[j].addr.port = u->port;
	}
	e->addresses = (struct conf_list){v, found->n};
}

void
load_resolve(struct load *l, bool look_up)
{
	struct names k = {.l = l};

	if (!look_up) {
		for (uint32_t i = 0; i < l->n_services; i++)
			service_not_looked_up(l->services[i].body);
		return;
	}
	each_named(&k, count);
	k.v = room(l, k.n * sizeof(*k.v));
	k.n = 0;
	each_named(&k, add);
	resolve_names(k.v, k.n, l->r->settings->supervision.resolve_timeout, &l->keep);
	each_named(&k, distribute);
	htab_free(&k.seen);
}
