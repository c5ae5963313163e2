/* SPDX-License-Identifier: Apache-2.0
 *
 * Header fields as settings: read once per plan, valued per request.
 */
#include "worker/policy/lines.h"

#include "worker/http/octet.h"

static const struct field rows[] = {
    {.name = "name",
	.type = F_STRING,
	.offset = FIELD_AT(struct line_conf, name),
	.flags = FIELD_REQUIRED,
	.help = "Name of the field."},
    {.name = "value",
	.type = F_STRING,
	.offset = FIELD_AT(struct line_conf, value),
	.flags = FIELD_REQUIRED,
	.help = "Its value, values of the request in braces."},
};

static void
line_check(void *self, struct conf_check *c)
{
	const struct line_conf *conf = self;

	if (check_given(c, "name"))
		lines_name_check(conf->name, "name", c);
	if (!octet_text(conf->value))
		check_error(c, "value", "control characters; allowed: one line of text");
	else
		template_check(conf->value, "value", c);
}

const struct fields line_fields = {
    .name = "header",
    .help = "A header field.",
    .size = sizeof(struct line_conf),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = line_check,
};

int
lines_compile(const struct conf_list *list, struct ws *ws, struct lines *out, const char **error_r)
{
	const struct line_conf *conf = list->v;
	struct str bad;

	out->n = 0;
	out->v = ws_alloc(ws, MAX(1u, list->n) * sizeof(*out->v));
	if (out->v == NULL) {
		*error_r = "too much memory needed";
		return -1;
	}
	for (uint32_t i = 0; i < list->n; i++) {
		struct line *l = &out->v[out->n++];

		if (!octet_token(conf[i].name) || !octet_text(conf[i].value)) {
			*error_r = "a header field is malformed";
			return -1;
		}
		l->name = conf[i].name;
		if (template_compile(conf[i].value, ws, &l->value, &bad, error_r) < 0)
			return -1;
	}
	return 1;
}

void
lines_name_check(struct str name, const char *setting, struct conf_check *c)
{
	enum hdr_id id = hdr_lookup_alike(name);

	if (!octet_token(name))
		check_error(c, setting,
		    "\"%.*s\" is not the name of a header field; allowed: letters, digits and "
		    "!#$%%&'*+-.^_`|~",
		    STR_ARG(name));
	else if (id == HDR_HOST)
		check_error(
		    c, setting, "the setting `host` of the service says which Host is sent");
	else if (id == HDR_CONTENT_LENGTH || (hdr_flags(id) & HDR_HOP) != 0)
		check_error(c, setting, "\"%.*s\" belongs to the connection; the gateway writes it",
		    STR_ARG(name));
}

void
lines_params(const struct conf_list *list, void (*fn)(void *arg, struct str name), void *arg)
{
	const struct line_conf *conf = list->v;

	for (uint32_t i = 0; i < list->n; i++)
		template_params(conf[i].value, fn, arg);
}

/* Over the workspace limit nothing is added: the mark is sticky and the request fails at its step.
 */
void
lines_set(const struct lines *l, struct head *h, struct req *r)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct str value = template_eval(l->v[i].value, r, TEMPLATE_FIELD);

		head_remove(h, l->v[i].name);
		if (value.p != NULL)
			head_add(h, l->v[i].name, value);
	}
}

void
lines_add(const struct lines *l, struct head *h, struct req *r)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct str value = template_eval(l->v[i].value, r, TEMPLATE_FIELD);

		if (value.p != NULL)
			head_add(h, l->v[i].name, value);
	}
}
