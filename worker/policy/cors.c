/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `cors`: which pages of other origins may read what this route answers (R-6.4; Fetch 3.2).
 * A preflight is answered here and never forwarded; on other answers the fields are the gateway's
 * own, whatever the service says. It protects browsers' users: who is no browser needs no leave.
 */
#include "conf/check.h"
#include "conf/origin.h"
#include "shm/base/num.h"
#include "worker/http/octet.h"
#include "worker/policy/policy.h"

#define ORIGIN  STR("Origin")
#define ASKED   STR("Access-Control-Request-Method")
#define HEADERS STR("Access-Control-Request-Headers")
#define PREFIX  STR("Access-Control-")

struct cors_conf {
	struct strs origins, methods, headers, expose;
	bool credentials;
	bool reject;
	uint64_t max_age; /* ms */
};

static const struct field rows[] = {
    {.name = "origins",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct cors_conf, origins),
	.flags = FIELD_REQUIRED,
	.help = "Origins whose pages may read the answers. \"https://example.com\" is that origin "
		"alone, \"https://*.example.com\" all below it, \"*.example.com\" the same "
		"whatever scheme and port, \"*\" any (not with credentials).",
	.example = "origins = [ \"https://shop.example.com\", \"https://*.example.org\" ];"},
    {.name = "methods",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct cors_conf, methods),
	.def = "GET,HEAD,POST,PUT,PATCH,DELETE",
	.help = "Methods pages may use. The route must match OPTIONS too, for preflights."},
    {.name = "headers",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct cors_conf, headers),
	.def = "*",
	.help = "Header fields pages may send besides the harmless ones; \"*\": any they ask for.",
	.example = "headers = [ \"Content-Type\", \"Authorization\" ];"},
    {.name = "expose",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct cors_conf, expose),
	.help = "Header fields of answers that pages may read besides the harmless ones.",
	.example = "expose = [ \"X-Request-Id\" ];"},
    {.name = "credentials",
	.type = F_BOOL,
	.offset = FIELD_AT(struct cors_conf, credentials),
	.def = "false",
	.help = "Pages may send cookies and credentials, and read the answer."},
    {.name = "reject",
	.type = F_BOOL,
	.offset = FIELD_AT(struct cors_conf, reject),
	.def = "false",
	.help =
	    "403 for requests of other origins too, instead of an answer the page cannot read."},
    {.name = "max_age",
	.type = F_DURATION,
	.offset = FIELD_AT(struct cors_conf, max_age),
	.def = "10m",
	.min = 0,
	.max = FIELD_DAY,
	.help = "How long a browser may remember what a preflight said."},
};

static bool
any(const struct strs *list)
{
	return list->n == 1 && str_eq(list->v[0], STR("*"));
}

static void
check_tokens(const struct strs *list, const char *setting, struct conf_check *c)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (!octet_token(list->v[i]))
			check_error(c, setting,
			    "\"%.*s\" is not a name of HTTP; allowed: such as "
			    "\"GET\", \"Content-Type\"",
			    STR_ARG(list->v[i]));
}

static void
cors_check(void *self, struct conf_check *c)
{
	const struct cors_conf *conf = self;

	for (uint32_t i = 0; i < conf->origins.n; i++) {
		const char *wrong = any(&conf->origins) ? NULL : origin_wrong(conf->origins.v[i]);

		if (wrong)
			check_error(c, "origins", "\"%.*s\": %s; " ORIGIN_ALLOWED ", \"*\" alone",
			    STR_ARG(conf->origins.v[i]), wrong);
	}
	if (any(&conf->origins) && conf->credentials)
		check_error(c, "credentials",
		    "any origin could act as its visitors; allowed: with origins that are listed");
	check_tokens(&conf->methods, "methods", c);
	check_tokens(&conf->headers, "headers", c);
	check_tokens(&conf->expose, "expose", c);
}

static const struct fields fields = {
    .name = "cors",
    .help = "Answers preflights, and tells browsers which origins may read an answer.",
    .size = sizeof(struct cors_conf),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = cors_check,
};

struct cors_state {
	bool seen, may;
	bool preflight;
	struct str origin;
	struct str headers; /* asked for */
};

/* --- what a page may -------------------------------------------------------------------------- */

static bool
among(const struct strs *list, struct str name, bool fold)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (fold ? str_ieq(list->v[i], name) : str_eq(list->v[i], name))
			return true;
	return false;
}

static bool
headers_may(const struct cors_conf *conf, struct str asked)
{
	struct str name;

	while (str_list_next(&asked, &name) == 1)
		if (!octet_token(name) ||
		    (!any(&conf->headers) && !among(&conf->headers, name, true)))
			return false;
	return true;
}

static struct str
value(const struct head *h, struct str name)
{
	const struct hdr *f = head_find(h, name);

	return f ? f->value : STR("");
}

static void
look(const struct req *r, const struct cors_conf *conf, struct cors_state *s)
{
	struct str method = value(&r->in, ASKED);

	s->seen = true;
	s->origin = value(&r->in, ORIGIN);
	s->may = any(&conf->origins) || origin_among(&conf->origins, s->origin);
	s->preflight = r->in.method == METHOD_OPTIONS && method.n > 0;
	if (!s->preflight)
		return;
	s->headers = value(&r->in, HEADERS);
	s->may &= among(&conf->methods, method, false) && headers_may(conf, s->headers);
}

static enum verdict
cors_answer(struct req *r, const struct policy_use *u)
{
	const struct cors_conf *conf = u->conf;
	struct cors_state *s = req_policy_state(r, u->index, sizeof(*s));

	if (s == NULL || value(&r->in, ORIGIN).n == 0)
		return VERDICT_PASS;
	look(r, conf, s);
	if (!s->may && (s->preflight || conf->reject)) {
		req_reply_reason(r, REASON_CORS);
		return VERDICT_REPLY;
	}
	if (!s->preflight)
		return VERDICT_PASS;
	req_reply(r, 204, REASON_NONE, STR(""), STR(""));
	return VERDICT_REPLY;
}

/* --- what it is told -------------------------------------------------------------------------- */

static struct str
join(const struct strs *list, struct ws *ws)
{
	struct str all = list->n > 0 ? list->v[0] : STR("");

	for (uint32_t i = 1; i < list->n; i++)
		all = ws_cat(ws, 3, (struct str[]){all, STR(", "), list->v[i]});
	return all;
}

static void
say(struct head *h, const char *name, struct str text)
{
	if (text.n > 0)
		head_add(h, str_of(name), text);
}

static void
tell_preflight(struct req *r, const struct cors_conf *conf, const struct cors_state *s)
{
	struct head *h = &r->out;

	say(h, "Access-Control-Allow-Methods", join(&conf->methods, &r->ws));
	say(h, "Access-Control-Allow-Headers",
	    any(&conf->headers) ? s->headers : join(&conf->headers, &r->ws));
	say(h, "Access-Control-Max-Age",
	    ws_printf(&r->ws, "%llu", (unsigned long long)(conf->max_age / 1000)));
}

/* What the service says of it is not believed: two answers are an error to browsers. */
static void
drop_others(struct head *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		if (str_istarts(h->h[i].name, PREFIX))
			h->h[i].gone = true;
}

static void
cors_response(struct req *r, const struct policy_use *u)
{
	const struct cors_conf *conf = u->conf;
	const struct cors_state *s = req_policy_state(r, u->index, sizeof(*s));
	struct head *h = &r->out;
	bool all = any(&conf->origins);

	drop_others(h);
	/* Caches must not give one origin's answer to another, nor that to none to any. */
	if (!all)
		head_add(h, STR("Vary"), ORIGIN);
	if (s == NULL || !s->seen || !s->may)
		return;
	say(h, "Access-Control-Allow-Origin", all ? STR("*") : s->origin);
	if (conf->credentials)
		say(h, "Access-Control-Allow-Credentials", STR("true"));
	if (s->preflight)
		tell_preflight(r, conf, s);
	else
		say(h, "Access-Control-Expose-Headers", join(&conf->expose, &r->ws));
}

static const struct policy_hooks hooks = {.answer = cors_answer, .response = cors_response};

const struct policy_type policy_cors = {
    .name = "cors",
    .help = "Cross-origin requests of browsers.",
    .fields = &fields,
    .hooks = &hooks,
};
