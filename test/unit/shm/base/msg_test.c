/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed messages: what is put comes out in order, and nothing a peer sends does more than close its
 * channel.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "shm/base/msg.h"

static struct msg out, in;

struct channel {
	int a, b;
};

static int
start(void **state)
{
	static struct channel c;
	int fds[2];

	if (msg_pair(fds) < 0)
		return -1;
	c = (struct channel){fds[0], fds[1]};
	*state = &c;
	return 0;
}

static int
finish(void **state)
{
	struct channel *c = *state;

	close(c->a);
	close(c->b);
	return 0;
}

/* The lowest free descriptor: the same before and after means that none leaked. */
static int
next_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

static void
there_and_back(void **state)
{
	struct channel *c = *state;
	struct str big;

	msg_begin(&out, MSG_APPLIED, 77);
	msg_put_u32(&out, 4000000000u);
	msg_put_u64(&out, UINT64_MAX - 5);
	msg_put_str(&out, STR("text\0with NUL"));
	msg_put_str(&out, STR_NONE);
	assert_int_equal(msg_send(c->a, &out), 1);
	assert_int_equal(msg_recv(c->b, &in), 1);
	assert_int_equal(in.type, MSG_APPLIED);
	assert_int_equal(in.id, 77);
	assert_int_equal(msg_u32(&in), 4000000000u);
	assert_true(msg_u64(&in) == UINT64_MAX - 5);
	assert_str(msg_str(&in), "text\0with NUL");
	assert_int_equal(msg_str(&in).n, 0);
	assert_int_equal(msg_end(&in), 1);
	assert_int_equal(msg_recv(c->b, &in), 0);

	msg_begin(&out, MSG_READY, 1); /* the largest that fits */
	big = str_n(in.data, MSG_MAX - 4);
	memset(in.data, 'x', MSG_MAX);
	msg_put_str(&out, big);
	assert_int_equal(msg_send(c->b, &out), 1);
	assert_int_equal(msg_recv(c->a, &in), 1);
	assert_int_equal(msg_str(&in).n, MSG_MAX - 4);
	assert_int_equal(msg_end(&in), 1);
}

static void
too_much_to_put(void **state)
{
	struct channel *c = *state;

	msg_begin(&out, MSG_READY, 1);
	msg_put_str(&out, str_n(in.data, MSG_MAX - 3));
	assert_true(out.bad);
	assert_int_equal(msg_send(c->a, &out), -1);
	msg_begin(&out, MSG_READY, 1);
	msg_put_str(&out, str_n(in.data, SIZE_MAX));
	assert_int_equal(msg_send(c->a, &out), -1);
	msg_begin(&out, MSG_READY, 1);
	for (int i = 0; i <= MSG_FDS; i++)
		msg_put_fd(&out, STDERR_FILENO);
	assert_int_equal(msg_send(c->a, &out), -1);
	msg_begin(&out, MSG_READY, 1);
	msg_put_fd(&out, -1);
	assert_int_equal(msg_send(c->a, &out), -1);
	msg_begin(&out, MSG_NONE, 1);
	assert_int_equal(msg_send(c->a, &out), -1);
	msg_begin(&out, MSG_TYPE_COUNT, 1);
	assert_int_equal(msg_send(c->a, &out), -1);
	assert_int_equal(msg_recv(c->b, &in), 0); /* nothing of all this was sent */
}

static void
descriptors(void **state)
{
	struct channel *c = *state;
	int before = next_fd(), fds[2], got, free_fd;
	char x;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	msg_begin(&out, MSG_LISTEN, 3);
	for (int i = 0; i < MSG_FDS; i++)
		msg_put_fd(&out, fds[1]);
	assert_int_equal(msg_send(c->a, &out), 1);
	msg_drop(&out); /* borrowed: stays open */
	free_fd = next_fd();
	assert_int_equal(msg_recv(c->b, &in), 1);
	assert_int_equal(in.n_fds, MSG_FDS);
	got = msg_fd(&in);
	assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(got, "!", 1), 1);
	assert_int_equal(read(fds[0], &x, 1), 1);
	assert_int_equal(msg_end(&in), -1); /* fifteen were not taken: closed */
	close(got);
	assert_int_equal(next_fd(), free_fd);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(next_fd(), before);
}

static void
more_descriptors_than_sent(void **state)
{
	struct channel *c = *state;

	msg_begin(&out, MSG_LISTEN, 3);
	msg_put_fd(&out, STDERR_FILENO);
	assert_int_equal(msg_send(c->a, &out), 1);
	assert_int_equal(msg_recv(c->b, &in), 1);
	close(msg_fd(&in));
	assert_int_equal(msg_fd(&in), -1);
	assert_int_equal(msg_end(&in), -1);
}

static void
reading_past_the_end(void **state)
{
	struct channel *c = *state;

	for (int i = 0; i < 4; i++) {
		msg_begin(&out, MSG_READY, 1);
		msg_put_u32(&out, 0xffffffffu); /* as a length: far too long */
		assert_int_equal(msg_send(c->a, &out), 1);
	}
	assert_int_equal(msg_recv(c->b, &in), 1);
	assert_null(msg_str(&in).p);
	assert_int_equal(msg_u32(&in), 0); /* bad stays bad */
	assert_int_equal(msg_end(&in), -1);
	assert_int_equal(msg_recv(c->b, &in), 1);
	assert_int_equal(msg_u64(&in), 0);
	assert_int_equal(msg_end(&in), -1);
	assert_int_equal(msg_recv(c->b, &in), 1);
	assert_int_equal(msg_end(&in), -1); /* not consumed */
	assert_int_equal(msg_recv(c->b, &in), 1);
	assert_int_equal(msg_u32(&in), 0xffffffffu);
	assert_int_equal(msg_end(&in), 1);
}

static void
full_channel(void **state)
{
	struct channel *c = *state;
	unsigned sent = 0, got = 0;
	int rc;

	msg_begin(&out, MSG_BELL, 0);
	msg_put_str(&out, str_n(in.data, 1000));
	while ((rc = msg_send(c->a, &out)) == 1)
		assert_true(++sent < 100000);
	assert_int_equal(rc, 0);
	assert_int_equal(msg_send_wait(c->a, &out, 1), -1);
	while (msg_recv(c->b, &in) == 1)
		got++;
	assert_int_equal(got, sent);
	assert_int_equal(msg_send(c->a, &out), 1);
	assert_int_equal(msg_send_wait(c->a, &out, 1), 1);
}

static void
peer_gone(void **state)
{
	struct channel *c = *state;
	int fds[2];

	(void)c;
	assert_int_equal(msg_pair(fds), 1);
	close(fds[1]);
	msg_begin(&out, MSG_READY, 0);
	assert_int_equal(msg_send(fds[0], &out), -1); /* and no SIGPIPE */
	assert_int_equal(msg_recv(fds[0], &in), -1);
	close(fds[0]);
	assert_int_equal(msg_recv(-1, &in), -1);
}

struct raw {
	uint16_t version, type;
	uint32_t id, len, n_fds;
	char data[8];
};

static const struct raw_case {
	struct raw head;
	size_t size;
} hostile[] = {
    {{MSG_VERSION + 1, MSG_READY, 0, 0, 0, ""}, 16}, /* foreign version */
    {{MSG_VERSION, 0, 0, 0, 0, ""}, 16},             /* no type */
    {{MSG_VERSION, MSG_TYPE_COUNT, 0, 0, 0, ""}, 16},
    {{MSG_VERSION, 0xffff, 0, 0, 0, ""}, 16},
    {{MSG_VERSION, MSG_READY, 0, 4, 0, ""}, 16}, /* announces more than there is */
    {{MSG_VERSION, MSG_READY, 0, 0, 0, ""}, 24}, /* and less */
    {{MSG_VERSION, MSG_READY, 0, 0xfffffff0u, 0, ""}, 16},
    {{MSG_VERSION, MSG_READY, 0, 0, 1, ""}, 16}, /* a descriptor that is not there */
    {{MSG_VERSION, MSG_READY, 0, 0, 0, ""}, 15},
    {{MSG_VERSION, MSG_READY, 0, 0, 0, ""}, 1},
};

static void
malformed(void **state)
{
	struct channel *c = *state;
	char huge[MSG_MAX + 100];

	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		assert_int_equal(send(c->a, &hostile[i].head, hostile[i].size, 0), hostile[i].size);
		assert_int_equal(msg_recv(c->b, &in), -1);
	}
	memset(huge, 0, sizeof(huge));
	memcpy(huge, &(struct raw){MSG_VERSION, MSG_READY, 0, MSG_MAX, 0, ""}, 16);
	assert_int_equal(send(c->a, huge, sizeof(huge), 0), sizeof(huge));
	assert_int_equal(msg_recv(c->b, &in), -1); /* cut */
	msg_begin(&out, MSG_READY, 5);
	assert_int_equal(msg_send(c->a, &out), 1); /* what follows is read as ever */
	assert_int_equal(msg_recv(c->b, &in), 1);
	assert_int_equal(msg_end(&in), 1);
}

/* More descriptors than we take, and descriptors with a message that announces none. */
static void
foreign_descriptors(void **state)
{
	struct channel *c = *state;
	static const int counts[] = {1, MSG_FDS + 1, 200};
	int before = next_fd();

	for (size_t k = 0; k < ARRAY_LEN(counts); k++) {
		struct raw head = {MSG_VERSION, MSG_READY, 0, 0, 0, ""};
		struct iovec iov = {&head, 16};
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(int) * 200)];
		} control;
		struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
		size_t n = sizeof(int) * (size_t)counts[k];

		memset(&control, 0, sizeof(control));
		mh.msg_controllen = CMSG_SPACE(n);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(n);
		for (int i = 0; i < counts[k]; i++)
			memcpy(CMSG_DATA(&control.align) + (size_t)i * sizeof(int),
			    &(int){STDERR_FILENO}, sizeof(int));
		assert_int_equal(sendmsg(c->a, &mh, 0), 16);
		assert_int_equal(msg_recv(c->b, &in), -1);
		assert_int_equal(next_fd(), before);
	}
}

static void
names(void **state)
{
	(void)state;
	assert_string_equal(msg_type_name(MSG_READY), "READY");
	assert_string_equal(msg_type_name(MSG_BELL), "BELL");
	assert_string_equal(msg_type_name(MSG_TYPE_COUNT), "unknown");
	assert_string_equal(msg_type_name((enum msg_type) - 1), "unknown");
	for (int t = 0; t < MSG_TYPE_COUNT; t++)
		assert_non_null(msg_type_name((enum msg_type)t));
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(there_and_back, start, finish),
    TEST_WITH(too_much_to_put, start, finish),
    TEST_WITH(descriptors, start, finish),
    TEST_WITH(more_descriptors_than_sent, start, finish),
    TEST_WITH(reading_past_the_end, start, finish),
    TEST_WITH(full_channel, start, finish),
    TEST_WITH(peer_gone, start, finish),
    TEST_WITH(malformed, start, finish),
    TEST_WITH(foreign_descriptors, start, finish),
    TEST(names),
};
RUN_TESTS(tests)
