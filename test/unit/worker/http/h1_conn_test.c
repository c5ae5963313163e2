/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 exchanges over real sockets: what comes out at the other end is what went in, however
 * the octets are cut and however little the socket takes at a time.
 */
#include <sys/socket.h>

#include "shm/base/rnd.h"
#include "test/unit/harness.h"
#include "worker/http/h1_conn.h"

struct side {
	struct h1_conn h1;
	struct ws ws;
	struct head rx, tx;
	unsigned events, begins, aheads;
};

struct fixture {
	struct loop *loop;
	struct buf_pool bufs;
	struct side s;
	int peer;
};

static enum h1_begin
on_begin(struct h1_conn *h)
{
	struct side *s = container_of(h, struct side, h1);

	s->begins++;
	head_init(&s->rx, &s->ws, true);
	h->x.rx = &s->rx;
	return H1_BEGIN;
}

static void
on_event(struct xchg *x)
{
	struct side *s = x->owner;

	s->events++;
}

/* Octets are here, and the owner has not been told. */
static void
on_ahead(const struct xchg *x)
{
	struct side *s = x->owner;

	assert_int_equal(s->events, 0);
	assert_true(h1_conn_pending(&s->h1));
	s->aheads++;
}

static void
open_side(struct fixture *f, bool server)
{
	int fds[2], small = 4096;

	f->loop = loop_new();
	buf_pool_init(&f->bufs, 2048, 8);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	f->peer = fds[1];
	ws_init(&f->s.ws, NULL, 0);
	assert_int_equal(
	    stream_tcp_accept(&f->s.h1.stream, f->loop, fds[0], false, h1_conn_event), 1);
	h1_conn_start(&f->s.h1, server, &f->bufs);
	f->s.h1.limits = (struct h1_limits){.request_line = 4096, .headers = 8192, .count = 50};
	f->s.h1.on_begin = on_begin;
	f->s.h1.x.owner = &f->s;
	f->s.h1.x.on_event = on_event;
}

static void
close_side(struct fixture *f)
{
	h1_conn_close(&f->s.h1, false);
	assert_int_equal(f->bufs.n_out, 0);
	close(f->peer);
	ws_free(&f->s.ws);
	buf_pool_fini(&f->bufs);
	loop_free(&f->loop);
}

static int
setup_server(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	open_side(f, true);
	*state = f;
	return 0;
}

static int
setup_client(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	open_side(f, false);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	close_side(*state);
	free(*state);
	return 0;
}

static void
say(struct fixture *f, const char *p, size_t n)
{
	assert_int_equal(send(f->peer, p, n, 0), (ssize_t)n);
	loop_turn(f->loop, 0);
}
#define SAY(f, text) say(f, text, sizeof(text) - 1)

/* Everything that can be peeked now. */
static size_t
drink(struct xchg *x, char *out, size_t cap)
{
	struct iovec v[XCHG_PARTS];
	size_t got = 0;
	int n;

	while ((n = x->ops->peek(x, v)) > 0) {
		size_t size = 0;

		for (int i = 0; i < n; i++) {
			assert_true(got + size + v[i].iov_len <= cap);
			memcpy(out + got + size, v[i].iov_base, v[i].iov_len);
			size += v[i].iov_len;
		}
		x->ops->consume(x, size);
		got += size;
	}
	return got;
}

static void
hear(struct fixture *f, char *out, size_t cap)
{
	ssize_t n = recv(f->peer, out, cap - 1, 0);

	out[n > 0 ? n : 0] = '\0';
}

/* --- receiving
 * ------------------------------------------------------------------------------------ */

static void
a_head_in_pieces(void **state)
{
	static const char text[] = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;

	for (size_t i = 0; i + 1 < sizeof(text); i++) {
		assert_false(x->rx_head);
		say(f, text + i, 1);
	}
	assert_true(x->rx_head && x->rx_end && x->keepalive);
	assert_int_equal(f->s.begins, 1);
	assert_int_equal(f->s.events, 1);
	assert_int_equal(x->rx_bytes, sizeof(text) - 1);
	assert_int_equal(f->bufs.n_out, 0); /* nothing is held for a request that is all read */
}

static void
a_chunked_body_in_pieces(void **state)
{
	static const char text[] =
	    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabc\r\nA;x=y\r\n0123456789\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n";
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	char out[64];
	size_t n = 0;

	for (size_t i = 0; i + 1 < sizeof(text); i++) {
		say(f, text + i, 1);
		if (x->rx_head)
			n += drink(x, out + n, sizeof(out) - n);
	}
	assert_true(x->rx_end);
	assert_int_equal(n, 14);
	assert_memory_equal(out, "abc0123456789!", 14);
	assert_int_equal(f->s.rx.n_trailers, 1);
	assert_int_equal(x->rx_bytes, sizeof(text) - 1);
}

/* Nothing is read from the socket while nobody peeks. */
static void
the_owner_pulls(void **state)
{
	static char body[40000];
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	static char out[40000];
	size_t sent = 0, got = 0;
	ssize_t n;

	SAY(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n");
	while ((n = send(f->peer, body, sizeof(body) - sent, MSG_DONTWAIT)) > 0) {
		sent += (size_t)n;
		loop_turn(f->loop, 0);
		assert_true(buf_len(&f->s.h1.rx) <= f->bufs.size);
	}
	while (got < sizeof(out)) {
		size_t k = drink(x, out + got, sizeof(out) - got);

		got += k;
		n = send(f->peer, body, sizeof(body) - sent, MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		loop_turn(f->loop, 0);
		assert_true(k || n > 0 || x->rx_end);
	}
	assert_true(x->rx_end);
}

static void
a_pipeline_is_served_in_turn(void **state)
{
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	struct xchg_send how = {.keepalive = true};
	char text[512];

	SAY(f, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3");
	for (unsigned i = 1; i <= 2; i++) {
		assert_true(x->rx_head);
		assert_int_equal(f->s.rx.path.p[1], '0' + (int)i);
		head_init(&f->s.tx, &f->s.ws, false);
		f->s.tx.status = 204;
		assert_int_equal(x->ops->send_head(x, &f->s.tx, &how), 1);
		assert_int_equal(x->ops->send_body(x, NULL, 0, true), 0);
		assert_true(x->tx_end);
		hear(f, text, sizeof(text));
		assert_non_null(strstr(text, "204"));
		assert_int_equal(x->ops->finish(x), 1);
		loop_turn(f->loop, 0);
	}
	assert_false(x->rx_head);
	assert_true(x->rx_any);
	SAY(f, " HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_true(x->rx_head);
	assert_int_equal(f->s.begins, 3);
}

static void
an_end_within_a_message(void **state)
{
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	struct iovec v[XCHG_PARTS];

	SAY(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	loop_turn(f->loop, 0);
	assert_int_equal(x->ops->peek(x, v), 1);
	x->ops->consume(x, 3);
	assert_int_equal(x->ops->peek(x, v), -1);
	assert_true(x->gone);
	assert_int_equal(x->why, REASON_CLIENT_GONE);
}

/* A whole request, then the end: legal, the answer can still be sent. */
static void
an_end_after_a_message(void **state)
{
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	struct xchg_send how = {.keepalive = true};
	char text[256];

	SAY(f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	loop_turn(f->loop, 0);
	assert_true(x->rx_eof && !x->gone);
	head_init(&f->s.tx, &f->s.ws, false);
	f->s.tx.status = 204;
	assert_int_equal(x->ops->send_head(x, &f->s.tx, &how), 1);
	assert_int_equal(x->ops->send_body(x, NULL, 0, true), 0);
	hear(f, text, sizeof(text));
	assert_non_null(strstr(text, "HTTP/1.1 204"));
}

/* Two requests and the end in one go: it is known at once, though it has not been read, and holds
 * for the second one too. */
static void
an_end_behind_a_pipeline_is_announced(void **state)
{
	static const char two[] =
	    "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n";
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	struct xchg_send how = {.keepalive = true};

	assert_int_equal(send(f->peer, two, sizeof(two) - 1, 0), (ssize_t)sizeof(two) - 1);
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	loop_turn(f->loop, 0);
	assert_true(x->rx_head && x->rx_eof && !x->gone);
	head_init(&f->s.tx, &f->s.ws, false);
	f->s.tx.status = 204;
	assert_int_equal(x->ops->send_head(x, &f->s.tx, &how), 1);
	assert_int_equal(x->ops->send_body(x, NULL, 0, true), 0);
	assert_int_equal(x->ops->finish(x), 1);
	assert_true(x->rx_eof);
	loop_turn(f->loop, 0);
	assert_true(x->rx_head && x->rx_eof && !x->gone);
}

/* Nobody reads, for the upstream takes nothing; the event alone tells that the client is gone. */
static void
a_break_is_noticed_without_reading(void **state)
{
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;

	SAY(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
	assert_true(x->rx_head && !x->gone);
	close(f->peer);
	loop_turn(f->loop, 0);
	assert_true(x->gone);
	assert_int_equal(x->why, REASON_CLIENT_GONE);
	f->peer = dup(STDIN_FILENO);
}

/* --- a client's side
 * ------------------------------------------------------------------------------ */

static void
begin_get(struct fixture *f, enum http_method m)
{
	struct xchg *x = &f->s.h1.x;
	struct xchg_send how = {.target = STR("/t?q"), .keepalive = true};

	head_init(&f->s.rx, &f->s.ws, false);
	head_init(&f->s.tx, &f->s.ws, true);
	f->s.tx.method = m;
	f->s.tx.method_text = method_name(m);
	h1_conn_begin(&f->s.h1, &f->s.rx);
	assert_int_equal(x->ops->send_head(x, &f->s.tx, &how), 1);
	assert_int_equal(x->ops->send_body(x, NULL, 0, true), 0);
	assert_true(x->tx_end);
}

static void
interim_responses_are_swallowed(void **state)
{
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	char text[256], out[8];

	begin_get(f, METHOD_GET);
	hear(f, text, sizeof(text));
	assert_string_equal(text, "GET /t?q HTTP/1.1\r\n\r\n");
	SAY(f, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
	assert_false(x->rx_head);
	assert_true(x->rx_any);
	SAY(f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_true(x->rx_head);
	assert_int_equal(f->s.rx.status, 200);
	assert_int_equal(drink(x, out, sizeof(out)), 2);
	assert_int_equal(x->ops->finish(x), 1);
}

static void
who_waits_is_told_ahead(void **state)
{
	struct fixture *f = *state;

	head_init(&f->s.rx, &f->s.ws, false);
	h1_conn_begin(&f->s.h1, &f->s.rx);
	f->s.h1.x.on_ahead = on_ahead;
	SAY(f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_int_equal(f->s.aheads, 1);
	assert_true(f->s.events > 0 && f->s.h1.x.rx_head);
	h1_rx_reset(&f->s.h1);
	assert_null(f->s.h1.x.on_ahead); /* the next exchange says so anew */
}

static void
a_switch_of_protocols_is_refused(void **state)
{
	struct fixture *f = *state;

	begin_get(f, METHOD_GET);
	SAY(f, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
	assert_int_equal(f->s.h1.x.why, REASON_BAD_UPSTREAM);
	assert_false(f->s.h1.x.rx_head);
}

static void
an_answer_to_head_has_no_body(void **state)
{
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;

	begin_get(f, METHOD_HEAD);
	SAY(f, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	assert_true(x->rx_head && x->rx_end);
	assert_int_equal(x->ops->finish(x), 1);
}

/* Octets behind the answer belong to nobody: that connection serves no other request. */
static void
what_follows_an_answer_spoils_the_connection(void **state)
{
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	char out[8];

	begin_get(f, METHOD_GET);
	SAY(f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n");
	assert_int_equal(drink(x, out, sizeof(out)), 2);
	assert_int_equal(x->ops->finish(x), 0);
}

static void
a_body_until_the_end(void **state)
{
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	char out[16];

	begin_get(f, METHOD_GET);
	SAY(f, "HTTP/1.1 200 OK\r\n\r\nall of it");
	assert_int_equal(drink(x, out, sizeof(out)), 9);
	assert_false(x->rx_end);
	shutdown(f->peer, SHUT_WR);
	loop_turn(f->loop, 0);
	assert_int_equal(drink(x, out, sizeof(out)), 0);
	assert_true(x->rx_end);
	assert_int_equal(x->ops->finish(x), 0);
}

/* The peer closed while we wrote, but had answered before: the answer counts. */
static void
an_answer_survives_a_broken_pipe(void **state)
{
	static char much[1 << 20];
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	struct xchg_send how = {.target = STR("/"), .keepalive = true};
	struct iovec v = {much, sizeof(much)};
	static const char answer[] = "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n";

	head_init(&f->s.rx, &f->s.ws, false);
	head_init(&f->s.tx, &f->s.ws, true);
	f->s.tx.method = METHOD_POST;
	f->s.tx.method_text = STR("POST");
	f->s.tx.body = BODY_LENGTH;
	f->s.tx.length = sizeof(much);
	h1_conn_begin(&f->s.h1, &f->s.rx);
	assert_int_equal(x->ops->send_head(x, &f->s.tx, &how), 1);
	assert_int_equal(send(f->peer, answer, sizeof(answer) - 1, 0), (ssize_t)sizeof(answer) - 1);
	close(f->peer);
	assert_int_equal(x->ops->send_body(x, &v, 1, true), -1);
	loop_turn(f->loop, 0);
	assert_true(x->tx_dead && x->rx_head);
	assert_int_equal(f->s.rx.status, 413);
	f->peer = dup(0);
}

/* --- sending: whatever the socket takes
 * ------------------------------------------------------------ */

#define PAYLOAD 200000

struct heard {
	char *p;
	size_t n;
};

static void
listen_on(struct fixture *f, struct heard *h, size_t most)
{
	ssize_t n = recv(f->peer, h->p + h->n, MIN(most, (size_t)4 * PAYLOAD - h->n), MSG_DONTWAIT);

	h->n += n > 0 ? (size_t)n : 0;
	loop_turn(f->loop, 0);
}

/* Sends PAYLOAD octets in random pieces, more of them on offer each time, to a reader that takes
 * random amounts. */
static void
send_at_random(struct fixture *f, const char *payload, struct heard *h)
{
	struct xchg *x = &f->s.h1.x;
	size_t offered = 0, taken = 0;

	while (!x->tx_end) {
		struct iovec v[XCHG_PARTS];
		size_t at = taken, more = rnd_below(3000);
		int n = 0;
		ssize_t took;

		offered = MIN(offered + more, (size_t)PAYLOAD);
		while (n < XCHG_PARTS && at < offered) {
			size_t len = 1 + rnd_below(900);

			len = MIN(len, offered - at);
			v[n++] = (struct iovec){(char *)(uintptr_t)payload + at, len};
			at += len;
		}
		took = x->ops->send_body(x, v, n, at == PAYLOAD);
		assert_true(took >= 0 && (size_t)took <= at - taken);
		taken += (size_t)took;
		if (rnd_below(3) == 0)
			listen_on(f, h, 1 + rnd_below(5000));
	}
	assert_int_equal(taken, PAYLOAD);
	for (unsigned i = 0; i < 200; i++)
		listen_on(f, h, 65536);
}

static void
check_heard(struct heard *h, const char *payload, bool chunked, bool trailers)
{
	char *body = memmem(h->p, h->n, "\r\n\r\n", 4);
	struct h1_chunk c;
	struct head head;
	struct ws ws;
	size_t got = 0, at;

	assert_non_null(body);
	at = (size_t)(body + 4 - h->p);
	if (!chunked) {
		assert_int_equal(h->n - at, PAYLOAD);
		assert_memory_equal(h->p + at, payload, PAYLOAD);
		return;
	}
	ws_init(&ws, NULL, 0);
	head_init(&head, &ws, false);
	h1_chunk_init(&c);
	for (;;) {
		struct str part;
		uint32_t used;
		int rc = h1_chunk_next(&c, str_n(h->p + at, h->n - at), &head, &part, &used);

		assert_true(rc > 0);
		at += used;
		if (rc == 2)
			break;
		assert_memory_equal(part.p, payload + got, part.n);
		got += part.n;
	}
	assert_int_equal(got, PAYLOAD);
	assert_int_equal(at, h->n);
	assert_int_equal(head.n_trailers, trailers);
	ws_free(&ws);
}

static void
round_trip(struct fixture *f, enum body_kind kind, bool trailers)
{
	struct xchg *x = &f->s.h1.x;
	struct xchg_send how = {.keepalive = true};
	char *payload = malloc(PAYLOAD);
	struct heard h = {.p = malloc((size_t)4 * PAYLOAD)};
	struct hdr trailer = {.name = STR("X-T"), .value = STR("1")};

	for (size_t i = 0; i < PAYLOAD; i++)
		payload[i] = (char)rnd_u64();
	SAY(f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	head_init(&f->s.tx, &f->s.ws, false);
	f->s.tx.status = 200;
	f->s.tx.body = kind;
	f->s.tx.length = PAYLOAD;
	f->s.tx.has_length = kind == BODY_LENGTH;
	if (trailers) {
		f->s.tx.trailers = &trailer;
		f->s.tx.n_trailers = 1;
	}
	assert_int_equal(x->ops->send_head(x, &f->s.tx, &how), 1);
	send_at_random(f, payload, &h);
	assert_int_equal(x->tx_bytes, h.n);
	check_heard(&h, payload, kind != BODY_LENGTH, trailers);
	free(payload);
	free(h.p);
}

static void
a_counted_body_arrives_whole(void **state)
{
	round_trip(*state, BODY_LENGTH, false);
}

static void
a_chunked_body_arrives_whole(void **state)
{
	round_trip(*state, BODY_CHUNKED, false);
}

/* more may come behind what a chunk was begun with; it goes as soon as that is out, for a
 * socket that has room says nothing more. */
static void
what_came_behind_an_open_chunk_goes_too(void **state)
{
	static char body[24000], text[65536];
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	struct xchg_send how = {.keepalive = true};
	struct iovec v[2];
	size_t left = sizeof(body) - 100;
	ssize_t took;

	SAY(f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	head_init(&f->s.tx, &f->s.ws, false);
	f->s.tx.status = 200;
	f->s.tx.body = BODY_CHUNKED;
	assert_int_equal(x->ops->send_head(x, &f->s.tx, &how), 1);
	v[0] = (struct iovec){body, left};
	took = x->ops->send_body(x, v, 1, false);
	assert_in_range(took, 1, left - 1);
	left -= (size_t)took;
	for (;;) { /* until what is left of it fits */
		hear(f, text, sizeof(text));
		loop_turn(f->loop, 0);
		if (left < 2000)
			break;
		v[0] = (struct iovec){body, left > 3000 ? 1500 : left - 1000};
		took = x->ops->send_body(x, v, 1, false);
		assert_true(took > 0);
		left -= (size_t)took;
	}
	v[0] = (struct iovec){body, left};
	v[1] = (struct iovec){body, 100};
	assert_int_equal(x->ops->send_body(x, v, 2, false), left + 100);
	hear(f, text, sizeof(text));
	assert_non_null(memmem(text, sizeof(text), "\r\n64\r\n", 6));
}

/* A body that ended with its connection is chunked for a client that knows chunks; trailers go with
 * it. */
static void
an_unbounded_body_is_chunked(void **state)
{
	struct fixture *f = *state;

	round_trip(f, BODY_EOF, true);
	assert_true(f->s.h1.x.keepalive);
}

static void
an_old_client_gets_no_chunks(void **state)
{
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	struct xchg_send how = {.keepalive = true};
	char body[] = "body";
	struct iovec v = {body, 4};
	char text[512];

	SAY(f, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	head_init(&f->s.tx, &f->s.ws, false);
	f->s.tx.status = 200;
	f->s.tx.body = BODY_CHUNKED;
	assert_int_equal(x->ops->send_head(x, &f->s.tx, &how), 1);
	assert_int_equal(x->ops->send_body(x, &v, 1, true), 4);
	assert_true(x->tx_end);
	assert_false(x->keepalive);
	hear(f, text, sizeof(text));
	assert_non_null(strstr(text, "\r\n\r\nbody"));
	assert_null(strstr(text, "chunked"));
	assert_int_equal(x->ops->finish(x), 0);
}

static void
continue_comes_before_the_answer(void **state)
{
	struct fixture *f = *state;
	struct xchg *x = &f->s.h1.x;
	struct xchg_send how = {.keepalive = true};
	char text[512];

	SAY(f, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_true(f->s.rx.expect_continue);
	assert_int_equal(x->ops->send_interim(x, 100), 1);
	hear(f, text, sizeof(text));
	assert_string_equal(text, "HTTP/1.1 100 Continue\r\n\r\n");
	SAY(f, "ok");
	assert_int_equal(drink(x, text, sizeof(text)), 2);
	head_init(&f->s.tx, &f->s.ws, false);
	f->s.tx.status = 204;
	assert_int_equal(x->ops->send_head(x, &f->s.tx, &how), 1);
	assert_int_equal(x->ops->send_body(x, NULL, 0, true), 0);
	assert_true(x->tx_end);
}

/* A few are passed over; whoever sends nothing else is told so, and not read for ever. */
static void
empty_lines_have_an_end(void **state)
{
	struct fixture *f = *state;

	SAY(f, "\r\n\r\n");
	assert_int_equal(f->s.begins, 0);
	SAY(f, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_true(f->s.h1.x.rx_head);
	f->s.h1.x.keepalive = f->s.h1.x.tx_end = true;
	assert_int_equal(f->s.h1.x.ops->finish(&f->s.h1.x), 1);
	for (unsigned i = 0; i < 20; i++)
		SAY(f, "\r\n\r\n");
	assert_int_equal(f->s.begins, 2);
	assert_int_equal(f->s.h1.x.why, REASON_BAD_REQUEST);
}

#define SERVER(f) TEST_WITH(f, setup_server, teardown)
#define CLIENT(f) TEST_WITH(f, setup_client, teardown)
static const struct CMUnitTest tests[] = {
    SERVER(a_head_in_pieces),
    SERVER(a_chunked_body_in_pieces),
    SERVER(empty_lines_have_an_end),
    SERVER(the_owner_pulls),
    SERVER(a_pipeline_is_served_in_turn),
    SERVER(an_end_within_a_message),
    SERVER(an_end_after_a_message),
    SERVER(an_end_behind_a_pipeline_is_announced),
    SERVER(a_break_is_noticed_without_reading),
    CLIENT(interim_responses_are_swallowed),
    CLIENT(who_waits_is_told_ahead),
    CLIENT(a_switch_of_protocols_is_refused),
    CLIENT(an_answer_to_head_has_no_body),
    CLIENT(what_follows_an_answer_spoils_the_connection),
    CLIENT(a_body_until_the_end),
    CLIENT(an_answer_survives_a_broken_pipe),
    SERVER(a_counted_body_arrives_whole),
    SERVER(a_chunked_body_arrives_whole),
    SERVER(what_came_behind_an_open_chunk_goes_too),
    SERVER(an_unbounded_body_is_chunked),
    SERVER(an_old_client_gets_no_chunks),
    SERVER(continue_comes_before_the_answer),
};
RUN_TESTS(tests)
