/* SPDX-License-Identifier: Apache-2.0
 *
 * Preflights and answers across origins.
 */
#include "test/unit/worker/policy/kit.h"

#define USE                                                                                        \
	"origins = [ \"https://shop.example.com\", \"https://*.example.org\" ]; credentials = "    \
	"true;"                                                                                    \
	"methods = [ \"GET\", \"PUT\" ]; headers = [ \"X-A\", \"Content-Type\" ]; expose = [ "     \
	"\"X-Request-Id\", \"X-B\" ];"

static void
page(const char *origin)
{
	kit_request();
	if (origin)
		head_add(&kit.r.in, STR("origin"), str_of(origin));
}

static enum verdict
preflight(const char *origin, const char *method, const char *headers)
{
	page(origin);
	kit.r.in.method = METHOD_OPTIONS;
	kit.r.in.method_text = STR("OPTIONS");
	head_add(&kit.r.in, STR("Access-Control-Request-Method"), str_of(method));
	if (headers)
		head_add(&kit.r.in, STR("access-control-request-headers"), str_of(headers));
	return kit_answer();
}

static void
respond(void)
{
	kit.use.type->hooks->response(&kit.r, &kit.use);
}

static void
preflights_are_answered_here(void **state)
{
	(void)state;
	kit_use(&policy_cors, USE);
	assert_int_equal(
	    preflight("https://a.example.org", "PUT", "x-a, content-type"), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 204);
	respond();
	assert_head(&kit.r.out, "Vary: Origin\n"
				"Access-Control-Allow-Origin: https://a.example.org\n"
				"Access-Control-Allow-Credentials: true\n"
				"Access-Control-Allow-Methods: GET, PUT\n"
				"Access-Control-Allow-Headers: X-A, Content-Type\n"
				"Access-Control-Max-Age: 600\n");
}

static void
what_may_not_is_refused(void **state)
{
	(void)state;
	kit_use(&policy_cors, USE);
	assert_int_equal(preflight("https://evil.example", "GET", NULL), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.reason, REASON_CORS);
	respond();
	assert_head(&kit.r.out, "Vary: Origin\n");
	assert_int_equal(preflight("https://shop.example.com", "DELETE", NULL), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 403);
	assert_int_equal(preflight("https://shop.example.com", "GET", "x-other"), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 403);
	assert_int_equal(
	    preflight("https://shop.example.com.evil.example", "GET", NULL), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 403);
}

/* The service's own words are taken away: two answers are an error to browsers. */
static void
answers_say_who_may_read(void **state)
{
	(void)state;
	kit_use(&policy_cors, USE);
	page("https://shop.example.com");
	assert_int_equal(kit_answer(), VERDICT_PASS);
	head_add(&kit.r.out, STR("access-control-allow-origin"), STR("*"));
	respond();
	assert_head(&kit.r.out, "Vary: Origin\n"
				"Access-Control-Allow-Origin: https://shop.example.com\n"
				"Access-Control-Allow-Credentials: true\n"
				"Access-Control-Expose-Headers: X-Request-Id, X-B\n");
	page("https://evil.example");
	assert_int_equal(kit_answer(), VERDICT_PASS);
	head_add(&kit.r.out, STR("Access-Control-Allow-Origin"), STR("*"));
	respond();
	assert_head(&kit.r.out, "Vary: Origin\n");
	page(NULL);
	assert_int_equal(kit_answer(), VERDICT_PASS);
	respond();
	assert_head(&kit.r.out, "Vary: Origin\n");
}

static void
others_may_be_rejected(void **state)
{
	(void)state;
	kit_use(&policy_cors, "origins = [ \"https://a.example\" ]; reject = true;");
	page("https://b.example");
	assert_int_equal(kit_answer(), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.reason, REASON_CORS);
	page(NULL);
	assert_int_equal(kit_answer(), VERDICT_PASS);
}

static void
a_star_is_any(void **state)
{
	(void)state;
	kit_use(&policy_cors, "origins = \"*\"; max_age = \"1h\";");
	assert_int_equal(preflight("null", "DELETE", "x-any, authorization"), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 204);
	respond();
	assert_head(&kit.r.out,
	    "Access-Control-Allow-Origin: *\n"
	    "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE\n"
	    "Access-Control-Allow-Headers: x-any, authorization\n"
	    "Access-Control-Max-Age: 3600\n");
	assert_int_equal(preflight("null", "GET", "x-any, a b"), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 403);
}

/* OPTIONS that is no preflight is the service's. */
static void
other_options_pass(void **state)
{
	(void)state;
	kit_use(&policy_cors, "origins = \"*\";");
	page("https://a.example");
	kit.r.in.method = METHOD_OPTIONS;
	assert_int_equal(kit_answer(), VERDICT_PASS);
}

static void
settings_are_checked(void **state)
{
	(void)state;
	kit_wrong(&policy_cors, "", "origins");
	kit_wrong(&policy_cors, "origins = \"example.com\";", "an origin has a scheme");
	kit_wrong(&policy_cors, "origins = \"*\"; credentials = true;", "any origin could act");
	kit_wrong(&policy_cors, "origins = [ \"*\", \"https://a.example\" ];", "origins");
	kit_wrong(&policy_cors, "origins = \"*\"; methods = \"GE T\";", "not a name of HTTP");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(preflights_are_answered_here, NULL, kit_teardown),
    TEST_WITH(what_may_not_is_refused, NULL, kit_teardown),
    TEST_WITH(answers_say_who_may_read, NULL, kit_teardown),
    TEST_WITH(others_may_be_rejected, NULL, kit_teardown),
    TEST_WITH(a_star_is_any, NULL, kit_teardown),
    TEST_WITH(other_options_pass, NULL, kit_teardown),
    TEST_WITH(settings_are_checked, NULL, kit_teardown),
};
RUN_TESTS(tests)
