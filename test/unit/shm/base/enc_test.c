/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"
#include "shm/base/enc.h"

static void
hex(void **state)
{
	unsigned char raw[4] = {0x00, 0x9f, 0xff, 0x10}, back[4];
	char text[8];

	(void)state;
	enc_hex(raw, 4, text);
	assert_memory_equal(text, "009fff10", 8);
	assert_int_equal(enc_unhex(STR("009FfF10"), back, 4), 1);
	assert_memory_equal(back, raw, 4);
	assert_int_equal(enc_unhex(STR("009fff1"), back, 4), -1);
	assert_int_equal(enc_unhex(STR("009fff1g"), back, 4), -1);
	assert_int_equal(enc_unhex(STR("009fff1010"), back, 4), -1);
	assert_int_equal(enc_unhex(STR_NONE, back, 0), 1);
	assert_int_equal(enc_unhex(STR_NONE, back, SIZE_MAX / 2 + 1), -1);
}

static void
base64_known(void **state)
{
	/* RFC 4648 10, without padding. */
	static const char *const pairs[][2] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"},
	    {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"},
	    {"\xfb\xff\xfe", "-__-"}};
	char out[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		size_t n = strlen(pairs[i][0]), len = strlen(pairs[i][1]);

		assert_int_equal(enc_base64url(pairs[i][0], n, out), len);
		assert_memory_equal(out, pairs[i][1], len);
		assert_int_equal(enc_unbase64url(str_of(pairs[i][1]), out, n), n);
		assert_memory_equal(out, pairs[i][0], n);
	}
}

static void
base64_strict(void **state)
{
	static const char *const bad[] = {
	    "A", "AAAAA", "Zg==", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm9v\n", " Zm9v", "Zm 9v", "Zm9v="};
	char out[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(enc_unbase64url(str_of(bad[i]), out, sizeof(out)), -1);
	assert_int_equal(enc_unbase64url(STR("Zm9vYmFy"), out, 5), -1);
	assert_int_equal(enc_unbase64url(STR("Zm9vYmE"), out, 4), -1);
	assert_int_equal(enc_unbase64url(STR("Zm9vYmE"), out, 5), 5);
}

static void
base64_round(void **state)
{
	unsigned char raw[256], back[256];
	char text[4 * 86];

	(void)state;
	for (unsigned i = 0; i < sizeof(raw); i++)
		raw[i] = (unsigned char)(i * 167 + 13);
	for (size_t n = 0; n <= sizeof(raw); n++) {
		size_t len = enc_base64url(raw, n, text);

		assert_true(len <= 4 * ((n + 2) / 3));
		assert_int_equal(enc_unbase64url(str_n(text, len), back, n), n);
		assert_memory_equal(back, raw, n);
	}
}

static void
percent(void **state)
{
	struct ws ws;
	struct str in = STR("/plain"), out = STR_NONE;
	static const char *const bad[] = {"%", "%1", "%g0", "%0g", "a%2", "%%20", "%-1", "% 1"};

	(void)state;
	ws_init(&ws, NULL, 0);
	assert_int_equal(enc_unpercent(in, &ws, &out), 1);
	assert_ptr_equal(out.p, in.p); /* nothing to decode, nothing copied */
	assert_int_equal(ws_used(&ws), 0);
	assert_int_equal(enc_unpercent(STR("/a%20b%2Fc%00d%zz"), &ws, &out), -1);
	assert_int_equal(enc_unpercent(STR("%41/a%20b%2fc%00d%FF"), &ws, &out), 1);
	assert_str(out, "A/a b/c\0d\xff");
	assert_int_equal(enc_unpercent(STR_NONE, &ws, &out), 1);
	assert_int_equal(out.n, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(enc_unpercent(str_of(bad[i]), &ws, &out), -1);
	ws_free(&ws);
	ws_init(&ws, NULL, 4);
	assert_int_equal(enc_unpercent(STR("%41%41"), &ws, &out), -1);
	assert_true(ws.overflow);
	ws_free(&ws);
}

static void
utf8(void **state)
{
	static const char *const good[] = {"a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
	    "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"", "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2",
	    "\xc2 ", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe2\x82", "\xe2 \x80", "\xed\xa0\x80",
	    "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80",
	    "\xf5\x80\x80\x80", "\xfe", "\xff"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(enc_utf8_len(str_of(good[i])), strlen(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(enc_utf8_len(str_of(bad[i])), 0);
}

#define assert_json(in, want)                                                                      \
	do {                                                                                       \
		char json_[256];                                                                   \
		ssize_t n_ = enc_json(STR(in), json_, sizeof(json_));                              \
		assert_true(n_ >= 0);                                                              \
		assert_str(str_n(json_, (size_t)n_), want);                                        \
	} while (0)

static void
json(void **state)
{
	(void)state;
	assert_json("", "");
	assert_json("plain ASCII, longer than a word ~", "plain ASCII, longer than a word ~");
	assert_json("a\"b\\c/", "a\\\"b\\\\c/");
	assert_json("\b\f\n\r\t", "\\b\\f\\n\\r\\t");
	assert_json("\0\x1f\x7f", "\\u0000\\u001f\\u007f");
	assert_json("0123456\n01234567\x01", "0123456\\n01234567\\u0001");
	assert_json("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
	    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	assert_json("\xc2\x9b\xc2\xa0", "\\u009b\xc2\xa0");
	assert_json("\xff", "\xef\xbf\xbd");
	assert_json("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd");
	assert_json("a\xc3", "a\xef\xbf\xbd");
	assert_json("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void
json_needs_room(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(enc_json(STR("12345678"), out, 8), 8);
	assert_int_equal(enc_json(STR("12345678"), out, 7), -1);
	assert_int_equal(enc_json(STR("1\n"), out, 3), 3);
	assert_int_equal(enc_json(STR("1\n"), out, 2), -1);
	assert_int_equal(enc_json(STR("\x01"), out, 5), -1);
	assert_int_equal(enc_json(STR("\xff"), out, 2), -1);
	assert_int_equal(enc_json(STR(""), out, 0), 0);
	assert_int_equal(enc_json(STR_NONE, out, 0), 0);
	assert_int_equal(enc_json(STR("x"), out, 0), -1);
}

static void
json_of_spaces_but_one(char one, size_t at, size_t len)
{
	char in[24], alone[16], out[128], want[128];
	ssize_t n = enc_json(str_n(&one, 1), alone, sizeof(alone));

	memset(in, ' ', sizeof(in));
	in[at] = one;
	memset(want, ' ', sizeof(want));
	memcpy(want + at, alone, (size_t)n);
	assert_int_equal(enc_json(str_n(in, len), out, sizeof(out)), (ssize_t)len - 1 + n);
	assert_memory_equal(out, want, len - 1 + (size_t)n);
}

/* Every octet at every place of a text, of less than a word or of some, gives the same as alone. */
static void
json_word_wise(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++)
		for (size_t len = 1; len <= 24; len++)
			for (size_t at = 0; at < len; at++)
				json_of_spaces_but_one((char)c, at, len);
}

static const struct CMUnitTest tests[] = {
    TEST(hex),
    TEST(base64_known),
    TEST(base64_strict),
    TEST(base64_round),
    TEST(percent),
    TEST(utf8),
    TEST(json),
    TEST(json_needs_room),
    TEST(json_word_wise),
};
RUN_TESTS(tests)
