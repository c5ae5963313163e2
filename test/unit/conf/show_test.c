/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration back to people: what is printed loads again and gives the same objects; JSON; the
 * manual.
 */
#include "test/unit/conf/load_kit.h"

#include "conf/docgen.h"
#include "conf/show.h"

static const char everything[] =
    "workers = 2;\n"
    "instance = \"x\";\n"
    "error_log = { path = \"/tmp/a $${b} \\\"q\\\" \\\\ $$$$ \\x07 \xc3\xa4\"; };\n"
    "trusted_proxies = [ \"10.0.0.0/8\", \"::1\" ];\n"
    "admin = { roles = ( { user = \"a\"; role = \"none\"; }, { group = \"b\"; role = \"admin\"; } "
    "); "
    "metrics_listen = \"\"; };\n"
    "listeners = ( { id = \"m\"; address = \"*:80\"; }, { id = \"u\"; address = \"unix:/x.sock\"; "
    "limits = { body = 0; }; }, { id = \"six\"; address = \"[::1]:9\"; } );\n"
    "services = ( { id = \"s\"; endpoints = ( { url = \"http://127.0.0.1:1/b\"; weight = 0; }, { "
    "url "
    "= \"http://h\"; } ); balancer = \"least_connections\"; policies = ( { policy = \"rewrite\"; "
    "prefix = \"/\"; } ); } );\n"
    "routes = ( { id = \"r\"; path = [ \"/a/{b}\", \"~^/x$\" ]; service = \"s\"; headers = ( { "
    "name = "
    "\"a\"; match = \"present\"; }, { name = \"b\"; match = \"regex\"; value = \"^$\"; } ); "
    "timeouts = { total = "
    "\"1500ms\"; }; }, { id = \"f\"; path = \"/f\"; policies = ( { policy = \"fixed_response\"; "
    "status = 404; } ); } );\n";

static char *
printed(struct load_kit *k, bool all)
{
	struct gbuf out = {0};

	assert_int_equal(show_objects(k->r.v, k->r.n, all, &out), 1);
	gbuf_u8(&out, '\0');
	return out.p;
}

static void
loads_again_the_same(struct load_kit *k, bool all)
{
	struct digest before[16];
	uint32_t n;
	char *text, *again;

	kit_load(k, everything);
	assert_loaded(k);
	n = k->r.n;
	assert_true(n <= ARRAY_LEN(before));
	for (uint32_t i = 0; i < n; i++)
		before[i] = k->r.v[i].digest;
	text = printed(k, all);
	kit_load(k, text);
	assert_loaded(k);
	assert_int_equal(k->r.n, n);
	for (uint32_t i = 0; i < n; i++)
		assert_true(digest_eq(&before[i], &k->r.v[i].digest));
	again = printed(k, all);
	assert_string_equal(text, again);
	free(text);
	free(again);
}

static void
what_is_printed_loads_again(void **state)
{
	loads_again_the_same(*state, false);
	loads_again_the_same(*state, true);
}

static void
only_differences_are_printed(void **state)
{
	struct load_kit *k = *state;
	char *text;

	kit_load(k,
	    "workers = 0;\nlisteners = ( { id = \"m\"; address = \"*:80\"; timeouts = { idle = "
	    "\"60s\"; body = \"90s\"; }; } );");
	assert_loaded(k);
	text = printed(k, false);
	assert_string_equal(text,
	    "\nlisteners = (\n\t{\n\t\tid = \"m\";\n\t\taddress = \"[::]:80\";\n"
	    "\t\ttimeouts = {\n\t\t\tbody = \"90s\";\n\t\t};\n\t}\n);\n");
	free(text);
	text = printed(k, true);
	assert_non_null(strstr(text, "workers = 0;\n"));
	assert_non_null(strstr(text, "\t\t\tidle = \"1m\";\n"));
	free(text);
}

static void
a_malformed_body_is_told(void **state)
{
	struct conf_object o = {.kind = CONF_ROUTE, .id = STR("r"), .body = STR("\xff")};
	struct gbuf out = {0};

	(void)state;
	assert_int_equal(show_objects(&o, 1, true, &out), -1);
	gbuf_free(&out);
}

static void
json_says_the_same(void **state)
{
	struct load_kit *k = *state;
	json_t *j;
	char *text;

	kit_load(k, everything);
	assert_loaded(k);
	j = show_json(&route_fields, kit_body(k, CONF_ROUTE, "f"), false);
	text = json_dumps(j, JSON_COMPACT);
	assert_string_equal(text, "{\"path\":[\"/f\"],\"policies\":[{\"policy\":\"fixed_response\","
				  "\"status\":404}]}");
	free(text);
	json_decref(j);
	j = show_json(&settings_fields, k->r.settings, true);
	assert_int_equal(json_integer_value(json_object_get(j, "workers")), 2);
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(j, "shutdown"), "deadline")), "30s");
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(j, "trusted_proxies"), 0)),
	    "10.0.0.0/8");
	json_decref(j);
}

static void
json_survives_other_encodings(void **state)
{
	struct kit_rewrite r = {STR("\xff\xfe"), STR_NONE};
	json_t *j = show_json(&kit_rewrite_fields, &r, true);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(j, "prefix")), "??");
	json_decref(j);
}

/* --- the manual ----------------------------------------------------------------------------------
 */

static char *
manual(void)
{
	size_t n;
	char *text = NULL;
	FILE *f = open_memstream(&text, &n);

	docgen_manual(f, NULL);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void
every_setting_is_in_the_manual(void **state)
{
	char *text = manual();

	(void)state;
	assert_non_null(strstr(text, ".It Ic workers\n"));
	assert_non_null(strstr(text, ".It Ic limits.map_size\n"));
	assert_non_null(strstr(text, ".It Ic endpoints[].weight\n"));
	assert_non_null(strstr(text, ".Ss rewrite\n"));
	assert_non_null(strstr(text, ".It Ic status\n"));
	assert_null(strstr(text, "resolve_error")); /* what the loader finds out */
	for (unsigned k = 0; k < CONF_KIND_COUNT; k++) {
		for (unsigned i = 0; i < object_kinds[k].fields->n; i++) {
			const struct field *row = &object_kinds[k].fields->v[i];
			char line[64];

			snprintf(line, sizeof(line),
			    row->type == F_GROUP ? ".It Ic %s." : ".It Ic %s\n", row->name);
			assert_non_null(strstr(text, line));
		}
	}
	free(text);
}

/* No line of text begins like a request, no macro line is unknown. */
static void
the_manual_is_mdoc(void **state)
{
	static const char *const macros[] = {"Dd", "Dt", "Os", "Sh", "Ss", "Nm", "Nd", "Pa", "Bl",
	    "It", "El", "Pp", "Ic", "Ql", "Bd", "Ed", "Xr", NULL};
	char *text = manual(), *line, *rest = text;

	(void)state;
	while ((line = strsep(&rest, "\n")) != NULL) {
		bool known = line[0] != '.';

		for (unsigned i = 0; !known && macros[i] != NULL; i++)
			known = strncmp(line + 1, macros[i], 2) == 0;
		if (!known || line[0] == '\'')
			fail_msg("\"%s\"", line);
	}
	free(text);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(what_is_printed_loads_again, kit_setup, kit_teardown),
    TEST_WITH(only_differences_are_printed, kit_setup, kit_teardown),
    TEST_WITH(a_malformed_body_is_told, kit_setup, kit_teardown),
    TEST_WITH(json_says_the_same, kit_setup, kit_teardown),
    TEST_WITH(json_survives_other_encodings, kit_setup, kit_teardown),
    TEST_WITH(every_setting_is_in_the_manual, kit_setup, kit_teardown),
    TEST_WITH(the_manual_is_mdoc, kit_setup, kit_teardown),
};
RUN_TESTS(tests)
