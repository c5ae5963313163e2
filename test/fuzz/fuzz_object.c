/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored objects and their bodies from bytes that nobody vouches for: octet 0 says whether they are
 * an object, a body of some kind, or boot settings. What decodes has values in their ranges, and
 * encoding it settles: the second time gives the same bytes as the first.
 */
#include "conf/boot.h"
#include "conf/object.h"
#include "conf/policy.h"
#include "conf/route.h"
#include "conf/show.h"
#include "shm/base/bug.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct limit {
	int64_t n;
	struct str word;
};
static const struct field limit_rows[] = {
    {.name = "n",
	.type = F_INT,
	.offset = FIELD_AT(struct limit, n),
	.def = "1",
	.min = 1,
	.max = 9,
	.help = "A number."},
    {.name = "word", .type = F_STRING, .offset = FIELD_AT(struct limit, word), .help = "A word."},
};
static const struct fields limit_fields = {.name = "limit",
    .help = "A policy.",
    .size = sizeof(struct limit),
    .v = limit_rows,
    .n = ARRAY_LEN(limit_rows)};
static const struct policy_type limit_type = {
    .name = "limit", .help = "A policy.", .fields = &limit_fields};
static const struct policy_type *const policies[] = {&limit_type, NULL};

static void
settle(const struct fields *f, const void *self)
{
	struct gbuf one = {0}, two = {0};
	void *again = NULL;
	struct ws ws;

	ws_init(&ws, NULL, 0);
	fields_encode(f, self, &one);
	again = ws_alloc(&ws, f->size);
	BUG_ON(fields_decode(f, str_n(one.p, one.n), again, &ws) < 0);
	fields_encode(f, again, &two);
	BUG_ON(one.n != two.n || (one.n > 0 && memcmp(one.p, two.p, one.n) != 0));
	gbuf_free(&one);
	gbuf_free(&two);
	ws_free(&ws);
}

static void
print(const struct fields *f, const void *self)
{
	struct gbuf out = {0};
	json_t *j = show_json(f, self, true);

	show_libconfig(f, self, true, 0, &out);
	json_decref(j);
	gbuf_free(&out);
}

static void
body(enum conf_kind kind, struct str bytes)
{
	struct conf_object o = {.kind = kind, .id = STR("x"), .body = bytes};
	struct ws ws;
	void *self;

	ws_init(&ws, NULL, 1 << 20);
	self = object_body(&o, &ws);
	if (self != NULL) {
		settle(object_kinds[kind].fields, self);
		print(object_kinds[kind].fields, self);
	}
	if (kind == CONF_ROUTE) {
		/* What routes share is a route, too. */
		o.body = route_shared(o.body);
		BUG_ON(self != NULL && object_body(&o, &ws) == NULL && !ws.overflow);
	}
	ws_free(&ws);
}

static void
object(struct str bytes)
{
	struct conf_object o, again;
	struct gbuf out = {0};

	if (object_decode(bytes, &o) < 0)
		return;
	object_encode(&o, &out);
	BUG_ON(!str_eq(bytes, str_n(out.p, out.n)));
	BUG_ON(object_decode(str_n(out.p, out.n), &again) < 0 || !object_id_ok(again.id));
	body(o.kind, o.body);
	gbuf_free(&out);
}

static void
boot(struct str bytes)
{
	struct conf_settings s;
	struct gbuf out = {0};
	struct ws ws;

	ws_init(&ws, NULL, 1 << 20);
	/* The layout is put in front: a fuzzer would never guess it. */
	gbuf_u64(&out, fields_layout(&settings_fields));
	gbuf_str(&out, bytes);
	if (boot_decode(str_n(out.p, out.n), &s, &ws) == 1)
		settle(&settings_fields, &s);
	gbuf_free(&out);
	ws_free(&ws);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest;

	if (size == 0)
		return 0;
	policy_types_set(policies);
	rest = str_n((const char *)data + 1, size - 1);
	if (data[0] < CONF_KIND_COUNT)
		body((enum conf_kind)data[0], rest);
	else if (data[0] & 1)
		object(rest);
	else
		boot(rest);
	return 0;
}
