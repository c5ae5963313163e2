/* SPDX-License-Identifier: Apache-2.0
 *
 * A store with a reader beside it, change sets and operations put to it: for the tests of apply.h.
 */
#ifndef GW_TEST_CONF_APPLY_KIT_H
#define GW_TEST_CONF_APPLY_KIT_H

#include "test/unit/conf/kit.h"
#include "test/unit/conf/objects.h"

#include "conf/apply.h"
#include "conf/store_priv.h"

/* Operations under way. `sets` comes first: it is handed to the makers of objects.h. */
struct batch {
	struct sets sets;
	struct apply_op *v;
	uint32_t n;
	uint32_t flags; /* of those that come */
	struct str override;
};

struct fixture {
	char dir[64];
	struct store store;
	struct table *table;
	struct sets sets;
	struct conf_check report;
	struct batch batch;
};

UNUSED static void
open_store(struct fixture *f, uint64_t map_size, unsigned endpoints)
{
	struct store_options o = {.run_dir = f->dir,
	    .started_us = 1,
	    .slots = 2,
	    .endpoints = endpoints,
	    .services = 16,
	    .map_size = map_size};
	const char *error = NULL;

	if (store_open(&f->store, &o, &error) < 0 ||
	    table_attach(&f->store.map, &f->table, &error) < 0)
		fail_msg("%s", error);
}

UNUSED static int
setup_sized(void **state, uint64_t map_size, unsigned endpoints)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/dev/shm/gw-apply-test-XXXXXX");
	if (mkdtemp(f->dir) == NULL) {
		snprintf(f->dir, sizeof(f->dir), "/tmp/gw-apply-test-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
	}
	check_init(&f->report);
	open_store(f, map_size, endpoints);
	*state = f;
	return 0;
}

UNUSED static int
setup(void **state)
{
	return setup_sized(state, 256u << 20, 64);
}

UNUSED static int
setup_small(void **state)
{
	return setup_sized(state, 2u << 20, 4);
}

UNUSED static int
teardown(void **state)
{
	struct fixture *f = *state;

	table_close(&f->table);
	store_close(&f->store);
	store_remove(f->dir);
	check_free(&f->report);
	free(f);
	return 0;
}

/* Objects changed, or -1 when it was refused. */
UNUSED static int
apply_input(struct fixture *f, struct apply_input *in, bool commit)
{
	struct apply *a;
	int changed;

	check_free(&f->report);
	a = apply_compile(&f->store, in, &f->report);
	if (a == NULL)
		return -1;
	changed = (int)apply_changed(a);
	if (!commit)
		apply_abort(&a);
	else if (apply_commit(&a, &f->report) < 0)
		return -1;
	table_reset(f->table);
	assert_int_equal(table_renew(f->table), 1);
	return changed;
}

/* Takes the descriptor. Objects changed, or -1 when it was refused. */
UNUSED static int
apply(struct fixture *f, int fd, bool commit)
{
	struct apply_input in = {.changeset_fd = fd};
	int changed = apply_input(f, &in, commit);

	close(fd);
	return changed;
}

UNUSED static bool
report_has(struct fixture *f, const char *text)
{
	if (str_find(str_n(f->report.text.p, f->report.text.n), str_of(text)) >= 0)
		return true;
	print_message("the report says: %.*s\n", (int)f->report.text.n, f->report.text.p);
	return false;
}

UNUSED static const char *
routed(struct fixture *f, const char *host, const char *path)
{
	static char id[64];
	struct match_query q = {.host = str_of(host),
	    .path = str_of(path),
	    .method = 1,
	    .method_name = STR("GET"),
	    .listener = 1};
	struct match_result r;
	struct conf_object o;

	if (table_match(f->table, &q, &r) != 1 ||
	    table_object(f->table, CONF_ROUTE, r.route, &o) != 1)
		return "none";
	snprintf(id, sizeof(id), "%.*s", STR_ARG(o.id));
	return id;
}

UNUSED static struct endpoint_ref
endpoint(struct fixture *f, const char *service, const char *name)
{
	struct endpoint_ref e = {.row = UINT32_MAX};
	struct endpoint_set set;
	struct conf_object o;

	assert_int_equal(table_find(f->table, CONF_SERVICE, str_of(service), &o), 1);
	assert_int_equal(table_endpoints(f->table, o.number, &set), 1);
	for (uint32_t i = 0; i < set.n; i++) {
		assert_int_equal(endpoint_set_get(&set, i, &e), 1);
		if (str_eq(e.name, str_of(name)))
			return e;
	}
	e.row = UINT32_MAX;
	return e;
}

/* A damaged map. */
UNUSED static void
put_raw(struct fixture *f, enum map_table table, struct str key, struct str value)
{
	const char *error = NULL;
	struct db_txn *t;

	if (db_begin(f->store.map.db, &t, &error) < 0 ||
	    db_put(t, f->store.map.tab[table], key, value, &error) < 0 || db_commit(&t, &error) < 0)
		fail_msg("%s", error);
	table_reset(f->table);
	assert_int_equal(table_renew(f->table), 1);
}

/* --- operations ------------------------------------------------------------------------------ */

UNUSED static void
batch_take(struct sets *s, enum change_op op, const struct conf_object *o)
{
	struct batch *b = container_of(s, struct batch, sets);
	struct apply_op *to;

	b->v = realloc(b->v, (b->n + 1) * sizeof(*b->v));
	to = &b->v[b->n++];
	*to = (struct apply_op){.op = op, .flags = b->flags, .o = *o};
	to->o.id = ws_str(&s->ws, o->id);
	to->o.file = STR_NONE;
	to->o.line = 0;
	to->o.body = ws_str(&s->ws, o->body);
	to->o.override = b->override;
}

/* Objects made with b->sets from here on are operations of this source. */
UNUSED static struct sets *
batch_begin(struct batch *b, const char *source, uint32_t flags)
{
	if (b->sets.take == NULL)
		ws_init(&b->sets.ws, NULL, 0);
	b->sets.take = batch_take;
	b->sets.source = str_of(source);
	b->flags = flags;
	b->override = STR_NONE;
	return &b->sets;
}

UNUSED static void
batch_end(struct batch *b)
{
	if (b->sets.take != NULL)
		ws_free(&b->sets.ws);
	free(b->v);
	*b = (struct batch){.n = 0};
}

/* The batch, with what `in` says besides. Objects changed, or -1 when it was refused. */
UNUSED static int
apply_batch(struct fixture *f, struct apply_input *in, bool commit)
{
	struct apply_input all = in != NULL ? *in : (struct apply_input){.changeset_fd = -1};

	all.v = f->batch.v;
	all.n = f->batch.n;
	return apply_input(f, &all, commit);
}

UNUSED static struct apply_op *
op(struct fixture *f, uint32_t i)
{
	assert_true(i < f->batch.n);
	return &f->batch.v[i];
}

/* Its own part of the report. */
UNUSED static bool
told(struct fixture *f, uint32_t i, const char *text)
{
	struct apply_op *o = op(f, i);
	struct str part = str_n(f->report.text.p + o->report_at, o->report_n);

	if (str_find(part, str_of(text)) >= 0)
		return true;
	print_message("operation %u was told: %.*s\n", i, STR_ARG(part));
	return false;
}

UNUSED static struct conf_object
object(struct fixture *f, enum conf_kind kind, const char *id)
{
	struct conf_object o = {.number = 0};

	assert_int_equal(table_find(f->table, kind, str_of(id), &o), 1);
	return o;
}

UNUSED static bool
absent(struct fixture *f, enum conf_kind kind, const char *id)
{
	struct conf_object o;

	return table_find(f->table, kind, str_of(id), &o) == 0;
}

#endif
