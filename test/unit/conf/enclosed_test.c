/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts that go with a message: what is short goes in it, what is long beside it, nothing is told
 * from what cannot be read.
 */
#include <unistd.h>

#include "conf/enclosed.h"
#include "test/unit/harness.h"

static struct msg m;

/* Through a line. Octets, and whether they came mapped. */
static void
goes_over(size_t n, bool mapped)
{
	char *text = malloc(n + 1);
	const char *error = NULL;
	struct enclosed e;
	int pair[2], fd;

	memset(text, 'x', n);
	assert_int_equal(msg_pair(pair), 1);
	msg_begin(&m, MSG_PUBLISH, 7);
	assert_int_equal(enclosed_put(&m, str_n(text, n), &fd, &error), 1);
	assert_int_equal(fd >= 0, mapped);
	assert_int_equal(msg_send(pair[0], &m), 1);
	if (fd >= 0)
		close(fd);
	assert_int_equal(msg_recv(pair[1], &m), 1);
	assert_int_equal(enclosed_take(&m, &e, &error), 1);
	assert_int_equal(msg_end(&m), 1);
	memset(m.data, 0, sizeof(m.data)); /* it is not the message's any more */
	assert_int_equal(e.mapped, mapped);
	assert_true(str_eq(e.text, str_n(text, n)));
	enclosed_free(&e);
	assert_null(e.text.p);
	enclosed_free(&e);
	free(text);
	close(pair[0]);
	close(pair[1]);
}

static void
short_ones_need_no_descriptor(void **state UNUSED)
{
	goes_over(1, false);
	goes_over(ENCLOSED_SHORT, false);
	goes_over(ENCLOSED_SHORT + 1, true);
	goes_over(300000, true);
}

static void
none_is_told_from_one_that_cannot_be_read(void **state UNUSED)
{
	const char *error = NULL;
	struct enclosed e;
	int pair[2], fd;

	assert_int_equal(msg_pair(pair), 1);
	msg_begin(&m, MSG_PUBLISH, 7);
	assert_int_equal(enclosed_put(&m, STR_NONE, &fd, &error), 1);
	assert_int_equal(fd, -1);
	assert_int_equal(msg_send(pair[0], &m), 1);
	assert_int_equal(msg_recv(pair[1], &m), 1);
	assert_int_equal(enclosed_take(&m, &e, &error), 0);
	assert_int_equal(msg_end(&m), 1);
	enclosed_free(&e);
	/* something else than a sealed memfd */
	msg_begin(&m, MSG_PUBLISH, 8);
	msg_put_str(&m, STR(""));
	msg_put_fd(&m, pair[0]);
	assert_int_equal(msg_send(pair[0], &m), 1);
	assert_int_equal(msg_recv(pair[1], &m), 1);
	assert_int_equal(enclosed_take(&m, &e, &error), -1);
	assert_non_null(error);
	assert_null(e.text.p);
	assert_int_equal(msg_end(&m), 1);
	close(pair[0]);
	close(pair[1]);
}

static const struct CMUnitTest tests[] = {
    TEST(short_ones_need_no_descriptor),
    TEST(none_is_told_from_one_that_cannot_be_read),
};

RUN_TESTS(tests)
