/* SPDX-License-Identifier: Apache-2.0
 *
 * The group `websocket` of a route. Rows in websocket.c; the worker's websocket.c goes by it.
 */
#ifndef GW_CONF_WEBSOCKET_H
#define GW_CONF_WEBSOCKET_H

#include "conf/field.h"

struct conf_websocket {
	bool enabled;
	struct strs origins; /* exact ones, or with a star for what is below a host */
	uint64_t idle_timeout, lifetime, ping_interval; /* ms; 0: none */
	uint64_t max_frame, max_message;                /* octets of payload; 0: any number */
	int64_t connections; /* of the route, all workers; 0: any number */
};
extern const struct fields websocket_fields;

/* May this Origin come? Anybody may where none is listed. */
bool websocket_origin_may(const struct conf_websocket *w, struct str origin);

#endif
