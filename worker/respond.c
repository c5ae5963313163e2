/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers made here: what a policy or a path of the gateway's own said, or the RFC 9457 problem
 * that a reason makes.
 */
#include "shm/base/base.h"
#include "shm/base/enc.h"
#include "worker/chain.h"
#include "worker/conn.h"
#include "worker/forward.h"
#include "worker/generation.h"
#include "worker/grpc.h"
#include "worker/http/proto.h"
#include "worker/req_life.h"
#include "worker/steps.h"
#include "worker/up/attempt.h"
#include "worker/worker_priv.h"

#define RESPOND_DROP                                                                               \
	(64 * 1024) /* a request body up to so long is read and dropped to keep the connection */

static struct str
respond_json(struct req *r, struct str s)
{
	size_t cap = s.n * 6 + 1;
	char *p = ws_bytes(&r->ws, cap);
	ssize_t n = p ? enc_json(s, p, cap) : -1;

	return n < 0 ? STR("") : str_n(p, (size_t)n);
}

static struct str
respond_problem(struct req *r)
{
	const struct reason_info *why = &reason_table[r->reply.reason];
	struct str detail = r->reply.detail.n ? r->reply.detail : str_of(why->detail);

	return ws_printf(&r->ws,
	    "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"detail\":\"%.*s\","
	    "\"instance\":\"%.*s\",\"reason\":\"%s\"}\n",
	    why->title, r->reply.status, STR_ARG(respond_json(r, detail)),
	    STR_ARG(respond_json(r, r->id)), why->word);
}

static void
respond_fields(struct req *r)
{
	const struct conf_settings *s = r->gen->s;
	struct reply *p = &r->reply;
	struct head *h = &r->out;

	if (s->http.reveal_version)
		head_add(h, STR("Server"),
		    ws_printf(&r->ws, "%.*s/%s", STR_ARG(s->http.server_name), GW_VERSION));
	else
		head_add(h, STR("Server"), s->http.server_name);
	if (p->content_type.n)
		head_add(h, STR("Content-Type"), p->content_type);
	if (p->allow.n)
		head_add(h, STR("Allow"), p->allow);
	if (p->reason == REASON_WS_VERSION) {
		head_add(h, STR("Upgrade"), STR("websocket"));
		head_add(h, STR("Sec-WebSocket-Version"), STR("13"));
	}
	if (p->status == 401)
		head_add(h, STR("WWW-Authenticate"),
		    ws_printf(&r->ws, "Bearer realm=\"%.*s\"", STR_ARG(s->http.server_name)));
}

static void
respond_head(struct req *r)
{
	struct reply *p = &r->reply;
	struct head *h = &r->out;
	bool bodiless = p->status == 204 || p->status == 304;
	bool call = p->reason && grpc_listens(r);

	if (call) {
		p->body = p->content_type = STR("");
		bodiless = true;
	} else if (p->reason && !p->content_type.n && !p->body.n) {
		p->content_type = STR("application/problem+json");
		p->body = respond_problem(r);
	}
	head_init(h, &r->ws, false);
	h->status = call ? 200 : p->status;
	h->length = p->body.n;
	h->has_length = !bodiless || (call && !r->conn->carrier);
	h->body = bodiless || r->in.method == METHOD_HEAD ? BODY_NONE : BODY_LENGTH;
	if (h->body == BODY_NONE)
		p->body = STR("");
	respond_fields(r);
	if (call)
		grpc_answer(r);
	forward_response(r);
	chain_response(r);
	if (call)
		grpc_answered(r);
}

/* The connection goes on when what is left of the request can be read and dropped quickly. A client
 * that waits for 100, or is told that its body is too large, may or may not send it now. */
static bool
respond_keeps(const struct req *r)
{
	if (r->reply.close || !conn_may_keep(r->conn))
		return false;
	if (r->cx->rx_end)
		return true;
	return r->in.body == BODY_LENGTH && r->in.length <= RESPOND_DROP &&
	       !r->in.expect_continue && r->reply.reason != REASON_TOO_LARGE;
}

static int
respond_begin(struct req *r)
{
	struct xchg_send s = {
	    .connection = r->reply.reason == REASON_WS_VERSION ? STR("Upgrade") : STR("")};

	conn_wait(r->conn, CONN_WAIT_NONE, false);
	if (r->attempt)
		attempt_end(r->attempt, false);
	r->ux = NULL;
	r->reason = r->reply.reason;
	respond_head(r);
	s.keepalive = respond_keeps(r);
	if (r->cx->ops->send_head(r->cx, &r->out, &s) < 0)
		return -1;
	r->response_started = true;
	return 1;
}

int
step_reply(struct req *r)
{
	struct xchg *x = r->cx;
	struct str left;
	struct iovec v;
	ssize_t took;

	if (!r->response_started && respond_begin(r) < 0)
		return req_abandon(r, REASON_INTERNAL);
	left = str_sub(r->reply.body, r->body_out, SIZE_MAX);
	v = (struct iovec){(void *)(uintptr_t)left.p, left.n};
	took = x->ops->send_body(x, &v, left.n ? 1 : 0, true);
	if (took < 0)
		return req_abandon(r, REASON_CLIENT_GONE);
	r->body_out += (uint64_t)took;
	if (!x->tx_end) {
		conn_wait(r->conn, CONN_WAIT_WRITE, took > 0);
		return STEP_WAIT;
	}
	r->after = req_after_answer(r);
	return step_to(r, STEP_FINISH);
}
