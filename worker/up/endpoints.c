/* SPDX-License-Identifier: Apache-2.0
 *
 * See endpoints.h. Two words in the arena say whether anything changed; only then is the map asked,
 * and only a changed digest makes a new set.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"
#include "worker/up/endpoints.h"

void
endpoints_ref(struct epset *s)
{
	s->refs++;
}

void
endpoints_unref(struct epset **sp)
{
	struct epset *s = *sp;

	*sp = NULL;
	if (!s || --s->refs > 0)
		return;
	ws_free(&s->ws);
	free(s);
}

/* Endpoint refs borrow from the map; the set's copies live as long as it. */
static int
endpoints_decode(struct epset *s, const struct endpoint_set *from)
{
	s->v = ws_alloc(&s->ws, (from->n + 1) * sizeof(*s->v));
	for (uint32_t i = 0; i < from->n; i++) {
		struct endpoint_ref *e = &s->v[i];

		if (endpoint_set_get(from, i, e) != 1)
			return -1;
		e->host = ws_str(&s->ws, e->host);
		e->base_path = ws_str(&s->ws, e->base_path);
		e->name = ws_str(&s->ws, e->name);
		e->error = ws_str(&s->ws, e->error);
	}
	s->n = from->n;
	return 1;
}

static struct epset *
endpoints_new(const struct endpoint_set *from)
{
	struct epset *s = xcalloc(1, sizeof(*s));

	s->refs = 1;
	s->digest = from->digest;
	s->service_row = from->service_row;
	ws_init(&s->ws, NULL, 0);
	if (endpoints_decode(s, from) < 0)
		endpoints_unref(&s);
	return s;
}

static struct epset **
endpoints_place(struct up *u, uint32_t service)
{
	if (service >= u->n_sets) {
		uint32_t n = MAX(service + 1, u->n_sets * 2);

		u->sets = xrealloc(u->sets, n * sizeof(*u->sets));
		memset(u->sets + u->n_sets, 0, (n - u->n_sets) * sizeof(*u->sets));
		u->n_sets = n;
	}
	return &u->sets[service];
}

struct epset *
endpoints_get(struct up *u, struct table *t, uint32_t service)
{
	struct arena_head *h = arena_head(u->arena);
	uint64_t version = u->endpoints_version, generation = table_generation(t);
	struct epset **place, *s;
	struct endpoint_set set;
	int rc;

	/* A number comes from the map: a broken one must not size an array. */
	if (service > h->services + UINT32_C(1000000))
		return NULL;
	place = endpoints_place(u, service);
	s = *place;
	if (s && s->generation == generation && s->version == version)
		return s;
	rc = table_endpoints(t, service, &set);
	if (rc < 0)
		metric_add(u->metrics, M_PROC_TABLE_ERRORS, 1);
	if (rc == 1 && s && digest_eq(&s->digest, &set.digest)) {
		s->generation = generation;
		s->version = version;
		return s;
	}
	endpoints_unref(place);
	if (rc != 1)
		return NULL;
	s = *place = endpoints_new(&set);
	if (!s) {
		log_error("endpoints of service number %u: malformed value in the map", service);
		metric_add(u->metrics, M_PROC_TABLE_ERRORS, 1);
		return NULL;
	}
	s->generation = generation;
	s->version = version;
	return s;
}

void
endpoints_clear(struct up *u)
{
	for (uint32_t i = 0; i < u->n_sets; i++)
		endpoints_unref(&u->sets[i]);
	free(u->sets);
	u->sets = NULL;
	u->n_sets = 0;
}
