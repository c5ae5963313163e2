/* SPDX-License-Identifier: Apache-2.0
 *
 * Rings (C-3, R-10.1): what one process writes another reads whole and in order; the consumer
 * survives whatever a broken producer leaves behind.
 */
#include "test/unit/harness.h"

#include "shm/ring.h"
#include "test/unit/assert_str.h"
#include "test/unit/shm/procs_kit.h"

#define SLOTS 2
#define BYTES 1024

/* The bytes of a ring as ring.c lays them: two lines, then the octets. */
struct raw {
	alignas(CACHE_LINE) _Atomic uint64_t tail;
	_Atomic uint64_t dropped;
	alignas(CACHE_LINE) _Atomic uint64_t head;
	_Atomic uint64_t corrupt;
	alignas(CACHE_LINE) uint32_t words[BYTES / 4];
};

static struct region region;
static int fd;

static int
setup(void **state)
{
	const char *error;

	(void)state;
	fd = region_create(
	    REGION_ACCESS, ring_region_size(SLOTS, BYTES), ring_layout(SLOTS, BYTES), &error);
	if (fd < 0 || region_attach(fd, REGION_ACCESS, 0, true, &region, &error) != 1)
		return -1;
	ring_region_init(&region, SLOTS, BYTES);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	region_detach(&region);
	return close(fd);
}

static struct raw *
raw_of(unsigned slot)
{
	return (struct raw *)((char *)region.data + CACHE_LINE) + slot;
}

static bool
put(struct ring *g, const char *text)
{
	char *p = ring_reserve(g, strlen(text));

	if (p == NULL)
		return false;
	memcpy(p, text, strlen(text));
	ring_commit(g, strlen(text));
	return true;
}

static void
expect(struct ring *g, const char *text)
{
	struct str s;

	assert_int_equal(ring_next(g, &s), 1);
	assert_str_at(s, str_of(text), __FILE__, __LINE__);
}

static void
expect_empty(struct ring *g)
{
	struct str s;

	assert_int_equal(ring_next(g, &s), 0);
}

static void
records_come_in_order(void **state)
{
	struct ring *w = ring_at(&region, 0), *r = ring_at(&region, 0);
	char *p;

	(void)state;
	expect_empty(r);
	assert_true(put(w, "one"));
	assert_true(put(w, "and two"));
	/* Reserved for more than is needed; taken back altogether. */
	p = ring_reserve(w, 500);
	assert_non_null(p);
	memcpy(p, "three", 5);
	ring_commit(w, 5);
	assert_non_null(ring_reserve(w, 100));
	ring_commit(w, 0);
	expect(r, "one");
	expect(r, "and two");
	expect(r, "three");
	expect_empty(r);
	assert_int_equal(ring_fill(r), 0);
	assert_int_equal(ring_capacity(r), BYTES);
	assert_int_equal(ring_dropped(r), 0);
	ring_close(&w);
	assert_null(w);
	ring_close(&r);
	assert_null(ring_at(&region, SLOTS));
}

static void
it_wraps_at_every_place(void **state)
{
	struct ring *w = ring_at(&region, 0), *r = ring_at(&region, 0);
	char text[240];

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		unsigned n = 1 + i * 7 % (sizeof(text) - 1);

		memset(text, 'a' + (int)(i % 26), n);
		text[n] = '\0';
		assert_true(put(w, text));
		if (i % 2 == 1) { /* two at a time in the ring */
			struct str s;

			assert_int_equal(ring_next(r, &s), 1);
			expect(r, text);
		}
	}
	assert_int_equal(ring_corrupt(r), 0);
	ring_close(&w);
	ring_close(&r);
}

static void
half_a_ring_always_fits_an_empty_one(void **state)
{
	struct ring *w = ring_at(&region, 1), *r = ring_at(&region, 1);
	struct str s;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		assert_non_null(ring_reserve(w, BYTES / 2 - 8));
		ring_commit(w, 1 + i % (BYTES / 2 - 8));
		assert_int_equal(ring_next(r, &s), 1);
		assert_int_equal(s.n, 1 + i % (BYTES / 2 - 8));
		expect_empty(r);
	}
	assert_null(ring_reserve(w, BYTES + 1));
	assert_null(ring_reserve(w, SIZE_MAX));
	assert_int_equal(ring_dropped(r), 2);
	ring_close(&w);
	ring_close(&r);
}

static void
a_full_ring_drops_and_counts(void **state)
{
	struct ring *w = ring_at(&region, 0), *r = ring_at(&region, 0);
	unsigned n = 0;

	(void)state;
	while (put(w, "0123456789abcdef"))
		n++;
	assert_int_equal(n, BYTES / 24);
	assert_false(put(w, "0123456789abcdef"));
	assert_int_equal(ring_dropped(r), 2);
	expect(r, "0123456789abcdef");
	expect(r, "0123456789abcdef"); /* the first is free only now */
	assert_true(put(w, "0123456789abcdef"));
	ring_close(&w);
	ring_close(&r);
}

static void
it_wakes_once_when_half_full(void **state)
{
	struct ring *w = ring_at(&region, 0), *r = ring_at(&region, 0);
	unsigned wakes = 0, put_n = 0;
	struct str s;

	(void)state;
	while (put(w, "0123456789abcdef")) {
		put_n++;
		if (ring_should_wake(w)) {
			wakes++;
			assert_int_equal(put_n, BYTES / 2 / 24 + 1);
		}
	}
	assert_int_equal(wakes, 1);
	while (ring_next(r, &s) == 1)
		continue;
	assert_true(put(w, "x"));
	assert_false(ring_should_wake(w));
	for (unsigned i = 0; i < put_n - 2; i++) {
		assert_true(put(w, "0123456789abcdef"));
		wakes += ring_should_wake(w);
	}
	assert_int_equal(wakes, 2);
	ring_close(&w);
	ring_close(&r);
}

static void
a_new_producer_goes_on(void **state)
{
	struct ring *w = ring_at(&region, 0), *next, *r = ring_at(&region, 0);

	(void)state;
	assert_true(put(w, "before"));
	memcpy(ring_reserve(w, 20), "half a record", 13); /* and then it died */
	ring_close(&w);
	next = ring_at(&region, 0);
	ring_adopt(next);
	assert_true(put(next, "after"));
	expect(r, "before");
	expect(r, "after");
	expect_empty(r);
	ring_close(&next);
	ring_close(&r);
}

static void
hostile_lengths(void **state)
{
	static const uint32_t lengths[] = {
	    0, 9, 17, BYTES - 7, BYTES, BYTES + 1, 0x7fffffff, 0xfffffff7, UINT32_MAX};
	struct ring *w = ring_at(&region, 0), *r = ring_at(&region, 0);
	struct raw *raw = raw_of(0);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
		uint64_t at = atomic_load(&raw->tail) % BYTES;

		assert_true(put(w, "12345678"));
		raw->words[at / 4] = lengths[i];
		expect_empty(r);
		assert_int_equal(ring_corrupt(r), i + 1);
		assert_true(put(w, "well again"));
		expect(r, "well again");
		expect_empty(r);
	}
	ring_close(&w);
	ring_close(&r);
}

static void
hostile_positions(void **state)
{
	static const uint64_t wrong[] = {
	    1, 7, BYTES - 8, BYTES + 8, BYTES * 100, UINT64_MAX - 7, UINT64_MAX, UINT64_C(1) << 63};
	struct raw *raw = raw_of(0);

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_LEN(wrong); i++) {
		struct ring *w = ring_at(&region, 0), *r = ring_at(&region, 0);
		struct str s;

		atomic_store(i % 2 == 0 ? &raw->tail : &raw->head, wrong[i / 2]);
		for (unsigned turn = 0; turn < 2 * BYTES / 8; turn++) {
			put(w, "a");
			for (unsigned n = 0; n < BYTES && ring_next(r, &s) == 1; n++)
				assert_true(s.n <= BYTES);
		}
		/* Both agree again. */
		assert_true(put(w, "well again"));
		expect(r, "well again");
		expect_empty(r);
		assert_int_equal(ring_fill(r), 0);
		ring_close(&w);
		ring_close(&r);
	}
}

static void
hostile_sizes(void **state)
{
	uint64_t *head = region.data; /* slots, octets each */
	static const uint64_t sizes[][2] = {{0, BYTES}, {SLOTS + 1, BYTES}, {SLOTS, BYTES * 2},
	    {SLOTS, BYTES + 64}, {SLOTS, 0}, {SLOTS, 32}, {UINT64_MAX, BYTES},
	    {SLOTS, UINT64_C(1) << 63}, {UINT64_C(1) << 32, BYTES}};
	struct region small = {.head = region.head, .data = region.data, .size = 32};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		head[0] = sizes[i][0];
		head[1] = sizes[i][1];
		assert_null(ring_at(&region, 0));
	}
	head[0] = SLOTS;
	head[1] = BYTES;
	assert_null(ring_at(&small, 0));
}

static void
counters_by_a_read_only_mapping(void **state)
{
	struct ring *w = ring_at(&region, 0), *r;
	struct region ro;
	const char *error;

	(void)state;
	assert_true(put(w, "12345678"));
	assert_int_equal(
	    region_attach(fd, REGION_ACCESS, ring_layout(SLOTS, BYTES), false, &ro, &error), 1);
	r = ring_at(&ro, 0);
	assert_int_equal(ring_fill(r), 16);
	assert_int_equal(ring_capacity(r), BYTES);
	assert_int_equal(ring_corrupt(r), 0);
	ring_close(&r);
	region_detach(&ro);
	ring_close(&w);
}

/* --- two processes --- */

/* Records of many lengths, numbered, every octet known. */
static int
produce(void *arg)
{
	_Atomic uint64_t *published = arg;
	struct ring *g = ring_at(&region, 1);
	uint64_t n = atomic_load(published);

	while (n != UINT64_MAX) {
		size_t len = 8 + n * 13 % 200;
		char *p = ring_reserve(g, len);

		if (p == NULL) {
			sched_yield();
			continue;
		}
		memcpy(p, &n, 8);
		memset(p + 8, (int)(n & 0xff), len - 8);
		ring_commit(g, len);
		atomic_store(published, ++n);
	}
	return 0;
}

/* Numbers only grow, and by more than one never: what is published is not lost with its producer.
 * A number may come twice: its producer died between publishing and saying so. */
static void
consume(struct ring *g, uint64_t *expected)
{
	struct str s;

	while (ring_next(g, &s) == 1) {
		uint64_t n;

		assert_true(s.n >= 8);
		memcpy(&n, s.p, 8);
		assert_true(n == *expected || (*expected > 0 && n == *expected - 1));
		assert_int_equal(s.n, 8 + n * 13 % 200);
		for (size_t i = 8; i < s.n; i++)
			assert_int_equal((unsigned char)s.p[i], n & 0xff);
		*expected = n + 1;
	}
}

static void
producers_are_killed(void **state)
{
	_Atomic uint64_t *published = kit_shared(4096);
	struct ring *r = ring_at(&region, 1);
	uint64_t expected = 0;

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		uint64_t until = expected + 2000;
		pid_t pid = kit_start(produce, published);

		while (expected < until)
			consume(r, &expected);
		kit_let_run(published, 0, i * 13 % 200);
		kit_kill(pid);
		consume(r, &expected);
	}
	assert_int_equal(ring_corrupt(r), 0);
	ring_close(&r);
	munmap((void *)published, 4096);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(records_come_in_order, setup, teardown),
    TEST_WITH(it_wraps_at_every_place, setup, teardown),
    TEST_WITH(half_a_ring_always_fits_an_empty_one, setup, teardown),
    TEST_WITH(a_full_ring_drops_and_counts, setup, teardown),
    TEST_WITH(it_wakes_once_when_half_full, setup, teardown),
    TEST_WITH(a_new_producer_goes_on, setup, teardown),
    TEST_WITH(hostile_lengths, setup, teardown),
    TEST_WITH(hostile_positions, setup, teardown),
    TEST_WITH(hostile_sizes, setup, teardown),
    TEST_WITH(counters_by_a_read_only_mapping, setup, teardown),
    TEST_WITH(producers_are_killed, setup, teardown),
};
RUN_TESTS(tests)
