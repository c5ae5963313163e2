/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames of a WebSocket on their way, straight from the buffer one side was read into to the other
 * side's socket. What may go on is decided by the frames' headers as they pass. Pings and closes of
 * the gateway's own go in between two frames, never within one.
 */
#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "shm/base/rnd.h"
#include "worker/conn.h"
#include "worker/http/proto.h"
#include "worker/plan.h"
#include "worker/req_life.h"
#include "worker/steps.h"
#include "worker/up/attempt.h"
#include "worker/websocket.h"
#include "worker/worker_priv.h"

#define WS_TURN  (256 * 1024) /* octets one way moves before others have their turn */
#define WS_GRACE 5000         /* ms for the answer to a close frame */

enum { CODE_GOING_AWAY = 1001, CODE_PROTOCOL = 1002, CODE_TOO_LARGE = 1009, CODE_INTERNAL = 1011 };
enum { CODE_RESTART = 1012 };

/* --- frames of our own ------------------------------------------------------------------------ */

/* Nothing of a frame is half out: whatever was let through of the last one has gone. */
static bool
way_between(const struct ws_way *w)
{
	return w->ready == 0 && w->frames.left == 0;
}

static bool
way_own(const struct ws_way *w)
{
	return w->own_at < w->own_n && !w->shut;
}

/* Behind what is half out; what has not begun gives way to a later one. */
static void
way_say(struct ws_way *w, enum ws_opcode op, const void *payload, unsigned n)
{
	uint8_t key[4];
	bool masked = !w->frames.masked; /* its frames come from the upstream: ours go to clients */

	if (w->own_at == 0 || !way_own(w))
		w->own_at = w->own_n = 0;
	rnd_bytes(key, sizeof(key));
	w->own_n = (uint16_t)(w->own_n + ws_frame_write(op, payload, n, masked ? NULL : key,
					     w->own + w->own_n));
}

/* 1 it is out (or there is none), 0 not yet, -1 the peer takes nothing. */
static int
way_say_out(struct ws_way *w)
{
	struct iovec v = {w->own + w->own_at, (size_t)(w->own_n - w->own_at)};
	ssize_t took;

	if (!way_own(w))
		return 1;
	took = w->to->ops->send_body(w->to, &v, 1, false);
	if (took < 0)
		return -1;
	w->own_at = (uint16_t)(w->own_at + took);
	if (way_own(w))
		return 0;
	w->shut |= w->last;
	return 1;
}

static void
way_close(struct ws_way *w, unsigned code)
{
	const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

	/* What `from` said itself is on its way, or was. */
	if (w->shut || w->closed || w->last)
		return;
	w->last = true;
	way_say(w, WS_CLOSE, payload, sizeof(payload));
}

void
websocket_close(struct websocket *ws, unsigned code, enum reason why, enum ws_by by)
{
	struct req *r = ws->req;

	if (ws->closing)
		return;
	ws->closing = true;
	ws->end_at = clock_ms() + WS_GRACE;
	if (ws->code == 0) {
		ws->code = (uint16_t)code;
		ws->by = (uint8_t)by;
	}
	if (!r->reason)
		r->reason = why;
	way_close(&ws->way[WS_CLIENT], code);
	way_close(&ws->way[WS_UPSTREAM], code);
}

/* --- letting through -------------------------------------------------------------------------- */

static enum ws_by
ws_from(const struct websocket *ws, const struct ws_way *w)
{
	return w == &ws->way[WS_CLIENT] ? WS_BY_CLIENT : WS_BY_UPSTREAM;
}

static struct ws_way *
ws_other(struct websocket *ws, const struct ws_way *w)
{
	return &ws->way[w == &ws->way[WS_CLIENT] ? WS_UPSTREAM : WS_CLIENT];
}

static bool
ws_is_answer(const struct websocket *ws, const struct ws_piece *p)
{
	return p->opcode == WS_PONG && p->control_n == WS_PING_SIZE &&
	       memcmp(p->control, ws->ping, WS_PING_SIZE) == 0;
}

static void
ws_close_came(struct websocket *ws, struct ws_way *w, const struct ws_piece *p)
{
	w->closed = true;
	if (ws->code == 0) {
		ws->code = p->code;
		ws->by = (uint8_t)ws_from(ws, w);
	}
	if (!ws->end_at)
		ws->end_at = clock_ms() + WS_GRACE;
}

static void
ws_malformed(struct websocket *ws, struct ws_way *w, enum reason why)
{
	w->unread = true;
	websocket_close(
	    ws, why == REASON_WS_TOO_LARGE ? CODE_TOO_LARGE : CODE_PROTOCOL, why, ws_from(ws, w));
}

/* One more piece behind what is ready. False: none now, or none that may be joined to it. */
static bool
ws_admit(struct websocket *ws, struct ws_way *w)
{
	struct ws_frames before = w->frames;
	struct ws_piece p;
	enum reason why;
	int rc = ws_frame_next(
	    &w->frames, str_sub(w->from->ops->raw_data(w->from), w->ready, SIZE_MAX), &p, &why);

	if (rc == 0)
		return false;
	if (rc > 0 && ws_is_answer(ws, &p)) {
		if (w->ready) { /* when that is out */
			w->frames = before;
			return false;
		}
		ws_other(ws, w)->pinged = false;
		w->from->ops->raw_eat(w->from, p.n);
		return true;
	}
	if (rc < 0) {
		w->frames = before;
		ws_malformed(ws, w, why);
		return false;
	}
	if (p.opcode == WS_CLOSE)
		ws_close_came(ws, w, &p);
	if (w->shut)
		w->from->ops->raw_eat(w->from, p.n);
	else
		w->ready += p.n;
	return true;
}

static void
way_drop(struct ws_way *w)
{
	w->from->ops->raw_eat(w->from, w->from->ops->raw_data(w->from).n);
}

/* Looks at what is in the buffer. Where a frame of ours waits, not beyond the end of the frame. */
static void
ws_admit_all(struct websocket *ws, struct ws_way *w)
{
	do {
		if (w->closed || (way_own(w) && w->frames.left == 0))
			return;
		if (w->unread) {
			if (w->ready == 0)
				way_drop(w);
			return;
		}
	} while (ws_admit(ws, w));
}

/* --- one direction ---------------------------------------------------------------------------- */

/* 1 octets went, 0 the socket is full, -1 the peer takes nothing. */
static int
way_send(struct websocket *ws, struct ws_way *w)
{
	struct str data = w->from->ops->raw_data(w->from);
	struct iovec v = {(void *)(uintptr_t)data.p, w->ready};
	ssize_t took = w->to->ops->send_body(w->to, &v, 1, false);
	struct req *r = ws->req;

	if (took < 0)
		return -1;
	if (took > 0) {
		*(w == &ws->way[WS_CLIENT] ? &r->body_in : &r->body_out) += (uint64_t)took;
		ws->active = clock_ms();
		w->from->ops->raw_eat(w->from, (size_t)took);
	}
	w->ready -= (uint32_t)took;
	if (w->ready)
		return 0;
	w->shut |= w->closed;
	return 1;
}

/* Octets for the buffer. False: none now, or no more. */
static bool
way_fill(struct ws_way *w)
{
	int rc;

	if (w->over || w->closed)
		return false;
	rc = w->from->ops->raw_fill(w->from);
	w->over = rc < 0;
	return rc > 0;
}

enum way_turn { WAY_ON, WAY_DRY, WAY_STOP };

/* A round: what is ready out, or a frame of ours, or more in. */
static enum way_turn
ws_round(struct websocket *ws, struct ws_way *w)
{
	int rc = 1;

	if (w->ready == 0)
		ws_admit_all(ws, w);
	if (w->ready)
		rc = way_send(ws, w);
	else if (way_own(w) && way_between(w))
		rc = way_say_out(w);
	else
		return way_fill(w) ? WAY_ON : WAY_DRY;
	w->deaf |= rc < 0;
	w->full = rc == 0;
	return rc > 0 ? WAY_ON : WAY_STOP;
}

/* True: it moved something. */
static bool
ws_run(struct websocket *ws, struct ws_way *w)
{
	uint64_t start = w->from->rx_bytes + w->to->tx_bytes, moved = 0;
	enum way_turn rc = w->deaf ? WAY_STOP : WAY_ON;

	w->full = false;
	/* The head of the 101, where the socket did not take all of it. */
	if (!w->deaf && w->to->ops->send_body(w->to, NULL, 0, false) < 0)
		w->deaf = true;
	while (rc == WAY_ON && !w->deaf && moved < WS_TURN) {
		rc = ws_round(ws, w);
		moved = w->from->rx_bytes + w->to->tx_bytes - start;
	}
	if (rc == WAY_ON && !w->deaf)
		req_later(ws->req);
	return moved > 0;
}

static void
ws_count(struct websocket *ws)
{
	static const enum metric_all of[] = {
	    [WS_CLIENT] = M_ROUTE_R_WS_IN, [WS_UPSTREAM] = M_ROUTE_R_WS_OUT};
	struct metrics *m = ws->req->worker->metrics;

	for (unsigned i = 0; i < ARRAY_LEN(ws->way); i++) {
		struct ws_way *w = &ws->way[i];

		if (w->told == w->frames.messages)
			continue;
		metric_row_add(m, ws->req->metric_route, of[i], w->frames.messages - w->told);
		w->told = w->frames.messages;
	}
}

/* --- time ------------------------------------------------------------------------------------- */

static void
ws_ping(struct websocket *ws, uint64_t now)
{
	for (unsigned side = 0; side < ARRAY_LEN(ws->way); side++) {
		struct ws_way *to = ws_other(ws, &ws->way[side]);

		/* The last one is not out, or the answer is not read: no blame for that. */
		if (way_own(to) || ws->way[side].full)
			continue;
		if (to->pinged) {
			websocket_close(ws, CODE_INTERNAL, REASON_WS_PONG,
			    side == WS_CLIENT ? WS_BY_CLIENT : WS_BY_UPSTREAM);
			return;
		}
		to->pinged = true;
		way_say(to, WS_PING, ws->ping, WS_PING_SIZE);
	}
	ws->ping_at = now + ws->conf->ping_interval;
}

/* All of the gateway stops, or this worker alone. */
static unsigned
ws_drain_code(const struct worker *w)
{
	bool all = !w->procs || atomic_load_explicit(&w->procs->draining, memory_order_acquire);

	return all ? CODE_GOING_AWAY : CODE_RESTART;
}

static uint64_t
ws_idle_at(const struct websocket *ws)
{
	return ws->conf->idle_timeout ? ws->active + ws->conf->idle_timeout : UINT64_MAX;
}

static uint64_t
ws_lifetime_at(const struct websocket *ws)
{
	return ws->conf->lifetime ? ws->opened + ws->conf->lifetime : UINT64_MAX;
}

static void
ws_clock(struct websocket *ws, uint64_t now)
{
	if (ws->end_at)
		return;
	if (ws->drain_at && now >= ws->drain_at)
		websocket_close(ws, ws_drain_code(ws->req->worker), REASON_WS_DRAIN, WS_BY_GATEWAY);
	else if (now >= ws_idle_at(ws))
		websocket_close(ws, CODE_GOING_AWAY, REASON_WS_IDLE, WS_BY_GATEWAY);
	else if (now >= ws_lifetime_at(ws))
		websocket_close(ws, CODE_GOING_AWAY, REASON_WS_LIFETIME, WS_BY_GATEWAY);
	else if (ws->ping_at && now >= ws->ping_at)
		ws_ping(ws, now);
}

/* The timer is set for the nearest time there is, and moved only to an earlier one: octets that
 * move put off the idle time without touching it. */
static void
ws_timer(struct websocket *ws)
{
	struct req *r = ws->req;
	uint64_t at = MIN(ws_idle_at(ws), ws_lifetime_at(ws));

	if (ws->ping_at)
		at = MIN(at, ws->ping_at);
	if (ws->drain_at)
		at = MIN(at, ws->drain_at);
	if (ws->end_at)
		at = ws->end_at;
	if (at != UINT64_MAX && (!timer_is_set(&r->timer) || at < r->timer.at_ms))
		timer_set(r->worker->timers, &r->timer, at);
}

/* Who does not read in time is cut off, as with any other answer. */
static void
ws_deadlines(struct websocket *ws, bool in_moved, bool out_moved)
{
	struct req *r = ws->req;
	enum attempt_phase want = ws->way[WS_CLIENT].full ? PHASE_IDLE : PHASE_NONE;

	conn_wait(r->conn, ws->way[WS_UPSTREAM].full ? CONN_WAIT_WRITE : CONN_WAIT_NONE, out_moved);
	if (r->attempt->phase != want || (want == PHASE_IDLE && in_moved))
		attempt_phase(r->attempt, want);
}

/* --- the step --------------------------------------------------------------------------------- */

/* `from` has no more to say, and what it said is out. */
static bool
way_quiet(const struct ws_way *w)
{
	return (w->closed || w->over || w->deaf) && (w->ready == 0 || w->deaf);
}

static bool
ws_is_over(struct websocket *ws, uint64_t now)
{
	struct ws_way *in = &ws->way[WS_CLIENT], *out = &ws->way[WS_UPSTREAM];

	if (ws->end_at && now >= ws->end_at)
		return true;
	/* Gone without a close frame: nothing the other side says can reach it. */
	for (unsigned i = 0; i < ARRAY_LEN(ws->way); i++) {
		struct ws_way *w = &ws->way[i];

		if (w->over && !w->closed && way_quiet(w) && !ws->closing)
			return true;
		if (w->over && w->frames.left > 0 && way_quiet(w))
			return true; /* within a frame: no close frame can follow */
	}
	if ((in->deaf || out->deaf) && !ws->closing)
		return true;
	return way_quiet(in) && way_quiet(out) && (in->shut || in->deaf) &&
	       (out->shut || out->deaf);
}

static int
ws_finish(struct websocket *ws)
{
	struct req *r = ws->req;
	struct ws_way *in = &ws->way[WS_CLIENT], *out = &ws->way[WS_UPSTREAM];

	timer_stop(&r->timer);
	if (ws->code == 0) {
		ws->by = in->over || out->deaf ? WS_BY_CLIENT : WS_BY_UPSTREAM;
		if (!r->reason)
			r->reason = REASON_WS_ABORTED;
	}
	/* In HTTP/2 the end of a stream is what the end of a connection is to others. */
	if (r->in.minor == 2 && !r->cx->gone)
		(void)r->cx->ops->send_body(r->cx, NULL, 0, true);
	r->after = r->cx->gone ? AFTER_RESET : AFTER_LINGER;
	return step_to(r, STEP_FINISH);
}

int
step_frames(struct req *r)
{
	struct websocket *ws = r->websocket;
	uint64_t now = clock_ms();
	bool in, out;

	if (r->attempt->state == ATTEMPT_FAILED)
		return req_abandon(r, r->attempt->why);
	ws_clock(ws, now);
	in = ws_run(ws, &ws->way[WS_CLIENT]);
	out = ws_run(ws, &ws->way[WS_UPSTREAM]);
	/* What the second way met may be for the first one to say. */
	if (way_own(&ws->way[WS_CLIENT]))
		in |= ws_run(ws, &ws->way[WS_CLIENT]);
	ws_count(ws);
	if (ws_is_over(ws, now))
		return ws_finish(ws);
	ws_deadlines(ws, in, out);
	ws_timer(ws);
	return STEP_WAIT;
}
