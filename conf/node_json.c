/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON to nodes. Called by document_object for every value; what is not a setting's form (null) or
 * is too deep or too much is refused here, with its place.
 */
#include "conf/node_json.h"

struct converter {
	struct conf_check *c;
	uint32_t n; /* values so far */
	bool full;  /* told once */
};

static struct node *convert(
    struct converter *v, const json_t *j, struct str name, unsigned depth, bool top);

static void
convert_member(
    struct converter *v, struct node *into, const json_t *j, struct str name, unsigned depth)
{
	struct node *child = convert(v, j, name, depth, false);

	if (child != NULL)
		node_add(into, child);
}

static void
convert_object(struct converter *v, struct node *into, const json_t *j, unsigned depth, bool top)
{
	json_t *object = (json_t *)(uintptr_t)j; /* jansson's iterator is not const */
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		size_t path;

		if (top && str_eq(str_of(key), STR("_meta")))
			continue;
		path = check_push(v->c, str_of(key));
		convert_member(v, into, value, str_of(key), depth);
		check_cut(v->c, path);
	}
}

static void
convert_array(struct converter *v, struct node *into, const json_t *j, unsigned depth)
{
	for (size_t i = 0; i < json_array_size(j) && !v->full; i++) {
		size_t path = check_push_index(v->c, (uint32_t)i);

		convert_member(v, into, json_array_get(j, i), STR_NONE, depth);
		check_cut(v->c, path);
	}
}

static struct node *
convert_container(struct converter *v, const json_t *j, struct str name, unsigned depth, bool top)
{
	bool list = json_is_array(j);
	struct node *n;

	if (depth >= NODE_JSON_DEPTH) {
		check_error(
		    v->c, NULL, "groups and lists nested more than %u deep", NODE_JSON_DEPTH);
		return NULL;
	}
	n = node_new(v->c->ws, list ? NODE_LIST : NODE_GROUP, name, NULL, 0);
	if (list)
		convert_array(v, n, j, depth + 1);
	else
		convert_object(v, n, j, depth + 1, top);
	return n;
}

static struct node *
convert_scalar(struct converter *v, const json_t *j, struct str name)
{
	struct node *n = node_new(v->c->ws, NODE_BOOL, name, NULL, 0);

	if (json_is_string(j)) {
		n->type = NODE_STRING;
		n->s = str_n(json_string_value(j), json_string_length(j));
	} else if (json_is_integer(j)) {
		n->type = NODE_INT;
		n->i = json_integer_value(j);
	} else if (json_is_real(j)) {
		n->type = NODE_FLOAT;
		n->f = json_real_value(j);
	} else {
		n->b = json_is_true(j);
	}
	return n;
}

static struct node *
convert(struct converter *v, const json_t *j, struct str name, unsigned depth, bool top)
{
	if (v->full)
		return NULL;
	if (++v->n > NODE_JSON_MAX) {
		v->full = true;
		check_error(v->c, NULL, "more than %u values in one object", NODE_JSON_MAX);
		return NULL;
	}
	if (json_is_null(j)) {
		check_error(
		    v->c, NULL, "null: not a value; leave the setting out to have its default");
		return NULL;
	}
	if (json_is_object(j) || json_is_array(j))
		return convert_container(v, j, name, depth, top);
	return convert_scalar(v, j, name);
}

struct node *
node_json(const json_t *value, struct conf_check *c)
{
	struct converter v = {.c = c};
	uint32_t errors = c->errors;
	struct node *n = convert(&v, value, STR_NONE, 0, true);

	return c->errors == errors ? n : NULL;
}
