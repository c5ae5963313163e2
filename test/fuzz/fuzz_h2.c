/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions of frames from anybody. Octet 0: which side we are, whether the preface is put in front,
 * how much the owner consumes, and how the octets arrive. Whatever comes, every exchange that began
 * can be ended, all memory comes back, and what was taken for a head is clean.
 */
#include "shm/base/bug.h"
#include "worker/http/h2.h"
#include "worker/http/octet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIDES 64

struct side {
	struct h2_stream *s;
	struct ws ws;
	struct head rx, tx;
	bool used;
};

static struct {
	struct loop *loop;
	struct buf_pool bufs;
	struct h2_pool *pool;
	struct ws_pool blocks;
	struct stream wire;
	struct h2_conn c;
	const uint8_t *p;
	size_t n, step;
	uint8_t mode;
	struct side side[SIDES];
} f;

enum { CLIENT = 1, NO_PREFACE = 2, LAZY = 4, DEAF = 8 };

/* --- a wire of memory ------------------------------------------------------------------------- */

static ssize_t
wire_read(struct stream *s, void *p, size_t n)
{
	n = MIN(MIN(n, f.step), f.n);
	if (n == 0) {
		s->readable = false;
		return STREAM_AGAIN;
	}
	memcpy(p, f.p, n);
	f.p += n;
	f.n -= n;
	return (ssize_t)n;
}

static ssize_t
wire_write(struct stream *s, const struct iovec *v, int n)
{
	size_t all = 0;

	for (int i = 0; i < n; i++)
		all += v[i].iov_len;
	if ((f.mode & DEAF) != 0 && all > 3) {
		s->writable = false;
		return 3;
	}
	return (ssize_t)all;
}

static void
wire_close(struct stream *s)
{
	s->watch.fd = -1;
}

static const struct stream_ops wire_ops = {
    .name = "memory", .read = wire_read, .write = wire_write, .close = wire_close};

/* --- an owner --------------------------------------------------------------------------------- */

static void
check_clean(const struct head *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		BUG_ON(!octet_token(h->h[i].name) || !octet_text(h->h[i].value));
	for (uint32_t i = 0; i < h->n_trailers; i++)
		BUG_ON(!octet_token(h->trailers[i].name) || !octet_text(h->trailers[i].value));
	if (!h->request) {
		BUG_ON(h->status < 100 || h->status > 599);
		return;
	}
	BUG_ON(h->path.n > 0 && h->path.p[0] != '/' && !str_eq(h->path, STR("*")));
	BUG_ON(!octet_text(h->path) || memchr(h->path.p, ' ', h->path.n) != NULL);
	BUG_ON(h->host.n == 0);
}

static void
over(struct side *d)
{
	h2_end(&d->s);
	ws_free(&d->ws);
	d->used = false;
}

static void
answer(struct side *d)
{
	struct xchg_send how = {.keepalive = true};
	struct iovec v = {(void *)(uintptr_t) "answer", 6};

	if (!d->s->x.tx_head) {
		head_init(&d->tx, &d->ws, false);
		d->tx.status = 200;
		d->tx.body = BODY_CHUNKED;
		BUG_ON(d->s->x.ops->send_head(&d->s->x, &d->tx, &how) < 0);
	}
	if (d->s->x.ops->send_body(&d->s->x, &v, 1, true) < 0 || d->s->x.tx_end)
		over(d);
}

static void
on_event(struct xchg *x)
{
	struct side *d = x->owner;
	struct iovec v[XCHG_PARTS];

	while ((f.mode & LAZY) == 0 && x->ops->peek(x, v) > 0)
		x->ops->consume(x, v[0].iov_len);
	if (x->rx_head)
		check_clean(x->rx);
	if (x->gone)
		over(d);
	else if (!f.c.server && x->rx_end)
		over(d);
	else if (f.c.server && (x->why || x->rx_end))
		answer(d);
}

static struct side *
side_new(bool request)
{
	for (unsigned i = 0; i < SIDES; i++) {
		struct side *d = &f.side[i];

		if (d->used)
			continue;
		*d = (struct side){.used = true};
		ws_init(&d->ws, &f.blocks, 64 * 1024);
		head_init(&d->rx, &d->ws, request);
		return d;
	}
	return NULL;
}

static bool
on_begin(struct h2_conn *c, struct h2_stream *s)
{
	struct side *d = side_new(true);

	(void)c;
	if (!d)
		return false;
	d->s = s;
	s->x.rx = &d->rx;
	s->x.owner = d;
	s->x.on_event = on_event;
	return true;
}

static void
ask(void)
{
	struct xchg_send how = {.keepalive = true, .target = STR("/")};
	struct side *d = side_new(false);

	BUG_ON(!d);
	d->s = h2_begin(&f.c, &d->rx);
	if (!d->s) {
		ws_free(&d->ws);
		d->used = false;
		return;
	}
	d->s->x.owner = d;
	d->s->x.on_event = on_event;
	head_init(&d->tx, &d->ws, true);
	d->tx.method_text = STR("GET");
	BUG_ON(!head_add(&d->tx, STR("host"), STR("h")));
	BUG_ON(d->s->x.ops->send_head(&d->s->x, &d->tx, &how) < 0);
	if (d->s->x.ops->send_body(&d->s->x, NULL, 0, true) < 0)
		over(d);
}

static void
once(void)
{
	/* What pools keep is poisoned, and a leak to the sanitizer: they live as long as a run. */
	buf_pool_init(&f.bufs, 4096, 64);
	ws_pool_init(&f.blocks, 8192, 64);
	if (f.loop)
		return;
	f.loop = loop_new();
	f.pool = h2_pool_new(f.loop, &f.bufs);
}

static void
end_all(void)
{
	for (unsigned i = 0; i < SIDES; i++)
		if (f.side[i].used)
			over(&f.side[i]);
	h2_conn_free(&f.c);
	BUG_ON(f.bufs.n_out != 0);
	buf_pool_fini(&f.bufs);
	ws_pool_fini(&f.blocks);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct h2_limits l = {.headers = 4096,
	    .count = 40,
	    .streams = 32,
	    .window = 65535,
	    .conn_window = 200000,
	    .merge_slashes = true,
	    .connect = true};
	bool server;

	if (size < 1)
		return 0;
	once();
	f.mode = data[0];
	server = (f.mode & CLIENT) == 0;
	f.step = (f.mode >> 4) > 0 ? (size_t)(f.mode >> 4) * (size_t)(f.mode >> 4) : SIZE_MAX;
	f.p = data + 1;
	f.n = size - 1;
	f.wire = (struct stream){.ops = &wire_ops, .loop = f.loop};
	f.wire.readable = f.wire.writable = true;
	f.c = (struct h2_conn){.stream = &f.wire, .on_begin = on_begin};
	if (h2_conn_start(&f.c, server, f.pool, &l,
		server && (f.mode & NO_PREFACE) == 0 ? STR(H2_PREFACE) : STR_NONE) < 0)
		return 0;
	for (unsigned i = 0; !server && i < 4; i++)
		ask();
	for (unsigned i = 0; i < 100 && (f.n > 0 || i < 4) && !f.c.failed; i++) {
		f.wire.readable = true;
		h2_conn_event(&f.c);
		loop_turn(f.loop, 0);
	}
	end_all();
	return 0;
}
