/* SPDX-License-Identifier: Apache-2.0
 *
 * A load from beginning to end: files to one tree, tree to structs, structs checked against one
 * another, names resolved, everything encoded. Called by the loader process, by -t and -T, and by
 * tests.
 */
#include "conf/load.h"

#include <limits.h>

#include "conf/load_priv.h"
#include "conf/read.h"
#include "shm/base/bug.h"

/* Large, and kept between objects: giving each object's blocks back to malloc cost as much as
 * reading it. */
#define LOAD_BLOCK (64u << 10)

/* The directory of the main file as it was named, and in full for paths that processes with another
 * working directory will open. */
static void
directories(struct load *l, const char *conf_file, const char **dir_r)
{
	struct str file = str_of(conf_file);
	const char *slash = strrchr(conf_file, '/');
	char full[PATH_MAX];

	*dir_r = ".";
	if (slash == conf_file)
		*dir_r = "/";
	else if (slash != NULL)
		*dir_r = ws_str(&l->keep, str_sub(file, 0, (size_t)(slash - conf_file))).p;
	l->c->base = *dir_r;
	if (realpath(*dir_r, full) != NULL)
		l->c->base = ws_str(&l->keep, str_of(full)).p;
}

static uint32_t
count_of(const struct load *l, enum conf_kind kind)
{
	const struct node *list = node_get(l->root, str_of(object_kinds[kind].list));

	return list != NULL && list->type == NODE_LIST ? list->n : 0;
}

static void
make_room(struct load *l)
{
	size_t n = 1;

	for (unsigned k = 1; k < CONF_KIND_COUNT; k++)
		n += count_of(l, (enum conf_kind)k);
	l->r->v = ws_zalloc(&l->r->ws, n * sizeof(*l->r->v));
	l->services = ws_zalloc(&l->keep, count_of(l, CONF_SERVICE) * sizeof(*l->services));
	l->listeners = ws_zalloc(&l->keep, count_of(l, CONF_LISTENER) * sizeof(*l->listeners));
	l->listener_ids = ws_zalloc(&l->keep, count_of(l, CONF_LISTENER) * sizeof(struct str));
	l->listener_at = ws_zalloc(&l->keep, count_of(l, CONF_LISTENER) * sizeof(struct node *));
	for (unsigned k = 1; k < CONF_KIND_COUNT; k++)
		htab_reserve(&l->ids[k].by_id, count_of(l, (enum conf_kind)k));
	htab_reserve(&l->matches, count_of(l, CONF_ROUTE));
	if (l->r->v == NULL || l->keep.overflow)
		oom_fail(n * sizeof(*l->r->v));
}

static void
load_all(struct load *l, const char *conf_file, const char *dir, bool resolve)
{
	if (load_tree(l, conf_file, dir) < 0)
		return;
	make_room(l);
	load_settings(l);
	load_objects(l);
	if (!l->unreadable)
		load_check_listeners(l);
	if (l->c->errors > 0)
		return;
	load_resolve(l, resolve);
	for (uint32_t i = 0; i < l->n_services; i++)
		load_store(l, l->services[i].object, l->services[i].body);
}

static void
load_fini(void *arg)
{
	struct load *l = arg;

	for (unsigned k = 0; k < CONF_KIND_COUNT; k++)
		htab_free(&l->ids[k].by_id);
	htab_free(&l->matches);
	gbuf_free(&l->body);
	ws_free(&l->scratch);
	ws_free(&l->keep);
	ws_pool_fini(&l->pool);
	free(l);
}

/* What was read goes with the result: taking a large tree down takes a fifth of the whole load, and
 * the loader exits instead. */
static struct load *
load_new(size_t aim, struct load_result *r, struct conf_check *check)
{
	struct load *l = xcalloc(1, sizeof(*l));

	l->r = r;
	l->c = check;
	ws_pool_init(&l->pool, LOAD_BLOCK, 1);
	ws_init(&l->keep, &l->pool, 0);
	ws_init(&l->scratch, &l->pool, 0);
	l->runs = read_runs_new(&l->keep, aim);
	ws_on_free(&r->ws, load_fini, l);
	return l;
}

int
load_files_by(const char *conf_file, bool resolve, size_t aim, struct load_result *r,
    struct conf_check *check)
{
	uint32_t errors = check->errors;
	const char *dir;
	struct load *l;

	memset(r, 0, sizeof(*r));
	ws_init(&r->ws, NULL, 0);
	l = load_new(aim, r, check);
	check->ws = &l->keep;
	check->expand = true;
	directories(l, conf_file, &dir);
	load_all(l, conf_file, dir, resolve);
	/* What c points to is the load's; its lines are its own. */
	check->ws = NULL;
	check->base = NULL;
	check->node = NULL;
	check->at = (struct conf_place){.path = {check->path, 0}};
	if (check->errors == errors)
		return 1;
	load_free(r);
	return -1;
}

int
load_files(const char *conf_file, bool resolve, struct load_result *r, struct conf_check *check)
{
	return load_files_by(conf_file, resolve, RUNS_AIM, r, check);
}

void
load_free(struct load_result *r)
{
	ws_free(&r->ws);
	memset(r, 0, sizeof(*r));
}
