/* SPDX-License-Identifier: Apache-2.0
 *
 * A WebSocket: what a request becomes with a 101 (RFC 6455). Lives in the request's workspace from
 * the check of its handshake (websocket.c) to the log; ws_relay.c moves its frames. Made only on
 * routes that take WebSockets, and kept with its plan over any number of reloads.
 */
#ifndef GW_WEBSOCKET_H
#define GW_WEBSOCKET_H

#include "conf/websocket.h"
#include "worker/http/ws_frame.h"
#include "worker/req.h"

enum ws_side { WS_CLIENT, WS_UPSTREAM };
enum ws_by { WS_BY_NOBODY, WS_BY_CLIENT, WS_BY_UPSTREAM, WS_BY_GATEWAY };
#define WS_PING_SIZE 8

/* One direction. Only where nothing of a frame is half out may a frame of ours go in between. */
struct ws_way {
	struct xchg *from, *to;
	struct ws_frames frames; /* of `from`, up to the end of `ready` */
	uint32_t ready;          /* octets at the head of from's buffer that may go on */
	uint64_t told;           /* messages the counters know of */
	bool closed;             /* from's close frame was seen */
	bool over;               /* `from` sends no more */
	bool shut;               /* `to` got a close frame: nothing goes to it any more */
	bool deaf;               /* `to` takes nothing any more */
	bool unread;             /* what `from` sends has no meaning any more: dropped unread */
	bool full;               /* `to` takes nothing now */
	bool last;               /* the frame of ours ends with a close frame */
	bool pinged;             /* `to` owes the answer to a ping */
	uint16_t own_at, own_n;
	char own[2 * WS_OWN_MAX]; /* to go to `to`: a ping, a close */
};

struct websocket {
	struct list node; /* among the worker's open ones */
	struct req *req;
	const struct conf_websocket *conf; /* in the plan */
	bool counted, open;
	bool closing;             /* the gateway closes it, both ways */
	uint8_t by;               /* enum ws_by: who began to close it */
	uint16_t code;            /* 0: none yet */
	uint64_t opened, active;  /* ms: since when, and when octets of a frame moved last */
	uint64_t ping_at, end_at; /* ms; end_at: not waited for any longer. 0: none */
	uint64_t drain_at;        /* ms: closed because the process drains; 0: not yet known */
	char ping[WS_PING_SIZE];  /* payload of ours: answers to it are told from others */
	struct ws_way way[2];     /* by enum ws_side of `from` */
};

/* Before anything is sent upstream: what the policies pass has to be a handshake the route takes,
 * or no handshake at all (step UPGRADE). Every way out of a request. */
void websocket_end(struct req *r);
/* The worker drains: each open one is closed at a time of its own, all before the deadline. */
void websocket_drain(struct worker *w, uint64_t min_ms);

/* ws_relay.c: begins to close both ways with this code; words and counters go by `why`. */
void websocket_close(struct websocket *ws, unsigned code, enum reason why, enum ws_by by);

/* Its 101 went to the client. */
bool websocket_was_open(const struct req *r);
/* For the log: 0 and "" where there is no such thing. */
uint64_t websocket_messages(const struct req *r, enum ws_side from);
uint64_t websocket_code(const struct req *r);
struct str websocket_by(const struct req *r);

#endif
