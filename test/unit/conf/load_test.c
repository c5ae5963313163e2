/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole loads: what a good configuration becomes, several files, warnings, and a great many routes.
 * G-FR-011, G-SC-005, E-2.
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
	assert_str(e->resolve_error, "not looked up yet");
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

/* Groups in lists are read one at a time, unless the file includes others: nobody sees which. */
static void
objects_are_the_same_in_one_file_and_in_two(void **state)
{
	static const char routes[] =
	    "routes = ( { id = \"b\"; path = [ \"/x/{n}\", \"/y\" ]; service = \"orders\"; },\n"
	    "{ id = \"a\"; path = \"/x/{m}\"; service = \"orders\"; } );\n";
	struct load_kit *k = *state;
	struct digest alone[4];

	kit_write(k, "more.inc", "workers = 2;\n");
	for (unsigned i = 0; i < 2; i++) {
		char text[1024];

		snprintf(text, sizeof(text), "%s%s%s", routes, GOOD,
		    i == 0 ? "workers = 2;\n" : "@include \"more.inc\"\n");
		kit_load(k, text);
		assert_loaded(k);
		assert_report(k,
		    "DIR/gateway.conf:2: routes[a].path: warning: \"/x/{m}\" matches the same as "
		    "route \"b\" (DIR/gateway.conf:1); the smaller id wins\n");
		assert_int_equal(k->r.n, 5);
		for (unsigned j = 0; j < 4; j++) {
			if (i == 0)
				alone[j] = k->r.v[j].digest;
			assert_true(digest_eq(&alone[j], &k->r.v[j].digest));
		}
		assert_int_equal(k->r.v[4].line, 2);
	}
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
    LOAD_TEST(objects_are_the_same_in_one_file_and_in_two),
    LOAD_TEST(every_file_is_heard),
    LOAD_TEST(a_file_that_cannot_be_read_is_named),
    LOAD_TEST(doubtful_things_are_warned_of),
    LOAD_TEST(a_route_may_be_answered_by_a_policy),
    LOAD_TEST(many_routes_load_quickly),
};
RUN_TESTS(tests)
