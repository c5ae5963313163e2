/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoint sets in the state: what a batch leaves there, and what a keeper that starts finds.
 */
#include "conf/endpoint_sets_priv.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"

/* --- what is to stand there
 * ----------------------------------------------------------------------------------- */

static int
remember_all(struct endpoint_sets *s, struct state_txn *t, bool back, const char **error_r)
{
	list_each (n, &s->staged) {
		struct entry *e = container_of(n, struct entry, staged);
		const struct own_set *set = back ? e->set : e->next;
		struct str key = str_of(e->id);
		int ok;

		if (set != NULL)
			ok = state_put(t, STATE_ENDPOINTS, key, str_of(set->record), error_r);
		else
			ok = state_del(t, STATE_ENDPOINTS, key, error_r);
		if (ok < 0)
			return -1;
	}
	return 1;
}

/* To somebody who keeps it: 1, or 0: there is nobody. */
static int
remember_elsewhere(struct endpoint_sets *s, bool back)
{
	if (s->o.remember == NULL)
		return 0;
	list_each (n, &s->staged) {
		struct entry *e = container_of(n, struct entry, staged);
		const struct own_set *set = back ? e->set : e->next;

		s->o.remember(s->o.arg, str_of(e->id), set != NULL ? set->record : NULL);
	}
	return 1;
}

int
sets_remember(struct endpoint_sets *s, bool back, const char **error_r)
{
	struct state_txn *t;

	if (list_empty(&s->staged) || remember_elsewhere(s, back) == 1 || s->o.state == NULL)
		return 1;
	if (state_begin(s->o.state, &t, error_r) < 0)
		return -1;
	if (remember_all(s, t, back, error_r) == 1)
		return state_commit(&t, error_r);
	state_abort(&t);
	return -1;
}

static int
record_load(struct endpoint_sets *s, struct str id, struct str text, struct conf_check *check)
{
	struct own_set *o = xcalloc(1, sizeof(*o));
	json_t *j = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	json_t *value = json_pack("{s:O*}", "endpoints", json_object_get(j, "endpoints"));
	struct entry *e = NULL;

	ws_init(&o->ws, NULL, 0);
	if (json_integer_value(json_object_get(j, "schema")) == 1)
		o->body = sets_read(id, value, &o->ws, check);
	o->record = str_z(text);
	json_decref(value);
	json_decref(j);
	if (o->body != NULL && o->record != NULL)
		e = entry_get(s, id, true);
	if (e == NULL) {
		own_set_free(&o);
		return -1;
	}
	entry_set(s, e, o);
	list_push(&s->look, &e->look);
	if (s->o.remember == NULL) /* else the map had it first */
		list_push(&s->touched, &e->touched);
	return 1;
}

/* One that cannot be read stays where it is: a later version may. */
static int
record_one(void *arg, struct str key, struct str text)
{
	struct endpoint_sets *s = arg;
	struct conf_check check;

	check_init(&check);
	if (record_load(s, key, text, &check) < 0)
		log_error("endpoints of service %.*s as the state has them cannot be read; its "
			  "settings hold: %.*s",
		    STR_ARG(key), (int)check.text.n, check.text.n > 0 ? check.text.p : "");
	check_free(&check);
	return 1;
}

void
sets_load(struct endpoint_sets *s)
{
	const char *error = "";
	struct state_txn *t;

	if (s->o.state == NULL)
		return;
	if (state_begin(s->o.state, &t, &error) < 0) {
		log_error("endpoints in the state: %s", error);
		return;
	}
	if (state_each(t, STATE_ENDPOINTS, STR_NONE, record_one, s, &error) < 0)
		log_error("endpoints in the state: %s", error);
	state_abort(&t);
}
