/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings in the master's hands: what a reload may change, and what waits for the next start.
 */
#include "test/unit/harness.h"

#include "conf/boot.h"
#include "master/settled.h"
#include "test/unit/assert_str.h"

static void
encode(struct gbuf *out, const char *run_dir, int64_t workers, uint64_t stuck)
{
	struct conf_settings s;
	struct ws ws;

	ws_init(&ws, NULL, 0);
	fields_default(&settings_fields, &s);
	s.run_directory = str_of(run_dir);
	s.workers = workers;
	s.supervision.stuck_after = stuck;
	gbuf_free(out);
	boot_encode(&s, out);
	ws_free(&ws);
}

static void
the_first_load_is_taken_whole(void **state)
{
	struct settled now = {0}, next = {0};
	struct gbuf boot = {0};

	(void)state;
	encode(&boot, "/run/a", 3, 7000);
	assert_int_equal(settled_read(&next, str_n(boot.p, boot.n), &now), 1);
	assert_str(next.s->run_directory, "/run/a");
	assert_int_equal(next.s->workers, 3);
	assert_int_equal(next.restart.n, 0);
	assert_int_equal(next.boot.n, boot.n);
	assert_memory_equal(next.boot.p, boot.p, boot.n);
	settled_adopt(&now, &next);
	assert_null(next.s);
	assert_int_equal(now.s->workers, 3);
	settled_drop(&now);
	assert_null(now.s);
	gbuf_free(&boot);
}

static void
what_needs_a_start_is_kept_and_named(void **state)
{
	struct settled now = {0}, next = {0};
	struct gbuf boot = {0};
	struct conf_settings decoded;
	struct ws ws;

	(void)state;
	encode(&boot, "/run/a", 3, 7000);
	assert_int_equal(settled_read(&now, str_n(boot.p, boot.n), &next), 1);
	encode(&boot, "/run/b", 5, 8000);
	assert_int_equal(settled_read(&next, str_n(boot.p, boot.n), &now), 1);
	assert_str(next.restart, "run_directory");
	settled_adopt(&now, &next); /* frees what was running: nothing of it may be borrowed */
	assert_str(now.s->run_directory, "/run/a");
	assert_str(now.restart, "run_directory");
	assert_int_equal(now.s->workers, 5);
	assert_int_equal(now.s->supervision.stuck_after, 8000);
	/* And children are told the same. */
	ws_init(&ws, NULL, 0);
	assert_int_equal(boot_decode(str_n(now.boot.p, now.boot.n), &decoded, &ws), 1);
	assert_str(decoded.run_directory, "/run/a");
	assert_int_equal(decoded.workers, 5);
	ws_free(&ws);
	settled_drop(&now);
	gbuf_free(&boot);
}

static void
malformed_is_refused(void **state)
{
	struct settled now = {0}, next = {0};
	struct gbuf boot = {0};

	(void)state;
	assert_int_equal(settled_read(&next, STR("nonsense"), &now), -1);
	assert_null(next.s);
	assert_int_equal(settled_read(&next, STR_NONE, &now), -1);
	encode(&boot, "/run/a", 3, 7000);
	for (size_t n = 0; n < boot.n; n++) {
		if (settled_read(&next, str_n(boot.p, n), &now) < 0)
			assert_null(next.s);
		settled_drop(&next);
	}
	gbuf_free(&boot);
}

static const struct CMUnitTest tests[] = {
    TEST(the_first_load_is_taken_whole),
    TEST(what_needs_a_start_is_kept_and_named),
    TEST(malformed_is_refused),
};
RUN_TESTS(tests)
