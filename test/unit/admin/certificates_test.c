/* SPDX-License-Identifier: Apache-2.0
 *
 * S-SEC-4, R-7.3: what admin tells of certificates. The facts are the secrets process's; what does
 * not look like them changes nothing.
 */
#include "test/unit/harness.h"

#include "admin/admin_priv.h"
#include "conf/sealed.h"

static const char two[] =
    "[{\"id\":\"a\",\"names\":[\"a.example.com\"],\"issuer\":\"CN=ca\",\"not_before\":1,"
    "\"not_after\":2000000000,\"used_by\":\"certificate\",\"state\":\"ok\"},"
    "{\"id\":\"a\",\"not_after\":1900000000,\"used_by\":\"service\",\"state\":\"kept\","
    "\"error\":\"it is no PEM\"},"
    "{\"id\":\"a\",\"not_after\":1800000000,\"used_by\":\"service\",\"state\":\"ok\"},"
    "{\"id\":\"q\\\"\",\"not_after\":-5,\"used_by\":\"listener\",\"state\":\"ok\"}]";

static int
sealed(const char *text)
{
	int fd = sealed_new("facts");

	assert_true(fd >= 0);
	assert_int_equal(sealed_put(fd, str_of(text)), 1);
	assert_int_equal(sealed_finish(fd), 1);
	return fd;
}

static char *
metrics_of(struct admin *a)
{
	struct gbuf out = {0};

	openmetrics_certificates(a, &out);
	gbuf_u8(&out, '\0');
	return out.p;
}

/* Each object once, whatever it has several of: a series twice spoils a scrape. */
static void
expiry_is_a_metric(void **state)
{
	struct admin a = {0};
	char *text;

	(void)state;
	admin_facts(&a, sealed(two));
	text = metrics_of(&a);
	assert_non_null(strstr(text, "\ngateway_certificates 4\n"));
	assert_non_null(strstr(text,
	    "\ngateway_certificate_expiry_timestamp_seconds{certificate=\"a\"} 2000000000\n"
	    "gateway_certificate_expiry_timestamp_seconds{service=\"a\"} 1800000000\n"
	    "gateway_certificate_expiry_timestamp_seconds{listener=\"q\\\"\"} -5\n"));
	assert_non_null(
	    strstr(text, "\ngateway_certificate_state{service=\"a\",state=\"kept\"} 1\n"));
	assert_null(strstr(text, "{certificate=\"a\",state"));
	free(text);
	json_decref(a.facts);
}

static void
what_is_malformed_changes_nothing(void **state)
{
	static const char *const bad[] = {"", "{}", "[1]", "[{\"id\":\"a\"}]", "[",
	    "[{\"id\":\"a\",\"not_after\":1,\"used_by\":\"thing\",\"state\":\"ok\"}]"};
	struct admin a = {0};

	(void)state;
	admin_facts(&a, -1);
	assert_null(a.facts);
	admin_facts(&a, sealed(two));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (bad[i][0] != '\0')
			admin_facts(&a, sealed(bad[i]));
		assert_int_equal(json_array_size(a.facts), 4);
	}
	admin_facts(&a, sealed("[]"));
	assert_int_equal(json_array_size(a.facts), 0);
	json_decref(a.facts);
}

static void
none_is_no_series(void **state)
{
	struct admin a = {0};
	char *text = metrics_of(&a);

	(void)state;
	assert_non_null(strstr(text, "\ngateway_certificates 0\n"));
	assert_null(strchr(text, '{'));
	free(text);
}

static const struct CMUnitTest tests[] = {
    TEST(expiry_is_a_metric),
    TEST(what_is_malformed_changes_nothing),
    TEST(none_is_no_series),
};
RUN_TESTS(tests)
