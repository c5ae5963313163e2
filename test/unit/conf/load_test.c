/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole loads: what a good configuration becomes, and what is said of a bad one, word for word.
 * R-8.1, R-8.2, R-8.3, G-FR-011, G-SC-005, E-2.
 */
#include "test/unit/conf/load_kit.h"

#include <unistd.h>

#include "shm/base/clock.h"

#define LISTENER "listeners = ( { id = \"main\"; address = \"*:8080\"; } );\n"
#define SERVICE  "services = ( { id = \"orders\"; url = \"http://127.0.0.1:9001\"; } );\n"
#define GOOD     LISTENER SERVICE

/* --- what becomes of a good one ----------------------------------------------------------------
 */

static void
objects_come_in_order_of_kind(void **state)
{
	struct load_kit *k = *state;

	kit_load(k, "routes = ( { id = \"r\"; path = \"/\"; service = \"orders\"; } );\n" GOOD);
	assert_loaded(k);
	assert_report(k, "");
	assert_int_equal(k->r.n, 4);
	assert_int_equal(k->r.v[0].kind, CONF_SETTINGS);
	assert_str(k->r.v[0].id, "gateway");
	assert_int_equal(k->r.v[1].kind, CONF_LISTENER);
	assert_int_equal(k->r.v[2].kind, CONF_SERVICE);
	assert_int_equal(k->r.v[3].kind, CONF_ROUTE);
	assert_int_equal(k->r.v[3].line, 1);
	assert_str(k->r.v[3].source, "file");
	assert_true(str_ends(k->r.v[3].file, STR("/gateway.conf")));
}

static void
settings_are_decoded_for_the_caller(void **state)
{
	struct load_kit *k = *state;

	kit_load(k, GOOD "workers = 3;\naccess_log = { path = \"logs/a.log\"; ring = 65536; };\n"
			 "error_log = { path = \"stderr\"; level = \"debug\"; };\n"
			 "run_directory = \"/x\";\ntrusted_proxies = \"10.0.0.0/8\";");
	assert_loaded(k);
	assert_int_equal(k->r.settings->workers, 3);
	assert_int_equal(k->r.settings->access_log.ring, 65536);
	assert_int_equal(k->r.settings->error_log.level, 3);
	assert_str(k->r.settings->error_log.path, "stderr");
	assert_str(k->r.settings->run_directory, "/x");
	assert_int_equal(k->r.settings->trusted_proxies.n, 1);
	/* Relative to the main file's directory, in full. */
	assert_true(str_ends(k->r.settings->access_log.path, STR("/logs/a.log")));
	assert_true(str_starts(k->r.settings->access_log.path, str_of(k->dir)));
}

/* The same content in another order and form gives the same bytes. */
static void
equal_content_gives_equal_digests(void **state)
{
	struct load_kit *k = *state;
	struct digest first, second;

	kit_load(k, GOOD "routes = ( { id = \"r\"; path = \"/a\"; service = \"orders\";\n"
			 "host = \"EXAMPLE.com\"; timeouts = { total = \"60s\"; }; } );");
	assert_loaded(k);
	first = kit_object(k, CONF_ROUTE, "r")->digest;
	kit_load(k, GOOD "routes = ( { timeouts = { total = \"1m\"; idle = 0; }; priority = 0;\n"
			 "host = [ \"example.com\" ]; service = \"orders\"; id = \"r\"; path = "
			 "[ \"/a\" ]; } );");
	assert_loaded(k);
	second = kit_object(k, CONF_ROUTE, "r")->digest;
	assert_true(digest_eq(&first, &second));
	kit_load(k, GOOD "routes = ( { id = \"r\"; path = \"/b\"; service = \"orders\"; } );");
	second = kit_object(k, CONF_ROUTE, "r")->digest;
	assert_false(digest_eq(&first, &second));
}

static void
url_is_short_for_one_endpoint(void **state)
{
	struct load_kit *k = *state;
	struct conf_service *s;
	struct conf_endpoint *e;

	kit_load(k, LISTENER "services = (\n"
			     "{ id = \"a\"; url = \"http://[2001:db8::7]:81/base/\"; },\n"
			     "{ id = \"b\"; url = \"unix:/run/x.sock:/v1\"; },\n"
			     "{ id = \"c\"; url = \"http://example.com\"; } );");
	assert_loaded(k);
	s = kit_body(k, CONF_SERVICE, "a");
	assert_int_equal(s->url.n, 0);
	assert_int_equal(s->endpoints.n, 1);
	e = s->endpoints.v;
	assert_str(e->host, "[2001:db8::7]:81");
	assert_str(e->base_path, "/base");
	assert_int_equal(e->weight, 1);
	assert_int_equal(e->addresses.n, 1);
	assert_int_equal(((struct conf_endpoint_addr *)e->addresses.v)->addr.port, 81);
	e = ((struct conf_service *)kit_body(k, CONF_SERVICE, "b"))->endpoints.v;
	assert_str(e->base_path, "/v1");
	assert_string_equal(
	    ((struct conf_endpoint_addr *)e->addresses.v)->addr.path, "/run/x.sock");
	e = ((struct conf_service *)kit_body(k, CONF_SERVICE, "c"))->endpoints.v;
	assert_int_equal(e->addresses.n, 0);
	assert_str(e->resolve_error, "not looked up");
}

static void
numbers_may_stand_in_quotes(void **state)
{
	struct load_kit *k = *state;

	setenv("GW_TEST_WORKERS", "5", 1);
	kit_load(k, GOOD "workers = \"${GW_TEST_WORKERS}\";\naccess_log = { enabled = "
			 "\"${GW_TEST_UNSET:-off}\"; };\nlimits = { connections = 3000L; };");
	assert_loaded(k);
	assert_int_equal(k->r.settings->workers, 5);
	assert_false(k->r.settings->access_log.enabled);
	assert_int_equal(k->r.settings->limits.connections, 3000);
}

static void
the_sample_loads(void **state)
{
	struct load_kit *k = *state;
	struct conf_service *s;
	struct conf_listener *l;

	unsetenv("SERVICE1_URL");
	load_free(&k->r);
	k->rc = load_files("conf/gateway.conf", false, &k->r, &k->check);
	assert_loaded(k);
	assert_report(k, "");
	assert_int_equal(k->r.n, 6);
	s = kit_body(k, CONF_SERVICE, "service1");
	assert_int_equal(s->timeouts.connect, 1000);
	assert_int_equal(s->timeouts.first_byte, 4000);
	l = kit_body(k, CONF_LISTENER, "main");
	assert_true(l->management.enabled);
	assert_int_equal(l->management.open.n, 2);
	setenv("SERVICE1_URL", "http://192.0.2.1:80/x", 1);
	load_free(&k->r);
	k->rc = load_files("conf/gateway.conf", false, &k->r, &k->check);
	assert_loaded(k);
	s = kit_body(k, CONF_SERVICE, "service1");
	assert_str(((struct conf_endpoint *)s->endpoints.v)->url, "http://192.0.2.1:80/x");
	unsetenv("SERVICE1_URL");
}

/* --- several files ------------------------------------------------------------------------------
 */

static void
conf_d_is_read_in_byte_order(void **state)
{
	struct load_kit *k = *state;

	kit_write(
	    k, "conf.d/b.conf", "routes = ( { id = \"r2\"; path = \"/2\"; service = \"s2\"; } );");
	kit_write(k, "conf.d/B.conf",
	    "routes = ( { id = \"r1\"; path = \"/1\"; service = \"orders\"; } );");
	kit_write(k, "conf.d/a.conf",
	    "services = ( { id = \"s2\"; url = \"http://127.0.0.1:2\"; } );\n"
	    "limits = { plans = 99; };");
	kit_write(k, "conf.d/c.conf.bak", "nonsense");
	kit_write(k, "conf.d/.hidden.conf", "nonsense");
	kit_load(k, GOOD "limits = { connections = 7; };");
	assert_loaded(k);
	assert_int_equal(k->r.n, 6);
	assert_str(k->r.v[4].id, "r1"); /* B before a before b */
	assert_str(k->r.v[5].id, "r2");
	assert_true(str_ends(k->r.v[5].file, STR("/conf.d/b.conf")));
	assert_int_equal(k->r.settings->limits.plans, 99);
	assert_int_equal(k->r.settings->limits.connections, 7);
}

static void
a_setting_in_two_files_names_both(void **state)
{
	struct load_kit *k = *state;

	kit_write(k, "conf.d/a.conf",
	    "\nworkers = 2;\nlimits = { plans = 17; };\n"
	    "services = ( { id = \"orders\"; url = \"http://127.0.0.1:1\"; } );");
	kit_load(k, "workers = 1;\nlimits = {\nplans = 16; };\n" GOOD);
	assert_int_equal(k->rc, -1);
	assert_report(k,
	    "DIR/conf.d/a.conf:2: workers: is set already at DIR/gateway.conf:1; it may stand in "
	    "one file only\n"
	    "DIR/conf.d/a.conf:3: limits.plans: is set already at DIR/gateway.conf:3; it may stand "
	    "in one file only\n"
	    "DIR/conf.d/a.conf:4: services[orders]: the id is taken already: DIR/gateway.conf:5; "
	    "ids are unique among services\n");
}

static void
includes_are_found_and_know_their_place(void **state)
{
	struct load_kit *k = *state;

	kit_write(k, "more.inc", "\n\nwrokers = 1;\n");
	kit_load(k, GOOD "@include \"more.inc\"\n");
	assert_int_equal(k->rc, -1);
	assert_report(k, "DIR/more.inc:3: wrokers: unknown setting; did you mean \"workers\"?\n");
	kit_write(k, "more.inc", "workers = 3000000000;\n");
	kit_load(k, GOOD "@include \"more.inc\"\n");
	assert_int_equal(k->rc, -1);
	assert_report(k, "DIR/more.inc:1: 3000000000: does not fit 32 bits; larger numbers are "
			 "written with an L behind them\n");
	kit_write(k, "more.inc", "\nworkers = ;\n");
	kit_load(k, GOOD "@include \"more.inc\"\n");
	assert_int_equal(k->rc, -1);
	assert_true(strncmp(kit_report(k), "DIR/more.inc:2: syntax error", 28) == 0);
	kit_load(k, GOOD "@include \"absent.inc\"\n");
	assert_report(k, "DIR/gateway.conf:3: cannot open include file\n");
}

static void
every_file_is_heard(void **state)
{
	struct load_kit *k = *state;

	kit_write(k, "conf.d/a.conf", "routes = (\n{ id = \"x\" }\n;\n");
	kit_write(k, "conf.d/b.conf", "workers = 99;\n");
	kit_load(k, GOOD "wokers = 1;");
	assert_int_equal(k->rc, -1);
	assert_report(k,
	    "DIR/conf.d/a.conf:3: syntax error here or just before; a setting is written name = "
	    "value; with members of lists separated by commas and none behind the last\n"
	    "DIR/gateway.conf:3: wokers: unknown setting; did you mean \"workers\"?\n"
	    "DIR/conf.d/b.conf:1: workers: 99: out of range; allowed: a whole number from 0 to "
	    "64\n");
}

static void
a_file_that_cannot_be_read_is_named(void **state)
{
	struct load_kit *k = *state;
	char path[128];

	kit_load_with(k, false);
	assert_int_equal(k->rc, -1);
	assert_report(k, "DIR/gateway.conf: No such file or directory\n");
	snprintf(path, sizeof(path), "%s/gateway.conf", k->dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	kit_load_with(k, false); /* and does not wait for a writer */
	assert_report(k, "DIR/gateway.conf: not a regular file\n");
}

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
	"allowed: http://host:port/base, http://[::1]:port/base, unix:/path, unix:/path:/base\n"
#define SVC(inside) LISTENER "services = ( { id = \"a\"; " inside " } );"
#define AT_SVC      "DIR/gateway.conf:2: services[a]"

static const struct bad bad_services[] = {
    {SVC(""), AT_SVC ": has neither url nor endpoints; one of them is needed\n"},
    {SVC("url = \"http://127.0.0.1\"; endpoints = ( { url = \"http://127.0.0.2\"; } );"),
	AT_SVC ".url: stands beside endpoints; one of the two is allowed\n"},
    {SVC("url = \"https://x\";"),
	AT_SVC ".url: \"https://x\": https is not supported by this version; " URL_ALLOWED},
    {SVC("endpoints = ( { url = \"http://127.0.0.1\"; }, { url = \"ftp://x\"; } );"),
	AT_SVC ".endpoints[1].url: \"ftp://x\": neither http:// nor unix:; " URL_ALLOWED},
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

/* --- warnings, and a lot of everything
 * ------------------------------------------------------------- */

static void
doubtful_things_are_warned_of(void **state)
{
	struct load_kit *k = *state;

	kit_load(k, "workers = 1;");
	assert_loaded(k);
	assert_report(
	    k, "DIR/gateway.conf: listeners: warning: there is none, so nothing will be served\n");
	kit_load(k, GOOD "routes = ( { id = \"a\"; path = [ \"/x/{a}\", \"/y\" ]; service = "
			 "\"orders\"; method = [ \"GET\", \"POST\" ]; },\n"
			 "{ id = \"b\"; path = \"/x/{b}\"; service = \"orders\"; method = [ "
			 "\"POST\", \"GET\" ]; },\n"
			 "{ id = \"c\"; path = \"/x/{b}\"; service = \"orders\"; },\n"
			 "{ id = \"d\"; path = \"/x/{b}\"; service = \"orders\"; priority = 1; },\n"
			 "{ id = \"e\"; path = \"/y\"; host = \"h\"; service = \"orders\"; } );");
	assert_loaded(k);
	assert_int_equal(k->check.warnings, 1);
	assert_report(k, "DIR/gateway.conf:4: routes[b].path: warning: \"/x/{b}\" matches the same "
			 "as route \"a\" "
			 "(DIR/gateway.conf:3); the smaller id wins\n");
	kit_load(k,
	    SERVICE "listeners = ( { id = \"a\"; address = \"*:1\"; management = { public = "
		    "\"status\"; }; } );");
	assert_loaded(k);
	assert_report(k, "DIR/gateway.conf:2: listeners[a].management.public: warning: without "
			 "effect: management.enabled is false\n");
}

static void
a_route_may_be_answered_by_a_policy(void **state)
{
	struct load_kit *k = *state;

	kit_load(k, LISTENER "routes = ( { id = \"r\"; path = \"/\"; policies = ( { policy = "
			     "\"fixed_response\"; status = 204; } ); } );");
	assert_loaded(k);
	kit_load(k, LISTENER "routes = ( { id = \"r\"; path = \"/\"; policies = ( { policy = "
			     "\"rewrite\"; prefix = \"/\"; } ); } );");
	assert_int_equal(k->rc, -1);
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

/* Nothing in it grows with the square: 20,000 routes and their services in a second and far less.
 */
static void
many_routes_load_quickly(void **state)
{
	struct load_kit *k = *state;
	struct gbuf text = {0};
	uint64_t began;

	gbuf_printf(&text, "%s", LISTENER "services = (\n");
	for (unsigned i = 0; i < 5000; i++)
		gbuf_printf(&text, "{ id = \"s%u\"; url = \"http://10.0.%u.%u\"; }%s\n", i, i / 250,
		    i % 250 + 1, i < 4999 ? "," : ");");
	gbuf_printf(&text, "routes = (\n");
	for (unsigned i = 0; i < 20000; i++)
		gbuf_printf(&text, "{ id = \"r%u\"; path = \"/x/%u/*\"; service = \"s%u\"; }%s\n",
		    i, i, i % 5000, i < 19999 ? "," : ");");
	kit_write_n(k, "gateway.conf", text.p, text.n);
	gbuf_free(&text);
	began = clock_precise_ns();
	kit_load_with(k, false);
	assert_loaded(k);
	assert_int_equal(k->r.n, 25002);
	assert_true(
	    clock_precise_ns() - began < UINT64_C(20000000000)); /* sanitizers, busy hosts */
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
    LOAD_TEST(objects_come_in_order_of_kind),
    LOAD_TEST(settings_are_decoded_for_the_caller),
    LOAD_TEST(equal_content_gives_equal_digests),
    LOAD_TEST(url_is_short_for_one_endpoint),
    LOAD_TEST(numbers_may_stand_in_quotes),
    LOAD_TEST(the_sample_loads),
    LOAD_TEST(conf_d_is_read_in_byte_order),
    LOAD_TEST(a_setting_in_two_files_names_both),
    LOAD_TEST(includes_are_found_and_know_their_place),
    LOAD_TEST(every_file_is_heard),
    LOAD_TEST(a_file_that_cannot_be_read_is_named),
    LOAD_TEST(bad_values_are_said),
    LOAD_TEST(unknown_names_get_a_suggestion),
    LOAD_TEST(ids_and_references_are_checked),
    LOAD_TEST(services_are_checked),
    LOAD_TEST(routes_are_checked),
    LOAD_TEST(settings_and_listeners_are_checked),
    LOAD_TEST(numbers_are_never_cut),
    LOAD_TEST(variables_are_replaced),
    LOAD_TEST(doubtful_things_are_warned_of),
    LOAD_TEST(a_route_may_be_answered_by_a_policy),
    LOAD_TEST(a_flood_of_errors_is_bounded),
    LOAD_TEST(many_routes_load_quickly),
    LOAD_TEST(hostile_text_is_one_line),
    LOAD_TEST(deep_nesting_is_refused),
};
RUN_TESTS(tests)
