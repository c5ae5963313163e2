/* SPDX-License-Identifier: Apache-2.0
 *
 * The error log's lines: whole, single, safe, never waiting.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include <errno.h>
#include <fcntl.h>

#include "shm/base/log.h"

static struct {
	int read_fd, write_fd;
	char line[70000];
} log_pipe;

static int
start(void **state)
{
	int fds[2];

	(void)state;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	log_pipe.read_fd = fds[0];
	log_pipe.write_fd = fds[1];
	fake_clock_at(0);
	log_init("tester", fds[1], LOG_INFO_L);
	return 0;
}

static int
finish(void **state)
{
	(void)state;
	log_set_fd(STDERR_FILENO);
	close(log_pipe.read_fd);
	close(log_pipe.write_fd);
	fake_clock_stop();
	return 0;
}

/* What was written, without the prefix, which is checked. */
static struct str
written(const char *level)
{
	ssize_t n = read(log_pipe.read_fd, log_pipe.line, sizeof(log_pipe.line));
	char prefix[128];

	if (n <= 0)
		return STR_NONE;
	snprintf(prefix, sizeof(prefix), "2026-11-21T02:00:00.000Z %s tester[%d] ", level,
	    (int)getpid());
	assert_true(str_starts(str_n(log_pipe.line, (size_t)n), str_of(prefix)));
	return str_n(log_pipe.line + strlen(prefix), (size_t)n - strlen(prefix));
}

static void
lines_and_levels(void **state)
{
	(void)state;
	log_error("service %s: %d left", "billing", 3);
	assert_str(written("error"), "service billing: 3 left\n");
	log_warn("w");
	assert_str(written("warn"), "w\n");
	log_info("%s", "");
	assert_str(written("info"), "\n");
	log_debug("unseen");
	assert_null(written("debug").p);
	log_set_level(LOG_DEBUG_L);
	assert_int_equal(log_get_level(), LOG_DEBUG_L);
	log_debug("seen");
	assert_str(written("debug"), "seen\n");
	log_set_level(LOG_ERROR_L);
	log_warn("unseen");
	assert_null(written("warn").p);
	assert_null(log_level_names[LOG_DEBUG_L + 1]);
}

static void
hostile_content(void **state)
{
	(void)state;
	log_info("a\nb\r\t\x1b[31m\x7f path=\"%s\"", "x\xff\xc2\x9b gr\xc3\xbcn \xf0\x9f\x98\x80");
	assert_str(written("info"),
	    "a\\x0ab\\x0d\\x09\\x1b[31m\\x7f path=\"x\\xff\\xc2\\x9b gr\xc3\xbcn "
	    "\xf0\x9f\x98\x80\"\n");
}

static void
errno_is_kept(void **state)
{
	(void)state;
	errno = ENOENT;
	log_error("%m");
	assert_int_equal(errno, ENOENT);
	assert_str(written("error"), "No such file or directory\n");
}

static void
long_lines_are_cut(void **state)
{
	static char big[10000];
	struct str s;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	log_info("%s", big);
	s = written("info");
	assert_true(str_ends(s, STR("xxx...\n")));
	assert_true((size_t)(s.p + s.n - log_pipe.line) <= 4096);
	memset(big, '\x01', sizeof(big) - 1); /* four octets each when escaped */
	log_info("%s", big);
	s = written("info");
	assert_true(str_ends(s, STR("\\x01...\n")));
	assert_true((size_t)(s.p + s.n - log_pipe.line) <= 4096);
}

/* A full pipe does not block, whether the descriptor would or not (a test that hangs has failed).
 */
static void
full_pipe(void **state)
{
	uint64_t dropped = log_dropped();
	unsigned i;

	(void)state;
	for (i = 0; i < 100000 && log_dropped() == dropped; i++)
		log_info("%0200u", i);
	assert_int_equal(log_dropped(), dropped + 1);
	fcntl(log_pipe.write_fd, F_SETFL, O_NONBLOCK);
	log_set_fd(log_pipe.write_fd);
	for (i = 0; i < 100000 && log_dropped() < dropped + 2; i++)
		log_info("%0200u", i);
	assert_int_equal(log_dropped(), dropped + 2);
	while (read(log_pipe.read_fd, log_pipe.line, sizeof(log_pipe.line)) > 0)
		continue;
	log_info("again");
	assert_str(written("info"), "again\n");
	log_set_fd(-1);
	log_info("nowhere");
	assert_int_equal(log_dropped(), dropped + 3);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(lines_and_levels, start, finish),
    TEST_WITH(hostile_content, start, finish),
    TEST_WITH(errno_is_kept, start, finish),
    TEST_WITH(long_lines_are_cut, start, finish),
    TEST_WITH(full_pipe, start, finish),
};
RUN_TESTS(tests)
