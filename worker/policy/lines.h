/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of header fields in the settings of policies: ( { name = "X-A"; value = "{id}"; }, ... ),
 * the values templates.
 */
#ifndef GW_LINES_H
#define GW_LINES_H

#include "conf/field.h"
#include "worker/policy/template.h"

struct line_conf {
	struct str name, value;
};
extern const struct fields line_fields; /* for F_LIST rows; checks names and values */

struct line {
	struct str name;
	const struct template *value;
};
struct lines {
	struct line *v;
	uint32_t n;
};

/* `list` is of struct line_conf. */
int lines_compile(
    const struct conf_list *list, struct ws *ws, struct lines *out, const char **error_r) NODISCARD;
/* Complains about what is no name of a field, and about names the gateway writes itself. */
void lines_name_check(struct str name, const char *setting, struct conf_check *c);
void lines_params(const struct conf_list *list, void (*fn)(void *arg, struct str name), void *arg);

void lines_set(
    const struct lines *l, struct head *h, struct req *r); /* in place of what was there */
void lines_add(const struct lines *l, struct head *h, struct req *r); /* beside it */

#endif
