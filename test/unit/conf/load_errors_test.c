/* SPDX-License-Identifier: Apache-2.0
 *
 * What is said of a bad configuration, word for word: R-8.3. And what ${VAR} becomes: R-8.2.
 */
#include "test/unit/conf/load_kit.h"

#define LISTENER "listeners = ( { id = \"main\"; address = \"*:8080\"; } );\n"
#define SERVICE  "services = ( { id = \"orders\"; url = \"http://127.0.0.1:9001\"; } );\n"
#define GOOD     LISTENER SERVICE

/* --- errors, word for word
 * ------------------------------------------------------------------------ */

struct bad {
	const char *text, *report;
};

static void
each_is_said(struct load_kit *k, const struct bad *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		kit_load(k, v[i].text);
		assert_report(k, v[i].report);
		assert_int_equal(k->rc, -1);
		assert_int_equal(k->r.n, 0);
		assert_true(k->check.errors > 0);
	}
}

#define AT1 "DIR/gateway.conf:1: "

static const struct bad bad_values[] = {
    {"workers = \"x\";\n" GOOD,
	AT1 "workers: \"x\": not a number; allowed: a whole number from 0 to 64\n"},
    {"workers = -1;\n" GOOD,
	AT1 "workers: -1: out of range; allowed: a whole number from 0 to 64\n"},
    {"workers = 1.5;\n" GOOD,
	AT1 "workers: 1.5: not what belongs here; allowed: a whole number from 0 to 64\n"},
    {"workers = [ 1, 2 ];\n" GOOD,
	AT1 "workers: a list: not what belongs here; allowed: a whole number from 0 to 64\n"},
    {"instance = 5;\n" GOOD, AT1 "instance: 5: not a string; it needs quotes; allowed: a string\n"},
    {"limits = 5;\n" GOOD,
	AT1 "limits: 5: not what belongs here; allowed: a group: { name = value; ... }\n"},
    {"limits = { map_size = \"256q\"; };\n" GOOD,
	AT1 "limits.map_size: \"256q\": a size takes one of the units k, m, g or none; allowed: a "
	    "size such as \"16k\" from 1m to 64g\n"},
    {"limits = { map_size = -5; };\n" GOOD,
	AT1 "limits.map_size: -5: out of range; allowed: a size such as \"16k\" from 1m to 64g\n"},
    {"shutdown = { deadline = 5; };\n" GOOD, AT1
	"shutdown.deadline: 5: a duration needs a unit, and quotes; allowed: a duration such as "
	"\"5s\" from 0 to 1d\n"},
    {"shutdown = { deadline = \"5\"; };\n" GOOD, AT1
	"shutdown.deadline: \"5\": a duration needs one of the units ms, s, m, h, d; allowed: a "
	"duration such as \"5s\" from 0 to 1d\n"},
    {"error_log = { level = \"wran\"; };\n" GOOD,
	AT1 "error_log.level: \"wran\": not one of the words for this setting; did you mean "
	    "\"warn\"?; allowed: \"error\", \"warn\", \"info\" or \"debug\"\n"},
    {"access_log = { enabled = 1; };\n" GOOD,
	AT1 "access_log.enabled: 1: not what belongs here; allowed: true or false\n"},
    {"trusted_proxies = [ \"10.0.0.0/8\", \"zz\" ];\n" GOOD,
	AT1 "trusted_proxies: \"zz\": neither an IP address nor a block (\"10.0.0.0/8\", \"::1\"); "
	    "allowed: an address or a block such as \"10.0.0.0/8\" or \"2001:db8::/32\", or a list "
	    "of them\n"},
    {"admin = { roles = { user = \"x\"; }; };\n" GOOD,
	AT1 "admin.roles: a group: not what belongs here; allowed: a list of groups: ( { ... }, { "
	    "... } )\n"},
    {"admin = { roles = ( { user = \"x\"; group = \"y\"; } ); };\n" GOOD,
	AT1 "admin.roles[0].role: is missing; needed: \"none\", \"viewer\" or \"admin\"\n" AT1
	    "admin.roles[0].group: stands beside user; one of the two is allowed\n"},
};

static void
bad_values_are_said(void **state)
{
	each_is_said(*state, bad_values, ARRAY_LEN(bad_values));
}

static const struct bad bad_names[] = {
    {"wokers = 1;\n" GOOD, AT1 "wokers: unknown setting; did you mean \"workers\"?\n"},
    {"route = ( );\n" GOOD, AT1 "route: unknown setting; did you mean \"routes\"?\n"},
    {"shutdown = { zzzzzz = 1; };\n" GOOD,
	AT1 "shutdown.zzzzzz: unknown setting; allowed here: min_drain, deadline\n"},
    {"listeners = ( { id = \"a\"; address = \"*:1\"; timeouts = { haeder = \"1s\"; }; } );\n",
	AT1 "listeners[a].timeouts.haeder: unknown setting; did you mean \"header\"?\n"},
    /* What the loader finds out itself cannot be written. */
    {LISTENER "services = ( { id = \"a\"; endpoints = ( { url = \"http://127.0.0.1\"; host = "
	      "\"x\"; } ); } );\n",
	"DIR/gateway.conf:2: services[a].endpoints[0].host: unknown setting; allowed here: url, "
	"weight\n"},
    {GOOD "routes = ( { id = \"r\"; path = \"/\"; service = \"orders\"; policies = ( { policy = "
	  "\"rewrit\"; }, { polcy = \"x\"; }, 5, { policy = \"rewrite\"; prefix = \"/\"; too = "
	  "\"x\"; "
	  "}, { policy = \"zzz\"; } ); } );",
	"DIR/gateway.conf:3: routes[r].policies[0].policy: \"rewrit\": no such policy; did you "
	"mean "
	"\"rewrite\"?\n"
	"DIR/gateway.conf:3: routes[r].policies[1]: policy is missing; allowed: policy = \"name\"\n"
	"DIR/gateway.conf:3: routes[r].policies[2]: a whole number: not what belongs here; "
	"allowed: "
	"{ policy = \"name\"; ... }\n"
	"DIR/gateway.conf:3: routes[r].policies[3].too: unknown setting; did you mean \"to\"?\n"
	"DIR/gateway.conf:3: routes[r].policies[4].policy: \"zzz\": no such policy; allowed: "
	"\"rewrite\", \"fixed_response\"\n"},
};

static void
unknown_names_get_a_suggestion(void **state)
{
	each_is_said(*state, bad_names, ARRAY_LEN(bad_names));
}

static const struct bad bad_ids[] = {
    {"listeners = ( { address = \"*:1\"; } );",
	AT1 "listeners[0]: id is missing; allowed: id = \"name\", unique among listeners\n"},
    {"listeners = ( 7 );", AT1
	"listeners[0]: a whole number: not what belongs here; allowed: { id = \"name\"; ... }\n"},
    {"listeners = { id = \"x\"; };",
	AT1 "listeners: a group: not what belongs here; allowed: a list of groups: ( { id = "
	    "\"name\"; ... }, ... )\n"},
    {"services = ( { id = \"a b\"; url = \"http://127.0.0.1\"; } );\n" LISTENER,
	AT1 "services[0].id: \"a b\": not an id; allowed: 1 to 63 letters, digits, \".\", \"_\", "
	    "\"-\"\n"},
    {"services = ( { id = \"a\"; url = \"http://127.0.0.1\"; },\n{ id = \"a\"; url = "
     "\"http://127.0.0.1\"; } );\n" LISTENER,
	"DIR/gateway.conf:2: services[a]: the id is taken already: DIR/gateway.conf:1; ids are "
	"unique among services\n"},
    {"listeners = ( { id = \"a\"; address = \"*:1\"; },\n{ id = \"b\"; address = \"*:1\"; } );",
	"DIR/gateway.conf:2: listeners[b].address: [::]:1 is the address of listener \"a\" "
	"already\n"},
    {GOOD "routes = ( { id = \"r\"; path = \"/\"; service = \"ordrs\"; listener = [ \"man\", "
	  "\"other\" ]; } );",
	"DIR/gateway.conf:3: routes[r].service: \"ordrs\": no such service; did you mean "
	"\"orders\"?\n"
	"DIR/gateway.conf:3: routes[r].listener: \"man\": no such listener; did you mean "
	"\"main\"?\n"
	"DIR/gateway.conf:3: routes[r].listener: \"other\": no such listener; allowed: an id among "
	"listeners\n"},
};

static void
ids_and_references_are_checked(void **state)
{
	each_is_said(*state, bad_ids, ARRAY_LEN(bad_ids));
}

#define URL_ALLOWED                                                                                \
	"allowed: http://host:port/base, https://host:port/base, http://[::1]:port/base, "         \
	"unix:/path, unix:/path:/base\n"
#define SVC(inside) LISTENER "services = ( { id = \"a\"; " inside " } );"
#define AT_SVC      "DIR/gateway.conf:2: services[a]"

static const struct bad bad_services[] = {
    {SVC(""), AT_SVC ": has neither url nor endpoints; one of them is needed\n"},
    {SVC("url = \"http://127.0.0.1\"; endpoints = ( { url = \"http://127.0.0.2\"; } );"),
	AT_SVC ".url: stands beside endpoints; one of the two is allowed\n"},
    {SVC("url = \"https://\";"), AT_SVC ".url: \"https://\": the host is missing; " URL_ALLOWED},
    {SVC("endpoints = ( { url = \"http://127.0.0.1\"; }, { url = \"ftp://x\"; } );"),
	AT_SVC ".endpoints[1].url: \"ftp://x\": neither http://, https:// nor unix:; " URL_ALLOWED},
    {SVC("endpoints = ( { weight = 1001; } );"),
	AT_SVC ".endpoints[0].weight: 1001: out of range; allowed: a whole number from 0 to "
	       "1000\n" AT_SVC ".endpoints[0].url: is missing; needed: a string\n"},
    {SVC("endpoints = ( { url = \"http://127.0.0.1\"; }, { url = \"http://127.0.0.1:80/b\"; } );"),
	AT_SVC ".endpoints: \"http://127.0.0.1:80/b\" is at the same address as "
	       "\"http://127.0.0.1\"; use weight for a larger share\n"},
    {SVC("url = \"http://127.0.0.1\"; timeouts = { connect = \"2s\"; total = \"1s\"; };"),
	AT_SVC ".timeouts.connect: longer than timeouts.total\n"},
    {SVC("url = \"http://127.0.0.1\"; host = \"fixed\";"),
	AT_SVC ".host: \"fixed\" needs host_value\n"},
    {SVC("url = \"http://127.0.0.1\"; host_value = \"x\";"),
	AT_SVC ".host_value: needs host = \"fixed\"\n"},
    {SVC("url = \"http://127.0.0.1\"; host = \"fixed\"; host_value = \"a b\";"),
	AT_SVC ".host_value: \"a b\" is not a Host header; allowed: host or host:port\n"},
    {SVC("url = \"http://127.0.0.1\"; balancer = \"roundrobin\";"),
	AT_SVC ".balancer: \"roundrobin\": not one of the words for this setting; did you mean "
	       "\"round_robin\"?; allowed: \"round_robin\" or \"least_connections\"\n"},
};

static void
services_are_checked(void **state)
{
	each_is_said(*state, bad_services, ARRAY_LEN(bad_services));
}

#define RT(inside) GOOD "routes = ( { id = \"r\"; service = \"orders\"; " inside " } );"
#define AT_RT      "DIR/gateway.conf:3: routes[r]"
#define PATHS      "; allowed: \"/exact\", \"/with/{parameter}\", \"/prefix/*\", \"~regex\"\n"
#define HOSTS      "; allowed: \"example.com\", \"*.example.com\" or an address\n"
#define METHODS    "; allowed: method names such as \"GET\", \"POST\"\n"

static const struct bad bad_routes[] = {
    {RT(""), AT_RT ".path: is missing; needed: a string or a list of strings\n"},
    {RT("path = [ ];"), AT_RT ".path: a list: empty; allowed: a string or a list of strings\n"},
    {RT("path = 7;"),
	AT_RT ".path: 7: not what belongs here; allowed: a string or a list of strings\n"},
    {RT("path = \"x\";"),
	AT_RT ".path: \"x\": a path begins with \"/\", a regular expression with \"~\"" PATHS},
    {RT("path = [ \"/a\", \"/{a}/{a}\" ];"),
	AT_RT ".path: \"/{a}/{a}\": a {parameter} has the same name as another one" PATHS},
    {RT("path = \"~(\";"), AT_RT ".path: \"~(\": at offset 1: missing closing parenthesis" PATHS},
    {RT("path = \"/api/gateway/x\";"), AT_RT
	".path: \"/api/gateway/x\" lies below /api/gateway/, which is the management API's\n"},
    {RT("path = \"~^/api/gateway/(x|y)\";"),
	AT_RT ".path: \"~^/api/gateway/(x|y)\" lies below /api/gateway/, which is the management "
	      "API's\n"},
    {RT("path = \"/\"; host = [ \"a:80\", \"*\" ];"),
	AT_RT ".host: \"a:80\": a host is written without its port" HOSTS AT_RT
	      ".host: \"*\": for any host leave `host` out" HOSTS},
    {RT("path = \"/\"; method = [ \"get\", \"TRACE\", \"A B\" ];"),
	AT_RT ".method: \"get\": method names are written in upper case" METHODS AT_RT
	      ".method: \"TRACE\": the gateway answers this method itself" METHODS AT_RT
	      ".method: \"A B\": not a method name" METHODS},
    {RT("path = \"/\"; headers = ( { name = \"a b\"; value = \"1\"; }, { name = \"x\"; }, { name = "
	"\"y\"; match = \"present\"; value = \"1\"; }, { name = \"z\"; match = \"regex\"; value = "
	"\"(\"; } );"),
	AT_RT
	".headers[1]: value is missing; match = \"exact\" compares with one, and an empty one is "
	"matched by the regex \"^$\"\n" AT_RT
	".headers[2].value: without meaning for match = \"present\"; leave it out\n" AT_RT
	".headers[3].value: \"(\": at offset 1: missing closing parenthesis; allowed: a "
	"regular expression\n" AT_RT
	".headers[0].name: \"a b\" is not a name; allowed: letters, digits and "
	"!#$%&'*+-.^_`|~\n"},
    {GOOD "routes = ( { id = \"r\"; path = \"/\"; } );",
	AT_RT ": nobody answers: service is missing and no policy answers; allowed: service = "
	      "\"id\", or a policy such as fixed_response\n"},
};

static void
routes_are_checked(void **state)
{
	each_is_said(*state, bad_routes, ARRAY_LEN(bad_routes));
}

static const struct bad bad_listeners[] = {
    {"listeners = ( { id = \"a\"; } );",
	AT1 "listeners[a].address: is missing; needed: an address such as \"*:8080\", "
	    "\"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/path\"\n"},
    {"listeners = ( { id = \"a\"; address = \"*:1\"; management = { enabled = true; public = "
     "\"workers\"; }; } );",
	AT1
	"listeners[a].management.public: \"workers\" is not a part that may be public; allowed: "
	"\"status\", \"services\"\n"},
    {"listeners = ( { id = \"a\"; address = \"*:1\"; health_path = \"/api/gateway/h\"; } );",
	AT1 "listeners[a].health_path: \"/api/gateway/h\" lies below /api/gateway/, which is the "
	    "management API's\n"},
    {"listeners = ( { id = \"a\"; address = \"*:1\"; health_path = \"/h*\"; } );",
	AT1 "listeners[a].health_path: \"/h*\": a star takes a whole segment between slashes, or "
	    "the end; allowed: a path such as \"/health\"\n"},
    {"workers = 9; limits = { worker_slots = 8; };\n" GOOD,
	AT1 "workers: 9, more than limits.worker_slots (8)\n"},
    {"shutdown = { min_drain = \"9s\"; deadline = \"8s\"; };\n" GOOD,
	AT1 "shutdown.min_drain: longer than shutdown.deadline\n"},
    {"run_directory = \"\"; http = { request_id_header = \"a b\"; };\n" GOOD,
	AT1 "run_directory: empty; allowed: a directory\n" AT1
	    "http.request_id_header: \"a b\" is not a header name; allowed: letters, digits and "
	    "!#$%&'*+-.^_`|~\n"},
    {"admin = { metrics_listen = \"nowhere\"; };\n" GOOD, NULL},
};

static void
settings_and_listeners_are_checked(void **state)
{
	each_is_said(*state, bad_listeners, ARRAY_LEN(bad_listeners) - 1);
	kit_load(*state, bad_listeners[ARRAY_LEN(bad_listeners) - 1].text);
	assert_int_equal(((struct load_kit *)*state)->rc, -1);
}

/* libconfig 1.5 makes -1294967296 of the first and -1 of the second. */
static const struct bad cut_numbers[] = {
    {"\nworkers = 3000000000;\n" GOOD, "DIR/gateway.conf:2: 3000000000: does not fit 32 bits; "
				       "larger numbers are written with an L "
				       "behind them\n"},
    {"workers = 0xFFFFFFFF;\n" GOOD,
	AT1 "0xFFFFFFFF: does not fit 32 bits; larger numbers are written with an L behind them\n"},
    {"workers = 99999999999999999999L;\n" GOOD,
	AT1 "99999999999999999999L: does not fit 64 bits\n"},
    {"workers = -2147483649;\n" GOOD,
	AT1 "2147483649: does not fit 32 bits; larger numbers are written with an L behind them\n"},
};

static void
numbers_are_never_cut(void **state)
{
	struct load_kit *k = *state;

	each_is_said(k, cut_numbers, ARRAY_LEN(cut_numbers));
	/* In comments, strings and names they are nobody's business; the last two fit. */
	kit_load(k,
	    GOOD "# 3000000000\n// 3000000000\n/* 3000000000\n */ instance = "
		 "\"x3000000000\";\n"
		 "routes = ( { id = \"a\"; path = \"/\\\"3000000000\"; service = \"orders\"; "
		 "priority = -2147483648; } );");
	assert_non_null(strstr(kit_report(k), "routes[a].priority: -2147483648: out of range"));
	assert_null(strstr(kit_report(k), "32 bits"));
}

/* --- expansion
 * ------------------------------------------------------------------------------------ */

#define EXPANSION "; allowed: ${VAR}, ${VAR:-default}, $$ for a dollar\n"
static const struct bad bad_variables[] = {
    {"instance = \"${GW_TEST_UNSET}\";\n" GOOD,
	AT1 "instance: \"${GW_TEST_UNSET}\": the variable is not set, and there is no "
	    "default" EXPANSION},
    {"instance = \"a${GW\";\n" GOOD,
	AT1 "instance: \"${GW\": the closing brace is missing" EXPANSION},
    {"instance = \"${1x}\";\n" GOOD,
	AT1 "instance: \"${1x}\": not the name of a variable" EXPANSION},
    {"trusted_proxies = [ \"10.0.0.0/8\",\n\"${GW_TEST_UNSET}\" ];\n" GOOD,
	"DIR/gateway.conf:2: trusted_proxies: \"${GW_TEST_UNSET}\": the variable is not set, and "
	"there is no default" EXPANSION},
};

static void
variables_are_replaced(void **state)
{
	struct load_kit *k = *state;

	unsetenv("GW_TEST_UNSET");
	setenv("GW_TEST_EMPTY", "", 1);
	setenv("GW_TEST_NAME", "${HOME}", 1);
	each_is_said(k, bad_variables, ARRAY_LEN(bad_variables));
	kit_load(k, GOOD "error_log = { path = "
			 "\"/$$x/${GW_TEST_NAME}/${GW_TEST_EMPTY}|${GW_TEST_EMPTY:-e}|"
			 "${GW_TEST_UNSET:-${GW_TEST_UNSET:-n}}|$|$1\"; };");
	assert_loaded(k);
	assert_str(k->r.settings->error_log.path, "/$x/${HOME}/|e|n|$|$1");
}

/* Two hundred lines are kept, every error is counted. */
static void
a_flood_of_errors_is_bounded(void **state)
{
	struct load_kit *k = *state;
	struct gbuf text = {0};
	unsigned lines = 0;

	gbuf_printf(&text, "%s", GOOD "routes = (\n");
	for (unsigned i = 0; i < 3000; i++)
		gbuf_printf(&text, "{ id = \"r%u\"; path = \"x\"; service = \"ordrs\"; }%s\n", i,
		    i < 2999 ? "," : ");");
	gbuf_u8(&text, '\0');
	kit_load(k, text.p);
	gbuf_free(&text);
	assert_int_equal(k->rc, -1);
	assert_int_equal(k->check.errors, 6000);
	for (size_t i = 0; i < k->check.text.n; i++)
		lines += k->check.text.p[i] == '\n';
	assert_int_equal(lines, CHECK_LINES);
}

static void
hostile_text_is_one_line(void **state)
{
	struct load_kit *k = *state;

	kit_load(k, GOOD "instance = \"a\\nb\\x1b[31m\";");
	assert_int_equal(k->rc, -1);
	assert_report(k, "DIR/gateway.conf:3: instance: \"a\\x0ab\\x1b[31m\" is not a plain name; "
			 "allowed: 1 to 64 letters, digits, \"-\", \"_\", \".\"\n");
	kit_write_n(k, "gateway.conf", "workers = 1;\0workers = 2;", 25);
	kit_load_with(k, false);
	assert_report(k, AT1 "NUL: not allowed in a configuration file\n");
	kit_load(k, GOOD "instance = \"a\\x00b\";");
	assert_report(k, "DIR/gateway.conf:3: \\x00: a string cannot hold a NUL\n");
}

static void
deep_nesting_is_refused(void **state)
{
	struct load_kit *k = *state;
	struct gbuf text = {0};

	gbuf_printf(&text, "%s", GOOD "x = ");
	for (unsigned i = 0; i < 100; i++)
		gbuf_printf(&text, "(");
	for (unsigned i = 0; i < 100; i++)
		gbuf_printf(&text, ")");
	gbuf_printf(&text, ";");
	kit_write_n(k, "gateway.conf", text.p, text.n);
	gbuf_free(&text);
	kit_load_with(k, false);
	assert_report(k, "DIR/gateway.conf:3: groups and lists nested more than 32 deep\n");
}

#define LOAD_TEST(f) TEST_WITH(f, kit_setup, kit_teardown)
static const struct CMUnitTest tests[] = {
    LOAD_TEST(bad_values_are_said),
    LOAD_TEST(unknown_names_get_a_suggestion),
    LOAD_TEST(ids_and_references_are_checked),
    LOAD_TEST(services_are_checked),
    LOAD_TEST(routes_are_checked),
    LOAD_TEST(settings_and_listeners_are_checked),
    LOAD_TEST(numbers_are_never_cut),
    LOAD_TEST(variables_are_replaced),
    LOAD_TEST(a_flood_of_errors_is_bounded),
    LOAD_TEST(hostile_text_is_one_line),
    LOAD_TEST(deep_nesting_is_refused),
};
RUN_TESTS(tests)
