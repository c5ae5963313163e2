/* SPDX-License-Identifier: Apache-2.0
 *
 * A change set against the map: what is kept, what is refused and with which words, and that
 * nothing remains of what was not committed.: a bad reload changes nothing.
 */
#include <sys/mman.h>

#include "shm/base/clock.h"
#include "test/unit/conf/apply_kit.h"

static int
two_services(struct fixture *f)
{
	sets_begin(&f->sets, "file", true);
	sets_settings(&f->sets);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	sets_service(&f->sets, "one", "10.0.0.1:80 10.0.0.2:80", 1);
	sets_service(&f->sets, "two", "unix:/run/two.sock [::1]:81", 1);
	sets_route(&f->sets, "r1", "/one/*", "one", "a.test", NULL);
	sets_route(&f->sets, "r2", "/two/* /zwei", "two", NULL, "main");
	return sets_end(&f->sets);
}

static void
what_is_applied_can_be_read(void **state)
{
	struct fixture *f = *state;
	struct endpoint_ref e;
	struct conf_object o;
	uint32_t n = 0, seen = 0;

	assert_int_equal(apply(f, two_services(f), true), 6);
	assert_int_equal(table_generation(f->table), 1);
	assert_int_equal(atomic_load(&arena_head(f->store.arena)->generation), 1);
	assert_int_equal(table_count(f->table, CONF_ROUTE), 2);
	while (table_next(f->table, CONF_SERVICE, &n, &o) == 1)
		seen++;
	assert_int_equal(seen, 2);
	assert_int_equal(table_find(f->table, CONF_ROUTE, STR("r2"), &o), 1);
	assert_int_equal(o.version, 1);
	assert_string_equal(routed(f, "a.test", "/one/x"), "r1");
	assert_string_equal(routed(f, "b.test", "/one/x"), "none");
	assert_string_equal(routed(f, "b.test", "/zwei"), "r2");
	e = endpoint(f, "two", "unix:/run/two.sock");
	assert_int_equal(e.addr.family, AF_UNIX);
	assert_string_equal(e.addr.path, "/run/two.sock");
	e = endpoint(f, "two", "[::1]:81");
	assert_int_equal(e.addr.port, 81);
	assert_int_equal(e.incarnation % 2, 1);
}

static void
the_same_again_changes_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(apply(f, two_services(f), true), 6);
	assert_int_equal(apply(f, two_services(f), true), 0);
	assert_int_equal(table_generation(f->table), 1);
}

/* C-4: endpoints that stay keep row and incarnation over a reload, with all that is counted there.
 */
static void
endpoints_keep_their_rows(void **state)
{
	struct fixture *f = *state;
	struct endpoint_ref kept, gone, now;

	assert_int_equal(apply(f, two_services(f), true), 6);
	kept = endpoint(f, "one", "10.0.0.1:80");
	gone = endpoint(f, "one", "10.0.0.2:80");
	sets_begin(&f->sets, "file", false);
	sets_service(&f->sets, "one", "10.0.0.3:80 10.0.0.1:80", 5);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	now = endpoint(f, "one", "10.0.0.1:80");
	assert_int_equal(now.row, kept.row);
	assert_int_equal(now.incarnation, kept.incarnation);
	assert_int_equal(now.weight, 5);
	assert_int_equal(endpoint(f, "one", "10.0.0.2:80").row, UINT32_MAX);
	assert_int_not_equal(endpoint(f, "one", "10.0.0.3:80").row, gone.row);
	assert_int_equal(atomic_load(&arena_endpoint(f->store.arena, gone.row)->incarnation),
	    gone.incarnation + 1);
	assert_int_equal(arena_endpoints_used(f->store.arena), 4);
	/* a deleted service gives everything back */
	sets_begin(&f->sets, "file", false);
	sets_delete(&f->sets, CONF_SERVICE, "one");
	sets_delete(&f->sets, CONF_ROUTE, "r1");
	assert_int_equal(apply(f, sets_end(&f->sets), true), 2);
	assert_int_equal(arena_endpoints_used(f->store.arena), 2);
	assert_string_equal(routed(f, "a.test", "/one/x"), "none");
}

static void
the_same_address_twice_is_one_row(void **state)
{
	struct fixture *f = *state;

	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "s", "10.0.0.1:80 10.0.0.1:80", 1);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	assert_int_equal(arena_endpoints_used(f->store.arena), 1);
}

static void
a_name_that_does_not_resolve_is_an_endpoint_that_is_down(void **state)
{
	struct fixture *f = *state;
	struct endpoint_ref e;

	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "s", "?nowhere.test:80 10.0.0.1:80", 1);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	e = endpoint(f, "s", "nowhere.test:80");
	assert_true(e.unresolved);
	assert_true(str_eq(e.error, STR("no such host")));
	assert_int_equal(
	    atomic_load(&arena_endpoint(f->store.arena, e.row)->flags), ENDPOINT_UNRESOLVED);
	e = endpoint(f, "s", "10.0.0.1:80");
	assert_false(e.unresolved);
}

static void
an_abort_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned used;

	assert_int_equal(apply(f, two_services(f), true), 6);
	used = arena_endpoints_used(f->store.arena);
	for (int i = 0; i < 100; i++) { /* would run out of rows and numbers if it leaked any */
		sets_begin(&f->sets, "file", true);
		sets_service(&f->sets, "new", "10.1.0.1:80 10.1.0.2:80", 1);
		sets_route(&f->sets, "r9", "/nine", "new", "c.test", NULL);
		assert_int_equal(apply(f, sets_end(&f->sets), false), 8);
	}
	assert_int_equal(arena_endpoints_used(f->store.arena), used);
	assert_int_equal(table_generation(f->table), 1);
	assert_string_equal(routed(f, "a.test", "/one/x"), "r1");
	assert_string_equal(routed(f, "c.test", "/nine"), "none");
	assert_int_equal(numbers_take(&f->store.numbers, CONF_ROUTE), 3);
	numbers_abort(&f->store.numbers);
}

static void
numbers_stay_and_are_used_again(void **state)
{
	struct fixture *f = *state;
	struct conf_object o;

	assert_int_equal(apply(f, two_services(f), true), 6);
	sets_begin(&f->sets, "file", false);
	sets_delete(&f->sets, CONF_ROUTE, "r1");
	sets_route(&f->sets, "r3", "/three", "one", NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 2);
	assert_int_equal(table_find(f->table, CONF_ROUTE, STR("r2"), &o), 1);
	assert_int_equal(o.number, 2);
	assert_int_equal(table_find(f->table, CONF_ROUTE, STR("r3"), &o), 1);
	assert_int_equal(o.number, 3); /* not the one that is only just free */
	sets_begin(&f->sets, "file", false);
	sets_route(&f->sets, "r4", "/four", "one", NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	assert_int_equal(table_find(f->table, CONF_ROUTE, STR("r4"), &o), 1);
	assert_int_equal(o.number, 1);
	assert_string_equal(routed(f, "a.test", "/one/x"), "none");
	assert_string_equal(routed(f, "a.test", "/four"), "r4");
}

/* --- what is refused, and how ---------------------------------------------------------------- */

static void
unknown_references_are_named(void **state)
{
	struct fixture *f = *state;

	sets_begin(&f->sets, "file", true);
	sets_route(&f->sets, "r1", "/a", "nobody", NULL, "nowhere");
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_true(
	    report_has(f, "gateway.conf:1: routes[r1].service: \"nobody\": no such service"));
	assert_true(report_has(f, "routes[r1].listener: \"nowhere\": no such listener"));
	assert_int_equal(table_generation(f->table), 0);
	assert_int_equal(db_count(f->table->txn, f->store.map.tab[MAP_NAME]), 0);
}

static void
what_is_in_use_is_not_deleted(void **state)
{
	struct fixture *f = *state;

	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "one", "10.0.0.1:80", 1);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	sets_begin(&f->sets, "console", true);
	sets_route(&f->sets, "r1", "/a", "one", NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	/* The file without the service: the console's route still needs it. */
	sets_begin(&f->sets, "file", true);
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_true(report_has(
	    f, "services[one]: is to go, but routes[r1] of source \"console\" names it"));
	assert_string_equal(routed(f, "x", "/a"), "r1");
}

static void
sources_do_not_take_from_each_other(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(apply(f, two_services(f), true), 6);
	sets_begin(&f->sets, "console", false);
	sets_route(&f->sets, "r1", "/mine", "one", NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_true(report_has(f, "belongs to source \"file\""));
	sets_begin(&f->sets, "console", false);
	sets_delete(&f->sets, CONF_ROUTE, "r1");
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_string_equal(routed(f, "a.test", "/one/x"), "r1");
}

static void
twice_the_same_id_is_refused(void **state)
{
	struct fixture *f = *state;

	sets_begin(&f->sets, "file", true);
	sets_listener(&f->sets, "a", "127.0.0.1:1");
	sets_listener(&f->sets, "a", "127.0.0.1:2");
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_true(report_has(f, "listeners[a]: stands twice"));
	sets_begin(&f->sets, "file", true);
	sets_listener(&f->sets, "a", "127.0.0.1:1");
	sets_listener(&f->sets, "b", "127.0.0.1:1");
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_true(report_has(f, "listeners[b].address: listener \"a\" has the same one"));
}

static void
too_large_is_said_with_the_limit(void **state)
{
	struct fixture *f = *state;
	char id[16], *big = malloc(20000);
	size_t n = 0;

	/* an object */
	sets_begin(&f->sets, "file", true);
	for (int i = 0; i < 400; i++)
		n += (size_t)snprintf(
		    big + n, 20000 - n, "%s10.0.%d.%d:80", i > 0 ? " " : "", i / 250, i % 250);
	sets_service(&f->sets, "huge", big, 1);
	free(big);
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_true(report_has(f, "services[huge]: takes"));
	assert_true(report_has(f, "allowed: up to 16384"));
	/* routes that share one path */
	sets_begin(&f->sets, "file", true);
	for (int i = 0; i < 1500; i++) {
		snprintf(id, sizeof(id), "r%04d", i);
		sets_route(&f->sets, id, "/same/{x}", NULL, "a.test", NULL);
	}
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_true(report_has(f, "path: \"/same/{x}\": too many routes share this path"));
	/* a path of too many segments */
	sets_begin(&f->sets, "file", true);
	sets_route(&f->sets, "deep",
	    "/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2"
	    "/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5",
	    NULL, NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_true(report_has(f, "more than 64 segments"));
}

static void
no_free_row_names_the_limit(void **state)
{
	struct fixture *f = *state;

	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "s", "10.0.0.1:1 10.0.0.1:2 10.0.0.1:3 10.0.0.1:4 10.0.0.1:5", 1);
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_true(report_has(f, "services[s].endpoints: no free row"));
	assert_true(report_has(f, "limits.endpoints is 4"));
	assert_int_equal(arena_endpoints_used(f->store.arena), 0);
}

static void
a_full_map_names_the_limit_and_goes_on(void **state)
{
	struct fixture *f = *state;
	char id[16], path[64];

	assert_int_equal(apply(f, two_services(f), true), 6);
	sets_begin(&f->sets, "file", true);
	for (int i = 0; i < 20000; i++) {
		snprintf(id, sizeof(id), "r%05d", i);
		snprintf(path, sizeof(path), "/path/number/%d/*", i);
		sets_route(&f->sets, id, path, NULL, NULL, NULL);
	}
	assert_int_equal(apply(f, sets_end(&f->sets), true), -1);
	assert_true(report_has(f, "map: full: limits.map_size is 2m"));
	assert_string_equal(routed(f, "a.test", "/one/x"), "r1");
	sets_begin(&f->sets, "file", false);
	sets_route(&f->sets, "r3", "/three", "one", NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	assert_string_equal(routed(f, "a.test", "/three"), "r3");
}

static void
damaged_change_sets_are_refused(void **state)
{
	struct fixture *f = *state;
	int fd = memfd_create("x", 0);

	assert_int_equal(apply(f, fd, true), -1);
	assert_true(report_has(f, "not a sealed memory file"));
}

/* --- repair ---------------------------------------------------------------------------------- */

static void
damaged_tables_are_built_anew(void **state)
{
	struct fixture *f = *state;
	char key[8];
	struct match_query q = {
	    .host = STR("x"), .path = STR("/zwei"), .method = 1, .method_name = STR("GET")};
	struct match_result r;

	assert_int_equal(apply(f, two_services(f), true), 6);
	put_raw(f, MAP_SHARD, image_key_number(key, 0), STR("garbage"));
	assert_int_equal(table_match(f->table, &q, &r), -1);
	sets_begin(&f->sets, "file", false);
	sets_route(&f->sets, "r3", "/three", "one", NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	assert_string_equal(routed(f, "a.test", "/one/x"), "r1");
	assert_string_equal(routed(f, "a.test", "/zwei"), "r2");
	assert_string_equal(routed(f, "a.test", "/three"), "r3");
}

/* --- a new keeper over an old store ---------------------------------------------------------- */

static void
reopen(struct fixture *f, uint64_t started_us)
{
	struct store_options o = f->store.o;
	const char *error = NULL;

	table_close(&f->table);
	store_close(&f->store);
	o.started_us = started_us;
	if (store_open(&f->store, &o, &error) < 0 ||
	    table_attach(&f->store.map, &f->table, &error) < 0)
		fail_msg("%s", error);
	assert_int_equal(table_renew(f->table), 1);
}

static void
the_same_instance_goes_on(void **state)
{
	struct fixture *f = *state;
	struct endpoint_ref e, now;
	uint32_t row, incarnation;

	assert_int_equal(apply(f, two_services(f), true), 6);
	e = endpoint(f, "one", "10.0.0.1:80");
	/* The predecessor died with rows taken and the generation not yet published. */
	assert_int_equal(arena_endpoint_alloc(f->store.arena, 1, &row, &incarnation), 1);
	atomic_store(&arena_head(f->store.arena)->generation, 0);
	reopen(f, 1);
	assert_false(f->store.fresh);
	assert_int_equal(atomic_load(&arena_head(f->store.arena)->generation), 1);
	assert_int_equal(arena_endpoints_used(f->store.arena), 4);
	now = endpoint(f, "one", "10.0.0.1:80");
	assert_int_equal(now.row, e.row);
	assert_int_equal(now.incarnation, e.incarnation);
	assert_int_equal(apply(f, two_services(f), true), 0);
	sets_begin(&f->sets, "file", false);
	sets_route(&f->sets, "r3", "/three", "one", NULL, NULL);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	assert_string_equal(routed(f, "a.test", "/three"), "r3");
}

static void
another_instance_starts_afresh(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch = f->store.meta.epoch;
	char old[600];

	snprintf(old, sizeof(old), "%s", f->store.dir);
	assert_int_equal(apply(f, two_services(f), true), 6);
	reopen(f, 2);
	assert_true(f->store.fresh);
	assert_int_equal(f->store.meta.epoch, epoch + 1);
	assert_int_equal(atomic_load(&arena_head(f->store.arena)->epoch), epoch + 1);
	assert_int_equal(access(old, F_OK), -1);
	assert_int_equal(table_count(f->table, CONF_ROUTE), 0);
}

/* --- size ------------------------------------------------------------------------------------ */

static void
hundred_thousand_routes(void **state)
{
	struct fixture *f = *state;
	uint64_t t0, t1;
	char id[16], path[64];

	for (int round = 0; round < 3; round++) {
		int fd;

		sets_begin(&f->sets, "file", true);
		sets_service(&f->sets, "one", "10.0.0.1:80", 1);
		for (int i = 0; i < 100000; i++) {
			struct ws_mark mark = ws_mark(&f->sets.ws);

			snprintf(id, sizeof(id), "r%05d", i);
			snprintf(path, sizeof(path), "/svc-%d/%s/*", i,
			    round == 2 && i == 777 ? "changed" : "api");
			sets_route(&f->sets, id, path, "one", NULL, NULL);
			ws_reset(&f->sets.ws, mark);
		}
		fd = sets_end(&f->sets);
		t0 = clock_precise_ns();
		assert_int_equal(apply(f, fd, true), ((const int[]){100001, 0, 1})[round]);
		t1 = clock_precise_ns();
		print_message("100,000 routes, %s: %.0f ms\n",
		    ((const char *[]){"first load", "nothing changed", "one changed"})[round],
		    (double)(t1 - t0) / 1e6);
	}
	assert_string_equal(routed(f, "x", "/svc-777/changed/y"), "r00777");
	assert_string_equal(routed(f, "x", "/svc-777/api/y"), "none");
	assert_string_equal(routed(f, "x", "/svc-778/api/y"), "r00778");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(what_is_applied_can_be_read, setup, teardown),
    TEST_WITH(the_same_again_changes_nothing, setup, teardown),
    TEST_WITH(endpoints_keep_their_rows, setup, teardown),
    TEST_WITH(the_same_address_twice_is_one_row, setup, teardown),
    TEST_WITH(a_name_that_does_not_resolve_is_an_endpoint_that_is_down, setup, teardown),
    TEST_WITH(an_abort_leaves_nothing, setup, teardown),
    TEST_WITH(numbers_stay_and_are_used_again, setup, teardown),
    TEST_WITH(unknown_references_are_named, setup, teardown),
    TEST_WITH(what_is_in_use_is_not_deleted, setup, teardown),
    TEST_WITH(sources_do_not_take_from_each_other, setup, teardown),
    TEST_WITH(twice_the_same_id_is_refused, setup, teardown),
    TEST_WITH(too_large_is_said_with_the_limit, setup, teardown),
    TEST_WITH(no_free_row_names_the_limit, setup_small, teardown),
    TEST_WITH(a_full_map_names_the_limit_and_goes_on, setup_small, teardown),
    TEST_WITH(damaged_change_sets_are_refused, setup, teardown),
    TEST_WITH(damaged_tables_are_built_anew, setup, teardown),
    TEST_WITH(the_same_instance_goes_on, setup, teardown),
    TEST_WITH(another_instance_starts_afresh, setup, teardown),
    TEST_WITH(hundred_thousand_routes, setup, teardown),
};

RUN_TESTS(tests)
