/* SPDX-License-Identifier: Apache-2.0
 *
 * Regular expressions of routes (G-FR-001's path matching rests on them) and their literal
 * prefixes.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include "shm/base/regex.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif

static const char *error;

static struct regex *
compiled(const char *pattern)
{
	struct regex *r = regex_new(str_of(pattern), &error);

	assert_non_null(r);
	return r;
}

static int
match(const char *pattern, struct str subject)
{
	struct regex *r = compiled(pattern);
	int rc = regex_match(r, subject, NULL);

	regex_free(&r);
	assert_null(r);
	return rc;
}

static void
matching(void **state)
{
	(void)state;
	assert_int_equal(match("^/a/[0-9]+$", STR("/a/17")), 1);
	assert_int_equal(match("^/a/[0-9]+$", STR("/a/17x")), 0);
	assert_int_equal(match("^/a$", STR("/a\n")), 0); /* "$" is the end */
	assert_int_equal(match("", STR_NONE), 1);
	assert_int_equal(match("x", STR_NONE), 0);
	assert_int_equal(match("a.b", STR("a\0b")), 1);
	assert_int_equal(match("^.$", STR("\xc3\xbc")), 0); /* octets, not characters */
	assert_int_equal(match("(?i)ABC", STR("xabcx")), 1);
}

static void
groups(void **state)
{
	struct regex *r = compiled("^/(?<a>[a-z]+)/(x)?([0-9]*)");
	struct str g[REGEX_GROUPS];

	(void)state;
	assert_int_equal(regex_match(r, STR("/ab/12/rest"), g), 1);
	assert_str(g[0], "/ab/12");
	assert_str(g[1], "ab");
	assert_null(g[2].p); /* took no part */
	assert_str(g[3], "12");
	assert_null(g[4].p);
	assert_null(g[REGEX_GROUPS - 1].p);
	regex_free(&r);
	regex_free(&r);
	r = compiled("(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(b)(b)");
	assert_int_equal(regex_match(r, STR("aaaaaaaaaaaaaaabb"), g), 1);
	assert_str(g[REGEX_GROUPS - 1], "a");
	regex_free(&r);
}

static void
note_name(void *arg, struct str name, unsigned group)
{
	char *out = arg;

	sprintf(out + strlen(out), "%.*s=%u;", STR_ARG(name), group);
}

static void
group_names(void **state)
{
	struct regex *r = compiled("(?<year>\\d+)-(x)-(?P<month>\\d+)");
	char out[64] = "";

	(void)state;
	regex_names(r, note_name, out);
	assert_string_equal(out, "month=3;year=1;");
	regex_free(&r);
	r = compiled("a");
	out[0] = '\0';
	regex_names(r, note_name, out);
	assert_string_equal(out, "");
	regex_free(&r);
}

static void
bad_patterns(void **state)
{
	static char big[20000];

	(void)state;
	assert_null(regex_new(STR("^/a/(b"), &error));
	assert_string_equal(error, "at offset 6: missing closing parenthesis");
	assert_null(regex_new(STR("[a"), &error));
	assert_null(regex_new(STR("*"), &error));
	assert_null(regex_new(STR("(*UTF)a"), &error)); /* no pattern switches modes */
	assert_null(regex_new(STR("(*UCP)a"), &error));
	memset(big, 'a', sizeof(big));
	assert_null(regex_new(str_n(big, sizeof(big)), &error));
	memset(big, '(', 1000);
	assert_null(regex_new(str_n(big, 1000), &error));
}

/* Patterns that would run for years stop at the limit. */
static void
limits(void **state)
{
	static char subject[8192];

	(void)state;
	memset(subject, 'a', sizeof(subject));
	assert_int_equal(
	    match("^(a+)+$", str_n("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", 39)), -1);
	assert_int_equal(match("(a|a|a)*[bc]", str_n(subject, 100)), -1);
	/* And what an honest pattern needs on a long path is given. */
	assert_int_equal(match("^(.*?)(.*)(.*)a$", str_n(subject, sizeof(subject))), 1);
	assert_int_equal(match("^(?:[a-z])+$", str_n(subject, sizeof(subject))), 1);
}

/* Where memory cannot be made executable the interpreter runs, under the same limits. */
static void
without_jit(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (prctl(PR_SET_MDWE, 1UL, 0UL, 0UL, 0UL) < 0)
			_exit(77); /* a kernel before 6.3 */
		matching(state);
		groups(state);
		limits(state);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static const struct {
	const char *pattern, *prefix;
} prefixes[] = {
    {"^/a/b\\.x/[0-9]", "/a/b.x/"},
    {"/a", ""},
    {"", ""},
    {"^", ""},
    {"^/abc$", "/abc"},
    {"^/abc", "/abc"},
    {"^/abc?", "/ab"},
    {"^/abc*", "/ab"},
    {"^/abc+d", "/abc"},
    {"^/abc{0,1}", "/ab"},
    {"^/a\\?b", "/a?b"},
    {"^/a\\.?b", "/a"},
    {"^/a.b", "/a"},
    {"^/a\\d", "/a"},
    {"^/a\\x41", "/a"},
    {"^/a|^/b", ""},
    {"^/a|", ""},
    {"^/(a|b)", "/"},
    {"^/a/(?:b|c)/(?<x>d|e)", "/a/"},
    {"^/a[|]b", "/a"},
    {"^/a[]|]b", "/a"},
    {"^/a[^]|]b", "/a"},
    {"^/a[\\]|]b", "/a"},
    {"^/a\\|b", "/a|b"},
    {"^/a[[:alpha:]]", ""},
    {"^/a(?#(comment)|b", ""},
    {"^/a(?x)#(\n|b", ""},
    {"^/a(?i)b", ""},
    {"^/a(*ACCEPT)b", ""},
    {"^/a\\Q(\\E|b", ""},
    {"^/a\\c(|b", ""},
    {"^/a(?C\"(\")|b", ""},
    {"^/a(", ""},
    {"^/a)", ""},
    {"^/a\\", ""},
    {"^/a[b", ""},
    {"(?i)^/a", ""},
    {"^/%41~-_", "/%41~-_"},
};

static void
literal_prefixes(void **state)
{
	char out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		struct str got = regex_prefix(str_of(prefixes[i].pattern), out, sizeof(out));

		if (!str_eq(got, str_of(prefixes[i].prefix)))
			fail_msg("%s: \"%.*s\"", prefixes[i].pattern, STR_ARG(got));
	}
	assert_str(regex_prefix(STR("^/abcdef"), out, 3), "/ab");
	assert_str(regex_prefix(STR("^/abc"), out, 0), "");
}

/* Whatever pattern comes: what it matches begins with the prefix. */
static void
prefix_is_sound(void **state)
{
	static const char alphabet[] = "^$ab/|()[]?*+{}.\\1:^-(|)ab/^";
	static const char subjects[] = "ab/|(1";
	unsigned matched = 0;
	uint64_t x = 88172645463325252u;

	(void)state;
	for (int round = 0; round < 30000; round++) {
		char pattern[12] = "^", subject[6], out[16];
		struct regex *r;
		struct str prefix;

		for (size_t i = 1; i < 9; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			pattern[i] = alphabet[x % (sizeof(alphabet) - 1)];
			subject[i % 6] = subjects[x / 64 % (sizeof(subjects) - 1)];
		}
		r = regex_new(str_of(pattern), &error);
		if (r == NULL)
			continue;
		prefix = regex_prefix(str_of(pattern), out, sizeof(out));
		for (size_t n = 0; n <= sizeof(subject); n++)
			if (regex_match(r, str_n(subject, n), NULL) == 1) {
				matched++;
				assert_true(str_starts(str_n(subject, n), prefix));
			}
		regex_free(&r);
	}
	assert_true(matched > 1000);
}

static const struct CMUnitTest tests[] = {
    TEST(matching),
    TEST(groups),
    TEST(group_names),
    TEST(bad_patterns),
    TEST(limits),
    TEST(without_jit),
    TEST(literal_prefixes),
    TEST(prefix_is_sound),
};
RUN_TESTS(tests)
