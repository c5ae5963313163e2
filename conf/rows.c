/* SPDX-License-Identifier: Apache-2.0
 *
 * See rows.h. An endpoint is the same one when scheme, address and port are (endpoint_ref_same);
 * two entries of one service with the same address share a row.
 */
#include "conf/rows.h"

#include "conf/endpoint_set.h"
#include "shm/base/bug.h"

#define HTTPS_N (sizeof("https://") - 1)

struct row_list {
	uint32_t *v;
	size_t n, cap;
};

struct rows {
	struct arena *arena;
	uint64_t oldest;
	rows_verdict_f *verdict;
	void *arg;
	struct row_list taken, retired, services_taken, services_freed;
	bool touched; /* the endpoint table is not what it was */
	char error[160];
};

static void
list_add(struct row_list *l, uint32_t row)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 32 : l->cap * 2;
		l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->n++] = row;
}

struct rows *
rows_new(struct arena *a, uint64_t oldest, rows_verdict_f *verdict, void *arg)
{
	struct rows *r = xcalloc(1, sizeof(*r));

	r->arena = a;
	r->oldest = oldest;
	r->verdict = verdict;
	r->arg = arg;
	return r;
}

void
rows_free(struct rows **rp)
{
	struct rows *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	free(r->taken.v);
	free(r->retired.v);
	free(r->services_taken.v);
	free(r->services_freed.v);
	free(r);
}

/* --- one service ----------------------------------------------------------------------------- */

struct setting {
	struct rows *r;
	struct str id;
	const struct endpoint_set *old;
	struct endpoint_ref *v; /* the new set so far */
	uint32_t n, cap;
	const char **error_r;
};

static bool
find_same(struct setting *s, struct endpoint_ref *e)
{
	struct endpoint_ref have;

	for (uint32_t i = 0; i < s->n; i++)
		if (endpoint_ref_same(&s->v[i], e)) {
			e->row = s->v[i].row;
			e->incarnation = s->v[i].incarnation;
			return true;
		}
	for (uint32_t i = 0; s->old != NULL && i < s->old->n; i++)
		if (endpoint_set_get(s->old, i, &have) == 1 && endpoint_ref_same(&have, e)) {
			e->row = have.row;
			e->incarnation = have.incarnation;
			return true;
		}
	return false;
}

static int
row_take(struct setting *s, struct endpoint_ref *e)
{
	struct rows *r = s->r;
	struct endpoint_row *row;

	if (arena_endpoint_alloc(r->arena, r->oldest, &e->row, &e->incarnation) != 1) {
		snprintf(r->error, sizeof(r->error),
		    "no free row for an endpoint: limits.endpoints is %u, %u are in use, the rest "
		    "still have requests in flight; raise it and restart",
		    arena_head(r->arena)->endpoints, arena_endpoints_used(r->arena));
		*s->error_r = r->error;
		return -1;
	}
	list_add(&r->taken, e->row);
	row = arena_endpoint(r->arena, e->row);
	atomic_store_explicit(
	    &row->flags, e->unresolved ? ENDPOINT_UNRESOLVED : 0, memory_order_relaxed);
	if (r->verdict != NULL)
		r->verdict(r->arg, s->id, e->name, row);
	return 1;
}

static int
ref_add(struct setting *s, const struct endpoint_ref *e)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 16 : s->cap * 2;
		s->v = xrealloc(s->v, s->cap * sizeof(*s->v));
	}
	s->v[s->n] = *e;
	if (!find_same(s, &s->v[s->n]) && row_take(s, &s->v[s->n]) < 0)
		return -1;
	s->n++;
	return 1;
}

/* Of one without addresses: a slice of what it is made of. */
static struct str
endpoint_url_name(const struct conf_endpoint *c)
{
	ssize_t slash;

	if (!c->tls)
		return c->host.n > 0 ? c->host : c->url;
	slash = str_chr(str_sub(c->url, HTTPS_N, c->url.n), '/');
	return slash < 0 ? c->url : str_sub(c->url, 0, HTTPS_N + (size_t)slash);
}

static int
endpoint_add(struct setting *s, const struct conf_endpoint *c, struct endpoint_bytes *bytes)
{
	const struct conf_endpoint_addr *a = c->addresses.v;
	struct endpoint_ref e = {.weight = (uint32_t)c->weight,
	    .host = c->host,
	    .base_path = c->base_path,
	    .unresolved = c->addresses.n == 0,
	    .tls = c->tls,
	    .error = c->resolve_error};
	char text[ENDPOINT_NAME];

	e.name = endpoint_url_name(c);
	for (uint32_t i = 0; i < MAX(c->addresses.n, 1u); i++) {
		if (c->addresses.n > 0) {
			e.addr = a[i].addr;
			e.name = endpoint_addr_name(c->tls, &e.addr, text);
			e.error = STR_NONE;
		}
		if (ref_add(s, &e) < 0)
			return -1;
		endpoint_bytes_add(bytes, &s->v[s->n - 1]);
		/* `text` is used again: from here on an address is known by its bytes. */
		if (!e.unresolved)
			s->v[s->n - 1].name = STR_NONE;
	}
	return 1;
}

/* Rows of the old set that the new one doesn't name. */
static void
retire_rest(struct setting *s)
{
	struct endpoint_ref have;

	for (uint32_t i = 0; s->old != NULL && i < s->old->n; i++) {
		bool kept = false;

		if (endpoint_set_get(s->old, i, &have) != 1)
			continue;
		for (uint32_t k = 0; k < s->n && !kept; k++)
			kept = s->v[k].row == have.row;
		if (!kept)
			list_add(&s->r->retired, have.row);
	}
}

static int
service_row(struct setting *s, uint32_t *row_r, uint32_t *incarnation_r)
{
	struct rows *r = s->r;

	if (s->old != NULL) {
		*row_r = s->old->service_row;
		*incarnation_r = s->old->service_incarnation;
		return 1;
	}
	if (arena_service_alloc(r->arena, row_r) != 1) {
		snprintf(r->error, sizeof(r->error),
		    "no free row for a service: limits.services is %u; raise it and restart",
		    arena_head(r->arena)->services);
		*s->error_r = r->error;
		return -1;
	}
	list_add(&r->services_taken, *row_r);
	*incarnation_r = atomic_load_explicit(
	    &arena_service(r->arena, *row_r)->incarnation, memory_order_relaxed);
	return 1;
}

int
rows_set(struct rows *r, struct str id, const struct conf_service *c,
    const struct endpoint_set *old, struct gbuf *out, const char **error_r)
{
	struct setting s = {.r = r, .id = id, .old = old, .error_r = error_r};
	const struct conf_endpoint *e = c->endpoints.v;
	struct endpoint_bytes bytes = {.n = 0};
	uint32_t row = 0, incarnation = 0;
	int ok = service_row(&s, &row, &incarnation);

	r->touched = true;
	for (uint32_t i = 0; i < c->endpoints.n && ok == 1; i++)
		ok = endpoint_add(&s, &e[i], &bytes);
	if (ok == 1)
		retire_rest(&s);
	if (endpoint_bytes_end(&bytes, row, incarnation, out) < 0 && ok == 1) {
		snprintf(r->error, sizeof(r->error),
		    "%u endpoints are too many for one service: their record would be over %d "
		    "octets",
		    s.n, IMAGE_MAX);
		*error_r = r->error;
		ok = -1;
	}
	free(s.v);
	return ok;
}

void
rows_drop(struct rows *r, const struct endpoint_set *old)
{
	struct endpoint_ref e;

	r->touched = true;
	for (uint32_t i = 0; i < old->n; i++)
		if (endpoint_set_get(old, i, &e) == 1)
			list_add(&r->retired, e.row);
	list_add(&r->services_freed, old->service_row);
}

void
rows_commit(struct rows *r)
{
	uint64_t version =
	    atomic_load_explicit(&arena_head(r->arena)->endpoints_version, memory_order_relaxed);

	for (size_t i = 0; i < r->retired.n; i++)
		arena_endpoint_retire(r->arena, r->retired.v[i], version);
	for (size_t i = 0; i < r->services_freed.n; i++)
		arena_service_free(r->arena, r->services_freed.v[i]);
	if (r->touched)
		arena_endpoints_changed(r->arena);
}

/* Nobody has seen the rows: they may be used again at once. */
void
rows_abort(struct rows *r)
{
	for (size_t i = 0; i < r->taken.n; i++)
		arena_endpoint_retire(r->arena, r->taken.v[i], 0);
	for (size_t i = 0; i < r->services_taken.n; i++)
		arena_service_free(r->arena, r->services_taken.v[i]);
}
