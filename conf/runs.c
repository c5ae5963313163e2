/* SPDX-License-Identifier: Apache-2.0
 *
 * See runs.h. Where no thread can be had, each run is parsed when it is asked for.
 */
#include "conf/runs.h"

#include <pthread.h>

#include "shm/base/bug.h"

#define RUNS_AHEAD 8 /* of the one asked for */

enum run_state { RUN_NEW, RUN_BUSY, RUN_READY, RUN_GIVEN };

struct kept_text {
	struct kept_text *next;
	char *p;
};

struct runs {
	const struct run_ops *ops;
	struct ws *ws;
	size_t aim;
	struct kept_text *texts;
	struct run **v;
	uint32_t n, cap;
	uint32_t asked;       /* index of the run asked for last */
	struct run *given;    /* trees for the thread to drop: it took their memory, mostly */
	pthread_mutex_t lock; /* over all of the above and the runs' states */
	pthread_cond_t changed;
	pthread_t thread;
	bool started, running, stop;
};

/* --- both threads, with the lock held --------------------------------------------------------- */

static struct run *
next_new(const struct runs *all)
{
	uint32_t end = MIN(all->n, all->asked + RUNS_AHEAD);

	for (uint32_t i = all->asked; i < end; i++)
		if (all->v[i]->state == RUN_NEW)
			return all->v[i];
	return NULL;
}

static void
parse(struct runs *all, struct run *r)
{
	void *tree;

	r->state = RUN_BUSY;
	(void)pthread_mutex_unlock(&all->lock);
	tree = all->ops->parse(r->text);
	(void)pthread_mutex_lock(&all->lock);
	r->tree = tree;
	r->state = RUN_READY;
	(void)pthread_cond_broadcast(&all->changed);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void
drop_given(struct runs *all)
{
	struct run *r = all->given;

	all->given = NULL;
	(void)pthread_mutex_unlock(&all->lock);
	for (; r != NULL; r = r->next) {
		all->ops->drop(r->tree);
		r->tree = NULL;
	}
	(void)pthread_mutex_lock(&all->lock);
}

static void *
read_ahead(void *arg)
{
	struct runs *all = arg;
	struct run *r;

	(void)pthread_mutex_lock(&all->lock);
	while (!all->stop) { /* looked at again whenever the lock was let go */
		if (all->given != NULL)
			drop_given(all);
		else if ((r = next_new(all)) != NULL)
			parse(all, r);
		else
			(void)pthread_cond_wait(&all->changed, &all->lock);
	}
	(void)pthread_mutex_unlock(&all->lock);
	return NULL;
}

static void
start(struct runs *all)
{
	if (!all->started && all->n > 1)
		all->running = pthread_create(&all->thread, NULL, read_ahead, all) == 0;
	all->started = true;
}

static void
end(void *arg)
{
	struct runs *all = arg;

	if (all->running) {
		(void)pthread_mutex_lock(&all->lock);
		all->stop = true;
		(void)pthread_cond_broadcast(&all->changed);
		(void)pthread_mutex_unlock(&all->lock);
		(void)pthread_join(all->thread, NULL);
	}
	for (uint32_t i = 0; i < all->n; i++)
		if (all->v[i]->tree != NULL)
			all->ops->drop(all->v[i]->tree);
	for (const struct kept_text *t = all->texts; t != NULL; t = t->next)
		free(t->p);
	(void)pthread_cond_destroy(&all->changed);
	(void)pthread_mutex_destroy(&all->lock);
	free(all->v);
	free(all);
}

/* --- who loads -------------------------------------------------------------------------------- */

struct runs *
runs_new(struct ws *ws, const struct run_ops *ops, size_t aim)
{
	struct runs *all = xcalloc(1, sizeof(*all));

	all->ops = ops;
	all->ws = ws;
	all->aim = aim;
	(void)pthread_mutex_init(&all->lock, NULL);
	(void)pthread_cond_init(&all->changed, NULL);
	ws_on_free(ws, end, all);
	return all;
}

size_t
runs_aim(const struct runs *all)
{
	return all->aim;
}

void
runs_keep(struct runs *all, struct gbuf *text)
{
	struct kept_text *t = ws_zalloc(all->ws, sizeof(*t));

	if (t == NULL)
		oom_fail(sizeof(*t));
	*t = (struct kept_text){all->texts, text->p};
	all->texts = t;
	*text = (struct gbuf){0};
}

struct run *
runs_add(struct runs *all, struct str text, const char *file, uint32_t line, uint32_t members)
{
	struct run *r = ws_zalloc(all->ws, sizeof(*r));

	if (r == NULL)
		oom_fail(sizeof(*r));
	BUG_ON(all->started);
	*r = (struct run){text, file, line, members, all, all->n, RUN_NEW, NULL, NULL};
	if (all->n == all->cap) {
		all->cap = MAX(2 * all->cap, 64u);
		all->v = xrealloc(all->v, all->cap * sizeof(struct run *));
	}
	all->v[all->n++] = r;
	return r;
}

void *
run_take(struct run *r)
{
	struct runs *all = r->all;

	(void)pthread_mutex_lock(&all->lock);
	BUG_ON(r->state == RUN_GIVEN);
	all->asked = r->index;
	start(all);
	(void)pthread_cond_broadcast(&all->changed);
	while (r->state != RUN_READY) {
		struct run *job = r->state == RUN_NEW ? r : next_new(all);

		if (job != NULL)
			parse(all, job);
		else
			(void)pthread_cond_wait(&all->changed, &all->lock);
	}
	(void)pthread_mutex_unlock(&all->lock);
	return r->tree;
}

void
run_give(struct run *r)
{
	struct runs *all = r->all;

	(void)pthread_mutex_lock(&all->lock);
	r->state = RUN_GIVEN;
	if (all->running) {
		r->next = all->given;
		all->given = r;
		(void)pthread_cond_signal(&all->changed);
	}
	(void)pthread_mutex_unlock(&all->lock);
	if (all->running)
		return;
	all->ops->drop(r->tree);
	r->tree = NULL;
}
