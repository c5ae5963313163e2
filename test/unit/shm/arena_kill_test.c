/* SPDX-License-Identifier: Apache-2.0
 *
 * Shares in flight (C-3, C-6): after kill -9 of whoever holds or counts them, anywhere, the sum is
 * exact again. Processes die at random places under load, and at every single place of a change,
 * which is put into memory by hand.
 */
#include "test/unit/harness.h"

#include "shm/arena.h"
#include "shm/arena_priv.h"
#include "test/unit/shm/procs_kit.h"

#define SLOTS     4
#define ENDPOINTS 8
#define HELD_MAX  5

static struct arena *arena;
static char dir[160];
static struct shared {
	_Atomic uint64_t done; /* changes, by all */
	_Atomic uint32_t stop;
	_Atomic uint64_t reaps;
} * shared;

static int
setup(void **state)
{
	const char *error = "";
	uint32_t row, incarnation;

	if (kit_dir_make(state) < 0)
		return -1;
	snprintf(dir, sizeof(dir), "%s", kit_path("arena"));
	shared = kit_shared(sizeof(*shared));
	if (arena_create(dir, SLOTS, ENDPOINTS, 1, 0600, &error) != 1 ||
	    arena_open(dir, &arena, &error) != 1) {
		print_error("%s\n", error);
		return -1;
	}
	for (unsigned i = 0; i < ENDPOINTS; i++)
		if (arena_endpoint_alloc(arena, 1, &row, &incarnation) != 1)
			return -1;
	return 0;
}

static int
teardown(void **state)
{
	arena_close(&arena);
	munmap(shared, sizeof(*shared));
	return kit_dir_remove(state);
}

static void
expect_inflight(uint32_t row, int64_t n)
{
	assert_int_equal(endpoint_inflight(arena, row), n);
}

static void
take(unsigned slot, uint32_t row, unsigned n)
{
	while (n-- > 0)
		assert_int_equal(endpoint_take(arena, slot, row, 1), 1);
}

static void
a_dead_slot_gives_all_back(void **state)
{
	(void)state;
	take(0, 3, 5);
	take(1, 3, 2);
	take(1, 0, 1);
	expect_inflight(3, 7);
	assert_int_equal(arena_reap(arena, 0), 5);
	expect_inflight(3, 2);
	assert_int_equal(arena_reap(arena, 0), 0); /* again: nothing */
	expect_inflight(3, 2);
	assert_int_equal(arena_reap(arena, SLOTS), 0);
	/* The slot's next process starts from nothing. */
	take(0, 3, 1);
	endpoint_release(arena, 0, 3, 1);
	endpoint_release(arena, 0, 3, 1); /* more than it took: nothing */
	expect_inflight(3, 2);
	endpoint_release(arena, 1, 3, 1);
	assert_int_equal(arena_reap(arena, 1), 2);
	expect_inflight(3, 0);
	expect_inflight(0, 0);
	assert_int_equal(arena_settle(arena), 0);
}

/* --- every place where a change can be cut --- */

enum cut { AT_START, AT_BUSY, AT_SUM, AT_END, CUTS };

/* A take (by = 1) or release (by = -1) by slot 0 that is killed after so many of its stores. */
static void
change_cut(enum cut cut, int by)
{
	_Atomic uint64_t *shadow = arena_shadow(arena, 0, 3);
	uint64_t word = (atomic_load(shadow) & SHADOW_IDLE_MASK) + SHADOW_VERSION;
	uint32_t before = SHADOW_COUNT(atomic_load(shadow)), after = before + (uint32_t)by;

	if (cut >= AT_BUSY)
		atomic_store(shadow, word | SHADOW_BUSY | MAX(before, after));
	if (cut >= AT_SUM)
		atomic_fetch_add(&arena_endpoint(arena, 3)->inflight, by);
	if (cut >= AT_END)
		atomic_store(shadow, word | after);
}

static void
killed_at_every_place_of_a_change(void **state)
{
	(void)state;
	for (int by = -1; by <= 1; by += 2) {
		for (enum cut cut = AT_START; cut < CUTS; cut++) {
			for (unsigned held = by < 0; held < 3; held++) {
				take(0, 3, held);
				take(1, 3, 2);
				take(2, 3, 1);
				change_cut(cut, by);
				arena_reap(arena, 0);
				expect_inflight(3, 3);
				assert_int_equal(arena_reap(arena, 0), 0);
				assert_int_equal(arena_settle(arena), 0);
				arena_reap(arena, 1);
				arena_reap(arena, 2);
				expect_inflight(3, 0);
			}
		}
	}
}

enum reap_cut { REAP_MARKED, REAP_CLEARED, REAP_SUBTRACTED, REAP_CUTS };

/* The first stores of a reaping of slot 0, whose prober is killed then. */
static void
reap_cut(enum reap_cut cut)
{
	struct endpoint_row *e = arena_endpoint(arena, 3);
	_Atomic uint64_t *shadow = arena_shadow(arena, 0, 3);
	uint64_t word = atomic_load(shadow);
	uint32_t sure = SHADOW_COUNT(word) - ((word & SHADOW_BUSY) != 0);

	atomic_store(&e->unsettled, 1);
	if (cut >= REAP_CLEARED)
		atomic_store(shadow, (word & SHADOW_IDLE_MASK) + SHADOW_VERSION);
	if (cut >= REAP_SUBTRACTED)
		atomic_fetch_sub(&e->inflight, sure);
}

static void
the_prober_is_killed_while_it_reaps(void **state)
{
	(void)state;
	for (enum reap_cut cut = REAP_MARKED; cut < REAP_CUTS; cut++) {
		for (unsigned kind = 0; kind < 2 * CUTS; kind++) {
			take(0, 3, 2);
			take(1, 3, 3);
			change_cut(kind / 2, kind % 2 == 0 ? 1 : -1);
			reap_cut(cut);
			/* Its successor: the master asks again, or has been told and does not. */
			if (cut == REAP_MARKED || kind % 2 == 0)
				arena_reap(arena, 0);
			assert_int_equal(arena_settle(arena), 0);
			expect_inflight(3, 3);
			arena_reap(arena, 1);
			expect_inflight(3, 0);
		}
	}
}

static void
two_dead_slots_at_one_row(void **state)
{
	(void)state;
	take(0, 3, 2);
	take(1, 3, 3);
	take(2, 3, 1);
	change_cut(AT_SUM, 1);
	/* Slot 1 died in the middle, too: until it is reaped the row cannot be settled. */
	atomic_fetch_add(arena_shadow(arena, 1, 3), SHADOW_VERSION | SHADOW_BUSY);
	arena_reap(arena, 0);
	assert_int_equal(arena_settle(arena), 1);
	expect_inflight(3, 5); /* one more than there is; never less */
	arena_reap(arena, 1);
	assert_int_equal(arena_settle(arena), 0);
	expect_inflight(3, 1);
}

static void
a_stopped_worker_delays_settling_only(void **state)
{
	(void)state;
	take(1, 3, 1);
	atomic_fetch_add(arena_shadow(arena, 1, 3), SHADOW_BUSY); /* SIGSTOP hit it there */
	take(0, 3, 2);
	change_cut(AT_BUSY, 1);
	arena_reap(arena, 0);
	assert_int_equal(arena_settle(arena), 1);
	expect_inflight(3, 1);
	atomic_fetch_sub(arena_shadow(arena, 1, 3), SHADOW_BUSY); /* it goes on */
	assert_int_equal(arena_settle(arena), 0);
	expect_inflight(3, 1);
	/* A stop in the middle of another row's change is no matter. */
	atomic_fetch_add(arena_shadow(arena, 1, 4), SHADOW_VERSION | SHADOW_BUSY);
	take(0, 3, 2);
	change_cut(AT_BUSY, 1);
	arena_reap(arena, 0);
	assert_int_equal(arena_settle(arena), 0);
	expect_inflight(3, 1);
}

static void
nonsense_in_a_shadow(void **state)
{
	(void)state;
	atomic_store(arena_shadow(arena, 0, 3), SHADOW_BUSY); /* busy with nothing */
	take(1, 3, 1);
	arena_reap(arena, 0);
	assert_int_equal(arena_settle(arena), 0);
	expect_inflight(3, 1);
	atomic_store(arena_shadow(arena, 0, 3), UINT64_MAX);
	arena_reap(arena, 0);
	assert_int_equal(arena_settle(arena), 0);
	expect_inflight(3, 1);
}

/* --- processes, load, kill -9 --- */

struct worker {
	unsigned slot;
	bool counts; /* its changes are what the test waits for */
};

/* Takes and releases at a few rows, and holds some all the time. */
static int
work(void *arg)
{
	const struct worker *w = arg;
	unsigned held[ENDPOINTS] = {0};
	struct arena *a;
	const char *error;

	if (arena_open(dir, &a, &error) != 1)
		return 1;
	for (uint32_t i = w->slot; atomic_load_explicit(&shared->stop, memory_order_relaxed) == 0;
	     i += 1 + (i >> 3)) {
		uint32_t row = i % 3; /* the same few for all */

		if (held[row] < 1 + i % HELD_MAX) {
			if (endpoint_take(a, w->slot, row, 1) != 1)
				return 2;
			held[row]++;
		} else {
			endpoint_release(a, w->slot, row, 1);
			held[row]--;
		}
		if (w->counts)
			atomic_fetch_add_explicit(&shared->done, 1, memory_order_relaxed);
	}
	for (uint32_t row = 0; row < ENDPOINTS; row++)
		while (held[row]-- > 0)
			endpoint_release(a, w->slot, row, 1);
	arena_close(&a);
	return 0;
}

static void
settle_all(void)
{
	for (unsigned i = 0; arena_settle(arena) != 0; i++) {
		assert_true(i < 10000);
		sched_yield();
	}
}

/* What the sums must be: what the living shadows say. Only when nobody is at work. */
static void
expect_zero(void)
{
	for (uint32_t row = 0; row < ENDPOINTS; row++) {
		for (unsigned slot = 0; slot < SLOTS; slot++)
			assert_int_equal(SHADOW_COUNT(*arena_shadow(arena, slot, row)), 0);
		expect_inflight(row, 0);
	}
}

/* Two workers go on all the time; two slots' are killed and replaced again and again. */
static void
workers_are_killed_under_load(void **state)
{
	struct worker w[SLOTS];
	pid_t pid[SLOTS];

	(void)state;
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		w[slot] = (struct worker){.slot = slot, .counts = slot >= 2};
		pid[slot] = kit_start(work, &w[slot]);
	}
	for (unsigned i = 0; i < 300; i++) {
		unsigned slot = 2 + i % 2;

		kit_let_run(&shared->done, 50, i * 7 % 100);
		kit_kill(pid[slot]);
		arena_reap(arena, slot);
		pid[slot] = kit_start(work, &w[slot]);
	}
	settle_all(); /* with all of them at work */
	atomic_store(&shared->stop, 1);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		assert_int_equal(kit_wait(pid[slot]), 0);
	settle_all();
	expect_zero();
}

/* A prober that settles, then reaps the slot it is told to, for ever, until it is killed. */
static int
probe(void *arg)
{
	struct arena *a;
	const char *error;

	(void)arg;
	if (arena_open(dir, &a, &error) != 1)
		return 1;
	arena_settle(a);
	arena_reap(a, 3);
	atomic_fetch_add(&shared->reaps, 1);
	while (true)
		pause();
	return 0;
}

/* As above; the prober is killed, too, often before it is done, and asked again. */
static void
workers_and_probers_are_killed(void **state)
{
	struct worker w[SLOTS] = {{0, false}, {1, false}, {2, true}, {3, true}};
	pid_t pid[SLOTS], prober;

	(void)state;
	for (unsigned slot = 0; slot < SLOTS; slot++)
		pid[slot] = kit_start(work, &w[slot]);
	for (unsigned i = 0; i < 150; i++) {
		uint64_t reaps = 0;

		kit_let_run(&shared->done, 50, i * 7 % 100);
		kit_kill(pid[3]);
		prober = kit_start(probe, NULL);
		for (unsigned n = 0; n < 2; n++) { /* two die of it */
			struct timespec nap = {0, (long)((i * 31 + n * 977) % 1000) * 1000};

			nanosleep(&nap, NULL);
			kit_kill(prober);
			reaps = atomic_load(&shared->reaps);
			prober = kit_start(probe, NULL);
		}
		while (atomic_load(&shared->reaps) == reaps)
			sched_yield();
		kit_kill(prober);
		pid[3] = kit_start(work, &w[3]);
	}
	atomic_store(&shared->stop, 1);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		assert_int_equal(kit_wait(pid[slot]), 0);
	settle_all();
	expect_zero();
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_dead_slot_gives_all_back, setup, teardown),
    TEST_WITH(killed_at_every_place_of_a_change, setup, teardown),
    TEST_WITH(the_prober_is_killed_while_it_reaps, setup, teardown),
    TEST_WITH(two_dead_slots_at_one_row, setup, teardown),
    TEST_WITH(a_stopped_worker_delays_settling_only, setup, teardown),
    TEST_WITH(nonsense_in_a_shadow, setup, teardown),
    TEST_WITH(workers_are_killed_under_load, setup, teardown),
    TEST_WITH(workers_and_probers_are_killed, setup, teardown),
};
RUN_TESTS(tests)
