/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl certificates: what is in force, until when, and which files are passed over.
 */
#include "admin/ctl.h"

#define NAMES_SHOWN 3

/* The first names; how many more there are. */
static json_t *
names_text(const json_t *names)
{
	size_t n = json_array_size(names);
	json_t *shown = json_array();

	for (size_t i = 0; i < n && i < NAMES_SHOWN; i++)
		json_array_append(shown, json_array_get(names, i));
	if (n > NAMES_SHOWN)
		json_array_append_new(shown, json_sprintf("%zu more", n - NAMES_SHOWN));
	return shown;
}

/* "certificate orders", as metrics and messages name it. */
static json_t *
row_of(const json_t *e)
{
	json_t *row = json_copy((json_t *)(uintptr_t)e);

	json_object_set_new(row, "names", names_text(json_object_get(e, "names")));
	return row;
}

static void
table_certificates(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"ID", "id", false},
	    {"OF", "used_by", false},
	    {"NAMES", "names", false},
	    {"KEY", "key", false},
	    {"ISSUER", "issuer", false},
	    {"EXPIRES", "not_after", false},
	    {"DAYS", "days_left", true},
	    {"STATE", "state", false},
	};
	json_t *rows = json_array(), *e;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)j, i, e) json_array_append_new(rows, row_of(e));
	ctl_table(rows, cols, ARRAY_LEN(cols));
	json_array_foreach(rows, i, e) if (json_object_get(e, "error") != NULL) printf(
	    "%s %s: the one before is kept: %s\n", json_string_value(json_object_get(e, "used_by")),
	    json_string_value(json_object_get(e, "id")),
	    json_string_value(json_object_get(e, "error")));
	json_decref(rows);
}

int
ctl_certificates(struct ctl *c)
{
	json_t *j, *list;
	int rc = ctl_call(c, "GET", CTL_V1 "/tls/certificates", NULL, &j);

	if (rc != CTL_OK)
		return rc;
	list = json_object_get(j, "certificates");
	if (c->json)
		ctl_print_json(list);
	else
		table_certificates(list);
	json_decref(j);
	return CTL_OK;
}
