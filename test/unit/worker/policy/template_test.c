/* SPDX-License-Identifier: Apache-2.0
 *
 * Templates: every value, and that none breaks out of the place it is put into (R-1.3, S-RT-2).
 */
#include "test/unit/worker/policy/kit.h"

#include "worker/net/tls.h"
#include "worker/policy/template.h"

static struct str
eval(const char *text, enum template_place place)
{
	const struct template *t;
	const char *error = NULL;
	struct str bad;

	if (template_compile(str_of(text), &kit.ws, &t, &bad, &error) != 1)
		fail_msg("%s: \"%.*s\": %s", text, STR_ARG(bad), error);
	return template_eval(t, &kit.r, place);
}

static int
setup(void **state)
{
	(void)state;
	ws_init(&kit.ws, NULL, 0);
	kit_request();
	head_add(&kit.r.in, STR("X-Tenant"), STR("acme"));
	head_add(&kit.r.in, STR("Cookie"), STR("a=1; sid=abc"));
	head_add(&kit.r.in, STR("Cookie"), STR("late=2"));
	return 0;
}

static void
every_value_is_there(void **state)
{
	static const char *const rows[][2] = {
	    {"{client.ip}", "192.0.2.1"},
	    {"{cookie.sid}", "abc"},
	    {"{cookie.late}", "2"},
	    {"{cookie.none}", ""},
	    {"{header.x-tenant}", "acme"},
	    {"{header.None}", ""},
	    {"{host}", "shop.example.com"},
	    {"{method}", "GET"},
	    {"{id}", "7"},
	    {"{param.id}", "7"},
	    {"{none}", ""},
	    {"{path}", "/users/7"},
	    {"{query.q}", "1"},
	    {"{request.id}", "req-1"},
	    {"{rest}", "a/b"},
	    {"{route}", "users"},
	    {"{scheme}", "http"},
	    {"{service}", "accounts"},
	    {"{trace.id}", "0af7651916cd43dd8448eb211c80319c"},
	    {"", ""},
	    {"plain", "plain"},
	    {"a {id} b {method}.", "a 7 b GET."},
	    {"{{\"a\": \"{id}\"}", "{\"a\": \"7\"}"},
	    {"{{{id}}", "{7}"},
	    {"}", "}"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_str(eval(rows[i][0], TEMPLATE_FIELD), rows[i][1]);
}

/* Of the connection itself: nothing a client or a proxy writes makes a certificate. */
static void
what_tls_agreed(void **state)
{
	static const char *const rows[][3] = {
	    {"{tls.version}", "TLSv1.3", "TLSv1.3"},
	    {"{tls.cipher}", "AES", "AES"},
	    {"{tls.sni}", "shop.example.com", "shop.example.com"},
	    {"{client_cert.subject}", "", "CN=\xc3\xa4,O=x"},
	    {"{client_cert.issuer}", "", "CN=ca"},
	    {"{client_cert.serial}", "", "0a"},
	    {"{client_cert.fingerprint}", "", "ff00"},
	    {"{client_cert.spiffe}", "", "spiffe://d/x"},
	    {"{client_cert.dns}", "", "d.test"},
	    {"{client_cert.email}", "", "a@d.test"},
	    {"{client_cert.verified}", "", "true"},
	};
	struct tls_facts without = {
	    .version = STR("TLSv1.3"), .cipher = STR("AES"), .sni = STR("shop.example.com")};
	struct tls_facts with = without;

	(void)state;
	with.peer = true;
	with.subject = STR("CN=\xc3\xa4,O=x\r\n");
	with.issuer = STR("CN=ca");
	with.serial = STR("0a");
	with.fingerprint = STR("ff00");
	with.spiffe = STR("spiffe://d/x");
	with.dns = STR("d.test");
	with.email = STR("a@d.test");
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		kit.r.handshake = NULL;
		kit.r.tls = true;
		assert_str(eval(rows[i][0], TEMPLATE_FIELD), "");
		kit.r.handshake = &without;
		assert_str(eval(rows[i][0], TEMPLATE_FIELD), rows[i][1]);
		kit.r.handshake = &with;
		assert_str(eval(rows[i][0], TEMPLATE_FIELD), rows[i][2]);
	}
	assert_str(eval("/{client_cert.spiffe}", TEMPLATE_PATH), "/spiffe%3A%2F%2Fd%2Fx");
}

static void
values_stay_in_their_place(void **state)
{
	(void)state;
	head_add(&kit.r.in, STR("X-Evil"), STR("a\r\nSet-Cookie: x\0y"));
	head_add(&kit.r.in, STR("X-Path"), STR("../a b?c#d/%2e"));
	head_add(&kit.r.in, STR("X-Dots"), STR(".."));
	head_add(&kit.r.in, STR("X-Text"), STR("<b> & \"q\" 'r'\\"));
	assert_str(eval("<{header.X-Evil}>", TEMPLATE_FIELD), "<aSet-Cookie: xy>");
	assert_str(eval("/u/{header.X-Path}/x", TEMPLATE_PATH), "/u/..%2Fa%20b%3Fc%23d%2F%252e/x");
	assert_str(eval("/u/{header.X-Dots}/x", TEMPLATE_PATH), "/u//x");
	assert_str(eval("/u/{id}/{rest}{path}", TEMPLATE_PATH), "/u/7/a/b/users/7");
	assert_str(eval("/?x={query.x}", TEMPLATE_PATH), "/?x=%2520y");
	assert_str(eval("{scheme}://{host}{path}?x={query.x}&t={header.X-Text}", TEMPLATE_URL),
	    "http://shop.example.com/users/7?x=%20y&t=%3Cb%3E%20%26%20%22q%22%20%27r%27%5C");
	assert_str(eval("{{\"t\":\"{header.X-Text}\"}", TEMPLATE_JSON),
	    "{\"t\":\"<b> & \\\"q\\\" 'r'\\\\\"}");
	assert_str(eval("<p>{header.X-Text}</p>", TEMPLATE_HTML),
	    "<p>&lt;b&gt; &amp; &quot;q&quot; &#39;r&#39;\\</p>");
}

static void
what_is_no_template_is_refused(void **state)
{
	static const char *const rows[][3] = {
	    {"{", "", "no closing brace"},
	    {"a{id", "id", "no closing brace"},
	    {"{}", "", "no such value"},
	    {"{request.foo}", "request.foo", "no such value"},
	    {"{a b}", "a b", "no such value"},
	    {"{header.}", "header.", "a name is needed"},
	    {"{header}", "header", "a name is needed"},
	    {"{header.a b}", "header.a b", "a name is needed"},
	};
	const struct template *t;
	const char *error;
	struct str bad;
	char many[200] = "";

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		if (template_compile(str_of(rows[i][0]), &kit.ws, &t, &bad, &error) != -1)
			fail_msg("%s is taken", rows[i][0]);
		assert_str(bad, rows[i][1]);
		assert_non_null(strstr(error, rows[i][2]));
	}
	for (unsigned i = 0; i < 33; i++)
		memcpy(many + 4 * i, "{id}", 4);
	assert_int_equal(template_compile(str_of(many), &kit.ws, &t, &bad, &error), -1);
}

static void
memory_has_an_end(void **state)
{
	const struct template *t;
	const char *error;
	struct str bad;

	(void)state;
	assert_int_equal(
	    template_compile(STR("{client.ip} and {id}"), &kit.ws, &t, &bad, &error), 1);
	ws_free(&kit.r.ws);
	ws_init(&kit.r.ws, NULL, 1);
	assert_null(template_eval(t, &kit.r, TEMPLATE_FIELD).p);
}

static void
count_name(void *arg, struct str name)
{
	struct gbuf *g = arg;

	gbuf_str(g, name);
	gbuf_str(g, STR(" "));
}

static void
parameters_can_be_asked_for(void **state)
{
	struct gbuf g = {0};

	(void)state;
	template_params(STR("{id}{host}{param.x} {header.y}{z}"), count_name, &g);
	assert_str(str_n(g.p, g.n), "id x z ");
	gbuf_free(&g);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(every_value_is_there, setup, kit_teardown),
    TEST_WITH(what_tls_agreed, setup, kit_teardown),
    TEST_WITH(values_stay_in_their_place, setup, kit_teardown),
    TEST_WITH(what_is_no_template_is_refused, setup, kit_teardown),
    TEST_WITH(memory_has_an_end, setup, kit_teardown),
    TEST_WITH(parameters_can_be_asked_for, setup, kit_teardown),
};
RUN_TESTS(tests)
