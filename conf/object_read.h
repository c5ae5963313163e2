/* SPDX-License-Identifier: Apache-2.0
 *
 * One object of the neutral tree by its kind's table, with every check that needs no other object:
 * what the loader does for files and document_object for JSON.
 */
#ifndef GW_OBJECT_READ_H
#define GW_OBJECT_READ_H

#include "conf/check.h"
#include "conf/node.h"
#include "conf/object.h"

/* 1; -1 after an error at the group's "id". */
int object_id_check(struct str id, struct conf_check *c) NODISCARD;

/* `self` is a struct of the kind's table; "id" in the group is passed over. Errors through c, whose
 * place is the group's and whose path ends in "routes[orders]". */
void object_read(enum conf_kind kind, const struct node *group, void *self, struct conf_check *c);

/* The canonical body into ws, and the digest of it. `scratch` is emptied first. */
void object_store(struct conf_object *o, const void *self, struct gbuf *scratch, struct ws *ws);

#endif
