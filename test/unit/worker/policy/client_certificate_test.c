/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may come by the certificate shown, and by nothing else (R-2.5, S-SEC-1).
 */
#include "test/unit/worker/policy/kit.h"

#include "worker/net/tls.h"

#define SUM "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct tls_facts facts;

/* A request over TLS with this certificate; NULL: with none. */
static enum verdict
shown(const struct tls_facts *f)
{
	kit_request();
	facts = f != NULL ? *f : (struct tls_facts){.peer = false};
	facts.version = STR("TLSv1.3");
	facts.peer = f != NULL;
	kit.r.tls = true;
	kit.r.handshake = &facts;
	return kit_answer();
}

static enum verdict
plain(void)
{
	kit_request();
	/* Whatever fields it brings, and whatever a proxy says of TLS. */
	head_add(&kit.r.in, STR("X-Client-Cert"), STR("CN=billing"));
	kit.r.tls = true;
	return kit_answer();
}

#define SHOWN(...) shown(&(struct tls_facts){__VA_ARGS__})

static void
without_lists_any_that_was_verified(void **state)
{
	(void)state;
	kit_use(&policy_client_certificate, "");
	assert_int_equal(SHOWN(.subject = STR("CN=any")), VERDICT_PASS);
	assert_int_equal(SHOWN(.subject = STR("")), VERDICT_PASS);
	assert_int_equal(shown(NULL), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.status, 403);
	assert_int_equal(kit.r.reply.reason, REASON_CLIENT_CERTIFICATE);
	assert_int_equal(plain(), VERDICT_REPLY);
}

static void
one_value_of_any_list_is_enough(void **state)
{
	(void)state;
	kit_use(&policy_client_certificate,
	    "subjects = [ \"CN=a,O=x\", \"CN=b\" ]; dns = [ \"d.test\", \"*.jobs.test\" ]; "
	    "fingerprints = \"" SUM "\"; spiffe = [ \"spiffe://d/one\", \"spiffe://d/all/*\" ];");
	assert_int_equal(SHOWN(.subject = STR("CN=a,O=x")), VERDICT_PASS);
	assert_int_equal(SHOWN(.subject = STR("CN=b")), VERDICT_PASS);
	assert_int_equal(SHOWN(.subject = STR("CN=B")), VERDICT_REPLY);
	assert_int_equal(SHOWN(.subject = STR("CN=a")), VERDICT_REPLY);
	assert_int_equal(SHOWN(.dns = STR("D.test")), VERDICT_PASS);
	assert_int_equal(SHOWN(.dns = STR("x.jobs.test")), VERDICT_PASS);
	assert_int_equal(SHOWN(.dns = STR("jobs.test")), VERDICT_REPLY);
	assert_int_equal(SHOWN(.dns = STR("y.x.jobs.test")), VERDICT_REPLY);
	assert_int_equal(SHOWN(.dns = STR(".jobs.test")), VERDICT_REPLY);
	assert_int_equal(SHOWN(.dns = STR("e.test")), VERDICT_REPLY);
	assert_int_equal(SHOWN(.fingerprint = STR(SUM)), VERDICT_PASS);
	assert_int_equal(SHOWN(.fingerprint = STR("00")), VERDICT_REPLY);
	assert_int_equal(SHOWN(.spiffe = STR("spiffe://d/one")), VERDICT_PASS);
	assert_int_equal(SHOWN(.spiffe = STR("spiffe://d/all/of/us")), VERDICT_PASS);
	assert_int_equal(SHOWN(.spiffe = STR("spiffe://e/one")), VERDICT_REPLY);
	assert_int_equal(SHOWN(.subject = STR("CN=no"), .fingerprint = STR(SUM)), VERDICT_PASS);
	assert_int_equal(SHOWN(.issuer = STR("CN=b"), .email = STR("CN=b")), VERDICT_REPLY);
	assert_int_equal(SHOWN(.subject = STR("")), VERDICT_REPLY);
	assert_int_equal(shown(NULL), VERDICT_REPLY);
}

/* An empty list is nobody's: also where another list says who may come. */
static void
what_is_not_there_fits_nothing(void **state)
{
	(void)state;
	kit_use(&policy_client_certificate, "subjects = \"CN=a\";");
	assert_int_equal(
	    SHOWN(.subject = STR("CN=b"), .dns = STR("d"), .spiffe = STR("spiffe://d/x")),
	    VERDICT_REPLY);
	assert_int_equal(SHOWN(.subject = STR("CN=a")), VERDICT_PASS);
}

static void
who_shows_none_may_be_let_through(void **state)
{
	(void)state;
	kit_use(&policy_client_certificate, "require = false; subjects = \"CN=a\";");
	assert_int_equal(shown(NULL), VERDICT_PASS);
	assert_int_equal(plain(), VERDICT_PASS);
	assert_int_equal(SHOWN(.subject = STR("CN=a")), VERDICT_PASS);
	assert_int_equal(SHOWN(.subject = STR("CN=b")), VERDICT_REPLY);
}

static void
fingerprints_in_any_spelling(void **state)
{
	(void)state;
	kit_use(&policy_client_certificate,
	    "fingerprints = \"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:"
	    "77:88:99:aa:bb:cc:dd:ee:ff\";");
	assert_int_equal(SHOWN(.fingerprint = STR(SUM)), VERDICT_PASS);
}

static void
settings_are_checked(void **state)
{
	(void)state;
	kit_wrong(&policy_client_certificate, "fingerprints = \"abc\";", "64 hexadecimal digits");
	kit_wrong(&policy_client_certificate, "fingerprints = \"" SUM "0\";", "fingerprints");
	kit_wrong(&policy_client_certificate, "fingerprints = \":" SUM "\";", "fingerprints");
	kit_wrong(&policy_client_certificate, "fingerprints = \"" SUM ":\";", "fingerprints");
	kit_wrong(&policy_client_certificate, "fingerprints = \"\";", "fingerprints");
	kit_wrong(&policy_client_certificate, "subjects = [ \"\" ];", "anybody");
	kit_wrong(&policy_client_certificate, "dns = [ \"\" ];", "anybody");
	kit_wrong(&policy_client_certificate, "spiffe = \"https://d/x\";", "spiffe://");
	kit_wrong(&policy_client_certificate, "subject = \"CN=a\";", "subjects");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(without_lists_any_that_was_verified, NULL, kit_teardown),
    TEST_WITH(one_value_of_any_list_is_enough, NULL, kit_teardown),
    TEST_WITH(what_is_not_there_fits_nothing, NULL, kit_teardown),
    TEST_WITH(who_shows_none_may_be_let_through, NULL, kit_teardown),
    TEST_WITH(fingerprints_in_any_spelling, NULL, kit_teardown),
    TEST_WITH(settings_are_checked, NULL, kit_teardown),
};
RUN_TESTS(tests)
