/* SPDX-License-Identifier: Apache-2.0
 *
 * See trim.h. How much lies about is looked at in the middle of the load, so that what is needed in
 * turns stays; what was freed too soon costs one allocation.
 */
#include "worker/trim.h"

#include <malloc.h>

#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "worker/http/h2.h"
#include "worker/req.h"
#include "worker/worker_priv.h"

#define TRIM_MS   2000
#define TRIM_KEEP 64 /* of each: a moderate load never allocates */

static unsigned
trim_list(struct list *free_ones, void (*fn)(struct list *n))
{
	unsigned n = 0, freed = 0;

	list_each_safe (it, free_ones) {
		if (++n <= TRIM_KEEP || n % 2 == 0)
			continue;
		list_del(it);
		fn(it);
		freed++;
	}
	return freed;
}

static void
trim_req(struct list *n)
{
	free(container_of(n, struct req, node));
}

static void
trim_conn(struct list *n)
{
	free(container_of(n, struct conn, node));
}

void
trim_now(struct worker *w)
{
	unsigned freed = trim_list(&w->free_reqs, trim_req);

	freed += trim_list(&w->conns[CONN_FREE], trim_conn);
	freed += buf_pool_trim(&w->bufs, TRIM_KEEP);
	freed += buf_pool_trim(&w->bulk, 0);
	pipe_pool_trim(&w->pipes);
	freed += h2_pool_trim(w->h2_pool, TRIM_KEEP);
	freed += ws_pool_trim(&w->ws_pool, TRIM_KEEP);
	/* The allocator keeps what is freed between two things in use unless told. */
	if (freed > 0)
		malloc_trim(0);
}

static void
trim_due(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, trim_timer);

	trim_now(w);
	timer_set(w->timers, t, clock_ms() + TRIM_MS);
}

void
trim_start(struct worker *w)
{
	timer_init(&w->trim_timer, trim_due);
	timer_set(w->timers, &w->trim_timer, clock_ms() + TRIM_MS);
}
