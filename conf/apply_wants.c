/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and certificates that a change set's objects name: who has to be read anew before it may be
 * committed.
 */
#include "conf/apply_priv.h"

static bool
may_want(enum conf_kind kind)
{
	return kind == CONF_SETTINGS || kind == CONF_LISTENER || kind == CONF_SERVICE ||
	       kind == CONF_CERTIFICATE;
}

void
apply_want(struct apply *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct ws_mark mark = ws_mark(&a->scratch);
		const struct change *c = a->v[i];
		const void *body = NULL;

		if (!may_want(c->o.kind))
			continue;
		apply_alive(a, i);
		if (c->op == CHANGE_PUT)
			body = object_body(&c->o, &a->scratch);
		wants_set(&a->s->wants, c->o.kind, c->o.number, body);
		ws_reset(&a->scratch, mark);
	}
}

bool
apply_wants(const struct apply *a)
{
	const struct wants *w = &a->s->wants;

	return wants_needed(w) || (a->has_set && wants_any(w));
}

int
apply_wants_fd(const struct apply *a, const char **error_r)
{
	return wants_seal(&a->s->wants, a->txn, &a->s->map, error_r);
}
