/* SPDX-License-Identifier: Apache-2.0
 *
 * "Name: value" as settings: cut once, valued per request.
 */
#include "worker/policy/lines.h"

#include "worker/http/octet.h"

/* False when there is no colon; *value_r is what stands after it, trimmed. */
static bool
cut(struct str line, struct str *name_r, struct str *value_r)
{
	ssize_t colon = str_chr(line, ':');

	if (colon < 0)
		return false;
	*name_r = str_sub(line, 0, (size_t)colon);
	*value_r = str_trim(str_sub(line, (size_t)colon + 1, line.n));
	return octet_token(*name_r) && octet_text(*value_r);
}

int
lines_compile(const struct strs *list, struct ws *ws, struct lines *out, const char **error_r)
{
	struct str value, bad;

	out->n = 0;
	out->v = ws_alloc(ws, MAX(1u, list->n) * sizeof(*out->v));
	if (out->v == NULL) {
		*error_r = "too much memory needed";
		return -1;
	}
	for (uint32_t i = 0; i < list->n; i++) {
		struct line *l = &out->v[out->n++];

		if (!cut(list->v[i], &l->name, &value)) {
			*error_r = "a header line is malformed";
			return -1;
		}
		if (template_compile(value, ws, &l->value, &bad, error_r) < 0)
			return -1;
	}
	return 1;
}

bool
lines_name_check(struct str name, const char *setting, struct conf_check *c)
{
	enum hdr_id id = hdr_lookup_alike(name);

	if (!octet_token(name)) {
		check_error(c, setting,
		    "\"%.*s\" is not the name of a header field; allowed: letters, digits and "
		    "!#$%%&'*+-.^_`|~",
		    STR_ARG(name));
		return false;
	}
	if (id == HDR_HOST) {
		check_error(
		    c, setting, "the service's setting \"host\" decides which Host is sent");
		return false;
	}
	if (id == HDR_CONTENT_LENGTH || (hdr_flags(id) & HDR_HOP) != 0) {
		check_error(c, setting, "\"%.*s\" belongs to the connection; the gateway writes it",
		    STR_ARG(name));
		return false;
	}
	return true;
}

void
lines_check(const struct strs *list, const char *setting, struct conf_check *c)
{
	struct str name, value;

	for (uint32_t i = 0; i < list->n; i++) {
		if (!cut(list->v[i], &name, &value))
			check_error(c, setting,
			    "\"%.*s\" is not a header line; allowed: \"Name: value\"",
			    STR_ARG(list->v[i]));
		else if (lines_name_check(name, setting, c))
			template_check(value, setting, c);
	}
}

void
lines_params(const struct strs *list, void (*fn)(void *arg, struct str name), void *arg)
{
	struct str name, value;

	for (uint32_t i = 0; i < list->n; i++)
		if (cut(list->v[i], &name, &value))
			template_params(value, fn, arg);
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
