/* SPDX-License-Identifier: Apache-2.0
 *
 * See apply.h. The order: what differs; what must hold between objects; old routes out of the
 * tables; objects; services with their rows; routes into the tables; tables and head written. Then
 * it waits. Whatever happens before the commit leaves no trace, not even in the arena.
 *
 * Operations that may be refused by themselves are taken out as early as they are found wrong,
 * which costs nothing while nothing is written. Who turns out wrong later (no free row, no room at
 * a path) takes the attempt with him, and the next one goes without all those of that attempt.
 */
#include "conf/apply_priv.h"

#include "conf/stop.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

#define ALIVE_EVERY   1024
#define ATTEMPTS      64
#define READERS_EVERY UINT64_C(100000000) /* ns between looks for readers that died */
#define FILL_WARN     70                  /* percent */

void
apply_alive(struct apply *a, uint32_t i)
{
	if (i % ALIVE_EVERY == ALIVE_EVERY - 1 && a->s->alive != NULL)
		a->s->alive(a->s->arg);
}

/* --- one attempt ----------------------------------------------------------------------------- */

/* A reader that died keeps old pages from being used again. */
static void
readers_check(struct store *s)
{
	uint64_t now = clock_precise_ns();

	if (s->readers_checked_ns != 0 && now - s->readers_checked_ns < READERS_EVERY)
		return;
	s->readers_checked_ns = now;
	(void)db_reader_check(s->map.db);
}

static int
begin(struct apply *a)
{
	const char *error;

	a->n = a->n_old = 0;
	memset(a->of, 0, sizeof(a->of));
	a->errors = 0;
	a->fatal = a->again = a->listening = false;
	readers_check(a->s);
	if (db_begin(a->s->map.db, &a->txn, &error) < 0) {
		apply_fatal(a, error);
		return -1;
	}
	a->meta = a->s->meta;
	a->meta.generation++;
	return apply_listen_known(a);
}

/* Nothing of this attempt remains. */
static void
undo(struct apply *a)
{
	routing_free(&a->routing);
	db_abort(&a->txn);
	if (a->rows != NULL)
		rows_abort(a->rows);
	rows_free(&a->rows);
	numbers_abort(&a->s->numbers);
	refs_abort(&a->s->refs);
	wants_abort(&a->s->wants);
	htab_free(&a->pending);
	ws_free(&a->ws);
	ws_free(&a->scratch);
	for (unsigned i = 0; i < CONF_KIND_COUNT; i++)
		bits_free(&a->mine[i]);
}

static int
write_tables(struct apply *a)
{
	const char *error;

	a->recent = a->s->recent;
	recent_begin(&a->recent, a->meta.generation);
	for (uint32_t i = 0; i < a->n; i++)
		recent_add(&a->recent, a->v[i]->o.kind, a->v[i]->o.number);
	if ((a->routing != NULL && routing_flush(a->routing, &error) < 0) ||
	    recent_put(a->txn, &a->s->map, &a->recent, &error) < 0 ||
	    map_meta_put(a->txn, &a->s->map, &a->meta, &error) < 0) {
		apply_fatal(a, error);
		return -1;
	}
	return 1;
}

static int
attempt(struct apply *a)
{
	if (begin(a) < 0 || apply_diff(a) < 0 || apply_check(a) < 0)
		return -1;
	if (a->n == 0 && !a->rebuild)
		return 1;
	a->dropped = false;
	if (apply_unlink(a) < 0 || apply_objects(a) < 0 || apply_services(a) < 0)
		return -1;
	if (a->errors > 0 || apply_link(a) < 0 || a->errors > 0)
		return -1;
	a->again = a->dropped;
	if (a->again)
		return 1;
	apply_want(a);
	return write_tables(a);
}

/* Another go: without those who were taken out, or, once, with tables that turned out damaged
 * built anew from the objects in the same turn. */
static bool
worth_another(struct apply *a, int got)
{
	if (got == 1)
		return a->again;
	if (a->rebuild || (!a->damaged && (a->routing == NULL || !routing_damaged(a->routing))))
		return false;
	log_error("the routing tables are damaged: building them anew");
	a->rebuild = true;
	return true;
}

static int
attempts(struct apply *a)
{
	size_t text = a->report->text.n;
	uint32_t errors = a->report->errors;
	int got = attempt(a);

	for (unsigned i = 1; worth_another(a, got); i++) {
		if (i == ATTEMPTS) {
			apply_error(a, "map", "objects refuse one another without an end");
			return -1;
		}
		undo(a);
		a->report->text.n = text;
		a->report->errors = errors;
		apply_forget(a);
		got = attempt(a);
	}
	return got;
}

/* --- the life of a change -------------------------------------------------------------------- */

static void
apply_free(struct apply **ap)
{
	struct apply *a = *ap;

	*ap = NULL;
	if (a->has_set)
		changeset_close(&a->set);
	gbuf_free(&a->out);
	for (uint32_t i = 0; i < a->in->n; i++)
		gbuf_free(&a->fate[i].words);
	free(a->fate);
	free(a->listeners);
	free(a->v);
	free(a);
}

static void
ops_begin(struct apply *a)
{
	const struct apply_input *in = a->in;

	a->fate = in->n > 0 ? xcalloc(in->n, sizeof(*a->fate)) : NULL;
	a->whole_lenient = in->n > 0;
	for (uint32_t i = 0; i < in->n; i++) {
		struct apply_op *op = &in->v[i];

		a->fate[i].out = (op->flags & APPLY_SKIP) != 0;
		op->outcome = a->fate[i].out ? OUTCOME_REFUSED : OUTCOME_NONE;
		op->version = 0;
		op->owner[0] = '\0';
		a->whole_lenient &= (op->flags & (APPLY_LENIENT | APPLY_SKIP)) != 0;
	}
}

static int
set_open(struct apply *a)
{
	const char *error;

	if (a->in->changeset_fd < 0)
		return 1;
	if (changeset_open(a->in->changeset_fd, &a->set, &error) < 0) {
		apply_error(a, "map", "%s", error);
		return -1;
	}
	a->has_set = true;
	return 1;
}

struct apply *
apply_compile(struct store *s, struct apply_input *in, struct conf_check *report)
{
	struct apply *a = xcalloc(1, sizeof(*a));
	int ok;

	a->s = s;
	a->input = *in;
	a->in = &a->input;
	a->report = report;
	ws_init(&a->ws, NULL, 0);
	ws_init(&a->scratch, NULL, 0);
	ops_begin(a);
	ok = set_open(a) == 1 ? attempts(a) : -1;
	apply_tell(a, ok == 1);
	if (ok == 1) {
		stop_here("after_compile");
		return a;
	}
	undo(a);
	apply_free(&a);
	return NULL;
}

uint32_t
apply_looked_at(const struct apply *a)
{
	return a->has_set ? a->set.n : a->in->n;
}

uint32_t
apply_changed(const struct apply *a)
{
	return a->n;
}

const uint64_t *
apply_counts(const struct apply *a)
{
	return a->meta.count;
}

uint64_t
apply_generation(const struct apply *a)
{
	return a->n > 0 || a->rebuild ? a->meta.generation : a->s->meta.generation;
}

int
apply_change_get(
    const struct apply *a, uint32_t i, struct conf_object *old_r, struct conf_object *new_r)
{
	const struct change *c;

	if (i >= a->n || !a->in->capture)
		return 0;
	c = a->v[i];
	*old_r = c->old != NULL ? *c->old : (struct conf_object){.kind = c->o.kind};
	*new_r = c->o;
	new_r->body = c->op == CHANGE_PUT ? c->o.body : STR_NONE;
	/* An object all of whose settings are at their defaults has no octets, but it is there. */
	if (c->old != NULL && old_r->body.p == NULL)
		old_r->body = STR("");
	if (c->op == CHANGE_PUT && new_r->body.p == NULL)
		new_r->body = STR("");
	return 1;
}

static void
publish_listeners(struct apply *a)
{
	if (!a->listening)
		return;
	free(a->s->listeners);
	a->s->listeners = a->listeners;
	a->s->n_listeners = a->n_listeners;
	a->listeners = NULL;
	a->listening = false;
}

/* After the commit: the word every process looks at, then what no new set names any more. Workers
 * of the generation before may still pick such a row; of the new one they cannot. */
static void
publish(struct apply *a)
{
	struct store *s = a->s;

	s->meta = a->meta;
	s->recent = a->recent;
	memcpy(s->max, a->max, sizeof(s->max));
	numbers_commit(&s->numbers);
	refs_commit(&s->refs);
	wants_commit(&s->wants);
	publish_listeners(a);
	stop_here("after_commit");
	atomic_store_explicit(
	    &arena_head(s->arena)->generation, s->meta.generation, memory_order_release);
	if (a->rows != NULL)
		rows_commit(a->rows);
	rows_free(&a->rows);
	stop_here("after_publish");
}

/* Once for every percent more. */
static void
warn_fill(struct store *s)
{
	struct db_fill fill;
	unsigned percent;

	db_fill(s->map.db, &fill);
	percent = (unsigned)(fill.used_bytes * 100 / MAX(fill.map_bytes, UINT64_C(1)));
	if (percent > FILL_WARN && percent > s->fill_warned)
		log_warn("map: %u%% of limits.map_size are in use", percent);
	s->fill_warned = MAX(s->fill_warned, percent);
}

int
apply_commit(struct apply **ap, struct conf_check *report)
{
	struct apply *a = *ap;
	const char *error;
	int ok = 1;

	*ap = NULL;
	a->report = report;
	if (a->n > 0 || a->rebuild) {
		routing_free(&a->routing);
		stop_here("before_commit");
		ok = db_commit(&a->txn, &error);
		if (ok == 1)
			publish(a);
		else
			apply_fatal(a, error);
		warn_fill(a->s);
	}
	undo(a);
	apply_free(&a);
	return ok;
}

void
apply_abort(struct apply **ap)
{
	struct apply *a = *ap;

	if (a == NULL)
		return;
	*ap = NULL;
	undo(a);
	apply_free(&a);
}
