/* SPDX-License-Identifier: Apache-2.0
 *
 * See apply.h. The order: what differs; old routes out of the tables; objects; services with their
 * rows; what must hold between objects; routes into the tables; tables and head written. Then it
 * waits. Whatever happens before the commit leaves no trace, not even in the arena.
 */
#include "conf/apply_priv.h"

#include <stdarg.h>

#include "conf/stop.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"
#include "shm/base/num.h"

#define ALIVE_EVERY 1024

/* --- words ----------------------------------------------------------------------------------- */

void
apply_error(struct apply *a, const struct conf_object *o, const char *setting, const char *fmt, ...)
{
	const struct object_kind *k = &object_kinds[o->kind];
	struct conf_place at = {.file = o->file, .line = o->line};
	char path[160], text[800];
	va_list ap;
	int n;

	n = snprintf(path, sizeof(path), "%s[%.*s]%s%s", k->list, STR_ARG(o->id),
	    setting != NULL ? "." : "", setting != NULL ? setting : "");
	at.path = str_n(path, MIN((size_t)n, sizeof(path) - 1));
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	check_error_at(a->report, &at, "%s", text);
}

void
apply_fatal(struct apply *a, const char *error)
{
	struct conf_place at = {.path = STR("map")};
	struct db_fill fill;
	char size[32], used[32];

	a->fatal = true;
	if (strstr(error, "MDB_MAP_FULL") == NULL && strstr(error, "MDB_TXN_FULL") == NULL) {
		check_error_at(a->report, &at, "%s", error);
		return;
	}
	db_fill(a->s->map.db, &fill);
	size[num_size_text(fill.map_bytes, size)] = '\0';
	used[num_size_text(ALIGN_UP(fill.used_bytes, (uint64_t)1024), used)] = '\0';
	check_error_at(a->report, &at,
	    "full: limits.map_size is %s, %s were in use before this change; raise it and restart",
	    size, used);
}

void
apply_alive(struct apply *a, uint32_t i)
{
	if (i % ALIVE_EVERY == 0 && a->s->alive != NULL)
		a->s->alive(a->s->arg);
}

/* --- one attempt ----------------------------------------------------------------------------- */

static int
begin(struct apply *a)
{
	uint64_t oldest = UINT64_MAX;
	const char *error;

	(void)db_reader_check(a->s->map.db);
	if (db_begin(a->s->map.db, &a->txn, &error) < 0) {
		apply_fatal(a, error);
		return -1;
	}
	if (a->s->oldest != NULL)
		oldest = a->s->oldest(a->s->arg);
	a->meta = a->s->meta;
	a->meta.generation++;
	a->rows = rows_new(a->s->arena, oldest, a->s->verdict, a->s->arg);
	a->routing = routing_new(a->txn, &a->s->map, &a->meta);
	return 1;
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
	ws_free(&a->ws);
	ws_free(&a->scratch);
	for (unsigned i = 0; i < CONF_KIND_COUNT; i++)
		bits_free(&a->touched[i]);
}

static int
write_tables(struct apply *a)
{
	const char *error;

	if (a->report->errors > 0)
		return -1;
	if (routing_flush(a->routing, &error) < 0 ||
	    map_meta_put(a->txn, &a->s->map, &a->meta, &error) < 0) {
		apply_fatal(a, error);
		return -1;
	}
	return 1;
}

static int
attempt(struct apply *a)
{
	a->n = 0;
	a->fatal = false;
	if (begin(a) < 0 || apply_diff(a) < 0)
		return -1;
	if (a->report->errors > 0)
		return -1;
	if (a->n == 0 && !a->rebuild)
		return apply_refs(a); /* for the list of listeners */
	if (apply_unlink(a) < 0 || apply_objects(a) < 0 || apply_services(a) < 0)
		return -1;
	if (a->report->errors > 0 || apply_refs(a) < 0 || a->report->errors > 0)
		return -1;
	if (apply_link(a) < 0)
		return -1;
	return write_tables(a);
}

/* Tables that turn out damaged are built anew, in the same turn, from the objects. */
static int
attempts(struct apply *a)
{
	size_t text = a->report->text.n;
	uint32_t errors = a->report->errors;

	if (attempt(a) == 1)
		return 1;
	if (!a->damaged && (a->routing == NULL || !routing_damaged(a->routing)))
		return -1;
	log_error("the routing tables are damaged: building them anew");
	undo(a);
	a->report->text.n = text;
	a->report->errors = errors;
	a->rebuild = true;
	return attempt(a);
}

/* --- the life of a change -------------------------------------------------------------------- */

static void
apply_free(struct apply **ap)
{
	struct apply *a = *ap;

	*ap = NULL;
	changeset_close(&a->set);
	gbuf_free(&a->out);
	free(a->v);
	free(a);
}

struct apply *
apply_compile(struct store *s, struct apply_input *in, struct conf_check *report)
{
	struct apply *a = xcalloc(1, sizeof(*a));
	struct conf_place at = {.path = STR("map")};
	const char *error;

	a->s = s;
	a->report = report;
	ws_init(&a->ws, NULL, 0);
	ws_init(&a->scratch, NULL, 0);
	if (changeset_open(in->changeset_fd, &a->set, &error) < 0) {
		check_error_at(report, &at, "%s", error);
		free(a);
		return NULL;
	}
	if (attempts(a) == 1 && report->errors == 0) {
		stop_here("after_compile");
		return a;
	}
	undo(a);
	apply_free(&a);
	return NULL;
}

uint32_t
apply_changed(const struct apply *a)
{
	return a->n;
}

const struct apply_listener *
apply_listeners(const struct apply *a, unsigned *n_r)
{
	*n_r = a->n_listeners;
	return a->listeners;
}

/* After the commit: the word every process looks at, then what no new set names any more. Workers
 * of the generation before may still pick such a row; of the new one they cannot. */
static void
publish(struct apply *a)
{
	struct store *s = a->s;

	s->meta = a->meta;
	numbers_commit(&s->numbers);
	stop_here("after_commit");
	atomic_store_explicit(
	    &arena_head(s->arena)->generation, s->meta.generation, memory_order_release);
	rows_commit(a->rows);
	rows_free(&a->rows);
	stop_here("after_publish");
}

static void
warn_fill(struct apply *a)
{
	struct db_fill fill;

	db_fill(a->s->map.db, &fill);
	if (fill.used_bytes > fill.map_bytes / 10 * 7)
		log_warn("map: %llu%% of limits.map_size are in use",
		    (unsigned long long)(fill.used_bytes * 100 / fill.map_bytes));
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
		warn_fill(a);
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
