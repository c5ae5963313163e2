/* SPDX-License-Identifier: Apache-2.0
 *
 * Request targets: parsed once, normalised once; what is matched is what is forwarded (RFC
 * 3986 6.2.2, RFC 9112 3.2).
 */
#ifndef GW_URL_H
#define GW_URL_H

#include "shm/base/addr.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

/* Path normalisation: unreserved %XX decoded, others upper-cased, dot segments removed, "//" merged
 * when asked. Octets outside RFC 3986 pchar and "/" are refused, as are %00, a dot segment that
 * climbs over the root, and encoded slash or backslash inside dot-segment tricks. Returns 1, or -1.
 * Copies only when something changes. */
int url_path(struct str raw, bool merge_slashes, struct ws *ws, struct str *path_r) NODISCARD;
bool url_query_ok(struct str q); /* octets allowed in a query */

/* authority = host [":" port]: a reg-name of allowed octets, an IPv4 or a bracketed IPv6 literal;
 * no userinfo. The host is lower-cased in ws. 1 or -1. port_r is 0 when absent. */
int url_authority(struct str raw, struct ws *ws, struct str *authority_r, struct str *host_r,
    uint16_t *port_r) NODISCARD;

#endif
