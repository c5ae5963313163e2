/* SPDX-License-Identifier: Apache-2.0
 *
 * Trace context: passed on where it is one, made where not.
 */
#include "test/unit/harness.h"

#include "shm/base/rnd.h"
#include "worker/obs/trace.h"

#define ID     "0af7651916cd43dd8448eb211c80319c"
#define PARENT "00-" ID "-b7ad6b7169203331-01"

static struct req r;

static int
setup(void **state)
{
	(void)state;
	rnd_init();
	r = (struct req){.magic = REQ_MAGIC};
	ws_init(&r.ws, NULL, 0);
	head_init(&r.in, &r.ws, true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ws_free(&r.ws);
	return 0;
}

static void
assert_str(struct str s, const char *want)
{
	if (!str_eq(s, str_of(want)))
		fail_msg("\"%.*s\" instead of \"%s\"", STR_ARG(s), want);
}

static const struct {
	const char *text;
	int good;
} rows[] = {
    {PARENT, 1},
    {"00-" ID "-b7ad6b7169203331-00", 1},
    {"01-" ID "-b7ad6b7169203331-01", 1},
    {"cc-" ID "-b7ad6b7169203331-01-more", 1},
    {"ff-" ID "-b7ad6b7169203331-01", 0},
    {"00-" ID "-b7ad6b7169203331-01-more", 0},
    {"cc-" ID "-b7ad6b7169203331-01more", 0},
    {"00-00000000000000000000000000000000-b7ad6b7169203331-01", 0},
    {"00-" ID "-0000000000000000-01", 0},
    {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", 0},
    {"00-" ID "-b7ad6b716920333-01", 0},
    {"00-" ID "_b7ad6b7169203331-01", 0},
    {"00-" ID "-b7ad6b7169203331-0g", 0},
    {"0-" ID "-b7ad6b7169203331-010", 0},
    {"", 0},
    {"00", 0},
};

static void
traceparents_are_read_strictly(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct str id = STR("");

		if (trace_parse(str_of(rows[i].text), &id) != rows[i].good)
			fail_msg("row %u: %s", i, rows[i].text);
		assert_str(id, rows[i].good ? ID : "");
	}
}

static void
a_good_one_goes_on(void **state)
{
	(void)state;
	head_add(&r.in, STR("Traceparent"), STR(PARENT));
	head_add(&r.in, STR("tracestate"), STR("a=b"));
	trace_begin(&r);
	assert_str(r.trace_id, ID);
	trace_forward(&r);
	assert_int_equal(r.in.n, 2);
	assert_str(head_value(&r.in, HDR_TRACEPARENT), PARENT);
	assert_str(head_value(&r.in, HDR_TRACESTATE), "a=b");
}

static void
a_later_version_goes_on_as_ours(void **state)
{
	(void)state;
	head_add(&r.in, STR("traceparent"), STR("cc-" ID "-b7ad6b7169203331-01-more"));
	head_add(&r.in, STR("tracestate"), STR("a=b"));
	trace_begin(&r);
	assert_str(r.trace_id, ID);
	trace_forward(&r);
	assert_str(head_value(&r.in, HDR_TRACEPARENT), PARENT);
	assert_str(head_value(&r.in, HDR_TRACESTATE), "a=b");
}

static void
assert_made(void)
{
	struct str id;

	trace_begin(&r);
	trace_forward(&r);
	assert_int_equal(trace_parse(head_value(&r.in, HDR_TRACEPARENT), &id), 1);
	assert_true(str_eq(id, r.trace_id));
	assert_false(str_eq(id, STR(ID)));
	assert_null(head_next(&r.in, head_get(&r.in, HDR_TRACEPARENT)));
	assert_null(head_get(&r.in, HDR_TRACESTATE));
}

static void
anything_else_is_replaced(void **state)
{
	struct str first;

	(void)state;
	head_add(&r.in, STR("tracestate"), STR("a=b"));
	assert_made();
	first = r.trace_id;
	head_init(&r.in, &r.ws, true);
	head_add(&r.in, STR("traceparent"), STR("nonsense"));
	assert_made();
	assert_false(str_eq(first, r.trace_id));
	head_init(&r.in, &r.ws, true);
	head_add(&r.in, STR("traceparent"), STR(PARENT));
	head_add(&r.in, STR("traceparent"), STR(PARENT)); /* two are none */
	assert_made();
}

static const struct CMUnitTest tests[] = {
    TEST(traceparents_are_read_strictly),
    TEST_WITH(a_good_one_goes_on, setup, teardown),
    TEST_WITH(a_later_version_goes_on_as_ours, setup, teardown),
    TEST_WITH(anything_else_is_replaced, setup, teardown),
};
RUN_TESTS(tests)
