/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"
#include "shm/base/timer.h"

static struct {
	struct timers *w;
	uint64_t now; /* what timers_run was called with */
	unsigned fired;
	uint64_t last_at;
} run;

struct probe {
	struct timer timer;
	uint64_t want; /* when it should fire */
	uint64_t got;
	struct probe *other;
};

static void
note(struct timer *t)
{
	struct probe *p = container_of(t, struct probe, timer);

	assert_false(timer_is_set(t));
	assert_true(p->want >= run.last_at); /* in order of time */
	run.last_at = p->want;
	p->got = run.now;
	run.fired++;
}

static int
start(void **state)
{
	(void)state;
	memset(&run, 0, sizeof(run));
	run.w = timers_new(1000);
	return 0;
}

static int
finish(void **state)
{
	(void)state;
	timers_free(&run.w);
	timers_free(&run.w);
	return 0;
}

static unsigned
run_at(uint64_t ms)
{
	run.now = ms;
	run.last_at = 0;
	return timers_run(run.w, ms);
}

static void
set(struct probe *p, uint64_t at)
{
	p->want = at;
	timer_set(run.w, &p->timer, at);
}

static void
one_timer(void **state)
{
	struct probe p = {.got = 0};

	(void)state;
	timer_init(&p.timer, note);
	assert_int_equal(timers_wait(run.w, 1000), -1);
	set(&p, 1005);
	assert_true(timer_is_set(&p.timer));
	assert_int_equal(timers_wait(run.w, 1000), 5);
	assert_int_equal(timers_wait(run.w, 1007), 0);
	assert_int_equal(run_at(1004), 0);
	assert_int_equal(run_at(1005), 1);
	assert_int_equal(run_at(1006), 0);
	assert_int_equal(timers_wait(run.w, 1006), -1);
}

static void
rearm_and_stop(void **state)
{
	struct probe p = {.got = 0};

	(void)state;
	timer_init(&p.timer, note);
	timer_stop(&p.timer);
	set(&p, 1010);
	set(&p, 5000);
	assert_int_equal(run_at(4999), 0);
	set(&p, 5001);
	timer_stop(&p.timer);
	timer_stop(&p.timer);
	assert_false(timer_is_set(&p.timer));
	assert_int_equal(timers_wait(run.w, 4999), -1);
	assert_int_equal(run_at(100000), 0);
}

static void
time_gone_by(void **state)
{
	struct probe p = {.got = 0};

	(void)state;
	timer_init(&p.timer, note);
	set(&p, 10); /* the wheel stands at 1000 */
	assert_int_equal(timers_wait(run.w, 1000), 0);
	assert_int_equal(run_at(1000), 1);
	set(&p, 0);
	assert_true(timer_is_set(&p.timer));
	assert_int_equal(run_at(1000), 1);
	set(&p, 1001);
	assert_int_equal(run_at(500), 0); /* a clock that went back does no harm */
	assert_int_equal(run_at(1001), 1);
}

static void
rearm_itself(struct timer *t)
{
	run.fired++;
	timer_set(run.w, t, run.now);
}

static void
rearming_for_now_waits_for_the_next_turn(void **state)
{
	struct timer t;

	(void)state;
	timer_init(&t, rearm_itself);
	timer_set(run.w, &t, 1001);
	assert_int_equal(run_at(1001), 1);
	assert_int_equal(timers_wait(run.w, 1001), 0);
	assert_int_equal(run_at(1001), 1);
	assert_int_equal(run.fired, 2);
	timer_stop(&t);
}

static void
stop_other(struct timer *t)
{
	struct probe *p = container_of(t, struct probe, timer);

	note(t);
	timer_stop(&p->other->timer);
}

static void
stopping_another_that_is_due(void **state)
{
	struct probe a = {.got = 0}, b = {.got = 0};

	(void)state;
	timer_init(&a.timer, stop_other);
	timer_init(&b.timer, stop_other);
	a.other = &b;
	b.other = &a;
	set(&a, 1010);
	set(&b, 1010);
	assert_int_equal(run_at(2000), 1);
	assert_int_equal((a.got != 0) + (b.got != 0), 1);
}

/* Xorshift, so that a failure repeats. */
static uint64_t
draw(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Random sets, stops and steps over all distances: each fires at the first turn not before its
 * time. */
static void
random_walk(void **state)
{
	enum { N = 300 };
	static struct probe p[N];
	uint64_t now = 1000, previous = 1000;

	(void)state;
	for (int i = 0; i < N; i++)
		timer_init(&p[i].timer, note);
	for (int round = 0; round < 20000; round++) {
		struct probe *one = &p[draw() % N];
		int wait;

		if (draw() % 8 == 0) {
			timer_stop(&one->timer);
		} else {
			one->got = 0;
			set(one, now + 1 + (draw() >> (draw() % 40 + 24)));
		}
		wait = timers_wait(run.w, now);
		if (draw() % 4 != 0)
			continue;
		previous = now;
		now += wait > 0 && draw() % 2 ? (uint64_t)wait : draw() % 100;
		run_at(now);
		for (int i = 0; i < N; i++) {
			assert_true(!timer_is_set(&p[i].timer) || p[i].want > now);
			if (p[i].got == now && now != previous)
				assert_true(p[i].want <= now && p[i].want > previous);
		}
	}
	assert_true(run.fired > 1000);
	for (int i = 0; i < N; i++)
		timer_stop(&p[i].timer);
}

/* Sleeping as long as timers_wait says and never longer, every timer is met to the millisecond. */
static void
wait_is_never_late(void **state)
{
	static const uint64_t ahead[] = {
	    1, 63, 64, 65, 4095, 4096, 4097, 262144, 300000, 86400000, UINT64_C(31536000000)};
	struct probe p[ARRAY_LEN(ahead)];
	uint64_t now = 1000;
	unsigned turns = 0;
	int wait;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ahead); i++) {
		p[i] = (struct probe){.got = 0};
		timer_init(&p[i].timer, note);
		set(&p[i], now + ahead[i]);
	}
	while ((wait = timers_wait(run.w, now)) >= 0) {
		now += (uint64_t)wait;
		run_at(now);
		turns++;
	}
	for (size_t i = 0; i < ARRAY_LEN(ahead); i++)
		assert_int_equal(p[i].got, p[i].want);
	assert_true(turns < 100); /* it jumps, it does not tick */
}

/* Put off and put off again, it hangs where it did, fires when it was last set for, and not at all
 * where it rests; one brought forward is no later for it. */
static void
put_off_and_at_rest(void **state)
{
	struct probe busy = {0}, resting = {0}, sooner = {0};

	(void)state;
	timer_init(&busy.timer, note);
	timer_init(&resting.timer, note);
	timer_init(&sooner.timer, note);
	for (uint64_t ms = 1000; ms < 3000; ms += 7) {
		set(&busy, ms + 500);
		set(&resting, ms + 400);
		timer_rest(&resting.timer);
		assert_false(timer_is_set(&resting.timer));
		set(&sooner, 9000 - ms);
		run_at(ms);
		assert_int_equal(run.fired, 0);
	}
	run_at(busy.want - 1);
	assert_int_equal(run.fired, 0);
	run_at(busy.want);
	assert_int_equal(run.fired, 1);
	assert_int_equal(busy.got, busy.want);
	run_at(sooner.want);
	assert_int_equal(run.fired, 2);
	assert_int_equal(timers_wait(run.w, sooner.want), -1);
	timer_stop(&resting.timer);
}

static void
end_of_time(void **state)
{
	struct probe p = {.got = 0};

	(void)state;
	timer_init(&p.timer, note);
	set(&p, UINT64_MAX);
	assert_int_equal(timers_wait(run.w, 1000), INT32_MAX);
	assert_int_equal(run_at(UINT64_MAX - 1), 0);
	assert_int_equal(run_at(UINT64_MAX), 1);
}

static void
freed_wheel_leaves_timers_stopped(void **state)
{
	struct timer a, b;

	(void)state;
	timer_init(&a, note);
	timer_init(&b, note);
	timer_set(run.w, &a, 1);
	timer_set(run.w, &b, 900000);
	timers_free(&run.w);
	assert_null(run.w);
	assert_false(timer_is_set(&a));
	assert_false(timer_is_set(&b));
	timer_stop(&b);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(one_timer, start, finish),
    TEST_WITH(rearm_and_stop, start, finish),
    TEST_WITH(time_gone_by, start, finish),
    TEST_WITH(rearming_for_now_waits_for_the_next_turn, start, finish),
    TEST_WITH(stopping_another_that_is_due, start, finish),
    TEST_WITH(random_walk, start, finish),
    TEST_WITH(wait_is_never_late, start, finish),
    TEST_WITH(put_off_and_at_rest, start, finish),
    TEST_WITH(end_of_time, start, finish),
    TEST_WITH(freed_wheel_leaves_timers_stopped, start, finish),
};
RUN_TESTS(tests)
