/* SPDX-License-Identifier: Apache-2.0
 *
 * See recent.h.
 */
#include "conf/recent.h"

#define RECENT_KEY STR("recent")

void
recent_begin(struct recent *r, uint64_t generation)
{
	if (r->generation + 1 !=
	    generation) { /* another keeper's, of which nothing is known here */
		r->since = generation - 1;
		r->n = 0;
	}
	r->generation = generation;
}

void
recent_add(struct recent *r, enum conf_kind kind, uint32_t number)
{
	if (r->since == r->generation)
		return; /* it changed more than fit */
	if (r->n == RECENT_MAX) {
		r->since = r->v[0].generation;
		memmove(r->v, r->v + 1, --r->n * sizeof(*r->v));
	}
	r->v[r->n++] = (struct recent_change){r->generation, kind, number};
	if (r->since == r->generation)
		r->n = 0;
}

int
recent_put(struct db_txn *t, const struct map *m, const struct recent *r, const char **error_r)
{
	struct gbuf out = {0};
	size_t at = image_begin(&out, 'C');
	int ok;

	gbuf_u64(&out, r->generation);
	gbuf_u64(&out, r->since);
	gbuf_u32(&out, r->n);
	for (uint32_t i = 0; i < r->n; i++) {
		gbuf_u64(&out, r->v[i].generation);
		gbuf_u32(&out, r->v[i].kind);
		gbuf_u32(&out, r->v[i].number);
	}
	image_end(&out, at);
	ok = db_put(t, m->tab[MAP_META], RECENT_KEY, str_n(out.p, out.n), error_r);
	gbuf_free(&out);
	return ok;
}

int
recent_get(struct db_txn *t, const struct map *m, struct recent *r_r)
{
	struct str value, body;
	struct rbuf r;
	int got = db_get(t, m->tab[MAP_META], RECENT_KEY, &value);

	if (got <= 0)
		return got;
	if (image_open(value, 'C', &body) < 0)
		return -1;
	r = rbuf_of(body);
	r_r->generation = rbuf_u64(&r);
	r_r->since = rbuf_u64(&r);
	r_r->n = rbuf_u32(&r);
	if (r_r->n > RECENT_MAX)
		return -1;
	for (uint32_t i = 0; i < r_r->n; i++) {
		struct recent_change *c = &r_r->v[i];

		c->generation = rbuf_u64(&r);
		c->kind = rbuf_u32(&r);
		c->number = rbuf_u32(&r);
	}
	return rbuf_done(&r) ? 1 : -1;
}
