/* SPDX-License-Identifier: Apache-2.0
 *
 * See link.h. Log-in is sent before the connection stands: the first octets of commands leave with
 * it.
 */
#include "master/watcher/redis/link.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"

struct due {
	struct list node;
	link_reply_f *fn;
	void *arg;
	unsigned left; /* replies still to come */
	uint64_t deadline_ms;
	struct reply *error; /* the first that was one */
};

#define FILL_READS 64 /* in one go: a peer that never pauses is not to have the whole loop */

static void on_timer(struct timer *t);
static void on_more(struct defer *d);
static void flush(struct link *l);

void
link_init(struct link *l, const struct link_opts *o)
{
	l->o = o;
	l->state = LINK_CLOSED;
	list_init(&l->pending);
	timer_init(&l->timer, on_timer);
	defer_init(&l->more, on_more);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void
drop_due(struct due *d, const struct reply *r)
{
	link_reply_f *fn = d->fn;
	void *arg = d->arg;
	struct reply *error = d->error;

	free(d);
	if (fn != NULL)
		fn(arg, error != NULL ? error : r);
	reply_free(&error);
}

void
link_close(struct link *l)
{
	struct list pending;

	if (l->state == LINK_CLOSED)
		return;
	l->state = LINK_CLOSED;
	stream_close(&l->s);
	timer_stop(&l->timer);
	defer_cancel(&l->more);
	resp_free(&l->resp);
	gbuf_free(&l->out);
	l->out_at = 0;
	/* A callback may open it again: what it sends then is not of these. */
	list_init(&pending);
	for (struct list *n; (n = list_shift(&l->pending)) != NULL;)
		list_push(&pending, n);
	for (struct list *n; (n = list_shift(&pending)) != NULL;) {
		struct due *d = container_of(n, struct due, node);

		reply_free(&d->error);
		drop_due(d, NULL);
	}
}

void
link_fail(struct link *l, enum link_end how, const char *fmt, ...)
{
	va_list ap;

	if (l->state == LINK_CLOSED)
		return;
	va_start(ap, fmt);
	vsnprintf(l->why, sizeof(l->why), fmt, ap);
	va_end(ap);
	link_close(l);
	l->on_down(l, how);
}

static void
fail_stream(struct link *l)
{
	const char *tls = tls_error(&l->s);
	int err = l->s.err;

	link_fail(l, LINK_FAILED, "%s",
	    tls[0] != '\0' ? tls : (err != 0 ? strerror(err) : "the connection broke"));
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void
arm(struct link *l)
{
	struct list *first = list_first(&l->pending);
	uint64_t at = 0;

	if (l->state == LINK_OPENING)
		at = l->deadline_ms;
	else if (first != NULL)
		at = container_of(first, struct due, node)->deadline_ms;
	if (at == 0)
		timer_stop(&l->timer);
	else
		timer_set(loop_timers(l->o->loop), &l->timer, at);
}

static void
on_timer(struct timer *t)
{
	struct link *l = container_of(t, struct link, timer);
	bool opening = l->state == LINK_OPENING;

	link_fail(l, LINK_TIMEOUT, "%s within %llu ms",
	    opening ? "no connection" : "no answer to a command",
	    (unsigned long long)(opening ? l->o->connect_ms : l->o->command_ms));
}

/* --- in --------------------------------------------------------------------------------------- */

static void
take_reply(struct link *l, struct reply *r)
{
	struct list *first = list_first(&l->pending);
	struct due *d;

	if (first == NULL || (l->on_push != NULL && l->state == LINK_UP)) {
		if (l->on_push != NULL)
			l->on_push(l, r);
		else
			link_fail(l, LINK_FAILED, "an answer to nothing");
		return;
	}
	d = container_of(first, struct due, node);
	if (reply_is_error(r) && d->error == NULL && d->left > 1) {
		d->error = xcalloc(1, sizeof(*d->error) + r->str.n + 1);
		d->error->type = REPLY_ERROR;
		d->error->str = str_n((char *)(d->error + 1), r->str.n);
		memcpy((char *)(d->error + 1), r->str.p, r->str.n);
	}
	if (--d->left > 0)
		return;
	first = list_shift(&l->pending);
	BUG_ON(first != &d->node);
	drop_due(d, r);
}

/* 1 go on, 0 nothing more now or closed. */
static int
take_replies(struct link *l, uint64_t serial)
{
	const char *error = "";
	struct reply *r;
	int rc;

	while ((rc = resp_next(l->resp, &r, &error)) == 1) {
		take_reply(l, r);
		reply_free(&r);
		if (l->state == LINK_CLOSED || l->serial != serial)
			return 0;
	}
	if (rc < 0) {
		link_fail(l, LINK_FAILED, "not Redis's protocol: %s", error);
		return 0;
	}
	return 1;
}

static void
fill(struct link *l)
{
	static char octets[65536];
	uint64_t serial = l->serial;
	const char *error = "";
	unsigned reads = 0;
	ssize_t n;

	while ((n = stream_read(&l->s, octets, sizeof(octets))) > 0) {
		if (resp_feed(l->resp, str_n(octets, (size_t)n), &error) < 0) {
			link_fail(l, LINK_FAILED, "%s", error);
			return;
		}
		if (take_replies(l, serial) == 0)
			return;
		if (++reads == FILL_READS) {
			arm(l);
			loop_defer(l->o->loop, &l->more);
			return;
		}
	}
	if (n == STREAM_EOF)
		link_fail(l, LINK_FAILED, "the server closed the connection");
	else if (n == STREAM_ERROR)
		fail_stream(l);
	else
		arm(l);
}

/* --- out -------------------------------------------------------------------------------------- */

static void
flush(struct link *l)
{
	while (l->out_at < l->out.n) {
		struct iovec v = {l->out.p + l->out_at, l->out.n - l->out_at};
		ssize_t n = stream_write(&l->s, &v, 1);

		if (n == STREAM_ERROR) {
			fail_stream(l);
			return;
		}
		if (n <= 0)
			return;
		l->out_at += (size_t)n;
	}
	if (l->out.cap > 65536)
		gbuf_free(&l->out);
	l->out.n = l->out_at = 0;
}

static void
put(struct link *l, const struct command *c, link_reply_f *fn, void *arg)
{
	gbuf_put(&l->out, c->text.p, c->text.n);
	if (fn != NULL) {
		struct due *d = xcalloc(1, sizeof(*d));

		d->fn = fn;
		d->arg = arg;
		d->left = c->n;
		d->deadline_ms = clock_ms() + l->o->command_ms;
		list_push(&l->pending, &d->node);
	}
}

void
link_send(struct link *l, const struct command *c, link_reply_f *fn, void *arg)
{
	if (l->state != LINK_UP) {
		if (fn != NULL)
			fn(arg, NULL);
		return;
	}
	put(l, c, fn, arg);
	arm(l);
	flush(l);
}

/* --- opening ---------------------------------------------------------------------------------- */

static void
up(struct link *l)
{
	l->state = LINK_UP;
	arm(l);
	l->on_up(l);
}

/* A server that does not know AUTH says what stood behind it. */
static struct str
auth_words(const struct link *l, struct str said)
{
	struct str password = l->o->password;

	if (str_find(said, STR("args beginning")) < 0 &&
	    (password.n == 0 || str_find(said, password) < 0))
		return str_sub(said, 0, 150);
	return STR("in words that repeat the password");
}

static void
on_auth(void *arg, const struct reply *r)
{
	struct str words;

	if (!reply_is_error(r))
		return;
	words = auth_words(arg, r->str);
	link_fail(arg, LINK_FAILED, "AUTH is refused: %.*s", STR_ARG(words));
}

static void
on_select(void *arg, const struct reply *r)
{
	if (reply_is_error(r))
		link_fail(arg, LINK_FAILED, "SELECT is refused: %.150s", r->str.p);
}

static void
on_name(void *arg UNUSED, const struct reply *r UNUSED)
{
}

/* The last word of opening: a server that loads its data, or wants a password, says so here. A
 * missing right to PING is no harm. */
static void
on_ping(void *arg, const struct reply *r)
{
	struct link *l = arg;

	if (r == NULL)
		return;
	if (reply_is_error(r) && !str_starts(r->str, STR("NOPERM")))
		link_fail(l, LINK_FAILED, "%.200s", r->str.p);
	else
		up(l);
}

static void
greet_one(struct link *l, const struct str *words, size_t n, link_reply_f *fn)
{
	struct command c = {.n = 0};

	command_put(&c, words, n);
	put(l, &c, fn, l);
	command_free(&c);
}

static void
greet(struct link *l)
{
	const struct link_opts *o = l->o;
	char database[24];

	if (o->username.n > 0)
		greet_one(
		    l, (const struct str[]){STR("AUTH"), o->username, o->password}, 3, on_auth);
	else if (o->password.n > 0)
		greet_one(l, (const struct str[]){STR("AUTH"), o->password}, 2, on_auth);
	if (o->database > 0) {
		snprintf(database, sizeof(database), "%lld", (long long)o->database);
		greet_one(l, (const struct str[]){STR("SELECT"), str_of(database)}, 2, on_select);
	}
	if (o->name.n > 0)
		greet_one(
		    l, (const struct str[]){STR("CLIENT"), STR("SETNAME"), o->name}, 3, on_name);
	greet_one(l, (const struct str[]){STR("PING")}, 1, on_ping);
}

/* A peer that is gone without a word is noticed by the kernel too. */
static void
watch_over(int fd, uint64_t ms)
{
	int on = 1, idle = 10, every = 5, times = 3;
	unsigned user = (unsigned)MAX(ms, 1000);

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user, sizeof(user));
}

static void
work(struct link *l)
{
	uint64_t serial = l->serial;

	if (l->s.connecting)
		return;
	if (l->s.refused) {
		fail_stream(l);
		return;
	}
	flush(l);
	if (l->state != LINK_CLOSED && l->serial == serial)
		fill(l);
}

static void
on_more(struct defer *d)
{
	work(container_of(d, struct link, more));
}

static void
on_stream(struct stream *s)
{
	work(container_of(s, struct link, s));
}

static int
start_tls(struct link *l, struct str host)
{
	struct tls_how how = {.name = l->o->server_name.n > 0 ? l->o->server_name : host};
	const char *error = "";

	if (tls_connect(&l->s, l->o->tls, &how, on_stream, &error) < 0) {
		snprintf(l->why, sizeof(l->why), "%s", error);
		return -1;
	}
	if (!l->s.refused)
		return 1;
	snprintf(l->why, sizeof(l->why), "%s", tls_error(&l->s));
	stream_close(&l->s);
	return -1;
}

int
link_open(struct link *l, const struct addr *to, struct str host)
{
	BUG_ON(l->state != LINK_CLOSED);
	l->serial++;
	if (stream_tcp_connect(&l->s, l->o->loop, to, on_stream) < 0) {
		snprintf(l->why, sizeof(l->why), "%s", strerror(l->s.err));
		return -1;
	}
	if (to->family != AF_UNIX)
		watch_over(l->s.watch.fd, l->o->command_ms);
	if (l->o->tls != NULL && start_tls(l, host) < 0)
		return -1;
	l->state = LINK_OPENING;
	l->resp = resp_new();
	l->deadline_ms = clock_ms() + l->o->connect_ms;
	greet(l);
	arm(l);
	return 1;
}
