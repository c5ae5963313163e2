/* SPDX-License-Identifier: Apache-2.0
 *
 * Header fields removed, set, added.
 */
#include "test/unit/worker/policy/kit.h"

static void
requests_are_changed(void **state)
{
	(void)state;
	kit_use(&policy_headers,
	    "request = { remove = [ \"X-Debug\" ];"
	    " set = ( { name = \"X-User\"; value = \"u-{id}\"; }, { name = \"X-Ip\"; value = "
	    "\"{client.ip}\"; } );"
	    " add = ( { name = \"X-Tag\"; value = \"b\"; } ); };");
	head_add(&kit.r.in, STR("x-debug"), STR("1"));
	head_add(&kit.r.in, STR("X-User"), STR("forged"));
	head_add(&kit.r.in, STR("x_user"), STR("forged"));
	head_add(&kit.r.in, STR("X-Tag"), STR("a"));
	head_add(&kit.r.out, STR("X-Tag"), STR("answer"));
	kit.use.type->hooks->request(&kit.r, &kit.use);
	kit.use.type->hooks->response(&kit.r, &kit.use);
	assert_head(&kit.r.in, "Host: shop.example.com\nX-Tag: a\nX-User: u-7\nX-Ip: 192.0.2.1\n"
			       "X-Tag: b\n");
	assert_head(&kit.r.out, "X-Tag: answer\n");
}

static void
answers_are_changed(void **state)
{
	(void)state;
	kit_use(&policy_headers, "response = { remove = [ \"Server\", \"X-Powered-By\" ];"
				 " set = ( { name = \"X-Route\"; value = \"{route}\"; } ); };");
	head_add(&kit.r.out, STR("Server"), STR("secret"));
	head_add(&kit.r.out, STR("X-Route"), STR("old"));
	kit.use.type->hooks->request(&kit.r, &kit.use);
	kit.use.type->hooks->response(&kit.r, &kit.use);
	assert_head(&kit.r.in, "Host: shop.example.com\n");
	assert_head(&kit.r.out, "X-Route: users\n");
}

static void
settings_are_checked(void **state)
{
	(void)state;
	kit_wrong(&policy_headers, "request = { set = ( { name = \"a b\"; value = \"x\"; } ); };",
	    "not the name of a header field");
	kit_wrong(&policy_headers, "request = { set = ( { name = \"a\"; } ); };", "value");
	kit_wrong(&policy_headers, "request = { add = ( { name = \"a\"; value = \"{x.y}\"; } ); };",
	    "no such value");
	kit_wrong(&policy_headers,
	    "request = { add = ( { name = \"a\"; value = \"x\\r\\ny\"; } ); };", "one line");
	kit_wrong(&policy_headers, "request = { remove = [ \"Content-Length\" ]; };",
	    "belongs to the connection");
	kit_wrong(&policy_headers,
	    "response = { set = ( { name = \"transfer_encoding\"; value = \"x\"; } ); };",
	    "belongs to the connection");
	kit_wrong(&policy_headers, "request = { set = ( { name = \"Host\"; value = \"x\"; } ); };",
	    "service");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(requests_are_changed, NULL, kit_teardown),
    TEST_WITH(answers_are_changed, NULL, kit_teardown),
    TEST_WITH(settings_are_checked, NULL, kit_teardown),
};
RUN_TESTS(tests)
