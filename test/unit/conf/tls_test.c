/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates and the TLS groups of listeners, services and the instance: defaults, ranges, what
 * belongs together, and that a key written down by mistake appears nowhere. S-SEC-4, S-EC-1, R-7.1.
 */
#include <jansson.h>

#include "conf/certificate.h"
#include "conf/document.h"
#include "conf/tls.h"
#include "test/unit/conf/load_kit.h"

#define CERT                                                                                       \
	"certificates = ( { id = \"a\"; certificate = \"a.pem\"; key = \"/k/a.key\"; }, "          \
	"{ id = \"b\"; hosts = [ \"B.test\", \"*.b.test\" ]; certificate = \"secret://file/b\"; "  \
	"key = \"secret://env/B_KEY\"; ocsp = \"/o/b\"; } );\n"
#define LIS(tls) "listeners = ( { id = \"m\"; address = \"*:443\"; tls = { " tls " }; } );\n"
#define SVC(tls)                                                                                   \
	"listeners = ( { id = \"m\"; address = \"*:80\"; } );\n"                                   \
	"services = ( { id = \"s\"; url = \"https://127.0.0.1\"; tls = { " tls " }; } );\n"
#define SET(tls) "listeners = ( { id = \"m\"; address = \"*:80\"; } ); tls = { " tls " };\n"
#define CRT(members)                                                                               \
	"listeners = ( { id = \"m\"; address = \"*:80\"; } );\n"                                   \
	"certificates = ( { id = \"c\"; " members " } );\n"

static const void *
body(struct load_kit *k, enum conf_kind kind, const char *id)
{
	for (uint32_t i = 0; i < k->r.n; i++)
		if (k->r.v[i].kind == kind && str_eq(k->r.v[i].id, str_of(id)))
			return object_body(&k->r.v[i], &k->r.ws);
	fail_msg("no %s %s", object_kinds[kind].word, id);
	return NULL;
}

static void
defaults(void **state)
{
	struct load_kit *k = *state;
	const struct conf_listener *l;
	const struct conf_service *s;

	kit_load(k, SVC(""));
	assert_loaded(k);
	l = body(k, CONF_LISTENER, "m");
	assert_false(l->tls.enabled);
	assert_int_equal(l->tls.min_version, TLS_1_2);
	assert_int_equal(l->tls.max_version, TLS_1_3);
	assert_true(l->tls.tickets);
	assert_false(l->tls.strict_sni);
	assert_int_equal(l->tls.handshake_timeout, 10000);
	assert_int_equal(l->tls.client.mode, TLS_CLIENT_NONE);
	assert_int_equal(l->tls.client.depth, 2);
	s = body(k, CONF_SERVICE, "s");
	assert_true(s->tls.verify);
	assert_int_equal(s->tls.min_version, TLS_1_2);
	assert_true(((struct conf_endpoint *)s->endpoints.v)->tls);
	assert_int_equal(k->r.settings->tls.ticket_lifetime, 12 * FIELD_HOUR);
	assert_int_equal(k->r.settings->tls.certificate_cache, 2048);
}

static void
certificates_are_read(void **state)
{
	struct load_kit *k = *state;
	const struct conf_certificate *c;
	const struct conf_listener *l;
	char path[128];

	kit_load(k, CERT LIS("enabled = true; certificates = [ \"b\", \"a\" ]; default = \"a\"; "
			     "client = { mode = \"required\"; ca = \"ca.pem\"; crl = \"crl.pem\"; "
			     "trust_domain = \"example.org\"; };"));
	assert_loaded(k);
	snprintf(path, sizeof(path), "%s/a.pem", k->dir);
	c = body(k, CONF_CERTIFICATE, "a");
	assert_true(
	    str_eq(c->certificate, str_of(path))); /* relative ones begin at the main file */
	assert_str(c->key, "/k/a.key");
	assert_int_equal(c->hosts.n, 0);
	c = body(k, CONF_CERTIFICATE, "b");
	assert_str(c->hosts.v[0], "b.test");
	assert_str(c->hosts.v[1], "*.b.test");
	assert_str(c->certificate, "secret://file/b");
	assert_str(c->ocsp, "/o/b");
	l = body(k, CONF_LISTENER, "m");
	assert_str(l->tls.certificates.v[0], "b");
	assert_str(l->tls.fallback.v[0], "a");
	assert_int_equal(l->tls.client.mode, TLS_CLIENT_REQUIRED);
	snprintf(path, sizeof(path), "%s/ca.pem", k->dir);
	assert_true(str_eq(l->tls.client.ca, str_of(path)));
}

#define PEM                                                                                        \
	"-----"                                                                                    \
	"BEGIN PRIVATE KEY-----hunter2"

struct bad {
	const char *text, *says;
};
static const struct bad bad[] = {
    {LIS("enabled = true; certificates = \"ordrs\";") "certificates = ( { id = \"orders\"; "
						      "certificate = \"/c\"; key = \"/k\"; } );",
	"listeners[m].tls.certificates: \"ordrs\": no such certificate; did you mean \"orders\"?"},
    {LIS("enabled = true; default = \"other\";") CERT,
	"listeners[m].tls.default: \"other\": no such certificate; allowed: an id among "
	"certificates"},
    {LIS("enabled = true; certificates = \"a\"; default = \"b\";") CERT,
	"tls.default: \"b\" is not among certificates"},
    {LIS("enabled = true; strict_sni = true; default = \"a\";") CERT,
	"tls.strict_sni: stands beside default"},
    {LIS("min_version = \"1.3\"; max_version = \"1.2\";"),
	"tls.max_version: max_version is lower than min_version"},
    {LIS("min_version = \"1.1\";"), "tls.min_version: \"1.1\": not one of the words"},
    {LIS("ciphers = \"a;b\";"), "tls.ciphers: not a list of names"},
    {LIS("client = { mode = \"optional\"; };"), "tls.client.mode: \"optional\" needs ca"},
    {LIS("client = { crl = \"/x\"; };"), "tls.client.crl: needs ca"},
    {LIS("client = { trust_domain = \"a.b\"; };"), "tls.client.trust_domain: needs mode"},
    {LIS("client = { mode = \"required\"; ca = \"/c\"; trust_domain = \"A.b\"; };"),
	"tls.client.trust_domain: \"A.b\": a trust domain has small letters"},
    {LIS("client = { depth = 17; };"), "tls.client.depth: 17: out of range"},
    {SVC("key = \"/x\";"), "services[s].tls.key: needs certificate"},
    {SVC("certificate = \"/x\";"), "services[s].tls.certificate: needs key"},
    {SVC("crl = \"/x\";"), "services[s].tls.crl: needs ca"},
    {SVC("crl = \"secret://env/X\"; ca = \"/x\";"),
	"tls.crl: a reference to a secret; allowed: a file"},
    {SVC("ca = \"secret://x\";"), "services[s].tls.ca: not a reference to a secret"},
    {SVC("server_name = \"*.a\";"), "tls.server_name: \"*.a\": a star is no name"},
    {SVC("spiffe = { trust_domain = \"a\"; };"), "tls.spiffe.trust_domain: needs ca"},
    {SVC("verify = false; ca = \"/c\"; spiffe = { trust_domain = \"a\"; };"),
	"tls.spiffe.trust_domain: needs verify = true"},
    {SVC("spiffe = { ids = \"spiffe://a/b\"; };"), "tls.spiffe.ids: needs trust_domain"},
    {SVC("ca = \"/c\"; spiffe = { trust_domain = \"a\"; ids = \"spiffe://b/c\"; };"),
	"tls.spiffe.ids: \"spiffe://b/c\": its domain is not trust_domain"},
    {SVC("ca = \"/c\"; spiffe = { trust_domain = \"a\"; ids = \"spiffe://a/*/c\"; };"),
	"a star stands at the end alone"},
    {SET("ticket_secret = \"/a/file\";"), "tls.ticket_secret: not a reference to a secret"},
    {SET("ticket_lifetime = \"8d\";"), "tls.ticket_lifetime: \"8d\": out of range"},
    {CRT("key = \"/k\";"), "certificates[c].certificate: is missing"},
    {CRT("certificate = \"/c\";"), "certificates[c].key: is missing"},
    {CRT("certificate = \"/c\"; key = \"/k\"; hosts = \"*\";"),
	"certificates[c].hosts: \"*\": a star needs a name behind it"},
    {CRT("certificate = \"/c\"; key = \"/k\"; hosts = \"a.*.b\";"),
	"hosts: \"a.*.b\": a star may only"},
    {CRT("certificate = \"/c\"; key = \"/k\"; hosts = [ \"a.b\", \"A.B\" ];"),
	"hosts: \"a.b\" stands there twice"},
    {CRT("certificate = \"/c\"; key = \"/k\"; hosts = \"10.0.0.1\";"),
	"hosts: \"10.0.0.1\": an address"},
    {CRT("certificate = \"/c\"; key = \"/k\"; hosts = \"a.b:443\";"), "without its port"},
    {CRT("certificate = \"/c\"; key = \"/k\"; ocsp = \"secret://env/X\";"),
	"ocsp: a reference to a secret"},
};

static void
mistakes_are_said(void **state)
{
	struct load_kit *k = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		kit_load(k, bad[i].text);
		assert_int_equal(k->rc, -1);
		if (str_find(str_n(k->check.text.p, k->check.text.n), str_of(bad[i].says)) < 0)
			fail_msg("wanted: %s\ngot: %.*s", bad[i].says, (int)k->check.text.n,
			    k->check.text.p);
	}
}

/* S-SEC-4: no octet of it. */
static void
a_key_itself_is_refused_and_not_told(void **state)
{
	static const char *const texts[] = {CRT("certificate = \"/c\"; key = \"" PEM "\";"),
	    SVC("certificate = \"/c\"; key = \"" PEM "\";"), SET("ticket_secret = \"hunter2\";")};
	struct load_kit *k = *state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		kit_load(k, texts[i]);
		assert_int_equal(k->rc, -1);
		assert_true(str_find(str_n(k->check.text.p, k->check.text.n), STR("hunter2")) < 0);
	}
}

/* Over a socket nothing is relative to anything. */
static void
paths_in_documents_are_whole(void **state)
{
	struct conf_object o;
	struct conf_check check;
	json_t *j = json_pack("{s:s, s:s}", "certificate", "a.pem", "key", "/k");
	struct ws ws;

	(void)state;
	ws_init(&ws, NULL, 0);
	check_init(&check);
	assert_int_equal(
	    document_object(CONF_CERTIFICATE, STR("a"), STR("admin"), j, &ws, &o, &check), -1);
	assert_true(str_find(str_n(check.text.p, check.text.n),
			STR("certificate: neither a whole path nor a reference")) >= 0);
	json_object_set_new(j, "certificate", json_string("/a.pem"));
	check_free(&check);
	assert_int_equal(
	    document_object(CONF_CERTIFICATE, STR("a"), STR("admin"), j, &ws, &o, &check), 1);
	check_free(&check);
	json_decref(j);
	ws_free(&ws);
}

static void
references_have_names(void **state)
{
	struct ws ws;

	(void)state;
	ws_init(&ws, NULL, 0);
	assert_str(tls_ref(STR(""), &ws), "");
	assert_str(tls_ref(STR("/a/b.pem"), &ws), "file:/a/b.pem");
	assert_str(tls_ref(STR("secret://env/X"), &ws), "secret://env/X");
	ws_free(&ws);
}

/* S-AI-1. */
static void
spiffe_ids(void **state)
{
	static const char *const good[] = {
	    "spiffe://example.org", "spiffe://example.org/a/B_c-1.2", "spiffe://a/...", NULL};
	static const char *const wrong[] = {"", "spiffe://", "spiffe:///a", "http://a/b",
	    "SPIFFE://a/b", "spiffe://A/b", "spiffe://a:1/b", "spiffe://u@a/b", "spiffe://a/",
	    "spiffe://a//b", "spiffe://a/./b", "spiffe://a/../b", "spiffe://a/b%20",
	    "spiffe://a/b?c", "spiffe://a/b#c", "spiffe://a/b/", "spiffe://a/*", NULL};
	struct str patterns[] = {STR("spiffe://a/shop/*"), STR("spiffe://a/orders")};
	struct strs list = {patterns, 2}, none = {NULL, 0};
	char longest[2100];

	(void)state;
	for (unsigned i = 0; good[i] != NULL; i++)
		assert_null(tls_spiffe_wrong(str_of(good[i]), false));
	for (unsigned i = 0; wrong[i] != NULL; i++)
		if (tls_spiffe_wrong(str_of(wrong[i]), false) == NULL)
			fail_msg("%s was taken", wrong[i]);
	assert_null(tls_spiffe_wrong(STR("spiffe://a/*"), true));
	assert_null(tls_spiffe_wrong(STR("spiffe://a/b/*"), true));
	assert_non_null(tls_spiffe_wrong(STR("spiffe://a/b*"), true));
	assert_non_null(tls_spiffe_wrong(STR("spiffe://a/*/b"), true));
	assert_non_null(tls_spiffe_wrong(STR("spiffe://*"), true));
	assert_non_null(tls_spiffe_wrong(STR("spiffe://a\0/b"), false));
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "spiffe://a/", 11);
	assert_null(tls_spiffe_wrong(str_n(longest, 2048), false));
	assert_non_null(tls_spiffe_wrong(str_n(longest, 2049), false));

	assert_true(tls_spiffe_fits(&none, STR("spiffe://x/y")));
	assert_true(tls_spiffe_fits(&list, STR("spiffe://a/orders")));
	assert_true(tls_spiffe_fits(&list, STR("spiffe://a/shop/x/y")));
	assert_false(tls_spiffe_fits(&list, STR("spiffe://a/shop/")));
	assert_false(tls_spiffe_fits(&list, STR("spiffe://a/shop")));
	assert_false(tls_spiffe_fits(&list, STR("spiffe://a/shopping/x")));
	assert_false(tls_spiffe_fits(&list, STR("spiffe://a/orders/1")));
	assert_false(tls_spiffe_fits(&list, STR("spiffe://b/orders")));
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(defaults, kit_setup, kit_teardown),
    TEST_WITH(certificates_are_read, kit_setup, kit_teardown),
    TEST_WITH(mistakes_are_said, kit_setup, kit_teardown),
    TEST_WITH(a_key_itself_is_refused_and_not_told, kit_setup, kit_teardown),
    TEST(paths_in_documents_are_whole),
    TEST(references_have_names),
    TEST(spiffe_ids),
};

RUN_TESTS(tests)
