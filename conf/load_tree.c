/* SPDX-License-Identifier: Apache-2.0
 *
 * Which files there are: the main one, then those of conf.d beside it in byte order of their names.
 */
#include <dirent.h>
#include <errno.h>

#include "conf/load_priv.h"
#include "conf/read.h"
#include "shm/base/bug.h"

#define CONF_D "conf.d"

static int
wanted(const struct dirent *e)
{
	struct str name = str_of(e->d_name);

	return name.p[0] != '.' && str_ends(name, STR(".conf"));
}

/* Not alphasort: the locale has no say in what overrides what. */
static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static struct str
path_in(struct load *l, const char *dir, const char *name)
{
	if (strcmp(dir, ".") == 0)
		return ws_printf(&l->keep, "%s", name);
	return ws_printf(&l->keep, "%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/", name);
}

static void
add_file(struct load *l, const char *path, const char *dir)
{
	struct node *tree = read_file(path, dir, l->runs, &l->keep, l->c);

	if (tree == NULL)
		return;
	if (l->root == NULL)
		l->root = tree;
	else
		node_merge(l->root, tree, l->c);
}

static void
add_directory(struct load *l, const char *dir)
{
	const char *path = path_in(l, dir, CONF_D).p;
	struct dirent **entries;
	int n = scandir(path, &entries, wanted, by_bytes);

	if (n < 0) {
		struct conf_place at = {.file = str_of(path)};

		if (errno != ENOENT)
			check_error_at(l->c, &at, "%s", strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++) {
		add_file(l, path_in(l, path, entries[i]->d_name).p, dir);
		free(entries[i]);
	}
	free(entries);
}

int
load_tree(struct load *l, const char *conf_file, const char *dir)
{
	add_file(l, conf_file, dir);
	add_directory(l, dir);
	return l->root != NULL ? 1 : -1;
}
