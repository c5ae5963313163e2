/* SPDX-License-Identifier: Apache-2.0
 *
 * The first step: a head that is there, or why there will be none.
 */
#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "worker/accept.h"
#include "worker/conn.h"
#include "worker/conn_h2.h"
#include "worker/forwarded.h"
#include "worker/grpc.h"
#include "worker/http/proto.h"
#include "worker/req_life.h"
#include "worker/steps.h"

/* What follows a request that could not be understood cannot be either: the connection ends with
 * the answer. */
static int
read_refuse(struct req *r, enum reason why)
{
	req_reply_reason(r, why);
	r->reply.close = true;
	return step_to(r, STEP_REPLY);
}

int
step_head(struct req *r)
{
	struct xchg *x = r->cx;
	int upgraded;

	if (!x->rx_head && !x->why)
		return STEP_WAIT;
	conn_set_request(r->conn);
	r->t.head = clock_ns();
	if (x->rx_end)
		r->t.request_body = r->t.head;
	req_identify(r);
	if (r->conn->misled)
		return read_refuse(r, REASON_PLAIN_HTTP);
	if (!x->rx_head)
		return read_refuse(r, x->why);
	upgraded = conn_h2_upgrade(r);
	if (upgraded < 0)
		return req_abandon(r, REASON_CLIENT_GONE);
	if (upgraded == 0 && r->in.minor < 2 && !r->conn->listener->conf->http1)
		return read_refuse(r, REASON_VERSION);
	r->up_path = r->in.path;
	r->te_trailers = str_list_has(head_value(&r->in, HDR_TE), STR("trailers"));
	if (head_strip_hop(&r->in) < 0)
		return read_refuse(r, REASON_BAD_HEADER);
	if (grpc_is(&r->in) && !grpc_begin(r)) {
		req_reply_reason(r, REASON_BAD_HEADER);
		r->reply.detail = grpc_bad_timeout;
		return step_to(r, STEP_REPLY);
	}
	return step_to(r, STEP_ROUTE);
}
