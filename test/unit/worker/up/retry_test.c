/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of what may be tried again (RFC 9110 9.2.2, RFC 9112 9.3.1).
 */
#include "test/unit/harness.h"
#include "worker/up/retry.h"

/* The whole table: every combination of facts, against the rules said another way. */
static void
every_case(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 256; bits++) {
		struct retry_facts f = {.connected = bits & 1,
		    .reused = bits & 2,
		    .response = bits & 4,
		    .sent = bits & 8,
		    .idempotent = bits & 16,
		    .body_used = bits & 32,
		    .over = bits & 64,
		    .fresh_used = bits & 128,
		    .tries = 1,
		    .allowed = 3};
		enum retry got = retry_decide(&f);

		if (f.response || f.body_used || f.over)
			assert_int_equal(got, RETRY_NO);
		else if (!f.connected)
			assert_int_equal(got, RETRY_NEXT);
		else if (!f.reused || f.fresh_used)
			assert_int_equal(got, RETRY_NO);
		else
			assert_int_equal(got, f.idempotent || !f.sent ? RETRY_FRESH : RETRY_NO);
	}
}

static void
a_refused_connection_goes_to_the_next(void **state)
{
	struct retry_facts f = {.tries = 1, .allowed = 3};

	(void)state;
	assert_int_equal(retry_decide(&f), RETRY_NEXT); /* a POST too: nothing was sent */
	f.tries = 2;
	assert_int_equal(retry_decide(&f), RETRY_NEXT);
	f.tries = 3;
	assert_int_equal(retry_decide(&f), RETRY_NO);
	f = (struct retry_facts){.tries = 1, .allowed = 1};
	assert_int_equal(retry_decide(&f), RETRY_NO);
}

/* The endpoint closed an idle connection under our request: once more, even where only one try is
 * allowed. */
static void
a_stale_connection_is_made_anew(void **state)
{
	struct retry_facts f = {.connected = true,
	    .reused = true,
	    .sent = true,
	    .idempotent = true,
	    .tries = 1,
	    .allowed = 1};

	(void)state;
	assert_int_equal(retry_decide(&f), RETRY_FRESH);
	f.fresh_used = true;
	assert_int_equal(retry_decide(&f), RETRY_NO);
}

static void
a_post_is_sent_once(void **state)
{
	struct retry_facts f = {
	    .connected = true, .reused = true, .sent = true, .tries = 1, .allowed = 9};

	(void)state;
	assert_int_equal(retry_decide(&f), RETRY_NO);
	f.sent = false; /* the write failed at once: not an octet went out */
	assert_int_equal(retry_decide(&f), RETRY_FRESH);
	f.body_used = true;
	assert_int_equal(retry_decide(&f), RETRY_NO);
}

static const struct CMUnitTest tests[] = {
    TEST(every_case),
    TEST(a_refused_connection_goes_to_the_next),
    TEST(a_stale_connection_is_made_anew),
    TEST(a_post_is_sent_once),
};
RUN_TESTS(tests)
