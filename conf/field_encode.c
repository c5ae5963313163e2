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

#include "conf/policy.h"

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

void
field_encode(const struct field *row, const void *at, struct gbuf *out)
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

/* --- what is left out --------------------------------------------------------------------------
 */

static bool
cidrs_equal(const struct cidrs *a, const struct cidrs *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (a->v[i].family != b->v[i].family || a->v[i].bits != b->v[i].bits ||
		    memcmp(a->v[i].ip, b->v[i].ip, a->v[i].family == AF_INET ? 4 : 16) != 0)
			return false;
	return true;
}

static bool
is_default(const struct field *row, const void *at, const void *def)
{
	switch (row->type) {
	case F_BOOL:
		return *(const bool *)at == *(const bool *)def;
	case F_INT:
	case F_DURATION:
	case F_SIZE:
		return *(const uint64_t *)at == *(const uint64_t *)def;
	case F_FLOAT:
		return *(const double *)at == *(const double *)def;
	case F_ENUM:
		return *(const int32_t *)at == *(const int32_t *)def;
	case F_STRING:
		return str_eq(*(const struct str *)at, *(const struct str *)def);
	case F_STRINGS:
		return strs_eq(at, def);
	case F_CIDRS:
		return cidrs_equal(at, def);
	case F_ADDR:
		return addr_eq(at, def);
	default: /* a list of groups: by default there is none */
		return ((const struct conf_list *)at)->n == 0;
	}
}

static void encode_rows(
    const struct fields *f, const void *self, const void *def, struct gbuf *out);

/* A group is left out when nothing in it was written: most of them are as they were begun. */
static void
encode_group(unsigned i, const struct field *row, const void *at, const void *def, struct gbuf *out)
{
	size_t before = out->n;

	if (memcmp(at, def, row->sub->size) == 0)
		return;
	gbuf_u8(out, (uint8_t)i);
	gbuf_u32(out, 0);
	encode_rows(row->sub, at, def, out);
	patch_u32(out, before + 1, out->n - before - 5);
	if (out->n == before + 5)
		out->n = before;
}

static void
encode_rows(const struct fields *f, const void *self, const void *def, struct gbuf *out)
{
	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];
		const void *at = field_at(row, self);

		if (row->type == F_GROUP) {
			encode_group(i, row, at, field_at(row, def), out);
		} else if (!is_default(row, at, field_at(row, def))) {
			gbuf_u8(out, (uint8_t)i);
			field_encode(row, at, out);
		}
	}
}

bool
field_is_default(const struct fields *f, const struct field *row, const void *self)
{
	const void *at = field_at(row, self), *def = field_at(row, fields_defaults(f));
	struct gbuf out = {0};
	bool left_out;

	if (row->type != F_GROUP)
		return is_default(row, at, def);
	encode_group(0, row, at, def, &out);
	left_out = out.n == 0;
	gbuf_free(&out);
	return left_out;
}

void
fields_encode(const struct fields *f, const void *self, struct gbuf *out)
{
	encode_rows(f, self, fields_defaults(f), out);
}
