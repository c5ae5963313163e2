/* SPDX-License-Identifier: Apache-2.0
 *
 * See bell.h.
 */
#include "master/watcher/redis/bell.h"

#include "shm/base/clock.h"

#define INTERVAL_MIN_MS 500

static void
call(struct bell *b)
{
	backoff_started(&b->backoff, clock_ms());
	if (link_open(&b->link, &b->addr, str_of(b->host)) < 0)
		b->link.on_down(&b->link, LINK_FAILED);
}

static void
ping(struct bell *b)
{
	struct command c = {.n = 0};

	if (b->waiting) {
		link_fail(&b->link, LINK_TIMEOUT, "the subscription does not answer");
		return;
	}
	b->waiting = true;
	timer_set(loop_timers(b->link.o->loop), &b->timer, clock_ms() + b->interval_ms);
	COMMAND(&c, STR("PING"));
	link_send(&b->link, &c, NULL, NULL);
	command_free(&c);
}

static void
on_timer(struct timer *t)
{
	struct bell *b = container_of(t, struct bell, timer);

	if (b->link.state == LINK_CLOSED)
		call(b);
	else
		ping(b);
}

static void
on_up(struct link *l)
{
	struct bell *b = container_of(l, struct bell, link);
	struct command c = {.n = 0};

	b->waiting = true; /* for the answer to SUBSCRIBE */
	timer_set(loop_timers(l->o->loop), &b->timer, clock_ms() + b->interval_ms);
	COMMAND(&c, STR("SUBSCRIBE"), b->channel);
	link_send(l, &c, NULL, NULL);
	command_free(&c);
}

static void
on_down(struct link *l, enum link_end how UNUSED)
{
	struct bell *b = container_of(l, struct bell, link);
	uint64_t wait = backoff_failed_jitter(&b->backoff, clock_ms());

	b->heard = b->waiting = false;
	timer_set(loop_timers(l->o->loop), &b->timer, clock_ms() + MAX(wait, 10));
	b->on_change(b->arg, false, l->why);
}

static void
on_push(struct link *l, const struct reply *r)
{
	struct bell *b = container_of(l, struct bell, link);
	struct str what = reply_str(reply_at(r, 0));

	if (reply_is_error(r)) {
		link_fail(l, LINK_FAILED, "%.200s", r->str.p);
	} else if (str_eq(what, STR("subscribe"))) {
		b->waiting = false;
		b->heard = true;
		b->on_change(b->arg, true, "");
	} else if (str_eq(what, STR("pong"))) {
		b->waiting = false;
	} else if (str_eq(what, STR("message"))) {
		b->on_ring(b->arg);
	}
}

void
bell_init(
    struct bell *b, const struct link_opts *o, struct str channel, uint64_t min_ms, uint64_t max_ms)
{
	link_init(&b->link, o);
	b->link.on_up = on_up;
	b->link.on_down = on_down;
	b->link.on_push = on_push;
	b->channel = channel;
	b->interval_ms = MAX(o->command_ms, INTERVAL_MIN_MS);
	timer_init(&b->timer, on_timer);
	backoff_init(&b->backoff, MAX(min_ms, 1), MAX(max_ms, MAX(min_ms, 1)));
}

void
bell_open(struct bell *b, const struct addr *to, const char *host)
{
	bell_close(b);
	b->addr = *to;
	snprintf(b->host, sizeof(b->host), "%s", host);
	call(b);
}

void
bell_close(struct bell *b)
{
	link_close(&b->link);
	timer_stop(&b->timer);
	b->addr.family = 0;
	b->heard = b->waiting = false;
}
