/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop. One epoll set and one array of fetched events; loop_del looks through what of
 * that array is still to come, which is what makes closing a descriptor from any callback safe.
 */
#include "shm/base/loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"

#define LOOP_MAGIC  0x4c4f4f50u
#define LOOP_EVENTS 256
#define LOOP_URGENT 16
#define LOOP_NEAR   256
#define LOOP_BATCH  32 /* what they read ahead stays in the cache until it is used */

struct signal_row {
	void (*fn)(void *arg, int signo);
	void *arg;
};

struct fetched {
	struct epoll_event *events;
	int n, at; /* how many, and the next to be handed out */
};

struct loop {
	uint32_t magic;
	int epfd;
	struct timers *timers;
	struct list defers, soon;
	struct list mark; /* where run_list ends */
	void (*turn_fn)(void *arg);
	void *turn_arg;
	uint64_t turns;
	bool stop, busy;

	struct watch signals; /* fd -1 until the first loop_signal */
	sigset_t mask;
	struct signal_row handlers[_NSIG];

	struct watch urgent; /* an epoll set of its own in the other; fd -1 until it is needed */
	struct fetched urgents, all;
	struct epoll_event urgent_events[LOOP_URGENT], events[LOOP_EVENTS];
};

/* They are handed out before any batch: this only ends the wait. */
static void
urgent_ready(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
}

struct loop *
loop_new(void)
{
	struct loop *l = xcalloc(1, sizeof(*l));

	l->magic = LOOP_MAGIC;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		free(l);
		return NULL;
	}
	clock_tick();
	l->timers = timers_new(clock_ms());
	list_init(&l->defers);
	list_init(&l->soon);
	list_init(&l->mark);
	sigemptyset(&l->mask);
	l->signals.fd = -1;
	watch_init(&l->urgent, urgent_ready);
	l->all.events = l->events;
	l->urgents.events = l->urgent_events;
	return l;
}

void
loop_free(struct loop **lp)
{
	struct loop *l = *lp;

	if (l == NULL)
		return;
	CHECK_MAGIC(l, LOOP_MAGIC);
	BUG_ON(l->busy);
	if (l->signals.fd >= 0)
		close(l->signals.fd);
	if (l->urgent.fd >= 0)
		close(l->urgent.fd);
	close(l->epfd);
	list_each_safe (n, &l->defers)
		list_del(n);
	list_each_safe (n, &l->soon)
		list_del(n);
	timers_free(&l->timers);
	l->magic = 0;
	free(l);
	*lp = NULL;
}

struct timers *
loop_timers(struct loop *l)
{
	return l->timers;
}

static int
control(struct loop *l, int op, struct watch *w, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (epoll_ctl(w->urgent ? l->urgent.fd : l->epfd, op, fd, &ev) < 0)
		return -1;
	w->fd = fd;
	w->events = events;
	return 1;
}

static int
urgent_open(struct loop *l)
{
	int fd = epoll_create1(EPOLL_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = control(l, EPOLL_CTL_ADD, &l->urgent, fd, EPOLLIN);
	if (rc < 0)
		close(fd);
	return rc;
}

int
loop_add(struct loop *l, struct watch *w, int fd, uint32_t events)
{
	if (w->urgent && l->urgent.fd < 0 && urgent_open(l) < 0)
		return -1;
	return control(l, EPOLL_CTL_ADD, w, fd, events);
}

int
loop_mod(struct loop *l, struct watch *w, uint32_t events)
{
	return w->events == events ? 1 : control(l, EPOLL_CTL_MOD, w, w->fd, events);
}

void
loop_del(struct loop *l, struct watch *w)
{
	if (w->fd < 0)
		return;
	/* Fails only where the descriptor was closed before, which took it out of the set. */
	epoll_ctl(w->urgent ? l->urgent.fd : l->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	loop_forget(l, w);
}

void
loop_forget(struct loop *l, struct watch *w)
{
	struct fetched *f = w->urgent ? &l->urgents : &l->all;

	w->fd = -1;
	w->events = 0;
	for (int i = f->at; w->due && i < f->n; i++)
		if (f->events[i].data.ptr == w)
			f->events[i].data.ptr = NULL;
	w->due = false;
}

void
defer_init(struct defer *d, void (*fn)(struct defer *d))
{
	list_init(&d->node);
	d->fn = fn;
}

void
loop_defer(struct loop *l, struct defer *d)
{
	if (list_empty(&d->node))
		list_push(&l->defers, &d->node);
}

void
loop_soon(struct loop *l, struct defer *d)
{
	if (list_empty(&d->node))
		list_push(&l->soon, &d->node);
}

void
defer_cancel(struct defer *d)
{
	list_del(&d->node);
}

static void
signals_ready(struct watch *w, uint32_t events)
{
	struct loop *l = container_of(w, struct loop, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (w->fd >= 0 && read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		struct signal_row *row = &l->handlers[info.ssi_signo];

		if (row->fn != NULL)
			row->fn(row->arg, (int)info.ssi_signo);
	}
}

void
loop_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	int fd;

	BUG_ON(signo <= 0 || signo >= _NSIG);
	l->handlers[signo] = (struct signal_row){fn, arg};
	sigaddset(&l->mask, signo);
	BUG_ON(sigprocmask(SIG_BLOCK, &l->mask, NULL) < 0);
	fd = signalfd(l->signals.fd, &l->mask, SFD_NONBLOCK | SFD_CLOEXEC);
	BUG_ON(fd < 0); /* set-up: one descriptor per process */
	if (l->signals.fd >= 0)
		return;
	l->signals.fn = signals_ready;
	BUG_ON(loop_add(l, &l->signals, fd, EPOLLIN) < 0);
}

void
loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg)
{
	l->turn_fn = fn;
	l->turn_arg = arg;
}

static int
wait_ms(const struct loop *l, int max_wait_ms)
{
	int due = list_empty(&l->defers) ? timers_wait(l->timers, clock_ms()) : 0;

	if (due < 0 || max_wait_ms < 0)
		return due < 0 ? max_wait_ms : due;
	return MIN(due, max_wait_ms);
}

/* Up to a mark: what such a call puts on the list again comes after it and waits for the next time.
 */
static void
run_list(struct loop *l, struct list *list)
{
	struct list *n;

	list_push(list, &l->mark);
	while ((n = list_first(list)) != &l->mark) {
		struct defer *d = container_of(n, struct defer, node);

		list_del(n);
		d->fn(d);
	}
	list_del(&l->mark);
}

static void
run_soon(struct loop *l)
{
	while (!list_empty(&l->soon))
		run_list(l, &l->soon);
}

/* Marks them all at once: what owners keep beside their watch is on its way into the cache when its
 * turn comes. */
static void
fetched_set(struct fetched *f, int n)
{
	BUG_ON(n < 0 && errno != EINTR);
	f->at = 0;
	f->n = MAX(n, 0);
	for (int i = 0; i < f->n; i++)
		((struct watch *)f->events[i].data.ptr)->due = true;
}

/* What the owner of the one after next keeps beside its watch: two reads take longer than it does.
 */
static void
fetch_near(const struct fetched *f, int i)
{
	if (i < f->n)
		prefetch(f->events[i].data.ptr, LOOP_NEAR);
}

static void
run_ahead(struct fetched *f, int until)
{
	for (int i = f->at; i < until; i++) {
		struct epoll_event *ev = &f->events[i];
		struct watch *w = ev->data.ptr;

		fetch_near(f, i + 2);
		if (w != NULL && w->ahead != NULL)
			ev->events = w->ahead(w, ev->events);
	}
}

static void
run_batch(struct loop *l, struct fetched *f, int until)
{
	run_ahead(f, until);
	while (f->at < until) {
		struct epoll_event *ev = &f->events[f->at++];
		struct watch *w = ev->data.ptr;

		if (w == NULL)
			continue;
		w->due = false;
		w->fn(w, ev->events);
	}
	run_soon(l);
}

static void
run_urgent(struct loop *l)
{
	struct fetched *f = &l->urgents;

	if (likely(l->urgent.fd < 0))
		return;
	fetched_set(f, epoll_wait(l->urgent.fd, f->events, LOOP_URGENT, 0));
	run_batch(l, f, f->n);
	f->n = f->at = 0;
}

static void
run_events(struct loop *l)
{
	struct fetched *f = &l->all;

	while (f->at < f->n) {
		run_urgent(l);
		run_batch(l, f, MIN(f->at + LOOP_BATCH, f->n));
	}
	f->n = f->at = 0;
}

void
loop_turn(struct loop *l, int max_wait_ms)
{
	CHECK_MAGIC(l, LOOP_MAGIC);
	BUG_ON(l->busy); /* a turn within a turn would hand out events twice */
	fetched_set(&l->all, epoll_wait(l->epfd, l->events, LOOP_EVENTS, wait_ms(l, max_wait_ms)));
	l->busy = true;
	l->turns++;
	clock_tick();
	if (l->turn_fn != NULL)
		l->turn_fn(l->turn_arg);
	run_events(l);
	timers_run(l->timers, clock_ms());
	run_soon(l);
	run_list(l, &l->defers);
	run_soon(l);
	l->busy = false;
}

void
loop_run(struct loop *l)
{
	while (!l->stop)
		loop_turn(l, -1);
	l->stop = false;
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
}

uint64_t
loop_turns(const struct loop *l)
{
	return l->turns;
}
