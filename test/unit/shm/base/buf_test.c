/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"
#include "shm/base/buf.h"

static void
pooled_memory(void **state)
{
	struct buf_pool pool;
	struct buf a = {0}, b = {0};
	char *p;

	(void)state;
	buf_pool_init(&pool, 64, 1);
	buf_take(&a, &pool, 10);
	assert_int_equal(a.cap, 64);
	p = a.p;
	buf_take(&a, &pool, 64); /* enough already */
	assert_ptr_equal(a.p, p);
	buf_take(&b, &pool, 1);
	assert_int_equal(pool.n_out, 2);
	buf_give(&a, &pool);
	buf_give(&b, &pool);
	buf_give(&b, &pool); /* holds nothing: no-op */
	assert_null(b.p);
	assert_int_equal(pool.n_out, 0);
	assert_int_equal(pool.n_free, 1);
	buf_take(&a, &pool, 1);
	assert_ptr_equal(a.p, p);
	buf_give(&a, &pool);
	buf_pool_fini(&pool);
	assert_int_equal(pool.n_free, 0);
}

static void
half_of_the_rest_is_given_back(void **state)
{
	struct buf_pool pool;
	struct buf b[10] = {{0}};

	(void)state;
	buf_pool_init(&pool, 16, 16);
	for (unsigned i = 0; i < ARRAY_LEN(b); i++)
		buf_take(&b[i], &pool, 1);
	assert_int_equal(buf_pool_trim(&pool, 0), 0);
	for (unsigned i = 0; i < ARRAY_LEN(b); i++)
		buf_give(&b[i], &pool);
	assert_int_equal(buf_pool_trim(&pool, 10), 0);
	assert_int_equal(buf_pool_trim(&pool, 5), 3);
	assert_int_equal(pool.n_free, 7);
	assert_int_equal(buf_pool_trim(&pool, 5), 1);
	assert_int_equal(buf_pool_trim(&pool, 5), 1);
	assert_int_equal(buf_pool_trim(&pool, 5), 0);
	assert_int_equal(pool.n_free, 5);
	buf_pool_fini(&pool);
}

static void
growing_keeps_content(void **state)
{
	struct buf_pool pool;
	struct buf b = {0};

	(void)state;
	buf_pool_init(&pool, 16, 4);
	buf_take(&b, &pool, 1);
	assert_true(buf_put(&b, "0123456789abcdef", 16));
	assert_false(buf_put(&b, "x", 1));
	assert_true(buf_put(&b, NULL, 0));
	buf_eat(&b, 4);
	buf_take(&b, &pool, 1000);
	assert_int_equal(b.cap, 1000);
	assert_str(buf_str(&b), "456789abcdef");
	assert_int_equal(pool.n_free, 1);
	assert_int_equal(pool.n_out, 1);
	buf_give(&b, &pool);
	assert_int_equal(pool.n_free, 1); /* a large one is not kept */
	buf_pool_fini(&pool);
}

static void
reading_and_writing(void **state)
{
	struct buf_pool pool;
	struct buf b = {0};

	(void)state;
	buf_pool_init(&pool, 8, 0);
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_room(&b), 0);
	assert_false(buf_put(&b, "x", 1));
	buf_take(&b, &pool, 8);
	assert_true(buf_put(&b, "abcdef", 6));
	buf_eat(&b, 2);
	assert_str(buf_str(&b), "cdef");
	assert_int_equal(buf_room(&b), 2);
	buf_compact(&b);
	buf_compact(&b);
	assert_int_equal(buf_room(&b), 4);
	assert_str(buf_str(&b), "cdef");
	buf_eat(&b, 4);
	assert_int_equal(b.r, 0);
	assert_int_equal(buf_room(&b), 8);
	buf_give(&b, &pool);
	assert_int_equal(pool.n_free, 0);
	buf_pool_fini(&pool);
}

static void
encoder(void **state)
{
	struct gbuf g = {0};

	(void)state;
	gbuf_u8(&g, 1);
	gbuf_u16(&g, 0x0302);
	gbuf_u32(&g, 0x07060504);
	gbuf_u64(&g, UINT64_C(0x0f0e0d0c0b0a0908));
	assert_int_equal(g.n, 15);
	for (int i = 0; i < 15; i++)
		assert_int_equal(g.p[i], i + 1);
	gbuf_str(&g, STR("xyz"));
	gbuf_str(&g, STR_NONE);
	gbuf_printf(&g, "%d:%s", 5, "five");
	assert_str(str_n(g.p + 15, g.n - 15), "xyz5:five");
	gbuf_printf(&g, "%10000s", "");
	assert_int_equal(g.n, 15 + 9 + 10000);
	gbuf_free(&g);
	assert_null(g.p);
	gbuf_free(&g);
}

static void
reader_in_order(void **state)
{
	struct gbuf g = {0};
	struct rbuf r;

	(void)state;
	gbuf_u8(&g, 200);
	gbuf_u16(&g, 60000);
	gbuf_u32(&g, 4000000000u);
	gbuf_u64(&g, UINT64_MAX - 1);
	gbuf_put(&g, "tail", 4);
	r = rbuf_of(str_n(g.p, g.n));
	assert_int_equal(rbuf_u8(&r), 200);
	assert_int_equal(rbuf_u16(&r), 60000);
	assert_int_equal(rbuf_u32(&r), 4000000000u);
	assert_true(rbuf_u64(&r) == UINT64_MAX - 1);
	assert_false(rbuf_done(&r));
	assert_str(rbuf_bytes(&r, 4), "tail");
	assert_str(rbuf_bytes(&r, 0), "");
	assert_true(rbuf_done(&r));
	gbuf_free(&g);
}

static void
reader_past_the_end(void **state)
{
	struct rbuf r = rbuf_of(str_n("\xff\xff\xff", 3));

	(void)state;
	assert_int_equal(rbuf_u32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(rbuf_u8(&r), 0); /* bad stays bad */
	assert_null(rbuf_bytes(&r, 1).p);
	assert_false(rbuf_done(&r));
	r = rbuf_of(STR("abc"));
	assert_null(rbuf_bytes(&r, SIZE_MAX).p);
	assert_true(r.bad);
	r = rbuf_of(STR("abc"));
	rbuf_u8(&r);
	assert_null(rbuf_bytes(&r, SIZE_MAX).p); /* 1 + SIZE_MAX would wrap */
	r = rbuf_of(STR_NONE);
	assert_true(rbuf_done(&r));
	assert_int_equal(rbuf_bytes(&r, 0).n, 0);
	assert_false(r.bad);
	assert_int_equal(rbuf_u64(&r), 0);
	assert_true(r.bad);
}

/* For large bodies: so many at a time, and each goes back to where it is from. */
static void
bulk_has_an_end(void **state)
{
	struct buf_pool pool, bulk;
	struct buf a = {0}, b = {0}, c = {0};
	char *large;

	(void)state;
	buf_pool_init(&pool, 64, 8);
	buf_take_bulk(&a, &pool, 2);
	assert_int_equal(a.cap, 64); /* there is none of the large ones */
	buf_give(&a, &pool);
	buf_pool_init(&bulk, 1024, 8);
	pool.bulk = &bulk;
	buf_take_bulk(&a, &pool, 2);
	buf_take(&b, &pool, 1024); /* by its size alone it is one of them */
	buf_take_bulk(&c, &pool, 2);
	assert_int_equal(a.cap, 1024);
	assert_int_equal(c.cap, 64);
	assert_int_equal(bulk.n_out, 2);
	large = a.p;
	buf_give(&a, &pool);
	assert_int_equal(bulk.n_free, 1);
	buf_take_bulk(&a, &pool, 2);
	assert_ptr_equal(a.p, large);
	buf_give(&a, &pool);
	buf_give(&b, &pool);
	buf_give(&c, &pool);
	assert_int_equal(bulk.n_out + pool.n_out, 0);
	buf_pool_fini(&pool);
	buf_pool_fini(&bulk);
}

static const struct CMUnitTest tests[] = {
    TEST(pooled_memory),
    TEST(half_of_the_rest_is_given_back),
    TEST(growing_keeps_content),
    TEST(bulk_has_an_end),
    TEST(reading_and_writing),
    TEST(encoder),
    TEST(reader_in_order),
    TEST(reader_past_the_end),
};
RUN_TESTS(tests)
