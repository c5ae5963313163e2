/* SPDX-License-Identifier: Apache-2.0
 *
 * What must hold between the objects of all sources once the change is made, before anything of it
 * is written: so whoever may be taken out is, and those who need him with him, at the price of
 * another look at the list. The loader sees one source and complains better; this is what nothing
 * gets past.
 */
#include "conf/apply_priv.h"

#define REMEMBER 256 /* changes: of no more their settings are kept decoded */

/* --- settings ----------------------------------------------------------------------------------
 */

const void *
apply_body(struct apply *a, struct change *c)
{
	const void *body = c->body;

	if (body != NULL)
		return body;
	body = object_body(&c->o, a->n <= REMEMBER ? &a->ws : &a->scratch);
	c->body = a->n <= REMEMBER ? body : NULL;
	return body;
}

const void *
apply_old_body(struct apply *a, struct change *c)
{
	const void *body = c->old_body;

	if (body != NULL)
		return body;
	body = object_body(c->old, a->n <= REMEMBER ? &a->ws : &a->scratch);
	c->old_body = a->n <= REMEMBER ? body : NULL;
	return body;
}

/* --- limits ---------------------------------------------------------------------------------- */

static void
check_sizes(struct apply *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct change *c = a->v[i];
		size_t n = IMAGE_HEAD + object_size(&c->o);

		if (c->op == CHANGE_PUT && n > IMAGE_MAX)
			apply_refuse(a, c, OUTCOME_REFUSED, NULL,
			    "takes %zu octets in the map; allowed: up to %d", n, IMAGE_MAX);
	}
}

/* The settings object may be changed in the same set. */
static void
limits_now(struct apply *a)
{
	const struct change *c = apply_pending(a, CONF_SETTINGS, STR("gateway"));

	memcpy(a->max, a->s->max, sizeof(a->max));
	if (c != NULL && c->op == CHANGE_PUT && !c->out)
		store_limits(&c->o, a->max);
}

/* The last new ones of a kind are the ones too many. The change set's are told once. */
static void
check_quota(struct apply *a, enum conf_kind kind)
{
	uint64_t max = a->max[kind], n = a->meta.count[kind];
	bool told = false;

	if (max == 0)
		return;
	for (uint32_t i = a->of[kind].from; i < a->of[kind].to; i++) {
		const struct change *c = a->v[i];

		if (c->o.kind == kind && !c->out)
			n += c->op == CHANGE_DELETE ? UINT64_MAX : c->fresh;
	}
	for (uint32_t i = a->of[kind].to; i-- > a->of[kind].from && n > max;) {
		struct change *c = a->v[i];

		if (c->o.kind != kind || c->out || !c->fresh)
			continue;
		if (c->by != BY_SET || !told)
			apply_refuse(a, c, OUTCOME_REFUSED, NULL,
			    "%llu %s would be too many; limits.%s is %llu", (unsigned long long)n,
			    object_kinds[kind].list, object_kinds[kind].list,
			    (unsigned long long)max);
		told |= c->by == BY_SET;
		n--;
	}
}

/* --- all of it ------------------------------------------------------------------------------- */

/* Each only when those whom the next go by are settled: what stays after all is there to be named,
 * and those who go for another reason make room. */
static int
check_once(struct apply *a)
{
	if (apply_deletions(a) < 0)
		return -1;
	if (a->listening)
		apply_names(a, CONF_LISTENER);
	if (a->listening && !a->dropped && apply_listen(a, true) < 0)
		return -1;
	if (!a->dropped)
		apply_names(a, CONF_ROUTE);
	limits_now(a);
	for (unsigned kind = 0; kind < CONF_KIND_COUNT && !a->dropped; kind++)
		check_quota(a, (enum conf_kind)kind);
	return 1;
}

/* Those who are out leave the list; new objects get their numbers. */
static void
settle(struct apply *a)
{
	uint32_t n = 0;

	a->listening = false;
	a->n_old = 0;
	memset(a->of, 0, sizeof(a->of));
	for (uint32_t i = 0; i < a->n; i++) {
		struct change *c = a->v[i];

		if (c->out) {
			htab_del(&a->pending, &c->node);
			continue;
		}
		if (c->fresh)
			c->o.number = numbers_take(&a->s->numbers, c->o.kind);
		a->listening |= c->o.kind == CONF_LISTENER;
		a->v[n] = c;
		apply_range(a, n++);
	}
	a->n = n;
}

int
apply_check(struct apply *a)
{
	check_sizes(a);
	apply_release(a);
	do {
		a->dropped = false;
		if (check_once(a) < 0)
			return -1;
	} while (a->dropped && a->errors == 0);
	if (a->errors > 0)
		return -1;
	settle(a);
	return a->listening ? apply_listen(a, false) : 1;
}
