/* SPDX-License-Identifier: Apache-2.0
 *
 * openapi.json: the admin API described by its own table. Paths and operations come from cmds.def,
 * parameters from params.def; the schemas are openapi_schema.c's.
 */
#include "admin/admin_priv.h"

struct param_row {
	const char *name, *in, *type, *example, *help;
};
static const struct param_row params[] = {
#define PARAM(name, in, type, example, help) {name, in, type, example, help},
#include "admin/params.def"
#undef PARAM
};

static const struct param_row *
param_find(struct str name, bool path)
{
	for (unsigned i = 0; i < ARRAY_LEN(params); i++)
		if (str_eq(name, str_of(params[i].name)) &&
		    (strcmp(params[i].in, "path") == 0) == path)
			return &params[i];
	return NULL;
}

/* "1" as what its type is. */
static json_t *
param_example(const struct param_row *row)
{
	if (strcmp(row->type, "integer") == 0)
		return json_loads(row->example, JSON_DECODE_ANY, NULL);
	if (strcmp(row->type, "boolean") == 0)
		return json_true();
	return json_string(row->example);
}

static void
param_add(json_t *list, const struct param_row *row)
{
	if (row == NULL)
		return;
	json_array_append_new(
	    list, json_pack("{s:s, s:s, s:b, s:s, s:o, s:o}", "name", row->name, "in", row->in,
		      "required", strcmp(row->in, "path") == 0, "description", row->help, "schema",
		      openapi_type(str_of(row->type)), "example", param_example(row)));
}

static json_t *
row_params(const struct api_row *row)
{
	json_t *list = json_array();
	struct str rest = str_of(row->path), piece;

	while (str_cut(&rest, '/', &piece) == 1)
		if (str_starts(piece, STR("{")))
			param_add(list, param_find(str_sub(piece, 1, piece.n - 1), true));
	rest = str_of(row->params);
	while (str_cut(&rest, ' ', &piece) == 1)
		param_add(list, param_find(piece, false));
	return list;
}

/* {"application/json": {"schema": ...}}; "text" stands for plain text. */
static json_t *
content(const char *media, struct str type)
{
	if (str_eq(type, STR("text")))
		return json_pack("{s:{s:{s:s}}}", "text/plain", "schema", "type", "string");
	return json_pack("{s:{s:o}}", media, "schema", openapi_type(type));
}

static void
response_add(json_t *responses, struct str status, struct str type)
{
	char key[4];
	json_t *j;

	if (status.n != 3)
		return;
	memcpy(key, status.p, 3);
	key[3] = '\0';
	if (json_object_get(responses, key) != NULL)
		return;
	if (type.n > 0)
		j = json_pack("{s:s, s:o}", "description", key[0] == '2' ? "Done" : "Answer",
		    "content", content("application/json", type));
	else if (key[0] == '3')
		j = json_pack("{s:s}", "description", "Not changed since");
	else
		j = json_pack("{s:s}", "$ref", "#/components/responses/Problem");
	json_object_set_new(responses, key, j);
}

/* Those of the row, and what any call may answer. */
static json_t *
row_responses(const struct api_row *row)
{
	json_t *j = json_object();
	struct str rest = str_of(row->answers), one;

	while (str_list_next(&rest, &one) == 1) {
		ssize_t space = str_chr(one, ' ');

		if (space < 0)
			response_add(j, one, STR(""));
		else
			response_add(j, str_sub(one, 0, (size_t)space),
			    str_sub(one, (size_t)space + 1, one.n));
	}
	if (row->role != ROLE_NONE) {
		response_add(j, STR("401"), STR(""));
		response_add(j, STR("403"), STR(""));
	}
	if (row->params[0] != '\0' || row->body[0] != '\0' || strchr(row->path, '{') != NULL)
		response_add(j, STR("400"), STR(""));
	if (strchr(row->path, '{') != NULL)
		response_add(j, STR("404"), STR(""));
	if (row->body[0] != '\0') {
		response_add(j, STR("413"), STR(""));
		response_add(j, STR("415"), STR(""));
	}
	response_add(j, STR("503"), STR(""));
	return j;
}

static const char *
row_media(const struct api_row *row)
{
	return row->method == METHOD_PATCH ? "application/merge-patch+json" : "application/json";
}

static json_t *
row_operation(const struct api_row *row)
{
	json_t *list = row_params(row);
	json_t *j = json_pack("{s:s, s:s, s:o}", "summary", row->help, "x-role",
	    role_name(row->role), "responses", row_responses(row));

	if (json_array_size(list) > 0)
		json_object_set(j, "parameters", list);
	json_decref(list);
	if (row->body[0] != '\0')
		json_object_set_new(j, "requestBody",
		    json_pack("{s:b, s:o}", "required", 1, "content",
			content(row_media(row), str_of(row->body))));
	return j;
}

static json_t *
paths(void)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < api_table_n; i++) {
		const struct api_row *row = &api_table[i];
		json_t *path = json_object_get(all, row->path);
		struct str method = method_name(row->method);
		char key[16];

		if (path == NULL) {
			path = json_object();
			json_object_set_new(all, row->path, path);
		}
		for (unsigned k = 0; k < sizeof(key); k++)
			key[k] = k < method.n ? (char)(method.p[k] | 0x20) : '\0';
		json_object_set_new(path, key, row_operation(row));
	}
	return all;
}

void
api_openapi(struct call *c)
{
	json_t *problem = json_pack("{s:s, s:o}", "description",
	    "Refused; detail and errors say what, where and why", "content",
	    content("application/problem+json", STR("Problem")));

	call_json(c, 200,
	    json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:{s:o, s:{s:o}}}", "openapi", "3.1.0", "info",
		"title", "Gateway admin API", "version", GW_VERSION, "description",
		"Spoken over the admin socket (curl --unix-socket /run/gateway/admin.sock). Roles "
		"come from the peer's credentials; x-role is what a call needs.",
		"paths", paths(), "components", "schemas", openapi_schemas(), "responses",
		"Problem", problem));
}
