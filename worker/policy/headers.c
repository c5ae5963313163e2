/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `headers`: header fields removed, set and added, on the way to the upstream and on the way
 * back, in that order. A field that is set leaves no other of its name, `_` and `-` being
 * the same, so what a client sends cannot stand beside it.
 */
#include "conf/check.h"
#include "worker/policy/lines.h"
#include "worker/policy/policy.h"

struct changes_conf {
	struct strs remove;
	struct conf_list set, add; /* struct line_conf */
};
struct headers_conf {
	struct changes_conf request, response;
};

static const struct field change_rows[] = {
    {.name = "remove",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct changes_conf, remove),
	.help = "Names of fields to remove.",
	.example = "remove = [ \"X-Debug\" ];"},
    {.name = "set",
	.type = F_LIST,
	.offset = FIELD_AT(struct changes_conf, set),
	.sub = &line_fields,
	.help =
	    "Fields to write in place of any of the same name, values of the request in braces.",
	.example = "set = ( { name = \"X-Client\"; value = \"{client.ip}\"; } );"},
    {.name = "add",
	.type = F_LIST,
	.offset = FIELD_AT(struct changes_conf, add),
	.sub = &line_fields,
	.help = "Fields to write beside those of the same name.",
	.example = "add = ( { name = \"Vary\"; value = \"Origin\"; } );"},
};
static const struct fields change_fields = {
    .name = "changes",
    .help = "What to remove, set and add.",
    .size = sizeof(struct changes_conf),
    .v = change_rows,
    .n = ARRAY_LEN(change_rows),
};

static const struct field rows[] = {
    {.name = "request",
	.type = F_GROUP,
	.offset = FIELD_AT(struct headers_conf, request),
	.sub = &change_fields,
	.help = "Changes to the request that the upstream gets.",
	.example = "request = { set = ( { name = \"X-User\"; value = \"{id}\"; } ); };"},
    {.name = "response",
	.type = F_GROUP,
	.offset = FIELD_AT(struct headers_conf, response),
	.sub = &change_fields,
	.help =
	    "Changes to the answer that the client gets, the gateway's own answers too. HSTS "
	    "(RFC 6797) is one: set Strict-Transport-Security to \"max-age=31536000\" on routes "
	    "that are to be asked by https alone from then on; nothing sets it by itself.",
	.example = "response = { remove = [ \"Server\" ]; };"},
};

static void
headers_check(void *self, struct conf_check *c)
{
	const struct headers_conf *conf = self;

	for (uint32_t i = 0; i < conf->request.remove.n; i++)
		lines_name_check(conf->request.remove.v[i], "request.remove", c);
	for (uint32_t i = 0; i < conf->response.remove.n; i++)
		lines_name_check(conf->response.remove.v[i], "response.remove", c);
}

static const struct fields fields = {
    .name = "headers",
    .help = "Removes, sets and adds header fields.",
    .size = sizeof(struct headers_conf),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = headers_check,
};

static void
headers_params(const void *conf_, void (*fn)(void *arg, struct str name), void *arg)
{
	const struct headers_conf *conf = conf_;

	lines_params(&conf->request.set, fn, arg);
	lines_params(&conf->request.add, fn, arg);
	lines_params(&conf->response.set, fn, arg);
	lines_params(&conf->response.add, fn, arg);
}

struct changes {
	const struct strs *remove;
	struct lines set, add;
};
struct headers {
	struct changes request, response;
};

static int
compile_changes(
    const struct changes_conf *conf, struct changes *ch, struct ws *ws, const char **error_r)
{
	ch->remove = &conf->remove;
	if (lines_compile(&conf->set, ws, &ch->set, error_r) < 0)
		return -1;
	return lines_compile(&conf->add, ws, &ch->add, error_r);
}

static int
headers_compile(const void *conf_, void *compiled, struct ws *ws, const char **error_r)
{
	const struct headers_conf *conf = conf_;
	struct headers *hs = compiled;

	if (compile_changes(&conf->request, &hs->request, ws, error_r) < 0)
		return -1;
	return compile_changes(&conf->response, &hs->response, ws, error_r);
}

static void
apply(const struct changes *ch, struct head *h, struct req *r)
{
	for (uint32_t i = 0; i < ch->remove->n; i++)
		head_remove(h, ch->remove->v[i]);
	lines_set(&ch->set, h, r);
	lines_add(&ch->add, h, r);
}

static void
headers_request(struct req *r, const struct policy_use *u)
{
	apply(&((const struct headers *)u->compiled)->request, &r->in, r);
}

static void
headers_response(struct req *r, const struct policy_use *u)
{
	apply(&((const struct headers *)u->compiled)->response, &r->out, r);
}

static const struct policy_hooks hooks = {
    .compiled_size = sizeof(struct headers),
    .compile = headers_compile,
    .request = headers_request,
    .response = headers_response,
};

const struct policy_type policy_headers = {
    .name = "headers",
    .help = "Header fields of requests and answers: remove, set, add.",
    .fields = &fields,
    .hooks = &hooks,
    .params = headers_params,
};
