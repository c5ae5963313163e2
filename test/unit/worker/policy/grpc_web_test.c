/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of pages to gRPC and back: heads, base64 in pieces of every size, the frame of
 * trailers.
 */
#include "test/unit/worker/policy/kit.h"

#include "shm/base/enc.h"
#include "worker/filter.h"
#include "worker/grpc.h"
#include "worker/worker_priv.h"

static struct worker worker;
static char out[8192];
static size_t n_out;

static void
call(const char *type, const char *accept)
{
	kit_request();
	kit.r.worker = &worker;
	kit.r.in.method = METHOD_POST;
	kit.r.in.body = BODY_LENGTH;
	kit.r.in.length = 40;
	kit.r.in.has_length = true;
	head_add(&kit.r.in, STR("Content-Length"), STR("40"));
	head_add(&kit.r.in, STR("content-type"), str_of(type));
	if (accept)
		head_add(&kit.r.in, STR("Accept"), str_of(accept));
	n_out = 0;
}

static void
asked(const char *type, const char *accept)
{
	call(type, accept);
	assert_int_equal(kit_answer(), VERDICT_PASS);
	kit.use.type->hooks->request(&kit.r, &kit.use);
}

static void
answered(const char *type)
{
	struct head *h = &kit.r.out;

	h->status = 200;
	h->body = BODY_LENGTH;
	h->length = 7;
	h->has_length = true;
	head_add(h, STR("content-length"), STR("7"));
	head_add(h, STR("content-type"), str_of(type));
	kit.use.type->hooks->response(&kit.r, &kit.use);
	kit.r.response_started = true;
}

static void
trailer(const char *name, const char *value)
{
	struct head *h = &kit.r.out;
	struct hdr *v = ws_alloc(&kit.r.ws, (h->n_trailers + 1) * sizeof(*v));

	if (h->n_trailers > 0)
		memcpy(v, h->trailers, h->n_trailers * sizeof(*v));
	v[h->n_trailers++] = (struct hdr){.name = str_of(name), .value = str_of(value)};
	h->trailers = v;
}

static void
drain(struct filter *f)
{
	struct str s = filter_ready(f);

	assert_true(n_out + s.n <= sizeof(out));
	if (s.n > 0)
		memcpy(out + n_out, s.p, s.n);
	n_out += s.n;
	filter_sent(f, s.n);
}

/* In pieces of `step` octets. 1 the end came out, 0 not asked for, -1. */
static int
feed(struct filter *f, struct str in, size_t step, bool end)
{
	size_t at = 0;

	while (at < in.n || (end && !f->done)) {
		size_t n = MIN(step, in.n - at), used;
		struct iovec v = {(void *)(uintptr_t)(in.p + at), n};

		if (filter_feed(f, &v, n > 0, end && at + n == in.n, &used) < 0)
			return -1;
		at += used;
		drain(f);
	}
	return f->done;
}

static void
assert_came(const char *p, size_t n)
{
	if (n_out != n || memcmp(out, p, n) != 0)
		fail_msg("%zu octets \"%.*s\" instead of %zu", n_out, (int)n_out, out, n);
}

/* --- heads -------------------------------------------------------------------------------------
 */

static void
heads_become_native(void **state)
{
	(void)state;
	kit_use(&policy_grpc_web, "");
	asked("application/grpc-web+proto; charset=utf-8", NULL);
	assert_head(&kit.r.in, "Host: shop.example.com\nContent-Type: application/grpc+proto\n");
	assert_int_equal(kit.r.in.body, BODY_CHUNKED);
	assert_false(kit.r.in.has_length);
	assert_true(kit.r.grpc && kit.r.te_trailers);
	assert_null(kit.r.filter_in); /* octets pass as they are */
	answered("application/grpc");
	assert_head(&kit.r.out, "Content-Type: application/grpc-web+proto\n");
	assert_int_equal(kit.r.out.body, BODY_CHUNKED);
	asked("Application/gRPC-Web-Text", NULL);
	assert_head(&kit.r.in, "Host: shop.example.com\nContent-Type: application/grpc\n");
	assert_non_null(kit.r.filter_in);
	answered("application/grpc+proto");
	assert_head(&kit.r.out, "Content-Type: application/grpc-web-text\n");
}

/* Each direction has its form. */
static void
accept_chooses(void **state)
{
	(void)state;
	kit_use(&policy_grpc_web, "");
	asked("application/grpc-web+proto", "*/*, application/grpc-web-text;q=1");
	assert_null(kit.r.filter_in);
	assert_str(kit.r.web_type, "application/grpc-web-text+proto");
	asked("application/grpc-web-text+proto", "application/grpc-web");
	assert_non_null(kit.r.filter_in);
	assert_str(kit.r.web_type, "application/grpc-web+proto");
	asked("application/grpc-web-text", "application/json");
	assert_str(kit.r.web_type, "application/grpc-web-text");
}

static void
deadlines_hold(void **state)
{
	(void)state;
	kit_use(&policy_grpc_web, "");
	call("application/grpc-web", NULL);
	kit.r.t.start = 1000000000;
	head_add(&kit.r.in, STR("grpc-timeout"), STR("250m"));
	assert_int_equal(kit_answer(), VERDICT_PASS);
	assert_int_equal(kit.r.deadline_ms, 1250);
	call("application/grpc-web", NULL);
	head_add(&kit.r.in, STR("grpc-timeout"), STR("soon"));
	assert_int_equal(kit_answer(), VERDICT_REPLY);
	assert_int_equal(kit.r.reply.reason, REASON_BAD_HEADER);
	assert_true(kit.r.grpc);
}

static void
others_pass(void **state)
{
	static const char *const types[] = {"application/grpc", "application/json",
	    "application/grpc-webs", "application/grpc-web-texts", "application/grpc-web,a"};

	(void)state;
	kit_use(&policy_grpc_web, "");
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		asked(types[i], "application/grpc-web-text");
		assert_false(kit.r.grpc);
		assert_true(kit.r.in.has_length);
		assert_str(head_value(&kit.r.in, HDR_CONTENT_TYPE), types[i]);
		answered("application/grpc");
		assert_str(head_value(&kit.r.out, HDR_CONTENT_TYPE), "application/grpc");
		assert_null(kit.r.filter_out);
	}
	call("application/grpc-web", NULL);
	kit.r.in.method = METHOD_GET;
	assert_int_equal(kit_answer(), VERDICT_PASS);
	assert_false(kit.r.grpc);
	/* An answer that is no call's is shown as it is. */
	asked("application/grpc-web", NULL);
	answered("text/html");
	assert_str(head_value(&kit.r.out, HDR_CONTENT_TYPE), "text/html");
	assert_null(kit.r.filter_out);
	kit_use(&policy_grpc_web, "text = false;");
	asked("application/grpc-web-text", NULL);
	assert_false(kit.r.grpc);
	asked("application/grpc-web", NULL);
	assert_true(kit.r.grpc);
}

/* --- base64 in ---------------------------------------------------------------------------------
 */

static int
decoded(const char *text, size_t step)
{
	asked("application/grpc-web-text", NULL);
	return feed(kit.r.filter_in, str_of(text), step, true);
}

static void
base64_in_pieces(void **state)
{
	char bin[600], text[1200];
	size_t n = 0, at = 0;

	(void)state;
	kit_use(&policy_grpc_web, "");
	for (size_t i = 0; i < sizeof(bin); i++)
		bin[i] = (char)(i * 7);
	/* Encoded piece by piece, as clients send messages: padding in the middle. */
	for (size_t piece = 1; at < sizeof(bin); piece++) {
		size_t m = MIN(piece, sizeof(bin) - at);

		n += enc_base64(bin + at, m, text + n);
		at += m;
	}
	text[n] = '\0';
	for (size_t step = 1; step < 90; step++) {
		assert_int_equal(decoded(text, step), 1);
		assert_came(bin, sizeof(bin));
	}
	assert_int_equal(decoded("", 1), 1);
	assert_came("", 0);
}

static void
bad_base64_is_refused(void **state)
{
	static const char *const bad[] = {"AAA", "A", "AAAA=", "A===", "====", "AA=A",
	    "AA AA===", "AAA\nA", "AA-_", "AAAA\x80", "AAAAAA==A"};

	(void)state;
	kit_use(&policy_grpc_web, "");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		for (size_t step = 1; step < 6; step++) {
			if (decoded(bad[i], step) != -1)
				fail_msg("taken: %s", bad[i]);
			assert_int_equal(kit.r.filter_in->why, REASON_BAD_BODY);
		}
}

/* --- answers -----------------------------------------------------------------------------------
 */

#define MESSAGES "\0\0\0\0\2hi\0\0\0\0\0\0\0\0\0\4abcd"
#define TRAILERS "\x80\0\0\0\x21grpc-status: 0\r\nx-cost: 3, \xc3\xa4\xc3\xb6\r\n"

static void
trailers_are_the_last_frame(void **state)
{
	(void)state;
	kit_use(&policy_grpc_web, "");
	for (size_t step = 1; step < 24; step++) {
		asked("application/grpc-web+proto", NULL);
		answered("application/grpc");
		trailer("Grpc-Status", "0");
		trailer("X-Cost", "3, \xc3\xa4\xc3\xb6");
		assert_int_equal(
		    feed(kit.r.filter_out, str_n(MESSAGES, sizeof(MESSAGES) - 1), step, true), 1);
		assert_came(MESSAGES TRAILERS, sizeof(MESSAGES TRAILERS) - 1);
		assert_int_equal(kit.r.out.n_trailers, 0);
		assert_int_equal(grpc_status(&kit.r), GRPC_OK);
	}
}

/* Every message is there whole, padded, before the next one came. */
static void
text_does_not_wait(void **state)
{
	struct str all = str_n(MESSAGES, sizeof(MESSAGES) - 1);
	char want[200];
	size_t n;

	(void)state;
	kit_use(&policy_grpc_web, "");
	for (size_t step = 1; step < 24; step++) {
		asked("application/grpc-web-text", NULL);
		answered("application/grpc");
		assert_int_equal(feed(kit.r.filter_out, str_sub(all, 0, 7), step, false), 0);
		n = enc_base64(all.p, 7, want);
		assert_came(want, n);
		assert_int_equal(feed(kit.r.filter_out, str_sub(all, 7, all.n), step, false), 0);
		n += enc_base64(all.p + 7, 5, want + n);
		n += enc_base64(all.p + 12, 9, want + n);
		assert_came(want, n);
		trailer("grpc-status", "5");
		assert_int_equal(feed(kit.r.filter_out, STR(""), step, true), 1);
		n += enc_base64("\x80\0\0\0\x10grpc-status: 5\r\n", 21, want + n);
		assert_came(want, n);
		assert_int_equal(grpc_status(&kit.r), GRPC_NOT_FOUND);
	}
}

/* Larger than the buffer. */
static void
large_messages(void **state)
{
	static char message[3000] = {0, 0, 0, (char)(2995 >> 8), (char)(2995 & 0xff)};
	static char want[6000];
	size_t n;

	(void)state;
	for (size_t i = 5; i < sizeof(message); i++)
		message[i] = (char)(i * 11);
	kit_use(&policy_grpc_web, "");
	for (size_t step = 1; step < 3000; step = step * 3 + 1) {
		asked("application/grpc-web-text", NULL);
		answered("application/grpc");
		trailer("grpc-status", "0");
		assert_int_equal(feed(kit.r.filter_out, str_n(message, 3000), step, true), 1);
		n = enc_base64(message, 3000, want);
		n += enc_base64("\x80\0\0\0\x10grpc-status: 0\r\n", 21, want + n);
		assert_came(want, n);
	}
}

/* In the head, where everybody sees it but a page of another origin that is not shown it. */
static void
trailers_only(void **state)
{
	static const char frame[] = "\x80\0\0\0\x25grpc-status: 7\r\ngrpc-message: go%21\r\n";
	static const struct {
		const char *origin, *expose, *credentials;
		bool framed;
	} rows[] = {{NULL, NULL, NULL, false}, {"*", NULL, NULL, true}, {"*", "X-A", NULL, true},
	    {"*", "x-a, Grpc-Status", NULL, false}, {"*", "*", NULL, false},
	    {"https://a.example", "*", "true", true}};

	(void)state;
	kit_use(&policy_grpc_web, "");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct head *h = &kit.r.out;

		asked("application/grpc-web", NULL);
		head_add(h, STR("grpc-status"), STR("7"));
		head_add(h, STR("Grpc-Message"), STR("go%21"));
		head_add(h, STR("x-other"), STR("a"));
		answered("application/grpc");
		if (rows[i].origin)
			head_add(h, STR("Access-Control-Allow-Origin"), str_of(rows[i].origin));
		if (rows[i].expose)
			head_add(h, STR("Access-Control-Expose-Headers"), str_of(rows[i].expose));
		if (rows[i].credentials)
			head_add(h, STR("Access-Control-Allow-Credentials"), STR("true"));
		assert_int_equal(feed(kit.r.filter_out, STR(""), 1, true), 1);
		assert_came(frame, rows[i].framed ? sizeof(frame) - 1 : 0);
		assert_int_equal(grpc_status(&kit.r), GRPC_PERMISSION_DENIED);
	}
}

/* Who ends without a status has failed, and clients must not take it for success. */
static void
a_lost_status_is_told(void **state)
{
	static const char frame[] = "\x80\0\0\0\x42x-a: b\r\ngrpc-status: 2\r\ngrpc-message: the "
				    "service told no status\r\n";

	(void)state;
	kit_use(&policy_grpc_web, "");
	asked("application/grpc-web", NULL);
	answered("application/grpc");
	trailer("x-a", "b");
	assert_int_equal(feed(kit.r.filter_out, STR("\0\0\0\0\3hal"), 3, true), 1);
	assert_int_equal(n_out, 8 + sizeof(frame) - 1);
	assert_memory_equal(out + 8, frame, sizeof(frame) - 1);
	assert_int_equal(grpc_status(&kit.r), GRPC_UNKNOWN);
}

/* Nothing can be said behind half a message: the answer is broken off. */
static void
half_a_message(void **state)
{
	static const char *const forms[] = {"application/grpc-web", "application/grpc-web-text"};

	(void)state;
	kit_use(&policy_grpc_web, "");
	for (size_t i = 0; i < 2; i++)
		for (size_t n = 1; n < 8; n++) {
			asked(forms[i], NULL);
			answered("application/grpc");
			trailer("grpc-status", "0");
			assert_int_equal(
			    feed(kit.r.filter_out, str_n("\0\0\0\0\3hal", n), 2, true), -1);
			assert_int_equal(kit.r.filter_out->why, REASON_BODY_ABORTED);
		}
}

/* The gateway's own: no body where the head will do. */
static void
own_errors(void **state)
{
	struct xchg client = {.rx_head = true};

	(void)state;
	kit_use(&policy_grpc_web, "");
	call("application/grpc-web-text", NULL); /* no policy has seen it */
	kit.r.cx = &client;
	assert_true(grpc_listens(&kit.r));
	req_reply_reason(&kit.r, REASON_NO_ROUTE);
	grpc_answer(&kit.r);
	assert_head(&kit.r.out, "Content-Type: application/grpc-web-text\ngrpc-status: 12\n"
				"grpc-message: No route matches this request.\n");
	grpc_answered(&kit.r);
	assert_int_equal(kit.r.reply.body.n, 0);
	assert_true(kit.r.out.has_length);
	head_add(&kit.r.out, STR("Access-Control-Allow-Origin"), STR("*"));
	grpc_answered(&kit.r);
	assert_true(str_starts(kit.r.reply.body, STR("gAAAA")));
	assert_int_equal(kit.r.out.length, kit.r.reply.body.n);
	assert_int_equal(kit.r.out.body, BODY_LENGTH);
	call("application/json", NULL);
	kit.r.cx = &client;
	assert_false(grpc_listens(&kit.r));
}

static int
setup(void **state)
{
	(void)state;
	buf_pool_init(&worker.bufs, 64, 4);
	return 0;
}

static int
teardown(void **state)
{
	kit_teardown(state);
	assert_int_equal(worker.bufs.n_out, 0);
	buf_pool_fini(&worker.bufs);
	return 0;
}

static const struct CMUnitTest tests[] = {
    TEST(heads_become_native),
    TEST(accept_chooses),
    TEST(deadlines_hold),
    TEST(others_pass),
    TEST(base64_in_pieces),
    TEST(bad_base64_is_refused),
    TEST(trailers_are_the_last_frame),
    TEST(text_does_not_wait),
    TEST(large_messages),
    TEST(trailers_only),
    TEST(a_lost_status_is_told),
    TEST(half_a_message),
    TEST(own_errors),
};
RUN_TESTS_WITH(tests, setup, teardown)
