/* SPDX-License-Identifier: Apache-2.0
 *
 * Names looked up again and again: when, how many at a time, who is told of what; and the process
 * itself against a DNS server of the test's.: upstreams change without a restart.
 */
#include "test/unit/harness.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "master/watcher/discovery.h"
#include "master/watcher/discovery_names.h"
#include "shm/base/log.h"
#include "shm/base/msg.h"
#include "shm/base/rnd.h"

/* --- the table, by a fake clock --------------------------------------------------------------- */

struct asked {
	char name[64];
	resolver_f *fn;
	void *arg;
};

struct kit {
	struct loop *loop;
	struct discovery_names *names;
	struct asked asked[200];
	unsigned n_asked;
	char told[4096];
	bool deaf;
};

static void
ask(void *self, const char *name, resolver_f *fn, void *arg)
{
	struct kit *k = self;
	struct asked *a = &k->asked[k->n_asked++];

	assert_true(k->n_asked <= ARRAY_LEN(k->asked));
	snprintf(a->name, sizeof(a->name), "%s", name);
	a->fn = fn;
	a->arg = arg;
}

static int
tell(void *self, struct str name, const struct addr *v, uint32_t n, const char *error)
{
	struct kit *k = self;
	size_t at = strlen(k->told);
	char text[128];

	if (k->deaf)
		return 0;
	at += (size_t)snprintf(k->told + at, sizeof(k->told) - at, "%.*s", STR_ARG(name));
	for (uint32_t i = 0; i < n; i++) {
		addr_ip_text(&v[i], text, sizeof(text));
		at += (size_t)snprintf(k->told + at, sizeof(k->told) - at, " %s", text);
	}
	snprintf(k->told + at, sizeof(k->told) - at, "%s%s; ", error[0] != '\0' ? " !" : "", error);
	return 1;
}

static int
kit_setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));
	struct discovery_options o = {.ask = ask, .tell = tell, .self = k};

	log_init("discovery", STDERR_FILENO, LOG_ERROR_L);
	rnd_init();
	fake_clock_at(0);
	k->loop = o.loop = loop_new();
	k->names = discovery_names_new(&o);
	*state = k;
	return 0;
}

static int
kit_teardown(void **state)
{
	struct kit *k = *state;

	discovery_names_free(&k->names);
	loop_free(&k->loop);
	free(k);
	fake_clock_stop();
	return 0;
}

static void
pass(struct kit *k, uint64_t ms)
{
	fake_clock_advance(ms);
	loop_turn(k->loop, 0);
	loop_turn(k->loop, 0);
}

static void
list(struct kit *k, bool all, const char *names, bool more)
{
	struct str rest = str_of(names), one;

	discovery_names_begin(k->names, all);
	while (names[0] != '\0' && str_cut(&rest, ' ', &one))
		discovery_names_add(k->names, one);
	discovery_names_end(k->names, more);
	pass(k, 0);
}

/* The oldest question gets these addresses, or an error. */
static void
answer(struct kit *k, const char *addresses, uint32_t ttl_s, const char *error)
{
	struct resolver_answer a = {.ttl_s = ttl_s, .error = error};
	struct addr v[8];
	struct str rest = str_of(addresses), one;
	struct asked first = k->asked[0];

	assert_true(k->n_asked > 0);
	memmove(k->asked, k->asked + 1, --k->n_asked * sizeof(*k->asked));
	while (addresses[0] != '\0' && str_cut(&rest, ' ', &one))
		assert_int_equal(addr_ip(one, &v[a.n++]), 1);
	a.v = v;
	k->told[0] = '\0';
	first.fn(first.arg, &a);
	pass(k, 0);
}

static void
an_answer_is_asked_again_when_it_is_old(void **state)
{
	struct kit *k = *state;

	list(k, true, "a", false);
	assert_int_equal(k->n_asked, 1);
	assert_string_equal(k->asked[0].name, "a");
	answer(k, "10.0.0.1 10.0.0.2", 7, NULL);
	assert_string_equal(k->told, "a 10.0.0.1 10.0.0.2; ");
	pass(k, 6990);
	assert_int_equal(k->n_asked, 0);
	pass(k, 20);
	assert_int_equal(k->n_asked, 1);
	answer(k, "10.0.0.1 10.0.0.2", 0, NULL);
	assert_string_equal(k->told, ""); /* the same: nobody is told */
	pass(k, 990);
	assert_int_equal(k->n_asked, 0); /* a TTL of 0 is a second */
	pass(k, 20);
	answer(k, "10.0.0.3", 86400, NULL);
	assert_string_equal(k->told, "a 10.0.0.3; ");
	pass(k, 29990);
	assert_int_equal(k->n_asked, 0);
	pass(k, 20);
	assert_int_equal(k->n_asked, 1); /* and a day is half a minute */
	answer(k, "10.0.0.3", 1, NULL);
}

static void
a_failure_leaves_the_last_good_answer(void **state)
{
	struct kit *k = *state;
	uint64_t waited = 0;

	list(k, true, "a b", false);
	answer(k, "10.0.0.1", 1, NULL);
	answer(k, "", 0, "no such name");
	assert_string_equal(k->told, "b !no such name; ");
	list(k, false, "a", false);
	pass(k, 1010);
	answer(k, "", 0, "timed out");
	assert_string_equal(k->told, "a 10.0.0.1 !timed out; ");
	/* Later and later, told once. */
	for (unsigned i = 0; i < 10; i++) {
		for (waited = 0; k->n_asked == 0; waited += 10)
			pass(k, 10);
		assert_true(waited >= 990 && waited <= 30010);
		answer(k, "", 0, "timed out");
		assert_string_equal(k->told, "");
	}
	assert_true(waited > 20000);
	for (waited = 0; k->n_asked == 0; waited += 10)
		pass(k, 10);
	answer(k, "10.0.0.1", 1, NULL);
	assert_string_equal(k->told, "a 10.0.0.1; ");
}

static void
a_new_keeper_is_told_everything(void **state)
{
	struct kit *k = *state;

	list(k, true, "a b", false);
	answer(k, "10.0.0.1", 30, NULL);
	answer(k, "10.0.0.2", 30, NULL);
	k->told[0] = '\0';
	list(k, false, "a b c", false);
	assert_string_equal(k->told, "");
	assert_int_equal(k->n_asked, 1); /* c alone */
	/* It died in the middle of its list; the next one begins anew. */
	list(k, false, "x y", true);
	k->told[0] = '\0';
	list(k, true, "b", true);
	assert_string_equal(k->told, "");
	list(k, false, "c", false);
	assert_string_equal(k->told, "b 10.0.0.2; ");
	answer(k, "10.0.0.3", 30, NULL);
	assert_string_equal(k->told, "c 10.0.0.3; ");
	/* x and y are in no list any more, and their answers concern nobody. */
	answer(k, "10.0.0.4", 30, NULL);
	answer(k, "10.0.0.5", 30, NULL);
	assert_string_equal(k->told, "");
	pass(k, 30010);
	assert_int_equal(k->n_asked, 2);
	answer(k, "10.0.0.2", 30, NULL);
	answer(k, "10.0.0.3", 30, NULL);
}

static void
only_so_many_at_a_time(void **state)
{
	struct kit *k = *state;
	char name[16];

	discovery_names_begin(k->names, true);
	for (unsigned i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "h%u", i);
		discovery_names_add(k->names, str_of(name));
	}
	discovery_names_end(k->names, false);
	pass(k, 0);
	assert_int_equal(k->n_asked, DISCOVERY_FLIGHT);
	for (unsigned i = 0; i < 150; i++)
		answer(k, "10.0.0.1", 30, NULL);
	assert_int_equal(k->n_asked, 0);
}

static void
nobody_listens_for_a_while(void **state)
{
	struct kit *k = *state;

	k->deaf = true;
	list(k, true, "a", false);
	answer(k, "10.0.0.1", 30, NULL);
	pass(k, 60);
	assert_string_equal(k->told, "");
	k->deaf = false;
	pass(k, 60);
	assert_string_equal(k->told, "a 10.0.0.1; ");
}

/* --- the process ------------------------------------------------------------------------------ */

struct dns {
	int fd;
	uint8_t last; /* of the one address it gives */
	bool silent;
	unsigned asked;
};

/* "one.test": an A record that lives a second; everything else does not exist. */
static void
dns_answer(struct dns *d)
{
	static const uint8_t one[] = "\3one\4test";
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t q[512], record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 0, 0, d->last};
	ssize_t n = recvfrom(d->fd, q, sizeof(q), 0, (struct sockaddr *)&from, &len);
	size_t end = 12 + sizeof(one) + 4;
	bool known;

	if (n < 12 + 5 || d->silent)
		return;
	d->asked++;
	known = (size_t)n >= end && memcmp(q + 12, one, sizeof(one)) == 0;
	for (end = 12; end < (size_t)n && q[end] != 0; end += q[end] + 1u)
		;
	end += 5;
	q[2] = 0x81;
	q[3] = known ? 0x80 : 0x83; /* NXDOMAIN */
	memset(q + 6, 0, 6);
	if (known && q[end - 3] == 1) {
		q[7] = 1;
		memcpy(q + end, record, sizeof(record));
		end += sizeof(record);
	}
	assert_int_equal(sendto(d->fd, q, end, 0, (struct sockaddr *)&from, len), (ssize_t)end);
}

struct fixture {
	struct dns dns;
	struct heritage h;
	int chan, line;
	pid_t pid;
	struct msg m;
	char text[512];
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int chan[2], line[2];
	char server[40];

	f->dns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(f->dns.fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(f->dns.fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(server, sizeof(server), "127.0.0.1:%u", ntohs(sin.sin_port));
	assert_int_equal(msg_pair(chan), 1);
	assert_int_equal(msg_pair(line), 1);
	f->h = (struct heritage){.kind = PROC_DISCOVERY,
	    .master = getpid(),
	    .chan = chan[1],
	    .mailbox = -1,
	    .log_fd = STDERR_FILENO,
	    .log_level = LOG_ERROR_L};
	for (unsigned i = 0; i < REGION_COUNT; i++)
		f->h.region_fd[i] = -1;
	f->h.line[LINE_DISCOVERY_KEEPER] = line[1];
	f->chan = chan[0];
	f->line = line[0];
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		log_init("discovery", STDERR_FILENO, LOG_ERROR_L);
		setenv("GATEWAY_TEST_DNS", server, 1);
		_exit(discovery_main(&f->h));
	}
	close(chan[1]);
	close(line[1]);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	int status;

	kill(f->pid, SIGTERM);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(f->chan);
	close(f->line);
	close(f->dns.fd);
	free(f);
	return 0;
}

/* The next RESOLVED as "name address ... !error"; the server works meanwhile. */
static const char *
resolved(struct fixture *f)
{
	struct pollfd p[2] = {
	    {.fd = f->line, .events = POLLIN}, {.fd = f->dns.fd, .events = POLLIN}};
	struct str part;
	uint32_t n;
	size_t at;

	while (msg_recv(f->line, &f->m) != 1) {
		if (poll(p, 2, 20000) <= 0)
			fail_msg("no RESOLVED came");
		if (p[1].revents != 0)
			dns_answer(&f->dns);
	}
	assert_int_equal(f->m.type, MSG_RESOLVED);
	part = msg_str(&f->m);
	at = (size_t)snprintf(f->text, sizeof(f->text), "%.*s", STR_ARG(part));
	n = msg_u32(&f->m);
	for (uint32_t i = 0; i < n; i++) {
		part = msg_str(&f->m);
		at += (size_t)snprintf(f->text + at, sizeof(f->text) - at, " %.*s", STR_ARG(part));
	}
	part = msg_str(&f->m);
	snprintf(f->text + at, sizeof(f->text) - at, " !%.*s", STR_ARG(part));
	assert_int_equal(msg_end(&f->m), 1);
	return f->text;
}

static void
resolve(struct fixture *f, bool all, const char *name)
{
	msg_begin(&f->m, MSG_RESOLVE, 0);
	msg_put_u32(&f->m, all);
	msg_put_u32(&f->m, 0);
	msg_put_u32(&f->m, 1);
	msg_put_str(&f->m, str_of(name));
	assert_int_equal(msg_send(f->line, &f->m), 1);
}

static void
a_changed_answer_is_followed(void **state)
{
	struct fixture *f = *state;

	f->dns.last = 1;
	assert_string_equal(resolved(f), " !"); /* it wants the list */
	resolve(f, true, "one.test");
	assert_string_equal(resolved(f), "one.test 10.0.0.1 !");
	f->dns.last = 2;
	assert_string_equal(resolved(f), "one.test 10.0.0.2 !");
	assert_true(f->dns.asked >= 4); /* A and AAAA, twice */
	resolve(f, false, "nobody.test");
	assert_non_null(strstr(resolved(f), "nobody.test !"));
	assert_true(strlen(f->text) > strlen("nobody.test !"));
}

static void
the_hosts_file_is_read(void **state)
{
	struct fixture *f = *state;

	if (access("/etc/hosts", R_OK) != 0)
		skip();
	assert_string_equal(resolved(f), " !");
	resolve(f, true, "localhost");
	assert_non_null(strstr(resolved(f), "localhost 127.0.0.1"));
	assert_int_equal(f->dns.asked, 0);
}

static void
a_spoilt_message_does_no_harm(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(resolved(f), " !");
	msg_begin(&f->m, MSG_RESOLVE, 0);
	msg_put_u32(&f->m, 1);
	msg_put_u32(&f->m, 0);
	msg_put_u32(&f->m, 40000);
	msg_put_str(&f->m, STR("one.test"));
	assert_int_equal(msg_send(f->line, &f->m), 1);
	f->dns.last = 9;
	resolve(f, true, "one.test");
	assert_string_equal(resolved(f), "one.test 10.0.0.9 !");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(an_answer_is_asked_again_when_it_is_old, kit_setup, kit_teardown),
    TEST_WITH(a_failure_leaves_the_last_good_answer, kit_setup, kit_teardown),
    TEST_WITH(a_new_keeper_is_told_everything, kit_setup, kit_teardown),
    TEST_WITH(only_so_many_at_a_time, kit_setup, kit_teardown),
    TEST_WITH(nobody_listens_for_a_while, kit_setup, kit_teardown),
    TEST_WITH(a_changed_answer_is_followed, setup, teardown),
    TEST_WITH(the_hosts_file_is_read, setup, teardown),
    TEST_WITH(a_spoilt_message_does_no_harm, setup, teardown),
};
RUN_TESTS(tests)
