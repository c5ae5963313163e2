/* SPDX-License-Identifier: Apache-2.0
 *
 * A struct to its canonical bytes: for each row that differs from its default, in table order, the
 * row's index in one octet and its value, little endian. Equal content gives equal bytes, whatever
 * the file looked like; the content hash is taken over them.
 *
 *	bool u8 | int, duration, size u64 | float u64 (its bits) | enum u32
 *	string   u32 length, octets
 *	strings  u32 count, strings
 *	cidrs    u32 count, {u8 family 4 or 6, u8 bits, 4 or 16 octets}
 *	addr     u8 family 0, 4, 6 or 1 (Unix), then u16 port and octets, or a string
 *	group    u32 length, rows
 *	list     u32 count, groups
 *	policies u32 count, {string name, group}
 */
#include "conf/field.h"

#include "conf/field_text.h"
#include "conf/policy.h"
#include "shm/base/bug.h"

static void encode_value(const struct field *row, const void *at, struct gbuf *out);

static void
put_string(struct gbuf *out, struct str s)
{
	gbuf_u32(out, (uint32_t)s.n);
	gbuf_str(out, s);
}

/* The length is known only afterwards: written over its place. */
static void
patch_u32(struct gbuf *out, size_t at, size_t v)
{
	for (unsigned i = 0; i < 4; i++)
		out->p[at + i] = (char)(v >> (8 * i) & 0xff);
}

static void
put_group(const struct fields *f, const void *self, struct gbuf *out)
{
	size_t at = out->n;

	gbuf_u32(out, 0);
	fields_encode(f, self, out);
	patch_u32(out, at, out->n - at - 4);
}

static void
put_float(struct gbuf *out, double v)
{
	uint64_t bits;

	v = v == 0 ? 0 : v; /* minus zero is zero */
	memcpy(&bits, &v, sizeof(bits));
	gbuf_u64(out, bits);
}

static void
put_ip(struct gbuf *out, uint8_t family, const uint8_t *ip)
{
	gbuf_put(out, ip, family == AF_INET ? 4 : 16);
}

static uint8_t
family_code(uint8_t family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 6 : family == AF_UNIX ? 1 : 0;
}

static void
put_addr(struct gbuf *out, const struct addr *a)
{
	gbuf_u8(out, family_code(a->family));
	if (a->family == AF_UNIX) {
		put_string(out, str_n(a->path, strnlen(a->path, sizeof(a->path))));
	} else if (a->family != 0) {
		gbuf_u16(out, a->port);
		put_ip(out, a->family, a->ip);
	}
}

static void
put_cidrs(struct gbuf *out, const struct cidrs *list)
{
	gbuf_u32(out, list->n);
	for (uint32_t i = 0; i < list->n; i++) {
		gbuf_u8(out, family_code(list->v[i].family));
		gbuf_u8(out, list->v[i].bits);
		put_ip(out, list->v[i].family, list->v[i].ip);
	}
}

static void
put_strings(struct gbuf *out, const struct strs *list)
{
	gbuf_u32(out, list->n);
	for (uint32_t i = 0; i < list->n; i++)
		put_string(out, list->v[i]);
}

static void
put_list(const struct field *row, const struct conf_list *list, struct gbuf *out)
{
	gbuf_u32(out, list->n);
	for (uint32_t i = 0; i < list->n; i++)
		put_group(row->sub, (const char *)list->v + i * row->sub->size, out);
}

static void
put_policies(const struct conf_list *list, struct gbuf *out)
{
	const struct conf_policy *p = list->v;

	gbuf_u32(out, list->n);
	for (uint32_t i = 0; i < list->n; i++) {
		put_string(out, str_of(p[i].type->name));
		put_group(p[i].type->fields, p[i].conf, out);
	}
}

static void
encode_value(const struct field *row, const void *at, struct gbuf *out)
{
	switch (row->type) {
	case F_BOOL:
		gbuf_u8(out, *(const bool *)at);
		return;
	case F_INT:
		gbuf_u64(out, (uint64_t) * (const int64_t *)at);
		return;
	case F_DURATION:
	case F_SIZE:
		gbuf_u64(out, *(const uint64_t *)at);
		return;
	case F_FLOAT:
		put_float(out, *(const double *)at);
		return;
	case F_ENUM:
		gbuf_u32(out, (uint32_t) * (const int32_t *)at);
		return;
	case F_STRING:
		put_string(out, *(const struct str *)at);
		return;
	case F_STRINGS:
		put_strings(out, at);
		return;
	case F_CIDRS:
		put_cidrs(out, at);
		return;
	case F_ADDR:
		put_addr(out, at);
		return;
	case F_GROUP:
		put_group(row->sub, at, out);
		return;
	case F_LIST:
		put_list(row, at, out);
		return;
	case F_POLICIES:
		put_policies(at, out);
		return;
	}
}

/* Without a default the zero value is left out: told by its first bytes, with nothing parsed. */
static bool
is_zero(const struct field *row, const void *at)
{
	switch (row->type) {
	case F_BOOL:
		return !*(const bool *)at;
	case F_INT:
	case F_DURATION:
	case F_SIZE:
		return *(const uint64_t *)at == 0;
	case F_FLOAT:
		return *(const double *)at == 0;
	case F_ENUM:
		return *(const int32_t *)at == 0;
	case F_STRING:
		return ((const struct str *)at)->n == 0;
	case F_STRINGS:
		return ((const struct strs *)at)->n == 0;
	case F_CIDRS:
		return ((const struct cidrs *)at)->n == 0;
	case F_ADDR:
		return ((const struct addr *)at)->family == 0;
	default:
		return ((const struct conf_list *)at)->n == 0;
	}
}

static bool
list_is_default(const struct field *row, const void *at)
{
	union {
		struct strs strings;
		struct cidrs cidrs;
	} def;
	struct gbuf a = {0}, b = {0};
	const char *error;
	struct ws ws;
	bool same;

	ws_init(&ws, NULL, 0);
	BUG_ON(field_default(row, &def, &ws, &error) < 0);
	encode_value(row, at, &a);
	encode_value(row, &def, &b);
	same = a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
	gbuf_free(&a);
	gbuf_free(&b);
	ws_free(&ws);
	return same;
}

static bool
scalar_is_default(const struct field *row, const void *at)
{
	union {
		bool b;
		int64_t i;
		uint64_t u;
		double d;
		int32_t e;
		struct str s;
		struct addr a;
	} def;
	const char *error;

	BUG_ON(field_default(row, &def, NULL, &error) < 0);
	switch (row->type) {
	case F_BOOL:
		return *(const bool *)at == def.b;
	case F_FLOAT:
		return *(const double *)at == def.d;
	case F_ENUM:
		return *(const int32_t *)at == def.e;
	case F_STRING:
		return str_eq(*(const struct str *)at, def.s);
	case F_ADDR:
		return addr_eq(at, &def.a);
	default:
		return *(const uint64_t *)at == def.u;
	}
}

static bool
is_default(const struct field *row, const void *at)
{
	if (row->def == NULL)
		return is_zero(row, at);
	if (row->type == F_STRINGS || row->type == F_CIDRS)
		return list_is_default(row, at);
	return scalar_is_default(row, at);
}

/* A group is left out when nothing in it was written. */
static void
encode_group(unsigned i, const struct field *row, const void *at, struct gbuf *out)
{
	size_t before = out->n;

	gbuf_u8(out, (uint8_t)i);
	put_group(row->sub, at, out);
	if (out->n == before + 5)
		out->n = before;
}

void
fields_encode(const struct fields *f, const void *self, struct gbuf *out)
{
	BUG_ON(f->n > UINT8_MAX);
	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];
		const void *at = field_at(row, self);

		if (row->type == F_GROUP) {
			encode_group(i, row, at, out);
		} else if (!is_default(row, at)) {
			gbuf_u8(out, (uint8_t)i);
			encode_value(row, at, out);
		}
	}
}
