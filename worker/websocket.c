/* SPDX-License-Identifier: Apache-2.0
 *
 * See websocket.h: the handshake, what is counted, when it ends. The upstream gets the client's own
 * handshake, and what it agrees to is checked before the client is told.
 */
#include "worker/websocket.h"

#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/rnd.h"
#include "worker/chain.h"
#include "worker/conn.h"
#include "worker/forward.h"
#include "worker/http/proto.h"
#include "worker/http/ws_hand.h"
#include "worker/plan.h"
#include "worker/steps.h"
#include "worker/up/attempt.h"
#include "worker/upstream.h"
#include "worker/worker_priv.h"

#define CODE_ABNORMAL 1006 /* RFC 6455 7.1.5: no close frame came */

/* --- the handshake ---------------------------------------------------------------------------- */

static int
websocket_refuse(struct req *r, enum reason why, const char *detail)
{
	req_reply_reason(r, why);
	if (detail)
		r->reply.detail = str_of(detail);
	return step_to(r, STEP_REPLY);
}

static bool
websocket_origin(const struct req *r, const struct conf_websocket *conf)
{
	const struct hdr *f = head_get(&r->in, HDR_ORIGIN);

	if (f && head_next(&r->in, f))
		return false;
	return websocket_origin_may(conf, f ? f->value : STR(""));
}

static struct websocket *
websocket_new(struct req *r, const struct conf_websocket *conf)
{
	struct websocket *ws = ws_zalloc(&r->ws, sizeof(*ws));

	if (!ws)
		return NULL;
	list_init(&ws->node);
	ws->req = r;
	ws->conf = conf;
	r->websocket = ws;
	return ws;
}

static bool
websocket_count(struct websocket *ws)
{
	struct metrics *m = ws->req->worker->metrics;
	uint32_t row = ws->req->metric_route;
	int64_t most = ws->conf->connections;

	ws->counted =
	    metric_row_take(m, row, M_ROUTE_R_WS_OPEN, most ? (uint64_t)most : UINT64_MAX);
	return ws->counted;
}

int
step_upgrade(struct req *r)
{
	const struct conf_websocket *conf = &r->plan->route->websocket;
	const char *detail = NULL;
	struct websocket *ws;
	enum reason why;

	if (!conf->enabled || !ws_hand_wanted(&r->in)) {
		/* By HTTP/2 it cannot be taken for a plain request: its answer would open it. */
		if (r->in.minor == 2 && ws_hand_wanted(&r->in))
			return websocket_refuse(r, REASON_NOT_IMPLEMENTED, NULL);
		return step_to(r, STEP_PREPARE);
	}
	if (ws_hand_request(&r->in, &why, &detail) < 0)
		return websocket_refuse(r, why, detail);
	if (!websocket_origin(r, conf))
		return websocket_refuse(r, REASON_WS_ORIGIN, NULL);
	ws = websocket_new(r, conf);
	if (!ws || !head_add(&r->in, STR("Upgrade"), STR("websocket")))
		return req_fail(r, REASON_INTERNAL);
	if (!websocket_count(ws))
		return websocket_refuse(r, REASON_WS_CONNECTIONS, NULL);
	return step_to(r, STEP_PREPARE);
}

/* --- opening ---------------------------------------------------------------------------------- */

static void
websocket_way(struct websocket *ws, enum ws_side from, const struct ws_agreed *agreed)
{
	struct req *r = ws->req;
	struct ws_way *w = &ws->way[from];

	w->from = from == WS_CLIENT ? r->cx : r->ux;
	w->to = from == WS_CLIENT ? r->ux : r->cx;
	w->frames = (struct ws_frames){
	    .max_frame = ws->conf->max_frame,
	    .max_message = ws->conf->max_message,
	    .rsv = agreed->rsv,
	    .rsv_first = agreed->rsv_first,
	    .masked = from == WS_CLIENT,
	};
	w->from->ops->raw_begin(w->from);
}

/* From now until a little before the deadline, so that there is time for the answers. */
static uint64_t
websocket_window(const struct worker *w, uint64_t from)
{
	return w->drain_deadline_ms > from ? (w->drain_deadline_ms - from) * 3 / 4 : 0;
}

static void
websocket_open(struct websocket *ws, const struct ws_agreed *agreed)
{
	struct worker *w = ws->req->worker;
	uint64_t now = clock_ms();

	websocket_way(ws, WS_CLIENT, agreed);
	websocket_way(ws, WS_UPSTREAM, agreed);
	ws->open = true;
	ws->opened = ws->active = now;
	if (ws->conf->ping_interval)
		ws->ping_at = now + ws->conf->ping_interval;
	rnd_bytes(ws->ping, sizeof(ws->ping));
	list_push(&w->websockets, &ws->node);
	if (w->drain != DRAIN_NO)
		ws->drain_at = now + rnd_below(websocket_window(w, now) + 1);
}

static int
websocket_tell(struct req *r)
{
	struct xchg_send s = {.connection = STR("Upgrade")};
	struct head *h = &r->out;

	if (head_strip_hop(h) < 0)
		return -1;
	head_add(h, STR("Upgrade"), STR("websocket"));
	forward_response(r);
	chain_response(r);
	return r->ws.overflow ? -1 : r->cx->ops->send_head(r->cx, h, &s);
}

int
step_switch(struct req *r)
{
	struct attempt *a = r->attempt;
	struct ws_agreed agreed;
	const char *error;

	r->t.first_byte = clock_ns();
	if (ws_hand_response(&r->in, &r->out, &agreed, &error) < 0) {
		log_info(
		    "request %.*s: endpoint %.*s: %s", STR_ARG(r->id), STR_ARG(r->endpoint), error);
		return upstream_failed(r, REASON_BAD_UPSTREAM);
	}
	attempt_answered(
	    a, r->out.status, (r->t.first_byte - (r->t.sent ? r->t.sent : r->t.head)) / 1000);
	if (websocket_tell(r) < 0) {
		attempt_end(a, false);
		r->ux = NULL;
		return req_fail(r, REASON_INTERNAL);
	}
	r->response_started = true;
	/* No limit of a request holds for what it became. */
	a->conf.total_at_ms = 0;
	attempt_phase(a, PHASE_NONE);
	websocket_open(r->websocket, &agreed);
	return step_to(r, STEP_FRAMES);
}

/* --- draining --------------------------------------------------------------------------------- */

void
websocket_drain(struct worker *w, uint64_t min_ms)
{
	uint64_t from = clock_ms() + min_ms, window = websocket_window(w, from), i = 0, n = 0;

	list_each (node, &w->websockets)
		n++;
	list_each (node, &w->websockets) {
		struct websocket *ws = container_of(node, struct websocket, node);

		ws->drain_at = from + window * i++ / MAX(n, UINT64_C(1));
		if (!timer_is_set(&ws->req->timer) || ws->req->timer.at_ms > ws->drain_at)
			timer_set(w->timers, &ws->req->timer, ws->drain_at);
	}
}

/* --- the end ---------------------------------------------------------------------------------- */

static enum metric_all
websocket_code_metric(unsigned code)
{
	static const struct {
		uint16_t code;
		enum metric_all metric;
	} of[] = {
	    {1000, M_ROUTE_R_WS_1000},
	    {1001, M_ROUTE_R_WS_1001},
	    {1002, M_ROUTE_R_WS_1002},
	    {1006, M_ROUTE_R_WS_1006},
	    {1009, M_ROUTE_R_WS_1009},
	    {1011, M_ROUTE_R_WS_1011},
	    {1012, M_ROUTE_R_WS_1012},
	};

	for (unsigned i = 0; i < ARRAY_LEN(of); i++)
		if (of[i].code == code)
			return of[i].metric;
	return M_ROUTE_R_WS_OTHER;
}

void
websocket_end(struct req *r)
{
	struct metrics *m = r->worker->metrics;
	struct websocket *ws = r->websocket;
	uint32_t row = r->metric_route;

	list_del(&ws->node);
	if (ws->counted)
		metric_row_sub(m, row, M_ROUTE_R_WS_OPEN, 1);
	ws->counted = false;
	if (!ws->open)
		return;
	if (ws->code == 0)
		ws->code = CODE_ABNORMAL;
	metric_row_add(m, row, websocket_code_metric(ws->code), 1);
}

bool
websocket_was_open(const struct req *r)
{
	return r->websocket && r->websocket->open;
}

uint64_t
websocket_messages(const struct req *r, enum ws_side from)
{
	return r->websocket ? r->websocket->way[from].frames.messages : 0;
}

uint64_t
websocket_code(const struct req *r)
{
	return websocket_was_open(r) ? r->websocket->code : 0;
}

struct str
websocket_by(const struct req *r)
{
	static const struct str words[] = {[WS_BY_NOBODY] = {"", 0},
	    [WS_BY_CLIENT] = {"client", 6},
	    [WS_BY_UPSTREAM] = {"upstream", 8},
	    [WS_BY_GATEWAY] = {"gateway", 7}};

	return r->websocket ? words[r->websocket->by] : words[WS_BY_NOBODY];
}
