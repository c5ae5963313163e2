/* SPDX-License-Identifier: Apache-2.0
 *
 * A field of HTTP/2 as it comes, into struct head. What a connection's table of HPACK holds comes
 * again and again, as the same two buffers: what was found out about such a pair is kept, and the
 * buffers with it, so that nobody else's octets can ever lie at their place.
 */
#include "worker/http/h2_priv.h"

#include "shm/base/base.h"
#include "shm/base/num.h"
#include "worker/http/octet.h"
#include "worker/http/url.h"

#define FIELD_COST 32  /* RFC 9113 6.5.2 */
#define KNOWN_MOST 256 /* octets of a value that is remembered */

enum kind { REGULAR, METHOD, TARGET, SCHEME, AUTHORITY, PROTOCOL, STATUS, UNKNOWN };

int
h2_refuse(struct h2_stream *s, enum reason why)
{
	if (!s->x.why)
		s->x.why = s->c->server ? why : REASON_BAD_UPSTREAM;
	return 0;
}

/* --- what it is ------------------------------------------------------------------------------- */

static enum kind
pseudo_kind(struct str name)
{
	static const struct {
		struct str name;
		enum kind kind;
	} table[] = {
	    {{":path", 5}, TARGET},
	    {{":status", 7}, STATUS},
	    {{":method", 7}, METHOD},
	    {{":scheme", 7}, SCHEME},
	    {{":authority", 10}, AUTHORITY},
	    {{":protocol", 9}, PROTOCOL},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (str_eq(name, table[i].name))
			return table[i].kind;
	return UNKNOWN;
}

/* The number a value stands for. */
static uint16_t
number_of(enum kind kind, struct str value)
{
	uint64_t status = 0;
	const char *error;

	if (kind == METHOD)
		return (uint16_t)method_of(value);
	if (kind == STATUS && value.n == 3 && num_u64(value, 599, &status, &error) == 1 &&
	    status >= 100)
		return (uint16_t)status;
	return 0;
}

/* Length of the host in an authority that is written as it is matched; else 0. */
static uint16_t
host_of(struct str raw)
{
	struct str all, host;
	uint16_t port, n = 0;
	struct ws ws;

	ws_init(&ws, NULL, 0);
	if (url_authority(raw, &ws, &all, &host, &port) == 1 && str_eq(raw, all))
		n = (uint16_t)host.n;
	ws_free(&ws);
	return n;
}

/* Fit for a head? 1 or 0. */
static int
look(struct h2_known *k, struct str name, struct str value)
{
	if (name.n == 0 || !octet_text(value))
		return 0;
	k->id = HDR_OTHER;
	if (name.p[0] == ':') {
		k->kind = (uint8_t)pseudo_kind(name);
		k->number = number_of((enum kind)k->kind, value);
		return 1;
	}
	k->kind = REGULAR;
	k->id = (uint16_t)hdr_lookup(name);
	return k->id != HDR_OTHER || octet_token(name);
}

/* --- what is known ---------------------------------------------------------------------------- */

static struct h2_known_set *
set_of(struct h2_pool *p, const nghttp2_rcbuf *name, const nghttp2_rcbuf *value)
{
	uint64_t at = ((uint64_t)(uintptr_t)value + (uint64_t)(uintptr_t)name * 7) *
		      UINT64_C(0x9E3779B97F4A7C15);

	return &p->known[at >> 32 & (H2_KNOWN - 1)];
}

static const struct h2_known *
known(const struct h2_known_set *set, const nghttp2_rcbuf *name, const nghttp2_rcbuf *value)
{
	for (size_t i = 0; i < H2_KNOWN_WAYS; i++)
		if (set->way[i].value == value && set->way[i].name == name)
			return &set->way[i];
	return NULL;
}

static void
forget(struct h2_known *k)
{
	if (k->name) {
		nghttp2_rcbuf_decref(k->name);
		nghttp2_rcbuf_decref(k->value);
	}
	k->name = k->value = NULL;
}

void
h2_known_free(struct h2_pool *p)
{
	for (size_t i = 0; i < H2_KNOWN; i++)
		for (size_t j = 0; j < H2_KNOWN_WAYS; j++)
			forget(&p->known[i].way[j]);
}

/* What differs from message to message is seldom put into a table, and its place soon another's. */
static bool
repeats(const struct h2_known *k)
{
	return k->kind != TARGET && k->id != HDR_CONTENT_LENGTH && k->id != HDR_LOCATION &&
	       k->id != HDR_SET_COOKIE && (hdr_flags(k->id) & HDR_UNIQUE) == 0;
}

/* Did such a pair come shortly before? */
static bool
seen(struct h2_known_set *set, const nghttp2_rcbuf *name, const nghttp2_rcbuf *value)
{
	for (size_t i = 0; i < ARRAY_LEN(set->seen); i++)
		if (set->seen[i].value == value && set->seen[i].name == name)
			return true;
	set->seen[set->next_seen].name = name;
	set->seen[set->next_seen].value = value;
	set->next_seen = (set->next_seen + 1) % ARRAY_LEN(set->seen);
	return false;
}

static void
remember(struct h2_known_set *set, struct h2_known *k, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
    struct str text)
{
	struct h2_known *way;

	if (!seen(set, name, value) || text.n > KNOWN_MOST)
		return;
	way = &set->way[set->next_way];
	set->next_way = (set->next_way + 1) % H2_KNOWN_WAYS;
	nghttp2_rcbuf_incref(name);
	nghttp2_rcbuf_incref(value);
	forget(way);
	if (k->kind == AUTHORITY)
		k->number = host_of(text);
	*way = *k;
	way->name = name;
	way->value = value;
}

/* --- into the head ---------------------------------------------------------------------------- */

static int
pseudo(struct h2_stream *s, const struct h2_known *k, struct str value)
{
	struct head *h = s->x.rx;

	switch ((enum kind)k->kind) {
	case METHOD:
		h->method_text = value;
		h->method = (enum http_method)k->number;
		return 1;
	case TARGET:
		h->target = value;
		return 1;
	case SCHEME:
		h->scheme = value;
		return 1;
	case AUTHORITY:
		h->authority = value;
		s->host_n = k->number;
		return 1;
	case PROTOCOL:
		s->protocol = value;
		return 1;
	case STATUS:
		h->status = k->number;
		return k->number > 0 ? 1 : h2_refuse(s, REASON_BAD_UPSTREAM);
	default:
		return h2_refuse(s, REASON_BAD_HEADER);
	}
}

static bool
add_trailer(struct head *h, const struct hdr *f)
{
	struct hdr *v;

	if ((h->n_trailers & (h->n_trailers - 1)) == 0) { /* full at each power of two */
		v = ws_alloc(h->ws, MAX(h->n_trailers * 2, 4u) * sizeof(*v));
		if (v == NULL)
			return false;
		if (h->n_trailers > 0)
			memcpy(v, h->trailers, h->n_trailers * sizeof(*v));
		h->trailers = v;
	}
	h->trailers[h->n_trailers++] = *f;
	return true;
}

/* What must not come behind a message, for it frames, routes or authenticates (RFC 9110 6.5.1). */
static bool
never_trails(enum hdr_id id, struct str name)
{
	if (id == HDR_OTHER)
		id = hdr_lookup_alike(name);
	return (hdr_flags(id) & (HDR_HOP | HDR_FORBID_CONN)) != 0 || id == HDR_SET_COOKIE ||
	       name.p[0] == ':';
}

static int
regular(struct h2_stream *s, const struct h2_known *k, struct str name, struct str v, bool literal)
{
	enum hdr_id id = k->id;
	struct head *h = s->x.rx;
	struct str n = id != HDR_OTHER ? hdr_name(id) : ws_str(h->ws, name);

	if (n.p == NULL)
		return h2_refuse(s, REASON_HEADERS_TOO_LARGE);
	if (s->trailing)
		return never_trails(id, n) ||
		       add_trailer(
			   h, &(struct hdr){
				  .name = n, .value = v, .id = (uint16_t)id, .checked = true});
	if (id != HDR_OTHER ? !head_add_id(h, id, v) : !head_add_other(h, n, v))
		return h2_refuse(s, REASON_HEADERS_TOO_LARGE);
	h->h[h->n - 1].checked = true;
	h->h[h->n - 1].literal = literal;
	return 1;
}

static bool
count(struct h2_stream *s, uint32_t cost)
{
	const struct h2_limits *l = &s->c->limits;

	s->head_held += cost;
	s->c->head_octets += cost;
	return s->head_size <= l->headers && s->c->head_octets <= (uint64_t)H2_HEADS * l->headers &&
	       ++s->head_count <= l->count;
}

static struct str
text_of(nghttp2_rcbuf *b)
{
	nghttp2_vec v = nghttp2_rcbuf_get_buf(b);

	return (struct str){(const char *)v.base, v.len};
}

/* What is not known is looked at, and that kept in *found. NULL: it is not fit for a head. */
static const struct h2_known *
find_out(struct h2_pool *p, nghttp2_rcbuf *name, nghttp2_rcbuf *value, struct str text,
    bool literal, struct h2_known *found)
{
	struct h2_known_set *set = set_of(p, name, value);
	const struct h2_known *k = known(set, name, value);

	if (k)
		return k;
	*found = (struct h2_known){0};
	if (!look(found, text_of(name), text))
		return NULL;
	if (!literal && repeats(found))
		remember(set, found, name, value, text);
	return found;
}

int
h2_field(struct h2_stream *s, nghttp2_rcbuf *name, nghttp2_rcbuf *value, bool literal)
{
	struct str n = text_of(name), raw = text_of(value), v;
	uint32_t cost = (uint32_t)(n.n + raw.n) + FIELD_COST;
	struct head *h = s->x.rx;
	const struct h2_known *k;
	struct h2_known found;

	s->x.rx_bytes += n.n + raw.n;
	s->head_size += cost;
	if (s->x.why || !h || s->reset)
		return 0;
	if (!count(s, cost))
		return h2_refuse(s, REASON_HEADERS_TOO_LARGE);
	k = find_out(s->c->pool, name, value, raw, literal, &found);
	if (k == NULL)
		return h2_refuse(s, REASON_BAD_HEADER);
	v = ws_str(h->ws, raw);
	if (v.p == NULL)
		return h2_refuse(s, REASON_HEADERS_TOO_LARGE);
	return k->kind != REGULAR && !s->trailing ? pseudo(s, k, v) : regular(s, k, n, v, literal);
}
