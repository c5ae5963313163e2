/* SPDX-License-Identifier: Apache-2.0
 *
 * From objects that name files to a bundle: what is good is in it, what is not is told with object,
 * setting and file, and what changed for the worse by itself keeps what was there.
 * S-SEC-4, E-8, S-EC-1, R-7.1, R-7.3, R-7.4
 */
#include "test/unit/harness.h"

#include <jansson.h>
#include <time.h>

#include "conf/bundle.h"
#include "conf/sealed.h"
#include "master/watcher/secrets/seal.h"
#include "test/unit/master/watcher/secrets/kit.h"

static char report_text[8192];

/* DIR in the place of the directory. */
static void
report_keep(struct kit *k, const struct conf_check *c)
{
	struct str rest = str_n(c->text.p, c->text.n);
	size_t n = 0;
	ssize_t at;

	while ((at = rest.n > 0 ? str_find(rest, str_of(k->dir)) : -1) >= 0) {
		n += (size_t)snprintf(
		    report_text + n, sizeof(report_text) - n, "%.*sDIR", (int)at, rest.p);
		rest = str_sub(rest, (size_t)at + strlen(k->dir), rest.n);
	}
	snprintf(report_text + n, sizeof(report_text) - n, "%.*s", STR_ARG(rest));
}

struct made {
	int rc;
	struct bundle *b;
	json_t *facts;
	bool same;
	uint32_t kept;
};

static struct made
make(struct kit *k, const struct bundle *kept, bool lenient)
{
	struct seal_in in = {
	    .objects = kit_objects(k), .kept = kept, .lenient = lenient, .now = PKI_NOW};
	struct made m = {.rc = 0};
	struct conf_check report;
	struct seal_out out;
	const char *error;
	struct str json;

	check_init(&report);
	m.rc = seal_make(&in, &out, &report);
	report_keep(k, &report);
	check_free(&report);
	close(in.objects);
	if (m.rc != 1)
		return m;
	m.b = bundle_open(out.bundle, &error);
	assert_non_null(m.b);
	assert_int_equal(sealed_map(out.facts, BUNDLE_MAX, &json, &error), 1);
	m.facts = json_loadb(json.p, json.n, 0, NULL);
	assert_true(json_is_array(m.facts));
	sealed_unmap(&json);
	m.same = out.same;
	m.kept = out.kept;
	close(out.bundle);
	close(out.facts);
	return m;
}

static void
made_free(struct made *m)
{
	bundle_unref(&m->b);
	json_decref(m->facts);
	m->facts = NULL;
}

static void
assert_told(const char *part)
{
	if (strstr(report_text, part) == NULL)
		fail_msg("\"%s\" is not in\n%s", part, report_text);
}

static void
refused(struct kit *k, const char *part)
{
	struct made m = make(k, NULL, false);

	assert_int_equal(m.rc, -1);
	assert_told(part);
}

static const char *
fact(const struct made *m, size_t i, const char *name)
{
	return json_string_value(json_object_get(json_array_get(m->facts, i), name));
}

static struct bundle_cert
cert(const struct made *m, const char *id)
{
	struct bundle_cert c;
	uint32_t i;

	assert_int_equal(bundle_cert_find(m->b, str_of(id), &i), 1);
	assert_int_equal(bundle_cert_at(m->b, i, &c), 1);
	return c;
}

static bool
has(const struct made *m, enum bundle_kind kind, struct str ref, struct str *octets_r)
{
	struct digest d;

	return bundle_get(m->b, kind, ref, octets_r, &d) == 1 && octets_r->n > 0;
}

/* --- what is good ----------------------------------------------------------------------------- */

static void
a_certificate_is_there_by_its_names(void **state)
{
	struct kit *k = *state;
	struct bundle_cert c;
	struct made m;
	uint32_t v[2];

	kit_put_cert(k, "shop", "a.pem", "a.key");
	m = make(k, NULL, false);
	assert_int_equal(m.rc, 1);
	assert_string_equal(report_text, "");
	c = cert(&m, "shop");
	assert_int_equal(c.key_type, BUNDLE_KEY_EC);
	assert_true(c.not_after == PKI_NOW + 90 * PKI_DAY);
	assert_int_equal(bundle_named(m.b, STR("a.test"), v, 2), 1);
	assert_int_equal(bundle_named(m.b, STR("*.a.test"), v, 2), 1);
	assert_string_equal(fact(&m, 0, "id"), "shop");
	assert_string_equal(fact(&m, 0, "used_by"), "certificate");
	assert_string_equal(fact(&m, 0, "state"), "ok");
	assert_string_equal(fact(&m, 0, "key"), "EC P-256");
	assert_string_equal(fact(&m, 0, "file"), kit_path(k, "a.pem"));
	assert_null(json_object_get(json_array_get(m.facts, 0), "error"));
	assert_int_equal(json_array_size(json_object_get(json_array_get(m.facts, 0), "names")), 2);
	assert_int_equal(
	    json_integer_value(json_object_get(json_array_get(m.facts, 0), "chain")), 2);
	made_free(&m);
}

static void
one_file_may_have_both(void **state)
{
	struct kit *k = *state;
	struct gbuf pem = {0};
	struct pki_opts o = {.cn = "b", .san = "DNS:b.test", .key = k->rsa};
	X509 *x = pki_cert(&o);
	struct made m;

	pki_pem_key(&pem, k->rsa);
	pki_pem_cert(&pem, x);
	kit_write(k, "both.pem", str_n(pem.p, pem.n));
	kit_put_cert(k, "both", "both.pem", "both.pem");
	m = make(k, NULL, false);
	assert_int_equal(cert(&m, "both").key_type, BUNDLE_KEY_RSA);
	made_free(&m);
	X509_free(x);
	gbuf_free(&pem);
}

static void
hosts_are_the_objects_where_it_has_some(void **state)
{
	struct kit *k = *state;
	struct conf_certificate *c = kit_cert(k, "a.pem", "a.key", NULL);
	static const struct str hosts[] = {{"x.a.test", 8}, {"y.test", 6}};
	struct made m;
	uint32_t v[2];

	c->hosts = (struct strs){hosts, 2};
	kit_put(k, CONF_CERTIFICATE, "shop", c);
	m = make(k, NULL, false);
	assert_int_equal(bundle_named(m.b, STR("a.test"), v, 2), 0);
	assert_int_equal(bundle_named(m.b, STR("y.test"), v, 2), 1);
	assert_string_equal(report_text,
	    "gateway.conf:7: certificates[shop].certificate: warning: DIR/a.pem: not for "
	    "\"y.test\", which stands in hosts\n");
	made_free(&m);
}

static void
times_and_twins_are_warned_of(void **state)
{
	struct kit *k = *state;
	struct pki_opts o = {.cn = "a.test", .key = k->key, .to = PKI_NOW - 60};
	X509 *old = pki_cert(&o), *young;
	struct made m;

	o.to = 0;
	o.from = PKI_NOW + 60;
	young = pki_cert(&o);
	kit_write_cert(k, "old.pem", old, NULL);
	kit_write_cert(k, "young.pem", young, NULL);
	kit_leaf(k, "rsa.pem", "DNS:a.test", k->rsa);
	kit_write_key(k, "rsa.key", k->rsa);
	kit_put_cert(k, "old", "old.pem", "a.key");
	kit_put_cert(k, "rsa", "rsa.pem", "rsa.key");
	kit_put_cert(k, "young", "young.pem", "a.key");
	m = make(k, NULL, false);
	assert_int_equal(m.rc, 1);
	assert_told("certificates[old].certificate: warning: DIR/old.pem: expired on "
		    "2026-11-21T01:59:00Z\n");
	assert_told("certificates[young].certificate: warning: DIR/young.pem: not valid before "
		    "2026-11-21T02:01:00Z\n");
	assert_told("certificates[young]: warning: certificates[old] is for \"a.test\" too");
	assert_null(strstr(report_text, "[rsa]"));
	made_free(&m);
	X509_free(old);
	X509_free(young);
}

static void
listeners_and_services_have_theirs(void **state)
{
	struct kit *k = *state;
	struct conf_listener *l = kit_new(k, CONF_LISTENER);
	struct conf_service *s = kit_service(k), *plain = kit_service(k);
	struct gbuf crl = {0};
	struct made m;
	struct str o;

	pki_pem_crl(&crl, k->root, k->root_key, PKI_NOW - 1, 0);
	kit_write(k, "crl.pem", str_n(crl.p, crl.n));
	gbuf_free(&crl);
	l->tls.enabled = true;
	l->tls.client.mode = TLS_CLIENT_REQUIRED;
	l->tls.client.ca = kit_str(k, "ca.pem");
	l->tls.client.crl = kit_str(k, "crl.pem");
	kit_put(k, CONF_LISTENER, "tls", l);
	s->tls.certificate = kit_str(k, "a.pem");
	s->tls.key = kit_str(k, "a.key");
	s->tls.ca = kit_str(k, "ca.pem");
	kit_put(k, CONF_SERVICE, "up", s);
	((struct conf_endpoint *)plain->endpoints.v)->tls = false;
	kit_put(k, CONF_SERVICE, "plain", plain);
	m = make(k, NULL, false);
	assert_int_equal(m.rc, 1);
	assert_true(has(&m, BUNDLE_CHAIN, tls_ref(l->tls.client.ca, &k->ws), &o));
	assert_true(has(&m, BUNDLE_CRL, tls_ref(l->tls.client.crl, &k->ws), &o));
	assert_true(has(&m, BUNDLE_CHAIN, tls_ref(s->tls.certificate, &k->ws), &o));
	assert_true(has(&m, BUNDLE_KEY, tls_ref(s->tls.key, &k->ws), &o));
	assert_false(has(&m, BUNDLE_CHAIN, TLS_REF_SYSTEM, &o));
	assert_told("listeners[tls].tls.client.crl: warning: DIR/crl.pem: the list should have");
	assert_int_equal(json_array_size(m.facts), 2);
	assert_string_equal(fact(&m, 0, "used_by"), "listener");
	assert_string_equal(fact(&m, 1, "used_by"), "service");
	made_free(&m);
	l->tls.client.mode = TLS_CLIENT_NONE;
	kit_put(k, CONF_LISTENER, "tls", l);
	m = make(k, NULL, false);
	assert_false(has(&m, BUNDLE_CHAIN, tls_ref(l->tls.client.ca, &k->ws), &o));
	made_free(&m);
	l->tls.ciphers = STR("ECDHE+AESGCM");
	l->tls.groups = STR("P-999");
	kit_put(k, CONF_LISTENER, "tls", l);
	assert_int_equal(make(k, NULL, false).rc, -1);
	assert_told("listeners[tls].tls: groups: not what OpenSSL knows: P-999");
	l->tls.enabled = false;
	kit_put(k, CONF_LISTENER, "tls", l);
	m = make(k, NULL, false);
	assert_int_equal(m.rc, 1);
	made_free(&m);
}

static void
the_systems_certificates_are_a_file(void **state)
{
	struct kit *k = *state;
	struct gbuf pem = {0};
	struct made m;
	struct str o;

	gbuf_str(&pem, STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
	pki_pem_cert(&pem, k->root);
	kit_write(k, "system.pem", str_n(pem.p, pem.n));
	gbuf_free(&pem);
	setenv("SSL_CERT_FILE", kit_path(k, "system.pem"), 1);
	kit_put(k, CONF_SERVICE, "up", kit_service(k));
	kit_put(k, CONF_SERVICE, "up2", kit_service(k));
	m = make(k, NULL, false);
	unsetenv("SSL_CERT_FILE");
	assert_int_equal(m.rc, 1);
	assert_true(has(&m, BUNDLE_CHAIN, TLS_REF_SYSTEM, &o));
	assert_string_equal(report_text,
	    "gateway.conf:7: services[up].tls.ca: warning: DIR/system.pem: 1 malformed "
	    "certificates of the system's are left out\n");
	made_free(&m);
}

static void
the_secret_of_tickets_is_carried_on(void **state)
{
	struct kit *k = *state;
	struct conf_settings *s = kit_new(k, CONF_SETTINGS);
	struct made first = make(k, NULL, false), second = make(k, first.b, false), m;
	struct str a, b;

	assert_true(has(&first, BUNDLE_SECRET, TLS_REF_TICKET, &a));
	assert_int_equal(a.n, 32);
	assert_true(has(&second, BUNDLE_SECRET, TLS_REF_TICKET, &b));
	assert_true(str_eq(a, b));
	assert_false(first.same);
	assert_true(second.same);
	m = make(k, NULL, false);
	assert_true(has(&m, BUNDLE_SECRET, TLS_REF_TICKET, &b));
	assert_false(str_eq(a, b));
	made_free(&m);
	setenv("GW_TEST_TICKET", "0123456789012345678901234567890", 1);
	s->tls.ticket_secret = STR("secret://env/GW_TEST_TICKET");
	kit_put(k, CONF_SETTINGS, "gateway", s);
	refused(k, "tls.ticket_secret: secret://env/GW_TEST_TICKET: fewer than 32 octets");
	assert_null(strstr(report_text, "0123456789"));
	setenv("GW_TEST_TICKET", "01234567890123456789012345678901", 1);
	kit_put(k, CONF_SETTINGS, "gateway", s);
	m = make(k, first.b, false);
	assert_true(has(&m, BUNDLE_SECRET, TLS_REF_TICKET, &b));
	assert_str(b, "01234567890123456789012345678901");
	assert_false(m.same);
	made_free(&m);
	made_free(&first);
	made_free(&second);
}

static void
what_nobody_uses_is_only_warned_of(void **state)
{
	struct kit *k = *state;
	struct conf_service *s = kit_service(k);
	struct made m;

	s->tls.verify = false;
	s->tls.ca = kit_str(k, "none");
	kit_put(k, CONF_SERVICE, "up", s);
	m = make(k, NULL, false);
	assert_int_equal(m.rc, 1);
	assert_told("services[up].tls.ca: warning: DIR/none: No such file or directory; it is left "
		    "out\n");
	made_free(&m);
}

/* --- what is not ------------------------------------------------------------------------------ */

static void
errors_name_object_setting_and_file(void **state)
{
	struct kit *k = *state;
	struct conf_service *s = kit_service(k);
	char fifo[128];

	kit_write_key(k, "b.key", k->key2);
	kit_put_cert(k, "shop", "a.pem", "b.key");
	refused(k, "gateway.conf:7: certificates[shop].key: DIR/b.key: does not belong to the "
		   "certificate\n");
	kit_put_cert(k, "shop", "none.pem", "a.key");
	refused(k, "certificates[shop].certificate: DIR/none.pem: No such file or directory\n");
	kit_put_cert(k, "shop", "a.pem", "a.pem");
	refused(k, "certificates[shop].key: DIR/a.pem: there is no private key in it");
	snprintf(fifo, sizeof(fifo), "%s/fifo", k->dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	kit_put_cert(k, "shop", "fifo", "a.key");
	refused(k, "certificates[shop].certificate: DIR/fifo: not a regular file\n");
	kit_write(k, "odd.pem", STR("my secret\n"));
	kit_put_cert(k, "shop", "a.pem", "odd.pem");
	refused(k, "DIR/odd.pem: there is no private key in it");
	assert_null(strstr(report_text, "my secret"));
	s->tls.certificate = kit_str(k, "a.pem");
	s->tls.key = kit_str(k, "b.key");
	s->tls.ca = kit_str(k, "none");
	kit_put(k, CONF_SERVICE, "up", s);
	refused(k, "services[up].tls.key: DIR/b.key: does not belong to the certificate\n");
	assert_told("services[up].tls.ca: DIR/none: No such file or directory\n");
}

static void
a_response_is_good_or_told(void **state)
{
	struct kit *k = *state;
	struct pki_opts o = {
	    .cn = "o.test", .key = k->key, .issuer = k->root, .issuer_key = k->root_key};
	X509 *leaf = pki_cert(&o);
	struct pki_ocsp_opts r = {.leaf = leaf, .issuer = k->root, .key = k->root_key};
	struct gbuf der = {0};
	struct made m;

	kit_write_cert(k, "o.pem", leaf, k->root);
	pki_ocsp(&der, &r);
	kit_write(k, "ocsp", str_n(der.p, der.n));
	gbuf_free(&der);
	kit_put(k, CONF_CERTIFICATE, "o", kit_cert(k, "o.pem", "a.key", "ocsp"));
	m = make(k, NULL, false);
	assert_int_equal(m.rc, 1);
	assert_true(cert(&m, "o").ocsp.n > 0);
	assert_true(cert(&m, "o").ocsp_until == PKI_NOW + PKI_DAY);
	r.until = PKI_NOW - 1;
	pki_ocsp(&der, &r);
	kit_write(k, "ocsp", str_n(der.p, der.n));
	gbuf_free(&der);
	made_free(&m);
	kit_put(k, CONF_CERTIFICATE, "o", kit_cert(k, "o.pem", "a.key", "ocsp"));
	m = make(k, NULL, false);
	assert_int_equal(m.rc, 1);
	assert_int_equal(cert(&m, "o").ocsp.n, 0);
	assert_told("certificates[o].ocsp: warning: DIR/ocsp: it was good until "
		    "2026-11-21T01:59:59Z: it is not stapled\n");
	made_free(&m);
	r.until = 0;
	r.status = V_OCSP_CERTSTATUS_REVOKED;
	pki_ocsp(&der, &r);
	kit_write(k, "ocsp", str_n(der.p, der.n));
	gbuf_free(&der);
	kit_put(k, CONF_CERTIFICATE, "o", kit_cert(k, "o.pem", "a.key", "ocsp"));
	refused(k, "certificates[o].ocsp: DIR/ocsp: it says that the certificate is revoked");
	X509_free(leaf);
}

/* --- what changed by itself ------------------------------------------------------------------- */

static void
what_got_worse_keeps_what_was_there(void **state)
{
	struct kit *k = *state;
	struct made first, m;

	kit_put_cert(k, "shop", "a.pem", "a.key");
	first = make(k, NULL, false);
	/* The new certificate is there, its key is not yet. */
	kit_leaf(k, "a.pem", "DNS:a.test", k->key2);
	kit_put_cert(k, "shop", "a.pem", "a.key");
	m = make(k, first.b, true);
	assert_int_equal(m.rc, 1);
	assert_true(m.same);
	assert_int_equal(m.kept, 1);
	assert_string_equal(fact(&m, 0, "state"), "kept");
	assert_string_equal(fact(&m, 0, "error"), "does not belong to the certificate");
	assert_told("certificates[shop].key: warning: DIR/a.key: does not belong to the "
		    "certificate; what was there before is kept\n");
	made_free(&m);
	/* Asked for, that is an error. */
	kit_put_cert(k, "shop", "a.pem", "a.key");
	m = make(k, first.b, false);
	assert_int_equal(m.rc, -1);
	/* And now the key. */
	kit_write_key(k, "a.key", k->key2);
	kit_put_cert(k, "shop", "a.pem", "a.key");
	m = make(k, first.b, true);
	assert_int_equal(m.rc, 1);
	assert_false(m.same);
	assert_int_equal(m.kept, 0);
	assert_false(str_eq(cert(&m, "shop").chain, cert(&first, "shop").chain));
	made_free(&first);
	first = m;
	assert_int_equal(unlink(kit_path(k, "a.pem")), 0);
	kit_put_cert(k, "shop", "a.pem", "a.key");
	m = make(k, first.b, true);
	assert_true(m.same);
	assert_string_equal(fact(&m, 0, "error"), "No such file or directory");
	made_free(&m);
	/* Where there was nothing, there is nothing. */
	kit_put_cert(k, "shop", "a.pem", "a.key");
	m = make(k, NULL, true);
	assert_int_equal(m.rc, 1);
	assert_int_equal(bundle_certs(m.b), 0);
	assert_told("it is left out");
	made_free(&m);
	made_free(&first);
}

static void
a_services_pair_is_kept_together(void **state)
{
	struct kit *k = *state;
	struct conf_service *s = kit_service(k);
	struct made first, m;
	struct str a, b;

	s->tls.certificate = kit_str(k, "a.pem");
	s->tls.key = kit_str(k, "a.key");
	s->tls.ca = kit_str(k, "ca.pem");
	kit_put(k, CONF_SERVICE, "up", s);
	first = make(k, NULL, false);
	kit_leaf(k, "a.pem", "DNS:a.test", k->key2);
	assert_int_equal(unlink(kit_path(k, "ca.pem")), 0);
	kit_put(k, CONF_SERVICE, "up", s);
	m = make(k, first.b, true);
	assert_int_equal(m.rc, 1);
	assert_true(m.same);
	assert_int_equal(m.kept, 2);
	assert_true(has(&first, BUNDLE_CHAIN, tls_ref(s->tls.certificate, &k->ws), &a));
	assert_true(has(&m, BUNDLE_CHAIN, tls_ref(s->tls.certificate, &k->ws), &b));
	assert_true(str_eq(a, b));
	assert_string_equal(fact(&m, 0, "state"), "kept");
	made_free(&m);
	made_free(&first);
}

/* --- many ------------------------------------------------------------------------------------- */

#define MANY 10000

static void
ten_thousand_take_seconds(void **state)
{
	struct kit *k = *state;
	char cert_name[32], key_name[32], san[48], id[32];
	clock_t began;
	double took;
	struct made m, again;
	uint32_t v[1];

	kit_write_key(k, "k0", k->key);
	for (unsigned i = 0; i < MANY; i++) {
		struct pki_opts o = {.cn = "x",
		    .san = san,
		    .key = k->key,
		    .issuer = k->root,
		    .issuer_key = k->root_key};
		X509 *x;

		snprintf(cert_name, sizeof(cert_name), "c%u", i);
		snprintf(key_name, sizeof(key_name), "k%u", i);
		snprintf(san, sizeof(san), "DNS:h%u.test", i);
		snprintf(id, sizeof(id), "c-%u", i);
		x = pki_cert(&o);
		kit_write_cert(k, cert_name, x, NULL);
		X509_free(x);
		if (i > 0)
			assert_int_equal(link(kit_path(k, "k0"), kit_path(k, key_name)), 0);
		kit_put_cert(k, id, cert_name, key_name);
	}
	began = clock();
	m = make(k, NULL, false);
	took = (double)(clock() - began) / CLOCKS_PER_SEC;
	print_message("%u certificates sealed: %.1f s of CPU\n", MANY, took);
	assert_int_equal(m.rc, 1);
	assert_int_equal(bundle_certs(m.b), MANY);
	assert_int_equal(bundle_named(m.b, STR("h9999.test"), v, 1), 1);
	assert_true(took < 100); /* under sanitizers */
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(cert_name, sizeof(cert_name), "c%u", i);
		snprintf(key_name, sizeof(key_name), "k%u", i);
		snprintf(id, sizeof(id), "c-%u", i);
		kit_put_cert(k, id, cert_name, key_name);
	}
	began = clock();
	again = make(k, m.b, true);
	took = (double)(clock() - began) / CLOCKS_PER_SEC;
	print_message("and again, unchanged: %.1f s\n", took);
	assert_true(again.same);
	made_free(&m);
	made_free(&again);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_certificate_is_there_by_its_names, kit_setup, kit_teardown),
    TEST_WITH(one_file_may_have_both, kit_setup, kit_teardown),
    TEST_WITH(hosts_are_the_objects_where_it_has_some, kit_setup, kit_teardown),
    TEST_WITH(times_and_twins_are_warned_of, kit_setup, kit_teardown),
    TEST_WITH(listeners_and_services_have_theirs, kit_setup, kit_teardown),
    TEST_WITH(what_nobody_uses_is_only_warned_of, kit_setup, kit_teardown),
    TEST_WITH(the_systems_certificates_are_a_file, kit_setup, kit_teardown),
    TEST_WITH(the_secret_of_tickets_is_carried_on, kit_setup, kit_teardown),
    TEST_WITH(errors_name_object_setting_and_file, kit_setup, kit_teardown),
    TEST_WITH(a_response_is_good_or_told, kit_setup, kit_teardown),
    TEST_WITH(what_got_worse_keeps_what_was_there, kit_setup, kit_teardown),
    TEST_WITH(a_services_pair_is_kept_together, kit_setup, kit_teardown),
    TEST_WITH(ten_thousand_take_seconds, kit_setup, kit_teardown),
};
RUN_TESTS(tests)
