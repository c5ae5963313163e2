/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of a route.
 */
#include "conf/route.h"

#include "conf/check.h"
#include "conf/method.h"
#include "conf/pattern.h"
#include "conf/policy.h"
#include "shm/base/regex.h"

static const char *const cond_names[] = {"exact", "prefix", "regex", "present", "absent", NULL};

static const struct field cond_rows[] = {
    {.name = "name",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_cond, name),
	.flags = FIELD_REQUIRED,
	.help = "Its name; that of a header regardless of case."},
    {.name = "match",
	.type = F_ENUM,
	.offset = FIELD_AT(struct conf_cond, match),
	.def = "exact",
	.names = cond_names,
	.help = "How its value is compared. \"present\" and \"absent\" take no value."},
    {.name = "value",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_cond, value),
	.help = "What it is compared with."},
};

static void
cond_check_regex(const struct conf_cond *cond, struct conf_check *c)
{
	const char *error;
	struct regex *r = regex_new(cond->value, &error);

	if (r == NULL)
		check_error(c, "value", "\"%.*s\": %s; allowed: a regular expression",
		    STR_ARG(cond->value), error);
	regex_free(&r);
}

static void
cond_check(void *self, struct conf_check *c)
{
	const struct conf_cond *cond = self;
	bool bare = cond->match == COND_PRESENT || cond->match == COND_ABSENT;

	if (bare && check_given(c, "value"))
		check_error(c, "value", "without meaning for match = \"%s\"; leave it out",
		    cond_names[cond->match]);
	if (!bare && cond->value.n == 0)
		check_error(c, NULL,
		    "value is missing; match = \"%s\" compares with one, and an empty one is "
		    "matched by "
		    "the regex \"^$\"",
		    cond_names[cond->match]);
	if (cond->match == COND_REGEX && cond->value.n > 0)
		cond_check_regex(cond, c);
}

static const struct fields cond_fields = {
    .name = "condition",
    .help = "A condition on a header, a query parameter or a cookie.",
    .size = sizeof(struct conf_cond),
    .v = cond_rows,
    .n = ARRAY_LEN(cond_rows),
    .check = cond_check,
};

#define TIMEOUT(member, text)                                                                      \
	{                                                                                          \
		.name = #member, .type = F_DURATION,                                               \
		.offset = FIELD_IN(struct conf_route, timeouts, member), .def = "0", .min = 0,     \
		.max = FIELD_DAY, .help = text                                                     \
	}
static const struct field timeout_rows[] = {
    TIMEOUT(first_byte, "As the service's. 0: the service's."),
    TIMEOUT(idle, "As the service's. 0: the service's."),
    TIMEOUT(total, "As the service's. 0: the service's."),
    TIMEOUT(connect, "As the service's. 0: the service's."),
};
static const struct fields timeout_fields = {
    .name = "timeouts",
    .help = "Time-outs for this route instead of the service's.",
    .size = FIELD_SIZE(struct conf_route, timeouts),
    .v = timeout_rows,
    .n = ARRAY_LEN(timeout_rows),
};

static const struct field limit_rows[] = {
    {.name = "body",
	.type = F_SIZE,
	.offset = FIELD_IN(struct conf_route, limits, body),
	.def = "0",
	.min = 0,
	.max = INT64_MAX,
	.unit = "octets",
	.help = "Largest request body on this route. 0: the listener's."},
};
static const struct fields limit_fields = {
    .name = "limits",
    .help = "Limits for this route instead of the listener's.",
    .size = FIELD_SIZE(struct conf_route, limits),
    .v = limit_rows,
    .n = ARRAY_LEN(limit_rows),
};

static const struct field rows[] = {
    {.name = "host",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct conf_route, host),
	.help = "Hosts it is for: exact, or with \"*.\" in front for all below. Left out: any.",
	.example = "host = [ \"example.com\", \"*.example.com\" ];"},
    {.name = "path",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct conf_route, path),
	.flags = FIELD_REQUIRED,
	.help =
	    "Paths it is for. A segment may be a {parameter} or a star; a star at the end takes "
	    "all that follows. With \"~\" in front it is a regular expression over the whole "
	    "path, whose named groups become parameters.",
	.example = "path = [ \"/orders/*\", \"/users/{id}/orders\", \"~^/v[0-9]+/orders$\" ];"},
    {.name = "method",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct conf_route, method),
	.help = "Methods it is for; GET takes HEAD too. Left out: any.",
	.example = "method = [ \"GET\", \"POST\" ];"},
    {.name = "headers",
	.type = F_LIST,
	.offset = FIELD_AT(struct conf_route, headers),
	.sub = &cond_fields,
	.help = "Conditions on headers; all must hold.",
	.example = "headers = ( { name = \"X-Version\"; value = \"2\"; } );"},
    {.name = "query",
	.type = F_LIST,
	.offset = FIELD_AT(struct conf_route, query),
	.sub = &cond_fields,
	.help = "Conditions on query parameters; all must hold."},
    {.name = "cookies",
	.type = F_LIST,
	.offset = FIELD_AT(struct conf_route, cookies),
	.sub = &cond_fields,
	.help = "Conditions on cookies; all must hold."},
    {.name = "listener",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct conf_route, listener),
	.help = "Ids of the listeners it is for. Left out: all."},
    {.name = "priority",
	.type = F_INT,
	.offset = FIELD_AT(struct conf_route, priority),
	.def = "0",
	.min = -1000000,
	.max = 1000000,
	.help = "Decides between routes of equal host and path; the higher one is tried first."},
    {.name = "service",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_route, service),
	.help = "Id of the service that answers. Needed unless a policy answers."},
    {.name = "timeouts",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_route, timeouts),
	.sub = &timeout_fields,
	.help = "Time-outs for this route instead of the service's."},
    {.name = "limits",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_route, limits),
	.sub = &limit_fields,
	.help = "Limits for this route instead of the listener's."},
    {.name = "require_length",
	.type = F_BOOL,
	.offset = FIELD_AT(struct conf_route, require_length),
	.def = "false",
	.help = "Answer 411 to a request whose body comes without Content-Length."},
    {.name = "merge_slashes",
	.type = F_BOOL,
	.offset = FIELD_AT(struct conf_route, merge_slashes),
	.def = "true",
	.help = "Slashes in a row in the request's path count as one."},
    {.name = "streaming",
	.type = F_BOOL,
	.offset = FIELD_AT(struct conf_route, streaming),
	.def = "false",
	.help =
	    "Its answers are streams: once the head of one is there, timeouts.idle holds for it, "
	    "but timeouts.total does not. Answers of type text/event-stream are streams without "
	    "this. Every answer is passed on as it comes."},
    {.name = "half_close",
	.type = F_BOOL,
	.offset = FIELD_AT(struct conf_route, half_close),
	.def = "false",
	.help =
	    "A client that closes its sending side behind a whole request still gets its answer. "
	    "Otherwise it counts as gone, which ends the request at the upstream at once: a client "
	    "that only half-closes, as \"nc -N\" does, and one that left look the same. A reset, "
	    "or a write that fails, is the end either way."},
    {.name = "websocket",
	.type = F_GROUP,
	.offset = FIELD_AT(struct conf_route, websocket),
	.sub = &websocket_fields,
	.help = "WebSocket connections on this route.",
	.example = "websocket = { enabled = true; origins = [ \"https://example.com\" ]; };"},
    {.name = "policies",
	.type = F_POLICIES,
	.offset = FIELD_AT(struct conf_route, policies),
	.help = "What is done to its requests and answers, in this order, after the service's own.",
	.example =
	    "policies = ( { policy = \"rewrite\"; prefix = \"/api/orders\"; to = \"/api\"; } "
	    ");"},
};

/* Hosts are compared in lower case: written down so once, here. */
static void
lower_hosts(struct conf_route *r, struct conf_check *c)
{
	for (uint32_t i = 0; i < r->host.n; i++) {
		struct str *s = (struct str *)(uintptr_t)&r->host.v[i], copy;
		bool upper = false;

		for (size_t k = 0; k < s->n; k++)
			upper |= s->p[k] >= 'A' && s->p[k] <= 'Z';
		if (!upper)
			continue;
		copy = ws_str(c->ws, *s);
		if (copy.p == NULL)
			return;
		for (size_t k = 0; k < copy.n; k++)
			if (copy.p[k] >= 'A' && copy.p[k] <= 'Z')
				((char *)(uintptr_t)copy.p)[k] |= 0x20;
		*s = copy;
	}
}

static void
check_hosts(const struct conf_route *r, struct conf_check *c)
{
	for (uint32_t i = 0; i < r->host.n; i++) {
		const char *wrong = pattern_host(r->host.v[i]);

		if (wrong != NULL)
			check_error(c, "host",
			    "\"%.*s\": %s; allowed: \"example.com\", \"*.example.com\" or an "
			    "address",
			    STR_ARG(r->host.v[i]), wrong);
	}
}

static void
check_paths(const struct conf_route *r, struct conf_check *c)
{
	for (uint32_t i = 0; i < r->path.n; i++) {
		struct str path = r->path.v[i];
		const char *wrong = pattern_path(path, r->merge_slashes);

		if (wrong != NULL)
			check_error(c, "path",
			    "\"%.*s\": %s; allowed: \"/exact\", \"/with/{parameter}\", "
			    "\"/prefix/*\", \"~regex\"",
			    STR_ARG(path), wrong);
		else if (pattern_reserved(path))
			check_error(c, "path",
			    "\"%.*s\" lies below /api/gateway/, which is the management API's",
			    STR_ARG(path));
	}
}

static const char *
method_wrong(struct str m)
{
	if (!pattern_token(m))
		return "not a method name";
	if (str_eq(m, STR("CONNECT")) || str_eq(m, STR("TRACE")))
		return "the gateway answers this method itself";
	for (unsigned i = 0; i < METHOD_COUNT; i++)
		if (!str_eq(m, method_name(i)) && str_ieq(m, method_name(i)))
			return "method names are written in upper case";
	return NULL;
}

static void
check_methods(const struct conf_route *r, struct conf_check *c)
{
	for (uint32_t i = 0; i < r->method.n; i++) {
		const char *wrong = method_wrong(r->method.v[i]);

		if (wrong != NULL)
			check_error(c, "method",
			    "\"%.*s\": %s; allowed: method names such as "
			    "\"GET\", \"POST\"",
			    STR_ARG(r->method.v[i]), wrong);
	}
}

static void
check_names(const struct conf_list *list, const char *setting, struct conf_check *c)
{
	const struct conf_cond *cond = list->v;
	char name[48];

	for (uint32_t i = 0; i < list->n; i++) {
		if (cond[i].name.n == 0 || pattern_token(cond[i].name))
			continue;
		snprintf(name, sizeof(name), "%s[%u].name", setting, i);
		check_error(c, name,
		    "\"%.*s\" is not a name; allowed: letters, digits and "
		    "!#$%%&'*+-.^_`|~",
		    STR_ARG(cond[i].name));
	}
}

static void
check_answer(const struct conf_route *r, struct conf_check *c)
{
	const struct conf_policy *p = r->policies.v;

	if (r->service.n > 0 || check_given(c, "service"))
		return;
	for (uint32_t i = 0; i < r->policies.n; i++)
		if (p[i].type->answers)
			return;
	check_error(c, NULL,
	    "nobody answers: service is missing and no policy answers; allowed: service = \"id\", "
	    "or "
	    "a policy such as fixed_response");
}

static void
check_timeouts(const struct conf_route *r, struct conf_check *c)
{
	uint64_t total = r->timeouts.total;

	if (total == 0)
		return;
	if (r->timeouts.connect > total)
		check_error(c, "timeouts.connect", "longer than timeouts.total");
	if (r->timeouts.first_byte > total)
		check_error(c, "timeouts.first_byte", "longer than timeouts.total");
}

/* Does one of the paths capture it: "{name}", or a regular expression's "(?<name>"? */
static bool
captures(const struct conf_route *r, struct str name)
{
	for (uint32_t i = 0; i < r->path.n; i++) {
		struct str path = r->path.v[i];
		bool regex = str_starts(path, STR("~"));
		ssize_t at;

		while ((at = str_chr(path, regex ? '<' : '{')) >= 0) {
			path = str_sub(path, (size_t)at + 1, path.n);
			if (str_starts(path, name) && path.n > name.n &&
			    path.p[name.n] == (regex ? '>' : '}'))
				return true;
		}
	}
	return false;
}

struct params_check {
	const struct conf_route *route;
	struct conf_check *c;
	uint32_t policy; /* index */
};

static void
check_param(void *arg, struct str name)
{
	struct params_check *p = arg;
	char setting[32];

	if (captures(p->route, name))
		return;
	snprintf(setting, sizeof(setting), "policies[%u]", p->policy);
	check_error(p->c, setting,
	    "\"{%.*s}\": no path of this route captures it, and it is no other value; allowed: "
	    "parameters of the path, and what the policy's description lists",
	    STR_ARG(name));
}

static void
check_params(const struct conf_route *r, struct conf_check *c)
{
	const struct conf_policy *v = r->policies.v;
	struct params_check p = {.route = r, .c = c};

	for (p.policy = 0; p.policy < r->policies.n; p.policy++)
		if (v[p.policy].type->params != NULL)
			v[p.policy].type->params(v[p.policy].conf, check_param, &p);
}

static void
route_check(void *self, struct conf_check *c)
{
	struct conf_route *r = self;

	lower_hosts(r, c);
	check_hosts(r, c);
	check_paths(r, c);
	check_methods(r, c);
	check_names(&r->headers, "headers", c);
	check_names(&r->cookies, "cookies", c);
	check_answer(r, c);
	check_timeouts(r, c);
	check_params(r, c);
}

/* The rows in front. Of malformed bytes everything is told, for the decoder to find it out. */
#define PLACE_ROWS 3

struct str
route_shared(struct str body)
{
	struct rbuf r = rbuf_of(body);
	size_t at = 0;

	while (at < body.n && (unsigned char)body.p[at] < PLACE_ROWS) {
		uint8_t row = rbuf_u8(&r);

		for (uint32_t left = rbuf_u32(&r); left > 0 && !r.bad; left--) {
			struct str s = rbuf_bytes(&r, rbuf_u32(&r));

			if (rows[row].offset == FIELD_AT(struct conf_route, path) &&
			    str_starts(s, STR("~")))
				return body;
		}
		if (r.bad)
			return body;
		at = r.at;
	}
	return str_sub(body, at, body.n);
}

const struct fields route_fields = {
    .name = "route",
    .help = "Which requests it takes, and where they go.",
    .size = sizeof(struct conf_route),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = route_check,
};
