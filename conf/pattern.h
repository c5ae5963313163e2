/* SPDX-License-Identifier: Apache-2.0
 *
 * What a route may be written with: host and path patterns, names, tokens. Pure functions over
 * text; each returns NULL when it is good, else what is wrong with it (static text).
 */
#ifndef GW_PATTERN_H
#define GW_PATTERN_H

#include "shm/base/base.h"
#include "shm/base/str.h"

#define PATTERN_MAX    400 /* octets of a path pattern: keys of the map end at 511 */
#define PATTERN_PARAMS 16  /* {parameters} of one path */

/* RFC 9110 5.6.2. */
bool pattern_token(struct str s);

/* "example.com", "*.example.com", "192.0.2.1", "[::1]"; lower case. */
const char *pattern_host(struct str s);

/* "/a/b", "/a/{id}", with "*" for a segment or at the end for the rest, or "~regex". merge: double
 * slashes are merged before matching, so a pattern with one would never match. */
const char *pattern_path(struct str s, bool merge);

/* Could a request for this path pattern be one for the gateway's own /api/gateway/? */
bool pattern_reserved(struct str s);

#endif
