/* SPDX-License-Identifier: Apache-2.0
 *
 * F-PERF-02: only what a change touches is compiled. One route added, changed, taken away among
 * 1,000, 10,000 and 100,000, all under one host and spread over 10,000 hosts, and a service that no
 * route names deleted beside them: shards written and microseconds a change, which must not grow
 * with the number of routes.
 */
#include "test/unit/conf/apply_kit.h"

#include "conf/apply_priv.h"
#include "shm/base/clock.h"

#define ROUNDS 300

struct cost {
	uint64_t ns[ROUNDS];
	unsigned n;
	unsigned shards; /* the most of one change */
};

struct many {
	unsigned routes, hosts;
	struct cost cost[4];
};

static const char *const what[] = {"added", "changed", "taken away", "a service"};

static void
fill(struct fixture *f, const struct many *m)
{
	char id[16], path[64], host[32];

	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "one", "10.0.0.1:80", 1);
	for (unsigned i = 0; i < m->routes; i++) {
		struct ws_mark mark = ws_mark(&f->sets.ws);

		snprintf(id, sizeof(id), "r%06u", i);
		snprintf(path, sizeof(path), "/svc-%u/api/*", i / m->hosts);
		snprintf(host, sizeof(host), "h%u.test", i % m->hosts);
		sets_route(&f->sets, id, path, "one", host, NULL);
		ws_reset(&f->sets.ws, mark);
	}
	assert_int_equal(apply(f, sets_end(&f->sets), true), (int)m->routes + 1);
}

/* One change, as the keeper makes it. */
static void
one(struct fixture *f, struct cost *cost)
{
	struct apply_input in = {.changeset_fd = -1, .v = f->batch.v, .n = f->batch.n};
	uint64_t t0 = clock_precise_ns();
	struct apply *a = apply_compile(&f->store, &in, &f->report);

	assert_non_null(a);
	assert_int_equal(apply_changed(a), 1);
	if (a->routing != NULL)
		cost->shards = MAX(cost->shards, routing_written(a->routing));
	assert_int_equal(apply_commit(&a, &f->report), 1);
	cost->ns[cost->n++] = clock_precise_ns() - t0;
	batch_end(&f->batch);
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The machine has other things to do: the median is for people, the lower quarter to compare. */
static double
us(struct cost *c, unsigned of_four)
{
	qsort(c->ns, c->n, sizeof(c->ns[0]), by_size);
	of_four *= c->n / 4;
	return (double)c->ns[of_four] / 1e3;
}

static void
measure(struct fixture *f, struct many *m)
{
	char id[16], path[64], host[32];

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned at = i * 7919u % m->routes;

		snprintf(id, sizeof(id), "new%u", i);
		snprintf(path, sizeof(path), "/svc-%u/new", at / m->hosts);
		snprintf(host, sizeof(host), "h%u.test", at % m->hosts);
		sets_route(batch_begin(&f->batch, "admin", 0), id, path, "one", host, NULL);
		one(f, &m->cost[0]);
		snprintf(path, sizeof(path), "/svc-%u/newer", at / m->hosts);
		sets_route(batch_begin(&f->batch, "admin", 0), id, path, "one", host, NULL);
		one(f, &m->cost[1]);
		sets_delete(batch_begin(&f->batch, "admin", 0), CONF_ROUTE, id);
		one(f, &m->cost[2]);
		sets_service(batch_begin(&f->batch, "admin", 0), "s", "10.0.0.9:80", 1);
		one(f, &(struct cost){.n = 0});
		sets_delete(batch_begin(&f->batch, "admin", 0), CONF_SERVICE, "s");
		one(f, &m->cost[3]);
	}
	print_message("%7u routes, %5u hosts:", m->routes, m->hosts);
	for (unsigned i = 0; i < 4; i++)
		print_message(
		    " %s %.0f us, %u shards;", what[i], us(&m->cost[i], 2), m->cost[i].shards);
	print_message("\n");
}

static void
a_change_costs_the_same_among_many_and_few(void **state UNUSED)
{
	static struct many many[] = {
	    {.routes = 1000, .hosts = 1},
	    {.routes = 10000, .hosts = 1},
	    {.routes = 100000, .hosts = 1},
	    {.routes = 1000, .hosts = 1000},
	    {.routes = 10000, .hosts = 10000},
	    {.routes = 100000, .hosts = 10000},
	};

	for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
		struct fixture *f;

		assert_int_equal(setup((void **)&f), 0);
		fill(f, &many[i]);
		measure(f, &many[i]);
		assert_int_equal(teardown((void **)&f), 0);
		for (unsigned k = 0; k < 4; k++) {
			assert_in_range(many[i].cost[k].shards, k < 3, k < 3 ? 3 : 0);
			/* A walk over 100 times the routes would take 100 times as long. */
			if (many[i].routes == 100000)
				assert_true(
				    us(&many[i].cost[k], 1) < 5 * us(&many[i - 2].cost[k], 1));
		}
	}
}

static const struct CMUnitTest tests[] = {
    TEST(a_change_costs_the_same_among_many_and_few),
};

RUN_TESTS(tests)
