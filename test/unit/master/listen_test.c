/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets on real ports of 127.0.0.1: what is bound, kept, refused and given up.
 */
#include "test/unit/harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "master/listen.h"
#include "master/socket.h"

static struct addr
local(uint16_t port)
{
	return (struct addr){.family = AF_INET, .ip = {127, 0, 0, 1}, .port = port};
}

/* A port nobody listens on just now. */
static uint16_t
free_port(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	close(fd);
	return ntohs(sin.sin_port);
}

static bool
answers(const struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_sockaddr(a, &ss);
	int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = connect(fd, (struct sockaddr *)&ss, len) == 0;

	close(fd);
	return ok;
}

static struct listen_want
want(uint32_t number, const char *id, struct addr addr)
{
	struct listen_want w = {.number = number, .addr = addr, .backlog = 16};

	snprintf(w.id, sizeof(w.id), "%s", id);
	return w;
}

static int
set_up(void **state)
{
	*state = listens_new();
	return 0;
}

static int
tear_down(void **state)
{
	struct listens *l = *state;

	listens_free(&l);
	return 0;
}

static unsigned fresh_seen;
static uint32_t fresh_number;

static void
fresh(void *arg, const struct listen_want *w, int fd)
{
	(void)arg;
	assert_true(fd >= 0);
	fresh_seen++;
	fresh_number = w->number;
}

static unsigned
fresh_of(struct listens *l)
{
	fresh_seen = 0;
	listens_fresh(l, 0, fresh, NULL);
	return fresh_seen;
}

static void
prepared_then_committed_then_gone(void **state)
{
	struct listens *l = *state;
	struct addr a = local(free_port());
	struct listen_want w = want(3, "web", a);
	struct heritage_listen h[LISTEN_MAX];
	const char *error;

	assert_int_equal(listens_prepare(l, &w, 1, 2, &error), 1);
	assert_true(answers(&a));
	assert_int_equal(fresh_of(l), 1);
	assert_int_equal(listens_heritage(l, 1, h), 1); /* a worker started just now has it too */
	listens_commit(l);
	assert_int_equal(listens_count(l), 1);
	assert_int_equal(listens_heritage(l, 1, h), 1);
	assert_int_equal(h[0].number, 3);
	assert_string_equal(h[0].id, "web");
	assert_int_equal(listens_heritage(l, 2, h), 0); /* no socket for that slot */
	/* The whole list, not the difference: an empty one ends all. */
	assert_int_equal(listens_prepare(l, NULL, 0, 2, &error), 1);
	listens_commit(l);
	assert_true(answers(&a)); /* until every worker has turned */
	listens_withdraw(l);
	assert_false(answers(&a));
}

static void
aborted_leaves_nothing(void **state)
{
	struct listens *l = *state;
	struct addr a = local(free_port()), b = local(free_port());
	struct listen_want w[2] = {want(1, "a", a), want(2, "b", b)};
	const char *error;
	int held;

	assert_int_equal(listens_prepare(l, w, 1, 1, &error), 1);
	listens_commit(l);
	assert_int_equal(listens_prepare(l, w, 2, 1, &error), 1);
	assert_int_equal(fresh_of(l), 1);
	assert_int_equal(fresh_number, 2);
	/* A worker holds the socket still: it listens no more all the same. */
	struct heritage_listen h[LISTEN_MAX];
	assert_int_equal(listens_heritage(l, 0, h), 2);
	held = fcntl(h[1].fd, F_DUPFD_CLOEXEC, 0);
	listens_abort(l);
	assert_false(answers(&b));
	assert_true(answers(&a));
	close(held);
}

static void
a_taken_port_is_named(void **state)
{
	struct listens *l = *state;
	struct addr a = local(free_port()), b = local(free_port());
	struct listen_want w[2] = {want(1, "a", a), want(2, "web", b)};
	int other = socket_listen(&b, 4, SOCKET_SHARED); /* not even sharing gets round it */
	const char *error = "";

	assert_true(other >= 0);
	snprintf(w[1].place, sizeof(w[1].place), "conf.d/web.conf:7");
	assert_int_equal(listens_prepare(l, w, 2, 2, &error), -1);
	assert_non_null(strstr(error, "cannot bind 127.0.0.1:"));
	assert_non_null(
	    strstr(error, "Address already in use: another process listens there; listener web in "
			  "conf.d/web.conf:7"));
	assert_false(answers(&a)); /* the one that could be bound is given up with it */
	close(other);
	assert_int_equal(listens_prepare(l, w, 2, 2, &error), 1);
	assert_true(answers(&a));
}

static void
a_foreign_address_is_named(void **state)
{
	struct listens *l = *state;
	struct addr a = {.family = AF_INET, .ip = {192, 0, 2, 1}, .port = 8080};
	struct listen_want w = want(1, "web", a);
	const char *error = "";

	assert_int_equal(listens_prepare(l, &w, 1, 1, &error), -1);
	assert_non_null(strstr(error, "no interface of this host has the address; listener web"));
}

/* Another name, number or backlog is no other socket: what waits in its queue is served. */
static void
renamed_keeps_its_sockets(void **state)
{
	struct listens *l = *state;
	struct addr a = local(free_port());
	struct listen_want w = want(1, "old", a);
	struct heritage_listen before[LISTEN_MAX], after[LISTEN_MAX];
	const char *error;

	assert_int_equal(listens_prepare(l, &w, 1, 2, &error), 1);
	listens_commit(l);
	assert_int_equal(listens_heritage(l, 1, before), 1);
	assert_int_equal(listens_prepare(l, &w, 1, 2, &error), 1);
	assert_int_equal(fresh_of(l), 0); /* nothing to tell the workers */
	w = want(9, "new", a);
	w.backlog = 99;
	assert_int_equal(listens_prepare(l, &w, 1, 2, &error), 1);
	assert_int_equal(fresh_of(l), 1);
	listens_commit(l);
	listens_withdraw(l);
	assert_int_equal(listens_heritage(l, 1, after), 1);
	assert_int_equal(after[0].fd, before[0].fd);
	assert_int_equal(after[0].number, 9);
	assert_true(answers(&a));
}

static void
grown_groups_have_sockets_for_all(void **state)
{
	struct listens *l = *state;
	struct listen_want w = want(1, "web", local(free_port()));
	struct heritage_listen h[LISTEN_MAX];
	bool live[4] = {false, false, false, true};
	const char *error;

	assert_int_equal(listens_prepare(l, &w, 1, 1, &error), 1);
	listens_commit(l);
	assert_int_equal(listens_heritage(l, 3, h), 0);
	assert_int_equal(listens_grow(l, 4, &error), 1);
	assert_int_equal(listens_heritage(l, 3, h), 1);
	assert_int_equal(listens_steer(l, live, 4), 0);
	assert_true(answers(&w.addr));
	int fd = -1;
	for (unsigned i = 0; fd < 0 && i < 100; i++, usleep(1000))
		fd = accept4(h[0].fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
}

static void
wildcard_and_specific_live_together(void **state)
{
	struct listens *l = *state;
	uint16_t port = free_port();
	struct addr any = {.family = AF_INET, .port = port};
	struct listen_want w[2] = {want(1, "any", any), want(2, "local", local(port))};
	const char *error;

	assert_int_equal(listens_prepare(l, w, 2, 2, &error), 1);
	listens_commit(l);
	assert_int_equal(listens_count(l), 2);
}

static void
both_families_by_one_star_or_by_two(void **state)
{
	struct listens *l = *state;
	uint16_t port = free_port();
	struct addr six = {.family = AF_INET6, .port = port},
		    four = {.family = AF_INET, .port = port};
	struct addr loop4 = local(port);
	struct listen_want w[2] = {want(1, "six", six), want(2, "four", four)};
	const char *error;

	assert_int_equal(listens_prepare(l, w, 1, 1, &error), 1);
	assert_true(answers(&loop4)); /* dual, or IPv4 where there is no IPv6 */
	listens_abort(l);
	assert_int_equal(listens_prepare(l, w, 2, 1, &error), 1);
	assert_true(answers(&loop4));
}

static void
unix_sockets(void **state)
{
	struct listens *l = *state;
	char dir[] = "/tmp/gw-listen-XXXXXX";
	struct addr a = {.family = AF_UNIX};
	struct heritage_listen h0[LISTEN_MAX], h5[LISTEN_MAX];
	struct listen_want w;
	struct stat st;
	const char *error = "";
	int stale;

	assert_non_null(mkdtemp(dir));
	snprintf(a.path, sizeof(a.path), "%s/sock", dir);
	stale = socket_listen(&a, 1, 0);
	assert_true(stale >= 0);
	w = want(1, "unix", a);
	/* Somebody listens: not ours to take. */
	assert_int_equal(listens_prepare(l, &w, 1, 2, &error), -1);
	assert_non_null(strstr(error, "another process listens there"));
	close(stale);
	/* Left over: replaced. */
	assert_int_equal(listens_prepare(l, &w, 1, 2, &error), 1);
	listens_commit(l);
	assert_true(answers(&a));
	assert_int_equal(listens_heritage(l, 0, h0), 1);
	assert_int_equal(listens_heritage(l, 5, h5), 1);
	assert_int_equal(h0[0].fd, h5[0].fd); /* one for all slots */
	assert_int_equal(listens_prepare(l, NULL, 0, 2, &error), 1);
	listens_commit(l);
	listens_withdraw(l);
	assert_int_equal(lstat(a.path, &st), -1);
	rmdir(dir);
}

/* A file that is no socket is nobody's leftover. */
static void
a_file_in_the_way_stays(void **state)
{
	struct listens *l = *state;
	char path[] = "/tmp/gw-listen-XXXXXX";
	int fd = mkstemp(path);
	struct addr a = {.family = AF_UNIX};
	struct listen_want w;
	const char *error = "";

	snprintf(a.path, sizeof(a.path), "%s", path);
	w = want(1, "unix", a);
	assert_int_equal(listens_prepare(l, &w, 1, 1, &error), -1);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	close(fd);
}

#define CASE(f) TEST_WITH(f, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(prepared_then_committed_then_gone),
    CASE(aborted_leaves_nothing),
    CASE(a_taken_port_is_named),
    CASE(a_foreign_address_is_named),
    CASE(renamed_keeps_its_sockets),
    CASE(grown_groups_have_sockets_for_all),
    CASE(wildcard_and_specific_live_together),
    CASE(both_families_by_one_star_or_by_two),
    CASE(unix_sockets),
    CASE(a_file_in_the_way_stays),
};
RUN_TESTS(tests)
