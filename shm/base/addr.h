/* SPDX-License-Identifier: Apache-2.0
 *
 * Socket addresses as text and bytes: IPv4, IPv6 ("[::1]:80"), Unix sockets ("unix:/path"). Numeric
 * only, nothing here asks a resolver. CIDR blocks.
 */
#ifndef GW_ADDR_H
#define GW_ADDR_H

#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

#include "shm/base/base.h"
#include "shm/base/str.h"

struct addr {
	uint8_t family; /* AF_INET, AF_INET6, AF_UNIX; 0 = none */
	uint16_t port;  /* host order */
	union {
		uint8_t ip[16]; /* network order; 4 used for AF_INET */
		char path[108]; /* terminated */
	};
};

/* "1.2.3.4:80", "[::1]:80", "*:80" (AF_INET6 any, dual), ":80", "unix:/p". -1 with *error_r.
 * default_port 0: port needed. */
int addr_parse(
    struct str s, uint16_t default_port, struct addr *a_r, const char **error_r) NODISCARD;
/* a bare IP literal, brackets optional: 1 or 0 */
int addr_ip(struct str s, struct addr *a_r) NODISCARD;
/* with port; returns the length; cap >= 128 always fits */
size_t addr_text(const struct addr *a, char *out, size_t cap);
/* without port or brackets; "unix:" for AF_UNIX */
size_t addr_ip_text(const struct addr *a, char *out, size_t cap);
socklen_t addr_sockaddr(const struct addr *a, struct sockaddr_storage *ss_r);
/* v4-mapped v6 becomes v4 */
void addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *a_r);
bool addr_eq(const struct addr *a, const struct addr *b);

/* The same in a fifth of the room, for what there are many of. Only a Unix path costs memory of its
 * own. */
struct addr_kept {
	uint8_t family;
	uint16_t port;
	union {
		uint8_t ip[16];
		char *path; /* NULL: empty */
	};
};
void addr_kept_set(struct addr_kept *k, const struct addr *a); /* k holds one, or is zeroed */
void addr_kept_get(const struct addr_kept *k, struct addr *a_r);
void addr_kept_free(struct addr_kept *k); /* harmless when it holds none */

struct cidr {
	uint8_t family, bits;
	uint8_t ip[16];
};
/* "10.0.0.0/8", "::1"; host bits must be 0 */
int cidr_parse(struct str s, struct cidr *c_r, const char **error_r) NODISCARD;
bool cidr_has(const struct cidr *c, const struct addr *a);

#endif
