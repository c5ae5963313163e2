/* SPDX-License-Identifier: Apache-2.0
 *
 * Balancers (F-TEST-03): who gets how much, how evenly in time, and the same over several processes
 * (F-PERF-01: no lock).
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include "test/unit/worker/up/arena_kit.h"
#include "worker/up/balance.h"

#define MAX_N 64

struct bench {
	struct arena_kit kit;
	struct endpoint_ref ref[MAX_N];
	const struct endpoint_ref *v[MAX_N];
	uint32_t weight[MAX_N], scratch[MAX_N];
	struct pick p;
};

static void
bench_open(struct bench *f, uint32_t n, const uint32_t *weights)
{
	memset(f, 0, sizeof(*f));
	arena_kit_open(&f->kit, MAX_N);
	for (uint32_t i = 0; i < n; i++) {
		arena_kit_row(&f->kit, &f->ref[i].row, &f->ref[i].incarnation);
		f->v[i] = &f->ref[i];
		f->weight[i] = weights ? weights[i] : 1;
	}
	f->p = (struct pick){
	    .arena = f->kit.arena, .v = f->v, .weight = f->weight, .n = n, .scratch = f->scratch};
}

static void
bench_close(struct bench *f)
{
	arena_kit_close(&f->kit);
}

static void
take(struct bench *f, uint32_t i)
{
	assert_int_equal(endpoint_take(f->kit.arena, 0, f->ref[i].row, f->ref[i].incarnation), 1);
}

static void
give(struct bench *f, uint32_t i)
{
	endpoint_release(f->kit.arena, 0, f->ref[i].row, f->ref[i].incarnation);
}

static void
spread_is_a_permutation(void **state)
{
	static const uint64_t totals[] = {1, 2, 3, 7, 10, 64, 100, 999, 1000, 4096, 10007};
	static char seen[10007];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(totals); i++) {
		memset(seen, 0, sizeof(seen));
		for (uint64_t t = 5; t < totals[i] + 5; t++) {
			uint64_t place = balance_spread(t, totals[i]);

			assert_true(place < totals[i]);
			assert_false(seen[place]);
			seen[place] = 1;
		}
	}
	/* No overflow at the largest sum there can be. */
	assert_true(balance_spread(UINT64_MAX, 1000000ull * 1000) < 1000000ull * 1000);
}

static void
equal_weights_take_turns(void **state)
{
	struct bench f;

	(void)state;
	bench_open(&f, 5, NULL);
	for (uint32_t i = 0; i < 25; i++)
		assert_int_equal(balance_round_robin(&f.p), i % 5);
	bench_close(&f);
}

static void
weights_are_exact_over_a_cycle(void **state)
{
	static const uint32_t sets[][4] = {{1, 2, 3, 4}, {10, 1, 1, 1}, {100, 200, 300, 400},
	    {7, 11, 13, 17}, {1000, 1, 999, 500}};

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(sets); s++) {
		uint32_t hits[4] = {0}, total = 0;
		struct bench f;

		bench_open(&f, 4, sets[s]);
		for (unsigned i = 0; i < 4; i++)
			total += sets[s][i];
		for (uint32_t i = 0; i < total; i++)
			hits[balance_round_robin(&f.p)]++;
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(hits[i], sets[s][i]);
		bench_close(&f);
	}
}

/* Half of all turns are one candidate's: they are spread, never three in a row; and no other waits
 * for a whole cycle. */
static void
a_heavy_one_does_not_come_in_a_row(void **state)
{
	static const uint32_t w[] = {5, 1, 1, 1, 1, 1};
	uint32_t run = 0, longest = 0, since[6] = {0}, wait = 0;
	struct bench f;

	(void)state;
	bench_open(&f, 6, w);
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t k = balance_round_robin(&f.p);

		run = k == 0 ? run + 1 : 0;
		longest = MAX(longest, run);
		for (uint32_t j = 0; j < 6; j++) {
			since[j] = j == k ? 0 : since[j] + 1;
			wait = MAX(wait, since[j]);
		}
	}
	assert_in_range(longest, 1, 2);
	assert_in_range(wait, 1, 12);
	bench_close(&f);
}

/* Over any stretch of turns a candidate's share is near its weight. */
static void
shares_hold_over_short_stretches(void **state)
{
	static const uint32_t w[] = {3, 2, 1};
	struct bench f;

	(void)state;
	bench_open(&f, 3, w);
	for (unsigned at = 0; at < 50; at++) {
		uint32_t hits[3] = {0};

		for (unsigned i = 0; i < 30; i++)
			hits[balance_round_robin(&f.p)]++;
		for (unsigned i = 0; i < 3; i++)
			assert_in_range(hits[i], w[i] * 5 - 2, w[i] * 5 + 2);
	}
	bench_close(&f);
}

#define WORKERS 4
#define TURNS   30000

/* Several processes share one ticket: together they are exact, whoever took which. */
static void
processes_take_turns_together(void **state)
{
	static const uint32_t w[] = {1, 2, 3};
	_Atomic uint32_t *hits =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct bench f;

	(void)state;
	assert_ptr_not_equal(hits, MAP_FAILED);
	bench_open(&f, 3, w);
	for (unsigned k = 0; k < WORKERS; k++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			for (unsigned i = 0; i < TURNS; i++)
				atomic_fetch_add(&hits[balance_round_robin(&f.p)], 1);
			_exit(0);
		}
	}
	for (unsigned k = 0; k < WORKERS; k++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(hits[i], WORKERS * TURNS / 6 * w[i]);
	munmap((void *)hits, 4096);
	bench_close(&f);
}

static void
least_takes_the_idlest(void **state)
{
	struct bench f;

	(void)state;
	bench_open(&f, 4, NULL);
	take(&f, 0);
	take(&f, 0);
	take(&f, 1);
	take(&f, 3);
	assert_int_equal(balance_least(&f.p), 2);
	take(&f, 2);
	take(&f, 2);
	give(&f, 1);
	assert_int_equal(balance_least(&f.p), 1);
	for (uint32_t i = 0; i < 3; i++)
		for (unsigned k = 0; k < 2; k++)
			if (i != 1)
				give(&f, i);
	give(&f, 3);
	bench_close(&f);
}

static void
least_divides_by_weight(void **state)
{
	static const uint32_t w[] = {1, 3};
	uint32_t hits[2] = {0};
	struct bench f;

	(void)state;
	bench_open(&f, 2, w);
	for (unsigned i = 0; i < 40; i++) { /* none of them ends */
		uint32_t k = balance_least(&f.p);

		hits[k]++;
		take(&f, k);
	}
	assert_in_range(hits[0], 9, 11);
	assert_in_range(hits[1], 29, 31);
	bench_close(&f);
}

/* One request at a time: nothing is ever in flight when the next comes, and yet all get their part.
 */
static void
least_breaks_ties_by_turns(void **state)
{
	static const uint32_t w[] = {2, 1, 1};
	uint32_t hits[3] = {0};
	struct bench f;

	(void)state;
	bench_open(&f, 3, w);
	for (unsigned i = 0; i < 400; i++)
		hits[balance_least(&f.p)]++;
	assert_int_equal(hits[0], 200);
	assert_int_equal(hits[1], 100);
	assert_int_equal(hits[2], 100);
	bench_close(&f);
}

static void
the_list_names_every_balancer(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BALANCER_COUNT; i++) {
		assert_non_null(balancer_table[i]);
		assert_true(strlen(balancer_helps[i]) > 10);
	}
	assert_ptr_equal(balancer_table[BALANCER_LEAST_CONNECTIONS], balance_least);
}

static const struct CMUnitTest tests[] = {
    TEST(spread_is_a_permutation),
    TEST(equal_weights_take_turns),
    TEST(weights_are_exact_over_a_cycle),
    TEST(a_heavy_one_does_not_come_in_a_row),
    TEST(shares_hold_over_short_stretches),
    TEST(processes_take_turns_together),
    TEST(least_takes_the_idlest),
    TEST(least_divides_by_weight),
    TEST(least_breaks_ties_by_turns),
    TEST(the_list_names_every_balancer),
};
RUN_TESTS(tests)
