/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 exchanges between two connections of ours over a socket pair with small buffers: what
 * comes out at the other end is what went in, windows are given back, and who makes work for
 * nothing is sent away..
 */
#include <sys/socket.h>

#include "test/unit/harness.h"
#include "worker/http/h2.h"

#define SIDES 256

/* One exchange at one side. */
struct side {
	struct h2_stream *s;
	struct ws ws;
	struct head rx, tx;
	unsigned events;
	size_t got;     /* payload consumed */
	uint32_t sum;   /* of it */
	bool lazy;      /* consumes nothing */
	size_t to_send; /* payload still to go */
	size_t sent;
	bool echo_end; /* server: answers when the request is whole */
};

struct fixture {
	struct loop *loop;
	struct buf_pool bufs;
	struct h2_pool *pool;
	struct stream a, b; /* client's, server's */
	struct h2_conn client, server;
	struct side in[SIDES], out[SIDES]; /* server's, client's */
	unsigned n_in, n_out;
	bool refuse, keep;
	unsigned conn_events;
};

static struct fixture *fx;
static char block[8192];

static uint32_t
sum_of(size_t from, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = from; i < from + n; i++)
		sum = sum * 31 + (uint8_t)block[i % sizeof(block)];
	return sum;
}

static void
take(struct side *d)
{
	struct iovec v[XCHG_PARTS];
	int n;

	while (!d->lazy && (n = d->s->x.ops->peek(&d->s->x, v)) > 0) {
		size_t all = 0;

		for (int i = 0; i < n; i++) {
			const uint8_t *p = v[i].iov_base;

			for (size_t k = 0; k < v[i].iov_len; k++)
				d->sum = d->sum * 31 + p[k];
			all += v[i].iov_len;
		}
		d->got += all;
		d->s->x.ops->consume(&d->s->x, all);
	}
}

static void
give(struct side *d)
{
	while (d->s->x.tx_head && !d->s->x.tx_end) {
		size_t at = d->sent % sizeof(block), n = MIN(d->to_send, sizeof(block) - at);
		struct iovec v = {block + at, n};
		ssize_t took = d->s->x.ops->send_body(&d->s->x, &v, n > 0, n == d->to_send);

		if (took < 0)
			return;
		d->sent += (size_t)took;
		d->to_send -= (size_t)took;
		if (took == 0)
			return;
	}
}

static void
respond(struct side *d, unsigned status, size_t body)
{
	struct xchg_send how = {.keepalive = true};

	head_init(&d->tx, &d->ws, false);
	d->tx.status = (uint16_t)status;
	d->tx.body = body > 0 ? BODY_CHUNKED : BODY_NONE;
	assert_true(head_add(&d->tx, STR("X-Answer"), STR("yes")));
	d->to_send = body;
	assert_int_equal(d->s->x.ops->send_head(&d->s->x, &d->tx, &how), 1);
	give(d);
}

static void
on_event(struct xchg *x)
{
	struct side *d = x->owner;

	d->events++;
	take(d);
	if (d->echo_end && x->rx_end && d->s->rx_held == 0 && !x->tx_head)
		respond(d, 200, d->got);
	give(d);
}

static bool
on_begin(struct h2_conn *c, struct h2_stream *s)
{
	struct side *d = &fx->in[fx->n_in % SIDES];

	(void)c;
	if (fx->refuse)
		return false;
	fx->n_in++;
	*d = (struct side){.s = s, .echo_end = !fx->keep};
	ws_init(&d->ws, NULL, 0);
	head_init(&d->rx, &d->ws, true);
	s->x.rx = &d->rx;
	s->x.owner = d;
	s->x.on_event = on_event;
	return true;
}

static void
on_conn(struct h2_conn *c)
{
	(void)c;
	fx->conn_events++;
}

static struct side *
ask_with(const char *method, const char *path, size_t body, bool send)
{
	struct side *d = &fx->out[fx->n_out++ % SIDES];
	struct xchg_send how = {.keepalive = true, .target = str_of(path)};

	*d = (struct side){.s = NULL};
	ws_init(&d->ws, NULL, 0);
	head_init(&d->rx, &d->ws, false);
	head_init(&d->tx, &d->ws, true);
	d->tx.method_text = str_of(method);
	d->tx.method = method_of(d->tx.method_text);
	d->tx.body = body > 0 ? BODY_CHUNKED : BODY_NONE;
	assert_true(head_add(&d->tx, STR("Host"), STR("example.com")));
	d->s = h2_begin(&fx->client, &d->rx);
	assert_non_null(d->s);
	d->s->x.owner = d;
	d->s->x.on_event = on_event;
	d->to_send = body;
	assert_int_equal(d->s->x.ops->send_head(&d->s->x, &d->tx, &how), 1);
	if (send)
		give(d);
	return d;
}

static struct side *
ask(const char *method, const char *path, size_t body)
{
	return ask_with(method, path, body, true);
}

static void
turns(unsigned n)
{
	while (n-- > 0)
		loop_turn(fx->loop, 0);
}

static void
until_answered(const struct side *d)
{
	for (unsigned i = 0; i < 20000 && !(d->s->x.rx_end && d->s->rx_held == 0) && !d->s->x.gone;
	     i++)
		loop_turn(fx->loop, 0);
}

static void
on_client(struct stream *s)
{
	(void)s;
	h2_conn_event(&fx->client);
}

static void
on_server(struct stream *s)
{
	(void)s;
	h2_conn_event(&fx->server);
}

static int
setup(void **state)
{
	struct h2_limits l = {.headers = 16384,
	    .count = 50,
	    .streams = 100,
	    .window = 65536,
	    .conn_window = 1 << 20,
	    .connect = true};
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2], small = 8192;

	fx = f;
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 7 + i / 251);
	f->loop = loop_new();
	buf_pool_init(&f->bufs, 16384, 8);
	f->pool = h2_pool_new(f->loop, &f->bufs);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(stream_tcp_accept(&f->a, f->loop, fds[0], false, on_client), 1);
	assert_int_equal(stream_tcp_accept(&f->b, f->loop, fds[1], false, on_server), 1);
	f->client.stream = &f->a;
	f->server.stream = &f->b;
	f->server.on_begin = on_begin;
	f->server.on_conn = f->client.on_conn = on_conn;
	assert_int_equal(h2_conn_start(&f->server, true, f->pool, &l, STR_NONE), 1);
	assert_int_equal(h2_conn_start(&f->client, false, f->pool, &l, STR_NONE), 1);
	turns(4);
	*state = f;
	return 0;
}

static void
end_all(struct side *v, unsigned n)
{
	for (unsigned i = 0; i < MIN(n, (unsigned)SIDES); i++) {
		if (v[i].s)
			h2_end(&v[i].s);
		ws_free(&v[i].ws);
	}
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	end_all(f->in, f->n_in);
	end_all(f->out, f->n_out);
	h2_conn_free(&f->client);
	h2_conn_free(&f->server);
	stream_close(&f->a);
	stream_close(&f->b);
	assert_int_equal(f->bufs.n_out, 0);
	h2_pool_free(&f->pool);
	buf_pool_fini(&f->bufs);
	loop_free(&f->loop);
	free(f);
	return 0;
}

static void
a_request_is_answered(void **state)
{
	struct side *d = ask("GET", "/a/./b?x=1", 0);

	(void)state;
	until_answered(d);
	assert_true(d->s->x.rx_head);
	assert_int_equal(d->rx.status, 200);
	assert_true(str_eq(head_find(&d->rx, STR("x-answer"))->value, STR("yes")));
	assert_true(str_eq(fx->in[0].rx.path, STR("/a/b")));
	assert_true(str_eq(fx->in[0].rx.query, STR("x=1")));
	assert_true(str_eq(fx->in[0].rx.host, STR("example.com")));
	assert_int_equal(fx->in[0].rx.minor, 2);
	assert_true(fx->in[0].s->x.tx_end);
}

/* a megabyte each way through windows of 64 KiB. */
static void
payload_is_what_was_sent(void **state)
{
	struct side *d = ask("POST", "/up", 1 << 20);

	(void)state;
	until_answered(d);
	assert_int_equal(fx->in[0].got, 1 << 20);
	assert_int_equal(d->got, 1 << 20);
	assert_int_equal(fx->in[0].sum, sum_of(0, 1 << 20));
	assert_int_equal(d->sum, sum_of(0, 1 << 20));
}

/* RFC 7541 7.1.3, a literal that is never to be indexed stays one; and what never comes
 * again is none of the peer's table, but the first. */
static void
literals_stay_literals(void **state)
{
	struct side *d;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const struct head *rx = &fx->in[i].rx;

		d = ask_with("GET", "/", 0, false);
		assert_true(head_add(&d->tx, STR("x-key"), STR("hush")));
		d->tx.h[d->tx.n - 1].literal = true;
		assert_true(head_add(&d->tx, STR("X-Other"), STR("told")));
		assert_true(head_add(&d->tx, STR("X-Request-Id"), str_of(i > 0 ? "two" : "one")));
		give(d);
		until_answered(d);
		assert_true(head_find(rx, STR("x-key"))->literal);
		assert_true(str_eq(head_find(rx, STR("x-key"))->value, STR("hush")));
		assert_false(head_find(rx, STR("x-other"))->literal);
		assert_int_equal(head_get(rx, HDR_X_REQUEST_ID)->literal, i > 0);
	}
}

/* The head is packed before its sender has it back, however much waits for the socket. */
static void
heads_are_not_needed_later(void **state)
{
	static char name[] = "x-lent", value[] = "what it was";
	struct side *slow = ask("POST", "/slow", 1 << 20), *d;

	(void)state;
	d = ask_with("GET", "/", 0, false);
	assert_true(head_add(&d->tx, str_of(name), str_of(value)));
	give(d);
	if (d->s->submitted)
		memset(value, '!', sizeof(value) - 1);
	until_answered(d);
	until_answered(slow);
	assert_true(str_eq(head_find(&fx->in[1].rx, STR("x-lent"))->value, STR("what it was")));
	assert_false(fx->client.lent);
}

static void
many_at_a_time(void **state)
{
	struct side *v[100];

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		v[i] = ask("POST", "/many", 1000 + i * 10);
	assert_int_equal(h2_room(&fx->client), 0);
	assert_null(h2_begin(&fx->client, NULL));
	for (unsigned i = 0; i < 100; i++) {
		until_answered(v[i]);
		assert_int_equal(v[i]->got, 1000 + i * 10);
		assert_int_equal(v[i]->sum, sum_of(0, 1000 + i * 10));
	}
}

/* A slow reader stops its own stream, at its window, and no other. */
static void
a_slow_reader_stops_the_writer(void **state)
{
	struct side *slow = ask("POST", "/slow", 1 << 20), *quick;

	(void)state;
	turns(2);
	assert_int_equal(fx->n_in, 1);
	fx->in[0].lazy = true;
	turns(200);
	assert_in_range(slow->sent, 1, 65536);
	quick = ask("POST", "/quick", 100000);
	until_answered(quick);
	assert_int_equal(quick->got, 100000);
	assert_in_range(slow->sent, 1, 65536);
	fx->in[0].lazy = false;
	on_event(&fx->in[0].s->x);
	until_answered(slow);
	assert_int_equal(slow->got, 1 << 20);
}

/* Nobody is told of room where there is none: a stalled window must not turn the loop. */
static void
a_stalled_window_is_quiet(void **state)
{
	struct side *slow = ask("POST", "/slow", 1 << 20);
	unsigned events;

	(void)state;
	turns(2);
	fx->in[0].lazy = true;
	turns(100);
	events = slow->events;
	turns(100);
	assert_int_equal(slow->events, events);
	fx->in[0].lazy = false;
	on_event(&fx->in[0].s->x);
	until_answered(slow);
	assert_int_equal(slow->got, 1 << 20);
}

/* A message without a body stays one, wherever its END_STREAM is: HTTP/1.1 has no chunks there. */
static void
no_body_behind_204(void **state)
{
	struct xchg_send how = {.keepalive = true};
	struct side *d, *in;

	(void)state;
	fx->keep = true;
	d = ask("GET", "/empty", 0);
	turns(6);
	in = &fx->in[0];
	head_init(&in->tx, &in->ws, false);
	in->tx.status = 204;
	in->tx.body = BODY_CHUNKED;
	assert_int_equal(in->s->x.ops->send_head(&in->s->x, &in->tx, &how), 1);
	assert_int_equal(in->s->x.ops->send_body(&in->s->x, NULL, 0, false), 0);
	turns(6);
	assert_true(d->s->x.rx_head);
	assert_false(d->s->x.rx_end);
	assert_int_equal(d->rx.body, BODY_NONE);
	assert_int_equal(in->s->x.ops->send_body(&in->s->x, NULL, 0, true), 0);
	turns(6);
	assert_true(d->s->x.rx_end);
}

/* What is dropped with a stream comes back to the connection's window. */
static void
windows_do_not_leak(void **state)
{
	(void)state;
	fx->keep = true;
	for (unsigned i = 0; i < 60; i++) {
		struct side *d = ask("POST", "/dropped", 60000);

		turns(60);
		fx->in[i].lazy = true;
		h2_end(&fx->in[i].s);
		turns(10);
		h2_end(&d->s);
		turns(4);
	}
	fx->keep = false;
	{
		struct side *d = ask("POST", "/last", 200000);

		until_answered(d);
		assert_int_equal(d->got, 200000);
	}
}

/* fields behind the payload, either way. */
static void
trailers_come_through(void **state)
{
	struct xchg_send how = {.keepalive = true};
	struct hdr after = {.name = STR("Grpc-Status"), .value = STR("0")};
	struct side *d, *in;

	(void)state;
	fx->keep = true;
	d = ask("POST", "/grpc", 10);
	turns(6);
	in = &fx->in[0];
	head_init(&in->tx, &in->ws, false);
	in->tx.status = 200;
	in->tx.body = BODY_CHUNKED;
	in->tx.trailers = &after;
	in->tx.n_trailers = 1;
	in->to_send = 5;
	assert_int_equal(in->s->x.ops->send_head(&in->s->x, &in->tx, &how), 1);
	give(in);
	until_answered(d);
	assert_int_equal(d->got, 5);
	assert_int_equal(d->rx.n_trailers, 1);
	assert_true(str_eq(d->rx.trailers[0].name, STR("grpc-status")));
	assert_true(in->s->x.tx_end);
}

static void
a_reset_is_told(void **state)
{
	struct side *d = ask_with("POST", "/gone", 100000, true);

	(void)state;
	turns(3);
	assert_int_equal(fx->n_in, 1);
	fx->in[0].lazy = true;
	h2_end(&d->s);
	turns(5);
	assert_true(fx->in[0].s->x.gone);
	assert_int_equal(fx->in[0].s->x.why, REASON_CLIENT_GONE);
}

static void
an_answer_that_breaks_off_is_not_whole(void **state)
{
	struct side *d;

	(void)state;
	fx->keep = true;
	d = ask("GET", "/cut", 0);
	turns(4);
	respond(&fx->in[0], 200, 1 << 20);
	turns(20);
	h2_end(&fx->in[0].s);
	turns(20);
	assert_true(d->s->x.gone);
	assert_false(d->s->x.rx_end);
	assert_int_equal(d->s->x.why, REASON_BODY_ABORTED);
}

static void
who_is_refused_may_ask_again(void **state)
{
	struct side *d;

	(void)state;
	fx->refuse = true;
	d = ask("GET", "/", 0);
	turns(6);
	assert_true(d->s->x.gone);
	assert_true(d->s->refused);
}

static void
a_drained_connection_finishes(void **state)
{
	struct side *d;

	(void)state;
	fx->keep = true;
	d = ask("POST", "/long", 10);
	turns(5);
	h2_conn_drain(&fx->server);
	turns(5);
	assert_int_equal(h2_room(&fx->client), 0);
	respond(&fx->in[0], 200, 100);
	until_answered(d);
	assert_int_equal(d->got, 100);
}

/* heads over the limit are answered, not stored. */
static void
a_large_head_is_noted(void **state)
{
	struct xchg_send how = {.target = STR("/")};
	struct side *d = &fx->out[fx->n_out++];
	char value[20000];

	(void)state;
	fx->keep = true;
	memset(value, 'v', sizeof(value));
	ws_init(&d->ws, NULL, 0);
	head_init(&d->rx, &d->ws, false);
	head_init(&d->tx, &d->ws, true);
	d->tx.method_text = STR("GET");
	assert_true(head_add(&d->tx, STR("host"), STR("h")));
	assert_true(head_add(&d->tx, STR("x-large"), str_n(value, sizeof(value))));
	d->s = h2_begin(&fx->client, &d->rx);
	d->s->x.owner = d;
	d->s->x.on_event = on_event;
	assert_int_equal(d->s->x.ops->send_head(&d->s->x, &d->tx, &how), 1);
	give(d);
	turns(10);
	assert_int_equal(fx->n_in, 1);
	assert_false(fx->in[0].s->x.rx_head);
	assert_int_equal(fx->in[0].s->x.why, REASON_HEADERS_TOO_LARGE);
	respond(&fx->in[0], 431, 0);
	turns(10);
	assert_int_equal(d->rx.status, 431);
}

/* what heads hold is bounded for a connection too, and comes back with their streams. */
static void
heads_are_bounded_together(void **state)
{
	struct xchg_send how = {.target = STR("/")};
	unsigned large = 0;
	char value[12000];

	(void)state;
	fx->keep = true;
	memset(value, 'v', sizeof(value));
	for (unsigned i = 0; i < 30; i++) {
		struct side *d = &fx->out[fx->n_out++];

		ws_init(&d->ws, NULL, 0);
		head_init(&d->rx, &d->ws, false);
		head_init(&d->tx, &d->ws, true);
		d->tx.method_text = STR("GET");
		assert_true(head_add(&d->tx, STR("host"), STR("h")));
		assert_true(head_add(&d->tx, STR("x-large"), str_n(value, sizeof(value))));
		d->s = h2_begin(&fx->client, &d->rx);
		d->s->x.owner = d;
		d->s->x.on_event = on_event;
		assert_int_equal(d->s->x.ops->send_head(&d->s->x, &d->tx, &how), 1);
		give(d);
		turns(20);
	}
	assert_int_equal(fx->n_in, 30);
	for (unsigned i = 0; i < 30; i++)
		large += fx->in[i].s->x.why == REASON_HEADERS_TOO_LARGE;
	assert_in_range(large, 5, 20);
	for (unsigned i = 0; i < 30; i++)
		h2_end(&fx->in[i].s);
	assert_int_equal(fx->server.head_octets, 0);
}

/* Rapid reset: requests begun and dropped. */
static void
resets_come_to_an_end(void **state)
{
	unsigned i;

	(void)state;
	fx->keep = true;
	for (i = 0; i < 1000 && !fx->client.failed && h2_room(&fx->client) > 0; i++) {
		struct side *d = ask("GET", "/", 0);

		turns(1);
		h2_end(&d->s);
		turns(3);
		if (fx->in[fx->n_in - 1].s)
			h2_end(&fx->in[(fx->n_in - 1) % SIDES].s);
		if (fx->n_in == SIDES)
			break;
	}
	turns(10);
	assert_true(fx->server.calm);
	assert_int_equal(fx->server.abuse, H2_ABUSE_RESETS_IN);
	assert_in_range(i, 150, 255);
}

static void
the_peers_end_is_told(void **state)
{
	struct side *d;

	(void)state;
	fx->keep = true;
	d = ask("GET", "/", 0);
	turns(4);
	shutdown(fx->b.watch.fd, SHUT_RDWR);
	turns(6);
	assert_true(d->s->x.gone);
	assert_true(fx->client.failed);
	assert_true(fx->conn_events > 0);
}

static void
garbage_ends_it(void **state)
{
	static const char junk[] = "\0\0\0\x63garbage and more of it";
	struct iovec v = {(void *)(uintptr_t)junk, sizeof(junk)};
	struct side *d = ask("GET", "/", 0);

	(void)state;
	until_answered(d);
	assert_int_equal(stream_write(&fx->a, &v, 1), sizeof(junk));
	turns(6);
	assert_true(fx->server.failed);
}

#define OUT_MOST 65536u /* as in h2_tx.c */

/* The server's buffer has room for so many octets more; frames of a type nobody knows lie in it. */
static void
leave_room(size_t room)
{
	struct buf *b = &fx->server.out;
	static char frame[9 + 16384];

	buf_take(b, &fx->bufs, 2 * OUT_MOST);
	while (buf_len(b) + room < OUT_MOST) {
		size_t want = OUT_MOST - room - buf_len(b), n = MIN(want, sizeof(frame));

		if (want > n && want - n < 9)
			n -= 9; /* what is left is a frame too */
		frame[1] = (char)((n - 9) >> 8);
		frame[2] = (char)(n - 9);
		frame[3] = (char)0xfa;
		assert_true(buf_put(b, frame, (uint32_t)n));
	}
}

static void
nothing(struct stream *s)
{
	(void)s;
}

/* Does the client look at what comes? */
static void
client_reads(bool reads)
{
	fx->a.on_event = reads ? on_client : nothing;
	if (reads)
		h2_conn_event(&fx->client);
}

/* a head that is lent leaves with the call that lends it, whatever is in front of it and
 * however full the buffer is: other heads that go out do not mean that this one did. */
static void
a_lent_head_does_not_stay_behind(void **state)
{
	struct xchg_send how = {.keepalive = true};
	static char name[] = "x-lent", value[] = "what it was";
	struct side *first, *second, *in;

	(void)state;
	fx->keep = true;
	first = ask_with("POST", "/first", 10, true);
	second = ask("GET", "/second", 0);
	turns(6);
	assert_int_equal(fx->n_in, 2);
	client_reads(false);
	leave_room(5);
	assert_int_equal(fx->in[0].s->x.ops->send_interim(&fx->in[0].s->x, 100), 1);
	in = &fx->in[1];
	head_init(&in->tx, &in->ws, false);
	in->tx.status = 200;
	in->tx.body = BODY_NONE;
	assert_true(head_add(&in->tx, str_of(name), str_of(value)));
	assert_int_equal(in->s->x.ops->send_head(&in->s->x, &in->tx, &how), 1);
	assert_int_equal(in->s->x.ops->send_body(&in->s->x, NULL, 0, true), 0);
	assert_true(in->s->submitted);
	assert_false(fx->server.lent);
	memset(value, '!', sizeof(value) - 1);
	client_reads(true);
	until_answered(second);
	assert_true(str_eq(head_find(&second->rx, STR("x-lent"))->value, STR("what it was")));
	assert_false(first->s->x.rx_head);
}

/* payload and trailers that do not fit into a full buffer any more are made all the same,
 * for they are lent; who sent them hears that his answer is whole, and not that it broke off. */
static void
an_end_that_others_send_is_an_end(void **state)
{
	struct xchg_send how = {.keepalive = true};
	struct hdr after = {.name = STR("Grpc-Status"), .value = STR("0")};
	struct side *d, *in;

	(void)state;
	fx->keep = true;
	d = ask("GET", "/grpc", 0);
	turns(6);
	client_reads(false);
	leave_room(100);
	in = &fx->in[0];
	head_init(&in->tx, &in->ws, false);
	in->tx.status = 200;
	in->tx.body = BODY_CHUNKED;
	in->tx.trailers = &after;
	in->tx.n_trailers = 1;
	in->to_send = 1000;
	assert_int_equal(in->s->x.ops->send_head(&in->s->x, &in->tx, &how), 1);
	give(in);
	assert_int_equal(in->to_send, 0);
	client_reads(true);
	until_answered(d);
	turns(20);
	assert_int_equal(d->got, 1000);
	assert_int_equal(d->rx.n_trailers, 1);
	assert_true(in->s->x.tx_end);
	assert_false(in->s->x.gone);
}

/* what nghttp2 held back from a full buffer goes when that is out, though nobody offers
 * anything any more. */
static void
nothing_stays_behind_a_full_buffer(void **state)
{
	struct side *d;
	int large = 1 << 20;

	(void)state;
	fx->keep = true;
	d = ask("POST", "/up", 10);
	turns(6);
	fx->b.on_event = nothing; /* no news of the socket in between */
	leave_room(0);
	assert_int_equal(
	    setsockopt(fx->b.watch.fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large)), 0);
	h2_end(&fx->in[0].s);
	turns(4);
	assert_true(h2_conn_flushed(&fx->server));
	fx->b.on_event = on_server;
	turns(20);
	assert_true(d->s->x.gone);
}

/* a session that has nothing to read or write any more is over, and its owner is told,
 * though the peer says nothing. */
static void
a_session_ends_between_events(void **state)
{
	struct side *d;
	unsigned told;

	(void)state;
	fx->keep = true;
	d = ask("GET", "/last", 0);
	turns(4);
	h2_conn_goaway(&fx->client);
	turns(4);
	assert_true(fx->server.draining);
	client_reads(false);
	told = fx->conn_events;
	respond(&fx->in[0], 200, 0);
	assert_true(fx->in[0].s->x.tx_end);
	h2_end(&fx->in[0].s);
	turns(4);
	assert_true(fx->server.failed);
	assert_true(fx->conn_events > told);
	client_reads(true);
	until_answered(d);
	assert_int_equal(d->rx.status, 200);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_request_is_answered, setup, teardown),
    TEST_WITH(payload_is_what_was_sent, setup, teardown),
    TEST_WITH(literals_stay_literals, setup, teardown),
    TEST_WITH(heads_are_not_needed_later, setup, teardown),
    TEST_WITH(a_lent_head_does_not_stay_behind, setup, teardown),
    TEST_WITH(many_at_a_time, setup, teardown),
    TEST_WITH(a_slow_reader_stops_the_writer, setup, teardown),
    TEST_WITH(a_stalled_window_is_quiet, setup, teardown),
    TEST_WITH(no_body_behind_204, setup, teardown),
    TEST_WITH(windows_do_not_leak, setup, teardown),
    TEST_WITH(trailers_come_through, setup, teardown),
    TEST_WITH(an_end_that_others_send_is_an_end, setup, teardown),
    TEST_WITH(nothing_stays_behind_a_full_buffer, setup, teardown),
    TEST_WITH(a_session_ends_between_events, setup, teardown),
    TEST_WITH(a_reset_is_told, setup, teardown),
    TEST_WITH(an_answer_that_breaks_off_is_not_whole, setup, teardown),
    TEST_WITH(who_is_refused_may_ask_again, setup, teardown),
    TEST_WITH(a_drained_connection_finishes, setup, teardown),
    TEST_WITH(a_large_head_is_noted, setup, teardown),
    TEST_WITH(heads_are_bounded_together, setup, teardown),
    TEST_WITH(resets_come_to_an_end, setup, teardown),
    TEST_WITH(the_peers_end_is_told, setup, teardown),
    TEST_WITH(garbage_ends_it, setup, teardown),
};
RUN_TESTS(tests)
