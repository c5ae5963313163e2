/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl generations, rollback and override.
 */
#include "admin/ctl.h"
#include "shm/base/num.h"

#define V1 CTL_V1

static void
table_generations(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"GENERATION", "generation", true},
	    {"TIME", "time", false},
	    {"SOURCE", "source", false},
	    {"AUTHOR", "author", false},
	    {"CHANGED", "changed", true},
	    {"COMMENT", "comment", false},
	};

	ctl_table(json_object_get(j, "generations"), cols, ARRAY_LEN(cols));
}

static void
table_generation(const json_t *j)
{
	json_t *head = json_copy((json_t *)(uintptr_t)j), *one, *changes;
	size_t i;

	json_object_del(head, "changes");
	ctl_pairs(head);
	json_decref(head);
	changes = json_object_get(j, "changes");
	if (changes == NULL)
		printf("\nToo many changes to keep: it cannot be taken back.\n");
	json_array_foreach(changes, i, one)
	{
		printf("%s%s %s\n", i == 0 ? "\n" : "",
		    json_string_value(json_object_get(one, "kind")),
		    json_string_value(json_object_get(one, "id")));
		ctl_print_difference(json_object_get(one, "before"), json_object_get(one, "after"));
	}
}

/* False after words. */
static bool
generation_of(const char *text, uint64_t *n_r)
{
	const char *error;

	if (num_u64(str_of(text), INT64_MAX, n_r, &error) == 1 && *n_r > 0)
		return true;
	fprintf(stderr, "gatewayctl: a generation is a whole number from 1, not \"%s\"\n", text);
	return false;
}

int
ctl_generations(struct ctl *c)
{
	const char *limit = ctl_option(c, "--limit");
	char path[128];
	uint64_t n = 20;

	if (!ctl_rest(c, 0, limit != NULL ? 0 : 1, "generations [N] [--limit N]") ||
	    (limit != NULL && !generation_of(limit, &n)) ||
	    (c->argc > 0 && !generation_of(c->argv[0], &n)))
		return CTL_USAGE;
	snprintf(path, sizeof(path),
	    c->argc > 0 ? V1 "/generations/%llu" : V1 "/generations?limit=%llu",
	    (unsigned long long)n);
	return ctl_show(c, path, c->argc > 0 ? table_generation : table_generations);
}

static void
table_rollback(const json_t *j)
{
	ctl_print_changed(j, true);
}

int
ctl_rollback(struct ctl *c)
{
	bool dry = ctl_flag(c, "--dry-run");
	json_t *body;
	uint64_t n;

	if (!ctl_rest(c, 1, 1, "rollback N [--dry-run]") || !generation_of(c->argv[0], &n))
		return CTL_USAGE;
	body = json_pack("{s:I}", "generation", (json_int_t)n);
	if (dry)
		json_object_set_new(body, "dry_run", json_true());
	return ctl_do(c, "POST", V1 "/rollback", body, table_rollback);
}

static void
table_overrides(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"OVERRIDE", "name", false},
	    {"KIND", "kind", false},
	    {"ID", "id", false},
	    {"SINCE", "since", false},
	    {"AUTHOR", "author", false},
	};

	ctl_table(json_object_get(j, "overrides"), cols, ARRAY_LEN(cols));
}

int
ctl_overrides(struct ctl *c)
{
	return ctl_show(c, V1 "/overrides", table_overrides);
}

int
ctl_override_drop(struct ctl *c)
{
	char path[512], *name = ctl_escape(c->argv[0]);

	snprintf(path, sizeof(path), V1 "/overrides/%s", name);
	free(name);
	return ctl_do(c, "DELETE", path, NULL, table_rollback);
}
