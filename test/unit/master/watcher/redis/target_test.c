/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is talked to, by what sentinels and cluster nodes say. F-INST-03
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"
#include "master/watcher/redis/target.h"
#include "shm/base/rnd.h"
#include "test/unit/master/watcher/redis/kit.h"

static struct target
make(int mode, uint32_t n)
{
	static const struct str v[] = {{"a:1", 3}, {"b:2", 3}, {"c:3", 3}};
	struct conf_settings s = {.redis = {.addresses = {v, n}, .mode = mode}};
	struct target t;

	s.redis.retry_min = 100;
	s.redis.retry_max = 1000;
	rnd_init();
	assert_int_equal(target_init(&t, &s), 1);
	return t;
}

static void
assert_next(struct target *t, const char *want, bool sentinel)
{
	struct endpoint e;
	char text[300];

	assert_int_equal(target_next(t, 0, &e), sentinel);
	endpoint_text(&e, text, sizeof(text));
	assert_string_equal(text, want);
}

static void
addresses(void **state)
{
	static const char *const good[][2] = {
	    {"redis:6380", "redis:6380"},
	    {"redis", "redis:6379"},
	    {"[::1]:7", "[::1]:7"},
	    {"[2001:db8::7]", "[2001:db8::7]:6379"},
	    {"unix:/run/redis.sock", "unix:/run/redis.sock"},
	};
	static const char *const bad[] = {"", ":1", "redis:", "redis:0", "redis:65536", "redis:x"};
	struct endpoint e;
	char text[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(endpoint_read(str_of(good[i][0]), 6379, &e), 1);
		endpoint_text(&e, text, sizeof(text));
		assert_string_equal(text, good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(endpoint_read(str_of(bad[i]), 6379, &e), -1);
}

static void
the_list_is_walked_then_there_is_a_pause(void **state)
{
	struct target t = make(REDIS_SINGLE, 3);
	uint64_t wait;

	(void)state;
	assert_next(&t, "a:1", false);
	assert_int_equal(target_failed(&t, 0), 0);
	assert_next(&t, "b:2", false);
	assert_int_equal(target_failed(&t, 0), 0);
	assert_next(&t, "c:3", false);
	(void)target_failed(&t, 0); /* the first round is free */
	for (unsigned i = 0; i < 2; i++) {
		target_next(&t, 0, &(struct endpoint){.port = 0});
		assert_int_equal(target_failed(&t, 0), 0);
	}
	wait = target_failed(&t, 0);
	assert_true(wait >= 100 && wait <= 120);
	assert_next(&t, "a:1", false);
	target_free(&t);
}

static void
sentinels_name_the_master(void **state)
{
	struct target t = make(REDIS_SENTINEL, 2);
	struct reply *named = kit_reply("*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6390\r\n");
	struct reply *unknown = kit_reply("*-1\r\n"),
		     *odd = kit_reply("*2\r\n$1\r\na\r\n$1\r\n0\r\n");
	const char *error = "";

	(void)state;
	assert_next(&t, "a:1", true);
	assert_int_equal(target_named(&t, unknown, &error), -1);
	assert_non_null(strstr(error, "no master"));
	assert_int_equal(target_named(&t, odd, &error), -1);
	assert_int_equal(target_failed(&t, 0), 0);
	assert_next(&t, "b:2", true);
	assert_int_equal(target_named(&t, named, &error), 1);
	assert_next(&t, "127.0.0.1:6390", false);
	target_good(&t);
	target_forget(&t); /* READONLY: who is it now? */
	assert_next(&t, "b:2", true);
	assert_int_equal(target_named(&t, named, &error), 1);
	(void)target_failed(&t, 0); /* the master does not answer: the next sentinel is asked */
	assert_next(&t, "a:1", true);
	reply_free(&named);
	reply_free(&unknown);
	reply_free(&odd);
	target_free(&t);
}

static void
clusters_redirect(void **state)
{
	const struct endpoint from = {"10.0.0.1", 6379};
	struct endpoint e;
	char text[300];

	(void)state;
	assert_int_equal(target_redirect(STR("MOVED 3999 127.0.0.1:6381"), "MOVED", &from, &e), 1);
	endpoint_text(&e, text, sizeof(text));
	assert_string_equal(text, "127.0.0.1:6381");
	assert_int_equal(target_redirect(STR("ASK 3999 ::1:6381"), "ASK", &from, &e), 1);
	endpoint_text(&e, text, sizeof(text));
	assert_string_equal(text, "[::1]:6381");
	assert_int_equal(target_redirect(STR("MOVED 3999 :6381"), "MOVED", &from, &e), 1);
	endpoint_text(&e, text, sizeof(text));
	assert_string_equal(text, "10.0.0.1:6381");
	assert_int_equal(target_redirect(STR("ASK 1 a:1"), "MOVED", &from, &e), 0);
	assert_int_equal(target_redirect(STR("MOVED"), "MOVED", &from, &e), 0);
	assert_int_equal(target_redirect(STR("MOVED 1"), "MOVED", &from, &e), 0);
	assert_int_equal(target_redirect(STR("MOVED 1 "), "MOVED", &from, &e), 0);
	assert_int_equal(target_redirect(STR("MOVED 1 :x"), "MOVED", &from, &e), 0);
	assert_int_equal(target_redirect(STR("ERR no"), "MOVED", &from, &e), 0);
}

static void
a_moved_node_holds_until_it_fails(void **state)
{
	struct target t = make(REDIS_CLUSTER, 1);
	const struct endpoint to = {"127.0.0.1", 6381};

	(void)state;
	assert_next(&t, "a:1", false);
	target_move(&t, &to);
	assert_next(&t, "127.0.0.1:6381", false);
	(void)target_failed(&t, 0);
	assert_next(&t, "a:1", false);
	target_free(&t);
}

static void
roles(void **state)
{
	struct reply *master = kit_reply("*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n");
	struct reply *slave = kit_reply("*2\r\n$5\r\nslave\r\n$1\r\na\r\n");

	(void)state;
	assert_true(target_is_master(master));
	assert_false(target_is_master(slave));
	assert_false(target_is_master(NULL));
	reply_free(&master);
	reply_free(&slave);
}

static const struct CMUnitTest tests[] = {
    TEST(addresses),
    TEST(the_list_is_walked_then_there_is_a_pause),
    TEST(sentinels_name_the_master),
    TEST(clusters_redirect),
    TEST(a_moved_node_holds_until_it_fails),
    TEST(roles),
};
RUN_TESTS(tests)
