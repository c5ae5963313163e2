/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects as JSON and back: what a file says, said in JSON, is the same object to the octet.
 * F-CFG-01.
 */
#include "test/unit/conf/load_kit.h"

#include "conf/document.h"
#include "conf/show.h"

static json_t *
json_of(const char *text)
{
	json_error_t error;
	json_t *j = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (j == NULL)
		print_error("%s: %s\n", error.text, text);
	assert_non_null(j);
	return j;
}

/* One object from JSON; what the report says is left in k->check. */
static int
object(struct load_kit *k, enum conf_kind kind, const char *id, const char *text,
    struct conf_object *o)
{
	json_t *j = json_of(text);
	int rc;

	check_free(&k->check);
	rc = document_object(kind, str_of(id), STR("admin"), j, &k->r.ws, o, &k->check);
	json_decref(j);
	assert_int_equal(rc == 1, k->check.errors == 0);
	assert_null(k->check.ws);
	return rc;
}

static void
refused(struct load_kit *k, enum conf_kind kind, const char *text, const char *report)
{
	struct conf_object o;

	assert_int_equal(object(k, kind, "orders", text, &o), -1);
	assert_report(k, report);
}

static void
an_object_is_complete(void **state)
{
	struct load_kit *k = *state;
	struct conf_object o;
	struct conf_route *r;

	assert_int_equal(object(k, CONF_ROUTE, "orders",
			     "{\"id\":\"orders\",\"_meta\":{\"x\":null},\"path\":\"/a/*\","
			     "\"host\":[\"Example.COM\"],\"service\":\"s\",\"priority\":7,"
			     "\"timeouts\":{\"total\":\"5s\"},\"limits\":{\"body\":4096}}",
			     &o),
	    1);
	assert_int_equal(o.kind, CONF_ROUTE);
	assert_str(o.id, "orders");
	assert_str(o.source, "admin");
	assert_str(o.file, "");
	assert_str(o.override, "");
	assert_int_equal(o.line, 0);
	assert_int_equal(o.number, 0);
	assert_int_equal(o.version, 0);
	r = object_body(&o, &k->r.ws);
	assert_non_null(r);
	assert_str(r->path.v[0], "/a/*");
	assert_str(r->host.v[0], "example.com");
	assert_int_equal(r->priority, 7);
	assert_int_equal(r->timeouts.total, 5000);
}

static void
endpoints_with_addresses_and_names(void **state)
{
	struct load_kit *k = *state;
	const struct conf_endpoint *e;
	const struct conf_service *s;
	struct conf_object o;

	assert_int_equal(object(k, CONF_SERVICE, "s",
			     "{\"endpoints\":[{\"url\":\"http://10.0.0.1:81/b\"},"
			     "{\"url\":\"unix:/run/a.sock\"},{\"url\":\"http://name.test\"}]}",
			     &o),
	    1);
	s = object_body(&o, &k->r.ws);
	assert_int_equal(s->endpoints.n, 3);
	e = s->endpoints.v;
	assert_int_equal(e[0].addresses.n, 1);
	assert_str(e[0].base_path, "/b");
	assert_str(e[0].resolve_error, "");
	assert_int_equal(e[1].addresses.n, 1);
	assert_int_equal(e[2].addresses.n, 0);
	assert_str(e[2].resolve_error, "not looked up yet");
	assert_str(e[2].host, "name.test");
}

static void
every_error_names_its_field(void **state)
{
	struct load_kit *k = *state;
	static const struct {
		enum conf_kind kind;
		const char *text, *report;
	} cases[] = {
	    {CONF_ROUTE, "[]",
		"routes[orders]: not an object; allowed: { \"name\": value, ... }\n"},
	    {CONF_ROUTE, "{\"path\":\"/a\",\"service\":\"s\",\"id\":\"other\"}",
		"routes[orders].id: \"other\", but the change is for \"orders\"\n"},
	    {CONF_ROUTE, "{\"path\":\"/a\",\"service\":\"s\",\"id\":7}",
		"routes[orders].id: a whole number; allowed: \"orders\"\n"},
	    {CONF_ROUTE, "{\"path\":\"/a\",\"service\":null}",
		"routes[orders].service: null: not a value; leave the setting out to have its "
		"default\n"},
	    {CONF_ROUTE, "{\"path\":[\"/a\",null],\"service\":\"s\"}",
		"routes[orders].path[1]: null: not a value; leave the setting out to have its "
		"default\n"},
	    {CONF_ROUTE, "{\"path\":\"/api/gateway/x\",\"service\":\"s\"}",
		"routes[orders].path: \"/api/gateway/x\" lies below /api/gateway/, which is the "
		"management API's\n"},
	    {CONF_ROUTE, "{\"service\":\"s\"}",
		"routes[orders].path: is missing; needed: a string or a list of strings\n"},
	    {CONF_ROUTE, "{\"path\":\"/a\",\"servise\":\"s\"}",
		"routes[orders].servise: unknown setting; did you mean \"service\"?\n"
		"routes[orders]: nobody answers: service is missing and no policy answers; "
		"allowed: service = \"id\", or a policy such as fixed_response\n"},
	    {CONF_ROUTE,
		"{\"path\":\"/a\",\"policies\":[{\"policy\":\"fixed_response\",\"status\":999}]}",
		"routes[orders].policies[0].status: 999: out of range; allowed: a whole number "
		"from 200 to 599\n"},
	    {CONF_ROUTE, "{\"path\":\"/a\",\"policies\":[{\"policy\":\"fixed_respons\"}]}",
		"routes[orders].policies[0].policy: \"fixed_respons\": no such policy; did you "
		"mean \"fixed_response\"?\n"
		"routes[orders]: nobody answers: service is missing and no policy answers; "
		"allowed: service = \"id\", or a policy such as fixed_response\n"},
	    {CONF_SERVICE, "{\"url\":\"ftp://x\"}",
		"services[orders].url: \"ftp://x\": neither http://, https:// nor unix:; allowed: "
		"http://host:port/base, https://host:port/base, http://[::1]:port/base, "
		"unix:/path, unix:/path:/base\n"},
	    {CONF_SERVICE, "{}",
		"services[orders]: has neither url nor endpoints; one of them is needed\n"},
	    {CONF_SERVICE, "{\"endpoints\":[{\"url\":\"http://a\",\"weight\":1001}]}",
		"services[orders].endpoints[0].weight: 1001: out of range; allowed: a whole number "
		"from 0 to 1000\n"},
	    {CONF_SERVICE, "{\"url\":\"http://a\",\"timeouts\":{\"connect\":5}}",
		"services[orders].timeouts.connect: 5: a duration needs a unit, and quotes; "
		"allowed: a duration such as \"5s\" from 0 to 1d\n"},
	    {CONF_LISTENER, "{\"address\":\"*:80\",\"health_path\":\"/api/gateway/h\"}",
		"listeners[orders].health_path: \"/api/gateway/h\" lies below /api/gateway/, "
		"which is the management API's\n"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
		refused(k, cases[i].kind, cases[i].text, cases[i].report);
}

static void
ids_are_checked(void **state)
{
	struct load_kit *k = *state;
	struct conf_object o;

	assert_int_equal(object(k, CONF_ROUTE, "a/b", "{}", &o), -1);
	assert_report(k,
	    "routes[a/b].id: \"a/b\": not an id; allowed: 1 to 63 letters, digits, \".\", \"_\", "
	    "\"-\"\n");
}

/* Nothing of the environment gets into what comes from outside. */
static void
variables_stay_text(void **state)
{
	struct load_kit *k = *state;
	struct conf_object o;
	struct conf_route *r;

	assert_int_equal(object(k, CONF_ROUTE, "a",
			     "{\"path\":\"/a\",\"policies\":[{\"policy\":\"fixed_response\"},"
			     "{\"policy\":\"rewrite\",\"prefix\":\"/\",\"to\":\"${HOME}$$\"}]}",
			     &o),
	    1);
	r = object_body(&o, &k->r.ws);
	assert_str(
	    ((struct kit_rewrite *)((struct conf_policy *)r->policies.v)[1].conf)->to, "${HOME}$$");
}

static void
deep_and_large_values(void **state)
{
	struct load_kit *k = *state;
	struct gbuf text = {0};
	struct conf_object o;

	gbuf_str(&text, STR("{\"path\":"));
	for (unsigned i = 0; i < 1000; i++)
		gbuf_u8(&text, '[');
	for (unsigned i = 0; i < 1000; i++)
		gbuf_u8(&text, ']');
	gbuf_put(&text, "}", 2);
	assert_int_equal(object(k, CONF_ROUTE, "a", text.p, &o), -1);
	assert_non_null(strstr(kit_report(k), "groups and lists nested more than 32 deep"));
	text.n = 0;
	gbuf_str(&text, STR("{\"path\":[1"));
	for (unsigned i = 0; i < 200000; i++)
		gbuf_str(&text, STR(",1"));
	gbuf_put(&text, "]}", 3);
	assert_int_equal(object(k, CONF_ROUTE, "a", text.p, &o), -1);
	assert_int_equal(k->check.errors, 1);
	assert_non_null(strstr(kit_report(k), "more than 200000 values in one object"));
	gbuf_free(&text);
}

/* --- the same object by both ways ------------------------------------------------------------- */

static void
same_by_json(struct load_kit *k, const struct conf_object *o, bool all)
{
	json_t *value = document_value(o, all), *again;
	struct conf_object back;
	struct conf_check c;
	char *text, *text_again;
	struct ws ws;

	assert_non_null(value);
	ws_init(&ws, NULL, 0);
	check_init(&c);
	text = document_text(value);
	again = json_of(text); /* through the text, as it travels */
	if (document_object(o->kind, o->id, STR("console"), again, &ws, &back, &c) != 1)
		fail_msg("%s: %.*s", text, (int)c.text.n, c.text.p);
	text_again = document_text(again);
	assert_string_equal(text, text_again);
	assert_int_equal(back.body.n, o->body.n);
	assert_true(str_eq(back.body, o->body));
	assert_true(digest_eq(&back.digest, &o->digest));
	(void)k;
	free(text);
	free(text_again);
	json_decref(value);
	json_decref(again);
	check_free(&c);
	ws_free(&ws);
}

static void
all_same_by_json(struct load_kit *k)
{
	for (uint32_t i = 0; i < k->r.n; i++) {
		if (k->r.v[i].kind == CONF_SETTINGS)
			continue;
		same_by_json(k, &k->r.v[i], false);
		same_by_json(k, &k->r.v[i], true);
	}
}

static void
the_sample_is_the_same_by_json(void **state)
{
	struct load_kit *k = *state;

	k->rc = load_files("conf/gateway.conf", false, &k->r, &k->check);
	assert_loaded(k);
	assert_true(k->r.n > 4);
	all_same_by_json(k);
}

/* Random objects: each setting is there or not, with values that need care in one form or the
 * other. */
static uint64_t seed = 20261121;

static unsigned
roll(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static const char *
pick(const char *const *v, unsigned n)
{
	return v[roll(n)];
}
#define PICK(...)                                                                                  \
	pick((const char *const[]){__VA_ARGS__}, ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

static void
put_listener(struct gbuf *g, unsigned i)
{
	gbuf_printf(g, "%s{ id = \"l%u\"; address = \"127.0.0.1:%u\"; %s %s %s }",
	    i > 0 ? ", " : "", i, 1000 + i,
	    PICK("", "health = false;", "health_path = \"/h/%C3%A9\";", "backlog = 7;"),
	    PICK("", "timeouts = { header = \"1500ms\"; idle = \"2h\"; };", "timeouts = { };"),
	    PICK("", "limits = { body = 0; headers = \"1m\"; };",
		"management = { enabled = true; public = [ \"status\" ]; };"));
}

static const char two_endpoints[] = "endpoints = ( { url = \"http://[::1]:80\"; weight = 0; }, "
				    "{ url = \"http://a.b\"; weight = 1000; } );";

static void
put_service(struct gbuf *g, unsigned i)
{
	gbuf_printf(g, "%s{ id = \"s%u\"; %s %s %s %s }", i > 0 ? ", " : "", i,
	    PICK("url = \"http://10.1.2.3\";", "url = \"unix:/run/x.sock:/base\";",
		"url = \"http://some.name:81/x/\";", two_endpoints, "endpoints = ( );"),
	    PICK("", "balancer = \"least_connections\";", "host = \"endpoint\";",
		"host = \"fixed\"; host_value = \"a:1\";"),
	    PICK("", "timeouts = { connect = \"1ms\"; total = \"1d\"; };",
		"retry = { attempts = 10; };",
		"pool = { idle = 0; requests = 9223372036854775807L; };"),
	    PICK("", "policies = ( { policy = \"rewrite\"; prefix = \"/$$\"; } );",
		"health = { passive = false; down = \"61s\"; };"));
}

static void
put_route(struct gbuf *g, unsigned i)
{
	gbuf_printf(g, "%s{ id = \"r%u\"; service = \"s%u\"; %s %s %s %s %s }", i > 0 ? ", " : "",
	    i, roll(20),
	    PICK("path = \"/\";", "path = [ \"/a/*\", \"/b/{id}\" ];",
		"path = \"~^/v[0-9]+/\\\\.\\\"x$\";", "path = [ \"/%C3%A9\", \"/A.b\" ];"),
	    PICK("", "host = \"A.example\";", "host = [ \"*.example.com\", \"[::1]\" ];"),
	    PICK("", "method = [ \"GET\", \"PURGE\" ];", "priority = -1000000;",
		"headers = ( { name = \"X\"; value = \"\\x41\\t\\\"\"; }, { name = \"Y\"; match = "
		"\"absent\"; } );"),
	    PICK("", "require_length = true; merge_slashes = false;",
		"cookies = ( { name = \"c\"; match = \"regex\"; value = \"^a+$\"; } );",
		"query = ( { name = \"q q\"; match = \"present\"; } );",
		"limits = { body = \"1g\"; }; timeouts = { first_byte = \"90s\"; };"),
	    PICK("", "policies = ( { policy = \"fixed_response\"; status = 404; } );",
		"policies = ( { policy = \"rewrite\"; prefix = \"/x\"; to = \"\"; }, { policy = "
		"\"fixed_response\"; } );",
		"listener = [ \"l1\", \"l2\" ];"));
}

static void
random_objects_are_the_same_by_json(void **state)
{
	struct load_kit *k = *state;

	for (unsigned round = 0; round < 20; round++) {
		struct gbuf g = {0};

		gbuf_str(&g, STR("listeners = ( "));
		for (unsigned i = 0; i < 8; i++)
			put_listener(&g, i);
		gbuf_str(&g, STR(" );\nservices = ( "));
		for (unsigned i = 0; i < 20; i++)
			put_service(&g, i);
		gbuf_str(&g, STR(" );\nroutes = ( "));
		for (unsigned i = 0; i < 40; i++)
			put_route(&g, i);
		gbuf_put(&g, " );\n", 5);
		kit_load(k, g.p);
		assert_loaded(k);
		assert_int_equal(k->r.n, 69);
		all_same_by_json(k);
		gbuf_free(&g);
	}
}

static void
a_malformed_body_has_no_value(void **state)
{
	struct conf_object o = {.kind = CONF_ROUTE, .id = STR("a"), .body = STR("\xff\xff")};

	(void)state;
	assert_null(document_value(&o, false));
}

/* --- patches ---------------------------------------------------------------------------------- */

/* The examples of RFC 7396, appendix A. */
static void
patches_as_in_the_rfc(void **state)
{
	static const char *const cases[][3] = {
	    {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
	    {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
	    {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
	    {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
	    {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
	    {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
	    {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
	    {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
	    {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
	    {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
	    {"{\"a\":\"foo\"}", "null", "null"},
	    {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
	    {"{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}"},
	    {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
	    {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *target = json_of(cases[i][0]), *patch = json_of(cases[i][1]);
		json_t *result = document_patch(target, patch);
		char *text = document_text(result), *before = document_text(target);
		json_t *expected = json_of(cases[i][0]);

		assert_string_equal(text, cases[i][2]);
		assert_true(json_equal(target, expected)); /* untouched */
		free(text);
		free(before);
		json_decref(expected);
		json_decref(target);
		json_decref(patch);
		json_decref(result);
	}
}

static void
deep_patches_are_refused(void **state)
{
	json_t *patch = json_object(), *target = json_object();

	(void)state;
	for (unsigned i = 0; i < DOCUMENT_DEPTH; i++) {
		json_t *outer = json_object();

		json_object_set_new(outer, "a", patch);
		patch = outer;
	}
	assert_null(document_patch(target, patch));
	assert_null(document_patch(patch, patch));
	json_decref(patch);
	json_decref(target);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(an_object_is_complete, kit_setup, kit_teardown),
    TEST_WITH(endpoints_with_addresses_and_names, kit_setup, kit_teardown),
    TEST_WITH(every_error_names_its_field, kit_setup, kit_teardown),
    TEST_WITH(ids_are_checked, kit_setup, kit_teardown),
    TEST_WITH(variables_stay_text, kit_setup, kit_teardown),
    TEST_WITH(deep_and_large_values, kit_setup, kit_teardown),
    TEST_WITH(the_sample_is_the_same_by_json, kit_setup, kit_teardown),
    TEST_WITH(random_objects_are_the_same_by_json, kit_setup, kit_teardown),
    TEST(a_malformed_body_has_no_value),
    TEST(patches_as_in_the_rfc),
    TEST(deep_patches_are_refused),
};
RUN_TESTS(tests)
