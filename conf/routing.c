/* SPDX-License-Identifier: Apache-2.0
 *
 * See routing.h. Linking and unlinking walk the same product of hosts and paths, so whatever a
 * route put into the tables is found again from its old body alone.
 */
#include "conf/routing.h"

#include "conf/hosts.h"
#include "conf/method.h"
#include "conf/path.h"
#include "conf/trie.h"
#include "shm/base/bug.h"
#include "shm/base/ws.h"

struct routing {
	struct db_txn *txn;
	const struct map *map;
	struct hosts *hosts;
	struct trie *trie;
	char error[600];
	bool damaged;
};

static struct trie_who
route_who(void *arg, uint32_t route)
{
	struct routing *r = arg;
	struct conf_object o;

	if (map_object(r->txn, r->map, CONF_ROUTE, route, &o) != 1)
		return (struct trie_who){.rank = UINT32_MAX};
	return (struct trie_who){.rank = source_rank(o.source), .id = o.id};
}

struct routing *
routing_new(struct db_txn *txn, const struct map *m, struct map_meta *meta)
{
	struct routing *r = xcalloc(1, sizeof(*r));

	r->txn = txn;
	r->map = m;
	r->hosts = hosts_new(txn, m, meta);
	r->trie = trie_new(txn, m->tab[MAP_SHARD], route_who, r);
	return r;
}

void
routing_free(struct routing **rp)
{
	struct routing *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	hosts_free(&r->hosts);
	trie_free(&r->trie);
	free(r);
}

/* --- what a route says of itself ------------------------------------------------------------- */

static uint32_t
methods_of(const struct conf_route *route, struct gbuf *others)
{
	uint32_t mask = 0;

	if (route->method.n == 0)
		return METHODS_ANY;
	for (uint32_t i = 0; i < route->method.n; i++) {
		enum http_method m = method_of(route->method.v[i]);

		if (m < METHOD_COUNT) {
			mask |= 1u << m;
			continue;
		}
		if (others->n > 0)
			gbuf_u8(others, ' ');
		gbuf_str(others, route->method.v[i]);
	}
	if ((mask & 1u << METHOD_GET) != 0)
		mask |= 1u << METHOD_HEAD;
	return mask;
}

/* Being limited to some methods or listeners counts as one condition each. */
static uint32_t
conditions_of(const struct conf_route *route)
{
	return route->headers.n + route->query.n + route->cookies.n + (route->method.n > 0) +
	       (route->listener.n > 0);
}

static int
refuse(
    struct routing *r, const char **error_r, const char *setting, struct str what, const char *why)
{
	snprintf(r->error, sizeof(r->error), "%s: \"%.*s\": %s", setting,
	    (int)MIN(what.n, (size_t)420), what.p == NULL ? "" : what.p, why);
	*error_r = r->error;
	return -1;
}

static int
listeners_of(
    struct routing *r, const struct conf_route *route, uint64_t *mask_r, const char **error_r)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < route->listener.n; i++) {
		uint32_t number;

		if (map_number(r->txn, r->map, CONF_LISTENER, route->listener.v[i], &number) != 1)
			return refuse(
			    r, error_r, "listener", route->listener.v[i], "no such listener");
		mask |= UINT64_C(1) << (number & 63);
	}
	*mask_r = mask;
	return 1;
}

static int
candidate_of(struct routing *r, uint32_t number, const struct conf_route *route,
    struct gbuf *others, struct candidate *c_r, const char **error_r)
{
	struct candidate c = {.route = number, .priority = (int32_t)route->priority};
	uint32_t conditions = conditions_of(route);

	c.methods = methods_of(route, others);
	c.others = str_n(others->p, others->n);
	if (c.others.n > 255)
		return refuse(r, error_r, "method", c.others,
		    "extension methods longer than 255 octets together");
	if (route->priority != c.priority || conditions > UINT16_MAX)
		return refuse(r, error_r, "priority", STR_NONE, "out of range");
	c.conditions = (uint16_t)conditions;
	if (listeners_of(r, route, &c.listeners, error_r) < 0)
		return -1;
	*c_r = c;
	return 1;
}

/* --- the product of hosts and paths ---------------------------------------------------------- */

struct place {
	struct routing *r;
	const struct candidate *c; /* NULL: unlink */
	uint32_t route;
	struct str host;
	uint32_t host_id;
	const char **error_r;
};

static int
place_path(struct place *p, struct str pattern)
{
	struct routing *r = p->r;
	struct candidate c;
	struct path path;
	const char *why;

	if (path_cut(pattern, &path, &why) < 0)
		return refuse(r, p->error_r, "path", pattern, why);
	if (p->c == NULL) {
		if (trie_remove(r->trie, p->host_id, &path, p->route, &why) >= 0)
			return 1;
		r->damaged = true;
		return refuse(r, p->error_r, "path", pattern, why);
	}
	c = *p->c;
	c.n_params = (uint8_t)path.n_params;
	c.names = path.names;
	if (trie_add(r->trie, p->host_id, &path, &c, &why) == 1)
		return 1;
	return refuse(r, p->error_r, "path", pattern, why);
}

static int
place_host(struct place *p, const struct conf_route *route)
{
	struct routing *r = p->r;
	const char *why;
	int got = p->c == NULL ? hosts_unref(r->hosts, p->host, &p->host_id, &why)
			       : hosts_ref(r->hosts, p->host, &p->host_id, &why);

	if (got < 0) {
		r->damaged = true;
		return refuse(r, p->error_r, "host", p->host, why);
	}
	for (uint32_t i = 0; i < route->path.n; i++)
		if (place_path(p, route->path.v[i]) < 0)
			return -1;
	return 1;
}

static int
place_all(struct place *p, const struct conf_route *route)
{
	p->host = STR_NONE;
	if (route->host.n == 0)
		return place_host(p, route);
	for (uint32_t i = 0; i < route->host.n; i++) {
		p->host = route->host.v[i];
		if (place_host(p, route) < 0)
			return -1;
	}
	return 1;
}

int
routing_link(
    struct routing *r, uint32_t number, const struct conf_route *route, const char **error_r)
{
	struct gbuf others = {0};
	struct candidate c;
	struct place p = {.r = r, .c = &c, .route = number, .error_r = error_r};
	int ok = candidate_of(r, number, route, &others, &c, error_r);

	if (ok == 1)
		ok = place_all(&p, route);
	gbuf_free(&others);
	return ok;
}

int
routing_unlink(
    struct routing *r, uint32_t number, const struct conf_route *route, const char **error_r)
{
	struct place p = {.r = r, .route = number, .error_r = error_r};

	return place_all(&p, route);
}

int
routing_flush(struct routing *r, const char **error_r)
{
	if (hosts_flush(r->hosts, error_r) < 0)
		return -1;
	return trie_flush(r->trie, error_r);
}

bool
routing_damaged(const struct routing *r)
{
	return r->damaged || trie_damaged(r->trie);
}

int
routing_drop(struct db_txn *txn, const struct map *m, struct map_meta *meta)
{
	meta->wild = 0;
	if (db_drop(txn, m->tab[MAP_HOST]) < 0 || db_drop(txn, m->tab[MAP_SHARD]) < 0)
		return -1;
	return 1;
}

unsigned
routing_written(const struct routing *r)
{
	return trie_written(r->trie);
}

bool
routing_same(const struct conf_route *a, const struct conf_route *b)
{
	return strs_eq(&a->host, &b->host) && strs_eq(&a->path, &b->path) &&
	       strs_eq(&a->method, &b->method) && strs_eq(&a->listener, &b->listener) &&
	       a->priority == b->priority && conditions_of(a) == conditions_of(b);
}
