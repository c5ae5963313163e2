/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits of one route (G-FR-007).
 */
#include "test/unit/worker/policy/kit.h"

static void
announced_bodies_are_measured(void **state)
{
	(void)state;
	kit_use(&policy_size_limit, "body = \"1k\";");
	kit.r.body_limit = 10;
	kit.r.in.has_length = true;
	kit.r.in.length = 1024;
	assert_int_equal(kit_answer(), VERDICT_PASS);
	assert_int_equal(kit.r.body_limit, 1024); /* may raise as well as lower */
	kit.r.in.length = 1025;
	assert_int_equal(kit_answer(), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 413);
}

static void
others_are_counted_against_the_limit(void **state)
{
	(void)state;
	kit_use(&policy_size_limit, "body = 5;");
	kit.r.body_limit = 1000;
	kit.r.in.body = BODY_CHUNKED;
	assert_int_equal(kit_answer(), VERDICT_PASS);
	assert_int_equal(kit.r.body_limit, 5);
}

static void
header_fields_are_measured(void **state)
{
	(void)state;
	kit_use(&policy_size_limit, "headers = 40;");
	kit.r.body_limit = 77;
	assert_int_equal(kit_answer(), VERDICT_PASS);
	assert_int_equal(kit.r.body_limit, 77); /* not its business */
	head_add(&kit.r.in, STR("X-More"), STR("0123456789012345"));
	assert_int_equal(kit_answer(), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 431);
	head_remove(&kit.r.in, STR("X-More"));
	assert_int_equal(kit_answer(), VERDICT_PASS);
}

static void
settings_are_checked(void **state)
{
	(void)state;
	kit_wrong(&policy_size_limit, "", "neither body nor headers");
	kit_wrong(&policy_size_limit, "body = \"much\";", "body");
	kit_wrong(&policy_size_limit, "body = -1;", "body");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(announced_bodies_are_measured, NULL, kit_teardown),
    TEST_WITH(others_are_counted_against_the_limit, NULL, kit_teardown),
    TEST_WITH(header_fields_are_measured, NULL, kit_teardown),
    TEST_WITH(settings_are_checked, NULL, kit_teardown),
};
RUN_TESTS(tests)
