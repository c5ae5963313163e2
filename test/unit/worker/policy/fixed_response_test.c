/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers from the configuration.
 */
#include "test/unit/worker/policy/kit.h"

static void
a_page_with_values(void **state)
{
	(void)state;
	assert_true(policy_fixed_response.answers);
	kit_use(&policy_fixed_response,
	    "status = 503; content_type = \"application/json\";"
	    " body = \"{{\\\"path\\\":\\\"{path}\\\",\\\"x\\\":\\\"{header.X}\\\"}\";"
	    " headers = ( { name = \"Retry-After\"; value = \"120\"; } );");
	head_add(&kit.r.in, STR("X"), STR("a\"b"));
	assert_int_equal(kit_answer(), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 503);
	assert_str(kit.r.reply.content_type, "application/json");
	assert_str(kit.r.reply.body, "{\"path\":\"/users/7\",\"x\":\"a\\\"b\"}");
	head_add(&kit.r.out, STR("retry-after"), STR("1"));
	kit.use.type->hooks->response(&kit.r, &kit.use);
	assert_head(&kit.r.out, "Retry-After: 120\n");
}

static void
a_redirect(void **state)
{
	(void)state;
	kit_use(&policy_fixed_response, "location = \"https://{host}/new/{rest}?q={query.q}\";");
	assert_int_equal(kit_answer(), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 302);
	assert_int_equal(kit.r.reply.body.n, 0);
	assert_non_null(kit.r.reply.body.p);
	kit.use.type->hooks->response(&kit.r, &kit.use);
	assert_head(&kit.r.out, "Location: https://shop.example.com/new/a/b?q=1\n");
}

/* Another policy, or the upstream, answered: nothing of ours goes into that. */
static void
answers_of_others_stay(void **state)
{
	(void)state;
	kit_use(&policy_fixed_response, "status = 301; location = \"/x\";");
	head_add(&kit.r.out, STR("A"), STR("b"));
	kit.use.type->hooks->response(&kit.r, &kit.use);
	assert_head(&kit.r.out, "A: b\n");
}

static void
html_is_escaped(void **state)
{
	(void)state;
	kit_use(&policy_fixed_response,
	    "content_type = \"text/html; charset=utf-8\"; body = \"<p>{header.X}</p>\";");
	head_add(&kit.r.in, STR("X"), STR("<script>"));
	assert_int_equal(kit_answer(), VERDICT_REPLY);
	assert_str(kit.r.reply.body, "<p>&lt;script&gt;</p>");
}

static void
settings_are_checked(void **state)
{
	(void)state;
	kit_wrong(&policy_fixed_response, "status = 100;", "status");
	kit_wrong(&policy_fixed_response, "status = 200; location = \"/x\";", "location");
	kit_wrong(&policy_fixed_response, "status = 204; body = \"x\";", "body");
	kit_wrong(&policy_fixed_response, "body = \"{\";", "body");
	kit_wrong(&policy_fixed_response, "location = \"{no.such}\";", "location");
	kit_wrong(&policy_fixed_response, "content_type = \"a\\nb\";", "content_type");
	kit_wrong(&policy_fixed_response,
	    "headers = ( { name = \"Content-Length\"; value = \"1\"; } );", "headers");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_page_with_values, NULL, kit_teardown),
    TEST_WITH(a_redirect, NULL, kit_teardown),
    TEST_WITH(answers_of_others_stay, NULL, kit_teardown),
    TEST_WITH(html_is_escaped, NULL, kit_teardown),
    TEST_WITH(settings_are_checked, NULL, kit_teardown),
};
RUN_TESTS(tests)
