/* SPDX-License-Identifier: Apache-2.0
 *
 * The opening handshake of a WebSocket by its heads: what is one, and which 101 answers it.
 */
#include "test/unit/harness.h"

#include "worker/http/h1.h"
#include "worker/http/ws_frame.h"
#include "worker/http/ws_hand.h"

#define KEY    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define WANT   "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c, WebSocket\r\n"
#define THIS   "Sec-WebSocket-Version: 13\r\n"
#define OFFER                                                                                      \
	"Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n"                            \
	"Sec-WebSocket-Extensions: permessage-deflate; x=1, other\r\n"
#define AGREE "Upgrade: websocket\r\nConnection: Upgrade\r\n"

static const struct h1_limits limits = {.request_line = 1024, .headers = 8192, .count = 64};
static struct ws ws;

static int
setup(void **state)
{
	(void)state;
	ws_init(&ws, NULL, 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ws_free(&ws);
	return 0;
}

static struct head
request(const char *line, const char *fields)
{
	struct str text = ws_printf(&ws, "%s\r\n%s\r\n", line, fields);
	enum reason why;
	struct head h;

	head_init(&h, &ws, true);
	assert_int_equal(h1_parse_request(text, &limits, &h, &why), 1);
	assert_int_equal(head_strip_hop(&h), 1);
	return h;
}

static void
what_is_a_handshake(void **state)
{
	static const struct {
		const char *line, *fields;
		enum reason why; /* NONE: it is fine */
	} rows[] = {
	    {"GET / HTTP/1.1", WANT KEY THIS, REASON_NONE},
	    {"POST / HTTP/1.1", WANT KEY THIS, REASON_WS_HANDSHAKE},
	    {"GET / HTTP/1.0", WANT KEY THIS, REASON_WS_HANDSHAKE},
	    {"GET / HTTP/1.1", WANT THIS, REASON_WS_HANDSHAKE},
	    {"GET / HTTP/1.1", WANT KEY KEY THIS, REASON_WS_HANDSHAKE},
	    {"GET / HTTP/1.1", WANT KEY THIS "Content-Length: 1\r\n", REASON_WS_HANDSHAKE},
	    {"GET / HTTP/1.1", "Host: a\r\nUpgrade: websocket\r\n" KEY THIS, REASON_WS_HANDSHAKE},
	    {"GET / HTTP/1.1", WANT THIS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n",
		REASON_WS_HANDSHAKE},
	    {"GET / HTTP/1.1", WANT THIS "Sec-WebSocket-Key: dGhl*HNhbXBsZSBub25jZQ==\r\n",
		REASON_WS_HANDSHAKE},
	    {"GET / HTTP/1.1", WANT KEY, REASON_WS_VERSION},
	    {"GET / HTTP/1.1", WANT KEY "Sec-WebSocket-Version: 14\r\n", REASON_WS_VERSION},
	    {"GET / HTTP/1.1", WANT KEY THIS THIS, REASON_WS_VERSION},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct head h = request(rows[i].line, rows[i].fields);
		enum reason why = REASON_NONE;
		const char *detail;
		int rc = ws_hand_request(&h, &why, &detail);

		assert_true(ws_hand_wanted(&h));
		assert_int_equal(rc, rows[i].why ? -1 : 1);
		if (rc < 0)
			assert_int_equal(why, rows[i].why);
	}
}

static void
other_upgrades_are_none(void **state)
{
	struct head a = request("GET / HTTP/1.1", "Host: a\r\n");
	struct head b =
	    request("GET / HTTP/1.1", "Host: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n");

	(void)state;
	assert_false(ws_hand_wanted(&a));
	assert_false(ws_hand_wanted(&b));
}

static void
which_101_answers_it(void **state)
{
	static const struct {
		const char *fields;
		int rc;
		unsigned rsv;
		bool first;
	} rows[] = {
	    {AGREE ACCEPT, 1, 0, true},
	    {AGREE ACCEPT "Sec-WebSocket-Protocol: c\r\n", 1, 0, true},
	    {AGREE ACCEPT "Sec-WebSocket-Protocol: d\r\n", -1, 0, false},
	    {AGREE ACCEPT "Sec-WebSocket-Protocol: a, b\r\n", -1, 0, false},
	    {AGREE ACCEPT "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n", -1, 0,
		false},
	    {AGREE ACCEPT "Sec-WebSocket-Extensions: permessage-deflate; y\r\n", 1, WS_RSV1, true},
	    {AGREE ACCEPT "Sec-WebSocket-Extensions: permessage-deflate, other\r\n", 1, WS_RSV_ALL,
		false},
	    {AGREE ACCEPT "Sec-WebSocket-Extensions: third\r\n", -1, 0, false},
	    {AGREE, -1, 0, false},
	    {AGREE ACCEPT ACCEPT, -1, 0, false},
	    {AGREE "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", -1, 0, false},
	    {"Upgrade: websocket\r\n" ACCEPT, -1, 0, false},
	    {"Upgrade: h2c\r\nConnection: Upgrade\r\n" ACCEPT, -1, 0, false},
	};
	struct head asked = request("GET / HTTP/1.1", WANT KEY THIS OFFER);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct str text =
		    ws_printf(&ws, "HTTP/1.1 101 Switching Protocols\r\n%s\r\n", rows[i].fields);
		struct ws_agreed agreed;
		const char *error;
		enum reason why;
		struct head h;

		head_init(&h, &ws, false);
		assert_int_equal(h1_parse_response(text, false, &limits, &h, &why), 1);
		assert_int_equal(ws_hand_response(&asked, &h, &agreed, &error), rows[i].rc);
		if (rows[i].rc < 0)
			continue;
		assert_int_equal(agreed.rsv, rows[i].rsv);
		assert_int_equal(agreed.rsv_first, rows[i].first);
	}
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(what_is_a_handshake, setup, teardown),
    TEST_WITH(other_upgrades_are_none, setup, teardown),
    TEST_WITH(which_101_answers_it, setup, teardown),
};
RUN_TESTS(tests)
