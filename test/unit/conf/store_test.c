/* SPDX-License-Identifier: Apache-2.0
 *
 * The store opened again in the middle of its life, so that what a large commit needed is given
 * back (F-PERF-02): what it held is there, and it goes on.
 */
#include "test/unit/conf/apply_kit.h"

static int
routes(struct fixture *f, unsigned n)
{
	char id[16], path[32];

	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "one", "10.0.0.1:80", 1);
	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "r%04u", i);
		snprintf(path, sizeof(path), "/%04u", i);
		sets_route(&f->sets, id, path, "one", NULL, NULL);
	}
	return apply(f, sets_end(&f->sets), true);
}

static void
slim(struct fixture *f)
{
	const char *error = "";

	table_close(&f->table);
	if (store_slim(&f->store, &error) != 1 ||
	    table_attach(&f->store.map, &f->table, &error) < 0)
		fail_msg("%s", error);
	assert_int_equal(table_renew(f->table), 1);
}

static void
a_slim_store_goes_on(void **state)
{
	struct fixture *f = *state;
	uint64_t generation;

	assert_int_equal(routes(f, 2000), 2001);
	generation = f->store.meta.generation;
	slim(f);
	assert_int_equal(f->store.meta.generation, generation);
	assert_string_equal(routed(f, "a.test", "/1999"), "r1999");
	/* The same again is no change, and what is gone is taken out: numbers and references are as
	 * they were. */
	assert_int_equal(routes(f, 2000), 0);
	assert_int_equal(routes(f, 1000), 1000);
	assert_int_equal(f->store.meta.generation, generation + 1);
	assert_string_equal(routed(f, "a.test", "/0999"), "r0999");
	slim(f);
	assert_string_equal(routed(f, "a.test", "/0000"), "r0000");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_slim_store_goes_on, setup, teardown),
};
RUN_TESTS(tests)
