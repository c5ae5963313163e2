/* SPDX-License-Identifier: Apache-2.0
 *
 * Field tables: defaults, canonical bytes and back, bytes that lie, and the sanity of every table
 * the gateway has.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include <math.h>

#include "conf/field.h"
#include "conf/field_text.h"
#include "conf/object.h"
#include "conf/policy.h"

/* One of everything. */
struct inner {
	bool flag;
	struct str word;
};
struct all {
	bool b;
	int64_t i;
	double f;
	uint64_t duration, size;
	struct str s;
	int32_t e;
	struct strs strings;
	struct cidrs cidrs;
	struct addr addr;
	struct inner group;
	struct conf_list list, policies;
};
static const char *const words[] = {"red", "green", "blue", NULL};
static const struct field inner_rows[] = {
    {.name = "flag", .type = F_BOOL, .offset = FIELD_AT(struct inner, flag), .def = "true"},
    {.name = "word", .type = F_STRING, .offset = FIELD_AT(struct inner, word), .def = "\"quoted\""},
};
static const struct fields inner_fields = {
    .name = "inner", .size = sizeof(struct inner), .v = inner_rows, .n = 2};
static const struct field all_rows[] = {
    {.name = "b", .type = F_BOOL, .offset = FIELD_AT(struct all, b)},
    {.name = "i",
	.type = F_INT,
	.offset = FIELD_AT(struct all, i),
	.def = "7",
	.min = -10,
	.max = 10},
    {.name = "f", .type = F_FLOAT, .offset = FIELD_AT(struct all, f), .def = "12.5%", .max = 100},
    {.name = "duration", .type = F_DURATION, .offset = FIELD_AT(struct all, duration), .def = "5s"},
    {.name = "size", .type = F_SIZE, .offset = FIELD_AT(struct all, size), .def = "16k"},
    {.name = "s", .type = F_STRING, .offset = FIELD_AT(struct all, s), .def = "plain"},
    {.name = "e",
	.type = F_ENUM,
	.offset = FIELD_AT(struct all, e),
	.def = "green",
	.names = words},
    {.name = "strings",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct all, strings),
	.def = "[ \"x\", y ]"},
    {.name = "cidrs",
	.type = F_CIDRS,
	.offset = FIELD_AT(struct all, cidrs),
	.def = "10.0.0.0/8, ::1"},
    {.name = "addr", .type = F_ADDR, .offset = FIELD_AT(struct all, addr), .def = "127.0.0.1:80"},
    {.name = "group", .type = F_GROUP, .offset = FIELD_AT(struct all, group), .sub = &inner_fields},
    {.name = "list", .type = F_LIST, .offset = FIELD_AT(struct all, list), .sub = &inner_fields},
    {.name = "policies", .type = F_POLICIES, .offset = FIELD_AT(struct all, policies)},
};
static const struct fields all_fields = {
    .name = "all", .size = sizeof(struct all), .v = all_rows, .n = ARRAY_LEN(all_rows)};

static const struct policy_type policy_one = {
    .name = "one", .help = "One.", .fields = &inner_fields};
static const struct policy_type *const policies[] = {&policy_one, NULL};

static int
setup(void **state)
{
	struct ws *ws = calloc(1, sizeof(*ws));

	policy_types_set(policies);
	ws_init(ws, NULL, 0);
	*state = ws;
	return 0;
}

static int
teardown(void **state)
{
	ws_free(*state);
	free(*state);
	return 0;
}

static struct str
encoded(const void *self, struct ws *ws)
{
	struct gbuf out = {0};
	struct str s;

	fields_encode(&all_fields, self, &out);
	s = ws_str(ws, str_n(out.p, out.n));
	gbuf_free(&out);
	return s;
}

static void
defaults_are_filled_in(void **state UNUSED)
{
	struct all a;

	fields_default(&all_fields, &a);
	assert_false(a.b);
	assert_int_equal(a.i, 7);
	assert_true(a.f == 12.5);
	assert_int_equal(a.duration, 5000);
	assert_int_equal(a.size, 16384);
	assert_str(a.s, "plain");
	assert_int_equal(a.e, 1);
	assert_int_equal(a.strings.n, 2);
	assert_str(a.strings.v[0], "x");
	assert_str(a.strings.v[1], "y");
	assert_int_equal(a.cidrs.n, 2);
	assert_int_equal(a.cidrs.v[0].bits, 8);
	assert_int_equal(a.cidrs.v[1].family, AF_INET6);
	assert_int_equal(a.addr.port, 80);
	assert_true(a.group.flag);
	assert_str(a.group.word, "quoted");
	assert_int_equal(a.list.n, 0);
}

static void
what_equals_its_default_takes_no_bytes(void **state)
{
	struct all a;

	fields_default(&all_fields, &a);
	assert_int_equal(encoded(&a, *state).n, 0);
}

/* Every row away from its default. */
static void
fill(struct all *a, struct ws *ws)
{
	static const struct str names[] = {{"a\0b", 3}, {"", 0}};
	static const struct cidr blocks[] = {
	    {AF_INET6, 32, {0x20, 1, 0xd, 0xb8}}, {AF_INET, 0, {0}}};
	struct inner *list = ws_zalloc(ws, 2 * sizeof(*list));
	struct conf_policy *p = ws_zalloc(ws, sizeof(*p));
	struct inner *conf = ws_zalloc(ws, sizeof(*conf));

	*a = (struct all){.b = true,
	    .i = -10,
	    .f = 0.1,
	    .duration = UINT64_MAX,
	    .size = 1,
	    .s = STR("\xff\"\n"),
	    .e = 2,
	    .strings = {names, 2},
	    .cidrs = {blocks, 2},
	    .addr = {.family = AF_UNIX, .path = "/run/x.sock"},
	    .group = {false, STR("other")},
	    .list = {list, 2},
	    .policies = {p, 1}};
	list[1] = (struct inner){true, STR("second")};
	p->type = &policy_one;
	p->conf = conf;
	conf->word = STR("of the policy");
}

static void
everything_comes_back(void **state)
{
	struct ws *ws = *state;
	struct all a, b;
	struct str bytes;

	fill(&a, ws);
	bytes = encoded(&a, ws);
	assert_int_equal(fields_decode(&all_fields, bytes, &b, ws), 1);
	assert_true(b.b);
	assert_int_equal(b.i, -10);
	assert_true(b.f == 0.1);
	assert_true(b.duration == UINT64_MAX);
	assert_str(b.s, "\xff\"\n");
	assert_int_equal(b.strings.n, 2);
	assert_int_equal(b.strings.v[0].n, 3);
	assert_int_equal(b.strings.v[1].n, 0);
	assert_int_equal(b.cidrs.v[0].bits, 32);
	assert_int_equal(b.cidrs.v[1].family, AF_INET);
	assert_string_equal(b.addr.path, "/run/x.sock");
	assert_false(b.group.flag);
	assert_str(((struct inner *)b.list.v)[1].word, "second");
	assert_ptr_equal(((struct conf_policy *)b.policies.v)[0].type, &policy_one);
	assert_true(str_eq(encoded(&b, ws), bytes));
}

static void
decoded_text_is_a_copy(void **state)
{
	struct ws *ws = *state;
	char bytes[] = "\5\3\0\0\0abc";
	struct all a;

	assert_int_equal(fields_decode(&all_fields, str_n(bytes, 8), &a, ws), 1);
	memset(bytes, 'x', sizeof(bytes));
	assert_str(a.s, "abc");
}

/* Cut anywhere, the bytes are refused or stand for less; whatever comes out encodes again. */
static void
cut_bytes_never_crash(void **state)
{
	struct ws *ws = *state;
	struct all a, b;
	struct str bytes;

	fill(&a, ws);
	bytes = encoded(&a, ws);
	for (size_t n = 0; n < bytes.n; n++) {
		char *copy = malloc(n + 1); /* exact, so that a sanitizer sees a step too far */

		memcpy(copy, bytes.p, n);
		if (fields_decode(&all_fields, str_n(copy, n), &b, ws) == 1)
			assert_true(str_eq(encoded(&b, ws), str_n(copy, n)));
		free(copy);
	}
}

static void
changed_bytes_never_crash(void **state)
{
	struct ws *ws = *state;
	struct all a, b;
	struct str bytes;

	fill(&a, ws);
	bytes = encoded(&a, ws);
	for (size_t i = 0; i < bytes.n; i++) {
		for (int v = 0; v < 256; v += 5) {
			struct ws_mark mark = ws_mark(ws);
			struct str copy = ws_str(ws, bytes);

			((char *)(uintptr_t)copy.p)[i] = (char)v;
			if (fields_decode(&all_fields, copy, &b, ws) == 1)
				(void)encoded(&b, ws);
			ws_reset(ws, mark);
		}
	}
}

#define REFUSED(bytes) assert_int_equal(fields_decode(&all_fields, STR(bytes), &a, *state), -1)
#define TAKEN(bytes)   assert_int_equal(fields_decode(&all_fields, STR(bytes), &a, *state), 1)

static void
lies_are_refused(void **state)
{
	struct all a;

	TAKEN("\0\1");
	REFUSED("\15\1");                  /* no such row */
	REFUSED("\0\2");                   /* neither true nor false */
	REFUSED("\0\1\0\0");               /* a row twice */
	REFUSED("\1\1\0\0\0\0\0\0\0\0\1"); /* rows out of order */
	REFUSED("\1\13\0\0\0\0\0\0\0");    /* 11 where 10 is the most */
	REFUSED("\2\0\0\0\0\0\0\xf0\x7f"); /* infinity */
	REFUSED("\2\0\0\0\0\0\0\xf8\x7f"); /* not a number */
	REFUSED("\6\3\0\0\0");             /* no such word */
	REFUSED("\6\xff\xff\xff\xff");     /* nor this */
	REFUSED("\5\xff\xff\xff\xff"
		"abc");                            /* longer than what is there */
	REFUSED("\7\xff\xff\xff\x3f");             /* more members than octets */
	REFUSED("\x8\1\0\0\0\4\41\1\2\3\4");       /* 33 bits of an IPv4 address */
	REFUSED("\x8\1\0\0\0\5\10\1\2\3\4");       /* no such family */
	REFUSED("\x9\1\0\0\0\0");                  /* a Unix socket without path */
	REFUSED("\x9\1\2\0\0\0/\0");               /* with a NUL in it */
	REFUSED("\x9\2\0\0\0\0\0\0");              /* no such family */
	REFUSED("\xa\3\0\0\0\0\1\0");              /* a group with a rest */
	REFUSED("\xb\xff\xff\xff\xff");            /* groups out of nothing */
	REFUSED("\xc\1\0\0\0\3\0\0\0two\0\0\0\0"); /* no such policy */
	TAKEN("\xc\1\0\0\0\3\0\0\0one\0\0\0\0");
}

static void
a_limit_on_memory_is_kept(void **state)
{
	struct ws *ws = *state, small;
	struct all a, b;
	struct str bytes;

	fill(&a, ws);
	bytes = encoded(&a, ws);
	for (size_t limit = 16; limit < 512; limit += 16) {
		ws_init(&small, NULL, limit);
		if (fields_decode(&all_fields, bytes, &b, &small) == 1)
			assert_true(limit > 200);
		ws_free(&small);
	}
}

static void
layout_tells_tables_apart(void **state)
{
	struct field rows[ARRAY_LEN(all_rows)];
	struct fields other = all_fields;
	uint64_t layout = fields_layout(&all_fields);

	(void)state;
	assert_true(layout == fields_layout(&all_fields));
	memcpy(rows, all_rows, sizeof(rows));
	other.v = rows;
	assert_true(layout == fields_layout(&other));
	rows[1].def = "8"; /* the bytes would mean something else */
	assert_true(layout != fields_layout(&other));
	memcpy(rows, all_rows, sizeof(rows));
	rows[3].type = F_SIZE;
	assert_true(layout != fields_layout(&other));
	policy_types_set(NULL);
	assert_true(layout != fields_layout(&all_fields));
}

static void
equal_rows_are_equal(void **state)
{
	struct ws *ws = *state;
	struct all a, b;

	fill(&a, ws);
	fill(&b, ws);
	for (unsigned i = 0; i < all_fields.n; i++)
		assert_true(field_equal(&all_rows[i], &a, &b));
	fields_default(&all_fields, &b);
	for (unsigned i = 0; i < all_fields.n; i++)
		assert_false(field_equal(&all_rows[i], &a, &b));
}

static const char *
allowed(const struct field *row)
{
	static char text[512];
	struct gbuf out = {0};

	field_allowed(row, &out);
	snprintf(text, sizeof(text), "%.*s", (int)out.n, out.p);
	gbuf_free(&out);
	return text;
}

static void
what_is_allowed_is_said(void **state)
{
	const struct field duration = {.type = F_DURATION, .min = 1, .max = FIELD_HOUR};
	const struct field size = {.type = F_SIZE, .max = INT64_MAX};

	(void)state;
	assert_string_equal(allowed(&all_rows[0]), "true or false");
	assert_string_equal(allowed(&all_rows[1]), "a whole number from -10 to 10");
	assert_string_equal(allowed(&all_rows[2]), "a number from 0 to 100");
	assert_string_equal(allowed(&duration), "a duration such as \"5s\" from 1ms to 1h");
	assert_string_equal(allowed(&size), "a size such as \"16k\" of at least 0");
	assert_string_equal(allowed(&all_rows[6]), "\"red\", \"green\" or \"blue\"");
	assert_string_equal(allowed(&all_rows[10]), "a group: { name = value; ... }");
}

/* --- every table there is ----------------------------------------------------------------------
 */

static void check_table(const struct fields *f, struct ws *ws);

static size_t
place_size(const struct field *row)
{
	static const size_t sizes[] = {sizeof(bool), 8, 8, 8, 8, sizeof(struct str), 4,
	    sizeof(struct strs), sizeof(struct cidrs), sizeof(struct addr), 0,
	    sizeof(struct conf_list), sizeof(struct conf_list)};

	return row->type == F_GROUP ? row->sub->size : sizes[row->type];
}

static void
check_one(const struct fields *f, const struct field *row, struct ws *ws)
{
	char place[256] = {0};
	const char *error;

	assert_non_null(row->name);
	assert_non_null(row->help);
	assert_true(strlen(row->help) > 5);
	assert_true(row->help[strlen(row->help) - 1] == '.');
	assert_true(row->offset + place_size(row) <= f->size);
	assert_true(row->min <= row->max || row->type == F_ADDR);
	assert_ptr_equal(fields_find(f, str_of(row->name)), row); /* and so no name twice */
	if (row->type == F_ENUM)
		assert_non_null(row->names);
	if (row->type == F_GROUP || row->type == F_LIST)
		check_table(row->sub, ws);
	if (row->def == NULL)
		return;
	assert_false((row->flags & FIELD_REQUIRED) != 0);
	if (field_default(row, place, ws, &error) < 0)
		fail_msg("%s.%s: its default: %s", f->name, row->name, error);
}

static void
check_table(const struct fields *f, struct ws *ws)
{
	assert_non_null(f->name);
	assert_non_null(f->help);
	for (unsigned i = 0; i < f->n; i++)
		check_one(f, &f->v[i], ws);
}

static void
every_row_is_complete(void **state)
{
	for (unsigned k = 0; k < CONF_KIND_COUNT; k++)
		check_table(object_kinds[k].fields, *state);
}

static void
names_are_found_whole(void **state)
{
	(void)state;
	assert_non_null(fields_find(&all_fields, STR("size")));
	assert_null(fields_find(&all_fields, STR("siz")));
	assert_null(fields_find(&all_fields, STR("sizes")));
	assert_null(fields_find(&all_fields, STR("")));
	assert_null(fields_find(&all_fields, STR_NONE));
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(defaults_are_filled_in, setup, teardown),
    TEST_WITH(what_equals_its_default_takes_no_bytes, setup, teardown),
    TEST_WITH(everything_comes_back, setup, teardown),
    TEST_WITH(decoded_text_is_a_copy, setup, teardown),
    TEST_WITH(cut_bytes_never_crash, setup, teardown),
    TEST_WITH(changed_bytes_never_crash, setup, teardown),
    TEST_WITH(lies_are_refused, setup, teardown),
    TEST_WITH(a_limit_on_memory_is_kept, setup, teardown),
    TEST_WITH(layout_tells_tables_apart, setup, teardown),
    TEST_WITH(equal_rows_are_equal, setup, teardown),
    TEST_WITH(what_is_allowed_is_said, setup, teardown),
    TEST_WITH(every_row_is_complete, setup, teardown),
    TEST_WITH(names_are_found_whole, setup, teardown),
};
RUN_TESTS(tests)
