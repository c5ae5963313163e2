/* SPDX-License-Identifier: Apache-2.0
 *
 * See conn.h.
 */
#include "master/watcher/redis/conn.h"

#include <stdarg.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"

#define MOVED_PAUSE_MS 200 /* between two redirections */

struct unit {
	struct list node; /* of side_units, while it is there */
	struct conn *c;
	struct command cmd;
	link_reply_f *fn;
	void *arg;
	bool aside; /* it was sent to the node that ASK named */
};

static void call_next(struct conn *c);
static void send_aside(struct unit *u, const struct endpoint *to);

/* --- names to addresses ----------------------------------------------------------------------- */

typedef void found_f(struct conn *c, const struct addr *a, const char *error);

struct query {
	struct conn *c;
	uint64_t serial;
	found_f *fn;
};

static void
on_resolved(void *arg, const struct resolver_answer *a)
{
	struct query q = *(struct query *)arg;

	free(arg);
	if (q.serial != q.c->serial)
		return;
	/* Another one each time: one of them may be down. */
	q.fn(q.c, a->n > 0 ? &a->v[q.serial % a->n] : NULL, a->error);
}

static void
look_up(struct conn *c, const struct endpoint *e, found_f *fn)
{
	struct addr a = {.family = 0};
	struct query *q;

	c->serial++;
	if (strncmp(e->host, "unix:", 5) == 0) {
		a.family = AF_UNIX;
		snprintf(a.path, sizeof(a.path), "%.107s", e->host + 5);
	}
	if (a.family == AF_UNIX || addr_ip(str_of(e->host), &a) == 1) {
		fn(c, &a, NULL);
		return;
	}
	q = xcalloc(1, sizeof(*q));
	*q = (struct query){c, c->serial, fn};
	resolver_ask(c->resolver, e->host, on_resolved, q);
}

/* --- down ------------------------------------------------------------------------------------- */

static void
close_all(struct conn *c)
{
	c->phase = CONN_REST;
	c->checking = false;
	c->serial++;
	link_close(&c->ask);
	link_close(&c->side);
	link_close(&c->main);
}

static void failed(struct conn *c, enum link_end how, const char *fmt, ...) PRINTF(3, 4);

static void
failed(struct conn *c, enum link_end how, const char *fmt, ...)
{
	char text[sizeof(c->why)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(c->why, text, sizeof(text));
	close_all(c);
	c->o.on_down(c->o.arg, how, c->why);
	timer_set(loop_timers(c->o.link.loop), &c->retry,
	    clock_ms() + target_failed(&c->target, clock_ms()));
}

/* The server itself says that another is the one: there at once, but not in a circle. */
static void
restart(struct conn *c, const char *why)
{
	uint64_t now = clock_ms(), wait = 0;

	if (c->phase != CONN_UP)
		return;
	if (now < c->restarted_ms + MOVED_PAUSE_MS)
		wait = MOVED_PAUSE_MS;
	c->restarted_ms = now;
	snprintf(c->why, sizeof(c->why), "%s", why);
	close_all(c);
	c->o.on_down(c->o.arg, LINK_FAILED, c->why);
	timer_set(loop_timers(c->o.link.loop), &c->retry, now + wait);
}

static void
on_retry(struct timer *t)
{
	call_next(container_of(t, struct conn, retry));
}

static void
on_main_down(struct link *l, enum link_end how)
{
	struct conn *c = container_of(l, struct conn, main);

	failed(c, how, "%s", l->why);
}

/* --- up --------------------------------------------------------------------------------------- */

static void
up(struct conn *c)
{
	c->phase = CONN_UP;
	target_good(&c->target);
	c->o.on_up(c->o.arg);
}

static void
on_role(void *arg, const struct reply *r)
{
	struct conn *c = arg;

	if (r == NULL)
		return;
	if (reply_is_error(r))
		failed(c, LINK_FAILED, "ROLE: %.200s", r->str.p);
	else if (!target_is_master(r))
		failed(c, LINK_FAILED, "the sentinels' master is none");
	else
		up(c);
}

static void
on_main_up(struct link *l)
{
	struct conn *c = container_of(l, struct conn, main);
	struct command cmd = {.n = 0};

	if (c->target.mode != REDIS_SENTINEL) {
		up(c);
		return;
	}
	COMMAND(&cmd, STR("ROLE"));
	link_send(l, &cmd, on_role, c);
	command_free(&cmd);
}

/* --- sentinels -------------------------------------------------------------------------------- */

static void
on_check(struct conn *c)
{
	struct endpoint now = c->now;

	c->checking = false;
	link_close(&c->ask);
	if (!endpoint_eq(&now, &c->target.to))
		restart(c, "the sentinels name another master");
}

static void
on_named(void *arg, const struct reply *r)
{
	struct conn *c = arg;
	const char *error = "";
	int rc;

	if (r == NULL)
		return;
	rc = target_named(&c->target, r, &error);
	if (c->checking && rc == 1)
		on_check(c);
	else if (c->checking)
		link_fail(&c->ask, LINK_FAILED, "%s", error);
	else if (rc == 1) {
		link_close(&c->ask);
		call_next(c);
	} else
		failed(c, LINK_FAILED, "%.200s", error);
}

static void
on_ask_up(struct link *l)
{
	struct conn *c = container_of(l, struct conn, ask);
	struct command cmd = {.n = 0};

	COMMAND(&cmd, STR("SENTINEL"), STR("get-master-addr-by-name"), c->o.s->redis.sentinel.name);
	link_send(l, &cmd, on_named, c);
	command_free(&cmd);
}

/* A sentinel that cannot be checked with is passed over; the next check asks the next. */
static void
on_ask_down(struct link *l, enum link_end how)
{
	struct conn *c = container_of(l, struct conn, ask);

	if (!c->checking) {
		failed(c, how, "%s", l->why);
		return;
	}
	c->checking = false;
	c->target.at = (c->target.at + 1) % c->target.n;
}

static void
on_check_address(struct conn *c, const struct addr *found, const char *error UNUSED)
{
	struct addr a;

	if (found == NULL) {
		c->checking = false;
		return;
	}
	a = *found;
	a.port = c->asked.port;
	if (link_open(&c->ask, &a, str_of(c->asked.host)) < 0)
		c->checking = false;
}

void
conn_check(struct conn *c)
{
	if (c->target.mode != REDIS_SENTINEL || c->phase != CONN_UP || c->checking)
		return;
	c->checking = true;
	c->asked = c->target.v[c->target.at];
	look_up(c, &c->asked, on_check_address);
}

/* --- calling ---------------------------------------------------------------------------------- */

static void
on_address(struct conn *c, const struct addr *found, const char *error)
{
	struct link *l = c->to_sentinel ? &c->ask : &c->main;

	if (found == NULL) {
		failed(c, LINK_FAILED, "its name is not known: %.200s",
		    error != NULL ? error : "no address");
		return;
	}
	c->addr = *found;
	c->addr.port = c->now.port;
	c->phase = CONN_OPEN;
	if (link_open(l, &c->addr, str_of(c->now.host)) < 0)
		failed(c, LINK_FAILED, "%s", l->why);
}

static void
call_next(struct conn *c)
{
	c->phase = CONN_RESOLVE;
	c->to_sentinel = target_next(&c->target, clock_ms(), &c->now);
	look_up(c, &c->now, on_address);
}

void
conn_start(struct conn *c)
{
	timer_set(loop_timers(c->o.link.loop), &c->retry, clock_ms());
}

/* --- commands --------------------------------------------------------------------------------- */

static void
unit_end(struct unit *u, const struct reply *r)
{
	link_reply_f *fn = u->fn;
	void *arg = u->arg;

	list_del(&u->node);
	command_free(&u->cmd);
	free(u);
	fn(arg, r);
}

static const struct reply unreachable = {
    .type = REPLY_ERROR, .str = {"ERR the node that ASK names cannot be reached", 45}};

static void
on_unit(void *arg, const struct reply *r)
{
	struct unit *u = arg;
	struct conn *c = u->c;
	bool cluster = c->target.mode == REDIS_CLUSTER, again;
	struct endpoint to;

	if (r == NULL && u->aside)
		r = &unreachable;
	/* What the other node says of its own accord is not about our connection. */
	if (r == NULL || !reply_is_error(r) || u->aside) {
		unit_end(u, r);
		return;
	}
	if (cluster && target_redirect(r->str, "ASK", &c->now, &to) == 1) {
		send_aside(u, &to);
		return;
	}
	if (cluster && target_redirect(r->str, "MOVED", &c->now, &to) == 1) {
		unit_end(u, NULL);
		target_move(&c->target, &to);
		restart(c, "the cluster has moved the keys");
		return;
	}
	again = c->target.mode == REDIS_SENTINEL && str_starts(r->str, STR("READONLY"));
	unit_end(u, r);
	if (again) {
		target_forget(&c->target);
		restart(c, "it is no master any more");
	}
}

void
conn_send(struct conn *c, const struct command *cmd, link_reply_f *fn, void *arg)
{
	struct unit *u;

	if (c->phase != CONN_UP) {
		fn(arg, NULL);
		return;
	}
	u = xcalloc(1, sizeof(*u));
	*u = (struct unit){.c = c, .fn = fn, .arg = arg};
	list_init(&u->node);
	if (c->target.mode == REDIS_CLUSTER) {
		gbuf_put(&u->cmd.text, cmd->text.p, cmd->text.n);
		u->cmd.n = cmd->n;
	}
	link_send(&c->main, cmd, on_unit, u);
}

/* --- the other node --------------------------------------------------------------------------- */

/* ASKING is for the command behind it, or for the transaction that one begins. */
static void
send_asking(struct unit *u)
{
	struct command cmd = {.n = 0};

	list_del(&u->node);
	COMMAND(&cmd, STR("ASKING"));
	gbuf_put(&cmd.text, u->cmd.text.p, u->cmd.text.n);
	cmd.n += u->cmd.n;
	link_send(&u->c->side, &cmd, on_unit, u);
	command_free(&cmd);
}

static void
on_side_up(struct link *l)
{
	struct conn *c = container_of(l, struct conn, side);
	struct list *n;

	while (l->state == LINK_UP && (n = list_first(&c->side_units)) != NULL)
		send_asking(container_of(n, struct unit, node));
}

static void
side_failed(struct conn *c)
{
	struct list *n;

	link_close(&c->side);
	while ((n = list_shift(&c->side_units)) != NULL)
		unit_end(container_of(n, struct unit, node), &unreachable);
}

static void
on_side_down(struct link *l, enum link_end how UNUSED)
{
	side_failed(container_of(l, struct conn, side));
}

/* Nodes name nodes by address; one that does so by name has to wait for MOVED. */
static void
send_aside(struct unit *u, const struct endpoint *to)
{
	struct conn *c = u->c;
	struct addr a;

	u->aside = true;
	list_push(&c->side_units, &u->node);
	if (c->side.state != LINK_CLOSED && endpoint_eq(&c->side_to, to)) {
		if (c->side.state == LINK_UP)
			on_side_up(&c->side);
		return;
	}
	link_close(&c->side);
	c->side_to = *to;
	if (addr_ip(str_of(to->host), &a) != 1) {
		side_failed(c);
		return;
	}
	a.port = to->port;
	if (link_open(&c->side, &a, str_of(to->host)) < 0)
		side_failed(c);
}

/* --- set-up ----------------------------------------------------------------------------------- */

int
conn_init(struct conn *c, const struct conn_opts *o, const char **error_r)
{
	*c = (struct conn){.o = *o};
	if (target_init(&c->target, o->s) < 0) {
		*error_r = "redis.addresses has no address";
		return -1;
	}
	c->resolver = resolver_new(o->link.loop, NULL, error_r);
	if (c->resolver == NULL)
		return -1;
	list_init(&c->side_units);
	timer_init(&c->retry, on_retry);
	link_init(&c->main, &c->o.link);
	link_init(&c->side, &c->o.link);
	link_init(&c->ask, &c->o.sentinel);
	c->main.on_up = on_main_up;
	c->main.on_down = on_main_down;
	c->ask.on_up = on_ask_up;
	c->ask.on_down = on_ask_down;
	c->side.on_up = on_side_up;
	c->side.on_down = on_side_down;
	return 1;
}
