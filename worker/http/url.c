/* SPDX-License-Identifier: Apache-2.0
 *
 * Request targets. One pass tells whether there is anything to normalise; mostly there is not, and
 * nothing is copied. Otherwise escapes are settled first, then segments, as RFC 3986 5.2.4 has it.
 */
#include "worker/http/url.h"

#include "worker/http/octet.h"

#define HOST_MAX 255

/* 1 as it stands, 0 must be rewritten, -1 an octet that may not be there. */
static int
path_look(struct str raw, bool merge)
{
	int plain = 1;
	char before = 0;

	if (raw.n == 0 || raw.p[0] != '/')
		return -1;
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (!octet_is(c, OCT_PATH) && c != '%')
			return -1;
		if (c == '%' || (before == '/' && (c == '.' || (c == '/' && merge))))
			plain = 0;
		before = c;
	}
	return plain;
}

/* Unreserved octets are decoded, other escapes get upper-case digits. */
static int
path_unescape(struct str raw, char *out, size_t *n_r)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		unsigned v;

		if (raw.p[i] != '%') {
			out[n++] = raw.p[i];
			continue;
		}
		if (raw.n - i < 3 || !octet_is(raw.p[i + 1], OCT_HEX) ||
		    !octet_is(raw.p[i + 2], OCT_HEX))
			return -1;
		v = octet_hex(raw.p[i + 1]) << 4 | octet_hex(raw.p[i + 2]);
		i += 2;
		if (v == 0)
			return -1;
		if (octet_is((char)v, OCT_UNRESERVED)) {
			out[n++] = (char)v;
			continue;
		}
		out[n++] = '%';
		out[n++] = digits[v >> 4];
		out[n++] = digits[v & 15];
	}
	*n_r = n;
	return 1;
}

static bool
is_dots(struct str s)
{
	return str_eq(s, STR(".")) || str_eq(s, STR(".."));
}

/* A segment that some servers take for dots: "..;x" (parameters cut off), "..%2Fx", "x%5C..". Such
 * a one means another path there than here. */
static bool
dot_trick(struct str seg)
{
	size_t from = 0;
	bool tricky = false;

	for (size_t i = 0; i < seg.n; i++) {
		size_t skip = seg.p[i] == ';' ? 1 : 0;

		if (seg.n - i >= 3 &&
		    (memcmp(seg.p + i, "%2F", 3) == 0 || memcmp(seg.p + i, "%5C", 3) == 0))
			skip = 3;
		if (skip == 0)
			continue;
		tricky = true;
		if (is_dots(str_sub(seg, from, i)))
			return true;
		from = i + skip;
		i = from - 1;
	}
	return tricky && is_dots(str_sub(seg, from, seg.n));
}

/* Writes the segments of `in` without dots into `out` (they may be the same memory). */
static int
path_segments(struct str in, bool merge, char *out, size_t *n_r)
{
	size_t n = 0, at = 0;

	while (at < in.n) { /* in.p[at] is the slash before a segment */
		ssize_t len = str_chr(str_sub(in, at + 1, in.n), '/');
		struct str seg = str_sub(in, at + 1, len < 0 ? in.n : at + 1 + (size_t)len);
		bool last = len < 0;

		at += 1 + seg.n;
		if (dot_trick(seg))
			return -1;
		if (str_eq(seg, STR(".."))) {
			if (n == 0)
				return -1;
			while (out[--n] != '/')
				;
		}
		if (is_dots(seg) || (seg.n == 0 && merge)) {
			if (last)
				out[n++] = '/';
			continue;
		}
		out[n++] = '/';
		memmove(out + n, seg.p, seg.n);
		n += seg.n;
	}
	*n_r = n;
	return 1;
}

int
url_path(struct str raw, bool merge_slashes, struct ws *ws, struct str *path_r)
{
	int look = path_look(raw, merge_slashes);
	size_t n;
	char *p;

	if (look < 0)
		return -1;
	if (look == 1) {
		*path_r = raw;
		return 1;
	}
	p = ws_bytes(ws, raw.n);
	if (p == NULL || path_unescape(raw, p, &n) < 0)
		return -1;
	if (path_segments(str_n(p, n), merge_slashes, p, &n) < 0)
		return -1;
	*path_r = str_n(p, n);
	return 1;
}

bool
url_query_ok(struct str q)
{
	return octet_all(q, OCT_QUERY);
}

/* Where the port's colon is, or the end. -1 when brackets are wrong. */
static ssize_t
host_end(struct str raw)
{
	ssize_t at;

	if (raw.n == 0 || raw.p[0] != '[') {
		at = str_chr(raw, ':');
		return at < 0 ? (ssize_t)raw.n : at;
	}
	at = str_chr(raw, ']');
	if (at < 0 || ((size_t)at + 1 < raw.n && raw.p[at + 1] != ':'))
		return -1;
	return at + 1;
}

static bool
host_ok(struct str host)
{
	bool label = false; /* an octet stands between this and the last dot */
	struct addr a;

	if (host.n == 0 || host.n > HOST_MAX)
		return false;
	if (host.p[0] == '[')
		return addr_ip(host, &a) == 1 && a.family != AF_UNIX;
	for (size_t i = 0; i < host.n; i++) {
		bool dot = host.p[i] == '.';

		if (!octet_is(host.p[i], OCT_HOST) || (dot && !label))
			return false;
		label = !dot;
	}
	return true; /* the last one may be the root's */
}

static int
port_of(struct str text, uint16_t *port_r)
{
	uint32_t v = 0;

	*port_r = 0;
	if (text.n == 0)
		return 1;
	if (text.n > 5 || !octet_all(text, OCT_DIGIT))
		return -1;
	for (size_t i = 0; i < text.n; i++)
		v = v * 10 + (uint32_t)(text.p[i] - '0');
	if (v == 0 || v > UINT16_MAX)
		return -1;
	*port_r = (uint16_t)v;
	return 1;
}

/* Eight octets at a time; the rest as the end of eight that were mostly seen. */
static bool
has_capitals(struct str s)
{
	uint64_t w;

	for (size_t i = 0; s.n >= 8 && i < s.n; i += 8) {
		memcpy(&w, s.p + MIN(i, s.n - 8), 8);
		if (str_fold8(w) != w)
			return true;
	}
	for (size_t i = 0; s.n < 8 && i < s.n; i++)
		if (octet_lower(s.p[i]) != s.p[i])
			return true;
	return false;
}

/* In lower case, copied only when that changes it. */
static struct str
lower(struct str s, struct ws *ws)
{
	char *p;

	if (!has_capitals(s))
		return s;
	p = ws_bytes(ws, s.n);
	if (p == NULL)
		return STR_NONE;
	for (size_t i = 0; i < s.n; i++)
		p[i] = octet_lower(s.p[i]);
	return str_n(p, s.n);
}

int
url_authority(
    struct str raw, struct ws *ws, struct str *authority_r, struct str *host_r, uint16_t *port_r)
{
	ssize_t end = host_end(raw);
	struct str all;
	uint16_t port;

	if (end < 0 || !host_ok(str_sub(raw, 0, (size_t)end)) ||
	    port_of(str_sub(raw, (size_t)end + 1, raw.n), &port) < 0)
		return -1;
	if ((size_t)end + 1 == raw.n) /* an empty port is none */
		raw.n--;
	all = lower(raw, ws);
	if (all.p == NULL)
		return -1;
	*authority_r = all;
	*host_r = str_sub(all, 0, (size_t)end);
	if (host_r->n > 1 && str_ends(*host_r, STR(".")))
		host_r->n--; /* "example.com." is the same name, spelled to the root */
	*port_r = port;
	return 1;
}
