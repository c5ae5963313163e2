/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundles: what was put is found again by id, name and reference; nothing of a malformed one is
 * believed., S-SEC-4
 */
#include "test/unit/harness.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "conf/bundle.h"
#include "conf/sealed.h"
#include "shm/base/bug.h"
#include "test/unit/assert_str.h"

static struct bundle *
sealed(struct bundle_writer **w)
{
	const char *error = "";
	struct bundle *b;
	int fd = bundle_seal(w, &error);

	assert_null(*w);
	if (fd < 0)
		fail_msg("%s", error);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), -1);
	b = bundle_open(fd, &error);
	close(fd);
	if (b == NULL)
		fail_msg("%s", error);
	return b;
}

static void
put_cert(struct bundle_writer *w, const char *id, const char *chain, const char *name1,
    const char *name2)
{
	struct str names[2] = {str_of(name1), str_of(name2)};
	struct bundle_cert c = {.id = str_of(id),
	    .chain = str_of(chain),
	    .key = STR("key"),
	    .not_before = 5,
	    .not_after = INT64_C(1) << 40,
	    .ocsp_until = -1,
	    .key_type = BUNDLE_KEY_EC};

	bundle_put_cert(w, &c, names, name2 != NULL ? 2 : name1 != NULL ? 1 : 0);
}

static void
nothing_is_a_bundle_too(void **state)
{
	struct bundle_writer *w = bundle_new();
	struct bundle *b = sealed(&w), *other;
	struct digest d;
	struct str s;
	uint32_t i;

	(void)state;
	assert_int_equal(bundle_certs(b), 0);
	assert_int_equal(bundle_cert_at(b, 0, &(struct bundle_cert){.id = STR_NONE}), -1);
	assert_int_equal(bundle_cert_find(b, STR("a"), &i), 0);
	assert_int_equal(bundle_named(b, STR("a"), &i, 1), 0);
	assert_int_equal(bundle_get(b, BUNDLE_CHAIN, STR("file:/a"), &s, &d), 0);
	memset(&d, 1, sizeof(d));
	assert_int_equal(bundle_get(b, BUNDLE_CHAIN, STR(""), &s, &d), 1);
	assert_int_equal(s.n, 0);
	assert_true(digest_eq(&d, &(struct digest){{0}}));
	other = bundle_ref(b);
	bundle_unref(&b);
	assert_null(b);
	assert_int_equal(bundle_certs(other), 0);
	bundle_unref(&other);
	bundle_unref(&other);
}

static void
certificates_stand_by_id_and_by_name(void **state)
{
	struct bundle_writer *w = bundle_new();
	struct bundle_cert c;
	struct bundle *b;
	uint32_t v[4], i;

	(void)state;
	put_cert(w, "shop-rsa", "chain r", "shop.test", "*.shop.test");
	put_cert(w, "shop-ec", "chain e", "shop.test", "shop.test");
	put_cert(w, "alone", "chain a", "alone.test", NULL);
	put_cert(w, "alone", "a later one is dropped", "later.test", NULL);
	put_cert(w, "nameless", "chain e", NULL, NULL);
	b = sealed(&w);
	assert_int_equal(bundle_certs(b), 4);
	assert_int_equal(bundle_cert_find(b, STR("shop-ec"), &i), 1);
	assert_int_equal(i, 2);
	assert_int_equal(bundle_cert_at(b, i, &c), 1);
	assert_str(c.id, "shop-ec");
	assert_str(c.chain, "chain e");
	assert_str(c.key, "key");
	assert_int_equal(c.ocsp.n, 0);
	assert_int_equal(c.not_before, 5);
	assert_true(c.not_after == INT64_C(1) << 40);
	assert_int_equal(c.ocsp_until, -1);
	assert_int_equal(c.key_type, BUNDLE_KEY_EC);
	assert_int_equal(bundle_cert_find(b, STR("shop"), &i), 0);
	assert_int_equal(bundle_cert_at(b, 4, &c), -1);
	assert_int_equal(bundle_named(b, STR("shop.test"), v, 4), 2);
	assert_int_equal(v[0], 2);
	assert_int_equal(v[1], 3);
	assert_int_equal(bundle_named(b, STR("shop.test"), v, 1), 1);
	assert_int_equal(bundle_named(b, STR("*.shop.test"), v, 4), 1);
	assert_int_equal(v[0], 3);
	assert_int_equal(bundle_named(b, STR("later.test"), v, 4), 0);
	assert_int_equal(bundle_named(b, STR("zzz"), v, 4), 0);
	bundle_unref(&b);
}

static void
blobs_stand_by_kind_and_reference(void **state)
{
	struct bundle_writer *w = bundle_new();
	struct digest d, e;
	struct bundle *b;
	struct str s;

	(void)state;
	bundle_put(w, BUNDLE_KEY, STR("file:/pem"), STR("the key"));
	bundle_put(w, BUNDLE_CHAIN, STR("file:/pem"), STR("the chain"));
	bundle_put(w, BUNDLE_CHAIN, STR("file:/pem"), STR("later"));
	bundle_put(w, BUNDLE_CHAIN, STR("file:/other"), STR("the chain"));
	bundle_put(w, BUNDLE_CRL, STR("file:/none"), STR(""));
	b = sealed(&w);
	assert_int_equal(bundle_get(b, BUNDLE_KEY, STR("file:/pem"), &s, &e), 1);
	assert_str(s, "the key");
	assert_int_equal(bundle_get(b, BUNDLE_CHAIN, STR("file:/pem"), &s, &d), 1);
	assert_str(s, "the chain");
	assert_false(digest_eq(&d, &e));
	assert_int_equal(bundle_get(b, BUNDLE_CHAIN, STR("file:/other"), &s, &e), 1);
	assert_true(digest_eq(&d, &e));
	assert_int_equal(bundle_get(b, BUNDLE_CRL, STR("file:/none"), &s, &e), 1);
	assert_int_equal(s.n, 0);
	assert_int_equal(bundle_get(b, BUNDLE_CRL, STR("file:/pem"), &s, &e), 0);
	bundle_unref(&b);
}

static void
the_same_content_is_the_same_octets(void **state)
{
	static const char *const ids[] = {"a", "b", "c"};
	struct digest d[3];

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		struct bundle_writer *w = bundle_new();
		struct bundle *b;

		for (unsigned i = 0; i < 3; i++) {
			const char *id = ids[(i + round) % 3];

			put_cert(w, id, round == 2 && i == 1 ? "another" : "chain", id, "all");
			bundle_put(w, BUNDLE_SECRET, str_of(id), STR("octets"));
		}
		b = sealed(&w);
		d[round] = bundle_digest(b);
		bundle_unref(&b);
	}
	assert_true(digest_eq(&d[0], &d[1]));
	assert_false(digest_eq(&d[0], &d[2]));
}

static void
equal_octets_stand_there_once(void **state)
{
	struct bundle_writer *w = bundle_new();
	struct bundle_cert c;
	char id[16], *big = malloc(100000);
	const char *error;
	struct str whole;
	int fd;

	(void)state;
	memset(big, 'x', 100000);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "id-%u", i);
		c = (struct bundle_cert){
		    .id = str_of(id), .chain = str_n(big, 100000), .key = STR("key")};
		bundle_put_cert(w, &c, NULL, 0);
	}
	fd = bundle_seal(&w, &error);
	assert_int_equal(sealed_map(fd, BUNDLE_MAX, &whole, &error), 1);
	assert_true(whole.n < 120000);
	sealed_unmap(&whole);
	close(fd);
	free(big);
}

/* --- hostile ---------------------------------------------------------------------------------- */

static struct bundle *
open_octets(struct str s, const char **error_r)
{
	int fd = sealed_new("test");
	struct bundle *b;

	assert_int_equal(sealed_put(fd, s), 1);
	assert_int_equal(sealed_finish(fd), 1);
	b = bundle_open(fd, error_r);
	close(fd);
	return b;
}

static void
look_everywhere(const struct bundle *b)
{
	struct bundle_cert c;
	struct digest d;
	struct str s;
	uint32_t v[4];
	volatile unsigned sum = 0;

	for (uint32_t i = 0; i < bundle_certs(b) + 1; i++)
		if (bundle_cert_at(b, i, &c) == 1)
			for (size_t k = 0; k < c.chain.n; k++)
				sum += (unsigned char)c.chain.p[k];
	(void)!bundle_cert_find(b, STR("b"), v);
	for (unsigned i = 0; i < bundle_named(b, STR("b.test"), v, 4); i++)
		assert_true(v[i] < bundle_certs(b));
	if (bundle_get(b, BUNDLE_KEY, STR("file:/b"), &s, &d) == 1)
		for (size_t k = 0; k < s.n; k++)
			sum += (unsigned char)s.p[k];
}

/* Every octet of a good one becomes something else. */
static void
nothing_of_a_malformed_one_is_believed(void **state)
{
	struct bundle_writer *w = bundle_new();
	const char *error = NULL;
	struct bundle *b;
	struct str whole;
	unsigned opened = 0;
	char *copy;
	int fd;

	(void)state;
	put_cert(w, "a", "chain a", "a.test", "b.test");
	put_cert(w, "b", "chain b", "b.test", NULL);
	bundle_put(w, BUNDLE_KEY, STR("file:/a"), STR("octets"));
	bundle_put(w, BUNDLE_KEY, STR("file:/b"), STR("octets"));
	fd = bundle_seal(&w, &error);
	assert_int_equal(sealed_map(fd, BUNDLE_MAX, &whole, &error), 1);
	close(fd);
	copy = malloc(whole.n);
	for (size_t i = 0; i < whole.n; i++)
		for (unsigned k = 0; k < 3; k++) {
			memcpy(copy, whole.p, whole.n);
			copy[i] = (char)(k == 0 ? 0xff : k == 1 ? copy[i] + 1 : 0x80);
			b = open_octets(str_n(copy, whole.n), &error);
			if (b == NULL)
				continue;
			opened++;
			look_everywhere(b);
			bundle_unref(&b);
		}
	assert_true(opened > whole.n);
	for (size_t n = 1; n < whole.n; n++)
		assert_null(open_octets(str_n(whole.p, n), &error));
	free(copy);
	sealed_unmap(&whole);
}

static void
what_is_not_sealed_is_none(void **state)
{
	const char *error = NULL;
	int fd = sealed_new("test");

	(void)state;
	assert_null(bundle_open(fd, &error));
	assert_string_equal(error, "not a sealed memory file");
	assert_null(bundle_open(-1, &error));
	close(fd);
	assert_null(open_octets(STR("GWBUNDLE"), &error));
	assert_string_equal(error, "not a bundle");
}

static void
a_writer_may_be_given_up(void **state)
{
	struct bundle_writer *w = bundle_new();

	(void)state;
	put_cert(w, "a", "chain a", "a.test", NULL);
	bundle_put(w, BUNDLE_KEY, STR("file:/a"), STR("octets"));
	bundle_drop(&w);
	assert_null(w);
	bundle_drop(&w);
}

static void
too_many_are_refused(void **state)
{
	struct bundle_writer *w = bundle_new();
	const char *error = NULL;
	char id[16];

	(void)state;
	for (unsigned i = 0; i <= BUNDLE_CERTS; i++) {
		snprintf(id, sizeof(id), "%u", i);
		put_cert(w, id, "chain", NULL, NULL);
	}
	assert_int_equal(bundle_seal(&w, &error), -1);
	assert_non_null(strstr(error, "100,000"));
	assert_null(w);
}

static const struct CMUnitTest tests[] = {
    TEST(nothing_is_a_bundle_too),
    TEST(certificates_stand_by_id_and_by_name),
    TEST(blobs_stand_by_kind_and_reference),
    TEST(the_same_content_is_the_same_octets),
    TEST(equal_octets_stand_there_once),
    TEST(nothing_of_a_malformed_one_is_believed),
    TEST(what_is_not_sealed_is_none),
    TEST(a_writer_may_be_given_up),
    TEST(too_many_are_refused),
};
RUN_TESTS(tests)
