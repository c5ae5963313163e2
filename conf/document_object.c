/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects from and to the JSON of change documents, and patches between them.
 */
#include "conf/document.h"

#include "conf/field_read.h"
#include "conf/node_json.h"
#include "conf/object_read.h"
#include "conf/service.h"
#include "conf/show.h"
#include "shm/base/bug.h"

/* --- JSON to object --------------------------------------------------------------------------- */

/* "id" may stand in the value, and must then say the same as the change does. */
static void
check_id(const struct node *group, struct str id, struct conf_check *c)
{
	const struct node *n = node_get(group, STR("id"));

	if (n == NULL || (n->type == NODE_STRING && str_eq(n->s, id)))
		return;
	if (n->type == NODE_STRING)
		check_error(c, "id", "\"%.*s\", but the change is for \"%.*s\"",
		    STR_ARG(str_sub(n->s, 0, 200)), STR_ARG(id));
	else
		check_error(c, "id", "%s; allowed: \"%.*s\"", node_word(n), STR_ARG(id));
}

static void *
read_body(enum conf_kind kind, struct str id, const json_t *value, struct conf_check *c)
{
	size_t size = object_kinds[kind].fields->size;
	void *self = ws_zalloc(c->ws, size);
	struct field_place before;
	struct node *group;

	if (self == NULL)
		oom_fail(size);
	if (!json_is_object(value)) {
		check_error(c, NULL, "not an object; allowed: { \"name\": value, ... }");
		return NULL;
	}
	if (object_id_check(id, c) < 0)
		return NULL;
	group = node_json(value, c);
	if (group == NULL)
		return NULL;
	before = field_enter(c, group);
	check_id(group, id, c);
	object_read(kind, group, self, c);
	field_leave(c, before);
	return self;
}

static int
read_object(const json_t *value, struct conf_object *o, struct conf_check *c)
{
	uint32_t errors = c->errors;
	struct gbuf scratch = {0};
	void *self = read_body(o->kind, o->id, value, c);

	if (c->errors != errors)
		return -1;
	if (o->kind == CONF_SERVICE)
		service_not_looked_up(self);
	object_store(o, self, &scratch, c->ws);
	gbuf_free(&scratch);
	return 1;
}

int
document_object(enum conf_kind kind, struct str id, struct str source, const json_t *value,
    struct ws *ws, struct conf_object *o_r, struct conf_check *check)
{
	struct conf_object o = {.kind = kind, .file = STR(""), .override = STR("")};
	struct ws *before = check->ws;
	size_t path = check_push(check, str_of(object_kinds[kind].list));
	int rc;

	check_push_id(check, id);
	o.id = ws_str(ws, id);
	o.source = ws_str(ws, source);
	check->ws = ws;
	check->base = NULL;
	check->expand = false;
	rc = read_object(value, &o, check);
	check->ws = before;
	check_cut(check, path);
	if (rc == 1)
		*o_r = o;
	return rc;
}

/* --- object to JSON --------------------------------------------------------------------------- */

json_t *
document_value(const struct conf_object *o, bool all)
{
	json_t *j = NULL;
	struct ws ws;
	void *self;

	ws_init(&ws, NULL, 0);
	self = object_body(o, &ws);
	if (self != NULL)
		j = show_json(object_kinds[o->kind].fields, self, all);
	ws_free(&ws);
	return j;
}

char *
document_text(const json_t *j)
{
	return json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

/* --- patches ---------------------------------------------------------------------------------- */

static json_t *merge(json_t *target, const json_t *patch, unsigned depth);

/* Takes over `target` and gives it back, or NULL. */
static json_t *
merge_members(json_t *target, const json_t *patch, unsigned depth)
{
	json_t *object = (json_t *)(uintptr_t)patch, *value;
	const char *key;

	json_object_foreach(object, key, value)
	{
		json_t *merged;

		if (json_is_null(value)) {
			(void)json_object_del(target, key); /* was it there? no matter */
			continue;
		}
		merged = merge(json_incref(json_object_get(target, key)), value, depth + 1);
		if (merged == NULL || json_object_set_new(target, key, merged) < 0) {
			json_decref(target);
			return NULL;
		}
	}
	return target;
}

/* Takes over `target`, which is nobody else's. */
static json_t *
merge(json_t *target, const json_t *patch, unsigned depth)
{
	if (json_is_object(patch) && json_is_object(target) && depth < DOCUMENT_DEPTH)
		return merge_members(target, patch, depth);
	json_decref(target);
	if (!json_is_object(patch))
		return json_deep_copy(patch);
	return depth < DOCUMENT_DEPTH ? merge_members(json_object(), patch, depth) : NULL;
}

json_t *
document_patch(const json_t *target, const json_t *patch)
{
	return merge(json_is_object(target) ? json_deep_copy(target) : NULL, patch, 0);
}
