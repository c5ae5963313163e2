/* SPDX-License-Identifier: Apache-2.0
 *
 * The opening handshake of a WebSocket (RFC 6455 4), by its heads alone: what a client asked for,
 * and whether an upstream's 101 agrees with it. Called by worker/websocket.c.
 */
#ifndef GW_WS_HAND_H
#define GW_WS_HAND_H

#include "shm/reason.h"
#include "worker/http/head.h"

/* Upgrade names websocket, whatever else there may be wrong. Hop-by-hop fields may be gone. */
bool ws_hand_wanted(const struct head *h);
/* RFC 6455 4.2.1. 1; -1 with *why_r and words for the client. */
int ws_hand_request(const struct head *h, enum reason *why_r, const char **detail_r) NODISCARD;

/* What the extensions agreed upon do to frames. */
struct ws_agreed {
	uint8_t rsv;    /* WS_RSV*: bits that may be set */
	bool rsv_first; /* in the first frame of a message alone */
};
/* RFC 6455 4.1: is this 101 an answer to that request? 1; -1 with words for the log. */
int ws_hand_response(const struct head *request, const struct head *response,
    struct ws_agreed *agreed_r, const char **error_r) NODISCARD;

#endif
