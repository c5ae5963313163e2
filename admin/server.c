/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions of the admin API: reading a request, writing an answer, deadlines. What is answered is
 * decided in api.c.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <unistd.h>

#include "admin/server.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/rnd.h"

static const struct h1_limits admin_limits = {
    .request_line = 8 * 1024,
    .headers = ADMIN_HEAD_MAX,
    .count = 100,
    .merge_slashes = true,
};

static void
session_pending_drop(struct session *s)
{
	if (s->pending_free != NULL)
		s->pending_free(s->pending);
	s->pending = NULL;
	s->pending_free = NULL;
}

/* Freed at the end of the turn, so that no caller up the stack holds a dead session. */
static void
session_free(struct defer *d)
{
	struct session *s = container_of(d, struct session, kick);

	ws_free(&s->ws);
	gbuf_free(&s->in);
	gbuf_free(&s->body);
	gbuf_free(&s->out);
	gbuf_free(&s->extra);
	free(s);
}

static void
session_close(struct session *s)
{
	if (s->state == SESSION_CLOSED)
		return;
	s->state = SESSION_CLOSED;
	timer_stop(&s->timer);
	stream_close(&s->stream);
	list_del(&s->node);
	s->server->n_sessions--;
	s->server->n_others -= s->other;
	s->server->n_bulk -= s->bulk;
	session_pending_drop(s);
	defer_cancel(&s->kick);
	defer_init(&s->kick, session_free);
	loop_defer(s->server->loop, &s->kick);
}

static void
session_deadline(struct session *s, uint64_t ms)
{
	timer_set(loop_timers(s->server->loop), &s->timer, clock_ms() + ms);
}

static void
session_timeout(struct timer *t)
{
	struct session *s = container_of(t, struct session, timer);

	if (s->state == SESSION_WAITING && s->late != NULL)
		session_problem(s, 503, "%s", s->late);
	else if (s->state == SESSION_WAITING)
		session_problem(s, 504, "no answer within %u s; the operation may still complete",
		    ADMIN_WAIT_MS / 1000);
	else
		session_close(s);
}

/* An idle session keeps no memory that a large request or answer took. */
static void
session_shrink(struct gbuf *g)
{
	if (g->cap > ADMIN_BODY_MAX && g->n < ADMIN_HEAD_MAX) {
		struct gbuf keep = {0};

		gbuf_put(&keep, g->p, g->n);
		gbuf_free(g);
		*g = keep;
	}
}

static void
session_begin(struct session *s)
{
	ws_free(&s->ws);
	ws_init(&s->ws, NULL, 256 * 1024);
	head_init(&s->head, &s->ws, true);
	s->scan = (struct h1_scan){0};
	s->body.n = s->out.n = s->extra.n = 0;
	session_shrink(&s->in);
	session_shrink(&s->body);
	session_shrink(&s->out);
	s->server->n_bulk -= s->bulk;
	s->bulk = false;
	s->state = SESSION_IDLE;
	session_deadline(s, ADMIN_IDLE_MS);
}

static void
session_drop_input(struct session *s, size_t n)
{
	memmove(s->in.p, s->in.p + n, s->in.n - n);
	s->in.n -= n;
}

void
session_header(struct session *s, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line))
		return;
	gbuf_put(&s->extra, line, (size_t)n);
	gbuf_put(&s->extra, "\r\n", 2);
}

void
session_answer(struct session *s, unsigned status, const char *content_type, struct str body)
{
	bool head_only = s->head.method == METHOD_HEAD;
	bool bodied = status != 204 && status != 304;

	s->out.n = 0;
	s->out_at = 0;
	gbuf_printf(&s->out, "HTTP/1.1 %u %.*s\r\n", status, STR_ARG(h1_reason_phrase(status)));
	if (bodied)
		gbuf_printf(
		    &s->out, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type, body.n);
	gbuf_put(&s->out, s->extra.p, s->extra.n);
	gbuf_printf(&s->out, "Cache-Control: no-store\r\nConnection: %s\r\n\r\n",
	    s->keepalive ? "keep-alive" : "close");
	if (bodied && !head_only)
		gbuf_put(&s->out, body.p, body.n);
	s->state = SESSION_WRITING;
	session_pending_drop(s);
	session_deadline(s, ADMIN_REQUEST_MS + body.n / 1024);
	loop_defer(s->server->loop, &s->kick);
}

void
session_problem_errors(struct session *s, unsigned status, json_t *errors, const char *detail)
{
	struct str title = h1_reason_phrase(status);
	json_t *j = json_pack("{s:s, s:s%, s:i, s:s}", "type", "about:blank", "title", title.p,
	    title.n, "status", (int)status, "detail", detail);

	if (j == NULL) /* the words are not UTF-8 */
		j = json_pack("{s:s, s:s%, s:i}", "type", "about:blank", "title", title.p, title.n,
		    "status", (int)status);
	if (errors != NULL)
		json_object_set_new(j, "errors", errors);
	char *text = j != NULL ? json_dumps(j, JSON_INDENT(2)) : NULL;

	json_decref(j);
	session_answer(s, status, "application/problem+json", str_of(text != NULL ? text : "{}"));
	free(text);
}

void
session_problem(struct session *s, unsigned status, const char *fmt, ...)
{
	char detail[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	session_problem_errors(s, status, NULL, detail);
}

uint32_t
session_wait(struct session *s, void *pending, void (*pending_free)(void *pending))
{
	if (s->pending != pending)
		session_pending_drop(s);
	s->pending = pending;
	s->pending_free = pending_free;
	s->state = SESSION_WAITING;
	s->late = NULL;
	s->id = ++s->server->next_id;
	session_deadline(s, ADMIN_WAIT_MS);
	return s->id;
}

void
session_hurry(struct session *s, uint64_t ms, const char *words)
{
	s->late = words;
	session_deadline(s, ms);
}

void
server_each_waiting(struct server *v, void (*fn)(void *arg, struct session *s), void *arg)
{
	list_each (it, &v->sessions) {
		struct session *s = container_of(it, struct session, node);

		if (s->state == SESSION_WAITING)
			fn(arg, s);
	}
}

struct session *
session_find(struct server *v, uint32_t id)
{
	list_each (it, &v->sessions) {
		struct session *s = container_of(it, struct session, node);

		if (s->state == SESSION_WAITING && s->id == id)
			return s;
	}
	return NULL;
}

/* A request that cannot be understood ends the connection after its answer. */
static void
session_refuse(struct session *s, enum reason why)
{
	const struct reason_info *i = &reason_table[why];

	s->server->refused++;
	s->keepalive = false;
	s->in.n = 0;
	session_problem(s, i->status != 0 ? i->status : 400, "%s", i->detail);
}

static void
session_serve(struct session *s)
{
	s->server->requests++;
	s->server->on_request(s);
}

static size_t
session_body_max(const struct session *s)
{
	return s->bulk ? ADMIN_BULK_MAX : ADMIN_BODY_MAX;
}

/* 1 the body is whole, 0 more is needed. */
static int
session_take_length(struct session *s)
{
	size_t n = MIN(s->in.n, (size_t)(s->head.length - s->body.n));

	gbuf_put(&s->body, s->in.p, n);
	session_drop_input(s, n);
	return s->body.n == s->head.length;
}

static int
session_take_chunks(struct session *s)
{
	for (;;) {
		struct str part = STR_NONE;
		uint32_t used = 0;
		int got = h1_chunk_next(
		    &s->chunk, (struct str){s->in.p, s->in.n}, &s->head, &part, &used);

		if (got < 0) {
			session_refuse(s, REASON_BAD_CHUNK);
			return -1;
		}
		if (got == 1)
			gbuf_put(&s->body, part.p, part.n);
		session_drop_input(s, used);
		if (s->body.n > session_body_max(s)) {
			session_refuse(s, REASON_TOO_LARGE);
			return -1;
		}
		if (got == 2)
			return 1;
		if (got == 0)
			return 0;
	}
}

static int
session_take_body(struct session *s)
{
	switch (s->head.body) {
	case BODY_LENGTH:
		return session_take_length(s);
	case BODY_CHUNKED:
		return session_take_chunks(s);
	default:
		return 1;
	}
}

static int
session_take_head(struct session *s)
{
	enum reason why = REASON_BAD_REQUEST;
	uint32_t len = 0;
	struct str data = {s->in.p, s->in.n};
	int got = h1_scan(&s->scan, data, true, &admin_limits, &len, &why);

	if (got == 1)
		got = h1_parse_request(str_n(s->in.p, len), &admin_limits, &s->head, &why);
	if (got < 0) {
		session_refuse(s, why);
		return -1;
	}
	if (got == 0)
		return 0;
	session_drop_input(s, len);
	s->keepalive = s->head.keepalive;
	h1_chunk_init(&s->chunk);
	return 1;
}

/* Only a body of more than the usual size takes one of the few places for such. */
static bool
session_admit(struct session *s)
{
	bool large = s->head.body == BODY_CHUNKED ||
		     (s->head.body == BODY_LENGTH && s->head.length > ADMIN_BODY_MAX);

	if (large && s->server->is_bulk(s)) {
		if (s->server->n_bulk >= ADMIN_BULKS) {
			s->keepalive = false;
			session_header(s, "Retry-After: 1");
			session_problem(s, 503,
			    "%d large requests are being taken already; try again", ADMIN_BULKS);
			return false;
		}
		s->bulk = true;
		s->server->n_bulk++;
		session_deadline(s, ADMIN_BULK_MS);
	}
	if (s->head.body == BODY_LENGTH && s->head.length > session_body_max(s)) {
		session_refuse(s, REASON_TOO_LARGE);
		return false;
	}
	return true;
}

static void
session_head_done(struct session *s)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct iovec v = {(void *)(uintptr_t)go_on, sizeof(go_on) - 1};

	if (!session_admit(s))
		return;
	s->state = SESSION_BODY;
	if (s->head.expect_continue)
		(void)stream_write(&s->stream, &v, 1);
}

/* Uses the input there is. True when it got somewhere, false when more octets are needed. */
static bool
session_progress(struct session *s)
{
	switch (s->state) {
	case SESSION_IDLE:
		if (s->in.n == 0)
			return false;
		s->state = SESSION_HEAD;
		session_deadline(s, ADMIN_REQUEST_MS);
		return true;
	case SESSION_HEAD: {
		int got = session_take_head(s);

		if (got == 1)
			session_head_done(s);
		return got != 0;
	}
	case SESSION_BODY: {
		int got = session_take_body(s);

		if (got == 1)
			session_serve(s);
		return got != 0;
	}
	default:
		return false;
	}
}

/* True when octets arrived. The end of input closes: nothing is being answered in the states that
 * read. */
static bool
session_fill(struct session *s)
{
	char tmp[16384];
	ssize_t got;

	if (!s->stream.readable)
		return false;
	got = stream_read(&s->stream, tmp, sizeof(tmp));
	if (got > 0)
		gbuf_put(&s->in, tmp, (size_t)got);
	else if (got != STREAM_AGAIN)
		session_close(s);
	return got > 0;
}

/* True when the answer is out and the connection goes on. */
static bool
session_flush(struct session *s)
{
	while (s->out_at < s->out.n) {
		struct iovec v = {s->out.p + s->out_at, s->out.n - s->out_at};
		ssize_t n = stream_write(&s->stream, &v, 1);

		if (n == STREAM_AGAIN)
			return false;
		if (n < 0) {
			session_close(s);
			return false;
		}
		s->out_at += (size_t)n;
	}
	if (!s->keepalive) {
		session_close(s);
		return false;
	}
	session_begin(s);
	return true;
}

static void
session_drive(struct session *s)
{
	bool more = true;

	while (more && s->state != SESSION_CLOSED && s->state != SESSION_WAITING) {
		if (s->state == SESSION_WRITING)
			more = session_flush(s);
		else
			more = session_progress(s) || session_fill(s);
	}
}

static void
session_event(struct stream *stream)
{
	session_drive(container_of(stream, struct session, stream));
}

static void
session_kicked(struct defer *d)
{
	session_drive(container_of(d, struct session, kick));
}

static void
session_new(struct server *v, int fd, bool metrics_only)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->server = v;
	s->metrics_only = metrics_only;
	timer_init(&s->timer, session_timeout);
	defer_init(&s->kick, session_kicked);
	if (stream_tcp_accept(&s->stream, v->loop, fd, false, session_event) < 0) {
		log_warn("admin: cannot watch a connection: %s", strerror(errno));
		free(s);
		return;
	}
	list_push(&v->sessions, &s->node);
	v->n_sessions++;
	session_begin(s);
	v->on_accept(s, fd);
	s->other = s->role < ROLE_ADMIN;
	v->n_others += s->other;
	if (v->n_others <= ADMIN_OTHERS) {
		loop_defer(v->loop, &s->kick);
		return;
	}
	v->refused++;
	session_close(s);
}

static void
server_accept(struct server *v, unsigned which)
{
	struct watch *w = &v->listeners[which].watch;

	for (unsigned i = 0; i < 16; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			break;
		if (v->n_sessions < ADMIN_SESSIONS) {
			session_new(v, fd, which == SERVER_METRICS);
		} else {
			v->refused++;
			close(fd);
		}
	}
}

static void
accept_unix(struct watch *w, uint32_t events UNUSED)
{
	server_accept(container_of(w, struct server_listener, watch)->server, SERVER_UNIX);
}

static void
accept_metrics(struct watch *w, uint32_t events UNUSED)
{
	server_accept(container_of(w, struct server_listener, watch)->server, SERVER_METRICS);
}

void
server_init(struct server *v, struct loop *loop, server_request_f *on_request,
    server_accept_f *on_accept, server_bulk_f *is_bulk)
{
	/* Ids begin anywhere: the lines outlive us, and an answer meant for a predecessor must not
	 * meet a session of ours. */
	*v = (struct server){.loop = loop,
	    .next_id = (uint32_t)rnd_u64(),
	    .on_request = on_request,
	    .on_accept = on_accept,
	    .is_bulk = is_bulk};
	list_init(&v->sessions);
	for (unsigned i = 0; i < ARRAY_LEN(v->listeners); i++) {
		v->listeners[i].server = v;
		v->listeners[i].watch.fd = -1;
		v->listeners[i].watch.fn = i == SERVER_UNIX ? accept_unix : accept_metrics;
	}
}

int
server_listen(struct server *v, enum server_which which, int fd)
{
	return loop_add(v->loop, &v->listeners[which].watch, fd, EPOLLIN);
}
