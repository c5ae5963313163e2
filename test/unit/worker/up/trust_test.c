/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS profiles by content: which settings and bundles share one, what a new bundle leaves warm, and
 * what is said where none can be made. S-SEC-4, S-EC-1
 */
#include "test/unit/worker/net/tls_kit.h"
#include "test/unit/worker/up/bundle_kit.h"
#include "worker/up/trust.h"

struct fixture {
	struct trust *t;
	struct identity ca, own, next;
	struct octets ca_der, own_der, own_key, next_der, next_key;
	const char *error;
};

static const struct conf_service_tls plain = {.verify = true, .ca = {"/ca.pem", 7}};
static const struct conf_service_tls mutual = {
    .verify = true, .ca = {"/ca.pem", 7}, .certificate = {"/own.pem", 8}, .key = {"/own.key", 8}};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->t = trust_new();
	f->ca = identity_make("ca", NULL, NULL, 10);
	f->own = identity_make("own", &f->ca, NULL, 5);
	f->next = identity_make("own", &f->ca, NULL, 5);
	f->ca_der = cert_der(&f->ca);
	f->own_der = cert_der(&f->own);
	f->own_key = key_der(&f->own);
	f->next_der = cert_der(&f->next);
	f->next_key = key_der(&f->next);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	trust_free(&f->t);
	identity_free(&f->ca);
	identity_free(&f->own);
	identity_free(&f->next);
	free(f);
	return 0;
}

/* extra: of no concern to anybody here; "" for none. */
static void
adopt(struct fixture *f, bool next, const char *extra)
{
	const struct kit_blob v[] = {
	    {BUNDLE_CHAIN, "file:/ca.pem", octets_str(&f->ca_der)},
	    {BUNDLE_CHAIN, "file:/own.pem", octets_str(next ? &f->next_der : &f->own_der)},
	    {BUNDLE_KEY, "file:/own.key", octets_str(next ? &f->next_key : &f->own_key)},
	    {BUNDLE_SECRET, "file:/extra", str_of(extra)},
	};
	struct bundle *b = kit_bundle(v, ARRAY_LEN(v) - (*extra == '\0'));

	trust_adopt(f->t, b);
	bundle_unref(&b);
}

static struct trust_profile *
get(struct fixture *f, const struct conf_service_tls *conf, struct trust_memo *memo)
{
	struct trust_memo once = {0};

	f->error = "";
	return trust_profile(f->t, conf, 0, memo ? memo : &once, &f->error);
}

static void
nothing_before_there_is_a_bundle(void **state)
{
	struct fixture *f = *state;
	struct trust_memo memo = {0};

	assert_null(get(f, &plain, &memo));
	assert_has(f->error, "not come yet");
	adopt(f, false, "");
	assert_non_null(get(f, &plain, &memo));
}

/* The name is the connection's: ten thousand services of one trust are one profile. */
static void
the_same_settings_are_one_profile(void **state)
{
	struct fixture *f = *state;
	struct conf_service_tls named = plain, strict = plain, other = plain;
	struct trust_profile *p;

	adopt(f, false, "");
	p = get(f, &plain, NULL);
	assert_non_null(p);
	named.server_name = STR("a.example");
	assert_ptr_equal(get(f, &named, NULL), p);
	strict.min_version = TLS_1_3;
	assert_ptr_not_equal(get(f, &strict, NULL), p);
	other.spiffe.trust_domain = STR("d.example");
	assert_ptr_not_equal(get(f, &other, NULL), p);
	assert_ptr_not_equal(get(f, &mutual, NULL), p);
	assert_int_equal(trust_count(f->t), 4);
}

static void
a_bundle_with_the_same_content_leaves_all_warm(void **state)
{
	struct fixture *f = *state;
	struct trust_memo memo = {0};
	struct trust_profile *p;
	uint64_t serial;

	adopt(f, false, "");
	p = get(f, &mutual, &memo);
	serial = memo.serial;
	adopt(f, false, "");
	assert_ptr_equal(get(f, &mutual, &memo), p);
	adopt(f, false, "something else");
	assert_ptr_equal(get(f, &mutual, &memo), p);
	assert_true(memo.serial == serial && !p->gone);
	assert_int_equal(trust_count(f->t), 1);
}

/* Who holds the old one goes on with it; nobody new gets it. */
static void
a_rotated_certificate_is_another_profile(void **state)
{
	struct fixture *f = *state;
	struct trust_memo memo = {0}, other = {0};
	struct trust_profile *old, *new, *untouched;

	adopt(f, false, "");
	old = trust_ref(get(f, &mutual, &memo));
	untouched = get(f, &plain, &other);
	adopt(f, true, "");
	assert_true(old->gone);
	assert_int_equal(trust_count(f->t), 1);
	new = get(f, &mutual, &memo);
	assert_ptr_not_equal(new, old);
	assert_false(new->gone);
	assert_ptr_equal(get(f, &plain, &other), untouched);
	assert_non_null(old->tls);
	trust_unref(&old);
	/* And back: content is what counts, and the old content is not kept. */
	adopt(f, false, "");
	assert_true(get(f, &mutual, &memo) && trust_count(f->t) == 2);
}

static void
what_is_missing_is_named_and_looked_for_again(void **state)
{
	struct fixture *f = *state;
	struct conf_service_tls system = {.verify = true}, anybody = {.verify = false};
	const struct kit_blob v[] = {{BUNDLE_CHAIN, "file:/ca.pem", octets_str(&f->ca_der)}};
	struct bundle *b = kit_bundle(v, ARRAY_LEN(v));
	struct trust_memo memo = {0};

	trust_adopt(f->t, b);
	bundle_unref(&b);
	assert_null(get(f, &mutual, &memo));
	assert_has(f->error, "tls.certificate: \"file:/own.pem\"");
	assert_null(get(f, &mutual, &memo));
	assert_has(f->error, "tls.certificate: \"file:/own.pem\"");
	assert_null(get(f, &system, NULL));
	assert_has(f->error, "set tls.ca");
	assert_non_null(get(f, &anybody, NULL));
	adopt(f, false, "");
	assert_non_null(get(f, &mutual, &memo));
}

/* A key of another certificate: it was checked before, but not by us. */
static void
what_cannot_be_used_is_told(void **state)
{
	struct fixture *f = *state;
	const struct kit_blob v[] = {
	    {BUNDLE_CHAIN, "file:/ca.pem", octets_str(&f->ca_der)},
	    {BUNDLE_CHAIN, "file:/own.pem", octets_str(&f->own_der)},
	    {BUNDLE_KEY, "file:/own.key", octets_str(&f->next_key)},
	};
	struct bundle *b = kit_bundle(v, ARRAY_LEN(v));

	trust_adopt(f->t, b);
	bundle_unref(&b);
	assert_null(get(f, &mutual, NULL));
	assert_true(*f->error != '\0');
	assert_int_equal(trust_count(f->t), 1);
	assert_null(get(f, &mutual, NULL));
	assert_int_equal(trust_count(f->t), 1);
}

static void
there_are_no_more_than_so_many(void **state)
{
	struct fixture *f = *state;
	struct conf_service_tls conf = {.verify = true, .ca = STR("/ca.pem")};
	struct trust_memo memo = {0};
	struct trust_profile *first;
	char domain[16];

	adopt(f, false, "");
	first = trust_ref(get(f, &plain, &memo));
	for (unsigned i = 0; i < TRUST_PROFILES; i++) {
		snprintf(domain, sizeof(domain), "d%u", i);
		conf.spiffe.trust_domain = str_of(domain);
		assert_non_null(get(f, &conf, NULL));
	}
	assert_int_equal(trust_count(f->t), TRUST_PROFILES);
	/* The plan that remembers it does not look at what is gone. */
	assert_true(first->gone);
	assert_ptr_not_equal(get(f, &plain, &memo), first);
	trust_unref(&first);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(nothing_before_there_is_a_bundle, setup, teardown),
    TEST_WITH(the_same_settings_are_one_profile, setup, teardown),
    TEST_WITH(a_bundle_with_the_same_content_leaves_all_warm, setup, teardown),
    TEST_WITH(a_rotated_certificate_is_another_profile, setup, teardown),
    TEST_WITH(what_is_missing_is_named_and_looked_for_again, setup, teardown),
    TEST_WITH(what_cannot_be_used_is_told, setup, teardown),
    TEST_WITH(there_are_no_more_than_so_many, setup, teardown),
};
RUN_TESTS(tests)
