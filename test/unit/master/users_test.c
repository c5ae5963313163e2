/* SPDX-License-Identifier: Apache-2.0
 *
 * Who the children are, without looking into this machine's passwd.
 */
#include "test/unit/harness.h"
#include "master/users.h"

static int
nobody(const char *name, unsigned *number_r)
{
	(void)name;
	(void)number_r;
	return 0;
}

static int
named(const char *name, unsigned *number_r)
{
	static const char *const names[] = {"gw", "gw-loader", "gw-keeper", "gw-worker",
	    "gw-prober", "gw-logger", "gw-admin", "gw-redis", "gw-discovery", "gw-secrets"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*number_r = 900 + i;
			return 1;
		}
	return 0;
}

static int
only_worker(const char *name, unsigned *number_r)
{
	if (strcmp(name, "gw-worker") != 0)
		return 0;
	*number_r = 42;
	return 1;
}

static bool
none_taken(unsigned number)
{
	(void)number;
	return false;
}

static bool
even_taken(unsigned number)
{
	return number % 2 == 0;
}

static bool
all_taken(unsigned number)
{
	(void)number;
	return true;
}

static void
the_caller_when_not_root(void **state)
{
	const struct users_source from = {named, named, none_taken};
	const char *error;
	struct users u;

	(void)state;
	assert_int_equal(users_resolve(&u, &from, false, STR("gw"), 1, &error), 1);
	assert_false(u.own);
	assert_int_equal(u.uid[PROC_WORKER], geteuid());
	assert_int_equal(u.gid, getegid());
	assert_non_null(strstr(u.said, "not started as root"));
}

static void
users_of_the_system(void **state)
{
	const struct users_source from = {named, named, none_taken};
	const char *error;
	struct users u;

	(void)state;
	assert_int_equal(users_resolve(&u, &from, true, STR("gw"), 1, &error), 1);
	assert_true(u.own);
	assert_false(u.numbers);
	assert_int_equal(u.gid, 900);
	assert_int_equal(u.uid[PROC_LOADER], 901);
	assert_int_equal(u.uid[PROC_KEEPER], 902);
	assert_int_equal(u.uid[PROC_ADMIN], 906);
	assert_int_equal(u.uid[PROC_DISCOVERY], 908);
	assert_int_equal(u.uid[PROC_SECRETS], 909);
}

static void
numbers_are_all_different_and_free(void **state)
{
	const struct users_source from = {nobody, nobody, even_taken};
	const char *error;
	struct users u;

	(void)state;
	/* The seed is at the range's end: it goes on at its beginning. */
	assert_int_equal(
	    users_resolve(&u, &from, true, STR("gw"), USERS_LAST - USERS_FIRST, &error), 1);
	assert_true(u.own);
	assert_true(u.numbers);
	for (unsigned i = PROC_LOADER; i < PROC_KIND_COUNT; i++) {
		assert_in_range(u.uid[i], USERS_FIRST, USERS_LAST);
		assert_int_equal(u.uid[i] % 2, 1);
		assert_int_not_equal(u.uid[i], u.gid);
		for (unsigned k = PROC_LOADER; k < i; k++)
			assert_int_not_equal(u.uid[i], u.uid[k]);
	}
	assert_non_null(strstr(u.said, "numbers of their own"));
}

static void
the_same_seed_gives_the_same_numbers(void **state)
{
	const struct users_source from = {nobody, nobody, none_taken};
	const char *error;
	struct users a, b, c;

	(void)state;
	assert_int_equal(users_resolve(&a, &from, true, STR("gw"), 77, &error), 1);
	assert_int_equal(users_resolve(&b, &from, true, STR("gw"), 77, &error), 1);
	assert_int_equal(users_resolve(&c, &from, true, STR("gw"), 990, &error), 1);
	assert_memory_equal(a.uid, b.uid, sizeof(a.uid));
	assert_int_not_equal(a.uid[PROC_WORKER], c.uid[PROC_WORKER]);
}

static void
some_exist_and_some_do_not(void **state)
{
	const struct users_source from = {only_worker, nobody, none_taken};
	const char *error;
	struct users u;

	(void)state;
	assert_int_equal(users_resolve(&u, &from, true, STR("gw"), 0, &error), 1);
	assert_int_equal(u.uid[PROC_WORKER], 42);
	assert_true(u.numbers);
	assert_in_range(u.uid[PROC_KEEPER], USERS_FIRST, USERS_LAST);
}

static void
a_full_range_is_an_error(void **state)
{
	const struct users_source from = {nobody, nobody, all_taken};
	const char *error = "";
	struct users u;

	(void)state;
	assert_int_equal(users_resolve(&u, &from, true, STR("gw"), 5, &error), -1);
	assert_non_null(strstr(error, "no free user number"));
}

/* Whatever the configuration names: no child is root. */
static void
root_is_no_user_of_a_child(void **state)
{
	uid_t uid = 7;
	gid_t gid = 7;

	(void)state;
	assert_int_equal(users_system.user("root", &uid), 0);
	assert_int_equal(users_system.group("root", &gid), 0);
	assert_int_equal(uid, 7);
	assert_true(users_system.taken(0));
}

static const struct CMUnitTest tests[] = {
    TEST(the_caller_when_not_root),
    TEST(users_of_the_system),
    TEST(numbers_are_all_different_and_free),
    TEST(the_same_seed_gives_the_same_numbers),
    TEST(some_exist_and_some_do_not),
    TEST(a_full_range_is_an_error),
    TEST(root_is_no_user_of_a_child),
};
RUN_TESTS(tests)
