/* SPDX-License-Identifier: Apache-2.0
 *
 * Text with places for values of the request: "/v2/{id}", "{client.ip}", "{header.X-Tenant}". The
 * names are the rows of a table in template.c; any other plain name is a parameter captured by the
 * route's path. "{{" is a brace. Read once at load for its errors, compiled once per plan.
 *
 * What a value is put into decides how it is written, so that no request can break out of its
 * place: control octets never pass, the rest depends on enum template_place.
 */
#ifndef GW_TEMPLATE_H
#define GW_TEMPLATE_H

#include "conf/check.h"
#include "worker/req.h"

struct template;

enum template_place {
	TEMPLATE_FIELD, /* a header field's value, plain text */
	TEMPLATE_PATH,  /* path segments: what is not from a path is percent-encoded, slashes too */
	TEMPLATE_URL,   /* the same, with authority and query kept */
	TEMPLATE_JSON,  /* within a string of JSON */
	TEMPLATE_HTML
};

/* 1; -1 with *error_r, and the piece of text it is about in *bad_r. The text is borrowed. */
int template_compile(struct str text, struct ws *ws, const struct template **t_r, struct str *bad_r,
    const char **error_r) NODISCARD;
/* In r->ws or borrowed from the template; STR_NONE over the workspace limit. */
struct str template_eval(const struct template *t, struct req *r, enum template_place place);

/* For the checks of settings: complains about `setting` when the text is no template. */
bool template_check(struct str text, const char *setting, struct conf_check *c);
/* Calls fn for every path parameter the text names; for a text that compiles. */
void template_params(struct str text, void (*fn)(void *arg, struct str name), void *arg);
/* "{host} {method} ...": all names, for manual pages and messages. */
extern const char template_names[];

#endif
