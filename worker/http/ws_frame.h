/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket frames (RFC 6455 5) as they pass: judged by their headers, payload neither kept nor
 * looked at. One struct for each direction of a connection; the relay (worker/ws_relay.c) feeds it
 * the octets as they lie in the read buffer and hands on what it lets through. No sockets here.
 */
#ifndef GW_WS_FRAME_H
#define GW_WS_FRAME_H

#include "shm/base/str.h"
#include "shm/reason.h"

enum ws_opcode { WS_CONTINUATION, WS_TEXT, WS_BINARY, WS_CLOSE = 8, WS_PING, WS_PONG };

enum { WS_RSV1 = 0x40, WS_RSV_ALL = 0x70 };

#define WS_HEADER_MAX  14 /* two octets, the long length, the key */
#define WS_CONTROL_MAX 125
#define WS_OWN_MAX     (2 + 4 + WS_CONTROL_MAX) /* a frame made here */

/* What may come, and where in it we are. */
struct ws_frames {
	uint64_t max_frame, max_message; /* octets of payload; 0: any number */
	uint8_t rsv;                     /* reserved bits that an extension gives a meaning */
	bool rsv_first;                  /* only in the first frame of a message (RFC 7692 6) */
	bool masked;                     /* frames must be; else they must not */

	bool open;         /* within a message of several frames */
	bool data, last;   /* of the frame at hand: a message's, and its end */
	uint64_t left;     /* its payload still to come; 0: the next octet begins a frame */
	uint64_t message;  /* payload of the message so far */
	uint64_t messages; /* whole ones that passed */
};

/* A range of octets that belongs to one frame. */
struct ws_piece {
	uint32_t n;     /* from the first octet of the data */
	uint8_t opcode; /* of the frame that begins here; WS_CONTINUATION for payload alone */
	uint8_t control_n;
	uint16_t code;                   /* WS_CLOSE: its status code, 1005 where it has none */
	uint8_t control[WS_CONTROL_MAX]; /* payload of a control frame, unmasked */
};

/* The next piece of data, which begins where the last piece ended. 1: *p_r; a control frame is one
 * piece, a data frame's first piece has its whole header. 0: more octets are needed, nothing was
 * taken. -1 with *why_r: malformed or too large at this very octet; f is not to be used again. */
int ws_frame_next(
    struct ws_frames *f, struct str data, struct ws_piece *p_r, enum reason *why_r) NODISCARD;

/* A control frame as a client (key: four octets) or a server (NULL) sends it. Octets written; out
 * holds WS_OWN_MAX. */
unsigned ws_frame_write(
    enum ws_opcode op, const void *payload, unsigned n, const uint8_t *key, char *out);

#endif
