/* SPDX-License-Identifier: Apache-2.0
 *
 * Round robin: the workers share one ticket per service, so that N workers together take turns, not
 * each for itself.
 */
#include "shm/base/base.h"
#include "worker/up/balance.h"

uint32_t
balance_round_robin(const struct pick *p)
{
	struct service_row *s = arena_service(p->arena, p->service_row);
	uint64_t t = s ? atomic_fetch_add_explicit(&s->ticket, 1, memory_order_relaxed) : 0;

	return balance_weighted(p, NULL, p->n, t);
}
