/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical bytes back to a struct (the format stands in field_encode.c). The bytes may come from
 * another process: every length, count, index and range is checked, and a count never makes us
 * allocate for more members than octets are left for.
 */
#include "conf/field.h"

#include <math.h>

#include "conf/field_text.h"
#include "conf/policy.h"

#define DECODE_DEPTH 8 /* groups within groups */

static int decode_rows(
    const struct fields *f, struct rbuf *r, void *self, struct ws *ws, unsigned depth);

static size_t
left(const struct rbuf *r)
{
	return r->bad ? 0 : r->n - r->at;
}

static struct str
get_bytes(struct rbuf *r)
{
	return rbuf_bytes(r, rbuf_u32(r));
}

/* Copied: the bytes may be a map page that goes away. */
static int
get_string(struct rbuf *r, struct str *s_r, struct ws *ws)
{
	struct str s = get_bytes(r);

	if (r->bad)
		return -1;
	*s_r = ws_str(ws, s);
	return s_r->p != NULL ? 1 : -1;
}

/* A count of members of at least `each` octets. */
static int
get_count(struct rbuf *r, size_t each, uint32_t *n_r)
{
	uint32_t n = rbuf_u32(r);

	if (r->bad || n > left(r) / each)
		return -1;
	*n_r = n;
	return 1;
}

static int
get_group(const struct fields *f, struct rbuf *r, void *self, struct ws *ws, unsigned depth)
{
	struct str bytes = get_bytes(r);
	struct rbuf inner;

	if (r->bad || depth >= DECODE_DEPTH)
		return -1;
	inner = rbuf_of(bytes);
	return decode_rows(f, &inner, self, ws, depth + 1);
}

static int
get_bool(struct rbuf *r, bool *v_r)
{
	uint8_t v = rbuf_u8(r);

	if (r->bad || v > 1)
		return -1;
	*v_r = v;
	return 1;
}

static int
get_number(const struct field *row, struct rbuf *r, uint64_t *v_r)
{
	*v_r = rbuf_u64(r);
	return !r->bad && field_in_range(row, v_r) ? 1 : -1;
}

static int
get_float(const struct field *row, struct rbuf *r, double *v_r)
{
	uint64_t bits = rbuf_u64(r);

	memcpy(v_r, &bits, sizeof(bits));
	return !r->bad && isfinite(*v_r) && field_in_range(row, v_r) ? 1 : -1;
}

static int
get_enum(const struct field *row, struct rbuf *r, int32_t *v_r)
{
	uint32_t v = rbuf_u32(r), n = 0;

	while (row->names[n] != NULL)
		n++;
	if (r->bad || v >= n)
		return -1;
	*v_r = (int32_t)v;
	return 1;
}

static int
get_ip(struct rbuf *r, uint8_t code, uint8_t *family_r, uint8_t *ip)
{
	struct str bytes = rbuf_bytes(r, code == 4 ? 4 : 16);

	if (r->bad || (code != 4 && code != 6))
		return -1;
	*family_r = code == 4 ? AF_INET : AF_INET6;
	memcpy(ip, bytes.p, bytes.n);
	return 1;
}

static int
get_unix(struct rbuf *r, struct addr *a)
{
	struct str path = get_bytes(r);

	if (r->bad || path.n == 0 || path.n >= sizeof(a->path) ||
	    memchr(path.p, '\0', path.n) != NULL)
		return -1;
	a->family = AF_UNIX;
	memcpy(a->path, path.p, path.n);
	return 1;
}

static int
get_addr(struct rbuf *r, struct addr *a)
{
	uint8_t code = rbuf_u8(r);

	memset(a, 0, sizeof(*a));
	if (code == 0)
		return r->bad ? -1 : 1;
	if (code == 1)
		return get_unix(r, a);
	a->port = rbuf_u16(r);
	return get_ip(r, code, &a->family, a->ip);
}

static int
get_cidr(struct rbuf *r, struct cidr *c)
{
	uint8_t code = rbuf_u8(r);

	c->bits = rbuf_u8(r);
	if (get_ip(r, code, &c->family, c->ip) < 0)
		return -1;
	return c->bits <= (code == 4 ? 32 : 128) ? 1 : -1;
}

static int
get_cidrs(struct rbuf *r, struct cidrs *list, struct ws *ws)
{
	struct cidr *v;
	uint32_t n;

	if (get_count(r, 6, &n) < 0 || (v = ws_zalloc(ws, n * sizeof(*v))) == NULL)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (get_cidr(r, &v[i]) < 0)
			return -1;
	*list = (struct cidrs){v, n};
	return 1;
}

static int
get_strings(struct rbuf *r, struct strs *list, struct ws *ws)
{
	struct str *v;
	uint32_t n;

	if (get_count(r, 4, &n) < 0 || (v = ws_zalloc(ws, n * sizeof(*v))) == NULL)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (get_string(r, &v[i], ws) < 0)
			return -1;
	*list = (struct strs){v, n};
	return 1;
}

static int
get_list(
    const struct fields *f, struct rbuf *r, struct conf_list *list, struct ws *ws, unsigned depth)
{
	uint32_t n;
	char *v;

	if (get_count(r, 4, &n) < 0 || (v = ws_zalloc(ws, n * f->size)) == NULL)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (get_group(f, r, v + i * f->size, ws, depth) < 0)
			return -1;
	*list = (struct conf_list){v, n};
	return 1;
}

static int
get_policy(struct rbuf *r, struct conf_policy *p, struct ws *ws, unsigned depth)
{
	struct str name = get_bytes(r);

	p->type = r->bad ? NULL : policy_type_find(name);
	if (p->type == NULL || (p->conf = ws_zalloc(ws, p->type->fields->size)) == NULL)
		return -1;
	return get_group(p->type->fields, r, p->conf, ws, depth);
}

static int
get_policies(struct rbuf *r, struct conf_list *list, struct ws *ws, unsigned depth)
{
	struct conf_policy *v;
	uint32_t n;

	if (get_count(r, 8, &n) < 0 || (v = ws_zalloc(ws, n * sizeof(*v))) == NULL)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (get_policy(r, &v[i], ws, depth) < 0)
			return -1;
	*list = (struct conf_list){v, n};
	return 1;
}

static int
decode_value(const struct field *row, struct rbuf *r, void *at, struct ws *ws, unsigned depth)
{
	switch (row->type) {
	case F_BOOL:
		return get_bool(r, at);
	case F_INT:
	case F_DURATION:
	case F_SIZE:
		return get_number(row, r, at);
	case F_FLOAT:
		return get_float(row, r, at);
	case F_ENUM:
		return get_enum(row, r, at);
	case F_STRING:
		return get_string(r, at, ws);
	case F_STRINGS:
		return get_strings(r, at, ws);
	case F_CIDRS:
		return get_cidrs(r, at, ws);
	case F_ADDR:
		return get_addr(r, at);
	case F_GROUP:
		return get_group(row->sub, r, at, ws, depth);
	case F_LIST:
		return get_list(row->sub, r, at, ws, depth);
	case F_POLICIES:
		return get_policies(r, at, ws, depth);
	}
	return -1;
}

static int
decode_rows(const struct fields *f, struct rbuf *r, void *self, struct ws *ws, unsigned depth)
{
	fields_default(f, self);
	for (int last = -1; left(r) > 0;) {
		uint8_t i = rbuf_u8(r);

		/* Ascending: a row cannot come twice, so equal content stays equal bytes. */
		if (i >= f->n || (int)i <= last)
			return -1;
		if (decode_value(&f->v[i], r, field_at(&f->v[i], self), ws, depth) < 0)
			return -1;
		last = i;
	}
	return rbuf_done(r) && !ws->overflow ? 1 : -1;
}

int
fields_decode(const struct fields *f, struct str bytes, void *self, struct ws *ws)
{
	struct rbuf r = rbuf_of(bytes);

	return decode_rows(f, &r, self, ws, 0);
}
