/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters in shared memory (C-3, R-11.1): exact sums over processes, labelled rows made once, and
 * a ceiling that loses nothing.
 */
#include "test/unit/harness.h"

#include "shm/metric.h"
#include "shm/reason.h"
#include "test/unit/shm/procs_kit.h"

#define SLOTS 4
#define ROWS  50

static struct region region;
static struct metrics *m[SLOTS], *reader;
static int fd;

static int
setup(void **state)
{
	const char *error;

	(void)state;
	fd = region_create(
	    REGION_METRICS, metric_region_size(SLOTS, ROWS), metric_layout(SLOTS, ROWS), &error);
	if (fd < 0 || region_attach(fd, REGION_METRICS, metric_layout(SLOTS, ROWS), true, &region,
			  &error) != 1)
		return -1;
	metric_region_init(&region, SLOTS, ROWS);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		m[slot] = metrics_open(&region, slot);
	reader = metrics_open(&region, SLOTS);
	return reader == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (unsigned slot = 0; slot < SLOTS; slot++)
		metrics_close(&m[slot]);
	metrics_close(&reader);
	region_detach(&region);
	return close(fd);
}

static void
every_cell_is_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < METRIC_ALL_COUNT; i++) {
		if (metric_table[i].scope != METRIC_PROC)
			continue;
		metric_add(m[0], i, i + 1);
		metric_add(m[3], i, 1000);
	}
	for (unsigned i = 0; i < REASON_COUNT; i++)
		for (unsigned n = 0; n <= i; n++)
			metric_reason(m[1], i);
	for (unsigned i = 0; i < METRIC_ALL_COUNT; i++) {
		if (metric_table[i].scope != METRIC_PROC)
			continue;
		assert_int_equal(metric_sum(reader, i), i + 1001);
		assert_int_equal(metric_slot(reader, 0, i), i + 1);
		assert_int_equal(metric_slot(reader, 2, i), 0);
		assert_int_equal(metric_slot(reader, SLOTS, i), 0);
	}
	for (unsigned i = 0; i < REASON_COUNT; i++)
		assert_int_equal(metric_reason_sum(reader, i), i + 1);
}

static void
a_new_process_takes_over(void **state)
{
	(void)state;
	metric_add(m[0], M_PROC_CONNS_ACTIVE, 5);
	metric_sub(m[0], M_PROC_CONNS_ACTIVE, 2);
	metric_set(m[0], M_PROC_PLANS, 9);
	metric_add(m[0], M_PROC_REQUESTS, 7);
	metric_add(m[1], M_PROC_CONNS_ACTIVE, 10);
	assert_int_equal(metric_sum(reader, M_PROC_CONNS_ACTIVE), 13);
	metrics_adopt(m[0]);
	assert_int_equal(metric_sum(reader, M_PROC_CONNS_ACTIVE), 10);
	assert_int_equal(metric_sum(reader, M_PROC_PLANS), 0);
	assert_int_equal(metric_sum(reader, M_PROC_REQUESTS), 7);
}

/* However many slots take, there are never more than that; and who died gives back. */
static void
a_gauge_may_have_a_bound(void **state)
{
	uint32_t row = metric_row(m[0], METRIC_ROUTE, 7, 1);
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		taken += metric_row_take(m[i % SLOTS], row, M_ROUTE_R_WS_OPEN, 5);
	assert_int_equal(taken, 5);
	assert_int_equal(metric_row_sum(reader, row, M_ROUTE_R_WS_OPEN), 5);
	metric_row_sub(m[1], row, M_ROUTE_R_WS_OPEN, 1);
	assert_true(metric_row_take(m[3], row, M_ROUTE_R_WS_OPEN, 5));
	metric_row_add(m[0], row, M_ROUTE_R_WS_IN, 3);
	metrics_adopt(m[0]); /* had two of them */
	assert_int_equal(metric_row_sum(reader, row, M_ROUTE_R_WS_OPEN), 3);
	assert_int_equal(metric_row_sum(reader, row, M_ROUTE_R_WS_IN), 3);
}

static void
rows_are_made_once(void **state)
{
	uint32_t route = metric_row(m[0], METRIC_ROUTE, 4, 1), number, incarnation;
	uint32_t again = metric_row(m[1], METRIC_ROUTE, 4, 1);
	uint32_t reused = metric_row(m[1], METRIC_ROUTE, 4, 3);
	uint32_t service = metric_row(m[1], METRIC_SERVICE, 4, 1);
	enum metric_scope scope;
	unsigned used = 0;

	(void)state;
	assert_int_not_equal(route, 0);
	assert_int_equal(route, again);
	assert_int_not_equal(route, reused);
	assert_int_not_equal(route, service);
	assert_int_equal(metric_rows(reader), ROWS);
	for (uint32_t row = 0; row < ROWS; row++)
		used += metric_row_key(reader, row, &scope, &number, &incarnation);
	assert_int_equal(used, 4);
	assert_int_equal(metric_row_key(reader, reused, &scope, &number, &incarnation), 1);
	assert_int_equal(scope, METRIC_ROUTE);
	assert_int_equal(number, 4);
	assert_int_equal(incarnation, 3);
	assert_int_equal(metric_row_key(reader, service, &scope, &number, &incarnation), 1);
	assert_int_equal(scope, METRIC_SERVICE);
	assert_int_equal(metric_row_key(reader, 0, &scope, &number, &incarnation), 1);
	assert_int_equal(number, UINT32_MAX);
	assert_int_equal(metric_row_key(reader, ROWS, &scope, &number, &incarnation), 0);

	metric_row_add(m[0], route, M_ROUTE_R_2XX, 3);
	metric_row_add(m[1], route, M_ROUTE_R_2XX, 4);
	metric_row_add(m[1], service, M_SERVICE_S_2XX, 5);
	assert_int_equal(metric_row_sum(reader, route, M_ROUTE_R_2XX), 7);
	assert_int_equal(metric_row_sum(reader, route, M_ROUTE_R_1XX), 0);
	assert_int_equal(metric_row_sum(reader, reused, M_ROUTE_R_2XX), 0);
	assert_int_equal(metric_row_sum(reader, service, M_SERVICE_S_2XX), 5);
}

static void
past_the_ceiling_all_is_other(void **state)
{
	unsigned rows = 0;

	(void)state;
	for (uint32_t n = 0; n < 10 * ROWS; n++) {
		uint32_t row = metric_row(m[0], METRIC_ROUTE, n, 1);

		rows += row != 0;
		metric_row_add(m[0], row, M_ROUTE_R_2XX, 1);
	}
	assert_int_equal(rows, ROWS - 1);
	assert_int_equal(metric_row_sum(reader, 0, M_ROUTE_R_2XX), 9 * ROWS + 1);
	/* `other` of one scope is not that of another. */
	assert_int_equal(metric_row(m[0], METRIC_SERVICE, 1, 1), 0);
	metric_row_add(m[0], 0, M_SERVICE_S_2XX, 1);
	metric_row_observe(m[0], 0, H_S_FIRST_BYTE, 1);
	assert_int_equal(metric_row_sum(reader, 0, M_SERVICE_S_2XX), 1);
	assert_int_equal(metric_row_sum(reader, 0, M_ROUTE_R_2XX), 9 * ROWS + 1);
	assert_int_equal(metric_row(m[0], METRIC_ROUTE, UINT32_MAX, 1), 0);
}

static void
histograms_fill_the_right_bucket(void **state)
{
	uint32_t row = metric_row(m[0], METRIC_ROUTE, 1, 1);
	uint64_t buckets[METRIC_BUCKETS], sum, expected = 0;

	(void)state;
	assert_int_equal(metric_bucket_us[METRIC_BUCKETS - 1], UINT64_MAX);
	for (unsigned b = 0; b + 1 < METRIC_BUCKETS; b++) {
		assert_true(metric_bucket_us[b] < metric_bucket_us[b + 1]);
		metric_row_observe(m[b % SLOTS], row, H_R_DURATION, metric_bucket_us[b]);
		metric_row_observe(m[b % SLOTS], row, H_R_DURATION, metric_bucket_us[b] + 1);
		expected += 2 * metric_bucket_us[b] + 1;
	}
	metric_row_histogram(reader, row, H_R_DURATION, buckets, &sum);
	assert_int_equal(sum, expected);
	assert_int_equal(buckets[0], 1); /* the bound itself is inside */
	for (unsigned b = 1; b + 1 < METRIC_BUCKETS; b++)
		assert_int_equal(buckets[b], 2);
	assert_int_equal(buckets[METRIC_BUCKETS - 1], 1);
	metric_row_histogram(reader, row, H_S_FIRST_BYTE, buckets, &sum); /* another's: in bounds */
}

static int
count(void *arg)
{
	struct metrics *own = metrics_open(&region, *(unsigned *)arg);

	for (uint32_t n = 0; n < 20000; n++) {
		uint32_t row = metric_row(own, METRIC_ROUTE, n % 100, 1);

		metric_row_add(own, row, M_ROUTE_R_2XX, 1);
		metric_add(own, M_PROC_REQUESTS, 1);
	}
	metrics_close(&own);
	return 0;
}

/* All race for the same rows, and there is no room for half of them. */
static void
processes_count_exactly(void **state)
{
	pid_t pid[SLOTS];
	unsigned slot[SLOTS], in_use = 0;
	uint64_t sum = 0, keys[ROWS];

	(void)state;
	for (unsigned i = 0; i < SLOTS; i++) {
		slot[i] = i;
		pid[i] = kit_start(count, &slot[i]);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		assert_int_equal(kit_wait(pid[i]), 0);
	assert_int_equal(metric_sum(reader, M_PROC_REQUESTS), SLOTS * 20000);
	for (uint32_t row = 0; row < ROWS; row++) {
		uint32_t number, incarnation;
		enum metric_scope scope;

		if (metric_row_key(reader, row, &scope, &number, &incarnation) != 1)
			continue;
		for (unsigned i = 0; i < in_use; i++)
			assert_int_not_equal(keys[i], number);
		keys[in_use++] = number;
		if (row != 0)
			assert_int_equal(metric_row_sum(reader, row, M_ROUTE_R_2XX), SLOTS * 200);
		sum += metric_row_sum(reader, row, M_ROUTE_R_2XX);
	}
	assert_int_equal(in_use, ROWS);
	assert_int_equal(sum, SLOTS * 20000);
}

static int
count_for_ever(void *arg)
{
	struct metrics *own = metrics_open(&region, 2);
	_Atomic uint64_t *told = arg;

	do
		metric_add(own, M_PROC_REQUESTS, 1);
	while (atomic_fetch_add(told, 1) < UINT64_MAX);
	return 0;
}

static void
a_killed_process_keeps_what_it_counted(void **state)
{
	_Atomic uint64_t *told = kit_shared(4096);

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		uint64_t before = atomic_load(told) - metric_sum(reader, M_PROC_REQUESTS), sum;
		pid_t pid = kit_start(count_for_ever, (void *)told);

		kit_let_run(told, 10, i % 50);
		kit_kill(pid);
		sum = metric_sum(reader, M_PROC_REQUESTS);
		/* It died between the two at most. */
		assert_true(sum - atomic_load(told) + before <= 1);
	}
	munmap((void *)told, 4096);
}

static void
sizes_that_do_not_fit(void **state)
{
	uint32_t *head = region.data; /* slots, rows */
	static const uint32_t sizes[][2] = {{0, ROWS}, {SLOTS, 0}, {SLOTS + 1, ROWS},
	    {SLOTS, ROWS + 100}, {UINT32_MAX, 1}, {1, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}};
	struct region small = {.head = region.head, .data = region.data, .size = 8};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		head[0] = sizes[i][0];
		head[1] = sizes[i][1];
		assert_null(metrics_open(&region, 0));
	}
	assert_null(metrics_open(&small, 0));
	assert_int_not_equal(metric_layout(SLOTS, ROWS), metric_layout(SLOTS, ROWS + 1));
	assert_int_not_equal(metric_layout(SLOTS, ROWS), metric_layout(SLOTS + 1, ROWS));
}

/* Sums look at no slot that no process ever had: its memory is not there yet. What a slot that
 * began counted, before or after, is in them. */
static void
slots_that_never_began_are_left_out(void **state)
{
	uint32_t row = metric_row(m[0], METRIC_ROUTE, 7, 1);
	uint64_t buckets[METRIC_BUCKETS], us;

	(void)state;
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		metric_add(m[slot], M_PROC_REQUESTS, 1 + slot);
		metric_reason(m[slot], REASON_NO_ROUTE);
		metric_row_add(m[slot], row, M_ROUTE_R_2XX, 1);
		metric_row_observe(m[slot], row, H_R_DURATION, 1);
	}
	for (unsigned n = 0; n <= SLOTS + 1; n++) {
		unsigned of = MIN(n, SLOTS); /* never past the last */

		metric_region_begun(&region, n);
		assert_int_equal(metric_sum(reader, M_PROC_REQUESTS), of * (of + 1) / 2);
		assert_int_equal(metric_reason_sum(reader, REASON_NO_ROUTE), of);
		assert_int_equal(metric_row_sum(reader, row, M_ROUTE_R_2XX), of);
		metric_row_histogram(reader, row, H_R_DURATION, buckets, &us);
		assert_int_equal(buckets[0], of);
		assert_int_equal(us, of);
		assert_int_equal(
		    metric_slot(reader, SLOTS - 1, M_PROC_REQUESTS), n < SLOTS ? 0 : SLOTS);
	}
}

static void
keys_of_another_version(void **state)
{
	_Atomic uint64_t *keys = (_Atomic uint64_t *)((char *)region.data + CACHE_LINE);
	enum metric_scope scope;
	uint32_t number, incarnation;

	(void)state;
	atomic_store(&keys[1], UINT64_MAX);
	atomic_store(&keys[2], 5);
	assert_int_equal(metric_row_key(reader, 1, &scope, &number, &incarnation), 0);
	assert_int_equal(metric_row_key(reader, 2, &scope, &number, &incarnation), 0);
}

static void
tables_are_complete(void **state)
{
	(void)state;
	for (unsigned i = 0; i < METRIC_ALL_COUNT; i++) {
		const struct metric_info *info = &metric_table[i];

		assert_memory_equal(info->exported, "gateway_", 8);
		assert_true(info->help[0] != '\0');
		if (info->kind == METRIC_COUNTER)
			assert_string_equal(info->exported + strlen(info->exported) - 6, "_total");
		assert_true(info->label[0] == '\0' || strchr(info->label, '=') != NULL);
	}
	for (unsigned i = 1; i < REASON_COUNT; i++) {
		assert_true(reason_table[i].word[0] != '\0');
		assert_true(reason_table[i].status == 0 || reason_table[i].title[0] != '\0');
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(reason_table[i].word, reason_table[j].word);
	}
	assert_int_equal(reason_table[REASON_NO_ROUTE].status, 404);
	assert_string_equal(reason_table[REASON_NO_ROUTE].name, "NO_ROUTE");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(every_cell_is_its_own, setup, teardown),
    TEST_WITH(a_new_process_takes_over, setup, teardown),
    TEST_WITH(a_gauge_may_have_a_bound, setup, teardown),
    TEST_WITH(rows_are_made_once, setup, teardown),
    TEST_WITH(past_the_ceiling_all_is_other, setup, teardown),
    TEST_WITH(histograms_fill_the_right_bucket, setup, teardown),
    TEST_WITH(processes_count_exactly, setup, teardown),
    TEST_WITH(a_killed_process_keeps_what_it_counted, setup, teardown),
    TEST_WITH(sizes_that_do_not_fit, setup, teardown),
    TEST_WITH(slots_that_never_began_are_left_out, setup, teardown),
    TEST_WITH(keys_of_another_version, setup, teardown),
    TEST(tables_are_complete),
};
RUN_TESTS(tests)
