/* SPDX-License-Identifier: Apache-2.0
 *
 * Request line, target and status line (RFC 9112 3 and 4), and the one authority of a request.
 * Stricter than the grammar's advice to be lenient: single spaces, exact versions.
 */
#include "worker/http/h1_priv.h"

#include "worker/http/octet.h"
#include "worker/http/url.h"

static int
refuse(enum reason why, enum reason *why_r)
{
	*why_r = why;
	return -1;
}

/* "HTTP/1.1": 1, 0 another version, -1 no version at all. */
static int
version(struct str v, uint8_t *minor_r)
{
	if (v.n != 8 || memcmp(v.p, "HTTP/", 5) != 0 || !octet_is(v.p[5], OCT_DIGIT) ||
	    v.p[6] != '.' || !octet_is(v.p[7], OCT_DIGIT))
		return -1;
	if (v.p[5] != '1' || v.p[7] > '1')
		return 0;
	*minor_r = (uint8_t)(v.p[7] - '0');
	return 1;
}

/* Path and query of the origin form. A fragment is not part of any target: '#' is of no class here.
 */
static int
target_path(struct str t, bool merge, struct head *h)
{
	ssize_t q = t.n == 0 ? -1 : str_chr(t, '?');
	struct str path = q < 0 ? t : str_sub(t, 0, (size_t)q);

	h->has_query = q >= 0;
	h->query = q < 0 ? STR("") : str_sub(t, (size_t)q + 1, t.n);
	if (!url_query_ok(h->query))
		return -1;
	if (path.n == 0)
		path = STR("/");
	return url_path(path, merge, h->ws, &h->path);
}

static int
target_absolute(struct str t, bool merge, struct head *h)
{
	bool tls = str_istarts(t, STR("https://"));
	uint16_t port;
	size_t end = 0;
	struct str rest;

	if (!tls && !str_istarts(t, STR("http://")))
		return -1;
	h->scheme = tls ? STR("https") : STR("http");
	rest = str_sub(t, h->scheme.n + 3, t.n);
	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
		end++;
	if (url_authority(str_sub(rest, 0, end), h->ws, &h->authority, &h->host, &port) < 0)
		return -1;
	rest = str_sub(rest, end, rest.n);
	if (rest.n == 0 &&
	    h->method == METHOD_OPTIONS) { /* RFC 9112 3.2.4: what "*" looks like to a proxy */
		h->path = STR("*");
		return 1;
	}
	return target_path(rest, merge, h);
}

int
h1_target(struct head *h, bool merge, bool origin)
{
	struct str t = h->target;
	uint16_t port;

	if (origin)
		return target_path(t, merge, h);
	if (h->method == METHOD_CONNECT)
		return url_authority(t, h->ws, &h->authority, &h->host, &port) < 0 || port == 0 ? -1
												: 1;
	if (t.p[0] == '/')
		return target_path(t, merge, h);
	if (!str_eq(t, STR("*")))
		return target_absolute(t, merge, h);
	if (h->method != METHOD_OPTIONS)
		return -1;
	h->path = t;
	return 1;
}

int
h1_request_line(struct str line, bool merge_slashes, struct head *h, enum reason *why_r)
{
	struct str rest = line, method, target;
	int v;

	h->path = h->query = h->scheme = h->authority = h->host = h->upgrade = STR("");
	if (str_cut(&rest, ' ', &method) != 1 || !octet_token(method))
		return refuse(REASON_BAD_REQUEST, why_r);
	h->method_text = method;
	h->method = method_of(method);
	if (str_cut(&rest, ' ', &target) != 1 || target.n == 0 || rest.p == NULL)
		return refuse(REASON_BAD_REQUEST, why_r);
	h->target = target;
	v = version(rest, &h->minor);
	if (v != 1)
		return refuse(v == 0 ? REASON_VERSION : REASON_BAD_REQUEST, why_r);
	return h1_target(h, merge_slashes, false) < 0 ? refuse(REASON_BAD_TARGET, why_r) : 1;
}

int
h1_status_line(struct str line, struct head *h)
{
	struct str rest = line, v, code;
	uint8_t minor;

	h->upgrade = h->reason = STR("");
	if (str_cut(&rest, ' ', &v) != 1 || version(v, &minor) != 1)
		return -1;
	h->minor = minor;
	if (str_cut(&rest, ' ', &code) != 1 || code.n != 3 || !octet_all(code, OCT_DIGIT))
		return -1;
	h->status = (uint16_t)((code.p[0] - '0') * 100 + (code.p[1] - '0') * 10 + code.p[2] - '0');
	if (h->status < 100 || h->status > 599)
		return -1;
	if (rest.p != NULL)
		h->reason = rest;
	return octet_text(h->reason) ? 1 : -1;
}

static uint16_t
port_or_default(uint16_t port, struct str scheme)
{
	if (port != 0)
		return port;
	return str_eq(scheme, STR("https")) ? 443 : 80;
}

/* The port of an authority that was checked before. */
static uint16_t
port_of(struct str authority, struct ws *ws)
{
	struct str a, host;
	uint16_t port = 0;

	return url_authority(authority, ws, &a, &host, &port) < 0 ? 0 : port;
}

int
h1_host(struct head *h, enum reason *why_r)
{
	struct hdr *f = head_get(h, HDR_HOST);
	struct str authority, host;
	uint16_t port;

	if (f == NULL && h->minor > 0)
		return refuse(REASON_BAD_HOST, why_r);
	if (f == NULL) { /* HTTP/1.0 may come without; an absolute target names one all the same */
		if (h->authority.n > 0 && !head_add_id(h, HDR_HOST, h->authority))
			return refuse(REASON_HEADERS_TOO_LARGE, why_r);
		return 1;
	}
	if (url_authority(f->value, h->ws, &authority, &host, &port) < 0)
		return refuse(REASON_BAD_HOST, why_r);
	if (h->authority.n == 0) {
		h->authority = authority;
		h->host = host;
	} else if (!str_eq(host, h->host) ||
		   port_or_default(port, h->scheme) !=
		       port_or_default(port_of(h->authority, h->ws), h->scheme)) {
		return refuse(REASON_BAD_HOST, why_r);
	}
	f->value = h->authority; /* what is matched is what is forwarded */
	return 1;
}
