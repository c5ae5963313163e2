/* SPDX-License-Identifier: Apache-2.0
 *
 * The redis group of the settings: defaults, ranges, what belongs together, and that a password
 * written down by mistake appears nowhere. F-SEC-03.
 */
#include "test/unit/conf/load_kit.h"

#include "conf/boot.h"
#include "shm/base/msg.h"

static void
redis(struct load_kit *k, const char *members)
{
	char text[65536];

	snprintf(text, sizeof(text),
	    "listeners = ( { id = \"m\"; address = \"*:80\"; } );\ninstance = \"a\";\n"
	    "redis = { %s };\n",
	    members);
	kit_load(k, text);
}

static void
defaults(void **state)
{
	struct load_kit *k = *state;
	const struct conf_settings *s;

	kit_load(k, "listeners = ( { id = \"m\"; address = \"*:80\"; } );");
	assert_loaded(k);
	s = k->r.settings;
	assert_int_equal(s->redis.addresses.n, 0);
	assert_int_equal(s->redis.mode, REDIS_SINGLE);
	assert_str(s->redis.prefix, "gateway");
	assert_int_equal(s->redis.timeouts.connect, 2000);
	assert_int_equal(s->redis.timeouts.command, 2000);
	assert_int_equal(s->redis.reconcile, 30000);
	assert_int_equal(s->redis.acknowledge, 10000);
	assert_int_equal(s->redis.acknowledge_expiry, 35000);
	assert_int_equal(s->redis.retry_min, 100);
	assert_int_equal(s->redis.retry_max, 10000);
	assert_true(s->redis.deletions == 0.5);
	assert_false(s->redis.publish);
	assert_true(s->redis.tls.verify);
	assert_false(s->redis.tls.enabled);
	assert_int_equal(s->limits.routes, 200000);
	assert_int_equal(s->limits.history, 100);
	assert_int_equal(s->limits.state_size, 256 << 20);
}

static void
everything_given(void **state)
{
	struct load_kit *k = *state;
	const struct conf_settings *s;

	redis(k, "addresses = [ \"redis1.example.com:6379\", \"10.0.0.1:1\", \"[::1]:65535\" ];"
		 "mode = \"sentinel\"; sentinel = { name = \"mymaster\"; username = \"u\"; "
		 "password = \"secret://env/S\"; };"
		 "database = 3; prefix = \"edge-1\"; username = \"gw\"; "
		 "password = \"secret://file/run/redis\";"
		 "tls = { enabled = true; verify = false; ca = \"ca.pem\"; certificate = "
		 "\"/c.pem\"; key = \"secret://env/KEY\"; server_name = \"redis\"; };"
		 "timeouts = { connect = \"1s\"; command = \"500ms\"; };"
		 "reconcile = \"1m\"; acknowledge = \"5s\"; acknowledge_expiry = \"20s\";"
		 "retry_min = \"1s\"; retry_max = \"1s\"; deletions = 1; publish = true;");
	assert_loaded(k);
	assert_report(k, "");
	s = k->r.settings;
	assert_int_equal(s->redis.addresses.n, 3);
	assert_int_equal(s->redis.mode, REDIS_SENTINEL);
	assert_str(s->redis.sentinel.password, "secret://env/S");
	assert_int_equal(s->redis.database, 3);
	assert_str(s->redis.prefix, "edge-1");
	assert_true(s->redis.tls.ca.p[0] == '/'); /* whoever opens it stands elsewhere */
	assert_true(str_ends(s->redis.tls.ca, STR("/ca.pem")));
	assert_str(s->redis.tls.key, "secret://env/KEY");
	assert_true(s->redis.deletions == 1.0);
	assert_int_equal(s->redis.timeouts.command, 500);
}

#define AT  "DIR/gateway.conf:3: redis"
#define HOW "allowed: \"host:port\", \"10.0.0.1:port\", \"[::1]:port\"\n"
#define REF                                                                                        \
	"not a reference to a secret, and secrets themselves are not written here; allowed: "      \
	"secret://env/NAME (a variable of the gateway's environment), secret://file/PATH\n"

static void
what_is_wrong_is_told(void **state)
{
	struct load_kit *k = *state;
	static const struct {
		const char *members, *report;
	} cases[] = {
	    {"mode = \"sentinel\";", AT ".mode: \"sentinel\" needs sentinel.name\n"},
	    {"sentinel = { name = \"x\"; };", AT ".sentinel.name: needs mode = \"sentinel\"\n"},
	    {"mode = \"cluster\"; database = 1;",
		AT ".database: 1; a cluster has database 0 only\n"},
	    {"mode = \"clutser\";", AT ".mode: \"clutser\": not one of the words for this setting; "
				       "did you mean \"cluster\"?; allowed: "
				       "\"single\", \"sentinel\" or \"cluster\"\n"},
	    {"database = -1;",
		AT ".database: -1: out of range; allowed: a whole number from 0 to 65535\n"},
	    {"prefix = \"a{b}\";", AT ".prefix: \"a{b}\" is not a plain name; allowed: 1 to 64 "
				      "letters, digits, \"-\", \"_\", \".\"\n"},
	    {"prefix = \"\";", AT ".prefix: \"\" is not a plain name; allowed: 1 to 64 letters, "
				  "digits, \"-\", \"_\", \".\"\n"},
	    {"acknowledge = \"35s\";",
		AT ".acknowledge: acknowledge is not shorter than acknowledge_expiry\n"},
	    {"acknowledge_expiry = \"5s\";",
		AT ".acknowledge_expiry: acknowledge is not shorter than acknowledge_expiry\n"},
	    {"retry_min = \"11s\";", AT ".retry_min: retry_min is longer than retry_max\n"},
	    {"retry_max = \"50ms\";", AT ".retry_max: retry_min is longer than retry_max\n"},
	    {"deletions = 1.5;",
		AT ".deletions: 1.5: out of range; allowed: a number from 0 to 1\n"},
	    {"tls = { certificate = \"/a\"; };", AT ".tls.certificate: needs tls.key\n"},
	    {"tls = { key = \"/a\"; };", AT ".tls.key: needs tls.certificate\n"},
	    {"tls = { certificate = \"/a\"; key = \"secret://env/1\"; };",
		AT ".tls.key: not the name of a variable; allowed: secret://env/NAME\n"},
	    {"addresses = [ \"a\" ];", AT ".addresses[0]: \"a\": the port is missing; " HOW},
	    {"addresses = [ \"a:1\", \"a:0\" ];",
		AT ".addresses[1]: \"a:0\": a port is a number from 1 to 65535; " HOW},
	    {"addresses = [ \"::1:6379\" ];",
		AT ".addresses[0]: \"::1:6379\": an IPv6 address needs brackets; " HOW},
	    {"addresses = [ \"*:1\" ];", AT ".addresses[0]: \"*:1\": the host is neither a name "
					    "nor an address; " HOW},
	    {"addresses = [ \":1\" ];", AT ".addresses[0]: \":1\": the host is neither a name nor "
					   "an address; " HOW},
	    {"addresses = [ \"unix:/a\" ];", AT ".addresses[0]: \"unix:/a\": not host:port; " HOW},
	    {"password = \"hunter2\";", AT ".password: " REF},
	    {"password = \"hunter2${x\";", AT ".password: " REF},
	    {"password = \"${HOME}\";", AT ".password: " REF},
	    {"sentinel = { password = \"hunter2\"; };", AT ".sentinel.password: " REF},
	    {"password = 1234567;", AT ".password: what stands there: not a string; it needs "
				       "quotes; allowed: a string\n"},
	    {"password = \"secret://vault/x\";", AT ".password: " REF},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		redis(k, cases[i].members);
		assert_report(k, cases[i].report);
		assert_int_equal(k->rc, -1);
	}
	redis(k, "tls = { certificate = \"/a\"; key = \"-----BEGIN "
		 "PRIVATE KEY-----hunter2\"; };");
	assert_int_equal(k->rc, -1);
	assert_null(strstr(kit_report(k), "hunter2"));
}

static void
instances_of_a_console_have_names(void **state)
{
	struct load_kit *k = *state;

	kit_load(k, "listeners = ( { id = \"m\"; address = \"*:80\"; } );\n"
		    "redis = { addresses = [ \"a:1\" ]; };");
	assert_loaded(k);
	assert_report(k,
	    "DIR/gateway.conf: instance: warning: left out beside redis.addresses: every instance "
	    "of a console needs a name of its own\n");
}

/* R-8.1: the console's settings change while the gateway runs. */
static void
only_the_state_size_needs_a_restart(void **state)
{
	struct load_kit *k = *state;
	struct conf_settings a, b;
	struct ws ws;

	ws_init(&ws, NULL, 0);
	redis(k, "");
	assert_loaded(k);
	a = b = *k->r.settings;
	b.redis.prefix = STR("other");
	b.redis.database = 7;
	b.redis.publish = true;
	b.redis.tls.enabled = true;
	b.limits.routes = b.limits.history = 7;
	assert_str(boot_restart_needed(&a, &b, &ws), "");
	b.limits.state_size = 1;
	assert_str(boot_restart_needed(&a, &b, &ws), "limits.state_size");
	ws_free(&ws);
}

/* The longest redis group beside the longest list of proxies still is one message. */
static void
the_longest_settings_fit_a_message(void **state)
{
	struct load_kit *k = *state;
	struct gbuf text = {0}, boot = {0};
	char name[64], path[1024];

	memset(name, 'n', sizeof(name));
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	gbuf_str(&text, STR("listeners = ( { id = \"m\"; address = \"*:80\"; } );\n"
			    "instance = \"a\";\ntrusted_proxies = [ \"2001:db8::/32\""));
	for (unsigned i = 1; i < 1024; i++)
		gbuf_printf(&text, ", \"2001:db8::%x/128\"", i);
	gbuf_str(&text, STR(" ];\nredis = { addresses = [ "));
	for (unsigned i = 0; i < 32; i++)
		gbuf_printf(&text, "%s\"%.63s.%.63s.%.63s.%.50s%02u:65535\"", i > 0 ? ", " : "",
		    name, name, name, name, i);
	gbuf_printf(&text,
	    " ]; password = \"secret://file%.1000s\"; mode = \"sentinel\"; sentinel = { name = "
	    "\"%.64s%.64s\"; password = \"secret://file%.1000s\"; }; tls = { ca = \"%.1024s\"; "
	    "certificate = \"%.1024s\"; key = \"%.1024s\"; }; };\n",
	    path, name, name, path, path, path, path);
	gbuf_u8(&text, '\0');
	kit_load(k, text.p);
	assert_loaded(k);
	boot_encode(k->r.settings, &boot);
	assert_in_range(boot.n, 30000, MSG_MAX - 1024);
	gbuf_free(&text);
	gbuf_free(&boot);
}

static void
longer_texts_are_refused(void **state)
{
	struct load_kit *k = *state;
	char members[8192], long_text[1100];

	memset(long_text, 'x', sizeof(long_text));
	snprintf(members, sizeof(members),
	    "username = \"%.129s\"; password = \"secret://file/%.1024s\"; tls = { ca = "
	    "\"/%.1024s\"; };",
	    long_text, long_text, long_text);
	redis(k, members);
	assert_report(k, AT ".username: 129 octets; allowed: up to 128\n" AT
			    ".password: 1038 octets; allowed: up to 1024\n" AT
			    ".tls.ca: 1025 octets; allowed: up to 1024\n");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(defaults, kit_setup, kit_teardown),
    TEST_WITH(everything_given, kit_setup, kit_teardown),
    TEST_WITH(what_is_wrong_is_told, kit_setup, kit_teardown),
    TEST_WITH(instances_of_a_console_have_names, kit_setup, kit_teardown),
    TEST_WITH(only_the_state_size_needs_a_restart, kit_setup, kit_teardown),
    TEST_WITH(the_longest_settings_fit_a_message, kit_setup, kit_teardown),
    TEST_WITH(longer_texts_are_refused, kit_setup, kit_teardown),
};
RUN_TESTS(tests)
