/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON schemas: the objects and policies from the field tables that also read them, the rest from
 * schemas.def.
 */
#include "admin/admin_priv.h"
#include "conf/document.h"
#include "conf/field_text.h"
#include "conf/policy.h"

static const struct {
	const char *name, *members, *help;
} schemas[] = {
#define SCHEMA(name, members, help) {#name, members, help},
#include "admin/schemas.def"
#undef SCHEMA
};

/* --- types as schemas.def writes them --------------------------------------------------------- */

static json_t *
reference(struct str name)
{
	char ref[128];

	snprintf(ref, sizeof(ref), "#/components/schemas/%.*s", STR_ARG(name));
	return json_pack("{s:s}", "$ref", ref);
}

static json_t *
plain_type(struct str type)
{
	static const char *const words[] = {"string", "integer", "number", "boolean", "object"};

	if (str_eq(type, STR("any")))
		return json_object();
	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq(type, str_of(words[i])))
			return json_pack("{s:s}", "type", words[i]);
	return reference(type);
}

json_t *
openapi_type(struct str type)
{
	if (str_ends(type, STR("?")))
		return json_pack("{s:[o, {s:s}]}", "anyOf",
		    openapi_type(str_sub(type, 0, type.n - 1)), "type", "null");
	if (str_ends(type, STR("[]")))
		return json_pack("{s:s, s:o}", "type", "array", "items",
		    openapi_type(str_sub(type, 0, type.n - 2)));
	if (str_ends(type, STR("{}")))
		return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
		    openapi_type(str_sub(type, 0, type.n - 2)));
	return plain_type(type);
}

static void
set_key(json_t *object, struct str key, json_t *value)
{
	char *z = str_z(key);

	json_object_set_new(object, z, value);
	free(z);
}

static json_t *
object_schema(const char *help)
{
	json_t *j = json_pack("{s:s, s:{}, s:[]}", "type", "object", "properties", "required");

	if (help[0] != '\0')
		json_object_set_new(j, "description", json_string(help));
	return j;
}

/* "name:type", "name?:type" ... */
static json_t *
members_schema(const char *members, const char *help)
{
	json_t *j = object_schema(help);
	struct str rest = str_of(members), one;

	while (str_cut(&rest, ' ', &one) == 1) {
		ssize_t colon = str_chr(one, ':');
		struct str name = str_sub(one, 0, (size_t)colon);
		struct str type = str_sub(one, (size_t)colon + 1, one.n);

		if (str_ends(name, STR("?")))
			name.n--;
		else
			json_array_append_new(json_object_get(j, "required"), json_of_str(name));
		set_key(json_object_get(j, "properties"), name, openapi_type(type));
	}
	return j;
}

/* --- from field tables ------------------------------------------------------------------------ */

static json_t *fields_schema(const struct fields *f, bool id);

static json_t *
string_or_strings(void)
{
	return json_pack("{s:[{s:s}, {s:s, s:{s:s}}]}", "anyOf", "type", "string", "type", "array",
	    "items", "type", "string");
}

static json_t *
enum_schema(const struct field *row)
{
	json_t *list = json_array();

	for (unsigned i = 0; row->names[i] != NULL; i++)
		json_array_append_new(list, json_string(row->names[i]));
	return json_pack("{s:s, s:o}", "type", "string", "enum", list);
}

static json_t *
number_schema(const struct field *row)
{
	json_t *j = json_pack("{s:s}", "type", row->type == F_INT ? "integer" : "number");

	if (row->min != 0 || row->max != 0) {
		json_object_set_new(j, "minimum", json_integer(row->min));
		json_object_set_new(j, "maximum", json_integer(row->max));
	}
	return j;
}

static json_t *
row_type(const struct field *row)
{
	switch (row->type) {
	case F_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case F_INT:
	case F_FLOAT:
		return number_schema(row);
	case F_DURATION:
		return json_pack(
		    "{s:s, s:s}", "type", "string", "pattern", "^(0|[0-9]+(ms|s|m|h|d))$");
	case F_SIZE:
		return json_pack("{s:s, s:s}", "type", "string", "pattern", "^[0-9]+[kKmMgG]?$");
	case F_ENUM:
		return enum_schema(row);
	case F_STRINGS:
	case F_CIDRS:
		return string_or_strings();
	case F_GROUP:
		return fields_schema(row->sub, false);
	case F_LIST:
		return json_pack(
		    "{s:s, s:o}", "type", "array", "items", fields_schema(row->sub, false));
	case F_POLICIES:
		return openapi_type(STR("Policy[]"));
	default:
		return json_pack("{s:s}", "type", "string");
	}
}

/* A default as its type is; texts as they are. */
static json_t *
row_default(const struct field *row)
{
	struct str def = str_of(row->def);

	if (row->type == F_STRINGS || row->type == F_CIDRS)
		return NULL;
	if (row->type == F_BOOL || row->type == F_INT || row->type == F_FLOAT)
		return json_loads(row->def, JSON_DECODE_ANY, NULL);
	if (def.n >= 2 && def.p[0] == '"')
		def = str_sub(def, 1, def.n - 1);
	return json_of_str(def);
}

static void
row_words(const struct field *row, json_t *j)
{
	struct gbuf text = {0};
	json_t *def = row->def != NULL ? row_default(row) : NULL;

	gbuf_printf(&text, "%s Allowed: ", row->help);
	field_allowed(row, &text);
	if (row->unit != NULL)
		gbuf_printf(&text, ", in %s", row->unit);
	gbuf_u8(&text, '.');
	json_object_set_new(j, "description", json_of_str(str_n(text.p, text.n)));
	gbuf_free(&text);
	if (def != NULL)
		json_object_set_new(j, "default", def);
}

static void
id_schema(json_t *j)
{
	json_object_set_new(json_object_get(j, "properties"), "id",
	    json_pack("{s:s, s:s, s:s}", "type", "string", "pattern", "^[A-Za-z0-9._-]{1,63}$",
		"description",
		"Its name, unique in its kind; where the path says it, it may be left out"));
}

static json_t *
fields_schema(const struct fields *f, bool id)
{
	json_t *j = object_schema(f->help != NULL ? f->help : "");

	if (id)
		id_schema(j);
	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];
		json_t *one;

		if ((row->flags & FIELD_DERIVED) != 0)
			continue;
		one = row_type(row);
		row_words(row, one);
		json_object_set_new(json_object_get(j, "properties"), row->name, one);
		if ((row->flags & FIELD_REQUIRED) != 0)
			json_array_append_new(
			    json_object_get(j, "required"), json_string(row->name));
	}
	json_object_set_new(j, "additionalProperties", json_false());
	return j;
}

static json_t *
policy_schema(const struct policy_type *type)
{
	json_t *j = fields_schema(type->fields, false);

	json_object_set_new(j, "description", json_string(type->help));
	json_object_set_new(
	    json_object_get(j, "properties"), "policy", json_pack("{s:s}", "const", type->name));
	json_array_append_new(json_object_get(j, "required"), json_string("policy"));
	return j;
}

static void
policies_schema(json_t *all)
{
	const struct policy_type *const *t = policy_types();
	json_t *any = json_array();

	for (; t != NULL && *t != NULL; t++) {
		char name[80];

		snprintf(name, sizeof(name), "Policy_%s", (*t)->name);
		json_object_set_new(all, name, policy_schema(*t));
		json_array_append_new(any, openapi_type(str_of(name)));
	}
	json_object_set_new(all, "Policy", json_pack("{s:o}", "oneOf", any));
}

/* Route: as it is sent. RoutePatch: any part of it, null removes. RouteObject: as it is answered.
 * RouteList: a page. */
static void
kind_schemas(json_t *all, enum conf_kind kind)
{
	const struct object_kind *k = &object_kinds[kind];
	char name[48], object[64], patch[64], list[64], page[160];

	snprintf(name, sizeof(name), "%c%s", k->word[0] & ~0x20, k->word + 1);
	snprintf(object, sizeof(object), "%sObject", name);
	snprintf(patch, sizeof(patch), "%sPatch", name);
	snprintf(list, sizeof(list), "%sList", name);
	snprintf(page, sizeof(page), "%s:%s[] next:string? total:integer", k->list, object);
	json_t *self = fields_schema(k->fields, true);
	json_t *answered = json_deep_copy(self);

	json_object_set_new(
	    json_object_get(self, "properties"), "_meta", openapi_type(STR("Meta")));
	if (kind == CONF_SERVICE)
		json_object_set_new(json_object_get(self, "properties"), "_status",
		    openapi_type(STR("ServiceState")));
	json_object_set(json_object_get(answered, "properties"), "_meta",
	    json_object_get(json_object_get(self, "properties"), "_meta"));
	json_object_del(answered, "additionalProperties");
	json_object_set_new(answered, "required", json_pack("[s, s]", "id", "_meta"));
	json_object_set_new(all, name, self);
	json_object_set_new(all, object, answered);
	json_object_set_new(all, patch,
	    json_pack("{s:s, s:s}", "type", "object", "description",
		"Any part of the settings (RFC 7396); null removes one"));
	json_object_set_new(all, list,
	    members_schema(page, "next: give it as after for the page behind this one; null at the "
				 "end. total: objects of the kind, filtered or not"));
}

json_t *
openapi_schemas(void)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < ARRAY_LEN(schemas); i++)
		json_object_set_new(
		    all, schemas[i].name, members_schema(schemas[i].members, schemas[i].help));
	for (unsigned k = CONF_SETTINGS + 1; k < CONF_KIND_COUNT; k++)
		kind_schemas(all, (enum conf_kind)k);
	policies_schema(all);
	return all;
}
