/* SPDX-License-Identifier: Apache-2.0
 *
 * A heartbeat in a process table of the test's own.
 */
#include "test/unit/harness.h"

#include "shm/base/loop.h"
#include "shm/beat.h"

struct place {
	struct loop *loop;
	struct heritage h;
	struct region region;
	struct proc_row *row;
};

static int
set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	const char *error = "";

	clock_tick();
	p->loop = loop_new();
	p->h.proc = 3;
	p->h.region_fd[REGION_PROCS] =
	    region_create(REGION_PROCS, procs_size(), procs_layout(), &error);
	assert_true(p->h.region_fd[REGION_PROCS] >= 0);
	assert_int_equal(region_attach(p->h.region_fd[REGION_PROCS], REGION_PROCS, procs_layout(),
			     true, &p->region, &error),
	    1);
	p->row = &procs_of(&p->region)->row[3];
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;

	region_detach(&p->region);
	close(p->h.region_fd[REGION_PROCS]);
	loop_free(&p->loop);
	free(p);
	return 0;
}

static void
it_beats_while_the_loop_turns(void **state)
{
	struct place *p = *state;
	uint64_t from = clock_ms(); /* what timers go by; a beat says the time itself */
	struct beat *b = beat_start(p->loop, &p->h);
	uint64_t first = atomic_load(&p->row->beat_ms);

	assert_non_null(b);
	assert_true(first > 0); /* at once, not after the first turn */
	for (unsigned i = 0; i < 20 && atomic_load(&p->row->beat_ms) == first; i++)
		loop_turn(p->loop, 2 * BEAT_EVERY_MS);
	assert_true(atomic_load(&p->row->beat_ms) >= from + BEAT_EVERY_MS);
	assert_true(atomic_load(&p->row->rss) > 0);
	assert_true(atomic_load(&p->row->fds) > 3);
	beat_stop(&b);
	assert_null(b);
}

static void
it_says_its_generation(void **state)
{
	struct place *p = *state;
	struct beat *b = beat_start(p->loop, &p->h);

	beat_generation(b, 42);
	assert_int_equal(atomic_load(&p->row->generation), 42);
	atomic_store(&procs_of(&p->region)->draining, 1);
	assert_int_equal(atomic_load(&beat_procs(b)->draining), 1);
	atomic_store(&p->row->beat_ms, 0);
	beat_now(b);
	assert_true(atomic_load(&p->row->beat_ms) > 0);
	beat_stop(&b);
}

/* A program outside the gateway has no table: everything takes that. */
static void
without_a_table(void **state)
{
	struct place *p = *state;
	struct heritage h = {.region_fd = {[REGION_PROCS] = -1}};
	struct beat *b = beat_start(p->loop, &h);

	assert_null(b);
	beat_now(b);
	beat_generation(b, 1);
	assert_null(beat_procs(b));
	beat_stop(&b);
	h.region_fd[REGION_PROCS] = p->h.region_fd[REGION_PROCS];
	h.proc = PROCS_MAX;
	assert_null(beat_start(p->loop, &h));
}

#define CASE(f) TEST_WITH(f, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(it_beats_while_the_loop_turns),
    CASE(it_says_its_generation),
    CASE(without_a_table),
};
RUN_TESTS(tests)
