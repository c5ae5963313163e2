/* SPDX-License-Identifier: Apache-2.0
 *
 * A group of the neutral tree into a struct by its field table: every error of it at once, each
 * with its place, what is wrong and what is allowed.
 */
#ifndef GW_FIELD_READ_H
#define GW_FIELD_READ_H

#include "conf/check.h"
#include "conf/field.h"
#include "conf/node.h"

/* Fills `self` with defaults, then from `group`, then runs the table's check. `also`
 * (NULL-terminated, may be NULL): names in the group that are read by somebody else. c->ws holds
 * what is allocated, c->at is the group's place. Errors are told through c; self is usable, not
 * right, after some. */
void field_read(const struct fields *f, const struct node *group, const char *const *also,
    void *self, struct conf_check *c);

/* The text of a string node, with variables expanded where c says so. -1 after an error at c's
 * place. */
int field_read_string(const struct node *n, struct conf_check *c, struct str *s_r) NODISCARD;

/* Moves c to a node (its file and line) and back. */
struct field_place {
	const struct node *node;
	struct str file;
	uint32_t line;
};
struct field_place field_enter(struct conf_check *c, const struct node *n);
void field_leave(struct conf_check *c, struct field_place before);

#endif
