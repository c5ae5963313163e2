/* SPDX-License-Identifier: Apache-2.0
 *
 * Change documents of the admin API as the console's: the console keeps whole values, and versions
 * of objects mean nothing outside of this instance. The keeper has checked conditions before.
 */
#include "admin/admin_priv.h"
#include "conf/document.h"

static const json_t *
member(const json_t *one, const char *key)
{
	return json_object_get(one, key);
}

static int
kind_of(const json_t *one)
{
	return document_kind(str_of(json_string_value(member(one, "kind"))));
}

/* What a patch makes of the object in force. NULL: it is not there. */
static json_t *
patched(struct admin *a, int kind, const char *id, const json_t *patch)
{
	struct conf_object o;
	json_t *now, *j;

	if (table_find(a->table, (enum conf_kind)kind, str_of(id), &o) != 1)
		return NULL;
	now = document_value(&o, false);
	j = now != NULL ? document_patch(now, patch) : NULL;
	json_decref(now);
	return j;
}

/* One change as a put or delete; NULL with *error_r. */
static json_t *
publish_change(struct admin *a, const json_t *one, const char **error_r)
{
	const char *op = json_string_value(member(one, "op"));
	const char *id = json_string_value(member(one, "id"));
	int kind = kind_of(one);
	json_t *value = NULL;

	*error_r = "a change without op, kind or id cannot be published";
	if (op == NULL || id == NULL || kind < 0)
		return NULL;
	if (strcmp(op, "delete") == 0)
		return json_pack("{s:s, s:O, s:O}", "op", "delete", "kind", member(one, "kind"),
		    "id", member(one, "id"));
	*error_r = "adding to and taking from endpoints cannot be published; put the whole set";
	if (strcmp(op, "add") == 0 || strcmp(op, "remove") == 0)
		return NULL;
	*error_r = "a patch of what is not there cannot be published";
	if (strcmp(op, "patch") == 0)
		value = patched(a, kind, id, member(one, "value"));
	else
		value = json_incref((json_t *)(uintptr_t)member(one, "value"));
	if (value == NULL)
		return NULL;
	return json_pack("{s:s, s:O, s:O, s:o}", "op", "put", "kind", member(one, "kind"), "id",
	    member(one, "id"), "value", value);
}

json_t *
publish_document(struct admin *a, const json_t *document, const char **error_r)
{
	json_t *list = json_array(), *one, *j;
	size_t i;

	json_array_foreach(json_object_get(document, "changes"), i, one)
	{
		json_t *change = publish_change(a, one, error_r);

		if (change == NULL) {
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, change);
	}
	j = json_pack("{s:i, s:o, s:O}", "schema", DOCUMENT_SCHEMA, "changes", list, "author",
	    json_object_get(document, "author"));
	if (json_object_get(document, "comment") != NULL)
		json_object_set(j, "comment", json_object_get(document, "comment"));
	return j;
}
