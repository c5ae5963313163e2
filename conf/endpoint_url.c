/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking endpoint URLs apart. Stricter than RFC 3986: whatever would have to be guessed is refused.
 */
#include "conf/endpoint_url.h"

#include "conf/pattern.h"
#include "shm/base/num.h"

static int
fail(const char **error_r, const char *text)
{
	*error_r = text;
	return -1;
}

/* "/base/" loses its last slash, "/" becomes nothing. */
static int
base_path(struct str path, struct str *base_r, const char **error_r)
{
	if (str_chr(path, '?') >= 0 || str_chr(path, '#') >= 0)
		return fail(error_r, "a URL here ends before \"?\" and \"#\"");
	if (path.n > 0 && path.p[path.n - 1] == '/')
		path.n--;
	if (str_chr(path, '*') >= 0 || str_chr(path, '{') >= 0)
		return fail(error_r, "a base path is plain text, without star and {parameter}");
	if (path.n > 0 && pattern_path(path, true) != NULL)
		return fail(error_r, "its path is not a normalised path");
	*base_r = path;
	return 1;
}

static int
parse_unix(struct str rest, struct endpoint_url *u, const char **error_r)
{
	ssize_t colon = str_chr(rest, ':');
	struct str path = colon < 0 ? rest : str_sub(rest, 0, (size_t)colon);

	if (path.n == 0 || path.p[0] != '/')
		return fail(error_r, "a Unix socket is written unix:/path or unix:/path:/base");
	if (path.n >= sizeof(u->addr.path))
		return fail(error_r, "the path of a Unix socket is longer than 107 octets");
	if (memchr(path.p, '\0', path.n) != NULL)
		return fail(error_r, "the path of a Unix socket has a NUL in it");
	if (colon >= 0) {
		struct str base = str_sub(rest, (size_t)colon + 1, rest.n);

		if (base.n == 0 || base.p[0] != '/')
			return fail(error_r, "a base path begins with \"/\"");
		if (base_path(base, &u->base_path, error_r) < 0)
			return -1;
	}
	u->addr.family = AF_UNIX;
	memcpy(u->addr.path, path.p, path.n);
	u->host = STR("localhost");
	return 1;
}

static int
parse_port(struct str s, struct endpoint_url *u, const char **error_r)
{
	uint64_t port;

	if (num_u64(s, 65535, &port, error_r) < 0 || port == 0)
		return fail(error_r, "a port is a number from 1 to 65535");
	u->port = (uint16_t)port;
	return 1;
}

/* Where the host ends: behind the bracket of an IPv6 literal, else at the colon. */
static int
split_host(struct str authority, struct str *host_r, struct str *rest_r, const char **error_r)
{
	ssize_t end = str_chr(authority, ':');

	if (authority.n > 0 && authority.p[0] == '[') {
		end = str_chr(authority, ']');
		if (end < 0)
			return fail(error_r, "an IPv6 address in a URL ends with \"]\"");
		end++;
	}
	if (end < 0)
		end = (ssize_t)authority.n;
	*host_r = str_sub(authority, 0, (size_t)end);
	*rest_r = str_sub(authority, (size_t)end, authority.n);
	return 1;
}

static int
parse_host(struct str host, struct endpoint_url *u, const char **error_r)
{
	if (host.n == 0)
		return fail(error_r, "the host is missing");
	if (addr_ip(host, &u->addr) == 1)
		return 1;
	if (host.p[0] == '[')
		return fail(error_r, "not an IPv6 address in brackets");
	if (host.p[0] == '*' || pattern_host(host) != NULL)
		return fail(error_r, "the host is neither a name nor an address");
	u->name = host;
	return 1;
}

static int
parse_authority(struct str authority, struct endpoint_url *u, const char **error_r)
{
	struct str host, rest;

	if (str_chr(authority, '@') >= 0)
		return fail(error_r, "a user name in a URL is not allowed");
	if (split_host(authority, &host, &rest, error_r) < 0 || parse_host(host, u, error_r) < 0)
		return -1;
	u->port = u->tls ? 443 : 80;
	u->host = host;
	if (rest.n > 0) {
		if (rest.p[0] != ':')
			return fail(error_r, "only \":port\" may follow the host");
		if (parse_port(str_sub(rest, 1, rest.n), u, error_r) < 0)
			return -1;
		if (u->port != (u->tls ? 443 : 80))
			u->host = authority;
	}
	u->addr.port = u->addr.family != 0 ? u->port : 0;
	return 1;
}

static int
parse_http(struct str rest, struct endpoint_url *u, const char **error_r)
{
	size_t end = 0;

	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#')
		end++;
	if (parse_authority(str_sub(rest, 0, end), u, error_r) < 0)
		return -1;
	return base_path(str_sub(rest, end, rest.n), &u->base_path, error_r);
}

int
endpoint_url_parse(struct str url, struct endpoint_url *u_r, const char **error_r)
{
	struct endpoint_url u = {.base_path = STR("")};
	int rc;

	u.tls = str_istarts(url, STR("https://"));
	if (u.tls)
		rc = parse_http(str_sub(url, 8, url.n), &u, error_r);
	else if (str_istarts(url, STR("http://")))
		rc = parse_http(str_sub(url, 7, url.n), &u, error_r);
	else if (str_istarts(url, STR("unix:")))
		rc = parse_unix(str_sub(url, 5, url.n), &u, error_r);
	else
		return fail(error_r, "neither http://, https:// nor unix:");
	if (rc == 1)
		*u_r = u;
	return rc;
}

bool
endpoint_url_same(const struct endpoint_url *a, const struct endpoint_url *b)
{
	if (a->tls != b->tls)
		return false;
	if (a->addr.family != 0 || b->addr.family != 0)
		return addr_eq(&a->addr, &b->addr);
	return a->port == b->port && str_ieq(a->name, b->name);
}
