/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects as JSON: names and values as in the files, durations and sizes as strings with their
 * units.
 */
#include "conf/field_text.h"
#include "conf/policy.h"
#include "conf/show.h"
#include "conf/show_row.h"

static json_t *rows_json(const struct fields *f, const void *self, bool all);

/* JSON is UTF-8; a header value in another encoding loses what does not fit. */
static json_t *
string_json(struct str s)
{
	json_t *j = json_stringn(s.p != NULL ? s.p : "", s.n);
	struct gbuf clean = {0};

	if (j != NULL || s.p == NULL)
		return j;
	for (size_t i = 0; i < s.n; i++)
		gbuf_u8(&clean, (unsigned char)s.p[i] < 0x80 ? (uint8_t)s.p[i] : '?');
	j = json_stringn(clean.p, clean.n);
	gbuf_free(&clean);
	return j;
}

static json_t *
text_json(const struct field *row, const void *at)
{
	struct gbuf text = {0};
	json_t *j;

	field_text(row, at, &text);
	j = string_json(str_n(text.p, text.n));
	gbuf_free(&text);
	return j;
}

static json_t *
strings_json(const struct strs *list)
{
	json_t *j = json_array();

	for (uint32_t i = 0; i < list->n; i++)
		json_array_append_new(j, string_json(list->v[i]));
	return j;
}

static json_t *
cidrs_json(const struct cidrs *list)
{
	json_t *j = json_array();

	for (uint32_t i = 0; i < list->n; i++) {
		struct gbuf text = {0};

		cidr_text(&list->v[i], &text);
		json_array_append_new(j, string_json(str_n(text.p, text.n)));
		gbuf_free(&text);
	}
	return j;
}

static json_t *
list_json(const struct field *row, const struct conf_list *list, bool all)
{
	json_t *j = json_array();

	for (uint32_t i = 0; i < list->n; i++)
		json_array_append_new(
		    j, rows_json(row->sub, (const char *)list->v + i * row->sub->size, all));
	return j;
}

static json_t *
policies_json(const struct conf_list *list, bool all)
{
	const struct conf_policy *p = list->v;
	json_t *j = json_array();

	for (uint32_t i = 0; i < list->n; i++) {
		json_t *one = json_object(), *rows = rows_json(p[i].type->fields, p[i].conf, all);

		json_object_set_new(one, "policy", json_string(p[i].type->name));
		json_object_update(one, rows);
		json_decref(rows);
		json_array_append_new(j, one);
	}
	return j;
}

static json_t *
value_json(const struct field *row, const void *at, bool all)
{
	switch (row->type) {
	case F_BOOL:
		return json_boolean(*(const bool *)at);
	case F_INT:
		return json_integer(*(const int64_t *)at);
	case F_FLOAT:
		return json_real(*(const double *)at);
	case F_STRINGS:
		return strings_json(at);
	case F_CIDRS:
		return cidrs_json(at);
	case F_GROUP:
		return rows_json(row->sub, at, all);
	case F_LIST:
		return list_json(row, at, all);
	case F_POLICIES:
		return policies_json(at, all);
	default:
		return text_json(row, at);
	}
}

static json_t *
rows_json(const struct fields *f, const void *self, bool all)
{
	json_t *j = json_object();

	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];

		if (show_wanted(f, row, self, all))
			json_object_set_new(
			    j, row->name, value_json(row, field_at(row, self), all));
	}
	return j;
}

json_t *
show_json(const struct fields *f, const void *self, bool all)
{
	return rows_json(f, self, all);
}
