/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of header fields in the settings of policies: strings "Name: value", the value a template.
 */
#ifndef GW_LINES_H
#define GW_LINES_H

#include "conf/field.h"
#include "worker/policy/template.h"

struct line {
	struct str name;
	const struct template *value;
};
struct lines {
	struct line *v;
	uint32_t n;
};

int lines_compile(
    const struct strs *list, struct ws *ws, struct lines *out, const char **error_r) NODISCARD;
/* Complains about lines that are none, and about names the gateway writes itself. */
void lines_check(const struct strs *list, const char *setting, struct conf_check *c);
bool lines_name_check(struct str name, const char *setting, struct conf_check *c);
void lines_params(const struct strs *list, void (*fn)(void *arg, struct str name), void *arg);

void lines_set(
    const struct lines *l, struct head *h, struct req *r); /* in place of what was there */
void lines_add(const struct lines *l, struct head *h, struct req *r); /* beside it */

#endif
