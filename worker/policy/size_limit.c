/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `size_limit`: how large a request may be on this route, whatever the listener says
 * (G-FR-007). A body that announces its length is refused here; one that does not is counted as it
 * comes.
 */
#include "conf/check.h"
#include "worker/policy/policy.h"

struct size_limit_conf {
	uint64_t body, headers;
};

static const struct field rows[] = {
    {.name = "body",
	.type = F_SIZE,
	.offset = FIELD_AT(struct size_limit_conf, body),
	.max = INT64_MAX,
	.unit = "octets",
	.help = "Largest request body; a larger one is answered with 413. May be more or less than "
		"the route's or listener's limit. 0: theirs counts.",
	.example = "body = \"1m\";"},
    {.name = "headers",
	.type = F_SIZE,
	.offset = FIELD_AT(struct size_limit_conf, headers),
	.max = FIELD_GB,
	.unit = "octets",
	.help = "Most octets of header fields; more are answered with 431. Only ever less than the "
		"listener's limit, which comes first. 0: the listener's alone."},
};

static void
size_limit_check(void *self, struct conf_check *c)
{
	(void)self;
	if (!check_given(c, "body") && !check_given(c, "headers"))
		check_error(c, NULL, "neither body nor headers; allowed: at least one of them");
}

static const struct fields fields = {
    .name = "size_limit",
    .help = "Limits the size of requests.",
    .size = sizeof(struct size_limit_conf),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = size_limit_check,
};

static uint64_t
header_size(const struct head *h)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < h->n; i++)
		if (!h->h[i].gone)
			n += h->h[i].name.n + h->h[i].value.n + 4;
	return n;
}

static enum verdict
refuse(struct req *r, enum reason why)
{
	req_reply_reason(r, why);
	return VERDICT_REPLY;
}

static enum verdict
size_limit_answer(struct req *r, const struct policy_use *u)
{
	const struct size_limit_conf *conf = u->conf;

	if (conf->headers > 0 && header_size(&r->in) > conf->headers)
		return refuse(r, REASON_HEADERS_TOO_LARGE);
	if (conf->body == 0)
		return VERDICT_PASS;
	r->body_limit = conf->body;
	if (r->in.has_length && r->in.length > conf->body)
		return refuse(r, REASON_TOO_LARGE);
	return VERDICT_PASS;
}

static const struct policy_hooks hooks = {.answer = size_limit_answer};

const struct policy_type policy_size_limit = {
    .name = "size_limit",
    .help = "Limits on the size of bodies and headers, for one route.",
    .fields = &fields,
    .hooks = &hooks,
};
