/* SPDX-License-Identifier: Apache-2.0
 *
 * The path the upstream sees (G-FR-001, G-FR-002, R-1.3).
 */
#include "test/unit/worker/policy/kit.h"

static void
becomes(const char *from, const char *to)
{
	kit_request();
	kit.r.up_path = str_of(from);
	kit.use.type->hooks->request(&kit.r, &kit.use);
	assert_str(kit.r.up_path, to);
}

static void
prefixes_end_at_segments(void **state)
{
	(void)state;
	kit_use(&policy_rewrite, "prefix = \"/api/service1\"; to = \"/api\";");
	becomes("/api/service1/orders", "/api/orders");
	becomes("/api/service1", "/api");
	becomes("/api/service1/", "/api/");
	becomes("/api/service10/orders", "/api/service10/orders");
	becomes("/api/service", "/api/service");
	becomes("/other", "/other");
	becomes("*", "*");
	kit_use(&policy_rewrite, "prefix = \"/a/\"; to = \"/\";");
	becomes("/a/b", "/b");
	becomes("/a", "/");
	becomes("/ab", "/ab");
	kit_use(&policy_rewrite, "prefix = \"/a\"; to = \"\";");
	becomes("/a/b/c", "/b/c");
	becomes("/a", "/");
	becomes("/a/", "/");
	kit_use(&policy_rewrite, "prefix = \"/\"; to = \"/v1/\";");
	becomes("/x", "/v1/x");
	becomes("/", "/v1/");
}

static void
whole_paths_come_from_templates(void **state)
{
	(void)state;
	kit_use(&policy_rewrite, "path = \"/v2/{id}/{rest}\";");
	becomes("/users/7", "/v2/7/a/b");
	kit_use(&policy_rewrite, "path = \"/t/{header.X-T}/x\";");
	becomes("/", "/t//x");
	kit_request();
	head_add(&kit.r.in, STR("X-T"), STR("../../etc"));
	kit.use.type->hooks->request(&kit.r, &kit.use);
	assert_str(kit.r.up_path, "/"); /* the dots and the slash would climb: refused as a whole */
	kit_request();
	head_add(&kit.r.in, STR("X-T"), STR("a/b?c"));
	kit.use.type->hooks->request(&kit.r, &kit.use);
	assert_str(kit.r.up_path, "/t/a%2Fb%3Fc/x");
}

static void
what_a_regex_matches_is_replaced(void **state)
{
	(void)state;
	kit_use(&policy_rewrite, "regex = \"^/old/([0-9]+)(/x)?$\"; to = \"/new/$1/$2$$\";");
	becomes("/old/12", "/new/12/$");
	becomes("/old/12/x", "/new/12//x$");
	becomes("/old/a", "/old/a");
	kit_use(&policy_rewrite, "regex = \"/b\"; to = \"\";");
	becomes("/a/b/c", "/a/c");
	becomes("/b", "/");
	kit_use(&policy_rewrite, "regex = \"^/a\"; to = \"/../..\";");
	becomes("/a/b", "/");
}

static void
settings_are_checked(void **state)
{
	(void)state;
	kit_wrong(&policy_rewrite, "", "exactly one of");
	kit_wrong(&policy_rewrite, "prefix = \"/a\"; path = \"/b\";", "exactly one of");
	kit_wrong(&policy_rewrite, "prefix = \"/a\";", "`to` is missing");
	kit_wrong(&policy_rewrite, "prefix = \"a\"; to = \"/b\";", "prefix");
	kit_wrong(&policy_rewrite, "prefix = \"/a\"; to = \"b c\";", "to: ");
	kit_wrong(&policy_rewrite, "path = \"v2\";", "begin with");
	kit_wrong(&policy_rewrite, "path = \"/{request.di}\";", "request.di");
	kit_wrong(&policy_rewrite, "path = \"/a\"; to = \"/b\";", "to: ");
	kit_wrong(&policy_rewrite, "regex = \"(\"; to = \"/b\";", "regex: ");
	kit_wrong(&policy_rewrite, "regex = \"a\"; to = \"/$x\";", "lone dollar");
	kit_wrong(&policy_rewrite, "regex = \"a\"; to = \"/$\";", "lone dollar");
}

static void
take(void *arg, struct str name)
{
	*(struct str *)arg = name;
}

static void
parameters_are_told(void **state)
{
	struct str name = STR("");

	(void)state;
	kit_use(&policy_rewrite, "path = \"/v2/{idd}\";");
	policy_rewrite.params(kit.use.conf, take, &name);
	assert_str(name, "idd");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(prefixes_end_at_segments, NULL, kit_teardown),
    TEST_WITH(whole_paths_come_from_templates, NULL, kit_teardown),
    TEST_WITH(what_a_regex_matches_is_replaced, NULL, kit_teardown),
    TEST_WITH(settings_are_checked, NULL, kit_teardown),
    TEST_WITH(parameters_are_told, NULL, kit_teardown),
};
RUN_TESTS(tests)
