/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

static void
comparing(void **state)
{
	(void)state;
	assert_true(str_eq(STR_NONE, STR("")));
	assert_true(str_eq(STR("ab"), STR("ab")));
	assert_false(str_eq(STR("ab"), STR("abc")));
	assert_false(str_eq(STR("ab"), STR("aB")));
	assert_true(str_ieq(STR("Content-LENGTH"), STR("content-length")));
	assert_false(str_ieq(STR("a@"), STR("a`"))); /* differ by the case bit, are no letters */
	assert_false(str_ieq(STR("[{"), STR("{[")));
	assert_false(str_ieq(STR("\xc4"), STR("\xe4")));
	assert_true(str_ieq(STR_NONE, STR("")));
	for (unsigned c = 0; c < 256; c++) { /* eight at a time as one at a time */
		char a[11] = "0123456789", b[11] = "0123456789";

		a[9] = (char)c;
		b[9] = (char)(c | 0x20);
		assert_int_equal(
		    str_ieq(str_n(a, 10), str_n(b, 10)), c == (c | 0x20) || (c >= 'A' && c <= 'Z'));
		a[9] = b[9];
		a[3] = (char)c;
		b[3] = (char)(c | 0x20);
		assert_int_equal(
		    str_ieq(str_n(a, 10), str_n(b, 10)), c == (c | 0x20) || (c >= 'A' && c <= 'Z'));
	}
	assert_true(str_cmp(STR("a"), STR("ab")) < 0);
	assert_true(str_cmp(STR("b"), STR("ab")) > 0);
	assert_true(str_cmp(STR_NONE, STR("")) == 0);
	assert_true(str_cmp(STR("a\xff"), STR("a\x01")) > 0); /* octets are unsigned */
}

static void
from_c_strings(void **state)
{
	char *z = str_z(str_n("abc", 2));

	(void)state;
	assert_string_equal(z, "ab");
	free(z);
	z = str_z(STR_NONE);
	assert_string_equal(z, "");
	free(z);
	assert_null(str_of(NULL).p);
	assert_int_equal(str_of("xyz").n, 3);
}

static void
ends(void **state)
{
	(void)state;
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_true(str_starts(STR("abc"), STR_NONE));
	assert_true(str_starts(STR_NONE, STR_NONE));
	assert_false(str_starts(STR("ab"), STR("abc")));
	assert_true(str_istarts(STR("BEARER x"), STR("bearer ")));
	assert_false(str_istarts(STR("BEARE"), STR("bearer ")));
	assert_true(str_ends(STR("a.conf"), STR(".conf")));
	assert_true(str_ends(STR("a"), STR("")));
	assert_false(str_ends(STR("conf"), STR(".conf")));
}

static void
parts(void **state)
{
	(void)state;
	assert_str(str_sub(STR("hello"), 1, 3), "el");
	assert_str(str_sub(STR("hello"), 3, 100), "lo");
	assert_str(str_sub(STR("hello"), 9, 2), "");
	assert_int_equal(str_sub(STR_NONE, 0, SIZE_MAX).n, 0);
	assert_int_equal(str_chr(STR("a:b:c"), ':'), 1);
	assert_int_equal(str_chr(STR("abc"), ':'), -1);
	assert_int_equal(str_chr(STR_NONE, ':'), -1);
	assert_int_equal(str_find(STR("a--b"), STR("--")), 1);
	assert_int_equal(str_find(STR("a-"), STR("--")), -1);
	assert_int_equal(str_find(STR("abc"), STR_NONE), 0);
	assert_int_equal(str_find(STR_NONE, STR("a")), -1);
	assert_str(str_trim(STR(" \t a b\t ")), "a b");
	assert_str(str_trim(STR(" \t ")), "");
	assert_str(str_trim(STR("\r\na")), "\r\na"); /* OWS is space and tab only */
	assert_str(str_trim(STR_NONE), "");
}

static void
cutting(void **state)
{
	struct str rest = STR("a,,b,"), piece;

	(void)state;
	assert_int_equal(str_cut(&rest, ',', &piece), 1);
	assert_str(piece, "a");
	assert_int_equal(str_cut(&rest, ',', &piece), 1);
	assert_str(piece, "");
	assert_int_equal(str_cut(&rest, ',', &piece), 1);
	assert_str(piece, "b");
	assert_int_equal(str_cut(&rest, ',', &piece), 1);
	assert_str(piece, "");
	assert_int_equal(str_cut(&rest, ',', &piece), 0);
	assert_int_equal(str_cut(&rest, ',', &piece), 0);
	rest = STR("");
	assert_int_equal(str_cut(&rest, ',', &piece), 1);
	assert_int_equal(str_cut(&rest, ',', &piece), 0);
}

static void
lists(void **state)
{
	struct str rest = STR(" , a;q=1 ,, \"x, \\\" y\" ,\tb\t,"), member;

	(void)state;
	assert_int_equal(str_list_next(&rest, &member), 1);
	assert_str(member, "a;q=1");
	assert_int_equal(str_list_next(&rest, &member), 1);
	assert_str(member, "\"x, \\\" y\"");
	assert_int_equal(str_list_next(&rest, &member), 1);
	assert_str(member, "b");
	assert_int_equal(str_list_next(&rest, &member), 0);
	rest = STR("\"open, a");
	assert_int_equal(str_list_next(&rest, &member), 1);
	assert_str(member, "\"open, a");
	assert_int_equal(str_list_next(&rest, &member), 0);
	rest = STR("\"\\");
	assert_int_equal(str_list_next(&rest, &member), 1);
	assert_str(member, "\"\\");
	assert_true(str_list_has(STR("gzip, Chunked"), STR("chunked")));
	assert_false(str_list_has(STR("xchunked, chunked;q=1"), STR("chunked")));
	assert_false(str_list_has(STR_NONE, STR("a")));
	assert_false(str_list_has(STR(",,"), STR("")));
}

static void
distances(void **state)
{
	char a[100], b[100];

	(void)state;
	assert_int_equal(str_distance(STR("listen"), STR("listen")), 0);
	assert_int_equal(str_distance(STR("kitten"), STR("sitting")), 3);
	assert_int_equal(str_distance(STR_NONE, STR("abc")), 3);
	assert_int_equal(str_distance(STR("abc"), STR_NONE), 3);
	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	assert_int_equal(str_distance(str_n(a, 100), str_n(b, 100)), 64);
}

static const struct CMUnitTest tests[] = {
    TEST(comparing),
    TEST(from_c_strings),
    TEST(ends),
    TEST(parts),
    TEST(cutting),
    TEST(lists),
    TEST(distances),
};
RUN_TESTS(tests)
