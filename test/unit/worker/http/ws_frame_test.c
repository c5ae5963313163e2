/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket frames: what passes, what is refused and why, however the octets are cut.
 */
#include "test/unit/harness.h"

#include "worker/http/ws_frame.h"

#define KEY "\1\2\3\4"
#define OCTETS(text)                                                                               \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

struct seen {
	int rc;
	enum reason why;
	size_t used;
	unsigned controls, code;
	uint64_t messages;
};

/* As a relay does that gets `step` octets at a time and keeps what was not used. */
static struct seen
run(struct ws_frames f, struct str in, size_t step)
{
	struct seen s = {.rc = 1};
	size_t end = MIN(step, in.n);
	struct ws_piece p;

	for (;;) {
		s.rc = ws_frame_next(&f, str_sub(in, s.used, end), &p, &s.why);
		if (s.rc < 0)
			break;
		if (s.rc == 0 && end == in.n)
			break;
		if (s.rc == 0) {
			end = MIN(end + step, in.n);
			continue;
		}
		assert_true(p.n > 0 && p.n <= end - s.used);
		s.used += p.n;
		s.controls += p.opcode >= WS_CLOSE;
		s.code = p.opcode == WS_CLOSE ? p.code : s.code;
	}
	s.messages = f.messages;
	return s;
}

static struct ws_frames
client(void)
{
	return (struct ws_frames){.masked = true, .rsv_first = true};
}

static const struct {
	struct str in;
	size_t used;
	uint64_t messages;
	unsigned controls, code;
} good[] = {
    {OCTETS("\x81\x85" KEY "hello"), 11, 1, 0, 0}, {OCTETS("\x82\x80" KEY), 6, 1, 0, 0},
    {OCTETS("\x01\x82" KEY "ab\x80\x81" KEY "c"), 15, 1, 0, 0},
    {OCTETS("\x01\x82" KEY "ab\x89\x81" KEY "p\x00\x80" KEY "\x80\x81" KEY "c"), 28, 1, 1, 0},
    {OCTETS("\x8a\x80" KEY "\x89\x83" KEY "abc"), 15, 0, 2, 0},
    {OCTETS("\x88\x80" KEY), 6, 0, 1, 1005}, {OCTETS("\x88\x82" KEY "\x02\xea"), 8, 0, 1, 1000},
    {OCTETS("\x88\x85" KEY "\x0e\xba"
	    "bye"),
	11, 0, 1, 4024},
    {OCTETS("\x81\x85" KEY "hel"), 9, 0, 0, 0}, /* payload passes as it comes */
    {OCTETS("\x81\xfe\x00"), 0, 0, 0, 0},       /* half a header does not */
    {OCTETS("\x89\x85" KEY "hel"), 0, 0, 0, 0}, /* nor half a control frame */
};

static void
frames_pass_however_they_are_cut(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(good); i++)
		for (size_t step = 1; step <= good[i].in.n; step++) {
			struct seen s = run(client(), good[i].in, step);

			assert_int_equal(s.rc, 0);
			assert_int_equal(s.used, good[i].used);
			assert_int_equal(s.messages, good[i].messages);
			assert_int_equal(s.controls, good[i].controls);
			assert_int_equal(s.code, good[i].code);
		}
}

static const struct {
	struct str in;
	size_t used; /* octets that passed before */
	enum reason why;
} bad[] = {
    {OCTETS("\x81\x05hello"), 0, REASON_WS_MASK}, {OCTETS("\xc1\x85" KEY), 0, REASON_WS_RESERVED},
    {OCTETS("\x83\x80" KEY), 0, REASON_WS_OPCODE}, {OCTETS("\x8b\x80" KEY), 0, REASON_WS_OPCODE},
    {OCTETS("\x8f\x80" KEY), 0, REASON_WS_OPCODE}, {OCTETS("\x09\x80" KEY), 0, REASON_WS_CONTROL},
    {OCTETS("\x89\xfe\x00\x7e" KEY), 0, REASON_WS_CONTROL},
    {OCTETS("\x80\x80" KEY), 0, REASON_WS_FRAGMENT},
    {OCTETS("\x81\x81" KEY "x\x80\x80" KEY), 7, REASON_WS_FRAGMENT},
    {OCTETS("\x01\x81" KEY "x\x81\x80" KEY), 7, REASON_WS_FRAGMENT},
    {OCTETS("\x81\xfe\x00\x7d" KEY), 0, REASON_WS_LENGTH},
    {OCTETS("\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff" KEY), 0, REASON_WS_LENGTH},
    {OCTETS("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00" KEY), 0, REASON_WS_LENGTH},
    {OCTETS("\x88\x81" KEY "x"), 0, REASON_WS_CLOSE},
    {OCTETS("\x88\x82" KEY "\x02\xe5"), 0, REASON_WS_CLOSE}, /* 999 */
    {OCTETS("\x88\x82" KEY "\x02\xec"), 0, REASON_WS_CLOSE}, /* 1006 */
    {OCTETS("\x88\x82" KEY "\x12\x8a"), 0, REASON_WS_CLOSE}, /* 5000 */
};

static void
malformed_frames_are_refused_at_their_first_octet(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		for (size_t step = 1; step <= bad[i].in.n; step++) {
			struct seen s = run(client(), bad[i].in, step);

			assert_int_equal(s.rc, -1);
			assert_int_equal(s.why, bad[i].why);
			assert_int_equal(s.used, bad[i].used);
		}
}

/* A server's frames are not masked; an extension's bit is for the first frame alone. */
static void
servers_frames_and_extensions_bits(void **state)
{
	struct ws_frames f = {.rsv = WS_RSV1, .rsv_first = true};

	(void)state;
	assert_int_equal(run(f, str_n("\xc1\x02hi", 4), 1).messages, 1);
	assert_int_equal(run(f, str_n("\x81\x82" KEY "hi", 8), 8).why, REASON_WS_MASK);
	assert_int_equal(run(f, str_n("\x41\x01x\xc0\x01y", 6), 1).why, REASON_WS_RESERVED);
	assert_int_equal(run(f, str_n("\xc9\x00", 2), 1).why, REASON_WS_RESERVED);
	assert_int_equal(run(f, str_n("\xa1\x00", 2), 1).why, REASON_WS_RESERVED);
	f.rsv = WS_RSV_ALL;
	f.rsv_first = false;
	assert_int_equal(run(f, str_n("\x41\x01x\xf0\x01y", 6), 1).messages, 1);
}

static void
frames_and_messages_have_limits(void **state)
{
	struct ws_frames f = {.max_frame = 4, .max_message = 6};

	(void)state;
	assert_int_equal(run(f,
			     str_n("\x82\x04"
				   "abcd",
				 6),
			     6)
			     .messages,
	    1);
	assert_int_equal(run(f, str_n("\x82\x05", 2), 2).why, REASON_WS_TOO_LARGE);
	assert_int_equal(run(f,
			     str_n("\x02\x04"
				   "abcd\x80\x02xy",
				 10),
			     1)
			     .messages,
	    1);
	assert_int_equal(run(f,
			     str_n("\x02\x04"
				   "abcd\x80\x03xyz",
				 11),
			     1)
			     .why,
	    REASON_WS_TOO_LARGE);
	/* the next message begins at nothing; 2^63-1 octets are fine where nothing is said */
	assert_int_equal(run(f,
			     str_n("\x82\x04"
				   "abcd\x82\x04"
				   "efgh",
				 12),
			     5)
			     .messages,
	    2);
	f.max_frame = f.max_message = 0;
	assert_int_equal(
	    run(f, str_n("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xffx", 11), 11).used, 11);
}

static void
our_own_frames_are_frames(void **state)
{
	char out[WS_OWN_MAX];
	struct ws_piece p;
	enum reason why;
	struct ws_frames to_client = {0}, to_server = {.masked = true};

	(void)state;
	assert_int_equal(ws_frame_write(WS_CLOSE, "\x03\xe9", 2, NULL, out), 4);
	assert_memory_equal(out, "\x88\x02\x03\xe9", 4);
	assert_int_equal(ws_frame_next(&to_client, str_n(out, 4), &p, &why), 1);
	assert_int_equal(p.code, 1001);
	assert_int_equal(
	    ws_frame_write(WS_PING, "payload", 7, (const uint8_t *)"\x10\x20\x30\x40", out), 13);
	assert_int_equal(ws_frame_next(&to_server, str_n(out, 13), &p, &why), 1);
	assert_int_equal(p.opcode, WS_PING);
	assert_memory_equal(p.control, "payload", 7);
}

static const struct CMUnitTest tests[] = {
    TEST(frames_pass_however_they_are_cut),
    TEST(malformed_frames_are_refused_at_their_first_octet),
    TEST(servers_frames_and_extensions_bits),
    TEST(frames_and_messages_have_limits),
    TEST(our_own_frames_are_frames),
};
RUN_TESTS(tests)
