/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of a listener.
 */
#include "conf/listener.h"

#include "conf/check.h"
#include "conf/pattern.h"

static const struct field management_rows[] = {
    {.name = "enabled",
	.type = F_BOOL,
	.offset = FIELD_IN(struct conf_listener, management, enabled),
	.def = "false",
	.help = "Answer the management API below /api/gateway/ on this listener. It is matched "
		"before any route."},
    {.name = "public",
	.type = F_STRINGS,
	.offset = FIELD_IN(struct conf_listener, management, open),
	.help = "Parts of the management API that are answered without credentials: \"status\", "
		"\"services\".",
	.example = "public = [ \"status\", \"services\" ];"},
};
static const struct fields management_fields = {
    .name = "management",
    .help = "The management API.",
    .size = FIELD_SIZE(struct conf_listener, management),
    .v = management_rows,
    .n = ARRAY_LEN(management_rows),
};

#define TIMEOUT(member, default_, text)                                                            \
	{                                                                                          \
		.name = #member, .type = F_DURATION,                                               \
		.offset = FIELD_IN(struct conf_listener, timeouts, member), .def = default_,       \
		.min = 1, .max = FIELD_DAY, .help = text                                           \
	}
static const struct field timeout_rows[] = {
    TIMEOUT(header, "10s",
	"How long a client may take for the whole head of a request, counted from its first "
	"octet."),
    TIMEOUT(body, "30s", "How long a client may pause between two pieces of a request's body."),
    TIMEOUT(idle, "60s", "How long a connection may wait for its next request."),
    TIMEOUT(write, "30s", "How long a client may take nothing of an answer that waits for it."),
};
static const struct fields timeout_fields = {
    .name = "timeouts",
    .help = "Time-outs towards clients.",
    .size = FIELD_SIZE(struct conf_listener, timeouts),
    .v = timeout_rows,
    .n = ARRAY_LEN(timeout_rows),
};

static const struct field limit_rows[] = {
    {.name = "request_line",
	.type = F_SIZE,
	.offset = FIELD_IN(struct conf_listener, limits, request_line),
	.def = "8k",
	.min = 256,
	.max = 64 * FIELD_KB,
	.unit = "octets",
	.help = "Longest request line; a longer one is answered with 414."},
    {.name = "headers",
	.type = F_SIZE,
	.offset = FIELD_IN(struct conf_listener, limits, headers),
	.def = "32k",
	.min = FIELD_KB,
	.max = FIELD_MB,
	.unit = "octets",
	.help = "All header fields of a request together; more is answered with 431."},
    {.name = "header_count",
	.type = F_INT,
	.offset = FIELD_IN(struct conf_listener, limits, header_count),
	.def = "100",
	.min = 1,
	.max = 1000,
	.unit = "fields",
	.help = "Header fields of a request; more is answered with 431."},
    {.name = "body",
	.type = F_SIZE,
	.offset = FIELD_IN(struct conf_listener, limits, body),
	.def = "10m",
	.min = 0,
	.max = INT64_MAX,
	.unit = "octets",
	.help = "Largest request body; a larger one is answered with 413. 0: no limit. A route may "
		"say otherwise."},
    {.name = "connections",
	.type = F_INT,
	.offset = FIELD_IN(struct conf_listener, limits, connections),
	.def = "0",
	.min = 0,
	.max = 10000000,
	.unit = "connections",
	.help = "Connections of this listener in each worker; at the limit new ones wait to be "
		"accepted. 0: only limits.connections of the instance counts."},
    {.name = "requests_per_connection",
	.type = F_INT,
	.offset = FIELD_IN(struct conf_listener, limits, requests_per_connection),
	.def = "0",
	.min = 0,
	.max = INT64_MAX,
	.unit = "requests",
	.help = "After so many requests a connection is closed. 0: no limit."},
};
static const struct fields limit_fields = {
    .name = "limits",
    .help = "Limits on what clients send.",
    .size = FIELD_SIZE(struct conf_listener, limits),
    .v = limit_rows,
    .n = ARRAY_LEN(limit_rows),
};

static const char *const proxy_modes[] = {"off", "v1", "v2", "any", NULL};
static const struct field proxy_rows[] = {
    {.name = "mode",
	.type = F_ENUM,
	.offset = FIELD_IN(struct conf_listener, proxy_protocol, mode),
	.def = "off",
	.names = proxy_modes,
	.help = "The version of the header: v1 (text), v2 (binary) or any of the two."},
    {.name = "from",
	.type = F_CIDRS,
	.offset = FIELD_IN(struct conf_listener, proxy_protocol, from),
	.help = "Who has to send it: the load balancers in front. From others nothing is taken "
		"for a header. Empty: everybody who can connect has to, and may claim any "
		"address.",
	.example = "from = [ \"10.0.0.0/24\", \"2001:db8::/64\" ];"},
    {.name = "timeout",
	.type = F_DURATION,
	.offset = FIELD_IN(struct conf_listener, proxy_protocol, timeout),
	.def = "5s",
	.min = 1,
	.max = FIELD_DAY,
	.help = "How long the whole header may take, from the connection's start."},
};
static const struct fields proxy_fields = {
    .name = "proxy_protocol",
    .help = "The PROXY protocol from load balancers.",
    .size = FIELD_SIZE(struct conf_listener, proxy_protocol),
    .v = proxy_rows,
    .n = ARRAY_LEN(proxy_rows),
};

static const struct field http2_rows[] = {
    {.name = "enabled",
	.type = F_BOOL,
	.offset = FIELD_IN(struct conf_listener, http2, enabled),
	.def = "true",
	.help = "Speak HTTP/2 with clients that ask for it: by ALPN (\"h2\") where the listener "
		"has TLS, and without TLS in the ways below."},
    {.name = "prior_knowledge",
	.type = F_BOOL,
	.offset = FIELD_IN(struct conf_listener, http2, prior_knowledge),
	.def = "true",
	.help = "Take connections that begin with HTTP/2's preface."},
    {.name = "upgrade",
	.type = F_BOOL,
	.offset = FIELD_IN(struct conf_listener, http2, upgrade),
	.def = "true",
	.help = "Take \"Upgrade: h2c\" in a request without a body; not with TLS."},
    {.name = "streams",
	.type = F_INT,
	.offset = FIELD_IN(struct conf_listener, http2, streams),
	.def = "128",
	.min = 1,
	.max = 10000,
	.unit = "requests",
	.help = "Requests a connection may have under way at a time."},
    {.name = "window",
	.type = F_SIZE,
	.offset = FIELD_IN(struct conf_listener, http2, window),
	.def = "64k",
	.min = 65535,
	.max = 16 * FIELD_MB,
	.unit = "octets",
	.help = "Octets of a request's body kept until the service takes them."},
    {.name = "connection_window",
	.type = F_SIZE,
	.offset = FIELD_IN(struct conf_listener, http2, connection_window),
	.def = "1m",
	.min = 65535,
	.max = 256 * FIELD_MB,
	.unit = "octets",
	.help = "The same for all requests of a connection together."},
    {.name = "max_age",
	.type = F_DURATION,
	.offset = FIELD_IN(struct conf_listener, http2, max_age),
	.def = "0",
	.min = 0,
	.max = 365 * FIELD_DAY,
	.help = "A connection that was open for so long takes no more requests (GOAWAY), also "
		"while none is under way; those that are go on. 0: any age."},
};
static const struct fields http2_fields = {
    .name = "http2",
    .help = "HTTP/2.",
    .size = FIELD_SIZE(struct conf_listener, http2),
    .v = http2_rows,
    .n = ARRAY_LEN(http2_rows),
};

static const struct field rows[] = {
    {.name = "address",
	.type = F_ADDR,
	.offset = FIELD_AT(struct conf_listener, address),
	.flags = FIELD_REQUIRED,
	.help = "Where to listen: address and port, \"*\" for every address of both families, or a "
		"Unix socket.",
	.example = "address = \"*:8080\";"},
    {.name = "backlog",
	.type = F_INT,
	.offset = FIELD_AT(struct conf_listener, backlog),
	.def = "4096",
	.min = 1,
	.max = 65535,
	.unit = "connections",
	.help = "Connections the kernel queues until they are accepted; net.core.somaxconn is the "
		"upper bound."},
    {.name = "health",
	.type = F_BOOL,
	.offset = FIELD_AT(struct conf_listener, health),
	.def = "true",
	.help = "Answer health_path here: 200 when ready, 503 while starting or draining."},
    {.name = "health_path",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_listener, health_path),
	.def = "/health",
	.help = "The path of the health answer. It is matched before any route."},
    {.name = "management",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_listener, management),
	.sub = &management_fields,
	.help = "The management API on this listener."},
    {.name = "timeouts",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_listener, timeouts),
	.sub = &timeout_fields,
	.help = "Time-outs towards clients."},
    {.name = "limits",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_listener, limits),
	.sub = &limit_fields,
	.help = "Limits on what clients send."},
    {.name = "proxy_protocol",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_listener, proxy_protocol),
	.sub = &proxy_fields,
	.help =
	    "Connections begin with a header of the PROXY protocol, by which a load balancer in "
	    "front tells the client's address and the one it connected to: they hold for "
	    "policies, trusted_proxies and X-Forwarded-For as if the client had connected itself. "
	    "The access line has who did connect as its peer. A header that names no TCP address "
	    "(LOCAL, UNKNOWN, Unix sockets) leaves the connection's own. One that is malformed, "
	    "longer than 4096 octets or late ends the connection."},
    {.name = "tls",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_listener, tls),
	.sub = &listener_tls_fields,
	.help = "TLS towards clients. Behind a PROXY header it begins after it."},
    {.name = "http1",
	.type = F_BOOL,
	.offset = FIELD_AT(struct conf_listener, http1),
	.def = "true",
	.help = "Speak HTTP/1.1 and 1.0. Without it a client that does not speak HTTP/2 is "
		"answered 505."},
    {.name = "urgent",
	.type = F_BOOL,
	.offset = FIELD_AT(struct conf_listener, urgent),
	.def = "false",
	.help = "Serve its connections ahead of those of other listeners, as far as one worker is "
		"concerned: for health checks and management that have to be answered also when "
		"more is asked than can be served. Connections keep what they were accepted with."},
    {.name = "http2",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_listener, http2),
	.sub = &http2_fields,
	.help = "HTTP/2 on the same port: which of the two a client speaks is seen at its first "
		"octets."},
};

static const char *const public_parts[] = {"status", "services", NULL};

static void
check_public(const struct strs *open, struct conf_check *c)
{
	for (uint32_t i = 0; i < open->n; i++) {
		bool known = false;

		for (unsigned k = 0; public_parts[k] != NULL; k++)
			known |= str_eq(open->v[i], str_of(public_parts[k]));
		if (!known)
			check_error(c, "management.public",
			    "\"%.*s\" is not a part that may be public; allowed: \"status\", "
			    "\"services\"",
			    STR_ARG(open->v[i]));
	}
}

static void
check_health_path(const struct conf_listener *l, struct conf_check *c)
{
	const char *wrong = pattern_path(l->health_path, true);

	if (wrong == NULL && (l->health_path.p[0] != '/' || str_chr(l->health_path, '*') >= 0 ||
				 str_chr(l->health_path, '{') >= 0))
		wrong = "a plain path is needed";
	if (wrong != NULL)
		check_error(c, "health_path", "\"%.*s\": %s; allowed: a path such as \"/health\"",
		    STR_ARG(l->health_path), wrong);
	else if (pattern_reserved(l->health_path))
		check_error(c, "health_path",
		    "\"%.*s\" lies below /api/gateway/, which is the "
		    "management API's",
		    STR_ARG(l->health_path));
}

static void
listener_check(void *self, struct conf_check *c)
{
	const struct conf_listener *l = self;

	check_public(&l->management.open, c);
	if (l->management.open.n > 0 && !l->management.enabled)
		check_warn(c, "management.public", "without effect: management.enabled is false");
	if (l->proxy_protocol.from.n > 0 && l->proxy_protocol.mode == PROXY_OFF)
		check_warn(c, "proxy_protocol.from", "without effect: proxy_protocol.mode is off");
	check_health_path(l, c);
}

const struct fields listener_fields = {
    .name = "listener",
    .help = "An address, and what a client may do there.",
    .size = sizeof(struct conf_listener),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = listener_check,
};
