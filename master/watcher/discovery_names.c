/* SPDX-License-Identifier: Apache-2.0
 *
 * See discovery_names.h.
 */
#include "master/watcher/discovery_names.h"

#include "shm/base/backoff.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/hash.h"
#include "shm/base/log.h"

#define UNTOLD_MS 50 /* no room: the keeper is slow, or being replaced */

struct name {
	struct hnode node;
	struct discovery_names *t;
	struct timer timer;  /* its next look-up */
	struct list waiting; /* is due, others are under way */
	struct list untold;
	struct backoff backoff;
	uint64_t list;      /* the last one it stood in */
	bool asked, listed; /* a question is open; it is in the table */
	bool answered;      /* it was told of, or is about to be */
	struct addr *v;     /* the last good answer */
	uint32_t n;
	char error[160]; /* of the last look-up; "" */
	char text[];
};

struct discovery_names {
	struct discovery_options o;
	struct htab tab;
	struct list waiting, untold;
	struct defer pump; /* asks are made outside of answers */
	struct timer again;
	uint64_t list;
	bool all, full;
	unsigned open;
};

/* --- asking ----------------------------------------------------------------------------------- */

static void
due(struct name *nm)
{
	if (!nm->asked && list_empty(&nm->waiting))
		list_push(&nm->t->waiting, &nm->waiting);
	loop_defer(nm->t->o.loop, &nm->t->pump);
}

static void
due_timed(struct timer *t)
{
	due(container_of(t, struct name, timer));
}

static void
name_free(struct name *nm)
{
	timer_stop(&nm->timer);
	list_del(&nm->waiting);
	list_del(&nm->untold);
	free(nm->v);
	free(nm);
}

static void on_answer(void *arg, const struct resolver_answer *a);

static void
pump(struct defer *d)
{
	struct discovery_names *t = container_of(d, struct discovery_names, pump);
	struct list *n;

	while (t->open < DISCOVERY_FLIGHT && (n = list_first(&t->waiting)) != NULL) {
		struct name *nm = container_of(n, struct name, waiting);

		list_del(&nm->waiting);
		nm->asked = true;
		t->open++;
		backoff_started(&nm->backoff, clock_ms());
		t->o.ask(t->o.self, nm->text, on_answer, nm);
	}
}

/* --- telling ---------------------------------------------------------------------------------- */

static void
tell_all(struct discovery_names *t)
{
	struct list *n;

	while ((n = list_first(&t->untold)) != NULL) {
		struct name *nm = container_of(n, struct name, untold);

		if (t->o.tell(t->o.self, str_of(nm->text), nm->v, nm->n, nm->error) != 1) {
			timer_set(loop_timers(t->o.loop), &t->again, clock_ms() + UNTOLD_MS);
			return;
		}
		list_del(&nm->untold);
	}
}

static void
tell_again(struct timer *t)
{
	tell_all(container_of(t, struct discovery_names, again));
}

static void
tell(struct name *nm)
{
	nm->answered = true;
	if (list_empty(&nm->untold))
		list_push(&nm->t->untold, &nm->untold);
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool
same(const struct name *nm, const struct resolver_answer *a)
{
	if (nm->n != a->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!addr_eq(&nm->v[i], &a->v[i]))
			return false;
	return true;
}

static uint64_t
good(struct name *nm, const struct resolver_answer *a)
{
	uint64_t wait = (uint64_t)a->ttl_s * 1000;

	backoff_init(&nm->backoff, DISCOVERY_MIN_MS, DISCOVERY_MAX_MS / 6 * 5);
	if (nm->error[0] != '\0')
		log_info("discovery: %s: %u addresses, its look-up works again", nm->text, a->n);
	if (!nm->answered || nm->error[0] != '\0' || !same(nm, a)) {
		nm->error[0] = '\0';
		free(nm->v);
		nm->v = xcalloc(a->n, sizeof(*nm->v));
		memcpy(nm->v, a->v, a->n * sizeof(*nm->v));
		nm->n = a->n;
		tell(nm);
	}
	return MIN(MAX(wait, (uint64_t)DISCOVERY_MIN_MS), (uint64_t)DISCOVERY_MAX_MS);
}

/* The last good answer stays: a resolver that is away says nothing about the endpoints. */
static uint64_t
bad(struct name *nm, const struct resolver_answer *a)
{
	uint64_t wait = backoff_failed_jitter(&nm->backoff, clock_ms());

	if (!str_eq(str_of(nm->error), str_of(a->error))) {
		snprintf(nm->error, sizeof(nm->error), "%s", a->error);
		if (nm->n > 0)
			log_warn(
			    "discovery: %s: %s; its %u addresses stay", nm->text, a->error, nm->n);
		else
			log_warn("discovery: %s: %s", nm->text, a->error);
		tell(nm);
	}
	return MIN(MAX(wait, (uint64_t)DISCOVERY_MIN_MS), (uint64_t)DISCOVERY_MAX_MS);
}

static void
on_answer(void *arg, const struct resolver_answer *a)
{
	struct name *nm = arg;
	struct discovery_names *t = nm->t;
	uint64_t wait;

	t->open--;
	nm->asked = false;
	loop_defer(t->o.loop, &t->pump);
	if (!nm->listed) {
		name_free(nm);
		return;
	}
	wait = a->n > 0 ? good(nm, a) : bad(nm, a);
	timer_set(loop_timers(t->o.loop), &nm->timer, clock_ms() + wait);
	tell_all(t);
}

/* --- the list --------------------------------------------------------------------------------- */

static bool
name_is(const struct hnode *n, const void *key)
{
	return str_eq(str_of(container_of(n, struct name, node)->text), *(const struct str *)key);
}

void
discovery_names_begin(struct discovery_names *t, bool all)
{
	if (!all)
		return;
	t->list++; /* parts of a list that was never ended count no more */
	t->all = true;
}

void
discovery_names_add(struct discovery_names *t, struct str text)
{
	struct hnode *n = htab_get(&t->tab, hash_keyed(text), name_is, &text);
	struct name *nm;

	if (n != NULL) {
		container_of(n, struct name, node)->list = t->list;
		return;
	}
	if (t->tab.n >= DISCOVERY_NAMES) {
		if (!t->full)
			log_error("discovery: more than %d names; the rest is not looked up",
			    DISCOVERY_NAMES);
		t->full = true;
		return;
	}
	nm = xcalloc(1, sizeof(*nm) + text.n + 1);
	memcpy(nm->text, text.p, text.n);
	nm->t = t;
	nm->list = t->list;
	nm->listed = true;
	timer_init(&nm->timer, due_timed);
	list_init(&nm->waiting);
	list_init(&nm->untold);
	backoff_init(&nm->backoff, DISCOVERY_MIN_MS, DISCOVERY_MAX_MS / 6 * 5);
	htab_put(&t->tab, &nm->node, hash_keyed(text));
	due(nm);
}

static void
name_drop(struct name *nm)
{
	htab_del(&nm->t->tab, &nm->node);
	nm->listed = false;
	timer_stop(&nm->timer);
	list_del(&nm->untold);
	if (!nm->asked)
		name_free(nm);
}

static void
settle(struct hnode *n, void *arg)
{
	struct name *nm = container_of(n, struct name, node);
	struct discovery_names *t = arg;

	if (nm->list != t->list)
		name_drop(nm);
	else if (t->all && nm->answered)
		tell(nm);
}

void
discovery_names_end(struct discovery_names *t, bool more)
{
	if (more)
		return;
	htab_each(&t->tab, settle, t);
	t->all = t->full = false;
	t->list++;
	tell_all(t);
}

/* --- the life of it --------------------------------------------------------------------------- */

struct discovery_names *
discovery_names_new(const struct discovery_options *o)
{
	struct discovery_names *t = xcalloc(1, sizeof(*t));

	t->o = *o;
	t->list = 1;
	list_init(&t->waiting);
	list_init(&t->untold);
	defer_init(&t->pump, pump);
	timer_init(&t->again, tell_again);
	return t;
}

static void
drop_node(struct hnode *n, void *arg UNUSED)
{
	name_drop(container_of(n, struct name, node));
}

void
discovery_names_free(struct discovery_names **tp)
{
	struct discovery_names *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	BUG_ON(t->open > 0);
	htab_each(&t->tab, drop_node, NULL);
	htab_free(&t->tab);
	defer_cancel(&t->pump);
	timer_stop(&t->again);
	free(t);
}
