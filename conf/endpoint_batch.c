/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoint sets into the map: services whose set, or whose names' answers, are others than before,
 * in one transaction that makes no generation. Order: the map's transaction is made whole, the
 * state is committed (or noted, where the keeper's journal has the document), then the map, then
 * rows, endpoints_version and the bell.
 */
#include "conf/endpoint_sets_priv.h"

#include "conf/endpoint_set.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

#define BUSY_MS  5    /* a change set waits for its verdict: the map has one writer */
#define AGAIN_MS 1000 /* what failed for want of room */

/* --- when ------------------------------------------------------------------------------------ */

static bool
busy(const struct endpoint_sets *s)
{
	return s->o.busy != NULL && s->o.busy(s->o.arg);
}

static void
batch_soon(struct endpoint_sets *s)
{
	uint64_t now = clock_ms(), at = s->batch_ms + ENDPOINT_BATCH_MS;

	if (s->batch_ms == 0 || now >= at)
		loop_defer(s->o.loop, &s->soon);
	else if (!timer_is_set(&s->timer))
		timer_set(loop_timers(s->o.loop), &s->timer, at);
}

void
batch_touch(struct endpoint_sets *s, struct entry *e)
{
	if (list_empty(&e->touched))
		list_push(&s->touched, &e->touched);
	batch_soon(s);
}

static void
batch_look(struct endpoint_sets *s, struct entry *e)
{
	if (list_empty(&e->look))
		list_push(&s->look, &e->look);
	batch_soon(s);
}

/* --- looking at services --------------------------------------------------------------------- */

int
batch_service(struct endpoint_sets *s, struct db_txn *t, struct str id, struct ws *ws,
    uint32_t *number_r, struct conf_service **c_r)
{
	struct conf_object o;
	int got = map_number(t, &s->o.store->map, CONF_SERVICE, id, number_r);

	if (got == 1)
		got = map_object(t, &s->o.store->map, CONF_SERVICE, *number_r, &o);
	if (got != 1)
		return got;
	/* Its slices are wanted after the transaction's end. */
	o.body = ws_str(ws, o.body);
	*c_r = object_body(&o, ws);
	return *c_r == NULL ? -1 : 1;
}

static const struct conf_service *
in_force(const struct own_set *set, const struct conf_service *settings)
{
	return set != NULL ? set->body : settings;
}

/* The service went, and its set with it. */
static void
gone(struct endpoint_sets *s, struct entry *e)
{
	const char *error = "";

	if (!list_empty(&e->staged))
		return; /* its change will find out */
	if (e->set != NULL) {
		log_info("endpoints of service %s: dropped, the service is gone", e->id);
		list_push(&s->staged, &e->staged);
		if (sets_remember(s, false, &error) < 0)
			log_error("endpoints of service %s: %s", e->id, error);
		list_del(&e->staged);
	}
	entry_forget(s, e);
}

static void
look(struct endpoint_sets *s, struct entry *e, struct db_txn *t)
{
	struct conf_service *settings;
	uint32_t number;
	struct ws ws;
	int got;

	ws_init(&ws, NULL, 0);
	got = batch_service(s, t, str_of(e->id), &ws, &number, &settings);
	if (got == 1) {
		names_of(s, e, in_force(e->set, settings));
		/* An answer may have come since the map was written. */
		if (e->n_names > 0)
			batch_touch(s, e);
		else if (e->set == NULL && list_empty(&e->staged) && list_empty(&e->touched))
			entry_forget(s, e);
	}
	ws_free(&ws);
	if (got == 0)
		gone(s, e);
}

/* In a fresh one nothing is gone: it has not come yet. */
static bool
map_filled(const struct endpoint_sets *s)
{
	return s->o.store->meta.count[CONF_SETTINGS] > 0;
}

static void
look_all(struct endpoint_sets *s)
{
	const char *error = "";
	struct db_txn *t;

	if (list_empty(&s->look) || !map_filled(s))
		return;
	if (db_read_begin(s->o.store->map.db, &t, &error) < 0) {
		log_error("endpoints: the map cannot be read: %s", error);
		return;
	}
	list_each_safe (n, &s->look) {
		list_del(n);
		look(s, container_of(n, struct entry, look), t);
	}
	db_abort(&t);
}

/* --- one transaction ------------------------------------------------------------------------- */

struct batch {
	struct endpoint_sets *s;
	struct db_txn *txn;
	struct rows *rows;
	struct ws ws; /* one service at a time */
	struct gbuf out;
	uint32_t changed;
	struct entry *failed; /* this one did not go in */
	const char *error;
	char why[512]; /* the same, to keep */
};

static int
batch_begin(struct batch *b)
{
	struct store *store = b->s->o.store;
	uint64_t oldest = store->oldest != NULL ? store->oldest(store->arg) : UINT64_MAX;

	b->changed = 0;
	b->failed = NULL;
	(void)db_reader_check(store->map.db);
	if (db_begin(store->map.db, &b->txn, &b->error) < 0)
		return -1;
	b->rows = rows_new(store->arena, oldest, store->verdict, store->arg);
	return 1;
}

static void
batch_end(struct batch *b, bool committed)
{
	if (!committed) {
		db_abort(&b->txn);
		rows_abort(b->rows);
	}
	rows_free(&b->rows);
	ws_free(&b->ws);
	gbuf_free(&b->out);
}

static bool
set_old(struct batch *b, struct str key, struct endpoint_set *old_r)
{
	struct str value;

	return db_get(b->txn, b->s->o.store->map.tab[MAP_ENDPOINT], key, &value) == 1 &&
	       endpoint_set_open(ws_str(&b->ws, value), old_r) == 1;
}

static int
service_put(struct batch *b, struct str id, uint32_t number, struct conf_service *c)
{
	struct store *store = b->s->o.store;
	struct endpoint_set old;
	char room[8];
	struct str key = image_key_number(room, number), value;
	bool had = set_old(b, key, &old);

	names_fill(b->s, c, had ? &old : NULL, &b->ws);
	b->out.n = 0;
	if (rows_set(b->rows, id, c, had ? &old : NULL, &b->out, &b->error) < 0)
		return -1;
	value = str_n(b->out.p, b->out.n);
	if (had && str_eq(old.bytes, value))
		return 1;
	b->changed++;
	return db_put(b->txn, store->map.tab[MAP_ENDPOINT], key, value, &b->error);
}

/* c's endpoints are the set's, with room for addresses. */
static void
endpoints_of(struct conf_service *c, const struct own_set *set, struct ws *ws)
{
	const struct conf_list *from = &set->body->endpoints;
	struct conf_endpoint *v = ws_alloc(ws, (from->n + 1) * sizeof(*v));

	if (v == NULL)
		oom_fail(from->n * sizeof(*v));
	if (from->n > 0)
		memcpy(v, from->v, from->n * sizeof(*v));
	c->endpoints = (struct conf_list){v, from->n};
}

static int
batch_entry(struct batch *b, struct entry *e)
{
	bool staged = !list_empty(&e->staged);
	const struct own_set *set = staged ? e->next : e->set;
	struct ws_mark mark = ws_mark(&b->ws);
	struct conf_service *c;
	uint32_t number;
	int ok;

	b->error = "the service cannot be read from the map";
	ok = batch_service(b->s, b->txn, str_of(e->id), &b->ws, &number, &c);
	if (ok == 1) {
		if (set != NULL)
			endpoints_of(c, set, &b->ws);
		ok = service_put(b, str_of(e->id), number, c);
	} else if (ok == 0) {
		b->error = "no such service";
		ok = staged ? -1 : 1;
	}
	ws_reset(&b->ws, mark);
	if (ok < 0)
		b->failed = e;
	return ok;
}

static int
batch_make(struct batch *b)
{
	if (batch_begin(b) < 0)
		return -1;
	list_each (n, &b->s->staged)
		if (batch_entry(b, container_of(n, struct entry, staged)) < 0)
			return -1;
	list_each (n, &b->s->touched) {
		struct entry *e = container_of(n, struct entry, touched);

		if (list_empty(&e->staged) && batch_entry(b, e) < 0)
			return -1;
	}
	return 1;
}

/* What was staged holds. */
static void
batch_done(struct endpoint_sets *s)
{
	list_each_safe (n, &s->touched)
		list_del(n);
	list_each_safe (n, &s->staged) {
		struct entry *e = container_of(n, struct entry, staged);
		struct own_set *next = e->next;

		e->next = NULL;
		list_del(&e->staged);
		entry_set(s, e, next);
		batch_look(s, e); /* its names */
	}
}

static void
batch_publish(struct batch *b)
{
	struct endpoint_sets *s = b->s;

	rows_commit(b->rows);
	s->commits++;
	s->changes += b->changed;
	s->batch_ms = clock_ms();
	if (s->o.changed != NULL)
		s->o.changed(s->o.arg);
}

static int
batch_write(struct batch *b)
{
	const char *ignored;

	if (sets_remember(b->s, false, &b->error) < 0)
		return -1;
	if (b->changed == 0) {
		batch_end(b, false);
		return 1;
	}
	if (db_commit(&b->txn, &b->error) == 1) {
		batch_publish(b);
		batch_end(b, true);
		return 1;
	}
	if (sets_remember(b->s, true, &ignored) < 0)
		log_error("endpoints: the state has what the map could not take: %s", ignored);
	return -1;
}

/* What nobody waits for is tried again later; without it the rest may go in. */
static bool
put_off(struct batch *b)
{
	struct endpoint_sets *s = b->s;

	if (b->failed == NULL || !list_empty(&b->failed->staged))
		return false;
	log_error("endpoints of service %s: %s", b->failed->id, b->why);
	list_del(&b->failed->touched);
	list_push(&s->look, &b->failed->look);
	if (!timer_is_set(&s->timer))
		timer_set(loop_timers(s->o.loop), &s->timer, clock_ms() + AGAIN_MS);
	return true;
}

static int
batch_refuse(struct batch *b, const char **error_r)
{
	struct endpoint_sets *s = b->s;

	if (b->failed != NULL)
		snprintf(s->error, sizeof(s->error), "services[%s]: %s", b->failed->id, b->why);
	else
		snprintf(s->error, sizeof(s->error), "%s", b->why);
	*error_r = s->error;
	sets_unstage(s);
	return -1;
}

int
batch_commit(struct endpoint_sets *s, const char **error_r)
{
	struct batch b = {.s = s, .why = "the map is being changed"};

	if (busy(s))
		return batch_refuse(&b, error_r);
	for (;;) {
		ws_init(&b.ws, NULL, 0);
		if (batch_make(&b) == 1 && batch_write(&b) == 1)
			break;
		/* The words may be the rows' own. */
		snprintf(b.why, sizeof(b.why), "%s", b.error);
		if (b.txn != NULL || b.rows != NULL)
			batch_end(&b, false);
		if (!put_off(&b))
			return batch_refuse(&b, error_r);
	}
	batch_done(s);
	return 1;
}

/* --- in the loop ----------------------------------------------------------------------------- */

static void
run(struct endpoint_sets *s)
{
	const char *error = "";

	if (busy(s)) {
		timer_set(loop_timers(s->o.loop), &s->timer, clock_ms() + BUSY_MS);
		return;
	}
	look_all(s);
	if (!list_empty(&s->touched) && batch_commit(s, &error) < 0) {
		log_error("%s", error);
		timer_set(loop_timers(s->o.loop), &s->timer, clock_ms() + AGAIN_MS);
	}
	names_send(s);
}

static void
run_deferred(struct defer *d)
{
	run(container_of(d, struct endpoint_sets, soon));
}

static void
run_timed(struct timer *t)
{
	run(container_of(t, struct endpoint_sets, timer));
}

/* Services of a map that a predecessor left: those with names are ours to look after. */
static void
look_map(struct endpoint_sets *s)
{
	struct store *store = s->o.store;
	struct db_cursor *c = NULL;
	struct str key, value;
	struct conf_object o;
	const char *error = "";
	struct db_txn *t;
	char from[8];
	int got;

	if (!map_filled(s) || db_read_begin(store->map.db, &t, &error) < 0)
		return;
	got = db_cursor_at(t, store->map.tab[MAP_OBJECT], image_key_object(from, CONF_SERVICE, 0),
	    &c, &key, &value);
	while (got == 1 && key.p[0] == CONF_SERVICE) {
		if (map_object_decode(key, value, &o) == 1) {
			struct ws ws;

			ws_init(&ws, NULL, 0);
			endpoint_sets_compile(s, &o, NULL, object_body(&o, &ws), &ws);
			ws_free(&ws);
		}
		got = db_cursor_next(c, &key, &value);
	}
	db_cursor_free(&c);
	db_abort(&t);
}

void
batch_start(struct endpoint_sets *s)
{
	defer_init(&s->soon, run_deferred);
	timer_init(&s->timer, run_timed);
	look_map(s);
	batch_soon(s);
}

void
endpoint_sets_generation(struct endpoint_sets *s)
{
	if (!busy(s))
		look_all(s);
}

/* --- asked by apply -------------------------------------------------------------------------- */

static bool
has_names(const struct conf_service *c)
{
	const struct conf_endpoint *e = c->endpoints.v;
	char name[256];
	uint16_t port;

	for (uint32_t i = 0; i < c->endpoints.n; i++)
		if (names_wanted(&e[i], name, &port))
			return true;
	return false;
}

/* What becomes of the change set is not known yet: the service is looked at when it is. */
void
endpoint_sets_compile(void *arg, const struct conf_object *o, const struct endpoint_set *old,
    struct conf_service *c, struct ws *ws)
{
	struct endpoint_sets *s = arg;
	struct entry *e = entry_get(s, o->id, c != NULL && has_names(c));

	if (e == NULL)
		return;
	batch_look(s, e);
	if (c == NULL)
		return;
	if (e->set != NULL)
		endpoints_of(c, e->set, ws);
	names_fill(s, c, old, ws);
}
