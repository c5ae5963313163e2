/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads on their way through: what the gateway says of the client to the upstream, and of itself to
 * both.
 */
#ifndef GW_FORWARD_H
#define GW_FORWARD_H

#include "conf/service.h"
#include "worker/req.h"

/* Before the policies modify the request: X-Forwarded-*, Forwarded, Via, X-Request-Id, traceparent,
 * Host. */
void forward_request(struct req *r);
/* Per try: the Host an endpoint is to see, unless a policy made it another; path and query.
 * STR_NONE without memory. */
struct str forward_target(struct req *r, struct str base_path);
void forward_host(struct req *r, struct str endpoint_host);
/* What every response carries. */
void forward_response(struct req *r);

#endif
