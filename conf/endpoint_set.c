/* SPDX-License-Identifier: Apache-2.0
 *
 * See endpoint_set.h. Offsets of texts are relative to the value's start, like all offsets in the
 * map; while a set is being made they are relative to the text, and `end` moves them.
 */
#include "conf/endpoint_set.h"

#include "shm/base/bug.h"

#define SET_HEAD   36 /* image head, digest, rows, count */
#define ENTRY      48
#define ENTRY_TEXT 32
#define TEXTS      4

enum { FLAG_UNRESOLVED = 1, FLAG_TLS = 2 };
enum { FAMILY_NONE = 0, FAMILY_UNIX = 1, FAMILY_V4 = 4, FAMILY_V6 = 6 };

static uint8_t
family_code(uint8_t af)
{
	switch (af) {
	case AF_INET:
		return FAMILY_V4;
	case AF_INET6:
		return FAMILY_V6;
	case AF_UNIX:
		return FAMILY_UNIX;
	}
	return FAMILY_NONE;
}

static void
put_text(struct endpoint_bytes *b, struct str s)
{
	size_t at = b->text.n;
	ssize_t found = s.n > 0 && at > 0 ? str_find(str_n(b->text.p, at), s) : -1;

	if (found < 0)
		gbuf_str(&b->text, s);
	else
		at = (size_t)found; /* most endpoints of a service share their texts */
	gbuf_u16(&b->entries, (uint16_t)MIN(at, (size_t)UINT16_MAX));
	gbuf_u16(&b->entries, (uint16_t)MIN(s.n, (size_t)UINT16_MAX));
}

void
endpoint_bytes_add(struct endpoint_bytes *b, const struct endpoint_ref *e)
{
	uint8_t family = family_code(e->addr.family);
	uint8_t ip[16] = {0};

	if (family == FAMILY_V4 || family == FAMILY_V6)
		memcpy(ip, e->addr.ip, family == FAMILY_V4 ? 4 : 16);
	gbuf_u32(&b->entries, e->row);
	gbuf_u32(&b->entries, e->incarnation);
	gbuf_u32(&b->entries, e->weight);
	gbuf_u16(&b->entries, e->addr.port);
	gbuf_u8(&b->entries, family);
	gbuf_u8(&b->entries,
	    (uint8_t)((e->unresolved ? FLAG_UNRESOLVED : 0) | (e->tls ? FLAG_TLS : 0)));
	gbuf_put(&b->entries, ip, sizeof(ip));
	put_text(b, e->host);
	put_text(b, e->base_path);
	put_text(b, e->name);
	put_text(b, e->error);
	b->n++;
}

static void
move_texts(struct endpoint_bytes *b)
{
	size_t by = SET_HEAD + b->entries.n;

	for (uint32_t i = 0; i < b->n * TEXTS; i++) {
		char *p = b->entries.p + i / TEXTS * ENTRY + ENTRY_TEXT + i % TEXTS * 4;
		uint16_t at;

		memcpy(&at, p, sizeof(at));
		at = htole16((uint16_t)(le16toh(at) + by));
		memcpy(p, &at, sizeof(at));
	}
}

int
endpoint_bytes_end(
    struct endpoint_bytes *b, uint32_t service_row, uint32_t service_incarnation, struct gbuf *out)
{
	int ok = SET_HEAD + b->entries.n + b->text.n <= IMAGE_MAX ? 1 : -1;
	struct gbuf body = {0};
	struct digest d;
	size_t at;

	if (ok == 1) {
		move_texts(b);
		gbuf_u32(&body, service_row);
		gbuf_u32(&body, service_incarnation);
		gbuf_u32(&body, b->n);
		gbuf_put(&body, b->entries.p, b->entries.n);
		gbuf_put(&body, b->text.p, b->text.n);
		d = digest_of(str_n(body.p, body.n));
		at = image_begin(out, 'E');
		gbuf_put(out, d.b, sizeof(d.b));
		gbuf_put(out, body.p, body.n);
		image_end(out, at);
	}
	gbuf_free(&body);
	gbuf_free(&b->entries);
	gbuf_free(&b->text);
	return ok;
}

int
endpoint_set_open(struct str value, struct endpoint_set *s_r)
{
	struct endpoint_set s = {.bytes = value};
	struct str body, digest;
	struct rbuf r;

	if (value.n > IMAGE_MAX || image_open(value, 'E', &body) < 0)
		return -1;
	r = rbuf_of(body);
	digest = rbuf_bytes(&r, sizeof(s.digest.b));
	s.service_row = rbuf_u32(&r);
	s.service_incarnation = rbuf_u32(&r);
	s.n = rbuf_u32(&r);
	if (r.bad || s.n > (value.n - SET_HEAD) / ENTRY)
		return -1;
	memcpy(s.digest.b, digest.p, sizeof(s.digest.b));
	*s_r = s;
	return 1;
}

static int
get_text(const struct endpoint_set *s, struct rbuf *r, struct str *text_r)
{
	uint16_t at = rbuf_u16(r), n = rbuf_u16(r);

	if (at > s->bytes.n || n > s->bytes.n - at)
		return -1;
	*text_r = str_n(s->bytes.p + at, n);
	return 1;
}

static int
get_addr(uint8_t family, uint16_t port, struct str ip, struct str name, struct addr *a)
{
	*a = (struct addr){.port = port};
	switch (family) {
	case FAMILY_NONE:
		return 1;
	case FAMILY_V4:
		a->family = AF_INET;
		memcpy(a->ip, ip.p, 4);
		return 1;
	case FAMILY_V6:
		a->family = AF_INET6;
		memcpy(a->ip, ip.p, 16);
		return 1;
	case FAMILY_UNIX:
		if (!str_starts(name, STR("unix:")) || name.n - 5 >= sizeof(a->path))
			return -1;
		a->family = AF_UNIX;
		memcpy(a->path, name.p + 5, name.n - 5);
		return 1;
	}
	return -1;
}

int
endpoint_set_get(const struct endpoint_set *s, uint32_t i, struct endpoint_ref *e_r)
{
	struct endpoint_ref e;
	uint8_t family, flags;
	struct rbuf r;
	struct str ip;
	uint16_t port;

	if (i >= s->n)
		return -1;
	r = rbuf_of(str_sub(s->bytes, SET_HEAD + (size_t)i * ENTRY, s->bytes.n));
	e.row = rbuf_u32(&r);
	e.incarnation = rbuf_u32(&r);
	e.weight = rbuf_u32(&r);
	port = rbuf_u16(&r);
	family = rbuf_u8(&r);
	flags = rbuf_u8(&r);
	ip = rbuf_bytes(&r, 16);
	e.unresolved = (flags & FLAG_UNRESOLVED) != 0;
	e.tls = (flags & FLAG_TLS) != 0;
	if (get_text(s, &r, &e.host) < 0 || get_text(s, &r, &e.base_path) < 0 ||
	    get_text(s, &r, &e.name) < 0 || get_text(s, &r, &e.error) < 0 || r.bad ||
	    get_addr(family, port, ip, e.name, &e.addr) < 0)
		return -1;
	*e_r = e;
	return 1;
}

struct str
endpoint_addr_name(bool tls, const struct addr *a, char text[ENDPOINT_NAME])
{
	struct str scheme = tls ? STR("https://") : STR("");

	memcpy(text, scheme.p, scheme.n);
	return str_n(text, scheme.n + addr_text(a, text + scheme.n, ENDPOINT_NAME - scheme.n));
}

bool
endpoint_ref_same(const struct endpoint_ref *a, const struct endpoint_ref *b)
{
	if (a->unresolved != b->unresolved || a->tls != b->tls)
		return false;
	return a->unresolved ? str_eq(a->name, b->name) : addr_eq(&a->addr, &b->addr);
}
