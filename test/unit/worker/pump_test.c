/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies on their way, as they are and through a filter, however the octets are cut and however
 * little the receiver takes at a time.
 */
#include "test/unit/harness.h"

#include "worker/pump.h"
#include "worker/worker_priv.h"

/* The sender has `all` and shows `step` octets of it, in two ranges; the receiver takes `most` of
 * what it is offered. */
struct side {
	struct xchg x;
	char all[4096];
	size_t n, at, step, most;
	bool broken, last;
};

static struct {
	struct worker w;
	struct req r;
	struct side from, to;
	uint64_t count;
	struct pumped p;
	unsigned feeds, fail_at;
} k;

static int
peek(struct xchg *x, struct iovec v[XCHG_PARTS])
{
	struct side *s = container_of(x, struct side, x);
	size_t n = MIN(s->step, s->n - s->at), half = n / 2;

	if (s->broken)
		return -1;
	x->rx_end = s->at + n == s->n && s->last;
	v[0] = (struct iovec){s->all + s->at, half};
	v[1] = (struct iovec){s->all + s->at + half, n - half};
	return n > 0 ? 2 : 0;
}

static void
consume(struct xchg *x, size_t n)
{
	struct side *s = container_of(x, struct side, x);

	assert_true(n <= MIN(s->step, s->n - s->at));
	s->at += n;
}

static ssize_t
send_body(struct xchg *x, const struct iovec *v, int n, bool last)
{
	struct side *s = container_of(x, struct side, x);
	size_t took = 0;

	if (s->broken)
		return -1;
	for (int i = 0; i < n; i++) {
		size_t part = MIN(v[i].iov_len, s->most - took);

		assert_true(s->n + part <= sizeof(s->all));
		memcpy(s->all + s->n, v[i].iov_base, part);
		s->n += part;
		took += part;
		if (part < v[i].iov_len)
			return (ssize_t)took;
	}
	x->tx_end = last && s->most > 0;
	return (ssize_t)took;
}

static const struct xchg_ops ops = {.peek = peek, .consume = consume, .send_body = send_body};

/* Each letter twice; "!" behind the last. */
static int
twice(struct filter *f, struct str in, bool end, size_t *used_r)
{
	size_t i;

	k.feeds++;
	assert_true(f->out.r == 0 || buf_len(&f->out) > 0);
	for (i = 0; i < in.n && buf_room(&f->out) >= 2; i++) {
		char two[2] = {in.p[i], in.p[i]};

		if (in.p[i] == '#')
			return -1;
		assert_true(buf_put(&f->out, two, 2));
	}
	*used_r = i;
	return end && i == in.n && buf_put(&f->out, "!", 1);
}

static int
nothing(struct filter *f, struct str in, bool end, size_t *used_r)
{
	(void)f, (void)in, (void)end, (void)used_r;
	return 0;
}

static const struct filter_ops twice_ops = {.feed = twice}, nothing_ops = {.feed = nothing};

static void
begin(const struct filter_ops *with, size_t step, size_t most)
{
	memset(&k.from, 0, sizeof(k.from));
	memset(&k.to, 0, sizeof(k.to));
	k.from.x.ops = k.to.x.ops = &ops;
	k.from.step = step;
	k.to.most = most;
	k.count = k.feeds = 0;
	k.r.worker = &k.w;
	ws_init(&k.r.ws, NULL, 1 << 16);
	k.p = (struct pumped){.count = &k.count};
	if (with)
		k.p.filter = filter_new(&k.r, with, sizeof(struct filter));
}

static void
arrive(const char *text, bool last)
{
	size_t n = strlen(text);

	memcpy(k.from.all + k.from.n, text, n);
	k.from.n += n;
	k.from.last = last;
}

static enum pump
run(void)
{
	enum pump rc;
	unsigned turns = 0;

	do {
		rc = pump_once(&k.from.x, &k.to.x, &k.p);
		assert_true(turns++ < 20000);
	} while (rc == PUMP_LATER || (rc == PUMP_FULL && k.to.most > 0));
	return rc;
}

static void
over(void)
{
	ws_free(&k.r.ws);
	assert_int_equal(k.w.bufs.n_out, 0);
}

static void
assert_out(const char *want)
{
	assert_int_equal(k.to.n, strlen(want));
	assert_memory_equal(k.to.all, want, k.to.n);
}

static void
pieces_of_every_size(void **state)
{
	(void)state;
	for (size_t step = 1; step < 20; step++)
		for (size_t most = 1; most < 40; most += 3) {
			begin(&twice_ops, step, most);
			arrive("abcdefghijklmnopqrst", false);
			assert_int_equal(run(), PUMP_DRY);
			assert_out("aabbccddeeffgghhiijjkkllmmnnooppqqrrsstt");
			assert_int_equal(k.w.bufs.n_out, 0); /* nothing is held while it waits */
			arrive("u", true);
			assert_int_equal(run(), PUMP_DONE);
			assert_out("aabbccddeeffgghhiijjkkllmmnnooppqqrrssttuu!");
			assert_int_equal(k.count, k.to.n);
			over();
			begin(NULL, step, most);
			arrive("abcdefghij", true);
			assert_int_equal(run(), PUMP_DONE);
			assert_out("abcdefghij");
			assert_int_equal(k.count, 10);
			over();
		}
}

/* A full receiver: no more than one buffer is taken from the sender. */
static void
backpressure(void **state)
{
	size_t taken;

	(void)state;
	begin(&twice_ops, 1000, 0);
	for (unsigned i = 0; i < 100; i++)
		arrive("0123456789", false);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(pump_once(&k.from.x, &k.to.x, &k.p), PUMP_FULL);
	taken = k.from.at;
	assert_int_equal(taken, 32);
	assert_int_equal(k.w.bufs.n_out, 1);
	k.to.most = 10;
	assert_int_equal(pump_once(&k.from.x, &k.to.x, &k.p), PUMP_FULL);
	assert_int_equal(k.from.at, taken); /* what is there goes first */
	k.to.most = 4096;
	k.from.last = true;
	assert_int_equal(run(), PUMP_DONE);
	assert_int_equal(k.to.n, 2001);
	over();
}

/* The end is told when everything is out, not before. */
static void
the_end_waits(void **state)
{
	(void)state;
	begin(&twice_ops, 100, 100);
	arrive("", true);
	assert_int_equal(run(), PUMP_DONE);
	assert_out("!");
	over();
	begin(&twice_ops, 100, 0);
	arrive("ab", true);
	assert_int_equal(run(), PUMP_FULL);
	assert_true(k.p.filter->done);
	k.to.most = 3;
	assert_int_equal(pump_once(&k.from.x, &k.to.x, &k.p), PUMP_FULL);
	assert_false(k.to.x.tx_end);
	assert_int_equal(run(), PUMP_DONE);
	assert_out("aabb!");
	assert_int_equal(k.feeds, 2); /* its two ranges, and no more when it was done */
	over();
}

static void
limits_are_of_what_comes(void **state)
{
	(void)state;
	begin(&twice_ops, 100, 100);
	k.p.received = true;
	k.p.limit = 10;
	arrive("0123456789", false);
	assert_int_equal(run(), PUMP_DRY);
	assert_int_equal(k.count, 10);
	assert_int_equal(k.to.n, 20);
	arrive("x", true);
	assert_int_equal(run(), PUMP_LARGE);
	over();
	begin(NULL, 100, 100);
	k.p.limit = 5;
	arrive("012345", true);
	assert_int_equal(run(), PUMP_LARGE);
	assert_int_equal(k.to.n, 0);
	over();
}

static void
what_goes_wrong_ends_it(void **state)
{
	(void)state;
	begin(&twice_ops, 100, 100);
	arrive("ab#c", false);
	assert_int_equal(run(), PUMP_BAD);
	assert_int_equal(k.p.filter->why, REASON_BAD_BODY);
	over();
	begin(&twice_ops, 100, 100);
	k.from.broken = true;
	assert_int_equal(run(), PUMP_BAD);
	over();
	begin(&twice_ops, 100, 100);
	arrive("ab", false);
	k.to.broken = true;
	assert_int_equal(run(), PUMP_DEAF);
	over();
	begin(&nothing_ops, 100, 100); /* one that stands still */
	arrive("ab", false);
	assert_int_equal(run(), PUMP_BAD);
	assert_int_equal(k.p.filter->why, REASON_INTERNAL);
	over();
}

static int
setup(void **state)
{
	(void)state;
	buf_pool_init(&k.w.bufs, 64, 4);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	buf_pool_fini(&k.w.bufs);
	return 0;
}

static const struct CMUnitTest tests[] = {
    TEST(pieces_of_every_size),
    TEST(backpressure),
    TEST(the_end_waits),
    TEST(limits_are_of_what_comes),
    TEST(what_goes_wrong_ends_it),
};
RUN_TESTS_WITH(tests, setup, teardown)
