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

static const char *
raw_text(const json_t *v, char *buf, size_t cap)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

	snprintf(buf, cap, "%s", text != NULL ? text : "");
	free(text);
	return buf;
}

/* {"url": ..., "weight": 2} as "url=... weight=2". */
static const char *
object_text(const json_t *object, char *buf, size_t cap)
{
	char item[256];
	const char *key;
	size_t n = 0;
	json_t *v;

	buf[0] = '\0';
	json_object_foreach((json_t *)(uintptr_t)object, key, v)
	{
		const char *text =
		    json_is_string(v) ? json_string_value(v) : raw_text(v, item, sizeof(item));

		if (n < cap)
			n += (size_t)snprintf(
			    buf + n, cap - n, "%s%s=%s", n > 0 ? " " : "", key, text);
	}
	return buf;
}

static const char *
list_text(const json_t *list, char *buf, size_t cap)
{
	char item[512];
	size_t i, n = 0;
	json_t *v;

	if (json_array_size(list) == 0)
		return "-";
	buf[0] = '\0';
	json_array_foreach((json_t *)(uintptr_t)list, i, v)
	{
		const char *text = json_is_string(v)   ? json_string_value(v)
				   : json_is_object(v) ? object_text(v, item, sizeof(item))
						       : raw_text(v, item, sizeof(item));

		if (n < cap)
			n += (size_t)snprintf(buf + n, cap - n, "%s%s", i > 0 ? ", " : "", text);
	}
	return buf;
}

/* A value as a person would write it, a list with commas; into buf when it must be formatted. */
static const char *
text_of(const json_t *v, char *buf, size_t cap)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return json_string_length(v) > 0 ? json_string_value(v) : "-";
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
		return list_text(v, buf, cap);
	case JSON_OBJECT:
		return object_text(v, buf, cap);
	default:
		return "-";
	}
}

static const char *
cell(const json_t *row, const char *key, char *buf, size_t cap)
{
	const json_t *v = json_object_get(row, key);
	const char *dot = strchr(key, '.');

	if (v == NULL && dot != NULL) { /* "_meta.version" */
		char outer[64];

		snprintf(outer, sizeof(outer), "%.*s", (int)(dot - key), key);
		v = json_object_get(json_object_get(row, outer), dot + 1);
	}
	return v == NULL ? "-" : text_of(v, buf, cap);
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

/* Members of members get names with dots. */
static void
flatten(const json_t *object, const char *prefix, json_t *out)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)object, key, v)
	{
		char name[256];

		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix != '\0' ? "." : "", key);
		if (json_is_object(v))
			flatten(v, name, out);
		else
			json_object_set(out, name, v);
	}
}

void
ctl_pairs(const json_t *object)
{
	json_t *flat = json_object(), *v;
	const char *key;
	char buf[1024];
	int width = 0;

	flatten(object, "", flat);
	json_object_foreach(flat, key, v) width = MAX(width, (int)strlen(key));
	json_object_foreach(flat, key, v)
	{
		print_cell(key, width, false, false);
		print_cell(text_of(v, buf, sizeof(buf)), 0, false, true);
	}
	json_decref(flat);
}
