/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of fields as nghttp2's decoder reads them: what comes out is what went in, whatever was
 * sent before and however large the peer lets the table be..
 */
#include "test/unit/harness.h"
#include "worker/http/h2_priv.h"

#define FIELDS 40

static struct hpack table;
static nghttp2_hd_inflater *peer;
static uint8_t block[128 * 1024];
static uint32_t seed;

static uint32_t
dice(uint32_t sides)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % sides;
}

static int
setup(void **state)
{
	(void)state;
	hpack_init(&table);
	return nghttp2_hd_inflate_new(&peer);
}

static int
teardown(void **state)
{
	(void)state;
	nghttp2_hd_inflate_del(peer);
	hpack_fini(&table);
	return 0;
}

static bool
is(struct str s, const uint8_t *p, size_t n)
{
	return s.n == n && (n == 0 || memcmp(s.p, p, n) == 0);
}

/* Length of the block; every field came, as it was to be indexed. */
static size_t
pass(const struct h2_nv *v, size_t n)
{
	size_t len = hpack_encode(&table, v, n, block), at = 0, k = 0;
	int flags = 0;

	assert_true(len <= hpack_bound(v, n));
	while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
		nghttp2_nv got;
		ssize_t rc = nghttp2_hd_inflate_hd2(peer, &got, &flags, block + at, len - at, 1);

		assert_true(rc >= 0);
		at += (size_t)rc;
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0)
			continue;
		assert_true(k < n);
		assert_true(is(v[k].name, got.name, got.namelen));
		assert_true(is(v[k].value, got.value, got.valuelen));
		if (v[k].index == H2_NEVER)
			assert_true((got.flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0);
		k++;
	}
	assert_int_equal(k, n);
	assert_int_equal(at, len);
	nghttp2_hd_inflate_end_headers(peer);
	assert_true(table.size <= table.most);
	assert_int_equal(nghttp2_hd_inflate_get_dynamic_table_size(peer), table.size);
	return len;
}

static struct h2_nv
field(enum hdr_id id, const char *value)
{
	return (struct h2_nv){.name = hdr_name(id), .value = str_of(value), .id = (uint16_t)id};
}

static struct h2_nv
other(const char *name, const char *value)
{
	return (struct h2_nv){.name = str_of(name), .value = str_of(value)};
}

static void
what_repeats_is_an_octet(void **state)
{
	struct h2_nv v[] = {
	    {.name = STR(":method"), .value = STR("POST"), .id = H2_ID_METHOD},
	    {.name = STR(":scheme"), .value = STR("http"), .id = H2_ID_SCHEME},
	    {.name = STR(":authority"), .value = STR("a.example:8080"), .id = H2_ID_AUTHORITY},
	    {.name = STR(":path"), .value = STR("/"), .id = H2_ID_PATH},
	    field(HDR_CONTENT_TYPE, "application/grpc"),
	    field(HDR_X_FORWARDED_FOR, "192.0.2.1"),
	    other("x-mine", "some value"),
	    other("empty", ""),
	};

	(void)state;
	assert_true(pass(v, ARRAY_LEN(v)) > ARRAY_LEN(v));
	assert_int_equal(pass(v, ARRAY_LEN(v)), ARRAY_LEN(v));
	v[5].value = STR("192.0.2.2");
	assert_int_equal(pass(v, ARRAY_LEN(v)), ARRAY_LEN(v) + 11);
	assert_int_equal(pass(v, ARRAY_LEN(v)), ARRAY_LEN(v));
}

static void
fields_of_the_static_table(void **state)
{
	static const char *const status[] = {
	    "100", "200", "204", "206", "304", "400", "404", "500", "503"};
	static const char *const methods[] = {"GET", "POST", "HEAD", "POS", "GETS"};
	static const char *const paths[] = {"/", "/index.html", "*", "/a"};

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LEN(status); i++)
			pass(&(struct h2_nv){.name = STR(":status"),
				 .value = str_of(status[i]),
				 .id = H2_ID_STATUS},
			    1);
		for (size_t i = 0; i < ARRAY_LEN(methods); i++)
			pass(&(struct h2_nv){.name = STR(":method"),
				 .value = str_of(methods[i]),
				 .id = H2_ID_METHOD},
			    1);
		for (size_t i = 0; i < ARRAY_LEN(paths); i++)
			pass(
			    &(struct h2_nv){
				.name = STR(":path"), .value = str_of(paths[i]), .id = H2_ID_PATH},
			    1);
		pass(
		    &(struct h2_nv){
			.name = STR(":scheme"), .value = STR("https"), .id = H2_ID_SCHEME},
		    1);
		pass(
		    &(struct h2_nv){
			.name = STR(":protocol"), .value = STR("websocket"), .id = H2_ID_PROTOCOL},
		    1);
		for (unsigned id = 1; id < HDR_ID_COUNT; id++) {
			struct h2_nv v = field((enum hdr_id)id, "some value of this field");

			pass(&v, 1);
		}
	}
}

static void
secrets_are_in_no_table(void **state)
{
	struct h2_nv v[] = {field(HDR_AUTHORIZATION, "Bearer of a token"),
	    field(HDR_COOKIE, "short=1"), other("x-secret", "told by the client")};

	(void)state;
	v[2].index = H2_NEVER;
	pass(v, ARRAY_LEN(v));
	assert_int_equal(table.size, 0);
	v[0].index = v[1].index = H2_NEVER; /* as nghttp2 tells them */
	pass(v, ARRAY_LEN(v));
	assert_int_equal(table.size, 0);
}

/* Its name is in the table, and only its first value. */
static void
unique_values_take_no_room(void **state)
{
	struct h2_nv v = field(HDR_X_REQUEST_ID, "0123456789abcdef0123456789abcdef");
	uint32_t size;

	(void)state;
	v.index = H2_UNIQUE;
	pass(&v, 1);
	size = table.size;
	v.value = STR("1123456789abcdef0123456789abcdef");
	assert_true(pass(&v, 1) <= 36);
	assert_int_equal(table.size, size);
}

static void
the_table_is_made_smaller_and_larger(void **state)
{
	struct h2_nv v[] = {other("one", "first of them"), other("two", "second of them"),
	    field(HDR_X_FORWARDED_FOR, "192.0.2.1"), field(HDR_X_REQUEST_ID, "abcdef")};
	static const uint32_t sizes[] = {0, 64, 4096, 100, 31, 65536, 50, 4096};

	(void)state;
	v[3].index = H2_UNIQUE;
	pass(v, ARRAY_LEN(v));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		/* Not more than it said it would keep. */
		assert_int_equal(nghttp2_hd_inflate_change_table_size(peer, sizes[i]), 0);
		hpack_resize(&table, sizes[i]);
		if (i % 3 == 2) { /* twice between two blocks */
			assert_int_equal(nghttp2_hd_inflate_change_table_size(peer, 40), 0);
			hpack_resize(&table, 40);
			assert_int_equal(nghttp2_hd_inflate_change_table_size(peer, sizes[i]), 0);
			hpack_resize(&table, sizes[i]);
		}
		pass(v, ARRAY_LEN(v));
		pass(v, ARRAY_LEN(v));
	}
}

static struct str
random_text(char *at, size_t most, uint32_t kinds)
{
	size_t n = 1 + dice((uint32_t)most);
	char c = (char)('a' + dice(kinds));

	memset(at, c, n);
	at[n / 2] = (char)('a' + dice(kinds));
	return (struct str){at, n};
}

static struct h2_nv
random_field(char *text)
{
	struct h2_nv v = {.index = (uint8_t)dice(6)};

	v.index = v.index > H2_NEVER ? H2_INDEX : v.index;
	v.id = dice(2) ? (uint16_t)dice(HDR_ID_COUNT) : HDR_OTHER;
	v.name = v.id != HDR_OTHER ? hdr_name((enum hdr_id)v.id) : random_text(text, 20, 3);
	v.value = random_text(text + 20, dice(30) == 0 ? 5000 : 60, 4);
	if (v.id == HDR_OTHER && v.index == H2_UNIQUE)
		v.index = H2_INDEX;
	return v;
}

static void
whatever_is_sent_comes(void **state)
{
	static char text[FIELDS][5100];
	struct h2_nv v[FIELDS];

	(void)state;
	for (seed = 1; seed < 200000; seed += 7919) {
		for (unsigned round = 0; round < 100; round++) {
			size_t n = dice(FIELDS);

			for (size_t i = 0; i < n; i++)
				v[i] = random_field(text[i]);
			if (dice(20) == 0) {
				uint32_t size = dice(6000);

				assert_int_equal(
				    nghttp2_hd_inflate_change_table_size(peer, size), 0);
				hpack_resize(&table, size);
			}
			pass(v, n);
		}
	}
}

/* Numbers of entries begin anew after 2^32 of them. */
static void
numbers_begin_anew(void **state)
{
	char value[16];

	(void)state;
	table.oldest = table.next = UINT32_MAX - 50;
	for (unsigned i = 0; i < 200; i++) {
		struct h2_nv v[2] = {field(HDR_VIA, value), field(HDR_TRACESTATE, value)};

		snprintf(value, sizeof(value), "v%u", i);
		pass(v, 2);
		assert_int_equal(pass(v, 2), 2);
	}
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(what_repeats_is_an_octet, setup, teardown),
    TEST_WITH(fields_of_the_static_table, setup, teardown),
    TEST_WITH(secrets_are_in_no_table, setup, teardown),
    TEST_WITH(unique_values_take_no_room, setup, teardown),
    TEST_WITH(the_table_is_made_smaller_and_larger, setup, teardown),
    TEST_WITH(whatever_is_sent_comes, setup, teardown),
    TEST_WITH(numbers_begin_anew, setup, teardown),
};
RUN_TESTS(tests)
