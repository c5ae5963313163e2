/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects from files, for apply and diff: gateway.conf's form, JSON as export prints it, or a
 * change document. A directory stands for its *.conf and *.json in order of their names.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>

#include "admin/ctl.h"
#include "conf/object.h"
#include "conf/read.h"
#include "shm/base/bug.h"

/* --- trees of files as JSON ------------------------------------------------------------------- */

static json_t *node_value(const struct node *n);

static json_t *
node_members(const struct node *n)
{
	json_t *j = json_object();

	for (const struct node *m = n->first; m != NULL; m = m->next) {
		char *name = str_z(m->name);

		json_object_set_new(j, name, node_value(m));
		free(name);
	}
	return j;
}

static json_t *
node_value(const struct node *n)
{
	json_t *j;

	switch (n->type) {
	case NODE_GROUP:
		return node_members(n);
	case NODE_LIST:
		j = json_array();
		for (const struct node *m = n->first; m != NULL; m = m->next)
			json_array_append_new(j, node_value(m));
		return j;
	case NODE_STRING:
		return json_stringn(n->s.n > 0 ? n->s.p : "", n->s.n);
	case NODE_INT:
		return json_integer(n->i);
	case NODE_FLOAT:
		return json_real(n->f);
	default:
		return json_boolean(n->b);
	}
}

static json_t *
read_libconfig(const char *path)
{
	struct conf_check check;
	const char *slash = strrchr(path, '/');
	char *dir = slash != NULL ? str_z(str_n(path, (size_t)(slash - path))) : xstrdup(".");
	struct node *tree;
	json_t *j = NULL;
	struct ws ws;

	ws_init(&ws, NULL, 0);
	check_init(&check);
	check.expand = true;
	tree = read_file(path, dir, NULL, &ws, &check);
	if (tree != NULL && check.errors == 0)
		j = node_members(tree);
	else
		fwrite(check.text.p, 1, check.text.n, stderr);
	check_free(&check);
	ws_free(&ws);
	free(dir);
	return j;
}

static json_t *
read_json(const char *path)
{
	json_error_t e;
	json_t *j = json_load_file(path, JSON_REJECT_DUPLICATES, &e);

	if (json_is_object(j))
		return j;
	fprintf(stderr, "gatewayctl: %s:%d:%d: %s\n", path, j == NULL ? e.line : 1,
	    j == NULL ? e.column : 1, j == NULL ? e.text : "an object is needed");
	json_decref(j);
	return NULL;
}

/* --- objects as changes ----------------------------------------------------------------------- */

/* False after words. */
static bool
add_object(json_t *changes, const char *path, const struct object_kind *kind, json_t *value)
{
	const char *id = json_string_value(json_object_get(value, "id"));

	if (id == NULL) {
		fprintf(stderr, "gatewayctl: %s: one of %s has no id\n", path, kind->list);
		return false;
	}
	json_array_append_new(changes, json_pack("{s:s, s:s, s:s, s:O}", "op", "put", "kind",
					   kind->word, "id", id, "value", value));
	return true;
}

static bool
add_kind(json_t *changes, const char *path, const struct object_kind *kind, json_t *list)
{
	json_t *value;
	size_t i;

	if (!json_is_array(list)) {
		fprintf(
		    stderr, "gatewayctl: %s: %s: a list of objects is needed\n", path, kind->list);
		return false;
	}
	json_array_foreach(
	    list, i, value) if (!add_object(changes, path, kind, value)) return false;
	return true;
}

static const struct object_kind *
kind_of_list(const char *name)
{
	for (unsigned k = CONF_SETTINGS + 1; k < CONF_KIND_COUNT; k++)
		if (strcmp(object_kinds[k].list, name) == 0)
			return &object_kinds[k];
	return NULL;
}

/* Settings of the instance are every host's own: they are named and left. */
static bool
add_all(json_t *changes, const char *path, json_t *file)
{
	json_t *doc = json_object_get(file, "changes"), *list;
	const char *name;

	if (doc != NULL)
		return json_array_extend(changes, doc) == 0;
	json_object_foreach(file, name, list)
	{
		const struct object_kind *kind = kind_of_list(name);

		if (kind == NULL)
			fprintf(stderr,
			    "gatewayctl: %s: %s: a setting of the instance, not applied\n", path,
			    name);
		else if (!add_kind(changes, path, kind, list))
			return false;
	}
	return true;
}

static bool
add_file(json_t *changes, const char *path)
{
	size_t n = strlen(path);
	bool json = n > 5 && strcmp(path + n - 5, ".json") == 0;
	json_t *file = json ? read_json(path) : read_libconfig(path);
	bool good = file != NULL && add_all(changes, path, file);

	json_decref(file);
	return good;
}

static int
is_object_file(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 5 &&
	       (strcmp(e->d_name + n - 5, ".conf") == 0 || strcmp(e->d_name + n - 5, ".json") == 0);
}

static int
by_octets(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool
add_directory(json_t *changes, const char *path)
{
	struct dirent **v;
	int n = scandir(path, &v, is_object_file, by_octets);
	bool good = n > 0;

	if (n <= 0)
		fprintf(stderr, "gatewayctl: %s: no *.conf or *.json there\n", path);
	for (int i = 0; i < n; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, v[i]->d_name);
		good = good && add_file(changes, file);
		free(v[i]);
	}
	if (n >= 0)
		free(v);
	return good;
}

json_t *
ctl_read(const char *path)
{
	json_t *changes = json_array();
	struct stat st;
	bool good = false;

	if (stat(path, &st) < 0)
		fprintf(stderr, "gatewayctl: %s: %s\n", path, strerror(errno));
	else
		good = S_ISDIR(st.st_mode) ? add_directory(changes, path) : add_file(changes, path);
	if (good)
		return changes;
	json_decref(changes);
	return NULL;
}
