/* SPDX-License-Identifier: Apache-2.0
 *
 * See h2_hpack.h.
 */
#include "worker/http/h2_hpack.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"

#define STATIC_COUNT 61 /* RFC 7541 A */
#define ENTRY_COST   32
#define FIELD_MOST   24 /* octets a field takes beyond its name and value: three numbers */
#define RESIZE_MOST  12

/* First octets of representations, and bits of the number in them. */
enum { INDEXED = 0x80, ADDED = 0x40, RESIZED = 0x20, NEVER = 0x10, PLAIN = 0x00 };

struct hpack_entry {
	struct hpack_entry *next; /* of the same head, newer first */
	uint64_t hash;
	uint32_t number;
	uint16_t id;
	uint32_t name_n, value_n;
	char text[];
};

/* Names of the static table, by number. */
static const uint8_t static_names[H2_ID_COUNT] = {
    [HDR_HOST] = 38,
    [HDR_TRANSFER_ENCODING] = 57,
    [HDR_PROXY_AUTHENTICATE] = 48,
    [HDR_PROXY_AUTHORIZATION] = 49,
    [HDR_CONTENT_LENGTH] = 28,
    [HDR_CONTENT_TYPE] = 31,
    [HDR_EXPECT] = 35,
    [HDR_COOKIE] = 32,
    [HDR_SET_COOKIE] = 55,
    [HDR_AUTHORIZATION] = 23,
    [HDR_USER_AGENT] = 58,
    [HDR_REFERER] = 51,
    [HDR_ACCEPT] = 19,
    [HDR_ACCEPT_ENCODING] = 16,
    [HDR_CONTENT_ENCODING] = 26,
    [HDR_LOCATION] = 46,
    [HDR_SERVER] = 54,
    [HDR_DATE] = 33,
    [HDR_VIA] = 60,
    [H2_ID_METHOD] = 2,
    [H2_ID_SCHEME] = 6,
    [H2_ID_AUTHORITY] = 1,
    [H2_ID_PATH] = 4,
    [H2_ID_STATUS] = 8,
};

/* The rest of it, and which of them are hardly ever the same twice. */
#define NAME(text, at, once)                                                                       \
	{                                                                                          \
		{text, sizeof(text) - 1}, (at), (once)                                             \
	}
static const struct {
	struct str name;
	uint8_t at;
	bool once;
} other_names[] = {
    NAME("accept-charset", 15, false),
    NAME("accept-language", 17, false),
    NAME("accept-ranges", 18, false),
    NAME("access-control-allow-origin", 20, false),
    NAME("age", 21, true),
    NAME("allow", 22, false),
    NAME("cache-control", 24, false),
    NAME("content-disposition", 25, false),
    NAME("content-language", 27, false),
    NAME("content-location", 29, false),
    NAME("content-range", 30, true),
    NAME("etag", 34, true),
    NAME("expires", 36, false),
    NAME("from", 37, false),
    NAME("if-match", 39, true),
    NAME("if-modified-since", 40, true),
    NAME("if-none-match", 41, true),
    NAME("if-range", 42, true),
    NAME("if-unmodified-since", 43, true),
    NAME("last-modified", 44, false),
    NAME("link", 45, false),
    NAME("max-forwards", 47, false),
    NAME("range", 50, false),
    NAME("refresh", 52, false),
    NAME("retry-after", 53, false),
    NAME("strict-transport-security", 56, false),
    NAME("vary", 59, false),
    NAME("www-authenticate", 61, false),
};

/* --- octets ----------------------------------------------------------------------------------- */

/* RFC 7541 5.1 */
static uint8_t *
put_number(uint8_t *p, uint8_t first, unsigned bits, uint64_t v)
{
	uint8_t most = (uint8_t)((1u << bits) - 1);

	if (v < most) {
		*p++ = (uint8_t)(first | v);
		return p;
	}
	*p++ = first | most;
	for (v -= most; v >= 128; v >>= 7)
		*p++ = (uint8_t)(v | 128);
	*p++ = (uint8_t)v;
	return p;
}

static uint8_t *
put_text(uint8_t *p, struct str s)
{
	p = put_number(p, 0, 7, s.n);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

/* --- the table -------------------------------------------------------------------------------- */

#define MIX UINT64_C(0x9E3779B97F4A7C15)

static uint64_t
mix(uint64_t h, struct str s)
{
	uint64_t w = 0;
	size_t i = 0;

	for (; s.n - i >= 8; i += 8) {
		memcpy(&w, s.p + i, 8);
		h = (h ^ w) * MIX;
		h ^= h >> 29;
	}
	w = s.n;
	for (; i < s.n; i++)
		w = w << 8 | (uint8_t)s.p[i];
	h = (h ^ w) * MIX;
	return h ^ h >> 32;
}

static uint64_t
hash_of(const struct h2_nv *v)
{
	return mix(v->id != HDR_OTHER ? v->id * MIX : mix(MIX, v->name), v->value);
}

static bool
same(const struct hpack_entry *e, const struct h2_nv *v)
{
	return e->id == v->id && e->value_n == v->value.n &&
	       memcmp(e->text + e->name_n, v->value.p, v->value.n) == 0 &&
	       (v->id != HDR_OTHER ||
		   (e->name_n == v->name.n && memcmp(e->text, v->name.p, v->name.n) == 0));
}

static const struct hpack_entry *
find(const struct hpack *t, const struct h2_nv *v, uint64_t hash)
{
	const struct hpack_entry *e = t->heads[hash % HPACK_HEADS];

	while (e != NULL && (e->hash != hash || !same(e, v)))
		e = e->next;
	return e;
}

static uint32_t
index_of(const struct hpack *t, uint32_t number)
{
	return STATIC_COUNT + t->next - number;
}

static uint32_t
cost_of(size_t name, size_t value)
{
	return (uint32_t)(name + value) + ENTRY_COST;
}

static void
evict(struct hpack *t)
{
	struct hpack_entry *e = t->ring[t->oldest % HPACK_ENTRIES];
	struct hpack_entry **at = &t->heads[e->hash % HPACK_HEADS];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	t->size -= cost_of(e->name_n, e->value_n);
	t->oldest++;
	free(e);
}

static void
insert(struct hpack *t, const struct h2_nv *v, uint64_t hash)
{
	uint32_t cost = cost_of(v->name.n, v->value.n);
	struct hpack_entry *e = xmalloc(sizeof(*e) + v->name.n + v->value.n);

	while (t->size + cost > t->most) /* cost is less than that: see worth */
		evict(t);
	*e = (struct hpack_entry){.hash = hash,
	    .number = t->next,
	    .id = v->id,
	    .name_n = (uint32_t)v->name.n,
	    .value_n = (uint32_t)v->value.n,
	    .next = t->heads[hash % HPACK_HEADS]};
	memcpy(e->text, v->name.p, v->name.n);
	if (v->value.n > 0)
		memcpy(e->text + v->name.n, v->value.p, v->value.n);
	t->heads[hash % HPACK_HEADS] = e;
	t->ring[t->next % HPACK_ENTRIES] = e;
	t->next++;
	t->size += cost;
	if (v->id != HDR_OTHER)
		t->named[v->id] = t->next;
}

void
hpack_init(struct hpack *t)
{
	*t = (struct hpack){.most = HPACK_SIZE, .low = HPACK_SIZE};
}

void
hpack_fini(struct hpack *t)
{
	while (t->oldest != t->next)
		evict(t);
}

void
hpack_resize(struct hpack *t, uint32_t most)
{
	t->most = MIN(most, HPACK_SIZE);
	t->low = MIN(t->low, t->most);
	t->resized = true;
	while (t->size > t->most)
		evict(t);
}

/* --- fields ----------------------------------------------------------------------------------- */

static unsigned
static_status(struct str v)
{
	static const struct {
		char digits[4];
		uint8_t at;
	} table[] = {{"200", 8}, {"204", 9}, {"206", 10}, {"304", 11}, {"400", 12}, {"404", 13},
	    {"500", 14}};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (memcmp(table[i].digits, v.p, 3) == 0)
			return table[i].at;
	return 0;
}

/* Number in the static table of name and value; 0: it has none. */
static unsigned
static_field(const struct h2_nv *v)
{
	switch (v->id) {
	case H2_ID_METHOD:
		return str_eq(v->value, STR("GET")) ? 2 : str_eq(v->value, STR("POST")) ? 3 : 0;
	case H2_ID_PATH:
		return v->value.n == 1 && v->value.p[0] == '/' ? 4 : 0;
	case H2_ID_SCHEME:
		return v->value.n == 4 ? 6 : 7;
	case H2_ID_STATUS:
		return static_status(v->value);
	default:
		return 0;
	}
}

/* Does its like come again? */
static uint8_t
habit(const struct h2_nv *v)
{
	switch (v->id) {
	case H2_ID_PATH:
	case HDR_CONTENT_LENGTH:
	case HDR_LOCATION:
	case HDR_SET_COOKIE:
		return PLAIN;
	case HDR_AUTHORIZATION:
	case HDR_PROXY_AUTHORIZATION:
		return NEVER;
	case HDR_COOKIE: /* a short one could be guessed */
		return v->value.n < 20 ? NEVER : ADDED;
	default:
		return ADDED;
	}
}

/* Number of the name, 0 it has none; *once_r: such fields are not worth a place in the table. */
static uint32_t
name_of(const struct hpack *t, const struct h2_nv *v, bool *once_r)
{
	uint32_t at;

	*once_r = false;
	if (v->id == HDR_OTHER) {
		for (size_t i = 0; i < ARRAY_LEN(other_names); i++) {
			if (other_names[i].name.n != v->name.n ||
			    memcmp(other_names[i].name.p, v->name.p, v->name.n) != 0)
				continue;
			*once_r = other_names[i].once;
			return other_names[i].at;
		}
		return 0;
	}
	if (static_names[v->id] > 0)
		return static_names[v->id];
	at = t->named[v->id] - 1;
	/* Of the name, for numbers begin anew some day. */
	if (at - t->oldest < t->next - t->oldest && t->ring[at % HPACK_ENTRIES]->id == v->id)
		return index_of(t, at);
	return 0;
}

static bool
worth(const struct hpack *t, const struct h2_nv *v)
{
	return cost_of(v->name.n, v->value.n) <= t->most / 4 * 3;
}

/* `how`: the first octet. */
static uint8_t *
put_literal(struct hpack *t, const struct h2_nv *v, uint8_t how, uint64_t hash, uint8_t *p)
{
	bool once;
	uint32_t name = name_of(t, v, &once);

	if (v->index == H2_UNIQUE)
		how = name == 0 ? ADDED : NEVER;
	if (how == ADDED && (once || !worth(t, v)))
		how = PLAIN;
	p = put_number(p, how, how == ADDED ? 6 : 4, name);
	if (name == 0)
		p = put_text(p, v->name);
	p = put_text(p, v->value);
	if (how == ADDED)
		insert(t, v, hash != 0 ? hash : hash_of(v));
	return p;
}

static uint8_t *
put_field(struct hpack *t, const struct h2_nv *v, uint8_t *p)
{
	const struct hpack_entry *e;
	uint8_t how = NEVER;
	uint64_t hash = 0;
	unsigned at;

	if (v->index == H2_INDEX) {
		at = static_field(v);
		if (at > 0)
			return put_number(p, INDEXED, 7, at);
		how = habit(v);
	}
	if (how == ADDED) {
		hash = hash_of(v);
		e = find(t, v, hash);
		if (e != NULL)
			return put_number(p, INDEXED, 7, index_of(t, e->number));
	}
	return put_literal(t, v, how, hash, p);
}

size_t
hpack_bound(const struct h2_nv *v, size_t n)
{
	size_t all = RESIZE_MOST;

	for (size_t i = 0; i < n; i++)
		all += v[i].name.n + v[i].value.n + FIELD_MOST;
	return all;
}

size_t
hpack_encode(struct hpack *t, const struct h2_nv *v, size_t n, uint8_t *out)
{
	uint8_t *p = out;

	if (t->resized) { /* RFC 7541 4.2: the least it was in between, and what it is now */
		if (t->low < t->most)
			p = put_number(p, RESIZED, 5, t->low);
		p = put_number(p, RESIZED, 5, t->most);
		t->resized = false;
		t->low = t->most;
	}
	for (size_t i = 0; i < n; i++)
		p = put_field(t, &v[i], p);
	return (size_t)(p - out);
}
