/* SPDX-License-Identifier: Apache-2.0
 *
 * Host names to addresses, many at once, with one deadline for all. Blocks until it passes, so only
 * the loader calls this. /etc/hosts and resolv.conf are honoured (c-ares).
 */
#ifndef GW_RESOLVE_H
#define GW_RESOLVE_H

#include "shm/base/addr.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

#define RESOLVE_ADDRS 64 /* kept of one name */

struct resolve_name {
	struct str name;
	/* Set by resolve_names: addresses without port, in a stable order, or why there is none. */
	const struct addr *v;
	uint32_t n;
	struct str error;
};

/* Fills every entry, from ws. */
void resolve_names(struct resolve_name *v, uint32_t n, uint64_t timeout_ms, struct ws *ws);

#endif
