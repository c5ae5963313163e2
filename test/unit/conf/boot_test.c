/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings on their way to the master, which of them need a restart, and how many processors there
 * are.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include <sched.h>

#include "conf/boot.h"
#include "conf/cpus.h"

static int
setup(void **state)
{
	struct ws *ws = calloc(1, sizeof(*ws));

	ws_init(ws, NULL, 0);
	*state = ws;
	return 0;
}

static int
teardown(void **state)
{
	ws_free(*state);
	free(*state);
	return 0;
}

static void
settings_come_back(void **state)
{
	struct conf_settings a, b;
	struct gbuf out = {0};

	fields_default(&settings_fields, &a);
	a.run_directory = STR("/run/other");
	a.workers = 3;
	a.admin.metrics_listen = STR("");
	boot_encode(&a, &out);
	assert_int_equal(boot_decode(str_n(out.p, out.n), &b, *state), 1);
	assert_str(b.run_directory, "/run/other");
	assert_int_equal(b.workers, 3);
	assert_str(b.admin.metrics_listen, "");
	assert_int_equal(b.limits.connections, 10000);
	assert_int_equal(boot_decode(str_n(out.p, out.n - 1), &b, *state), -1);
	out.p[0] ^= 1; /* the layout */
	assert_int_equal(boot_decode(str_n(out.p, out.n), &b, *state), -1);
	assert_int_equal(boot_decode(STR(""), &b, *state), -1);
	assert_int_equal(boot_decode(STR_NONE, &b, *state), -1);
	gbuf_free(&out);
}

static void
workers_become_a_number(void **state)
{
	struct conf_settings a, b;
	struct gbuf out = {0};

	fields_default(&settings_fields, &a);
	assert_int_equal(a.workers, 0);
	a.limits.worker_slots = 1;
	boot_encode(&a, &out);
	assert_int_equal(a.workers, 0);
	assert_int_equal(boot_decode(str_n(out.p, out.n), &b, *state), 1);
	assert_int_equal(b.workers, 1);
	gbuf_free(&out);
}

static void
what_needs_a_restart_is_named(void **state)
{
	struct conf_settings a, b;

	fields_default(&settings_fields, &a);
	fields_default(&settings_fields, &b);
	assert_int_equal(boot_restart_needed(&a, &b, *state).n, 0);
	b.workers = 7;
	b.error_log.level = 3;
	assert_int_equal(boot_restart_needed(&a, &b, *state).n, 0);
	b.run_directory = STR("/elsewhere");
	b.limits.map_size = 1 << 30;
	b.admin.socket = STR("/x.sock");
	assert_str(
	    boot_restart_needed(&a, &b, *state), "run_directory, limits.map_size, admin.socket");
}

static void
affinity_bounds_the_processors(void **state)
{
	cpu_set_t before, one;

	(void)state;
	assert_true(cpus_usable() >= 1);
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &before))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(cpus_usable(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(settings_come_back, setup, teardown),
    TEST_WITH(workers_become_a_number, setup, teardown),
    TEST_WITH(what_needs_a_restart_is_named, setup, teardown),
    TEST(affinity_bounds_the_processors),
};
RUN_TESTS(tests)
