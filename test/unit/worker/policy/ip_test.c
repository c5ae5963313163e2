/* SPDX-License-Identifier: Apache-2.0
 *
 * Allow and deny lists (S-SEC-1, E-2).
 */
#include "test/unit/worker/policy/kit.h"

static enum verdict
from(const char *ip)
{
	kit_request();
	assert_int_equal(addr_ip(str_of(ip), &kit.r.client), 1);
	return kit_answer();
}

static void
denied_blocks_are_denied(void **state)
{
	(void)state;
	kit_use(&policy_ip, "deny = [ \"192.0.2.0/24\", \"2001:db8::/32\" ];");
	assert_int_equal(from("192.0.2.255"), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 403);
	assert_int_equal(kit.r.reply.reason, REASON_IP_DENIED);
	assert_int_equal(from("192.0.3.0"), VERDICT_PASS);
	assert_false(kit.r.reply.set);
	assert_int_equal(from("2001:db8:1::7"), VERDICT_REPLY);
	assert_int_equal(from("2001:db9::7"), VERDICT_PASS);
}

static void
where_some_are_allowed_others_are_not(void **state)
{
	(void)state;
	kit_use(&policy_ip, "allow = [ \"10.0.0.0/8\", \"::1\" ]; deny = [ \"10.9.0.0/16\" ];");
	assert_int_equal(from("10.1.2.3"), VERDICT_PASS);
	assert_int_equal(from("::1"), VERDICT_PASS);
	assert_int_equal(from("10.9.2.3"), VERDICT_REPLY); /* deny wins */
	assert_int_equal(from("11.1.2.3"), VERDICT_REPLY);
	assert_int_equal(from("::2"), VERDICT_REPLY);
	kit_request();
	kit.r.client = (struct addr){.family = AF_UNIX};
	assert_int_equal(kit_answer(), VERDICT_REPLY);
}

static void
mapped_addresses_are_ipv4(void **state)
{
	(void)state;
	kit_use(&policy_ip, "allow = \"10.0.0.1\";");
	assert_int_equal(from("::ffff:10.0.0.1"), VERDICT_PASS);
	assert_int_equal(from("10.0.0.2"), VERDICT_REPLY);
}

static void
settings_are_checked(void **state)
{
	(void)state;
	kit_wrong(&policy_ip, "", "neither allow nor deny");
	kit_wrong(&policy_ip, "allow = \"10.0.0.0/33\";", "allow");
	kit_wrong(&policy_ip, "allow = \"example.com\";", "allow");
	kit_wrong(&policy_ip, "alow = \"10.0.0.0/8\";", "allow");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(denied_blocks_are_denied, NULL, kit_teardown),
    TEST_WITH(where_some_are_allowed_others_are_not, NULL, kit_teardown),
    TEST_WITH(mapped_addresses_are_ipv4, NULL, kit_teardown),
    TEST_WITH(settings_are_checked, NULL, kit_teardown),
};
RUN_TESTS(tests)
