/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `fixed_response`: an answer from the configuration: a page, a word of maintenance, a
 * redirect. A route with it needs no service. Values of the request that it repeats are escaped as
 * the type of the body wants it.
 */
#include "conf/check.h"
#include "worker/http/octet.h"
#include "worker/policy/lines.h"
#include "worker/policy/policy.h"

struct fixed_conf {
	int64_t status;
	struct str content_type, body, location;
	struct conf_list headers; /* struct line_conf */
};

static const struct field rows[] = {
    {.name = "status",
	.type = F_INT,
	.offset = FIELD_AT(struct fixed_conf, status),
	.def = "200",
	.min = 200,
	.max = 599,
	.help = "Status of the answer; 302 where there is a `location` and no status."},
    {.name = "content_type",
	.type = F_STRING,
	.offset = FIELD_AT(struct fixed_conf, content_type),
	.def = "text/plain; charset=utf-8",
	.help = "Content-Type of the body."},
    {.name = "body",
	.type = F_STRING,
	.offset = FIELD_AT(struct fixed_conf, body),
	.help = "The body, values of the request in braces, a brace itself written {{.",
	.example = "body = \"{{ \\\"path\\\": \\\"{path}\\\" }\";"},
    {.name = "location",
	.type = F_STRING,
	.offset = FIELD_AT(struct fixed_conf, location),
	.help = "Location, for redirects, values of the request in braces.",
	.example = "location = \"https://{host}/new/{rest}\";"},
    {.name = "headers",
	.type = F_LIST,
	.offset = FIELD_AT(struct fixed_conf, headers),
	.sub = &line_fields,
	.help = "More header fields.",
	.example = "headers = ( { name = \"Retry-After\"; value = \"120\"; } );"},
};

static bool
no_body(int64_t status)
{
	return status == 204 || status == 304;
}

static void
fixed_check(void *self, struct conf_check *c)
{
	struct fixed_conf *conf = self;

	if (conf->location.n > 0 && !check_given(c, "status"))
		conf->status = 302;
	if (conf->location.n > 0 && conf->status / 100 != 3 && conf->status != 201)
		check_error(c, "location", "status %d has none; allowed: with 201 and 3xx",
		    (int)conf->status);
	if (conf->body.n > 0 && no_body(conf->status))
		check_error(c, "body", "status %d has no body", (int)conf->status);
	if (!octet_text(conf->content_type) || conf->content_type.n == 0)
		check_error(c, "content_type", "not a media type; allowed: such as \"text/html\"");
	if (!octet_text(conf->location))
		check_error(c, "location", "control characters; allowed: a URL or path");
	template_check(conf->body, "body", c);
	template_check(conf->location, "location", c);
}

static const struct fields fields = {
    .name = "fixed_response",
    .help = "Answers from the configuration; no upstream is asked.",
    .size = sizeof(struct fixed_conf),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = fixed_check,
};

static void
fixed_params(const void *conf_, void (*fn)(void *arg, struct str name), void *arg)
{
	const struct fixed_conf *conf = conf_;

	template_params(conf->body, fn, arg);
	template_params(conf->location, fn, arg);
	lines_params(&conf->headers, fn, arg);
}

struct fixed {
	const struct template *body, *location; /* location: NULL for none */
	struct lines headers;
	enum template_place place;
};

static enum template_place
place_of(struct str type)
{
	struct str media = type;

	(void)str_cut(&type, ';', &media);
	media = str_trim(media);
	if (str_ieq(media, STR("application/json")) || str_ends(media, STR("+json")))
		return TEMPLATE_JSON;
	if (str_istarts(media, STR("text/html")) || str_ends(media, STR("xml")))
		return TEMPLATE_HTML;
	return TEMPLATE_FIELD;
}

static int
fixed_compile(const void *conf_, void *compiled, struct ws *ws, const char **error_r)
{
	const struct fixed_conf *conf = conf_;
	struct fixed *f = compiled;
	struct str bad;

	*f = (struct fixed){.place = place_of(conf->content_type)};
	if (template_compile(conf->body, ws, &f->body, &bad, error_r) < 0)
		return -1;
	if (conf->location.n > 0 &&
	    template_compile(conf->location, ws, &f->location, &bad, error_r) < 0)
		return -1;
	return lines_compile(&conf->headers, ws, &f->headers, error_r);
}

struct fixed_state {
	bool answered;
};

static enum verdict
fixed_answer(struct req *r, const struct policy_use *u)
{
	const struct fixed_conf *conf = u->conf;
	const struct fixed *f = u->compiled;
	struct fixed_state *state = req_policy_state(r, u->index, sizeof(*state));
	struct str body = template_eval(f->body, r, f->place);

	if (state == NULL || body.p == NULL) {
		req_reply_reason(r, REASON_INTERNAL);
		return VERDICT_REPLY;
	}
	state->answered = true;
	req_reply(r, (uint16_t)conf->status, REASON_NONE, conf->content_type, body);
	return VERDICT_REPLY;
}

/* Its own answer passes through here as any other does: the place for its header fields. */
static void
fixed_response(struct req *r, const struct policy_use *u)
{
	const struct fixed *f = u->compiled;
	const struct fixed_state *state = req_policy_state(r, u->index, sizeof(*state));
	struct str location;

	if (state == NULL || !state->answered)
		return;
	if (f->location != NULL) {
		location = template_eval(f->location, r, TEMPLATE_URL);
		if (location.p != NULL)
			head_set(&r->out, STR("Location"), location);
	}
	lines_set(&f->headers, &r->out, r);
}

static const struct policy_hooks hooks = {
    .compiled_size = sizeof(struct fixed),
    .compile = fixed_compile,
    .answer = fixed_answer,
    .response = fixed_response,
};

const struct policy_type policy_fixed_response = {
    .name = "fixed_response",
    .help = "A fixed answer or a redirect.",
    .fields = &fields,
    .hooks = &hooks,
    .answers = true,
    .params = fixed_params,
};
