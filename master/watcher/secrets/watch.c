/* SPDX-License-Identifier: Apache-2.0
 *
 * See watch.h.
 */
#include "master/watcher/secrets/watch.h"

#include <errno.h>
#include <sys/stat.h>

#include "conf/changeset.h"
#include "master/watcher/secrets/named.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

/* --- files ------------------------------------------------------------------------------------ */

struct stamp {
	int error; /* errno, where there is none */
	dev_t dev;
	ino_t ino;
	off_t size;
	int64_t written, changed; /* ns */
};
struct file {
	char *path;
	struct stamp stamp;
	bool changed; /* and not told yet */
};
struct watch_list {
	struct file *v;
	uint32_t n, cap;
};

static int64_t
ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

static struct stamp
stamp_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct stamp){.error = errno};
	return (struct stamp){.dev = st.st_dev,
	    .ino = st.st_ino,
	    .size = st.st_size,
	    .written = ns(&st.st_mtim),
	    .changed = ns(&st.st_ctim)};
}

/* Looks again: is it another than before? */
static bool
file_look(struct file *f)
{
	struct stamp s = stamp_of(f->path), was = f->stamp;

	f->stamp = s;
	return s.error != was.error || s.dev != was.dev || s.ino != was.ino || s.size != was.size ||
	       s.written != was.written || s.changed != was.changed;
}

/* --- lists ------------------------------------------------------------------------------------ */

static void
list_add(struct watch_list *l, char *path)
{
	if (path == NULL)
		return;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 16 : l->cap * 2;
		l->v = xrealloc(l->v, l->cap * sizeof(l->v[0]));
	}
	l->v[l->n++] = (struct file){.path = path};
}

static void
list_object(struct watch_list *l, const struct conf_object *o, struct ws *ws)
{
	struct ws_mark mark = ws_mark(ws);
	const void *body = object_body(o, ws);
	struct named v[NAMED_MAX];
	unsigned n = body != NULL ? named_of(o->kind, body, v, ws) : 0;

	for (unsigned i = 0; i < n; i++)
		list_add(l, named_path(v[i].ref));
	ws_reset(ws, mark);
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

/* In order, each once: what belongs together mostly stands together, and is seen in one tick. */
static void
list_order(struct watch_list *l)
{
	uint32_t n = 0;

	if (l->n > 1)
		qsort(l->v, l->n, sizeof(l->v[0]), by_path);
	for (uint32_t i = 0; i < l->n; i++) {
		if (n > 0 && by_path(&l->v[n - 1], &l->v[i]) == 0)
			free(l->v[i].path);
		else
			l->v[n++] = l->v[i];
	}
	l->n = n;
	for (uint32_t i = 0; i < n; i++)
		l->v[i].stamp = stamp_of(l->v[i].path);
}

struct watch_list *
watch_list_new(int objects)
{
	struct watch_list *l = xcalloc(1, sizeof(*l));
	const char *error = NULL;
	struct conf_object o;
	struct changeset c;
	enum change_op op;
	struct ws ws;

	if (objects < 0 || changeset_open(objects, &c, &error) < 0) {
		if (error != NULL)
			log_error("secrets: no files are watched: %s", error);
		return l;
	}
	ws_init(&ws, NULL, 0);
	while (changeset_next(&c, &op, &o) == 1)
		if (op == CHANGE_PUT)
			list_object(l, &o, &ws);
	changeset_close(&c);
	ws_free(&ws);
	list_order(l);
	return l;
}

void
watch_list_free(struct watch_list **lp)
{
	struct watch_list *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	for (uint32_t i = 0; i < l->n; i++)
		free(l->v[i].path);
	free(l->v);
	free(l);
}

uint32_t
watch_list_n(const struct watch_list *l)
{
	return l->n;
}

/* --- looking ---------------------------------------------------------------------------------- */

struct secrets_watch {
	struct loop *loop;
	secrets_watch_f *fn;
	void *arg;
	struct watch_list *list; /* NULL: none yet */
	uint32_t at;             /* whose turn it is */
	struct timer tick, quiet;
	uint64_t since; /* ms: the first change not told yet; 0 none */
};

static void
something_changed(struct secrets_watch *w)
{
	uint64_t now = clock_ms();

	if (w->since == 0)
		w->since = now;
	timer_set(
	    loop_timers(w->loop), &w->quiet, MIN(now + WATCH_QUIET_MS, w->since + WATCH_LATE_MS));
}

static void
tick(struct timer *t)
{
	struct secrets_watch *w = container_of(t, struct secrets_watch, tick);
	uint32_t n = w->list != NULL ? MIN(w->list->n, (uint32_t)WATCH_PER_TICK) : 0;
	bool any = false;

	for (uint32_t i = 0; i < n; i++) {
		struct file *f = &w->list->v[w->at++ % w->list->n];

		if (!file_look(f))
			continue;
		f->changed = true;
		any = true;
	}
	if (n > 0)
		w->at %= w->list->n;
	if (any)
		something_changed(w);
	timer_set(loop_timers(w->loop), t, clock_ms() + WATCH_TICK_MS);
}

/* Do those that changed go on changing? */
static bool
still_changing(struct watch_list *l)
{
	bool any = false;

	for (uint32_t i = 0; i < l->n; i++)
		if (l->v[i].changed && file_look(&l->v[i]))
			any = true;
	return any;
}

static void
quiet_over(struct timer *t)
{
	struct secrets_watch *w = container_of(t, struct secrets_watch, quiet);

	if (still_changing(w->list) && clock_ms() < w->since + WATCH_LATE_MS) {
		something_changed(w);
		return;
	}
	for (uint32_t i = 0; i < w->list->n; i++)
		w->list->v[i].changed = false;
	w->since = 0;
	w->fn(w->arg);
}

struct secrets_watch *
secrets_watch_new(struct loop *loop, secrets_watch_f *fn, void *arg)
{
	struct secrets_watch *w = xcalloc(1, sizeof(*w));

	w->loop = loop;
	w->fn = fn;
	w->arg = arg;
	timer_init(&w->tick, tick);
	timer_init(&w->quiet, quiet_over);
	timer_set(loop_timers(loop), &w->tick, clock_ms() + WATCH_TICK_MS);
	return w;
}

void
secrets_watch_free(struct secrets_watch **wp)
{
	struct secrets_watch *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	timer_stop(&w->tick);
	timer_stop(&w->quiet);
	watch_list_free(&w->list);
	free(w);
}

void
secrets_watch_use(struct secrets_watch *w, struct watch_list **l)
{
	watch_list_free(&w->list);
	w->list = *l;
	*l = NULL;
	w->at = 0;
	/* What was about to be told is told: the reader of the new list may have read too early. */
	if (w->list == NULL) {
		timer_stop(&w->quiet);
		w->since = 0;
	}
}
