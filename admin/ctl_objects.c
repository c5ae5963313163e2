/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl get, set, delete, export and the lists of objects.
 */
#include <unistd.h>

#include "admin/ctl.h"
#include "shm/base/buf.h"
#include "shm/base/bug.h"

#define V1 CTL_V1

static const struct ctl_column listener_cols[] = {
    {"LISTENER", "id", false},
    {"ADDRESS", "address", false},
    {"SOURCE", "_meta.source", false},
    {"VERSION", "_meta.version", true},
};
static const struct ctl_column service_cols[] = {
    {"SERVICE", "id", false},
    {"STATUS", "_status.status", false},
    {"USABLE", "_status.usable", true},
    {"ENDPOINTS", "_status.endpoints", true},
    {"IN FLIGHT", "_status.in_flight", true},
    {"SOURCE", "_meta.source", false},
    {"VERSION", "_meta.version", true},
};
static const struct ctl_column certificate_cols[] = {
    {"CERTIFICATE", "id", false},
    {"HOSTS", "hosts", false},
    {"FILE", "certificate", false},
    {"SOURCE", "_meta.source", false},
    {"VERSION", "_meta.version", true},
};
static const struct ctl_column route_cols[] = {
    {"ROUTE", "id", false},
    {"HOST", "host", false},
    {"PATH", "path", false},
    {"METHOD", "method", false},
    {"SERVICE", "service", false},
    {"PRIORITY", "priority", true},
    {"SOURCE", "_meta.source", false},
    {"VERSION", "_meta.version", true},
};

static void
table_kind(const char *kind, const json_t *j)
{
	const json_t *rows = json_object_get(j, kind);

	if (strcmp(kind, "listeners") == 0)
		ctl_table(rows, listener_cols, ARRAY_LEN(listener_cols));
	else if (strcmp(kind, "services") == 0)
		ctl_table(rows, service_cols, ARRAY_LEN(service_cols));
	else if (strcmp(kind, "certificates") == 0)
		ctl_table(rows, certificate_cols, ARRAY_LEN(certificate_cols));
	else
		ctl_table(rows, route_cols, ARRAY_LEN(route_cols));
}

/* --- lists ------------------------------------------------------------------------------------ */

static void
progress(const struct ctl *c, const char *kind, size_t have, json_int_t total)
{
	if (!c->json && total > 5000 && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%zu of %" JSON_INTEGER_FORMAT " %s%s", have, total, kind,
		    have >= (size_t)total ? "\n" : " ");
}

/* All of a list, page by page, with progress: {"routes": [...], "total": n}. Returns CTL_*. */
static int
list_all(const struct ctl *c, const char *kind, json_t **json_r)
{
	json_t *all = json_array(), *page;
	char path[512], *after = xstrdup("");
	json_int_t total = 0;
	int rc = CTL_OK;

	while (after != NULL && rc == CTL_OK) {
		snprintf(path, sizeof(path), V1 "/%s?limit=1000%s%s", kind,
		    after[0] != '\0' ? "&after=" : "", after);
		free(after);
		after = NULL;
		rc = ctl_call(c, "GET", path, NULL, &page);
		if (rc != CTL_OK)
			break;
		json_array_extend(all, json_object_get(page, kind));
		total = json_integer_value(json_object_get(page, "total"));
		progress(c, kind, json_array_size(all), total);
		if (json_is_string(json_object_get(page, "next")))
			after = ctl_escape(json_string_value(json_object_get(page, "next")));
		json_decref(page);
	}
	free(after);
	if (rc == CTL_OK)
		*json_r = json_pack("{s:O, s:I}", kind, all, "total", total);
	json_decref(all);
	return rc;
}

static int
show_list(const struct ctl *c, const char *kind, bool json)
{
	json_t *j;
	int rc = list_all(c, kind, &j);

	if (rc != CTL_OK)
		return rc;
	if (json)
		ctl_print_json(j);
	else
		table_kind(kind, j);
	json_decref(j);
	return CTL_OK;
}

int
ctl_routes(struct ctl *c)
{
	return show_list(c, "routes", c->json);
}

int
ctl_services(struct ctl *c)
{
	return show_list(c, "services", c->json);
}

/* --- one -------------------------------------------------------------------------------------- */

static char *
object_path(const char *kind, const char *id, const char *query)
{
	struct gbuf path = {0};
	char *escaped = ctl_escape(id);

	gbuf_printf(&path, V1 "/%s/%s%s", kind, escaped, query);
	gbuf_u8(&path, 0);
	free(escaped);
	return path.p;
}

static int
show_object(const struct ctl *c, const char *kind, const char *id, const char *form)
{
	bool text = strcmp(form, "libconfig") == 0;
	char *path = object_path(kind, id, text ? "?format=libconfig" : "");
	struct ctl json = *c;
	int rc;

	json.json |= strcmp(form, "json") == 0;
	if (text)
		rc = ctl_text_of(c, path);
	else
		rc = ctl_show(&json, path, ctl_pairs);
	free(path);
	return rc;
}

int
ctl_get(struct ctl *c)
{
	static const char usage[] = "get KIND [ID] [-o table|json|libconfig]";
	const char *form = ctl_option(c, "-o"), *kind;
	char path[128];

	if (!ctl_rest(c, 1, 2, usage))
		return CTL_USAGE;
	if (form == NULL)
		form = c->json ? "json" : "table";
	kind = ctl_kind(c->argv[0]);
	if (kind == NULL)
		return CTL_USAGE;
	if (strcmp(form, "table") != 0 && strcmp(form, "json") != 0 &&
	    strcmp(form, "libconfig") != 0) {
		fprintf(stderr, "gatewayctl: -o: table, json or libconfig, not \"%s\"\n", form);
		return CTL_USAGE;
	}
	if (c->argc == 2)
		return show_object(c, kind, c->argv[1], form);
	snprintf(path, sizeof(path), V1 "/export?format=libconfig&kind=%s", kind);
	if (strcmp(form, "libconfig") == 0)
		return ctl_text_of(c, path);
	return show_list(c, kind, strcmp(form, "json") == 0);
}

/* "timeouts.connect=2s" into the patch. False after words. */
static bool
patch_set(json_t *patch, char *word)
{
	char *eq = strchr(word, '='), *dot;
	json_t *value, *at = patch;

	if (eq == NULL || eq == word) {
		fprintf(stderr, "gatewayctl: \"%s\": KEY=VALUE is needed\n", word);
		return false;
	}
	*eq = '\0';
	value = json_loads(eq + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	if (value == NULL)
		value = json_string(eq + 1);
	for (; (dot = strchr(word, '.')) != NULL; word = dot + 1) {
		json_t *below;

		*dot = '\0';
		below = json_object_get(at, word);
		if (!json_is_object(below)) {
			below = json_object();
			json_object_set_new(at, word, below);
		}
		at = below;
	}
	if (json_object_set_new(at, word, value) == 0)
		return true;
	fprintf(stderr, "gatewayctl: %s: the value is not UTF-8\n", word);
	return false;
}

static void
table_changed(const json_t *j)
{
	ctl_print_changed(j, true);
}

int
ctl_set(struct ctl *c)
{
	bool dry = ctl_flag(c, "--dry-run");
	json_t *patch;
	const char *kind;
	char *path;
	int rc;

	if (c->argc < 3) {
		fprintf(stderr, "usage: gatewayctl set KIND ID KEY=VALUE ... [--dry-run]\n");
		return CTL_USAGE;
	}
	kind = ctl_kind(c->argv[0]);
	patch = json_object();
	for (int i = 2; kind != NULL && i < c->argc; i++)
		if (!patch_set(patch, c->argv[i]))
			kind = NULL;
	if (kind == NULL) {
		json_decref(patch);
		return CTL_USAGE;
	}
	path = object_path(kind, c->argv[1], dry ? "?dry_run=1" : "");
	rc = ctl_do(c, "PATCH", path, patch, table_changed);
	free(path);
	return rc;
}

int
ctl_delete(struct ctl *c)
{
	bool dry = ctl_flag(c, "--dry-run");
	const char *kind;
	char *path;
	int rc;

	if (!ctl_rest(c, 2, 2, "delete KIND ID [--dry-run]"))
		return CTL_USAGE;
	kind = ctl_kind(c->argv[0]);
	if (kind == NULL)
		return CTL_USAGE;
	path = object_path(kind, c->argv[1], dry ? "?dry_run=1" : "");
	rc = ctl_do(c, "DELETE", path, NULL, table_changed);
	free(path);
	return rc;
}

int
ctl_export(struct ctl *c)
{
	bool text = c->argc > 0 && strcmp(c->argv[0], "libconfig") == 0;

	if (c->argc > 0 && !text) {
		fprintf(stderr, "gatewayctl: export takes nothing or \"libconfig\", not \"%s\"\n",
		    c->argv[0]);
		return CTL_USAGE;
	}
	return ctl_text_of(c, text ? V1 "/export?format=libconfig" : V1 "/export");
}
