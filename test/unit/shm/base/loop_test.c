/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>

#include "shm/base/loop.h"

struct pipe_end {
	struct watch watch;
	struct loop *loop;
	unsigned calls;
	uint32_t events;
	struct pipe_end *victim;
	struct defer soon;
	char what;
};

static char order[16]; /* what was called, one letter each */

static void
say(char c)
{
	order[strlen(order)] = c;
}

static void
count(struct watch *w, uint32_t events)
{
	struct pipe_end *p = container_of(w, struct pipe_end, watch);

	p->calls++;
	p->events = events;
	if (p->victim != NULL)
		loop_del(p->loop, &p->victim->watch);
}

static int
start(void **state)
{
	fake_clock_at(0);
	*state = loop_new();
	return *state == NULL;
}

static int
finish(void **state)
{
	struct loop *l = *state;

	loop_free(&l);
	assert_null(l);
	loop_free(&l);
	fake_clock_stop();
	return 0;
}

/* A pipe whose reading end is watched and readable; returns the writing end. */
static int
readable(struct loop *l, struct pipe_end *p)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	*p = (struct pipe_end){.loop = l};
	watch_init(&p->watch, count);
	assert_int_equal(p->watch.fd, -1);
	assert_int_equal(loop_add(l, &p->watch, fds[0], EPOLLIN), 1);
	assert_int_equal(write(fds[1], "x", 1), 1);
	return fds[1];
}

static void
shut(struct loop *l, struct pipe_end *p, int fd, int other)
{
	loop_del(l, &p->watch);
	close(fd);
	close(other);
}

static void
descriptors(void **state)
{
	struct loop *l = *state;
	struct pipe_end p;
	int other = readable(l, &p), fd = p.watch.fd;

	loop_turn(l, 0);
	assert_int_equal(p.calls, 1);
	assert_true(p.events & EPOLLIN);
	assert_int_equal(loop_mod(l, &p.watch, 0), 1);
	loop_turn(l, 0);
	assert_int_equal(p.calls, 1);
	assert_int_equal(loop_mod(l, &p.watch, EPOLLIN), 1);
	loop_turn(l, 0);
	assert_int_equal(p.calls, 2);
	loop_del(l, &p.watch);
	loop_del(l, &p.watch);
	loop_turn(l, 0);
	assert_int_equal(p.calls, 2);
	assert_int_equal(loop_turns(l), 4);
	shut(l, &p, fd, other);
}

static struct pipe_end *two[2];
static unsigned waiting;

static void
count_waiting(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
	waiting = waiting * 10 + loop_pending(&two[0]->watch) + loop_pending(&two[1]->watch);
}

/* While the first is called the second is still to come; then nobody is. */
static void
what_is_to_come_is_known(void **state)
{
	struct loop *l = *state;
	struct pipe_end a, b;
	int to_a = readable(l, &a), to_b = readable(l, &b), fd_a = a.watch.fd, fd_b = b.watch.fd;

	two[0] = &a;
	two[1] = &b;
	a.watch.fn = b.watch.fn = count_waiting;
	waiting = 0;
	assert_false(loop_pending(&a.watch));
	loop_turn(l, 0);
	assert_int_equal(waiting, 10);
	shut(l, &a, fd_a, to_a);
	shut(l, &b, fd_b, to_b);
}

static void
add_fails_on_files(void **state)
{
	struct loop *l = *state;
	struct watch w;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	watch_init(&w, count);
	assert_int_equal(loop_add(l, &w, fd, EPOLLIN), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(w.fd, -1);
	close(fd);
}

/* Both are fetched in one turn; whichever runs first takes the other out. */
static void
deleted_in_the_same_turn(void **state)
{
	struct loop *l = *state;
	struct pipe_end a, b;
	int other_a = readable(l, &a), other_b = readable(l, &b);
	int fd_a = a.watch.fd, fd_b = b.watch.fd;

	a.victim = &b;
	b.victim = &a;
	loop_turn(l, 0);
	assert_int_equal(a.calls + b.calls, 1);
	shut(l, &a, fd_a, other_a);
	shut(l, &b, fd_b, other_b);
}

/* Nothing is left of it in the epoll set: its number can be watched anew. */
static void
forgotten_and_closed(void **state)
{
	struct loop *l = *state;
	struct pipe_end a, b;
	int other_a = readable(l, &a), fd_a = a.watch.fd, other_b;

	loop_forget(l, &a.watch);
	assert_int_equal(a.watch.fd, -1);
	close(fd_a);
	loop_turn(l, 0);
	assert_int_equal(a.calls, 0);
	other_b = readable(l, &b);
	assert_int_equal(b.watch.fd, fd_a);
	loop_turn(l, 0);
	assert_int_equal(b.calls, 1);
	shut(l, &b, fd_a, other_b);
	close(other_a);
}

struct deferred {
	struct defer defer;
	struct loop *loop;
	struct defer *also;
	unsigned calls;
};

static void
deferred(struct defer *d)
{
	struct deferred *p = container_of(d, struct deferred, defer);

	p->calls++;
	if (p->also != NULL)
		loop_defer(p->loop, p->also);
}

static void
deferred_calls(void **state)
{
	struct loop *l = *state;
	struct deferred a = {.loop = l}, b = {.loop = l};

	defer_init(&a.defer, deferred);
	defer_init(&b.defer, deferred);
	loop_defer(l, &a.defer);
	loop_defer(l, &a.defer);
	a.also = &b.defer;
	loop_turn(l, -1); /* does not wait: something is deferred */
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 0);
	loop_turn(l, -1);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
	loop_defer(l, &a.defer);
	defer_cancel(&a.defer);
	defer_cancel(&a.defer);
	loop_turn(l, 0);
	assert_int_equal(a.calls, 1);
	a.also = &a.defer; /* again and again, but once a turn */
	loop_defer(l, &a.defer);
	loop_turn(l, 0);
	loop_turn(l, 0);
	assert_int_equal(a.calls, 3);
	defer_cancel(&a.defer);
}

static void
say_turn(void *arg)
{
	say(*(char *)arg);
}

static void
say_event(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
	say('e');
}

static void
say_timer(struct timer *t)
{
	(void)t;
	say('t');
}

static void
say_defer(struct defer *d)
{
	(void)d;
	say('d');
}

static void
order_of_a_turn(void **state)
{
	struct loop *l = *state;
	struct pipe_end p;
	struct timer t;
	struct defer d;
	int other = readable(l, &p), fd = p.watch.fd;
	char turned = 'o';

	memset(order, 0, sizeof(order));
	p.watch.fn = say_event;
	timer_init(&t, say_timer);
	defer_init(&d, say_defer);
	loop_on_turn(l, say_turn, &turned);
	timer_set(loop_timers(l), &t, clock_ms() + 10);
	loop_defer(l, &d);
	fake_clock_advance(10);
	loop_turn(l, 0);
	assert_string_equal(order, "oetd");
	shut(l, &p, fd, other);
}

static void
stop_by_timer(struct timer *t)
{
	(void)t;
	say('s');
}

static void
waits_for_timers(void **state)
{
	struct loop *l;
	struct timer t;
	uint64_t before;

	(void)state;
	fake_clock_stop();
	l = loop_new();
	assert_non_null(l);
	memset(order, 0, sizeof(order));
	timer_init(&t, stop_by_timer);
	before = clock_ms();
	timer_set(loop_timers(l), &t, before + 30);
	while (order[0] == '\0')
		loop_turn(l, 10000);
	assert_in_range(clock_ms() - before, 30, 5000);
	loop_free(&l);
}

static unsigned got_signal[2];

static void
on_signal(void *arg, int signo)
{
	got_signal[signo == SIGUSR2]++;
	if (signo == SIGUSR2)
		loop_stop(arg);
}

static void
signals(void **state)
{
	struct loop *l = *state;

	memset(got_signal, 0, sizeof(got_signal));
	loop_signal(l, SIGUSR1, on_signal, l);
	loop_signal(l, SIGUSR2, on_signal, l);
	raise(SIGUSR1);
	raise(SIGUSR1); /* pending once */
	loop_turn(l, 0);
	assert_int_equal(got_signal[0], 1);
	raise(SIGUSR2);
	loop_run(l);
	assert_int_equal(got_signal[1], 1);
	raise(SIGUSR2); /* and it can be run again */
	loop_run(l);
	assert_int_equal(got_signal[1], 2);
}

/* More than are fetched at once: nothing is lost. */
static void
many_descriptors(void **state)
{
	enum { N = 400 };
	static struct pipe_end p[N];
	static int fd[N], other[N];
	struct loop *l = *state;

	for (int i = 0; i < N; i++) {
		other[i] = readable(l, &p[i]);
		fd[i] = p[i].watch.fd;
	}
	for (int i = 0; i < 4; i++)
		loop_turn(l, 0);
	for (int i = 0; i < N; i++) {
		assert_true(p[i].calls >= 1);
		shut(l, &p[i], fd[i], other[i]);
	}
}

static uint32_t
ahead(struct watch *w, uint32_t events)
{
	say((char)(container_of(w, struct pipe_end, watch)->what - 'a' + 'A'));
	return events & ~(uint32_t)EPOLLIN;
}

static void
soon(struct defer *d)
{
	say((char)(container_of(d, struct pipe_end, soon)->what - 'a' + '1'));
}

static void
own(struct watch *w, uint32_t events)
{
	struct pipe_end *p = container_of(w, struct pipe_end, watch);

	assert_int_equal(events & EPOLLIN, 0); /* what was done ahead is not told again */
	say(p->what);
	loop_soon(p->loop, &p->soon);
	if (p->victim != NULL)
		loop_del(p->loop, &p->victim->watch);
}

/* All read ahead, then all are called, then all do what they put off; who is taken out on the way
 * is not called any more. */
static void
batches_go_in_three_passes(void **state)
{
	struct loop *l = *state;
	struct pipe_end p[3];
	int other[3], fd[3];

	memset(order, 0, sizeof(order));
	for (int i = 0; i < 3; i++) {
		other[i] = readable(l, &p[i]);
		fd[i] = p[i].watch.fd;
		p[i].what = (char)('a' + i);
		p[i].watch.ahead = ahead;
		p[i].watch.fn = own;
		defer_init(&p[i].soon, soon);
	}
	loop_turn(l, 0);
	assert_string_equal(order, "ABCabc123");
	memset(order, 0, sizeof(order));
	p[0].victim = &p[1];
	loop_turn(l, 0);
	assert_string_equal(order, "ABCac13");
	for (int i = 0; i < 3; i++)
		shut(l, &p[i], fd[i], other[i]);
}

static void
say_own(struct watch *w, uint32_t events)
{
	char c;

	(void)events;
	say(container_of(w, struct pipe_end, watch)->what);
	assert_int_equal(read(w->fd, &c, 1), 1);
}

/* However many are ready: it is handed out first, and again as soon as the batch is over in which
 * it became ready. */
static void
urgent_ones_do_not_wait(void **state)
{
	enum { N = 41 };
	static struct pipe_end p[N];
	static int fd[N], other[N];
	struct loop *l = *state;

	memset(order, 0, sizeof(order));
	for (int i = 0; i < N; i++) {
		other[i] = readable(l, &p[i]);
		fd[i] = p[i].watch.fd;
	}
	loop_del(l, &p[N - 1].watch);
	p[N - 1].what = 'u';
	p[N - 1].watch.urgent = true;
	p[N - 1].watch.fn = say_own;
	assert_int_equal(loop_add(l, &p[N - 1].watch, fd[N - 1], EPOLLIN), 1);
	p[39].what = 'z';
	p[39].watch.fn = say_own; /* in the second batch */
	loop_turn(l, 0);
	assert_string_equal(order, "uz");
	assert_int_equal(write(other[N - 1], "x", 1), 1);
	loop_turn(l, 0); /* it alone ends the wait as well */
	assert_string_equal(order, "uzu");
	loop_del(l, &p[N - 1].watch);
	assert_int_equal(write(other[N - 1], "x", 1), 1);
	loop_turn(l, 0);
	assert_string_equal(order, "uzu");
	for (int i = 0; i < N; i++)
		shut(l, &p[i], fd[i], other[i]);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(descriptors, start, finish),
    TEST_WITH(what_is_to_come_is_known, start, finish),
    TEST_WITH(add_fails_on_files, start, finish),
    TEST_WITH(deleted_in_the_same_turn, start, finish),
    TEST_WITH(forgotten_and_closed, start, finish),
    TEST_WITH(deferred_calls, start, finish),
    TEST_WITH(order_of_a_turn, start, finish),
    TEST_WITH(waits_for_timers, NULL, NULL),
    TEST_WITH(signals, start, finish),
    TEST_WITH(many_descriptors, start, finish),
    TEST_WITH(batches_go_in_three_passes, start, finish),
    TEST_WITH(urgent_ones_do_not_wait, start, finish),
};
RUN_TESTS(tests)
