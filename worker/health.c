/* SPDX-License-Identifier: Apache-2.0
 *
 * /health: whether this instance wants traffic. Says nothing of the backends: they are not its
 * health.
 */
#include "shm/base/base.h"
#include "worker/generation.h"
#include "worker/local.h"
#include "worker/worker_priv.h"

static bool
health_word(const _Atomic uint32_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed) != 0;
}

bool
health_answers(const struct req *r, const struct conf_listener *l)
{
	return l->health && str_eq(r->in.path, l->health_path);
}

void
health_reply(struct req *r)
{
	const struct procs *p = r->worker->procs;
	struct str body = STR("{\"status\":\"ready\"}\n");
	uint16_t status = 200;

	if (p && health_word(&p->draining))
		body = STR("{\"status\":\"draining\"}\n");
	else if (p && !health_word(&p->ready))
		body = STR("{\"status\":\"starting\"}\n");
	if (body.n != STR("{\"status\":\"ready\"}\n").n)
		status = 503;
	req_reply(r, status, REASON_NONE, STR("application/json"), body);
	r->logged_off = !r->gen->s->access_log.health;
}
