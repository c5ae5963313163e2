/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults: the stated share, the stated delay, and WAIT with one waker.
 */
#include "test/unit/worker/policy/kit.h"

#include "shm/base/rnd.h"

static void
a_delay_waits_once(void **state)
{
	(void)state;
	kit_use(&policy_fault, "delay = { percent = 100; duration = \"300ms\"; };");
	assert_int_equal(kit_answer(), VERDICT_WAIT);
	assert_int_equal(kit.waited_ms, 300);
	kit.waited_ms = 0;
	assert_int_equal(kit_answer(), VERDICT_PASS);
	assert_int_equal(kit.waited_ms, 0);
}

static void
an_abort_answers(void **state)
{
	(void)state;
	kit_use(&policy_fault, "abort = { status = 503; };");
	assert_int_equal(kit_answer(), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 503);
	assert_int_equal(kit.r.reply.reason, REASON_FAULT);
	assert_int_equal(kit.r.reply.content_type.n, 0); /* a problem, as other errors */
}

static void
both_come_in_order(void **state)
{
	(void)state;
	kit_use(&policy_fault, "delay = { duration = \"1s\"; }; abort = { status = 500; };");
	assert_int_equal(kit_answer(), VERDICT_WAIT);
	assert_false(kit.r.reply.set);
	assert_int_equal(kit_answer(), VERDICT_REPLY);
}

static void
shares_are_met(void **state)
{
	unsigned waits = 0, aborts = 0;

	(void)state;
	rnd_init();
	kit_use(&policy_fault, "delay = { percent = 25; duration = \"1s\"; }; abort = { percent = "
			       "50; status = 500; };");
	for (unsigned i = 0; i < 4000; i++) {
		enum verdict v;

		kit_request();
		v = kit_answer();
		if (v == VERDICT_WAIT) {
			waits++;
			v = kit_answer();
		}
		assert_int_not_equal(v, VERDICT_WAIT);
		aborts += v == VERDICT_REPLY;
	}
	assert_in_range(waits, 850, 1150); /* five standard deviations */
	assert_in_range(aborts, 1840, 2160);
}

static void
none_means_none(void **state)
{
	(void)state;
	kit_use(&policy_fault, "abort = { percent = 0; status = 500; };");
	for (unsigned i = 0; i < 1000; i++) {
		kit_request();
		assert_int_equal(kit_answer(), VERDICT_PASS);
	}
}

static void
settings_are_checked(void **state)
{
	(void)state;
	kit_wrong(&policy_fault, "", "no fault");
	kit_wrong(&policy_fault, "abort = { status = 100; };", "abort.status");
	kit_wrong(&policy_fault, "abort = { status = 600; };", "status");
	kit_wrong(&policy_fault, "abort = { percent = 101; status = 500; };", "percent");
	kit_wrong(&policy_fault, "delay = { duration = 5; };", "duration");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_delay_waits_once, NULL, kit_teardown),
    TEST_WITH(an_abort_answers, NULL, kit_teardown),
    TEST_WITH(both_come_in_order, NULL, kit_teardown),
    TEST_WITH(shares_are_met, NULL, kit_teardown),
    TEST_WITH(none_means_none, NULL, kit_teardown),
    TEST_WITH(settings_are_checked, NULL, kit_teardown),
};
RUN_TESTS(tests)
