/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration objects: the table of kinds, identity and content hash, and the bytes of a stored
 * object:
 *
 *	u8 kind, u32 number, u64 version, u32 line, digest (16),
 *	string id, string source, string file, string override, string body
 *
 * A string is its length and its octets; a length is a u8, or 255 and a u32; little endian.
 */
#include "conf/object.h"

#include <endian.h>

#include "conf/certificate.h"
#include "conf/listener.h"
#include "conf/route.h"
#include "conf/service.h"
#include "conf/settings.h"
#include "shm/base/bug.h"

#define LENGTH_LONG  255u
#define DIGEST_SMALL 512 /* octets hashed in one piece */

#define FIELDS_conf_settings    settings_fields
#define FIELDS_conf_listener    listener_fields
#define FIELDS_conf_service     service_fields
#define FIELDS_conf_route       route_fields
#define FIELDS_conf_certificate certificate_fields

const struct object_kind object_kinds[CONF_KIND_COUNT] = {
#define OBJECT(KIND, type, list, word) [CONF_##KIND] = {list, word, &FIELDS_##type},
#include "conf/objects.def"
#undef OBJECT
};

uint32_t
source_rank(struct str source)
{
	static const char *const order[] = {"admin", "console", "file"};
	uint32_t i = 0;

	while (i < ARRAY_LEN(order) && !str_eq(source, str_of(order[i])))
		i++;
	return i;
}

static bool
id_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

bool
object_id_ok(struct str id)
{
	if (id.n == 0 || id.n > 63)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (!id_char(id.p[i]))
			return false;
	return true;
}

static void
put_string(struct gbuf *out, struct str s)
{
	gbuf_u8(out, (uint8_t)MIN(s.n, LENGTH_LONG));
	if (s.n >= LENGTH_LONG)
		gbuf_u32(out, (uint32_t)s.n);
	gbuf_str(out, s);
}

static size_t
string_size(struct str s)
{
	return 1 + (s.n >= LENGTH_LONG ? sizeof(uint32_t) : 0) + s.n;
}

struct digest
object_digest(enum conf_kind kind, struct str id, struct str body)
{
	uint32_t length = htole32((uint32_t)id.n);
	uint8_t text[DIGEST_SMALL] = {(uint8_t)kind}, full[HASH_SHA256];
	struct str parts[3] = {str_n((const char *)text, 5), id, body};
	unsigned n = ARRAY_LEN(parts);
	struct digest d;

	memcpy(text + 1, &length, sizeof(length));
	/* Most objects are small, and one part costs less than three. */
	if (5 + id.n + body.n <= sizeof(text) && id.n > 0 && body.n > 0) {
		memcpy(text + 5, id.p, id.n);
		memcpy(text + 5 + id.n, body.p, body.n);
		parts[0].n = 5 + id.n + body.n;
		n = 1;
	}
	hash_sha256(parts, n, full);
	memcpy(d.b, full, sizeof(d.b));
	return d;
}

void
object_encode(const struct conf_object *o, struct gbuf *out)
{
	gbuf_u8(out, (uint8_t)o->kind);
	gbuf_u32(out, o->number);
	gbuf_u64(out, o->version);
	gbuf_u32(out, o->line);
	gbuf_put(out, o->digest.b, sizeof(o->digest.b));
	put_string(out, o->id);
	put_string(out, o->source);
	put_string(out, o->file);
	put_string(out, o->override);
	put_string(out, o->body);
}

size_t
object_size(const struct conf_object *o)
{
	return 1 + 4 + 8 + 4 + sizeof(o->digest.b) + string_size(o->id) + string_size(o->source) +
	       string_size(o->file) + string_size(o->override) + string_size(o->body);
}

static struct str
get_string(struct rbuf *r)
{
	uint32_t n = rbuf_u8(r);

	return rbuf_bytes(r, n == LENGTH_LONG ? rbuf_u32(r) : n);
}

int
object_decode(struct str bytes, struct conf_object *o_r)
{
	struct rbuf r = rbuf_of(bytes);
	struct conf_object o = {0};
	uint8_t kind = rbuf_u8(&r);
	struct str digest;

	o.number = rbuf_u32(&r);
	o.version = rbuf_u64(&r);
	o.line = rbuf_u32(&r);
	digest = rbuf_bytes(&r, sizeof(o.digest.b));
	o.id = get_string(&r);
	o.source = get_string(&r);
	o.file = get_string(&r);
	o.override = get_string(&r);
	o.body = get_string(&r);
	if (!rbuf_done(&r) || kind >= CONF_KIND_COUNT || !object_id_ok(o.id))
		return -1;
	o.kind = (enum conf_kind)kind;
	memcpy(o.digest.b, digest.p, sizeof(o.digest.b));
	*o_r = o;
	return 1;
}

void *
object_body(const struct conf_object *o, struct ws *ws)
{
	const struct fields *f = object_kinds[o->kind].fields;
	void *self = ws_alloc(ws, f->size);

	if (self == NULL || fields_decode(f, o->body, self, ws) < 0)
		return NULL;
	return self;
}
