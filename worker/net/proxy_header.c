/* SPDX-License-Identifier: Apache-2.0
 *
 * See proxy_header.h. Facts are of haproxy's proxy-protocol.txt. What can only become malformed is
 * refused at its first wrong octet, so that a peer that speaks something else is not waited for.
 */
#include "worker/net/proxy_header.h"

#include <arpa/inet.h>

#include "shm/base/num.h"

#define V1_MAX    107 /* octets, CRLF included */
#define V2_FIXED  16
#define V2_PROXY  0x21 /* version 2, command PROXY */
#define V2_LOCAL  0x20
#define V2_CRC32C 0x03 /* type of an extension */

enum { V2_UNSPEC, V2_INET, V2_INET6, V2_UNIX, V2_FAMILIES };

static const struct str v1_begin = {"PROXY ", 6};
static const struct str v2_begin = {"\r\n\r\n\0\r\nQUIT\n", 12};
/* Octets of the addresses of each family, ports included. */
static const uint16_t v2_addresses[V2_FAMILIES] = {0, 12, 36, 216};

static int
proxy_fail(const char **error_r, const char *text)
{
	*error_r = text;
	return -1;
}

/* As far as the octets go. */
static bool
agrees(struct str in, struct str with)
{
	return memcmp(in.p, with.p, MIN(in.n, with.n)) == 0;
}

/* --- version 1 --------------------------------------------------------------------------------
 */

/* Where the line's CRLF stands; 0: not here yet. */
static ssize_t
v1_end(struct str in, const char **error_r)
{
	for (size_t i = v1_begin.n; i < MIN(in.n, V1_MAX - 1); i++) {
		if (in.p[i] == '\n')
			return proxy_fail(error_r, "a line feed without carriage return");
		if (in.p[i] != '\r')
			continue;
		if (i + 1 == in.n)
			return 0;
		if (in.p[i + 1] != '\n')
			return proxy_fail(error_r, "a carriage return without line feed");
		return (ssize_t)i;
	}
	if (in.n >= V1_MAX - 1)
		return proxy_fail(error_r, "the line is longer than 107 octets");
	return 0;
}

static int
v1_ip(struct str *rest, bool v6, struct addr *a_r)
{
	struct str s;

	if (str_cut(rest, ' ', &s) != 1 || str_chr(s, '[') >= 0 || (str_chr(s, ':') >= 0) != v6)
		return 0;
	return addr_ip(s, a_r);
}

static int
v1_port(struct str *rest, uint16_t *port_r)
{
	const char *ignored;
	struct str s;
	uint64_t v;

	if (str_cut(rest, ' ', &s) != 1 || (s.n > 1 && s.p[0] == '0') ||
	    num_u64(s, UINT16_MAX, &v, &ignored) != 1)
		return 0;
	*port_r = (uint16_t)v;
	return 1;
}

/* The line behind "PROXY ". */
static int
v1_addresses(struct str line, struct proxy_header *h_r, const char **error_r)
{
	struct proxy_header h = {.named = true};
	struct str family;
	uint16_t from, to;
	bool v6;

	if (str_cut(&line, ' ', &family) != 1)
		return proxy_fail(error_r, "the line ends after \"PROXY\"");
	if (str_eq(family, STR("UNKNOWN"))) {
		*h_r = (struct proxy_header){.named = false};
		return 1;
	}
	v6 = str_eq(family, STR("TCP6"));
	if (!v6 && !str_eq(family, STR("TCP4")))
		return proxy_fail(error_r, "a family other than TCP4, TCP6 and UNKNOWN");
	if (!v1_ip(&line, v6, &h.from) || !v1_ip(&line, v6, &h.to))
		return proxy_fail(error_r, "an address that is none of its family");
	if (!v1_port(&line, &from) || !v1_port(&line, &to))
		return proxy_fail(error_r, "a port that is no number from 0 to 65535");
	if (line.p != NULL)
		return proxy_fail(error_r, "more on the line than two addresses and two ports");
	h.from.port = from;
	h.to.port = to;
	*h_r = h;
	return 1;
}

static ssize_t
v1_parse(struct str in, struct proxy_header *h_r, const char **error_r)
{
	ssize_t end = v1_end(in, error_r);

	if (end <= 0)
		return end;
	if (v1_addresses(str_sub(in, v1_begin.n, (size_t)end), h_r, error_r) < 0)
		return -1;
	return end + 2;
}

/* --- version 2 --------------------------------------------------------------------------------
 */

/* RFC 3720 B.4, reflected. At most 4 KiB, once in a connection: no table is worth its cache. */
static uint32_t
crc32c(uint32_t crc, const char *p, size_t n)
{
	while (n-- > 0) {
		crc ^= (uint8_t)*p++;
		for (unsigned i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static unsigned
octet(struct str s, size_t i)
{
	return (uint8_t)s.p[i];
}

static size_t
two_octets(struct str s, size_t i)
{
	return octet(s, i) << 8 | octet(s, i + 1);
}

/* The sum of the whole header, with the four octets of the sum itself (at `at`) taken as 0. */
static bool
v2_sum_ok(struct str header, size_t at)
{
	static const char zero[4];
	uint32_t crc = crc32c(UINT32_MAX, header.p, at);

	crc = crc32c(crc, zero, sizeof(zero));
	crc = ~crc32c(crc, header.p + at + 4, header.n - at - 4);
	return crc == (uint32_t)(two_octets(header, at) << 16 | two_octets(header, at + 2));
}

static int
v2_extensions(struct str header, size_t at, const char **error_r)
{
	bool summed = false;

	while (at < header.n) {
		size_t n;

		if (header.n - at < 3)
			return proxy_fail(error_r, "an extension is cut short");
		n = two_octets(header, at + 1);
		if (n > header.n - at - 3)
			return proxy_fail(error_r, "an extension is longer than the header");
		if (octet(header, at) == V2_CRC32C) {
			if (n != 4 || summed)
				return proxy_fail(
				    error_r, "a checksum that is not one of 4 octets");
			if (!v2_sum_ok(header, at + 3))
				return proxy_fail(error_r, "the checksum is wrong");
			summed = true;
		}
		at += 3 + n;
	}
	return 1;
}

static void
v2_addr(struct str header, size_t ip, size_t port, uint8_t family, struct addr *a_r)
{
	struct addr a = {.family = family, .port = (uint16_t)two_octets(header, port)};
	struct sockaddr_storage ss;
	socklen_t len;

	memcpy(a.ip, header.p + ip, family == AF_INET ? 4 : 16);
	len = addr_sockaddr(&a, &ss);
	addr_from_sockaddr((struct sockaddr *)&ss, len, a_r); /* where mapped ones become IPv4 */
}

static void
v2_named(struct str header, unsigned family, struct proxy_header *h_r)
{
	size_t n = family == V2_INET ? 4 : 16, at = V2_FIXED;
	uint8_t af = family == V2_INET ? AF_INET : AF_INET6;

	h_r->named = true;
	v2_addr(header, at, at + 2 * n, af, &h_r->from);
	v2_addr(header, at + n, at + 2 * n + 2, af, &h_r->to);
}

/* What can be said of the fixed part as far as it is here. */
static int
v2_fixed(struct str in, const char **error_r)
{
	bool proxy = in.n > 12 && octet(in, 12) == V2_PROXY;
	unsigned family = in.n > 13 ? octet(in, 13) >> 4 : 0;
	size_t n = in.n >= V2_FIXED ? two_octets(in, 14) : 0;

	if (in.n > 12 && octet(in, 12) >> 4 != 2)
		return proxy_fail(error_r, "a version other than 2 in a binary header");
	if (in.n > 12 && !proxy && octet(in, 12) != V2_LOCAL)
		return proxy_fail(error_r, "a command other than LOCAL and PROXY");
	if (proxy && in.n > 13 && (family >= V2_FAMILIES || (octet(in, 13) & 15) > 2))
		return proxy_fail(error_r, "an unknown family or transport");
	if (in.n < V2_FIXED)
		return 0;
	if (n > PROXY_HEADER_MAX - V2_FIXED)
		return proxy_fail(error_r, "the header is longer than 4096 octets");
	if (proxy && n < v2_addresses[family])
		return proxy_fail(error_r, "the header is too short for its addresses");
	return in.n >= V2_FIXED + n;
}

/* What stands behind addresses of an unspecified family cannot be told from them: passed over as
 * LOCAL's is. */
static ssize_t
v2_parse(struct str in, struct proxy_header *h_r, const char **error_r)
{
	struct proxy_header h = {.named = false};
	int rc = v2_fixed(in, error_r);
	unsigned family;

	if (rc <= 0)
		return rc;
	in = str_sub(in, 0, V2_FIXED + two_octets(in, 14));
	family = octet(in, 12) == V2_PROXY ? octet(in, 13) >> 4 : V2_UNSPEC;
	if (family != V2_UNSPEC && v2_extensions(in, V2_FIXED + v2_addresses[family], error_r) < 0)
		return -1;
	if (octet(in, 13) == (V2_INET << 4 | 1) || octet(in, 13) == (V2_INET6 << 4 | 1))
		if (family != V2_UNSPEC)
			v2_named(in, family, &h);
	*h_r = h;
	return (ssize_t)in.n;
}

ssize_t
proxy_header_parse(
    enum proxy_mode mode, struct str in, struct proxy_header *h_r, const char **error_r)
{
	bool v1, v2;

	if (in.n == 0)
		return 0;
	v1 = agrees(in, v1_begin);
	v2 = agrees(in, v2_begin);
	if (!v1 && !v2)
		return proxy_fail(error_r, "no PROXY header");
	if (v1 ? mode == PROXY_V2 : mode == PROXY_V1)
		return proxy_fail(error_r, v1 ? "a header of version 1, only 2 is allowed"
					      : "a header of version 2, only 1 is allowed");
	return v1 ? v1_parse(in, h_r, error_r) : v2_parse(in, h_r, error_r);
}

/* --- made here --------------------------------------------------------------------------------
 */

/* In IPv6's form, an IPv4 address mapped: both ends of a header are of one family. */
static void
ip6_of(const struct addr *a, uint8_t ip_r[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	memset(ip_r, 0, 16);
	if (a->family == AF_INET6) {
		memcpy(ip_r, a->ip, 16);
	} else if (a->family == AF_INET) {
		memcpy(ip_r, mapped, sizeof(mapped));
		memcpy(ip_r + 12, a->ip, 4);
	}
}

static uint16_t
port_of(const struct addr *a)
{
	return a->family == AF_INET || a->family == AF_INET6 ? a->port : 0;
}

static size_t
v1_format(const uint8_t from[16], const uint8_t to[16], const uint16_t port[2], bool v6, char *out)
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];
	int family = v6 ? AF_INET6 : AF_INET;

	inet_ntop(family, from, a, sizeof(a));
	inet_ntop(family, to, b, sizeof(b));
	return (size_t)snprintf(out, PROXY_HEADER_OUT + 1, "PROXY TCP%c %s %s %u %u\r\n",
	    v6 ? '6' : '4', a, b, port[0], port[1]);
}

static size_t
v2_format(const uint8_t from[16], const uint8_t to[16], const uint16_t port[2], bool v6, char *out)
{
	size_t n = v6 ? 16 : 4, at = V2_FIXED;

	memcpy(out + at, from, n);
	memcpy(out + at + n, to, n);
	at += 2 * n;
	for (unsigned i = 0; i < 2; i++) {
		out[at++] = (char)(port[i] >> 8);
		out[at++] = (char)(port[i] & 0xff);
	}
	out[13] = v6 ? V2_INET6 << 4 | 1 : V2_INET << 4 | 1;
	out[15] = (char)(at - V2_FIXED);
	return at;
}

size_t
proxy_header_format(enum proxy_mode version, const struct addr *from, const struct addr *to,
    char out[PROXY_HEADER_OUT + 1])
{
	static const char unknown[] = "PROXY UNKNOWN\r\n";
	const uint16_t port[2] = {port_of(from), port_of(to)};
	bool v6 = from->family == AF_INET6 || to->family == AF_INET6;
	bool named = from->family == AF_INET || from->family == AF_INET6;
	uint8_t a[16], b[16];

	ip6_of(from, a);
	ip6_of(to, b);
	if (!v6) {
		memmove(a, a + 12, 4);
		memmove(b, b + 12, 4);
	}
	if (version == PROXY_V1 && named)
		return v1_format(a, b, port, v6, out);
	if (version == PROXY_V1) {
		memcpy(out, unknown, sizeof(unknown));
		return sizeof(unknown) - 1;
	}
	memcpy(out, v2_begin.p, v2_begin.n);
	memcpy(out + v2_begin.n, (const char[]){V2_PROXY, 0, 0, 0}, 4);
	return named ? v2_format(a, b, port, v6, out) : V2_FIXED;
}
