/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of WebSockets on a route.
 */
#include "conf/websocket.h"

#include "conf/check.h"
#include "conf/origin.h"

#define CONNECTIONS_MAX 100000000

#define LIMIT(member, standard, text)                                                              \
	{                                                                                          \
		.name = #member, .type = F_SIZE,                                                   \
		.offset = FIELD_AT(struct conf_websocket, member), .def = standard, .min = 0,      \
		.max = INT64_MAX, .unit = "octets", .help = text                                   \
	}
#define SPAN(member, standard, text)                                                               \
	{                                                                                          \
		.name = #member, .type = F_DURATION,                                               \
		.offset = FIELD_AT(struct conf_websocket, member), .def = standard, .min = 0,      \
		.max = 365 * FIELD_DAY, .help = text                                               \
	}

static const struct field rows[] = {
    {.name = "enabled",
	.type = F_BOOL,
	.offset = FIELD_AT(struct conf_websocket, enabled),
	.def = "false",
	.help = "Take WebSocket handshakes on this route. Otherwise Upgrade is dropped, and the "
		"service sees a plain request."},
    {.name = "origins",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct conf_websocket, origins),
	.help = "Origins whose pages may connect, 403 for others and for handshakes without "
		"Origin. "
		"\"https://example.com\" is that origin alone, \"https://*.example.com\" all "
		"below it, \"*.example.com\" the same whatever scheme and port. Left out: any.",
	.example = "origins = [ \"https://example.com\", \"https://*.example.com\" ];"},
    SPAN(idle_timeout, "5m",
	"Closed (1001) when no octet of a frame came from either side for so long. 0: never."),
    SPAN(lifetime, "0", "Closed (1001) when it was open for so long. 0: never."),
    SPAN(ping_interval, "0",
	"The gateway pings client and service so often, and closes (1011) when one did not answer "
	"until the next ping. Its pings and their answers do not count against idle_timeout. 0: "
	"no pings."),
    LIMIT(max_frame, "16M",
	"Largest payload of a frame, as it is on the wire; closed with 1009 above it. 0: any."),
    LIMIT(max_message, "64M",
	"Largest payload of a message's frames together, as they are on the wire (a compressed "
	"message is larger when it is read); closed with 1009 above it. 0: any."),
    {.name = "connections",
	.type = F_INT,
	.offset = FIELD_AT(struct conf_websocket, connections),
	.def = "0",
	.min = 0,
	.max = CONNECTIONS_MAX,
	.unit = "connections",
	.help = "WebSocket connections the route may have at a time, handshakes included, in all "
		"workers together; 503 above it. 0: any number."},
};

bool
websocket_origin_may(const struct conf_websocket *w, struct str origin)
{
	return w->origins.n == 0 || origin_among(&w->origins, origin);
}

static void
websocket_check(void *self, struct conf_check *c)
{
	const struct conf_websocket *w = self;

	for (uint32_t i = 0; i < w->origins.n; i++) {
		const char *wrong = origin_wrong(w->origins.v[i]);

		if (wrong)
			check_error(c, "origins", "\"%.*s\": %s; " ORIGIN_ALLOWED,
			    STR_ARG(w->origins.v[i]), wrong);
	}
	if (w->max_message && w->max_frame > w->max_message && check_given(c, "max_frame"))
		check_error(c, "max_frame", "larger than max_message");
}

const struct fields websocket_fields = {
    .name = "websocket",
    .help = "WebSocket connections on this route.",
    .size = sizeof(struct conf_websocket),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = websocket_check,
};
