/* SPDX-License-Identifier: Apache-2.0
 *
 * The access line: JSON whatever the client sent, no secrets, no blocking (G-FR-009, R-11.1,
 *
 */
#include "test/unit/harness.h"

#include <sys/eventfd.h>
#include <jansson.h>

#include "worker/net/tls.h"
#include "worker/obs/access.h"

#define RING_BYTES 65536

static struct region ring_region, metric_region;
static struct ring *ring;
static struct metrics *metrics;
static struct req r;

static struct region
region_of(size_t size)
{
	return (struct region){.data = aligned_alloc(4096, ALIGN_UP(size, 4096)), .size = size};
}

static int
setup(void **state)
{
	(void)state;
	fake_clock_at(0);
	ring_region = region_of(ring_region_size(1, RING_BYTES));
	memset(ring_region.data, 0, ring_region.size);
	ring_region_init(&ring_region, 1, RING_BYTES);
	ring = ring_at(&ring_region, 0);
	metric_region = region_of(metric_region_size(1, 8));
	memset(metric_region.data, 0, metric_region.size);
	metric_region_init(&metric_region, 1, 8);
	metrics = metrics_open(&metric_region, 0);
	assert_non_null(ring);
	assert_non_null(metrics);
	r = (struct req){.magic = REQ_MAGIC};
	ws_init(&r.ws, NULL, 0);
	head_init(&r.in, &r.ws, true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ws_free(&r.ws);
	ring_close(&ring);
	metrics_close(&metrics);
	free(ring_region.data);
	free(metric_region.data);
	fake_clock_stop();
	return 0;
}

static void
fill(void)
{
	r.route = STR("orders");
	r.id = STR("req-1");
	r.trace_id = STR("0af7651916cd43dd8448eb211c80319c");
	r.client = (struct addr){.family = AF_INET, .ip = {192, 0, 2, 255}};
	r.peer = (struct addr){.family = AF_INET, .ip = {10, 0, 0, 1}, .port = 5};
	r.in.method_text = STR("GET");
	r.in.host = STR("shop.example.com");
	r.in.path = STR("/orders/7");
	r.in.query = STR("token=secret");
	r.in.minor = 1;
	head_add(&r.in, STR("User-Agent"), STR("curl/8"));
	r.response_started = true;
	r.out.status = 200;
	r.service = STR("shop");
	r.endpoint = STR("10.1.1.1:80");
	r.attempts = 2;
	r.bytes_in = 100;
	r.bytes_out = 1234;
	r.body_out = 1000;
	r.generation = 42;
	r.t = (struct req_times){.start = 1000000,
	    .head = 1001000,
	    .policies = 1351500,
	    .connect_start = 1400000,
	    .connect_end = 1400000,
	    .sent = 1500000,
	    .first_byte = 21500000,
	    .end = 22000999};
}

static struct str
line(void)
{
	struct str s = STR("");

	access_log(&r, ring, metrics, -1);
	assert_int_equal(ring_next(ring, &s), 1);
	return s;
}

static void
a_line_says_all_of_it(void **state)
{
	struct str s;
	static const char want[] =
	    "{\"time\":\"2026-11-21T02:00:00.000Z\",\"request_id\":\"req-1\","
	    "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"client\":\"192.0.2.255\","
	    "\"peer\":\"10.0.0.1\",\"method\":\"GET\",\"scheme\":\"http\","
	    "\"host\":\"shop.example.com\",\"path\":\"/orders/7\",\"protocol\":\"HTTP/1.1\","
	    "\"status\":200,\"route\":\"orders\",\"service\":\"shop\",\"endpoint\":\"10.1.1.1:80\","
	    "\"attempts\":2,\"reused\":true,\"bytes_in\":100,\"bytes_out\":1234,\"body_in\":0,"
	    "\"body_out\":1000,\"generation\":42,\"total_ms\":21.000,\"head_ms\":0.001,"
	    "\"policies_ms\":0.350,\"connect_ms\":0.000,\"send_ms\":0.100,\"first_byte_ms\":20.000,"
	    "\"body_ms\":0.500,\"user_agent\":\"curl/8\"}\n";

	(void)state;
	fill();
	s = line();
	if (!str_eq(s, str_of(want)))
		fail_msg("%.*s instead of %s", STR_ARG(s), want);
}

/* A subject is text from outside, escaped and cut like any other. */
static void
tls_is_told_where_there_was_any(void **state)
{
	static char subject[3000];
	struct tls_facts f = {.version = STR("TLSv1.3"),
	    .cipher = STR("TLS_AES_128_GCM_SHA256"),
	    .sni = STR("shop.example.com")};
	struct str s;

	(void)state;
	fill();
	r.tls = true;
	r.handshake = &f;
	s = line();
	assert_true(str_find(s, STR("\"scheme\":\"https\"")) > 0);
	assert_true(str_find(s, STR("\"protocol\":\"HTTP/1.1\",\"tls\":\"TLSv1.3\","
				    "\"tls_cipher\":\"TLS_AES_128_GCM_SHA256\","
				    "\"sni\":\"shop.example.com\",\"status\":200")) > 0);
	memset(subject, 'x', sizeof(subject));
	memcpy(subject, "CN=\"a\n", 6);
	f.resumed = f.peer = true;
	f.subject = str_n(subject, sizeof(subject));
	s = line();
	assert_true(str_find(s, STR("\"tls_resumed\":true,\"sni\"")) > 0);
	assert_true(str_find(s, STR("\"client_cert\":\"CN=\\\"a\\nxx")) > 0);
	assert_ptr_equal(memchr(s.p, '\n', s.n), s.p + s.n - 1);
	assert_true(s.n < 2000);
}

/* Nothing is known but that somebody came and went. */
static void
an_empty_request_is_a_line_too(void **state)
{
	json_t *json;
	struct str s;

	(void)state;
	r.route = STR("");
	r.reason = REASON_REQUEST_TIMEOUT;
	s = line();
	json = json_loadb(s.p, s.n, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "reason")), "request_timeout");
	assert_int_equal(json_integer_value(json_object_get(json, "status")), 0);
	assert_null(json_object_get(json, "route"));
	assert_null(json_object_get(json, "total_ms"));
	assert_null(json_object_get(json, "client"));
	json_decref(json);
}

/* A refused head has no path, only the target as it came. */
static void
a_query_is_never_logged(void **state)
{
	(void)state;
	fill();
	assert_true(str_find(line(), STR("secret")) < 0);
	r.in.path = STR("");
	r.in.target = STR("/a?token=secret");
	assert_true(str_find(line(), STR("\"path\":\"/a\",")) > 0);
	assert_true(str_find(line(), STR("secret")) < 0);
	r.in.target = STR("?secret");
	assert_true(str_find(line(), STR("secret")) < 0);
}

static void
hostile_text_stays_one_json_string(void **state)
{
	static char all[5000];
	json_t *json;
	struct str s;

	(void)state;
	fill();
	for (unsigned i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	r.in.method_text = str_n("\"\\\n", 3);
	r.in.path = str_n(all, sizeof(all));
	r.in.host = STR("\xc3\x28\xff\xe2\x80\xa8");
	r.endpoint = STR("a\"b");
	head_get(&r.in, HDR_USER_AGENT)->value = str_n(all, sizeof(all));
	r.client = (struct addr){.family = AF_INET6, .ip = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
	r.peer = (struct addr){.family = AF_UNIX};
	s = line();
	json = json_loadb(s.p, s.n, JSON_ALLOW_NUL, NULL);
	assert_non_null(json);
	assert_ptr_equal(memchr(s.p, '\n', s.n), s.p + s.n - 1);
	assert_string_equal(json_string_value(json_object_get(json, "method")), "\"\\\n");
	assert_string_equal(json_string_value(json_object_get(json, "client")), "2001:db8::1");
	assert_string_equal(json_string_value(json_object_get(json, "peer")), "unix:");
	assert_string_equal(json_string_value(json_object_get(json, "endpoint")), "a\"b");
	json_decref(json);
}

static void
a_full_ring_drops_and_counts(void **state)
{
	unsigned n = 0, lines = 0;
	uint64_t rung = 0;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct str s;

	(void)state;
	fill();
	while (metric_sum(metrics, M_PROC_LOG_DROPPED) == 0 && n++ < 1000)
		access_log(&r, ring, metrics, fd);
	assert_in_range(n, 50, 200);
	assert_int_equal(ring_dropped(ring), 1);
	assert_int_equal(read(fd, &rung, sizeof(rung)), sizeof(rung));
	assert_int_equal(rung, 1); /* once, at half */
	while (ring_next(ring, &s) == 1) {
		assert_int_equal(s.p[s.n - 1], '\n');
		lines++;
	}
	assert_int_equal(lines, n - 1);
	close(fd);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_line_says_all_of_it, setup, teardown),
    TEST_WITH(tls_is_told_where_there_was_any, setup, teardown),
    TEST_WITH(an_empty_request_is_a_line_too, setup, teardown),
    TEST_WITH(a_query_is_never_logged, setup, teardown),
    TEST_WITH(hostile_text_stays_one_json_string, setup, teardown),
    TEST_WITH(a_full_ring_drops_and_counts, setup, teardown),
};
RUN_TESTS(tests)
