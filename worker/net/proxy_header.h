/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers of the PROXY protocol, versions 1 (a line of text) and 2 (binary): octets to addresses
 * and back. Pure functions; worker/proxied.c has them at the start of a client's connection,
 * worker/up/attempt.c at the start of an upstream's.
 */
#ifndef GW_PROXY_HEADER_H
#define GW_PROXY_HEADER_H

#include "shm/proxy.h"
#include "shm/base/addr.h"
#include "shm/base/str.h"

#define PROXY_HEADER_MAX 4096 /* octets; a longer one is refused */
#define PROXY_HEADER_OUT 107  /* octets of the longest one made here */

struct proxy_header {
	bool
	    named; /* false: it names nobody (LOCAL, UNKNOWN, not TCP), the connection's own hold */
	struct addr from, to; /* the client, and the address it connected to */
};

/* Looks for a header at the start of what was received. > 0: its length; 0: it may become one with
 * more octets; -1: it is none, or one of a version that is not allowed, and *error_r says why. A
 * checksum that is there is verified, other extensions are passed over. */
ssize_t proxy_header_parse(
    enum proxy_mode mode, struct str in, struct proxy_header *h_r, const char **error_r) NODISCARD;
/* The header of version PROXY_V1 or PROXY_V2 for these two; returns its length. A client that is no
 * IP address is left unnamed; a destination that is none is written as 0.0.0.0 or ::, port 0. */
size_t proxy_header_format(enum proxy_mode version, const struct addr *from, const struct addr *to,
    char out[PROXY_HEADER_OUT + 1]);

#endif
