/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"
#include "shm/base/enc.h"
#include "shm/base/hash.h"

/* Independent of the implementation: SipHash-1-3 as the reference describes it, an octet at a time.
 */
static uint64_t
reference(const uint8_t key[16], const uint8_t *p, size_t n)
{
	uint64_t k[2] = {0, 0}, v[4], m;

	for (int i = 0; i < 16; i++)
		k[i / 8] |= (uint64_t)key[i] << (8 * (i % 8));
	v[0] = k[0] ^ UINT64_C(0x736f6d6570736575);
	v[1] = k[1] ^ UINT64_C(0x646f72616e646f6d);
	v[2] = k[0] ^ UINT64_C(0x6c7967656e657261);
	v[3] = k[1] ^ UINT64_C(0x7465646279746573);
	for (size_t word = 0; word <= n / 8 + 3; word++) {
		m = 0;
		for (size_t i = word * 8; i < word * 8 + 8 && i < n; i++)
			m |= (uint64_t)p[i] << (8 * (i % 8));
		if (word == n / 8)
			m |= (uint64_t)(n & 0xff) << 56;
		if (word == n / 8 + 1)
			v[2] ^= 0xff;
		if (word > n / 8)
			m = 0;
		v[3] ^= m;
		v[0] += v[1];
		v[1] = (v[1] << 13 | v[1] >> 51) ^ v[0];
		v[0] = v[0] << 32 | v[0] >> 32;
		v[2] += v[3];
		v[3] = (v[3] << 16 | v[3] >> 48) ^ v[2];
		v[0] += v[3];
		v[3] = (v[3] << 21 | v[3] >> 43) ^ v[0];
		v[2] += v[1];
		v[1] = (v[1] << 17 | v[1] >> 47) ^ v[2];
		v[2] = v[2] << 32 | v[2] >> 32;
		v[0] ^= m;
	}
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void
siphash(void **state)
{
	uint8_t key[16], text[300];

	(void)state;
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	for (size_t n = 0; n < sizeof(text); n++)
		assert_true(hash_siphash13(key, str_n((char *)text, n)) == reference(key, text, n));
	/* Published values for this key and texts of 0 and 1 octets. */
	assert_true(hash_siphash13(key, STR_NONE) == UINT64_C(0xabac0158050fc4dc));
	assert_true(hash_siphash13(key, str_n((char *)text, 1)) == UINT64_C(0xc9f49bf37d57ca93));
}

static void
keyed(void **state)
{
	(void)state;
	assert_true(hash_keyed(STR("abc")) == hash_keyed(STR("abc")));
	assert_true(hash_keyed(STR("abc")) != hash_keyed(STR("abd")));
}

static void
digests(void **state)
{
	struct digest a = digest_of(STR("abc")), b = digest_of(STR_NONE);
	char text[33];

	(void)state;
	digest_hex(&a, text); /* FIPS 180-2, first half */
	assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223");
	digest_hex(&b, text);
	assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb924");
	assert_false(digest_eq(&a, &b));
	b = digest_of(STR("abc"));
	assert_true(digest_eq(&a, &b));
}

struct item {
	struct hnode node;
	unsigned key;
};

static bool
item_is(const struct hnode *n, const void *key)
{
	return container_of(n, const struct item, node)->key == *(const unsigned *)key;
}

static struct item *
find(const struct htab *t, unsigned key)
{
	/* Few hashes, so that chains are long. */
	struct hnode *n = htab_get(t, key % 7 * 1000003, item_is, &key);

	return n == NULL ? NULL : container_of(n, struct item, node);
}

struct sweep {
	struct htab *t;
	unsigned seen;
};

static void
delete_even(struct hnode *n, void *arg)
{
	struct sweep *s = arg;

	s->seen++;
	if (container_of(n, struct item, node)->key % 2 == 0)
		htab_del(s->t, n);
}

static void
table(void **state)
{
	static struct item items[1000];
	struct htab t = {0};
	struct sweep sweep = {&t, 0};

	(void)state;
	assert_null(find(&t, 1));
	htab_each(&t, delete_even, &sweep);
	for (unsigned i = 0; i < ARRAY_LEN(items); i++) {
		items[i].key = i;
		htab_put(&t, &items[i].node, i % 7 * 1000003);
	}
	assert_int_equal(t.n, 1000);
	assert_int_equal(t.cap & (t.cap - 1), 0);
	for (unsigned i = 0; i < ARRAY_LEN(items); i++)
		assert_ptr_equal(find(&t, i), &items[i]);
	htab_each(&t, delete_even, &sweep);
	assert_int_equal(sweep.seen, 1000);
	assert_int_equal(t.n, 500);
	for (unsigned i = 0; i < ARRAY_LEN(items); i++)
		assert_ptr_equal(find(&t, i), i % 2 == 0 ? NULL : &items[i]);
	htab_free(&t);
	assert_null(t.v);
	assert_null(find(&t, 1));
}

/* RFC 6455 1.3's own example, and FIPS 180's of two parts. */
static void
sha1_is_sha1(void **state)
{
	const struct str parts[] = {
	    STR("dGhlIHNhbXBsZSBub25jZQ=="), STR("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")};
	uint8_t out[HASH_SHA1];
	char text[28];

	(void)state;
	hash_sha1(parts, 2, out);
	assert_int_equal(enc_base64(out, sizeof(out), text), 28);
	assert_memory_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28);
	hash_sha1((const struct str[]){STR("a"), STR("bc")}, 2, out);
	assert_memory_equal(out,
	    "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2"
	    "\x6c\x9c\xd0\xd8\x9d",
	    HASH_SHA1);
}

static const struct CMUnitTest tests[] = {
    TEST(siphash),
    TEST(keyed),
    TEST(digests),
    TEST(table),
    TEST(sha1_is_sha1),
};
RUN_TESTS(tests)
