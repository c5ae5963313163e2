/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoint sets decoded once per worker: cached by service, kept as long as their content is the
 * same, held by whoever uses one (an attempt) past a change of it.
 */
#ifndef GW_ENDPOINTS_H
#define GW_ENDPOINTS_H

#include "conf/table.h"
#include "worker/up/up.h"

struct epset {
	uint32_t refs;
	struct digest digest;
	uint64_t generation, version; /* as of which it was looked at last */
	uint32_t service_row;
	struct ws ws;
	uint32_t n;
	struct endpoint_ref *v;
};

/* The set of a service by number, borrowed. NULL: none, or malformed (counted). */
struct epset *endpoints_get(struct up *u, struct table *t, uint32_t service);
void endpoints_ref(struct epset *s);
void endpoints_unref(struct epset **s);
void endpoints_clear(struct up *u);

#endif
