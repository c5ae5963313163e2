/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of fields by number, and the classes of octets under them.
 */
#include "test/unit/harness.h"

#include "worker/http/head.h"
#include "worker/http/octet.h"

static void
every_name_is_found_in_any_case(void **state)
{
	char upper[64];

	(void)state;
	for (unsigned id = 1; id < HDR_ID_COUNT; id++) {
		struct str name = hdr_name(id);

		assert_true(octet_token(name));
		assert_int_equal(hdr_lookup(name), id);
		for (size_t i = 0; i < name.n; i++)
			upper[i] = name.p[i] >= 'a' && name.p[i] <= 'z' ? (char)(name.p[i] - 32)
									: name.p[i];
		assert_int_equal(hdr_lookup(str_n(upper, name.n)), id);
		upper[name.n] = 'x';
		assert_int_equal(hdr_lookup(str_n(upper, name.n + 1)), HDR_OTHER);
		assert_int_equal(hdr_lookup(str_n(upper, name.n - 1)), HDR_OTHER);
	}
	assert_int_equal(hdr_lookup(STR("")), HDR_OTHER);
	assert_int_equal(hdr_lookup(STR("x-nobody-knows")), HDR_OTHER);
	/* 0x0d and '-' differ in one bit, as letters of both cases do */
	assert_int_equal(hdr_lookup(STR("content\rlength")), HDR_OTHER);
}

static void
underscores_are_dashes_to_some(void **state)
{
	(void)state;
	assert_int_equal(hdr_lookup(STR("content_length")), HDR_OTHER);
	assert_int_equal(hdr_lookup_alike(STR("Content_Length")), HDR_CONTENT_LENGTH);
	assert_int_equal(hdr_lookup_alike(STR("x-forwarded_for")), HDR_X_FORWARDED_FOR);
	assert_true(hdr_alike(STR("X_User-Id"), STR("x-user_id")));
	assert_false(hdr_alike(STR("x-user"), STR("x-use")));
	assert_false(hdr_alike(STR("x-user"), STR("x.user")));
}

static bool
listed(const char *set, unsigned c)
{
	return c != 0 && c < 128 && strchr(set, (int)c) != NULL;
}

static bool
alnum(unsigned c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void
classes_are_those_of_the_grammars(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool unreserved = alnum(c) || listed("-._~", c);
		char ch = (char)c;

		assert_int_equal(octet_is(ch, OCT_TOKEN), alnum(c) || listed("!#$%&'*+-.^_`|~", c));
		assert_int_equal(octet_is(ch, OCT_UNRESERVED), unreserved);
		assert_int_equal(octet_is(ch, OCT_PATH), unreserved || listed("!$&'()*+,;=:@/", c));
		assert_int_equal(octet_is(ch, OCT_QUERY), c > 32 && c < 127 && !listed("\"#<>", c));
		assert_int_equal(octet_is(ch, OCT_TEXT), c == 9 || (c >= 32 && c != 127));
		assert_int_equal(octet_is(ch, OCT_DIGIT), c >= '0' && c <= '9');
	}
}

static void
control_octets_are_found_at_any_place(void **state)
{
	char s[40];

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool ctl = c < 32 || c == 127;

		for (size_t at = 0; at < sizeof(s); at++) {
			memset(s, at % 2 == 0 ? '~' : 0x80, sizeof(s));
			s[at] = (char)c;
			assert_int_equal(ctl_find(s, 0, sizeof(s)), ctl ? at : sizeof(s));
			assert_int_equal(ctl_find(s, at, sizeof(s)), ctl ? at : sizeof(s));
			assert_int_equal(octet_text(str_n(s, sizeof(s))), !ctl || c == 9);
			/* Lengths that are no multiple of what is looked at in one go. */
			for (size_t n = at + 1; n <= sizeof(s); n += 3)
				assert_int_equal(ctl_find(s, at / 2, n), ctl ? at : n);
			if (at > 0) { /* one before where it begins is not asked for */
				s[at - 1] = '\t';
				assert_int_equal(ctl_find(s, at, sizeof(s)), ctl ? at : sizeof(s));
			}
		}
	}
	assert_int_equal(ctl_find(s, 3, 3), 3);
}

static const struct CMUnitTest tests[] = {
    TEST(every_name_is_found_in_any_case),
    TEST(underscores_are_dashes_to_some),
    TEST(classes_are_those_of_the_grammars),
    TEST(control_octets_are_found_at_any_place),
};
RUN_TESTS(tests)
