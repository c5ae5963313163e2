/* SPDX-License-Identifier: Apache-2.0
 *
 * See up.h.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "worker/up/attempt.h"
#include "worker/up/endpoints.h"
#include "worker/up/pool.h"
#include "worker/up/trust.h"

struct up *
up_new(struct loop *l, struct arena *a, unsigned slot, struct metrics *m, struct buf_pool *bufs)
{
	struct up *u = xcalloc(1, sizeof(*u));

	u->loop = l;
	u->arena = a;
	u->slot = slot;
	u->metrics = m;
	u->bufs = bufs;
	u->pool = pool_new(u, arena_head(a)->endpoints);
	u->trust = trust_new();
	list_init(&u->free_attempts);
	return u;
}

void
up_trust(struct up *u, struct bundle *b)
{
	trust_adopt(u->trust, b);
	pool_sweep(u->pool);
}

void
up_before_renew(struct up *u)
{
	u->endpoints_version =
	    atomic_load_explicit(&arena_head(u->arena)->endpoints_version, memory_order_acquire);
}

void
up_free(struct up **up)
{
	struct up *u = *up;

	*up = NULL;
	if (!u)
		return;
	pool_free(&u->pool);
	trust_free(&u->trust);
	endpoints_clear(u);
	attempts_free(u);
	free(u->cand);
	free(u->cand_weight);
	free(u->cand_scratch);
	free(u);
}
