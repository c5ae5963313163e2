/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of a service.
 */
#include "conf/service.h"

#include "conf/check.h"
#include "conf/endpoint_url.h"
#include "shm/base/ws.h"

const char *const balancer_names[] = {"round_robin", "least_connections", NULL};
static const char *const proxy_versions[] = {"off", "v1", "v2", NULL};
static const char *const protocol_names[] = {"http1", "http2", NULL};
static const char *const host_names[] = {"client", "endpoint", "fixed", NULL};

static const struct field endpoint_addr_rows[] = {
    {.name = "addr",
	.type = F_ADDR,
	.offset = FIELD_AT(struct conf_endpoint_addr, addr),
	.flags = FIELD_DERIVED,
	.help = "An address."},
};
static const struct fields endpoint_addr_fields = {
    .name = "address",
    .help = "An address of an endpoint.",
    .size = sizeof(struct conf_endpoint_addr),
    .v = endpoint_addr_rows,
    .n = ARRAY_LEN(endpoint_addr_rows),
};

static const struct field endpoint_rows[] = {
    {.name = "url",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_endpoint, url),
	.flags = FIELD_REQUIRED,
	.help = "Where it is: http://host:port or https://host:port with an optional base path, or "
		"unix:/path or unix:/path:/base. The base path is put before the path of each "
		"request. A host name "
		"is resolved when the configuration is loaded, and in a service or set that came "
		"through "
		"the API or the console again and again, as long as its answers live (1 to 30 "
		"seconds); each of its addresses is an endpoint then.",
	.example = "url = \"http://[2001:db8::7]:9001/base\";"},
    {.name = "weight",
	.type = F_INT,
	.offset = FIELD_AT(struct conf_endpoint, weight),
	.def = "1",
	.min = 0,
	.max = 1000,
	.help = "Share of requests relative to the service's other endpoints. 0: none, unless a "
		"weight is set at run time."},
    {.name = "host",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_endpoint, host),
	.flags = FIELD_DERIVED,
	.help = "For the Host header."},
    {.name = "base_path",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_endpoint, base_path),
	.flags = FIELD_DERIVED,
	.help = "The URL's path."},
    {.name = "tls",
	.type = F_BOOL,
	.offset = FIELD_AT(struct conf_endpoint, tls),
	.flags = FIELD_DERIVED,
	.help = "Its URL begins with https://."},
    {.name = "addresses",
	.type = F_LIST,
	.offset = FIELD_AT(struct conf_endpoint, addresses),
	.flags = FIELD_DERIVED,
	.sub = &endpoint_addr_fields,
	.help = "What the host resolved to."},
    {.name = "resolve_error",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_endpoint, resolve_error),
	.flags = FIELD_DERIVED,
	.help = "Why it did not resolve."},
};
static const struct fields endpoint_fields = {
    .name = "endpoint",
    .help = "One place where the service answers.",
    .size = sizeof(struct conf_endpoint),
    .v = endpoint_rows,
    .n = ARRAY_LEN(endpoint_rows),
};

#define TIMEOUT(member, default_, text)                                                            \
	{                                                                                          \
		.name = #member, .type = F_DURATION,                                               \
		.offset = FIELD_IN(struct conf_service, timeouts, member), .def = default_,        \
		.min = 0, .max = FIELD_DAY, .help = text                                           \
	}
static const struct field timeout_rows[] = {
    TIMEOUT(connect, "1s", "How long a connection may take to be established. 0: no limit."),
    TIMEOUT(first_byte, "30s",
	"How long the answer's first octet may take, from the end of the request. 0: no limit."),
    TIMEOUT(idle, "30s",
	"How long the upstream may pause between two pieces of the answer, or take nothing of the "
	"request. 0: no limit."),
    TIMEOUT(total, "0", "How long a request may take in all, every attempt included. 0: no limit."),
};
static const struct fields timeout_fields = {
    .name = "timeouts",
    .help = "Time-outs towards the service.",
    .size = FIELD_SIZE(struct conf_service, timeouts),
    .v = timeout_rows,
    .n = ARRAY_LEN(timeout_rows),
};

static const struct field pool_rows[] = {
    {.name = "idle",
	.type = F_INT,
	.offset = FIELD_IN(struct conf_service, pool, idle),
	.def = "64",
	.min = 0,
	.max = 100000,
	.unit = "connections",
	.help =
	    "Idle connections kept for reuse, for each worker and endpoint. 0: a connection for "
	    "each request."},
    {.name = "idle_timeout",
	.type = F_DURATION,
	.offset = FIELD_IN(struct conf_service, pool, idle_timeout),
	.def = "30s",
	.min = 1,
	.max = FIELD_DAY,
	.help = "How long an idle connection is kept; best shorter than the upstream's own limit."},
    {.name = "requests",
	.type = F_INT,
	.offset = FIELD_IN(struct conf_service, pool, requests),
	.def = "0",
	.min = 0,
	.max = INT64_MAX,
	.unit = "requests",
	.help = "Requests a connection is used for. 0: no limit."},
};
static const struct fields pool_fields = {
    .name = "pool",
    .help = "Connections kept for reuse.",
    .size = FIELD_SIZE(struct conf_service, pool),
    .v = pool_rows,
    .n = ARRAY_LEN(pool_rows),
};

static const struct field retry_rows[] = {
    {.name = "attempts",
	.type = F_INT,
	.offset = FIELD_IN(struct conf_service, retry, attempts),
	.def = "2",
	.min = 1,
	.max = 10,
	.unit = "attempts",
	.help = "Endpoints tried in all when connecting fails, and when a request may safely be "
		"repeated. 1: no second one."},
};
static const struct fields retry_fields = {
    .name = "retry",
    .help = "Trying another endpoint.",
    .size = FIELD_SIZE(struct conf_service, retry),
    .v = retry_rows,
    .n = ARRAY_LEN(retry_rows),
};

static const struct field health_rows[] = {
    {.name = "passive",
	.type = F_BOOL,
	.offset = FIELD_IN(struct conf_service, health, passive),
	.def = "true",
	.help = "Take an endpoint out for a while after failures that requests met."},
    {.name = "failures",
	.type = F_INT,
	.offset = FIELD_IN(struct conf_service, health, failures),
	.def = "3",
	.min = 1,
	.max = 1000000,
	.unit = "failures",
	.help = "Failures in a row, over all workers, after which an endpoint is taken out."},
    {.name = "down",
	.type = F_DURATION,
	.offset = FIELD_IN(struct conf_service, health, down),
	.def = "10s",
	.min = 1,
	.max = FIELD_DAY,
	.help = "How long it stays out."},
};
static const struct fields health_fields = {
    .name = "health",
    .help = "When an endpoint counts as down.",
    .size = FIELD_SIZE(struct conf_service, health),
    .v = health_rows,
    .n = ARRAY_LEN(health_rows),
};

static const struct field rows[] = {
    {.name = "url",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_service, url),
	.help = "Short for endpoints with this one URL.",
	.example = "url = \"${ORDERS_URL:-http://127.0.0.1:9001}\";"},
    {.name = "endpoints",
	.type = F_LIST,
	.offset = FIELD_AT(struct conf_service, endpoints),
	.flags = FIELD_SHOWN,
	.sub = &endpoint_fields,
	.help = "Where the service answers.",
	.example = "endpoints = ( { url = \"http://10.0.0.1:80\"; weight = 2; }, "
		   "{ url = \"http://10.0.0.2:80\"; } );"},
    {.name = "protocol",
	.type = F_ENUM,
	.offset = FIELD_AT(struct conf_service, protocol),
	.def = "http1",
	.names = protocol_names,
	.help = "What its endpoints are spoken to in: HTTP/1.1, or HTTP/2 (by ALPN at https://, "
		"else by prior knowledge), where requests share connections. gRPC needs http2."},
    {.name = "balancer",
	.type = F_ENUM,
	.offset = FIELD_AT(struct conf_service, balancer),
	.def = "round_robin",
	.names = balancer_names,
	.help = "How an endpoint is picked: in turn by weight, or the one with the fewest requests "
		"in progress relative to its weight."},
    {.name = "host",
	.type = F_ENUM,
	.offset = FIELD_AT(struct conf_service, host),
	.def = "client",
	.names = host_names,
	.help = "The Host header the service sees: the client's, the endpoint's as written in its "
		"URL, or host_value."},
    {.name = "host_value",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_service, host_value),
	.help = "The Host header for host = \"fixed\"."},
    {.name = "timeouts",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_service, timeouts),
	.sub = &timeout_fields,
	.help = "Time-outs towards the service; a route may say otherwise."},
    {.name = "pool",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_service, pool),
	.sub = &pool_fields,
	.help = "Connections kept for reuse."},
    {.name = "retry",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_service, retry),
	.sub = &retry_fields,
	.help = "Trying another endpoint."},
    {.name = "health",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_service, health),
	.sub = &health_fields,
	.help = "When an endpoint counts as down."},
    {.name = "proxy_protocol",
	.type = F_ENUM,
	.offset = FIELD_AT(struct conf_service, proxy_protocol),
	.def = "off",
	.names = proxy_versions,
	.help = "Begin each connection with a PROXY header of this version that tells the client's "
		"address, after trusted_proxies, and the one it connected to. Such a connection is "
		"reused only for requests that would send the same header."},
    {.name = "tls",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_service, tls),
	.sub = &service_tls_fields,
	.help = "TLS towards endpoints at https://. Its files are read again when they change."},
    {.name = "policies",
	.type = F_POLICIES,
	.offset = FIELD_AT(struct conf_service, policies),
	.help = "Policies for every route to this service; they run before the route's own."},
};

/* `url` becomes the one endpoint, so that nobody behind has to look at both. */
static void
url_to_endpoint(struct conf_service *s, struct conf_check *c)
{
	struct conf_endpoint *e;

	if (s->url.n == 0)
		return;
	if (s->endpoints.n > 0) {
		check_error(c, "url", "stands beside endpoints; one of the two is allowed");
		return;
	}
	e = ws_zalloc(c->ws, sizeof(*e));
	if (e == NULL)
		return;
	e->url = s->url;
	e->weight = 1;
	s->endpoints = (struct conf_list){e, 1};
	s->url = STR_NONE;
}

static void
endpoint_complete(struct conf_endpoint *e, const struct endpoint_url *u, struct ws *ws)
{
	struct conf_endpoint_addr *a;

	e->host = u->host;
	e->base_path = u->base_path;
	e->tls = u->tls;
	e->addresses = (struct conf_list){NULL, 0};
	if (u->addr.family == 0)
		return;
	a = ws_zalloc(ws, sizeof(*a));
	if (a == NULL)
		return;
	a->addr = u->addr;
	e->addresses = (struct conf_list){a, 1};
}

/* An endpoint is known by scheme and address: one of them twice would share counts and health. */
static void
check_twice(const struct endpoint_url *urls, uint32_t i, const struct conf_endpoint *e,
    struct conf_check *c)
{
	for (uint32_t k = 0; k < i; k++) {
		if (!endpoint_url_same(&urls[k], &urls[i]))
			continue;
		check_error(c, "endpoints",
		    "\"%.*s\" is at the same address as \"%.*s\"; use weight for a larger share",
		    STR_ARG(e[i].url), STR_ARG(e[k].url));
		return;
	}
}

#define URL_ALLOWED                                                                                \
	"allowed: http://host:port/base, https://host:port/base, http://[::1]:port/base, "         \
	"unix:/path, "                                                                             \
	"unix:/path:/base"
#define ENDPOINTS_MAX 1024

static void
check_endpoint(struct conf_endpoint *e, uint32_t i, struct endpoint_url *u, struct conf_check *c)
{
	const char *error;
	char name[48];

	if (e->url.n == 0 || endpoint_url_parse(e->url, u, &error) == 1) {
		endpoint_complete(e, u, c->ws);
		return;
	}
	snprintf(name, sizeof(name), "endpoints[%u].url", i);
	check_error(c, check_given(c, "url") ? "url" : name, "\"%.*s\": %s; " URL_ALLOWED,
	    STR_ARG(e->url), error);
}

static void
check_endpoints(struct conf_service *s, struct conf_check *c)
{
	struct conf_endpoint *e = s->endpoints.v;
	struct endpoint_url *urls;

	if (s->endpoints.n == 0 && !check_given(c, "url") && !check_given(c, "endpoints"))
		check_error(c, NULL, "has neither url nor endpoints; one of them is needed");
	if (s->endpoints.n > ENDPOINTS_MAX)
		check_error(c, "endpoints", "%u endpoints; allowed: up to %u", s->endpoints.n,
		    ENDPOINTS_MAX);
	if (s->endpoints.n == 0 || s->endpoints.n > ENDPOINTS_MAX)
		return;
	urls = ws_zalloc(c->ws, s->endpoints.n * sizeof(*urls));
	for (uint32_t i = 0; urls != NULL && i < s->endpoints.n; i++) {
		check_endpoint(&e[i], i, &urls[i], c);
		if (urls[i].host.n > 0)
			check_twice(urls, i, e, c);
	}
}

void
service_not_looked_up(struct conf_service *s)
{
	struct conf_endpoint *e = s->endpoints.v;

	for (uint32_t i = 0; i < s->endpoints.n; i++)
		if (e[i].addresses.n == 0)
			e[i].resolve_error = STR(SERVICE_NOT_LOOKED_UP);
}

static void
check_timeouts(const struct conf_service *s, struct conf_check *c)
{
	uint64_t total = s->timeouts.total;

	if (total == 0)
		return;
	if (s->timeouts.connect > total)
		check_error(c, "timeouts.connect", "longer than timeouts.total");
	if (s->timeouts.first_byte > total && check_given(c, "timeouts.first_byte"))
		check_error(c, "timeouts.first_byte", "longer than timeouts.total");
}

/* It goes into a header as it stands. */
static bool
host_value_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] == 0x7f || strchr("/?#@,", s.p[i]) != NULL)
			return false;
	return s.n <= 255;
}

static void
service_check(void *self, struct conf_check *c)
{
	struct conf_service *s = self;

	url_to_endpoint(s, c);
	check_endpoints(s, c);
	check_timeouts(s, c);
	if (s->host == HOST_FIXED && s->host_value.n == 0 && !check_given(c, "host_value"))
		check_error(c, "host", "\"fixed\" needs host_value");
	if (s->host != HOST_FIXED && s->host_value.n > 0)
		check_error(c, "host_value", "needs host = \"fixed\"");
	if (!host_value_ok(s->host_value))
		check_error(c, "host_value",
		    "\"%.*s\" is not a Host header; allowed: host or "
		    "host:port",
		    STR_ARG(s->host_value));
}

const struct fields service_fields = {
    .name = "service",
    .help = "Endpoints that answer for one another, how one is picked, and how long it may take.",
    .size = sizeof(struct conf_service),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = service_check,
};
