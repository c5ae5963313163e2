/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoint sets in the keeper process: what they need of it, and what a turn asks of them.
 */
#include "conf/endpoint_sets.h"
#include "conf/keeper_priv.h"
#include "shm/base/log.h"

static bool
map_busy(void *arg)
{
	return ((struct keeper *)arg)->pending != NULL;
}

static void
ring(void *arg)
{
	keeper_ring(arg);
}

/* Asked again with every new list: whoever runs already is not started twice. */
static void
want_discovery(void *arg)
{
	struct keeper *k = arg;

	msg_begin(&k->out, MSG_WANT, 0);
	msg_put_u32(&k->out, PROC_DISCOVERY);
	if (keeper_send(k->h->chan, &k->out) < 0)
		log_error("keeper: discovery cannot be asked for");
}

/* With what else the turn folds; until then the document stands in the journal. */
static void
note(void *arg, struct str service, const char *record)
{
	struct keeper *k = arg;

	if (record != NULL)
		remember_put(&k->remember, STATE_ENDPOINTS, service, str_of(record));
	else
		remember_del(&k->remember, STATE_ENDPOINTS, service);
	keeper_turn_soon(k);
}

static void
compile(void *arg, const struct conf_object *o, const struct endpoint_set *old,
    struct conf_service *s, struct ws *ws)
{
	endpoint_sets_compile(((struct keeper *)arg)->sets, o, old, s, ws);
}

void
keeper_endpoints_start(struct keeper *k)
{
	struct endpoint_sets_options o = {.store = &k->store,
	    .state = k->state,
	    .loop = k->loop,
	    .remember = note,
	    .line = k->h->line[LINE_DISCOVERY_KEEPER],
	    .busy = map_busy,
	    .changed = ring,
	    .want = want_discovery,
	    .arg = k};

	k->sets = endpoint_sets_new(&o);
	k->store.endpoints = compile;
}

int
keeper_endpoints_change(struct keeper *k, const struct job *j, const struct document_change *c,
    bool check_only, uint32_t *status_r, const char **error_r)
{
	return endpoint_sets_change(k->sets, c, j->d.author, check_only, status_r, error_r);
}

/* Documents do not answer for one another. */
static void
settle_alone(struct keeper *k, struct job *j)
{
	const char *error = "";
	uint32_t status;
	int ok = 1;

	for (uint32_t i = 0; i < j->n && ok >= 0; i++)
		if (j->c[i].kind == DOC_ENDPOINTS && !j->c[i].refused)
			ok = keeper_endpoints_change(k, j, j->c[i].asked, false, &status, &error);
	if (ok >= 0)
		ok = endpoint_sets_flush(k->sets, &error);
	if (ok < 0)
		job_refuse(j, 507, "endpoints: %s", error);
}

void
keeper_endpoints_settle(struct keeper *k)
{
	const char *error;

	if (endpoint_sets_flush(k->sets, &error) == 1)
		return;
	list_each (n, &k->done) {
		struct job *j = container_of(n, struct job, node);

		if (j->endpoints)
			settle_alone(k, j);
	}
}

void
keeper_endpoints_generation(struct keeper *k)
{
	endpoint_sets_generation(k->sets);
}
