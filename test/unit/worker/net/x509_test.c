/* SPDX-License-Identifier: Apache-2.0
 *
 * What files bring is looked at before anybody uses it: chains, keys, lists, OCSP responses.
 * S-EC-1
 */
#include "test/unit/harness.h"

#include <stdio.h>

#include "test/unit/assert_str.h"
#include "test/unit/pki.h"
#include "worker/net/x509.h"

static struct pki {
	EVP_PKEY *root_key, *key, *other_key;
	X509 *root, *leaf;
	struct gbuf chain, key_pem; /* leaf and root; the leaf's key */
} pki;

static int
setup(void **state)
{
	struct pki_opts root, leaf;

	(void)state;
	pki.root_key = pki_ec();
	pki.key = pki_ec();
	pki.other_key = pki_ec();
	root = (struct pki_opts){.cn = "Root", .key = pki.root_key, .ca = true};
	pki.root = pki_cert(&root);
	leaf = (struct pki_opts){.cn = "not.this.test",
	    .san = "DNS:A.test,DNS:*.B.test,DNS:a*.test,DNS:*.*.test,DNS:x..test,DNS:c.test.,"
		   "IP:192.0.2.1",
	    .key = pki.key,
	    .issuer = pki.root,
	    .issuer_key = pki.root_key,
	    .serial = 0x1234};
	pki.leaf = pki_cert(&leaf);
	pki_pem_cert(&pki.chain, pki.leaf);
	pki_pem_cert(&pki.chain, pki.root);
	pki_pem_key(&pki.key_pem, pki.key);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(pki.root_key);
	EVP_PKEY_free(pki.key);
	EVP_PKEY_free(pki.other_key);
	X509_free(pki.root);
	X509_free(pki.leaf);
	gbuf_free(&pki.chain);
	gbuf_free(&pki.key_pem);
	return 0;
}

static struct str
all(const struct gbuf *g)
{
	return str_n(g->p, g->n);
}

static struct gbuf
chain_der(struct str pem)
{
	struct gbuf der = {0};
	const char *error = NULL;

	if (x509_chain(pem, &der, &error) < 0)
		fail_msg("%s", error);
	return der;
}

static struct gbuf
key_der(struct str pem)
{
	struct gbuf der = {0};
	const char *error = NULL;

	if (x509_key(pem, &der, &error) < 0)
		fail_msg("%s", error);
	return der;
}

/* --- certificates ----------------------------------------------------------------------------- */

static void
a_chain_is_every_certificate_of_the_file(void **state)
{
	struct gbuf mixed = {0}, der, again;

	(void)state;
	gbuf_str(&mixed, STR("a word in front\n"));
	gbuf_str(&mixed, all(&pki.key_pem));
	gbuf_str(&mixed, all(&pki.chain));
	der = chain_der(all(&mixed));
	again = chain_der(all(&pki.chain));
	assert_true(str_eq(all(&der), all(&again)));
	gbuf_free(&mixed);
	gbuf_free(&der);
	gbuf_free(&again);
}

static void
what_is_no_chain_says_so(void **state)
{
	static const char *const bad[][2] = {
	    {"", "empty"},
	    {"hello\n", "no certificate"},
	    {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "1st certificate"},
	    {"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "PEM"},
	    {"-----BEGIN CERTIFICATE-----\nAAAA\n", "PEM"},
	};
	struct gbuf der = {0}, cut = {0};
	const char *error;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		error = NULL;
		assert_int_equal(x509_chain(str_of(bad[i][0]), &der, &error), -1);
		if (strstr(error, bad[i][1]) == NULL)
			fail_msg("%s", error);
	}
	gbuf_str(&cut, all(&pki.chain));
	gbuf_str(&cut, STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
	assert_int_equal(x509_chain(all(&cut), &der, &error), -1);
	assert_non_null(strstr(error, "3rd"));
	assert_int_equal(x509_key(all(&pki.chain), &der, &error), -1);
	assert_non_null(strstr(error, "no private key"));
	assert_int_equal(der.n, 0);
	gbuf_free(&cut);
}

static void
of_trusted_ones_the_bad_are_left_out(void **state)
{
	struct gbuf some = {0}, der = {0}, good = chain_der(all(&pki.chain));
	const char *error = NULL;
	unsigned bad = 0;

	(void)state;
	gbuf_str(&some, STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
	gbuf_str(&some, all(&pki.chain));
	assert_int_equal(x509_trusted(all(&some), &der, &bad, &error), 1);
	assert_int_equal(bad, 1);
	assert_true(str_eq(all(&der), all(&good)));
	gbuf_free(&some);
	gbuf_free(&der);
	gbuf_free(&good);
}

static void
facts_are_the_leafs(void **state)
{
	struct gbuf der = chain_der(all(&pki.chain));
	struct x509_facts f;
	const char *error = NULL;
	struct ws ws;

	(void)state;
	ws_init(&ws, NULL, 0);
	assert_int_equal(x509_facts(all(&der), &f, &ws, &error), 1);
	assert_str(f.subject, "CN=not.this.test");
	assert_str(f.issuer, "CN=Root");
	assert_str(f.serial, "1234");
	assert_int_equal(f.fingerprint.n, 64);
	assert_str(f.key, "EC P-256");
	assert_int_equal(f.key_type, BUNDLE_KEY_EC);
	assert_true(f.not_before == PKI_NOW - PKI_DAY);
	assert_true(f.not_after == PKI_NOW + 90 * PKI_DAY);
	assert_int_equal(f.chain, 2);
	assert_int_equal(f.spiffe.n, 0);
	assert_int_equal(f.n_names, 3);
	assert_str(f.names[0], "a.test");
	assert_str(f.names[1], "*.b.test");
	assert_str(f.names[2], "c.test");
	ws_free(&ws);
	gbuf_free(&der);
}

static struct x509_facts
facts_of(const char *cn, const char *san, EVP_PKEY *key, struct ws *ws)
{
	struct pki_opts o = {.cn = cn, .san = san, .key = key};
	X509 *x = pki_cert(&o);
	struct gbuf pem = {0}, der;
	struct x509_facts f;
	const char *error;

	pki_pem_cert(&pem, x);
	der = chain_der(all(&pem));
	assert_int_equal(x509_facts(all(&der), &f, ws, &error), 1);
	X509_free(x);
	gbuf_free(&pem);
	gbuf_free(&der);
	return f;
}

static void
names_of_all_kinds(void **state)
{
	struct x509_facts f;
	struct ws ws;

	(void)state;
	ws_init(&ws, NULL, 0);
	f = facts_of("CN.test", NULL, pki.key, &ws);
	assert_int_equal(f.n_names, 1);
	assert_str(f.names[0], "cn.test");
	f = facts_of("Somebody's Name", NULL, pki.key, &ws);
	assert_int_equal(f.n_names, 0);
	f = facts_of(NULL, "URI:spiffe://domain.test/a/b", pki.key, &ws);
	assert_str(f.spiffe, "spiffe://domain.test/a/b");
	assert_int_equal(f.n_names, 0);
	f = facts_of(NULL, "URI:spiffe://domain.test/a,URI:spiffe://domain.test/b", pki.key, &ws);
	assert_int_equal(f.spiffe.n, 0);
	f = facts_of(NULL, "URI:https://domain.test/a", pki.key, &ws);
	assert_int_equal(f.spiffe.n, 0);
	ws_free(&ws);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void
keys_of_every_kind_and_form(void **state)
{
	struct {
		EVP_PKEY *key;
		const char *words;
		enum bundle_key type;
	} v[] = {{pki_rsa(2048), "RSA 2048", BUNDLE_KEY_RSA},
	    {EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "Ed25519", BUNDLE_KEY_EDDSA},
	    {EVP_EC_gen("P-384"), "EC P-384", BUNDLE_KEY_EC}};
	struct ws ws;

	(void)state;
	ws_init(&ws, NULL, 0);
	for (unsigned i = 0; i < ARRAY_LEN(v); i++) {
		struct gbuf pem = {0}, old = {0}, a, b;
		BIO *bio = BIO_new(BIO_s_mem());
		struct x509_facts f = facts_of("k.test", NULL, v[i].key, &ws);

		assert_true(str_eq(f.key, str_of(v[i].words)));
		assert_int_equal(f.key_type, v[i].type);
		pki_pem_key(&pem, v[i].key);
		a = key_der(all(&pem));
		if (v[i].type != BUNDLE_KEY_EDDSA) {
			assert_int_equal(PEM_write_bio_PrivateKey_traditional(
					     bio, v[i].key, NULL, NULL, 0, NULL, NULL),
			    1);
			gbuf_str(&old, STR("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
					   "-----END EC PARAMETERS-----\n"));
			pki_take(bio, &old);
			b = key_der(all(&old));
			assert_true(str_eq(all(&a), all(&b)));
			gbuf_free(&b);
		} else
			BIO_free(bio);
		gbuf_free(&pem);
		gbuf_free(&old);
		gbuf_free(&a);
		EVP_PKEY_free(v[i].key);
	}
	ws_free(&ws);
}

static void
a_passphrase_is_nobodys_to_give(void **state)
{
	struct gbuf pem = {0}, der = {0};
	const char *error = NULL;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		BIO *b = BIO_new(BIO_s_mem());
		int ok = i == 0
			     ? PEM_write_bio_PKCS8PrivateKey(
				   b, pki.key, EVP_aes_128_cbc(), "word", 4, NULL, NULL)
			     : PEM_write_bio_PrivateKey_traditional(b, pki.key, EVP_aes_128_cbc(),
				   (const unsigned char *)"word", 4, NULL, NULL);

		assert_int_equal(ok, 1);
		pki_take(b, &pem);
		assert_int_equal(x509_key(all(&pem), &der, &error), -1);
		assert_non_null(strstr(error, "passphrase"));
		gbuf_free(&pem);
	}
	assert_int_equal(x509_key(STR("-----BEGIN PRIVATE "
				      "KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"),
			     &der, &error),
	    -1);
	assert_non_null(strstr(error, "malformed"));
}

static void
a_pair_belongs_together(void **state)
{
	struct gbuf chain = chain_der(all(&pki.chain)), key = key_der(all(&pki.key_pem));
	struct gbuf other_pem = {0}, other, odd = {0}, odd_der;
	const char *error = NULL, *warning = "";

	(void)state;
	pki_pem_key(&other_pem, pki.other_key);
	other = key_der(all(&other_pem));
	assert_int_equal(x509_pair(all(&chain), all(&key), 112, &warning, &error), 1);
	assert_null(warning);
	assert_true(x509_same(all(&pki.chain), false, all(&chain)));
	assert_true(x509_same(all(&pki.key_pem), true, all(&key)));
	assert_false(x509_same(all(&pki.key_pem), true, all(&other)));
	assert_false(x509_same(all(&pki.key_pem), false, all(&chain)));
	assert_false(x509_same(all(&pki.chain), false, str_sub(all(&chain), 0, chain.n - 1)));
	assert_int_equal(x509_pair(all(&chain), all(&other), 112, &warning, &error), -1);
	assert_string_equal(error, "does not belong to the certificate");
	assert_int_equal(x509_pair(all(&chain), STR("nonsense"), 112, &warning, &error), -1);
	assert_int_equal(x509_pair(STR(""), all(&key), 112, &warning, &error), -1);
	/* The leaf twice: it is not its own issuer. */
	pki_pem_cert(&odd, pki.leaf);
	pki_pem_cert(&odd, pki.leaf);
	odd_der = chain_der(all(&odd));
	assert_int_equal(x509_pair(all(&odd_der), all(&key), 112, &warning, &error), 1);
	assert_non_null(strstr(warning, "1st is not its issuer"));
	gbuf_free(&chain);
	gbuf_free(&key);
	gbuf_free(&other_pem);
	gbuf_free(&other);
	gbuf_free(&odd);
	gbuf_free(&odd_der);
}

static void
what_is_weak_is_refused(void **state)
{
	EVP_PKEY *rsa = pki_rsa(1024);
	struct pki_opts o = {.cn = "weak.test", .key = rsa};
	X509 *x = pki_cert(&o);
	struct gbuf pem = {0}, key_pem = {0}, chain, key;
	const char *warning = NULL, *error = NULL;

	(void)state;
	pki_pem_cert(&pem, x);
	pki_pem_key(&key_pem, rsa);
	chain = chain_der(all(&pem));
	key = key_der(all(&key_pem));
	assert_int_equal(x509_pair(all(&chain), all(&key), 112, &warning, &error), -1);
	assert_non_null(strstr(error, "RSA 1024"));
	assert_int_equal(x509_pair(all(&chain), all(&key), 80, &warning, &error), 1);
	assert_int_equal(x509_pair(all(&chain), all(&key), 0, &warning, &error), 1);
	gbuf_free(&pem);
	gbuf_free(&key_pem);
	gbuf_free(&chain);
	gbuf_free(&key);
	X509_free(x);
	EVP_PKEY_free(rsa);
}

/* --- lists and responses ---------------------------------------------------------------------- */

static void
the_first_list_to_end_counts(void **state)
{
	struct gbuf pem = {0}, der = {0};
	const char *error = NULL;
	int64_t until = 0;

	(void)state;
	pki_pem_crl(&pem, pki.root, pki.root_key, PKI_NOW + 2 * PKI_DAY, 0x1234);
	pki_pem_crl(&pem, pki.root, pki.root_key, PKI_NOW + PKI_DAY, 0);
	assert_int_equal(x509_crls(all(&pem), &der, &until, &error), 1);
	assert_true(until == PKI_NOW + PKI_DAY);
	assert_true(der.n > 0);
	assert_int_equal(x509_crls(all(&pki.chain), &der, &until, &error), -1);
	assert_non_null(strstr(error, "no revocation list"));
	gbuf_free(&pem);
	gbuf_free(&der);
}

static int
ocsp(struct str octets, struct str chain, const char **error_r, int64_t *until_r)
{
	struct gbuf der = {0};
	int rc = x509_ocsp(octets, chain, PKI_NOW, &der, until_r, error_r);

	assert_true((rc == 1) == (der.n > 0));
	gbuf_free(&der);
	return rc;
}

static int
ocsp_by(const struct pki_ocsp_opts *o, struct str chain, const char **error_r)
{
	struct gbuf der = {0};
	int64_t until;
	int rc;

	pki_ocsp(&der, o);
	rc = ocsp(all(&der), chain, error_r, &until);
	gbuf_free(&der);
	return rc;
}

static void
a_good_response_is_taken(void **state)
{
	struct pki_ocsp_opts o = {.leaf = pki.leaf, .issuer = pki.root, .key = pki.root_key};
	struct gbuf chain = chain_der(all(&pki.chain)), der = {0}, base64 = {0};
	const char *error = "";
	int64_t until = 0;
	char *text;

	(void)state;
	pki_ocsp(&der, &o);
	assert_int_equal(ocsp(all(&der), all(&chain), &error, &until), 1);
	assert_true(until == PKI_NOW + PKI_DAY);
	text = calloc(1, der.n * 2);
	EVP_EncodeBlock((unsigned char *)text, (unsigned char *)der.p, (int)der.n);
	for (size_t i = 0; i < strlen(text); i++) {
		gbuf_u8(&base64, (uint8_t)text[i]);
		if (i % 64 == 63)
			gbuf_str(&base64, STR("\r\n"));
	}
	assert_int_equal(ocsp(all(&base64), all(&chain), &error, &until), 1);
	free(text);
	gbuf_free(&chain);
	gbuf_free(&der);
	gbuf_free(&base64);
}

static void
a_response_must_be_good_and_signed(void **state)
{
	struct pki_ocsp_opts o = {.leaf = pki.leaf, .issuer = pki.root, .key = pki.root_key};
	struct pki_opts d = {.cn = "Responder",
	    .key = pki.other_key,
	    .issuer = pki.root,
	    .issuer_key = pki.root_key,
	    .eku = "OCSPSigning"};
	struct gbuf chain = chain_der(all(&pki.chain)), alone_pem = {0}, alone, root_pem = {0},
		    root;
	X509 *responder = pki_cert(&d), *nobody;
	const char *error = NULL;
	int64_t until;

	(void)state;
	o.status = V_OCSP_CERTSTATUS_REVOKED;
	assert_int_equal(ocsp_by(&o, all(&chain), &error), -1);
	assert_non_null(strstr(error, "revoked, since 2026-11-21T00:00:00Z"));
	o.status = V_OCSP_CERTSTATUS_UNKNOWN;
	assert_int_equal(ocsp_by(&o, all(&chain), &error), -1);
	o.status = V_OCSP_CERTSTATUS_GOOD;
	o.until = PKI_NOW - 60;
	assert_int_equal(ocsp_by(&o, all(&chain), &error), 0);
	assert_non_null(strstr(error, "was good until"));
	o.until = -1;
	assert_int_equal(ocsp_by(&o, all(&chain), &error), -1);
	o.until = 0;
	o.from = PKI_NOW + 3600;
	assert_int_equal(ocsp_by(&o, all(&chain), &error), -1);
	o.from = 0;
	o.key = pki.other_key; /* somebody else's signature */
	o.signer = NULL;
	o.signer = responder;
	assert_int_equal(ocsp_by(&o, all(&chain), &error), 1);
	d.eku = NULL;
	nobody = pki_cert(&d);
	o.signer = nobody;
	assert_int_equal(ocsp_by(&o, all(&chain), &error), -1);
	assert_non_null(strstr(error, "not signed"));
	/* Without the issuer the serial has to do. */
	pki_pem_cert(&alone_pem, pki.leaf);
	alone = chain_der(all(&alone_pem));
	assert_int_equal(ocsp_by(&o, all(&alone), &error), 1);
	pki_pem_cert(&root_pem, pki.root);
	root = chain_der(all(&root_pem));
	assert_int_equal(ocsp_by(&o, all(&root), &error), -1);
	assert_non_null(strstr(error, "another certificate"));
	assert_int_equal(ocsp(STR("hello"), all(&chain), &error, &until), -1);
	assert_int_equal(ocsp(STR("0\x03\x0a\x01\x06"), all(&chain), &error, &until), -1);
	assert_int_equal(ocsp(STR(""), all(&chain), &error, &until), -1);
	X509_free(responder);
	X509_free(nobody);
	gbuf_free(&chain);
	gbuf_free(&alone_pem);
	gbuf_free(&alone);
	gbuf_free(&root_pem);
	gbuf_free(&root);
}

static const struct CMUnitTest tests[] = {
    TEST(a_chain_is_every_certificate_of_the_file),
    TEST(what_is_no_chain_says_so),
    TEST(of_trusted_ones_the_bad_are_left_out),
    TEST(facts_are_the_leafs),
    TEST(names_of_all_kinds),
    TEST(keys_of_every_kind_and_form),
    TEST(a_passphrase_is_nobodys_to_give),
    TEST(a_pair_belongs_together),
    TEST(what_is_weak_is_refused),
    TEST(the_first_list_to_end_counts),
    TEST(a_good_response_is_taken),
    TEST(a_response_must_be_good_and_signed),
};
RUN_TESTS_WITH(tests, setup, teardown)
