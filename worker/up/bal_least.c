/* SPDX-License-Identifier: Apache-2.0
 *
 * Least connections: the smallest number in flight per unit of weight, all workers counted, one
 * shared word read per candidate. Equal ones take turns by weight, or an idle service would send
 * everything to its first endpoint.
 */
#include "shm/base/base.h"
#include "worker/up/balance.h"

uint32_t
balance_least(const struct pick *p)
{
	struct service_row *s = arena_service(p->arena, p->service_row);
	uint64_t best_n = UINT64_MAX, best_w = 1;
	uint32_t ties = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		int64_t in = endpoint_inflight(p->arena, p->v[i]->row);
		uint64_t n = in > 0 ? (uint64_t)in : 0, w = p->weight[i];

		/* n / w < best_n / best_w, without dividing */
		if (best_n == UINT64_MAX || n * best_w < best_n * w) {
			best_n = n;
			best_w = w;
			ties = 0;
		} else if (n * best_w > best_n * w) {
			continue;
		}
		p->scratch[ties++] = i;
	}
	if (ties == 1 || !s)
		return p->scratch[0];
	return balance_weighted(
	    p, p->scratch, ties, atomic_fetch_add_explicit(&s->ticket, 1, memory_order_relaxed));
}
