/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of kinds agrees with what others call them, and with the rules of its columns.
 */
#include "test/unit/harness.h"
#include "master/kind.h"

static void
rows_are_where_they_belong(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PROC_KIND_COUNT; i++) {
		assert_int_equal(kinds[i].id, i);
		assert_string_equal(kinds[i].name, proc_kind_word(i));
		assert_true(strlen(kinds[i].help) > 0);
		assert_int_equal(kinds[i].main == NULL, i == PROC_MASTER);
	}
}

/* Nobody but who reads files that are root's keeps a right, and whoever runs on is watched and
 * fenced in. */
static void
rights_are_few(void **state)
{
	(void)state;
	for (unsigned i = PROC_MASTER + 1; i < PROC_KIND_COUNT; i++) {
		assert_int_equal(kinds[i].keep_dac_read, i == PROC_LOADER || i == PROC_SECRETS);
		assert_int_not_equal(kinds[i].profile, SANDBOX_NONE);
		assert_int_equal(kinds[i].patience > 0, kinds[i].restart == RESTART_ALWAYS);
	}
}

/* What runs only while there is work for it; what the outside may lack holds up no start. */
static void
few_are_started_on_demand(void **state)
{
	(void)state;
	for (unsigned i = PROC_MASTER + 1; i < PROC_KIND_COUNT; i++) {
		assert_int_equal(
		    kinds[i].start == START_ASKED, i == PROC_DISCOVERY || i == PROC_SECRETS);
		assert_int_equal(kinds[i].start == START_SETTING, i == PROC_REDIS);
	}
}

static const struct CMUnitTest tests[] = {
    TEST(rows_are_where_they_belong),
    TEST(rights_are_few),
    TEST(few_are_started_on_demand),
};
RUN_TESTS(tests)
