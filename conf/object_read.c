/* SPDX-License-Identifier: Apache-2.0
 *
 * From tree to struct to canonical bytes.
 */
#include "conf/object_read.h"

#include "conf/field_read.h"
#include "shm/base/bug.h"

int
object_id_check(struct str id, struct conf_check *c)
{
	if (object_id_ok(id))
		return 1;
	check_error(c, "id",
	    "\"%.*s\": not an id; allowed: 1 to 63 letters, digits, \".\", \"_\", \"-\"",
	    STR_ARG(str_sub(id, 0, 200)));
	return -1;
}

void
object_read(enum conf_kind kind, const struct node *group, void *self, struct conf_check *c)
{
	static const char *const also[] = {"id", NULL};

	field_read(object_kinds[kind].fields, group, also, self, c);
}

void
object_store(struct conf_object *o, const void *self, struct gbuf *scratch, struct ws *ws)
{
	scratch->n = 0;
	fields_encode(object_kinds[o->kind].fields, self, scratch);
	o->body = ws_str(ws, str_n(scratch->p, scratch->n));
	if (o->body.p == NULL)
		oom_fail(scratch->n);
	o->digest = object_digest(o->kind, o->id, o->body);
}
