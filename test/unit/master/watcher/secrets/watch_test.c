/* SPDX-License-Identifier: Apache-2.0
 *
 * Which changes of files are told, and that many are told once.
 */
#include "test/unit/harness.h"

#include "master/watcher/secrets/watch.h"
#include "test/unit/master/watcher/secrets/kit.h"

static struct fixture {
	struct loop *loop;
	struct secrets_watch *watch;
	unsigned told;
} fixture;

static void
told(void *arg)
{
	((struct fixture *)arg)->told++;
}

static void
use(struct fixture *f, int objects)
{
	struct watch_list *l = watch_list_new(objects);

	close(objects);
	secrets_watch_use(f->watch, &l);
	assert_null(l);
}

static int
setup(void **state)
{
	kit_setup(state);
	fake_clock_at(0);
	fixture = (struct fixture){.loop = loop_new()};
	fixture.watch = secrets_watch_new(fixture.loop, told, &fixture);
	return 0;
}

static int
teardown(void **state)
{
	secrets_watch_free(&fixture.watch);
	secrets_watch_free(&fixture.watch);
	loop_free(&fixture.loop);
	fake_clock_stop();
	return kit_teardown(state);
}

static void
pass(struct fixture *f, uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i += 10) {
		fake_clock_advance(10);
		loop_turn(f->loop, 0);
	}
}

/* Whatever tick and quiet take. */
static unsigned
told_after(struct fixture *f, uint64_t ms)
{
	unsigned before = f->told;

	pass(f, ms);
	return f->told - before;
}

static void
a_list_has_each_file_once(void **state)
{
	struct kit *k = *state;
	struct conf_settings *s = kit_new(k, CONF_SETTINGS);
	struct conf_service *up = kit_service(k);
	struct watch_list *l;
	int fd;

	kit_put_cert(k, "one", "a.pem", "a.key");
	kit_put_cert(k, "two", "a.pem", "a.key");
	s->tls.ticket_secret = STR("secret://env/TICKET"); /* no file */
	kit_put(k, CONF_SETTINGS, "gateway", s);
	up->tls.ca = kit_str(k, "ca.pem");
	kit_put(k, CONF_SERVICE, "up", up);
	fd = kit_objects(k);
	l = watch_list_new(fd);
	assert_int_equal(watch_list_n(l), 3);
	watch_list_free(&l);
	watch_list_free(&l);
	close(fd);
	l = watch_list_new(-1);
	assert_int_equal(watch_list_n(l), 0);
	watch_list_free(&l);
}

static void
whatever_becomes_of_a_file_is_told_once(void **state)
{
	struct kit *k = *state;
	struct fixture *f = &fixture;

	kit_put_cert(k, "one", "a.pem", "a.key");
	use(f, kit_objects(k));
	assert_int_equal(told_after(f, 5000), 0);
	kit_leaf(k, "a.pem", "DNS:a.test", k->key);
	kit_write_key(k, "a.key", k->key);
	kit_write(k, "other", STR("x"));
	assert_int_equal(told_after(f, 1300), 1);
	assert_int_equal(told_after(f, 5000), 0);
	assert_int_equal(unlink(kit_path(k, "a.key")), 0);
	assert_int_equal(told_after(f, 1300), 1);
	assert_int_equal(told_after(f, 5000), 0);
	kit_write_key(k, "a.key", k->key);
	assert_int_equal(told_after(f, 1300), 1);
	assert_int_equal(chmod(kit_path(k, "a.key"), 0400), 0);
	assert_int_equal(told_after(f, 1300), 1);
}

static void
what_goes_on_changing_is_told_all_the_same(void **state)
{
	struct kit *k = *state;
	struct fixture *f = &fixture;
	unsigned before = f->told;

	kit_put_cert(k, "one", "a.pem", "a.key");
	use(f, kit_objects(k));
	for (unsigned i = 0; i < 25; i++) {
		kit_write(k, "a.pem", str_n("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", i + 1));
		pass(f, 200);
	}
	assert_true(f->told > before);
	assert_true(f->told - before < 5);
}

static void
what_changed_before_it_is_in_force_is_seen_then(void **state)
{
	struct kit *k = *state;
	struct fixture *f = &fixture;
	struct watch_list *l;
	int fd;

	kit_put_cert(k, "one", "a.pem", "a.key");
	fd = kit_objects(k);
	l = watch_list_new(fd);
	close(fd);
	kit_leaf(k, "a.pem", "DNS:a.test", k->key);
	assert_int_equal(told_after(f, 5000), 0);
	secrets_watch_use(f->watch, &l);
	assert_int_equal(told_after(f, 1300), 1);
}

/* More than a tick looks at: all have their turn. */
static void
many_have_their_turn(void **state)
{
	struct kit *k = *state;
	struct fixture *f = &fixture;
	char id[16], name[16];

	for (unsigned i = 0; i < 3 * WATCH_PER_TICK / 2; i++) {
		snprintf(id, sizeof(id), "c-%u", i);
		snprintf(name, sizeof(name), "%u.pem", i);
		kit_put_cert(k, id, name, "a.key");
	}
	use(f, kit_objects(k));
	kit_write(k, "0.pem", STR("x"));
	assert_int_equal(told_after(f, 2300), 1);
	kit_write(k, "999.pem", STR("x"));
	assert_int_equal(told_after(f, 2300), 1);
	assert_int_equal(told_after(f, 3000), 0);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_list_has_each_file_once, setup, teardown),
    TEST_WITH(whatever_becomes_of_a_file_is_told_once, setup, teardown),
    TEST_WITH(what_goes_on_changing_is_told_all_the_same, setup, teardown),
    TEST_WITH(what_changed_before_it_is_in_force_is_seen_then, setup, teardown),
    TEST_WITH(many_have_their_turn, setup, teardown),
};
RUN_TESTS(tests)
