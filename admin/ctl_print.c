/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl's output: aligned tables for people, JSON for machines. Control octets in values never
 * reach the terminal.
 */
#include <ctype.h>
#include <inttypes.h>

#include "admin/ctl.h"

#define CTL_COLUMNS 16

void
ctl_print_json(const json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
}

const char *
ctl_text(const json_t *v, char *buf, size_t cap)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return json_string_value(v);
	case JSON_INTEGER:
		snprintf(buf, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return buf;
	case JSON_REAL:
		snprintf(buf, cap, "%g", json_real_value(v));
		return buf;
	case JSON_TRUE:
		return "yes";
	case JSON_FALSE:
		return "no";
	case JSON_ARRAY:
	case JSON_OBJECT: {
		char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

		snprintf(buf, cap, "%s", text != NULL ? text : "");
		free(text);
		return buf;
	}
	default:
		return "-";
	}
}

static const char *
cell(const json_t *row, const char *key, char *buf, size_t cap)
{
	const json_t *v = json_object_get(row, key);

	return v == NULL ? "-" : ctl_text(v, buf, cap);
}

static void
print_cell(const char *text, int width, bool right, bool last)
{
	int n = (int)strlen(text);

	if (right)
		printf("%*s", width - n > 0 ? width - n : 0, "");
	for (const char *p = text; *p != '\0'; p++)
		putchar(iscntrl((unsigned char)*p) ? '?' : *p);
	if (last)
		putchar('\n');
	else
		printf("%*s", right ? 2 : MAX(width - n, 0) + 2, "");
}

void
ctl_table(const json_t *rows, const struct ctl_column *cols, unsigned n)
{
	int width[CTL_COLUMNS];
	char buf[1024];
	size_t i;
	json_t *row;

	for (unsigned k = 0; k < n; k++) {
		width[k] = (int)strlen(cols[k].title);
		json_array_foreach((json_t *)(uintptr_t)rows, i, row)
		{
			int len = (int)strlen(cell(row, cols[k].key, buf, sizeof(buf)));

			width[k] = MAX(width[k], len);
		}
	}
	for (unsigned k = 0; k < n; k++)
		print_cell(cols[k].title, width[k], cols[k].right, k + 1 == n);
	json_array_foreach((json_t *)(uintptr_t)rows, i, row)
	{
		for (unsigned k = 0; k < n; k++)
			print_cell(cell(row, cols[k].key, buf, sizeof(buf)), width[k],
			    cols[k].right, k + 1 == n);
	}
}

void
ctl_pairs(const json_t *object)
{
	const char *key;
	json_t *v;
	char buf[1024];
	int width = 0;

	json_object_foreach((json_t *)(uintptr_t)object, key, v) width =
	    MAX(width, (int)strlen(key));
	json_object_foreach((json_t *)(uintptr_t)object, key, v)
	{
		print_cell(key, width, false, false);
		print_cell(ctl_text(v, buf, sizeof(buf)), 0, false, true);
	}
}
