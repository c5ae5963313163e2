/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache of plans: one per content, over generations, bounded, held by those who use it (C-3: no
 * per-worker copy of the route table; F-PERF-02: a change of one route costs one plan).
 */
#include "test/unit/conf/kit.h"
#include "conf/recent.h"
#include "conf/service.h"
#include "worker/plan.h"
#include "worker/worker.h"

struct fixture {
	struct kit kit;
	struct region region;
	struct metrics *metrics;
	struct plans *plans;
	struct plan_route own; /* of the route asked for last */
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *error = "";
	int fd;

	policy_types_set(worker_policies);
	kit_open(&f->kit);
	fd = region_create(REGION_METRICS, metric_region_size(1, 64), metric_layout(1, 64), &error);
	if (region_attach(fd, REGION_METRICS, 0, true, &f->region, &error) < 0)
		fail_msg("%s", error);
	close(fd);
	metric_region_init(&f->region, 1, 64);
	f->metrics = metrics_open(&f->region, 0);
	f->plans = plans_new(f->metrics, 4);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	plans_free(&f->plans);
	metrics_close(&f->metrics);
	region_detach(&f->region);
	kit_close(&f->kit);
	free(f);
	return 0;
}

static void
put(struct fixture *f, enum conf_kind kind, uint32_t number, const char *id, struct gbuf *body)
{
	struct conf_object o = {.kind = kind,
	    .number = number,
	    .id = str_of(id),
	    .source = STR("file"),
	    .body = str_n(body->p, body->n)};
	struct gbuf out = {0};
	const char *error = NULL;
	char key[80];
	size_t at = image_begin(&out, 'O');

	/* The name first; then the object over the empty one. */
	kit_object(&f->kit, kind, number, str_of(id));
	o.digest = object_digest(kind, o.id, o.body);
	object_encode(&o, &out);
	image_end(&out, at);
	assert_int_equal(db_put(f->kit.txn, f->kit.map.tab[MAP_OBJECT],
			     image_key_object(key, kind, number), str_n(out.p, out.n), &error),
	    1);
	gbuf_free(&out);
	gbuf_free(body);
}

static void
put_service(struct fixture *f, uint32_t number, const char *id, uint64_t connect_ms)
{
	struct conf_service s;
	struct gbuf body = {0};
	struct ws ws;

	ws_init(&ws, NULL, 0);
	fields_default(&service_fields, &s);
	s.timeouts.connect = connect_ms;
	fields_encode(&service_fields, &s, &body);
	put(f, CONF_SERVICE, number, id, &body);
	ws_free(&ws);
}

static void
put_route_at(struct fixture *f, uint32_t number, const char *id, const char *where,
    const char *service, uint64_t total)
{
	struct str path = str_of(where);
	struct conf_route r;
	struct gbuf body = {0};
	struct ws ws;

	ws_init(&ws, NULL, 0);
	fields_default(&route_fields, &r);
	r.path = (struct strs){&path, 1};
	r.service = str_of(service);
	r.timeouts.total = total;
	fields_encode(&route_fields, &r, &body);
	put(f, CONF_ROUTE, number, id, &body);
	ws_free(&ws);
}

static void
put_route(struct fixture *f, uint32_t number, const char *id, const char *service, uint64_t total)
{
	put_route_at(f, number, id, "/x", service, total);
}

#define CHANGE(f)                                                                                  \
	for (int once_ = (kit_begin(&(f)->kit), 1); once_; once_ = (kit_commit(&(f)->kit), 0))

static struct plan *
get(struct fixture *f, uint32_t route)
{
	return plan_get(f->plans, f->kit.table, route, &f->own);
}

/* Takes and gives back: the plan stays in the cache. */
static struct plan *
peek(struct fixture *f, uint32_t route)
{
	struct plan *p = get(f, route), *was = p;

	assert_non_null(p);
	plan_unref(f->plans, &p);
	assert_null(p);
	return was;
}

static uint64_t
misses(struct fixture *f)
{
	return metric_sum(f->metrics, M_PROC_PLAN_MISSES);
}

static void
a_plan_is_made_once(void **state)
{
	struct fixture *f = *state;
	struct plan *a, *b;

	CHANGE(f)
	{
		put_service(f, 7, "s", 250);
		put_route(f, 3, "r", "s", 900);
	}
	a = get(f, 3);
	b = get(f, 3);
	assert_non_null(a);
	assert_ptr_equal(a, b);
	assert_int_equal(a->refs, 3); /* the cache's own too */
	assert_int_equal(misses(f), 1);
	assert_true(str_eq(f->own.id, STR("r")));
	assert_true(str_eq(a->service_id, STR("s")));
	assert_int_equal(a->service_number, 7);
	assert_int_equal(a->connect_ms, 250); /* the service's */
	assert_int_equal(a->total_ms, 900);   /* the route's */
	assert_null(a->broken);
	plan_unref(f->plans, &a);
	plan_unref(f->plans, &b);
	assert_int_equal(plans_count(f->plans), 1);
	assert_null(get(f, 4));
	assert_null(get(f, UINT32_MAX));
}

/* A generation that changed something else leaves it alone: plans are known by content, not by
 * number of the generation. */
static void
it_outlives_changes_of_others(void **state)
{
	struct fixture *f = *state;
	struct plan *a, *other;

	CHANGE(f)
	{
		put_service(f, 1, "s", 1);
		put_route(f, 1, "one", "s", 0);
		put_route(f, 2, "two", "s", 3);
	}
	a = peek(f, 1);
	other = get(f, 2);
	CHANGE(f)
	put_route(f, 2, "two", "s", 5);
	assert_ptr_equal(peek(f, 1), a);
	assert_ptr_not_equal(peek(f, 2), other);
	assert_int_equal(misses(f), 3);
	/* And back again: somebody still held the old one. */
	CHANGE(f)
	put_route(f, 2, "two", "s", 3);
	assert_ptr_equal(peek(f, 2), other);
	assert_int_equal(misses(f), 3);
	plan_unref(f->plans, &other);
	/* Another map: the numbers are looked up again, the content is known. */
	plans_forget(f->plans);
	assert_ptr_equal(peek(f, 1), a);
	assert_int_equal(misses(f), 3);
}

/* Where the map tells what a generation changed, nothing else is looked at: route 2 is changed
 * behind its back, and nobody notices before everything may have changed. */
static void
only_what_changed_is_looked_at(void **state)
{
	struct fixture *f = *state;
	struct recent r = {0};
	const char *error;

	CHANGE(f)
	{
		put_service(f, 1, "s", 1);
		put_route(f, 1, "one", "s", 1);
		put_route(f, 2, "two", "s", 2);
	}
	peek(f, 1);
	peek(f, 2);
	CHANGE(f)
	{
		put_route(f, 1, "one", "s", 11);
		put_route(f, 2, "two", "s", 12);
		recent_begin(&r, f->kit.meta.generation + 1);
		recent_add(&r, CONF_ROUTE, 1);
		assert_int_equal(recent_put(f->kit.txn, &f->kit.map, &r, &error), 1);
	}
	assert_int_equal(peek(f, 1)->total_ms, 11);
	assert_int_equal(peek(f, 2)->total_ms, 2);
	CHANGE(f)
	{
		put_service(f, 1, "s", 3);
		recent_begin(&r, f->kit.meta.generation + 1);
		recent_add(&r, CONF_SERVICE, 1);
		assert_int_equal(recent_put(f->kit.txn, &f->kit.map, &r, &error), 1);
	}
	assert_int_equal(peek(f, 1)->connect_ms, 3);
	assert_int_equal(peek(f, 2)->connect_ms, 3);
	assert_int_equal(peek(f, 2)->total_ms, 12);
}

static void
its_service_belongs_to_it(void **state)
{
	struct fixture *f = *state;
	struct plan *a;

	CHANGE(f)
	{
		put_service(f, 1, "s", 100);
		put_route(f, 1, "r", "s", 0);
	}
	a = get(f, 1);
	CHANGE(f)
	put_service(f, 1, "s", 200);
	assert_int_equal(peek(f, 1)->connect_ms, 200);
	assert_int_equal(a->connect_ms, 100); /* whoever holds the old one keeps it */
	plan_unref(f->plans, &a);
	/* The same content under another number is another plan: endpoints and counters hang on the
	 * number. */
	a = get(f, 1);
	CHANGE(f)
	{
		put_service(f, 2, "s", 200);
	}
	assert_ptr_not_equal(peek(f, 1), a);
	assert_int_equal(peek(f, 1)->service_number, 2);
	plan_unref(f->plans, &a);
}

/* Routes that differ in where they hang and in name share a plan; each keeps id and row. */
static void
routes_alike_share_one(void **state)
{
	struct fixture *f = *state;
	const char *far_id = "a-name-of-more-octets-than-lie-with-the-rest";
	struct plan *a;
	uint32_t row;

	CHANGE(f)
	{
		put_service(f, 1, "s", 1);
		put_route_at(f, 1, "one", "/one", "s", 9);
		put_route_at(f, 2, far_id, "/two/{id}", "s", 9);
		put_route_at(f, 3, "three", "/one", "s", 8);
		put_route_at(f, 4, "four", "~^/x[0-9]$", "s", 9);
		put_route_at(f, 5, "five", "~^/x[a-z]$", "s", 9);
	}
	a = peek(f, 1);
	row = f->own.metric_row;
	assert_true(str_eq(f->own.id, STR("one")));
	assert_ptr_equal(peek(f, 2), a);
	assert_true(str_eq(f->own.id, str_of(far_id)));
	assert_int_not_equal(f->own.metric_row, row);
	assert_int_equal(a->route->path.n, 0); /* nothing of one of them alone */
	assert_ptr_not_equal(peek(f, 3), a);
	/* An expression is asked at each request: it belongs to the plan. */
	assert_ptr_not_equal(peek(f, 4), a);
	assert_ptr_not_equal(peek(f, 5), peek(f, 4));
	assert_int_equal(plans_count(f->plans), 4);
	/* One of them changes its name: a new row, the same plan. */
	CHANGE(f)
	put_route_at(f, 1, "uno", "/one", "s", 9);
	assert_ptr_equal(peek(f, 1), a);
	assert_true(str_eq(f->own.id, STR("uno")));
	assert_int_not_equal(f->own.metric_row, row);
}

/* Far apart, so that each lies in a block of its own. */
#define APART 100

static void
put_different(struct fixture *f, uint32_t n)
{
	CHANGE(f)
	{
		put_service(f, 1, "s", 1);
		for (uint32_t i = 1; i <= n; i++) {
			char id[16];

			snprintf(id, sizeof(id), "r%u", i);
			put_route(f, i * APART, id, "s", i);
		}
	}
}

static void
what_is_not_asked_for_makes_room(void **state)
{
	struct fixture *f = *state;
	struct plan *held, *two;

	put_different(f, 12);
	held = get(f, APART);
	two = peek(f, 2 * APART);
	peek(f, 3 * APART);
	peek(f, 4 * APART);
	for (uint32_t i = 5; i <= 12; i++) {
		assert_ptr_equal(peek(f, 2 * APART), two); /* asked for all the time: it stays */
		peek(f, i * APART);
		assert_in_range(plans_count(f->plans), 2, 5);
	}
	assert_int_equal(metric_sum(f->metrics, M_PROC_PLANS), plans_count(f->plans));
	assert_int_equal(misses(f), 12);
	peek(f, 3 * APART);
	assert_int_equal(misses(f), 13);
	/* One that is held never goes. */
	assert_int_equal(held->connect_ms, 1);
	assert_ptr_equal(peek(f, APART), held);
	plan_unref(f->plans, &held);
}

/* More are held than fit: all stay. What is given back goes with the next that is made. */
static void
held_ones_may_be_more_than_fit(void **state)
{
	struct fixture *f = *state;
	struct plan *v[8];

	put_different(f, 12);
	for (uint32_t i = 0; i < 8; i++)
		v[i] = get(f, (i + 1) * APART);
	assert_int_equal(plans_count(f->plans), 8);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(v[i]->total_ms, i + 1);
	for (uint32_t i = 0; i < 8; i++)
		plan_unref(f->plans, &v[i]);
	peek(f, 9 * APART);
	peek(f, 10 * APART);
	assert_in_range(plans_count(f->plans), 1, 4);
}

/* Routes that share a plan are bounded themselves. */
static void
routes_known_are_bounded(void **state)
{
	struct fixture *f = *state;

	CHANGE(f)
	{
		put_service(f, 1, "s", 1);
		for (uint32_t i = 1; i <= 100; i++) {
			char id[16];

			snprintf(id, sizeof(id), "r%u", i);
			put_route(f, i * APART, id, "s", 0);
		}
	}
	for (unsigned round = 0; round < 3; round++)
		for (uint32_t i = 1; i <= 100; i++)
			peek(f, i * APART);
	assert_int_equal(plans_count(f->plans), 1);
	assert_in_range(plans_routes(f->plans), 1, 4 * PLAN_ROUTES);
}

static void
a_deleted_route_has_none(void **state)
{
	struct fixture *f = *state;
	struct plan *a;
	char key[80];

	CHANGE(f)
	{
		put_service(f, 1, "s", 1);
		put_route(f, 1, "r", "s", 0);
	}
	a = get(f, 1);
	CHANGE(f)
	assert_int_equal(
	    db_del(f->kit.txn, f->kit.map.tab[MAP_OBJECT], image_key_object(key, CONF_ROUTE, 1)),
	    1);
	assert_null(get(f, 1));
	assert_true(str_eq(a->service_id, STR("s")));
	plan_unref(f->plans, &a);
}

static void
damage_is_counted_not_believed(void **state)
{
	struct fixture *f = *state;
	struct gbuf body = {0};

	CHANGE(f)
	{
		gbuf_u64(&body, UINT64_C(0xffffffffffffffff));
		put(f, CONF_ROUTE, 1, "r", &body);
	}
	assert_null(get(f, 1));
	assert_int_equal(metric_sum(f->metrics, M_PROC_TABLE_ERRORS), 1);
	assert_int_equal(plans_count(f->plans), 0);
}

/* A route whose service is not there (a change set would have been refused): no crash, no service.
 */
static void
a_route_may_be_without_service(void **state)
{
	struct fixture *f = *state;

	CHANGE(f)
	{
		put_route(f, 1, "r", "gone", 0);
		put_route(f, 2, "q", "", 0);
	}
	assert_null(peek(f, 1)->service);
	assert_null(peek(f, 2)->service);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_plan_is_made_once, setup, teardown),
    TEST_WITH(it_outlives_changes_of_others, setup, teardown),
    TEST_WITH(only_what_changed_is_looked_at, setup, teardown),
    TEST_WITH(its_service_belongs_to_it, setup, teardown),
    TEST_WITH(routes_alike_share_one, setup, teardown),
    TEST_WITH(what_is_not_asked_for_makes_room, setup, teardown),
    TEST_WITH(held_ones_may_be_more_than_fit, setup, teardown),
    TEST_WITH(routes_known_are_bounded, setup, teardown),
    TEST_WITH(a_deleted_route_has_none, setup, teardown),
    TEST_WITH(damage_is_counted_not_believed, setup, teardown),
    TEST_WITH(a_route_may_be_without_service, setup, teardown),
};
RUN_TESTS(tests)
