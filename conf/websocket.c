/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of WebSockets on a route, and how origins are compared.
 */
#include "conf/websocket.h"

#include "conf/check.h"
#include "conf/pattern.h"

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

/* "scheme://" off, or nothing where there is none. */
static struct str
scheme_off(struct str *s)
{
	ssize_t at = str_find(*s, STR("://"));
	struct str scheme = str_sub(*s, 0, at < 0 ? 0 : (size_t)at);

	*s = at < 0 ? *s : str_sub(*s, (size_t)at + 3, s->n);
	return scheme;
}

/* ":port" off the end, brackets of IPv6 minded. */
static void
port_off(struct str *s)
{
	size_t i = s->n;

	while (i > 0 && s->p[i - 1] >= '0' && s->p[i - 1] <= '9')
		i--;
	if (i < s->n && i > 0 && s->p[i - 1] == ':')
		*s = str_sub(*s, 0, i - 1);
}

const char *
websocket_origin_wrong(struct str pattern)
{
	struct str host = pattern, scheme;

	if (str_eq(pattern, STR("null")))
		return NULL;
	scheme = scheme_off(&host);
	port_off(&host);
	if (scheme.n == 0 && !str_starts(pattern, STR("*.")))
		return "an origin has a scheme";
	return pattern_host(host);
}

/* What a star stands for: labels of a host. */
static bool
star_fits(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = (char)(s.p[i] | 0x20);

		if (!(c >= 'a' && c <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-' &&
		    s.p[i] != '.' && s.p[i] != '_')
			return false;
	}
	return s.n > 0 && s.p[0] != '.';
}

static bool
origin_fits(struct str pattern, struct str origin)
{
	struct str scheme, want = pattern, host = origin;

	if (str_find(pattern, STR("*.")) < 0)
		return str_ieq(pattern, origin);
	scheme = scheme_off(&want);
	if (scheme.n == 0) {
		scheme_off(&host);
		port_off(&host);
	} else if (!str_ieq(scheme, scheme_off(&host))) {
		return false;
	}
	want = str_sub(want, 1, want.n); /* ".example.com:8443" */
	return host.n > want.n && star_fits(str_sub(host, 0, host.n - want.n)) &&
	       str_ieq(str_sub(host, host.n - want.n, host.n), want);
}

bool
websocket_origin_may(const struct conf_websocket *w, struct str origin)
{
	for (uint32_t i = 0; i < w->origins.n; i++)
		if (origin_fits(w->origins.v[i], origin))
			return true;
	return w->origins.n == 0;
}

static void
websocket_check(void *self, struct conf_check *c)
{
	const struct conf_websocket *w = self;

	for (uint32_t i = 0; i < w->origins.n; i++) {
		const char *wrong = websocket_origin_wrong(w->origins.v[i]);

		if (wrong)
			check_error(c, "origins",
			    "\"%.*s\": %s; allowed: \"https://example.com\", "
			    "\"https://*.example.com\", \"*.example.com\"",
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
