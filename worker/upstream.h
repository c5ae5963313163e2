/* SPDX-License-Identifier: Apache-2.0
 *
 * What relay.c needs of the steps towards the upstream.
 */
#ifndef GW_UPSTREAM_H
#define GW_UPSTREAM_H

#include "worker/req.h"

/* The try failed: to the next one when that is safe, else an answer or an end. Returns STEP_MORE.
 */
int upstream_failed(struct req *r, enum reason why);

#endif
