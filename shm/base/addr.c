/* SPDX-License-Identifier: Apache-2.0
 *
 * Socket addresses. An IPv4 address mapped into IPv6 is turned into the IPv4 address at every door,
 * so that one host has one name in lists, tables and logs.
 */
#include "shm/base/addr.h"

#include <arpa/inet.h>

#include "shm/base/bug.h"
#include "shm/base/num.h"

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

static int
fail(const char **error_r, const char *text)
{
	*error_r = text;
	return -1;
}

/* Bytes of one family, for any of the structures here. */
static size_t
ip_len(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

static void
set_ip(struct addr *a, uint8_t family, const uint8_t *ip)
{
	*a = (struct addr){.family = family};
	if (family == AF_INET6 && memcmp(ip, v4_mapped, sizeof(v4_mapped)) == 0) {
		a->family = AF_INET;
		ip += sizeof(v4_mapped);
	}
	memcpy(a->ip, ip, ip_len(a->family));
}

/* The literal without brackets, as its own family says (a mapped one stays mapped). */
static int
parse_ip(struct str s, uint8_t *family_r, uint8_t ip_r[16])
{
	char z[INET6_ADDRSTRLEN];
	int family = str_chr(s, ':') >= 0 ? AF_INET6 : AF_INET;

	if (s.n == 0 || s.n >= sizeof(z) || memchr(s.p, '\0', s.n) != NULL)
		return 0;
	memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	if (inet_pton(family, z, ip_r) != 1)
		return 0;
	*family_r = (uint8_t)family;
	return 1;
}

int
addr_ip(struct str s, struct addr *a_r)
{
	bool bracket = s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';
	uint8_t family, ip[16];

	if (bracket)
		s = str_sub(s, 1, s.n - 1);
	if (parse_ip(s, &family, ip) == 0 || (bracket && family != AF_INET6))
		return 0;
	set_ip(a_r, family, ip);
	return 1;
}

static int
parse_unix(struct str path, struct addr *a_r, const char **error_r)
{
	struct addr a = {.family = AF_UNIX};

	if (path.n == 0 || path.p[0] != '/')
		return fail(error_r, "a Unix socket needs an absolute path (\"unix:/run/x.sock\")");
	if (path.n >= sizeof(a.path))
		return fail(error_r, "the path of a Unix socket has at most 107 octets");
	if (memchr(path.p, '\0', path.n) != NULL)
		return fail(error_r, "a NUL in the path of a Unix socket");
	memcpy(a.path, path.p, path.n);
	*a_r = a;
	return 1;
}

/* Cuts "host" and "port" apart; port is STR_NONE where there is no colon. */
static int
split(struct str s, struct str *host_r, struct str *port_r, const char **error_r)
{
	ssize_t colon = str_chr(s, ':'), close;

	*port_r = STR_NONE;
	*host_r = s;
	if (s.n > 0 && s.p[0] == '[') {
		close = str_chr(s, ']');
		if (close < 0)
			return fail(error_r, "an opening bracket without its closing one");
		colon = close + 1;
		if ((size_t)colon == s.n)
			return 1;
		if (s.p[colon] != ':')
			return fail(error_r, "only \":port\" can follow the closing bracket");
	} else if (colon >= 0 && str_chr(str_sub(s, (size_t)colon + 1, s.n), ':') >= 0) {
		return fail(error_r, "an IPv6 address needs brackets (\"[::1]:80\")");
	}
	if (colon >= 0) {
		*host_r = str_sub(s, 0, (size_t)colon);
		*port_r = str_sub(s, (size_t)colon + 1, s.n);
	}
	return 1;
}

static int
parse_port(struct str s, uint16_t default_port, uint16_t *port_r, const char **error_r)
{
	const char *ignored;
	uint64_t port;

	if (s.p == NULL) {
		if (default_port == 0)
			return fail(error_r, "a port is needed (\":80\")");
		*port_r = default_port;
		return 1;
	}
	if (num_u64(s, 65535, &port, &ignored) < 0 || port == 0)
		return fail(error_r, "a port is a number from 1 to 65535");
	*port_r = (uint16_t)port;
	return 1;
}

int
addr_parse(struct str s, uint16_t default_port, struct addr *a_r, const char **error_r)
{
	struct str host, port_text;
	struct addr a = {.family = AF_INET6};
	uint16_t port;

	if (str_starts(s, STR("unix:")))
		return parse_unix(str_sub(s, 5, s.n), a_r, error_r);
	if (s.n == 0)
		return fail(error_r, "empty, an address is needed");
	if (split(s, &host, &port_text, error_r) < 0 ||
	    parse_port(port_text, default_port, &port, error_r) < 0)
		return -1;
	if (host.n > 0 && !str_eq(host, STR("*")) && addr_ip(host, &a) == 0)
		return fail(error_r, "neither an IP address nor \"*\" nor \"unix:/path\"");
	a.port = port;
	*a_r = a;
	return 1;
}

/* What snprintf returned as what now stands in out. */
static size_t
written(int n, size_t cap)
{
	return n < 0 || cap == 0 ? 0 : MIN((size_t)n, cap - 1);
}

/* By hand: this is done for every request, and printf costs more than all the rest of its line. */
static size_t
ip4_text(const uint8_t ip[4], char out[16])
{
	char *p = out;

	for (unsigned i = 0; i < 4; i++) {
		p += num_u64_text(ip[i], p);
		*p++ = '.';
	}
	*--p = '\0';
	return (size_t)(p - out);
}

size_t
addr_ip_text(const struct addr *a, char *out, size_t cap)
{
	char text[INET6_ADDRSTRLEN] = "none";

	if (a->family == AF_INET && cap >= 16)
		return ip4_text(a->ip, out);
	if (a->family == AF_UNIX)
		return written(snprintf(out, cap, "unix:"), cap);
	if (a->family != 0)
		inet_ntop(a->family, a->ip, text, sizeof(text));
	return written(snprintf(out, cap, "%s", text), cap);
}

size_t
addr_text(const struct addr *a, char *out, size_t cap)
{
	char ip[INET6_ADDRSTRLEN];

	if (a->family == AF_UNIX)
		return written(snprintf(out, cap, "unix:%s", a->path), cap);
	addr_ip_text(a, ip, sizeof(ip));
	if (a->family == 0)
		return written(snprintf(out, cap, "%s", ip), cap);
	return written(
	    snprintf(out, cap, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, a->port), cap);
}

socklen_t
addr_sockaddr(const struct addr *a, struct sockaddr_storage *ss_r)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss_r;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss_r;
	struct sockaddr_un *un = (struct sockaddr_un *)ss_r;

	memset(ss_r, 0, sizeof(*ss_r));
	ss_r->ss_family = a->family;
	switch (a->family) {
	case AF_INET:
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip, 4);
		return sizeof(*in);
	case AF_INET6:
		in6->sin6_port = htons(a->port);
		memcpy(&in6->sin6_addr, a->ip, 16);
		return sizeof(*in6);
	case AF_UNIX:
		memcpy(un->sun_path, a->path, sizeof(un->sun_path));
		un->sun_path[sizeof(un->sun_path) - 1] = '\0';
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(a->path) + 1);
	default:
		return 0;
	}
}

void
addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *a_r)
{
	struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
	const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;
	const struct sockaddr_un *un = (const struct sockaddr_un *)&ss;

	memcpy(&ss, sa, MIN((size_t)len, sizeof(ss)));
	*a_r = (struct addr){.family = 0};
	if (ss.ss_family == AF_INET && len >= sizeof(*in)) {
		set_ip(a_r, AF_INET, (const uint8_t *)&in->sin_addr);
		a_r->port = ntohs(in->sin_port);
	} else if (ss.ss_family == AF_INET6 && len >= sizeof(*in6)) {
		set_ip(a_r, AF_INET6, (const uint8_t *)&in6->sin6_addr);
		a_r->port = ntohs(in6->sin6_port);
	} else if (ss.ss_family == AF_UNIX) {
		/* The kernel need not terminate a path of full length; ss is zeroed behind it. */
		a_r->family = AF_UNIX;
		memcpy(a_r->path, un->sun_path, sizeof(a_r->path) - 1);
	}
}

bool
addr_eq(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return false;
	if (a->family == AF_UNIX)
		return strcmp(a->path, b->path) == 0;
	return a->family == 0 ||
	       (a->port == b->port && memcmp(a->ip, b->ip, ip_len(a->family)) == 0);
}

void
addr_kept_set(struct addr_kept *k, const struct addr *a)
{
	addr_kept_free(k);
	k->family = a->family;
	k->port = a->port;
	if (a->family != AF_UNIX)
		memcpy(k->ip, a->ip, sizeof(k->ip));
	else if (a->path[0] != '\0')
		k->path = xstrdup(a->path);
}

void
addr_kept_get(const struct addr_kept *k, struct addr *a_r)
{
	a_r->family = k->family;
	a_r->port = k->port;
	if (k->family != AF_UNIX)
		memcpy(a_r->ip, k->ip, sizeof(k->ip));
	else if (k->path != NULL)
		memcpy(a_r->path, k->path, strlen(k->path) + 1);
	else
		a_r->path[0] = '\0';
}

void
addr_kept_free(struct addr_kept *k)
{
	if (k->family == AF_UNIX)
		free(k->path);
	*k = (struct addr_kept){.family = AF_UNSPEC};
}

static bool
bits_eq(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

/* ::ffff:a.b.c.d/96+n is a.b.c.d/n, as addresses are. */
static void
unmap(struct cidr *c)
{
	if (c->family != AF_INET6 || c->bits < 96 ||
	    memcmp(c->ip, v4_mapped, sizeof(v4_mapped)) != 0)
		return;
	c->family = AF_INET;
	c->bits -= 96;
	memmove(c->ip, c->ip + 12, 4);
	memset(c->ip + 4, 0, 12);
}

static bool
host_bits_clear(const struct cidr *c)
{
	for (unsigned i = c->bits; i < ip_len(c->family) * 8; i++)
		if (c->ip[i / 8] >> (7 - i % 8) & 1)
			return false;
	return true;
}

int
cidr_parse(struct str s, struct cidr *c_r, const char **error_r)
{
	ssize_t slash = str_chr(s, '/');
	struct str ip = slash < 0 ? s : str_sub(s, 0, (size_t)slash);
	struct cidr c = {.family = 0};
	const char *ignored;
	uint64_t bits;

	if (parse_ip(ip, &c.family, c.ip) == 0)
		return fail(error_r, "neither an IP address nor a block (\"10.0.0.0/8\", \"::1\")");
	bits = ip_len(c.family) * 8;
	if (slash >= 0 && num_u64(str_sub(s, (size_t)slash + 1, s.n), bits, &bits, &ignored) < 0)
		return fail(error_r, c.family == AF_INET ? "an IPv4 block has 0 to 32 bits"
							 : "an IPv6 block has 0 to 128 bits");
	c.bits = (uint8_t)bits;
	if (!host_bits_clear(&c))
		return fail(error_r, "the address has bits set outside of its block");
	unmap(&c);
	*c_r = c;
	return 1;
}

bool
cidr_has(const struct cidr *c, const struct addr *a)
{
	return c->family == a->family && c->family != AF_UNIX && bits_eq(c->ip, a->ip, c->bits);
}
