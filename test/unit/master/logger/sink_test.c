/* SPDX-License-Identifier: Apache-2.0
 *
 * Where log lines end: whole lines whatever is in them, nothing that blocks, nothing lost without
 * being counted.
 */
#include "test/unit/harness.h"

#include <errno.h>
#include <fcntl.h>

#include "master/logger/sink.h"

static char path[64];

static int
set_up(void **state)
{
	struct sink *s = calloc(1, sizeof(*s));
	int fd;

	strcpy(path, "/tmp/gw-sink-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	sink_init(s, str_of(path));
	assert_int_equal(sink_open(s), 1);
	*state = s;
	return 0;
}

static int
tear_down(void **state)
{
	struct sink *s = *state;

	sink_fini(s);
	free(s);
	unlink(path);
	return 0;
}

static const char *
content(void)
{
	static char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void
lines_are_lines(void **state)
{
	struct sink *s = *state;

	assert_true(sink_line(s, STR("{\"a\":1}")));
	assert_true(sink_line(s, STR("has one\n")));
	assert_true(sink_line(s, STR("two\nin\rone\x1b[31m\x7f")));
	assert_true(sink_line(s, STR("")));
	assert_string_equal(content(), ""); /* gathered */
	assert_int_equal(sink_flush(s), 1);
	assert_string_equal(content(), "{\"a\":1}\nhas one\ntwo in one [31m \n\n");
}

static void
text_keeps_its_newlines(void **state)
{
	struct sink *s = *state;

	assert_int_equal(sink_text(s, STR("one\ntwo\t\x01\n")), 10);
	assert_int_equal(sink_flush(s), 1);
	assert_string_equal(content(), "one\ntwo  \n");
}

static void
opened_again_it_is_another_file(void **state)
{
	struct sink *s = *state;
	char moved[80];

	assert_true(sink_line(s, STR("before")));
	assert_int_equal(sink_flush(s), 1);
	snprintf(moved, sizeof(moved), "%s.1", path);
	assert_int_equal(rename(path, moved), 0);
	assert_true(sink_line(s, STR("still before")));
	assert_int_equal(sink_flush(s), 1);
	assert_int_equal(sink_open(s), 1);
	assert_true(sink_line(s, STR("after")));
	assert_int_equal(sink_flush(s), 1);
	assert_string_equal(content(), "after\n");
	unlink(moved);
}

static void
what_cannot_be_opened_leaves_the_old(void **state)
{
	struct sink *s = *state;

	snprintf(s->path, sizeof(s->path), "/nonexistent/x");
	assert_int_equal(sink_open(s), -1);
	assert_true(sink_line(s, STR("goes on")));
	assert_int_equal(sink_flush(s), 1);
	assert_string_equal(content(), "goes on\n");
}

static void
a_full_sink_says_so(void **state)
{
	static char big[SINK_ROOM];
	struct sink *s = *state;

	memset(big, 'x', sizeof(big));
	assert_false(sink_line(s, str_n(big, sizeof(big)))); /* no room for its newline */
	assert_true(sink_line(s, str_n(big, sizeof(big) - 1)));
	assert_false(sink_line(s, STR("more")));
	assert_int_equal(sink_text(s, STR("more")), 0);
	assert_int_equal(sink_flush(s), 1);
	assert_true(sink_line(s, STR("more")));
}

/* A reader that stopped reading: the sink is busy, and nobody waits. Then it goes on where it was.
 */
static void
a_pipe_nobody_reads(void **state)
{
	struct sink s;
	char part[65536];
	int pair[2], fill;
	size_t total = 0;
	ssize_t n;

	(void)state;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	fill = fcntl(pair[1], F_GETPIPE_SZ);
	sink_init(&s, STR("stdout"));
	s.fd = pair[1];
	memset(part, 'y', sizeof(part));
	while ((size_t)fill > total) {
		assert_int_equal(sink_text(&s, str_n(part, 4096)), 4096);
		total += 4096;
		assert_int_equal(sink_flush(&s), 1);
	}
	assert_true(sink_line(&s, STR("waits")));
	assert_int_equal(sink_flush(&s), 0);
	assert_int_equal(s.lost, 0);
	while (total > 0) {
		n = read(pair[0], part, sizeof(part));
		assert_true(n > 0);
		total -= (size_t)n;
	}
	assert_int_equal(sink_flush(&s), 1);
	assert_int_equal(read(pair[0], part, sizeof(part)), 6);
	assert_memory_equal(part, "waits\n", 6);
	sink_fini(&s);
	close(pair[0]);
}

static void
a_full_disk_is_counted(void **state)
{
	struct sink s;

	(void)state;
	sink_init(&s, STR("/dev/full"));
	assert_int_equal(sink_open(&s), 1);
	s.regular = true; /* as a file on a full disk */
	assert_true(sink_line(&s, STR("lost")));
	assert_int_equal(sink_flush(&s), 1);
	assert_int_equal(s.lost, 5);
	assert_int_equal(s.error, ENOSPC);
	assert_true(sink_line(&s, STR("too")));
	assert_int_equal(sink_flush(&s), 1);
	assert_int_equal(s.lost, 9);
	sink_fini(&s);
}

/* What follows the beginning of a line whose rest was lost begins a new line. */
static void
a_torn_line_is_ended(void **state)
{
	struct sink *s = *state;

	assert_int_equal(sink_text(s, STR("half")), 4);
	assert_int_equal(sink_flush(s), 1);
	s->torn = true;
	assert_true(sink_line(s, STR("whole")));
	assert_int_equal(sink_flush(s), 1);
	assert_string_equal(content(), "half\nwhole\n");
}

static void
nowhere_is_a_place(void **state)
{
	struct sink s;

	(void)state;
	sink_init(&s, STR(""));
	assert_int_equal(sink_open(&s), 1);
	assert_true(sink_line(&s, STR("x")));
	assert_int_equal(sink_flush(&s), 1);
	assert_int_equal(s.lost, 0);
	sink_fini(&s);
}

#define CASE(f) TEST_WITH(f, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(lines_are_lines),
    CASE(text_keeps_its_newlines),
    CASE(opened_again_it_is_another_file),
    CASE(what_cannot_be_opened_leaves_the_old),
    CASE(a_full_sink_says_so),
    TEST(a_pipe_nobody_reads),
    TEST(a_full_disk_is_counted),
    CASE(a_torn_line_is_ended),
    TEST(nowhere_is_a_place),
};
RUN_TESTS(tests)
