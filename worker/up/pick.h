/* SPDX-License-Identifier: Apache-2.0
 *
 * Which endpoint: those that may be picked now, minus those tried, through the service's balancer;
 * and the in-flight share of the one picked.
 */
#ifndef GW_PICK_H
#define GW_PICK_H

#include "worker/up/balance.h"
#include "worker/up/endpoints.h"

#define PICK_TRIED 16

/* Endpoints a request was sent to or could not be sent to, by arena row. */
struct tried {
	uint32_t row[PICK_TRIED];
	unsigned n;
};
void tried_add(struct tried *t, uint32_t row);
bool tried_has(const struct tried *t, uint32_t row);

/* Picks among the usable endpoints of s that were not tried. NULL: none is left; a failed one is
 * not asked again at once. Takes no share. */
const struct endpoint_ref *pick_endpoint(
    struct up *u, struct epset *s, enum balancer b, const struct tried *t);

#endif
