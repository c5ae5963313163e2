/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields of HTTP/2 into struct head and back (RFC 9113 8). nghttp2 has looked at pseudo fields,
 * upper-case names and connection fields; what is matched and forwarded is looked at again here, by
 * the same rules as HTTP/1.1's, because older versions of it look less closely.
 */
#include "worker/http/h2_priv.h"

#include "shm/base/base.h"
#include "shm/base/enc.h"
#include "shm/base/num.h"
#include "shm/base/rnd.h"
#include "worker/http/h1_priv.h"
#include "worker/http/octet.h"
#include "worker/http/url.h"

/* --- in --------------------------------------------------------------------------------------- */

/* As a codec's own. */
static bool
add(struct head *h, enum hdr_id id, struct str value)
{
	if (!head_add_id(h, id, value))
		return false;
	h->h[h->n - 1].checked = true;
	return true;
}

/* RFC 9113 8.2.3: one field for who reads HTTP/1.1. */
static int
join_cookies(struct head *h)
{
	struct hdr *first = head_get(h, HDR_COOKIE), *f;
	size_t n = 0;
	char *p;

	if (first == NULL || head_next(h, first) == NULL)
		return 1;
	for (f = first; f != NULL; f = head_next(h, f))
		n += f->value.n + 2;
	p = ws_bytes(h->ws, n);
	if (p == NULL)
		return -1;
	n = 0;
	for (f = first; f != NULL; f = head_next(h, f)) {
		if (n > 0) {
			memcpy(p + n, "; ", 2);
			n += 2;
		}
		if (f->value.n > 0)
			memcpy(p + n, f->value.p, f->value.n);
		n += f->value.n;
		if (f != first)
			f->gone = true;
	}
	first->value = str_n(p, n);
	return 1;
}

/* One authority: the pseudo field, or Host where there is none; both must agree. */
static int
settle_authority(struct h2_stream *s)
{
	struct head *h = s->x.rx;
	enum reason why = REASON_BAD_HOST;
	struct str raw = h->authority;
	uint16_t port;

	if (raw.n > 0) {
		if (s->host_n > 0) /* looked at before */
			h->host = str_n(raw.p, s->host_n);
		else if (url_authority(raw, h->ws, &h->authority, &h->host, &port) < 0)
			return h2_refuse(s, REASON_BAD_HOST);
		if (head_get(h, HDR_HOST) == NULL)
			return add(h, HDR_HOST, h->authority)
				   ? 1
				   : h2_refuse(s, REASON_HEADERS_TOO_LARGE);
	}
	return h1_host(h, &why) < 0 ? h2_refuse(s, why) : 1;
}

/* An extended CONNECT for a WebSocket is to everybody behind what it is in HTTP/1.1: a handshake
 * (RFC 8441 5). The key is ours to make up, for whoever wants one. */
static int
settle_websocket(struct h2_stream *s)
{
	struct head *h = s->x.rx;
	uint8_t octets[16];
	char *key = ws_bytes(h->ws, 24);

	if (key == NULL)
		return h2_refuse(s, REASON_HEADERS_TOO_LARGE);
	rnd_bytes(octets, sizeof(octets));
	h->method = METHOD_GET;
	h->method_text = STR("GET");
	h->upgrade = s->protocol;
	h->body = BODY_NONE;
	(void)head_remove_id(h, HDR_SEC_WEBSOCKET_KEY);
	if (!add(h, HDR_UPGRADE, s->protocol) ||
	    !add(h, HDR_SEC_WEBSOCKET_KEY, str_n(key, enc_base64(octets, 16, key))))
		return h2_refuse(s, REASON_HEADERS_TOO_LARGE);
	s->x.rx_end = true; /* of the request: what follows is not its body */
	return 1;
}

static int
settle_request(struct h2_stream *s, bool end)
{
	struct head *h = s->x.rx;
	bool plain_connect = h->method == METHOD_CONNECT && s->protocol.n == 0;
	enum reason why = REASON_BAD_REQUEST;

	if (s->c->limits.request_line > 0 &&
	    h->method_text.n + h->target.n > s->c->limits.request_line)
		return h2_refuse(s, REASON_URI_TOO_LONG);
	if (h->method_text.n == 0 || !octet_token(h->method_text))
		return h2_refuse(s, REASON_BAD_REQUEST);
	if (!plain_connect &&
	    (h->target.n == 0 || (h->target.p[0] != '/' && !str_eq(h->target, STR("*")))))
		return h2_refuse(s, REASON_BAD_TARGET);
	if (plain_connect)
		h->target = h->authority;
	if (!str_eq(h->scheme, STR("https")) && !str_eq(h->scheme, STR("http")) && !plain_connect)
		return h2_refuse(s, REASON_BAD_TARGET);
	if (h1_target(h, s->c->limits.merge_slashes, s->protocol.n > 0) < 0)
		return h2_refuse(s, REASON_BAD_TARGET);
	if (settle_authority(s) == 0 || join_cookies(h) < 0)
		return h2_refuse(s, REASON_HEADERS_TOO_LARGE);
	if (h1_frame_request(h, &why) < 0)
		return h2_refuse(s, why);
	if (s->protocol.n > 0)
		return str_eq(s->protocol, STR("websocket")) && !end && !h->has_length
			   ? settle_websocket(s)
			   : h2_refuse(s, REASON_NOT_IMPLEMENTED);
	if (end)
		h->body = BODY_NONE;
	else if (!h->has_length)
		h->body = BODY_CHUNKED;
	h->expect_continue = h->body != BODY_NONE && head_get(h, HDR_EXPECT) != NULL;
	return 1;
}

static int
settle_response(struct h2_stream *s, bool end)
{
	bool head_request = s->x.tx && s->x.tx->method == METHOD_HEAD;
	struct head *h = s->x.rx;

	if (h->status == 0 || h->status == 101 || h1_frame_response(h, head_request) < 0)
		return h2_refuse(s, REASON_BAD_UPSTREAM);
	h->keepalive = true;
	/* For who cannot see that the stream ended. */
	if (end && !h->has_length && !head_request && h->status >= 200 && h->status != 204 &&
	    h->status != 304) {
		h->has_length = true;
		h->length = 0;
	}
	if (end)
		h->body = BODY_NONE;
	else if (h->body == BODY_EOF)
		h->body = BODY_CHUNKED;
	return 1;
}

int
h2_head_done(struct h2_stream *s, bool end)
{
	struct head *h = s->x.rx;
	int rc;

	h->minor = 2;
	if (h->path.p == NULL)
		h->path = h->query = STR("");
	h->upgrade = h->reason = STR("");
	if (s->protocol.p == NULL)
		s->protocol = STR("");
	if (h->scheme.p == NULL)
		h->scheme = STR("");
	if (h->authority.p == NULL)
		h->authority = h->host = STR("");
	rc = s->c->server ? settle_request(s, end) : settle_response(s, end);
	h->minor = 2;
	return rc == 1 ? 1 : -1;
}

/* --- out -------------------------------------------------------------------------------------- */

static struct h2_nv
nv(uint16_t id, struct str name, struct str value)
{
	return (struct h2_nv){.name = name, .value = value, .id = id};
}

/* Lower case, as the protocol wants it; STR_NONE over the limit. */
static struct str
lower(struct ws *ws, struct str name)
{
	char *p = NULL;

	for (size_t i = 0; i < name.n; i++) {
		if (octet_lower(name.p[i]) == name.p[i])
			continue;
		p = ws_bytes(ws, name.n);
		if (p == NULL)
			return STR_NONE;
		break;
	}
	if (p == NULL)
		return name;
	for (size_t i = 0; i < name.n; i++)
		p[i] = octet_lower(name.p[i]);
	return str_n(p, name.n);
}

/* Length is the head's own member, connection fields there are none; Host is a pseudo field. */
static bool
left_out(const struct hdr *f, unsigned flags, bool request)
{
	return f->gone || (flags & HDR_HTTP1) != 0 || (request && f->id == HDR_HOST);
}

static enum h2_index
index_of(const struct hdr *f, unsigned flags)
{
	if (f->literal)
		return H2_NEVER;
	return (flags & HDR_UNIQUE) != 0 ? H2_UNIQUE : H2_INDEX;
}

/* What came by HTTP/2 is in lower case. */
static int
put_list(struct h2_nv *v, size_t *n, const struct head *h, const struct hdr *list, uint32_t count)
{
	bool lowered = h->minor == 2;

	for (uint32_t i = 0; i < count; i++) {
		const struct hdr *f = &list[i];
		unsigned flags = hdr_flags(f->id);
		struct str name = f->name;

		if (left_out(f, flags, h->request))
			continue;
		if (f->id != HDR_OTHER)
			name = hdr_name(f->id);
		else if (!f->checked && !octet_token(name))
			return -1;
		else if (!f->checked || !lowered)
			name = lower(h->ws, name);
		if (name.p == NULL || (!f->checked && !octet_text(f->value)))
			return -1;
		v[(*n)++] = (struct h2_nv){.name = name,
		    .value = f->value,
		    .id = f->id,
		    .index = (uint8_t)index_of(f, flags)};
	}
	return 1;
}

bool
h2_is_opened(const struct h2_stream *s, const struct head *h)
{
	return s->c->server && s->protocol.n > 0 && h->status == 101;
}

/* Any 2xx would open an extended CONNECT: an answer that does not must have another status. */
static unsigned
status_of(const struct h2_stream *s, const struct head *h)
{
	if (!s->c->server || s->protocol.n == 0 || (h->status != 101 && h->status / 100 != 2))
		return h->status;
	return h->status == 101 ? 200 : 501;
}

static int
put_status(struct h2_nv *v, size_t *n, const struct head *h, unsigned status)
{
	char *digits = ws_bytes(h->ws, 3);

	if (digits == NULL || status < 100 || status > 599)
		return -1;
	digits[0] = (char)('0' + status / 100);
	digits[1] = (char)('0' + status / 10 % 10);
	digits[2] = (char)('0' + status % 10);
	v[(*n)++] = nv(H2_ID_STATUS, STR(":status"), str_n(digits, 3));
	return 1;
}

static int
put_pseudo(struct h2_nv *v, size_t *n, const struct h2_stream *s, const struct head *h)
{
	struct str target = s->how.target;

	if (!h->request)
		return put_status(v, n, h, status_of(s, h));
	v[(*n)++] = nv(H2_ID_METHOD, STR(":method"), h->method_text);
	v[(*n)++] = nv(H2_ID_SCHEME, STR(":scheme"), s->c->secure ? STR("https") : STR("http"));
	v[(*n)++] = nv(H2_ID_AUTHORITY, STR(":authority"), head_value(h, HDR_HOST));
	v[(*n)++] = nv(H2_ID_PATH, STR(":path"), target);
	if (s->protocol.n > 0)
		v[(*n)++] = nv(H2_ID_PROTOCOL, STR(":protocol"), s->protocol);
	return ctl_find(target.p, 0, target.n) == target.n ? 1 : -1;
}

static int
put_length(struct h2_nv *v, size_t *n, const struct head *h)
{
	char *digits;

	if (h->body != BODY_LENGTH && !(h->body == BODY_NONE && h->has_length))
		return 1;
	digits = ws_bytes(h->ws, 20);
	if (digits == NULL)
		return -1;
	v[(*n)++] = nv(HDR_CONTENT_LENGTH, hdr_name(HDR_CONTENT_LENGTH),
	    str_n(digits, num_u64_text(h->length, digits)));
	return 1;
}

#define OURS 8 /* pseudo fields, length, te */

struct h2_nv *
h2_fields(const struct h2_stream *s, const struct head *h, size_t *n_r)
{
	struct h2_nv *v = ws_alloc(h->ws, (h->n + OURS) * sizeof(*v));
	size_t n = 0;

	if (v == NULL || put_pseudo(v, &n, s, h) < 0 || put_list(v, &n, h, h->h, h->n) < 0 ||
	    put_length(v, &n, h) < 0)
		return NULL;
	if (h->request && str_list_has(s->how.connection, STR("TE")))
		v[n++] = nv(HDR_TE, hdr_name(HDR_TE), STR("trailers"));
	*n_r = n;
	return v;
}

struct h2_nv *
h2_trailers(const struct head *h, size_t *n_r)
{
	struct h2_nv *v = ws_alloc(h->ws, (h->n_trailers + 1) * sizeof(*v));
	size_t n = 0;

	if (v == NULL || put_list(v, &n, h, h->trailers, h->n_trailers) < 0)
		return NULL;
	*n_r = n;
	return v;
}
