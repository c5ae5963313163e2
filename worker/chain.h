/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of a route's chain that are no steps of their own.
 */
#ifndef GW_CHAIN_H
#define GW_CHAIN_H

#include "worker/req.h"

void chain_response(struct req *r); /* modifies r->out; in reverse order */
void chain_observe(const struct req *r);

#endif
