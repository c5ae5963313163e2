/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of balancers, and the arithmetic of weighted turns they share.
 *
 * Weighted choice without a lock: one ticket from a shared counter, its place found by multiplying
 * with a step that is coprime to the sum of weights and near its golden section. Coprime makes it a
 * permutation, so over one cycle each candidate gets exactly its weight; the golden section makes
 * consecutive tickets land far from each other, so a heavy candidate's turns are spread instead of
 * coming in a row.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "worker/up/balance.h"

balance_f *const balancer_table[BALANCER_COUNT] = {
#define BALANCER(NAME, fn, help) fn,
#include "worker/up/balancers.def"
#undef BALANCER
};

const char *const balancer_helps[BALANCER_COUNT] = {
#define BALANCER(NAME, fn, help) help,
#include "worker/up/balancers.def"
#undef BALANCER
};

static uint64_t
balance_gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t r = a % b;

		a = b;
		b = r;
	}
	return a;
}

uint64_t
balance_spread(uint64_t t, uint64_t total)
{
	uint64_t step = total * 618 / 1000; /* weights are at most 1000 each: no overflow */

	while (step > 1 && balance_gcd(step, total) != 1)
		step--;
	return step <= 1 ? t % total : t % total * step % total;
}

uint32_t
balance_weighted(const struct pick *p, const uint32_t *at, uint32_t n, uint64_t t)
{
	uint64_t unit = 0, total = 0, place;
	bool equal = true;

	BUG_ON(n == 0);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t w = p->weight[at ? at[i] : i];

		equal &= w == p->weight[at ? at[0] : 0];
		total += w;
	}
	if (equal)
		return at ? at[t % n] : (uint32_t)(t % n);
	/* 200 and 100 are 2 and 1: the cycle is as short as it can be. */
	for (uint32_t i = 0; i < n && unit != 1; i++)
		unit = balance_gcd(p->weight[at ? at[i] : i], unit);
	BUG_ON(unit == 0); /* candidates have a weight */
	place = balance_spread(t, total / unit) * unit;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = at ? at[i] : i;

		if (place < p->weight[k])
			return k;
		place -= p->weight[k];
	}
	return at ? at[0] : 0; /* not reached: place < total */
}
