/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl apply and diff.
 */
#include <unistd.h>

#include "admin/ctl.h"
#include "conf/object.h"
#include "shm/base/bug.h"
#include "shm/base/num.h"

#define V1 CTL_V1

static const char *
text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

/* --- what a change did ------------------------------------------------------------------------ */

#define SHOWN 100 /* of what went well; more is for machines */

static json_t *
changed_rows(const json_t *j, bool all, size_t *left_out_r)
{
	json_t *rows = json_array(), *one;
	size_t i, good = 0;

	json_array_foreach(json_object_get(j, "changes"), i, one)
	{
		json_t *errors = json_object_get(one, "errors"), *row;

		if (!all && strcmp(text_of(one, "result"), "unchanged") == 0)
			continue;
		if (errors == NULL && ++good > SHOWN)
			continue;
		row = json_copy(one);
		if (errors != NULL)
			json_object_set(row, "why", errors);
		json_array_append_new(rows, row);
	}
	*left_out_r = good > SHOWN ? good - SHOWN : 0;
	return rows;
}

void
ctl_print_changed(const json_t *j, bool all)
{
	static const struct ctl_column cols[] = {
	    {"KIND", "kind", false},
	    {"ID", "id", false},
	    {"RESULT", "result", false},
	    {"VERSION", "version", true},
	    {"WHY", "why", false},
	};
	size_t left_out;
	json_t *rows = changed_rows(j, all, &left_out);
	json_int_t number = json_integer_value(json_object_get(j, "number"));

	if (json_array_size(rows) > 0)
		ctl_table(rows, cols, ARRAY_LEN(cols));
	json_decref(rows);
	if (left_out > 0)
		printf("... and %zu more; --json has them all\n", left_out);
	if (number > 0) {
		printf("published as version %" JSON_INTEGER_FORMAT " of the console\n", number);
		return;
	}
	printf("%" JSON_INTEGER_FORMAT " %s, generation %" JSON_INTEGER_FORMAT "\n",
	    json_integer_value(json_object_get(j, "changed")),
	    json_is_true(json_object_get(j, "dry_run")) ? "would change" : "changed",
	    json_integer_value(json_object_get(j, "generation")));
}

/* --- differences ------------------------------------------------------------------------------ */

static void
print_value(char sign, const char *path, const json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

	printf("    %c %s = %s\n", sign, path, text != NULL ? text : "?");
	free(text);
}

static void
difference(const char *prefix, const json_t *before, const json_t *after)
{
	json_t *keys = json_object(), *v;
	const char *key;

	json_object_update(keys, (json_t *)(uintptr_t)before);
	json_object_update(keys, (json_t *)(uintptr_t)after);
	json_object_foreach(keys, key, v)
	{
		const json_t *a = json_object_get(before, key), *b = json_object_get(after, key);
		char path[256];

		if (strcmp(key, "_meta") == 0 || strcmp(key, "_status") == 0 ||
		    (prefix[0] == '\0' && strcmp(key, "id") == 0) || json_equal(a, b))
			continue;
		snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
		if (json_is_object(a) && json_is_object(b)) {
			difference(path, a, b);
			continue;
		}
		if (a != NULL)
			print_value('-', path, a);
		if (b != NULL)
			print_value('+', path, b);
	}
	json_decref(keys);
}

void
ctl_print_difference(const json_t *before, const json_t *after)
{
	json_t *none = json_object();

	difference(
	    "", json_is_object(before) ? before : none, json_is_object(after) ? after : none);
	json_decref(none);
}

static const char *
sign_of(const json_t *one)
{
	if (!json_is_object(json_object_get(one, "before")))
		return "+";
	return json_is_object(json_object_get(one, "after")) ? "~" : "-";
}

static void
table_diff(const json_t *j)
{
	json_t *list = json_object_get(j, "changes"), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		printf("%s %s %s\n", sign_of(one), text_of(one, "kind"), text_of(one, "id"));
		ctl_print_difference(json_object_get(one, "before"), json_object_get(one, "after"));
	}
	if (json_array_size(list) == 0)
		printf("no difference\n");
}

static int
diff_generations(struct ctl *c)
{
	char path[128];
	uint64_t from, to = 0;
	const char *error;

	if (num_u64(str_of(c->argv[0]), INT64_MAX, &from, &error) < 0 || from == 0 ||
	    (c->argc > 1 && num_u64(str_of(c->argv[1]), INT64_MAX, &to, &error) < 0)) {
		fprintf(stderr, "gatewayctl: diff: generations are whole numbers from 1\n");
		return CTL_USAGE;
	}
	snprintf(path, sizeof(path), V1 "/diff?from=%llu&to=%llu", (unsigned long long)from,
	    (unsigned long long)to);
	return ctl_show(c, path, table_diff);
}

/* --- files ------------------------------------------------------------------------------------ */

/* Takes the changes. */
static int
send_changes(const struct ctl *c, json_t *changes, bool dry, bool partial, const char *comment,
    json_t **json_r)
{
	size_t n = json_array_size(changes);
	json_t *doc = json_pack("{s:o}", "changes", changes);

	if (dry)
		json_object_set_new(doc, "dry_run", json_true());
	if (partial)
		json_object_set_new(doc, "partial", json_true());
	if (comment != NULL)
		json_object_set_new(doc, "comment", json_string(comment));
	if (n > 1000 && isatty(STDERR_FILENO))
		fprintf(stderr, "%s %zu objects ...\n", dry ? "checking" : "applying", n);
	return ctl_call(c, "POST", V1 "/changes", doc, json_r);
}

int
ctl_apply(struct ctl *c)
{
	static const char usage[] = "apply -f FILE|DIR [--dry-run] [--partial] [--comment TEXT]";
	const char *file = ctl_option(c, "-f"), *comment = ctl_option(c, "--comment");
	bool dry = ctl_flag(c, "--dry-run"), partial = ctl_flag(c, "--partial");
	json_t *changes, *j;
	int rc;

	if (!ctl_rest(c, 0, 0, usage))
		return CTL_USAGE;
	if (file == NULL) {
		fprintf(stderr, "usage: gatewayctl %s\n", usage);
		return CTL_USAGE;
	}
	changes = ctl_read(file);
	if (changes == NULL)
		return CTL_REFUSED;
	rc = send_changes(c, changes, dry, partial, comment, &j);
	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_print_json(j);
	else
		ctl_print_changed(j, false);
	if (json_integer_value(json_object_get(j, "refused")) > 0)
		rc = CTL_REFUSED;
	json_decref(j);
	return rc;
}

/* The value a change of ours would put. */
static json_t *
asked_value(const json_t *changes, const char *kind, const char *id)
{
	json_t *one;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)changes, i,
	    one) if (strcmp(text_of(one, "kind"), kind) == 0 &&
		     strcmp(text_of(one, "id"), id) == 0) return json_object_get(one, "value");
	return NULL;
}

/* The object in force, or null. */
static json_t *
value_now(const struct ctl *c, const char *word, const char *id)
{
	char path[512], *text = NULL, *escaped = ctl_escape(id);
	json_t *j = NULL;

	snprintf(path, sizeof(path), V1 "/%ss/%s", word, escaped);
	free(escaped);
	if (ctl_http(c, "GET", path, NULL, &text) == 200)
		j = json_loads(text, 0, NULL);
	free(text);
	return j != NULL ? j : json_null();
}

static int
diff_print(const struct ctl *c, const json_t *changes, const json_t *answer)
{
	json_t *list = json_array(), *one, *j;
	size_t i;

	json_array_foreach(json_object_get(answer, "changes"), i, one)
	{
		const char *kind = text_of(one, "kind"), *id = text_of(one, "id");
		json_t *value = asked_value(changes, kind, id);

		if (strcmp(text_of(one, "result"), "unchanged") == 0)
			continue;
		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:o, s:O?}", "kind", kind, "id", id, "before",
			      value_now(c, kind, id), "after", value));
	}
	j = json_pack("{s:o}", "changes", list);
	if (c->json)
		ctl_print_json(j);
	else
		table_diff(j);
	json_decref(j);
	return CTL_OK;
}

static int
diff_file(struct ctl *c, const char *file)
{
	json_t *changes = ctl_read(file), *answer;
	int rc;

	if (changes == NULL)
		return CTL_REFUSED;
	rc = send_changes(c, json_incref(changes), true, false, NULL, &answer);
	if (rc == CTL_OK) {
		rc = diff_print(c, changes, answer);
		json_decref(answer);
	}
	json_decref(changes);
	return rc;
}

int
ctl_diff(struct ctl *c)
{
	const char *file = ctl_option(c, "-f");

	if (!ctl_rest(c, file != NULL ? 0 : 1, file != NULL ? 0 : 2, "diff -f FILE|DIR | A [B]"))
		return CTL_USAGE;
	return file != NULL ? diff_file(c, file) : diff_generations(c);
}
