/* SPDX-License-Identifier: Apache-2.0
 *
 * Pooled upstream connections over real sockets: who gets one, how long it is kept, and what closes
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "shm/metric.h"
#include "test/unit/worker/up/arena_kit.h"
#include "worker/up/endpoints.h"
#include "worker/up/pool.h"

struct fixture {
	struct arena_kit kit;
	struct region region;
	struct metrics *metrics;
	struct loop *loop;
	struct buf_pool bufs;
	struct up *up;
	struct addr addr;
	int listener;
	uint32_t row, incarnation;
	struct pool_id id; /* of the row, plain and without a greeting */
};

static const struct pool_limits roomy = {.idle = 8, .idle_timeout = 5000};

static void
metrics_make(struct fixture *f)
{
	const char *error = "";
	int fd =
	    region_create(REGION_METRICS, metric_region_size(1, 16), metric_layout(1, 16), &error);

	if (region_attach(fd, REGION_METRICS, 0, true, &f->region, &error) < 0)
		fail_msg("%s", error);
	close(fd);
	metric_region_init(&f->region, 1, 16);
	f->metrics = metrics_open(&f->region, 0);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_storage ss;
	socklen_t len;

	arena_kit_open(&f->kit, 8);
	arena_kit_row(&f->kit, &f->row, &f->incarnation);
	f->id = (struct pool_id){.row = f->row, .incarnation = f->incarnation};
	metrics_make(f);
	f->addr.family = AF_UNIX;
	snprintf(f->addr.path, sizeof(f->addr.path), "%s/sock", f->kit.dir);
	len = addr_sockaddr(&f->addr, &ss);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(f->listener, 32), 0);
	fake_clock_at(0);
	f->loop = loop_new();
	buf_pool_init(&f->bufs, 4096, 16);
	f->up = up_new(f->loop, f->kit.arena, 0, f->metrics, &f->bufs);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	up_free(&f->up);
	assert_int_equal(f->bufs.n_out, 0);
	buf_pool_fini(&f->bufs);
	loop_free(&f->loop);
	metrics_close(&f->metrics);
	region_detach(&f->region);
	close(f->listener);
	arena_kit_close(&f->kit);
	fake_clock_stop();
	free(f);
	return 0;
}

/* A connection and its other end. */
static struct upconn *
open_one(struct fixture *f, int *peer_r)
{
	int err = 0;
	struct upconn *c = pool_connect(f->up->pool, &f->id, &f->addr, &err);

	assert_non_null(c);
	loop_turn(f->loop, 0);
	*peer_r = accept(f->listener, NULL, NULL);
	assert_true(*peer_r >= 0);
	return c;
}

static struct upconn *
get(struct fixture *f, bool careful)
{
	return pool_get(f->up->pool, &f->id, careful);
}

static void
put(struct fixture *f, struct upconn *c, const struct pool_limits *l)
{
	pool_put(f->up->pool, &c, l);
	assert_null(c);
}

static bool
closed(int peer)
{
	char b;

	return recv(peer, &b, 1, MSG_DONTWAIT) == 0;
}

static void
the_one_used_last_is_taken_first(void **state)
{
	struct fixture *f = *state;
	struct upconn *a, *b;
	int pa, pb;

	assert_null(get(f, false));
	a = open_one(f, &pa);
	b = open_one(f, &pb);
	put(f, a, &roomy);
	put(f, b, &roomy);
	assert_int_equal(pool_idle(f->up->pool), 2);
	assert_int_equal(metric_sum(f->metrics, M_PROC_UP_IDLE), 2);
	assert_int_equal(metric_sum(f->metrics, M_PROC_UP_ACTIVE), 0);
	assert_ptr_equal(get(f, false), b);
	assert_ptr_equal(get(f, true), a);
	assert_null(get(f, false));
	assert_int_equal(metric_sum(f->metrics, M_PROC_UP_REUSED), 2);
	assert_int_equal(metric_sum(f->metrics, M_PROC_UP_ACTIVE), 2);
	pool_close(f->up->pool, &a);
	pool_close(f->up->pool, &b);
	assert_true(closed(pa) && closed(pb));
	close(pa);
	close(pb);
}

static void
an_octet_nobody_asked_for_closes_it(void **state)
{
	struct fixture *f = *state;
	int peer;

	put(f, open_one(f, &peer), &roomy);
	assert_int_equal(send(peer, "H", 1, 0), 1);
	loop_turn(f->loop, 0);
	assert_int_equal(pool_idle(f->up->pool), 0);
	assert_null(get(f, false));
	assert_true(recv(peer, &(char){0}, 1, MSG_DONTWAIT) <= 0);
	close(peer);
}

struct taker {
	struct watch watch;
	struct fixture *f;
	struct upconn *got;
	unsigned runs;
};

static void
taker_event(struct watch *w, uint32_t events)
{
	struct taker *t = container_of(w, struct taker, watch);

	(void)events;
	t->runs++;
	t->got = get(t->f, false);
	loop_del(t->f->loop, w);
}

/* The octet was fetched in this very turn, behind the event of whoever wants the connection. */
static void
an_octet_on_its_way_closes_it_too(void **state)
{
	struct fixture *f = *state;
	struct taker t = {.watch = {.fd = -1, .fn = taker_event}, .f = f};
	int peer, fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	put(f, open_one(f, &peer), &roomy);
	loop_turn(f->loop, 0);
	assert_int_equal(loop_add(f->loop, &t.watch, fds[0], EPOLLIN), 1);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(send(peer, "H", 1, 0), 1);
	loop_turn(f->loop, 0);
	assert_int_equal(t.runs, 1);
	assert_null(t.got);
	assert_int_equal(pool_idle(f->up->pool), 0);
	close(peer);
	close(fds[0]);
	close(fds[1]);
}

/* The answer's last octets were read in an earlier event's turn: theirs comes when all is done. */
static void
a_late_event_without_octets_leaves_it(void **state)
{
	struct fixture *f = *state;
	struct upconn *c;
	int peer;
	char b;

	c = open_one(f, &peer);
	assert_int_equal(send(peer, "H", 1, 0), 1);
	assert_int_equal(stream_read(&c->h1.stream, &b, 1), 1);
	put(f, c, &roomy);
	loop_turn(f->loop, 0);
	assert_int_equal(pool_idle(f->up->pool), 1);
	assert_false(closed(peer));
	close(peer);
}

static void
its_end_closes_it(void **state)
{
	struct fixture *f = *state;
	int peer;

	put(f, open_one(f, &peer), &roomy);
	close(peer);
	loop_turn(f->loop, 0);
	assert_int_equal(pool_idle(f->up->pool), 0);
}

/* The end came in this very turn: nobody has told the loop yet. */
static void
a_careful_request_looks_first(void **state)
{
	struct fixture *f = *state;
	int peer;

	put(f, open_one(f, &peer), &roomy);
	close(peer);
	assert_null(get(f, true));
	assert_int_equal(pool_idle(f->up->pool), 0);
	/* And one that was not used for a while may be closed just now: left to those who can try
	 * again. */
	put(f, open_one(f, &peer), &roomy);
	fake_clock_advance(1500);
	assert_null(get(f, true));
	assert_int_equal(pool_idle(f->up->pool), 1);
	put(f, get(f, false), &roomy);
	close(peer);
}

static void
it_is_not_kept_longer_than_said(void **state)
{
	struct fixture *f = *state;
	struct upconn *c;
	int peer;

	put(f, open_one(f, &peer), &roomy);
	fake_clock_advance(4900);
	loop_turn(f->loop, 0);
	assert_int_equal(pool_idle(f->up->pool), 1);
	fake_clock_advance(200);
	loop_turn(f->loop, 0);
	assert_int_equal(pool_idle(f->up->pool), 0);
	assert_true(closed(peer));
	close(peer);
	/* What the endpoint says of itself counts where it is shorter. */
	c = open_one(f, &peer);
	c->peer_idle = 2000;
	put(f, c, &roomy);
	fake_clock_advance(1600);
	loop_turn(f->loop, 0);
	assert_int_equal(pool_idle(f->up->pool), 0);
	close(peer);
}

static void
no_more_than_allowed_are_kept(void **state)
{
	struct fixture *f = *state;
	static const struct pool_limits two = {.idle = 2}, once = {.idle = 2, .requests = 1};
	struct upconn *c;
	int peer[4];

	for (unsigned i = 0; i < 3; i++)
		put(f, open_one(f, &peer[i]), &two);
	assert_int_equal(pool_idle(f->up->pool), 2);
	assert_true(closed(peer[2]));
	pool_close_idle(f->up->pool);
	assert_true(closed(peer[0]) && closed(peer[1]));
	c = open_one(f, &peer[3]);
	c->requests = 1;
	put(f, c, &once);
	assert_int_equal(pool_idle(f->up->pool), 0);
	for (unsigned i = 0; i < 4; i++)
		close(peer[i]);
}

/* The row was given to another endpoint: its connections are never that one's. */
static void
an_identity_is_row_and_incarnation(void **state)
{
	struct fixture *f = *state;
	struct pool_id other = {.row = f->row, .incarnation = f->incarnation + 2};
	uint32_t row, incarnation;
	int peer;

	put(f, open_one(f, &peer), &roomy);
	assert_null(pool_get(f->up->pool, &other, false));
	assert_int_equal(pool_idle(f->up->pool), 0);
	close(peer);
	put(f, open_one(f, &peer), &roomy);
	pool_sweep(f->up->pool);
	assert_int_equal(pool_idle(f->up->pool), 1);
	arena_endpoint_retire(f->kit.arena, f->row, 1);
	assert_int_equal(arena_endpoint_alloc(f->kit.arena, 99, &row, &incarnation), 1);
	pool_sweep(f->up->pool);
	assert_int_equal(pool_idle(f->up->pool), 0);
	close(peer);
	other = (struct pool_id){.row = 1000, .incarnation = 1};
	assert_null(pool_get(f->up->pool, &other, false));
}

static struct upconn *
get_greeted(struct fixture *f, bool careful, struct str greeting)
{
	struct pool_id id = f->id;

	id.greeting = greeting;
	return pool_get(f->up->pool, &id, careful);
}

/* What was told of a client is part of a connection's identity: it never serves another one, nor a
 * request that tells nothing; and of those the oldest makes room. */
static void
a_greeting_is_part_of_the_identity(void **state)
{
	static const struct pool_limits two = {.idle = 2, .idle_timeout = 5000};
	const struct str who[] = {STR("PROXY a\r\n"), STR("PROXY b\r\n"), STR("PROXY c\r\n")};
	struct fixture *f = *state;
	struct upconn *c[3];
	int peer[3];
	char got[16];

	for (unsigned i = 0; i < 3; i++) {
		c[i] = open_one(f, &peer[i]);
		assert_int_equal(pool_greet(c[i], who[i]), 1);
		assert_int_equal(recv(peer[i], got, sizeof(got), 0), who[i].n);
		assert_memory_equal(got, who[i].p, who[i].n);
		put(f, c[i], &two);
	}
	assert_int_equal(pool_idle(f->up->pool), 2);
	assert_null(get_greeted(f, false, who[0]));
	assert_null(get(f, false));
	assert_ptr_equal(get_greeted(f, true, who[1]), c[1]);
	assert_null(get_greeted(f, true, who[1]));
	put(f, c[1], &two);
	assert_ptr_equal(get_greeted(f, true, who[2]), c[2]);
	put(f, c[2], &two);
	pool_close_idle(f->up->pool);
	for (unsigned i = 0; i < 3; i++)
		close(peer[i]);
	/* Recycled, it has told nothing. */
	put(f, open_one(f, &peer[0]), &two);
	c[0] = get(f, false);
	assert_non_null(c[0]);
	pool_close(f->up->pool, &c[0]);
	close(peer[0]);
}

static void
a_refused_connection_says_why(void **state)
{
	struct fixture *f = *state;
	struct addr nobody = f->addr;
	int err = 0;

	nobody.path[strlen(nobody.path) - 1] = 'x';
	assert_null(pool_connect(f->up->pool, &f->id, &nobody, &err));
	assert_int_equal(err, ENOENT);
	assert_int_equal(metric_sum(f->metrics, M_PROC_UP_ACTIVE), 0);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(the_one_used_last_is_taken_first, setup, teardown),
    TEST_WITH(an_octet_nobody_asked_for_closes_it, setup, teardown),
    TEST_WITH(an_octet_on_its_way_closes_it_too, setup, teardown),
    TEST_WITH(a_late_event_without_octets_leaves_it, setup, teardown),
    TEST_WITH(its_end_closes_it, setup, teardown),
    TEST_WITH(a_careful_request_looks_first, setup, teardown),
    TEST_WITH(it_is_not_kept_longer_than_said, setup, teardown),
    TEST_WITH(no_more_than_allowed_are_kept, setup, teardown),
    TEST_WITH(an_identity_is_row_and_incarnation, setup, teardown),
    TEST_WITH(a_greeting_is_part_of_the_identity, setup, teardown),
    TEST_WITH(a_refused_connection_says_why, setup, teardown),
};
RUN_TESTS(tests)
