/* SPDX-License-Identifier: Apache-2.0
 *
 * The steering program, run by a small interpreter for what it must return, and by the kernel for
 * where connections go.
 */
#include "test/unit/harness.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "master/socket.h"
#include "master/steer.h"

/* What the program says when the kernel's random number is `random`. */
static uint32_t
run(const struct sock_filter *code, unsigned n, uint32_t random)
{
	uint32_t a = 0;

	for (unsigned pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &code[pc];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_int_equal(i->k, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM));
			a = random;
			break;
		case BPF_ALU | BPF_MOD | BPF_K:
			if (i->k == 0)
				fail_msg("division by zero");
			else
				a %= i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			fail_msg("instruction %x", i->code);
		}
	}
	fail_msg("the program has no end");
	return 0;
}

/* How often each slot is named over many numbers in a row. */
static void
count(const bool *live, unsigned n, unsigned hits[SLOT_MAX])
{
	struct sock_filter code[STEER_MAX];
	unsigned length = steer_program(live, n, code);

	assert_in_range(length, 1, STEER_MAX);
	memset(hits, 0, SLOT_MAX * sizeof(*hits));
	for (uint32_t r = 0; r < 6720; r++) /* divisible by all counts below */
		hits[run(code, length, r)]++;
}

static void
all_live_slots_have_equal_shares(void **state)
{
	bool live[8] = {true, false, true, true, false, false, false, true};
	unsigned hits[SLOT_MAX];

	(void)state;
	count(live, 8, hits);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(hits[i], live[i] ? 6720 / 4 : 0);
}

static void
one_slot_takes_all(void **state)
{
	bool live[4] = {false, false, true, false};
	unsigned hits[SLOT_MAX];

	(void)state;
	count(live, 4, hits);
	assert_int_equal(hits[2], 6720);
}

static void
with_nobody_there_they_wait_everywhere(void **state)
{
	bool live[4] = {false};
	unsigned hits[SLOT_MAX];

	(void)state;
	count(live, 4, hits);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(hits[i], 6720 / 4);
}

static void
the_most_slots_fit(void **state)
{
	bool live[SLOT_MAX];
	unsigned hits[SLOT_MAX];

	(void)state;
	memset(live, true, sizeof(live));
	count(live, SLOT_MAX, hits);
	for (unsigned i = 0; i < SLOT_MAX; i++)
		assert_int_equal(hits[i], 6720 / SLOT_MAX);
}

static int
group(struct addr *a, int fds[4])
{
	struct sockaddr_in sin = {0};
	socklen_t len = sizeof(sin);

	*a = (struct addr){.family = AF_INET, .ip = {127, 0, 0, 1}};
	for (unsigned i = 0; i < 4; i++) {
		fds[i] = socket_listen(a, 64, SOCKET_SHARED);
		if (fds[i] < 0)
			return -1;
		if (i == 0 && getsockname(fds[0], (struct sockaddr *)&sin, &len) == 0)
			a->port = ntohs(sin.sin_port);
	}
	return 1;
}

static int
connect_to(const struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_sockaddr(a, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static void
the_kernel_does_as_it_says(void **state)
{
	bool live[4] = {false, true, false, true};
	struct addr a;
	int fds[4] = {-1, -1, -1, -1}, client[40];
	unsigned got[4] = {0};

	(void)state;
	assert_int_equal(group(&a, fds), 1);
	assert_int_equal(steer_attach(fds[0], live, 4), 1);
	for (unsigned i = 0; i < ARRAY_LEN(client); i++)
		client[i] = connect_to(&a);
	for (unsigned i = 0; i < 4; i++) {
		int fd;

		while ((fd = accept4(fds[i], NULL, NULL, SOCK_CLOEXEC)) >= 0) {
			got[i]++;
			close(fd);
		}
	}
	assert_int_equal(got[0] + got[2], 0);
	assert_int_equal(got[1] + got[3], ARRAY_LEN(client));
	/* One more program replaces the one before. */
	live[1] = false;
	assert_int_equal(steer_attach(fds[2], live, 4), 1);
	for (unsigned i = 0; i < ARRAY_LEN(client); i++) {
		struct pollfd p = {.fd = fds[3], .events = POLLIN};
		int fd;

		close(client[i]);
		client[i] = connect_to(&a);
		assert_int_equal(poll(&p, 1, 1000), 1);
		fd = accept4(fds[3], NULL, NULL, SOCK_CLOEXEC);
		assert_true(fd >= 0);
		close(fd);
		close(client[i]);
	}
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
}

static const struct CMUnitTest tests[] = {
    TEST(all_live_slots_have_equal_shares),
    TEST(one_slot_takes_all),
    TEST(with_nobody_there_they_wait_everywhere),
    TEST(the_most_slots_fit),
    TEST(the_kernel_does_as_it_says),
};
RUN_TESTS(tests)
