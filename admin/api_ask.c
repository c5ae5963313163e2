/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that others answer without changing anything: history and overrides of the keeper, the
 * rollout of the redis process. When a new keeper comes up they are asked again.
 */
#include <sys/stat.h>

#include <inttypes.h>
#include <unistd.h>

#include "admin/admin_priv.h"
#include "admin/pending.h"
#include "conf/ask.h"
#include "conf/document.h"
#include "shm/base/log.h"
#include "shm/base/num.h"

#define HELLO_GRACE_MS 1000 /* for what the new keeper still finds in its line */

static void
ask_again(struct admin *a, struct session *s)
{
	struct pending *p = s->pending;
	int fd = a->h->line[p->line];
	struct msg m;

	msg_begin(&m, MSG_ASK, session_wait(s, p, pending_free));
	msg_put_u32(&m, p->ask);
	msg_put_u64(&m, p->n1);
	msg_put_u64(&m, p->n2);
	msg_put_str(&m, STR(""));
	if (fd < 0 || msg_send(fd, &m) != 1)
		session_problem(s, 503, "the %s process does not take questions now; try again",
		    line_word(p->line));
}

void
ask_send(struct call *c, enum line line, uint32_t what, uint64_t n1, uint64_t n2)
{
	struct pending *p = pending_new(PENDING_ASK, line);

	p->ask = what;
	p->n1 = n1;
	p->n2 = n2;
	(void)session_wait(c->s, p, pending_free);
	ask_again(c->a, c->s);
}

static void
ask_keeper(struct call *c, uint32_t what, uint64_t n1, uint64_t n2)
{
	ask_send(c, LINE_ADMIN_KEEPER, what, n1, n2);
}

/* Is there a console at all? False after a 409 was answered. */
static bool
console_there(struct call *c)
{
	const struct conf_settings *s = admin_settings(c->a, c->ws);

	if (s != NULL && s->redis.addresses.n > 0)
		return true;
	session_problem(c->s, 409, "there is no console: redis.addresses is not set");
	return false;
}

void
api_state(struct call *c)
{
	ask_keeper(c, ASK_STATE, 0, 0);
}

void
api_overrides(struct call *c)
{
	ask_keeper(c, ASK_OVERRIDES, 0, 0);
}

void
api_generations(struct call *c)
{
	uint64_t limit, before;

	if (call_number(c, "limit", 1, 1000, 100, &limit) == 1 &&
	    call_number(c, "before", 0, INT64_MAX, 0, &before) == 1)
		ask_keeper(c, ASK_GENERATIONS, limit, before);
}

void
api_generation(struct call *c)
{
	const char *error = "they count from 1";
	uint64_t n;

	if (num_u64(c->arg[0], INT64_MAX, &n, &error) < 0 || n == 0)
		session_problem(
		    c->s, 400, "\"%.*s\" is not a generation: %s", STR_ARG(c->arg[0]), error);
	else
		ask_keeper(c, ASK_GENERATION, n, 0);
}

void
api_diff(struct call *c)
{
	uint64_t from, to;

	if (call_number(c, "from", 1, INT64_MAX, 0, &from) < 0 ||
	    call_number(c, "to", 0, INT64_MAX, 0, &to) < 0)
		return;
	if (from == 0)
		session_problem(c->s, 400, "from: a generation is needed");
	else
		ask_keeper(c, ASK_DIFF, from, to);
}

void
api_rollout(struct call *c)
{
	if (console_there(c))
		ask_send(c, LINE_ADMIN_REDIS, ASK_ROLLOUT, 0, 0);
}

void
ask_reload_all(struct call *c)
{
	if (console_there(c))
		ask_send(c, LINE_ADMIN_REDIS, ASK_RELOAD_ALL, 0, 0);
}

/* --- answers ---------------------------------------------------------------------------------- */

void
answer_body(struct session *s, uint32_t status, struct str body)
{
	if (status < 100 || status > 599 || body.n == 0)
		session_problem(s, 502, "an answer that cannot be read came from another process");
	else
		session_answer(s, status,
		    status >= 400 ? "application/problem+json" : "application/json", body);
}

void
api_on_answer(struct admin *a, struct msg *m)
{
	uint32_t status = msg_u32(m);
	struct session *s = session_find(&a->server, m->id);
	struct pending *p = s != NULL ? s->pending : NULL;
	struct enclosed body = pending_body(m);

	if (p != NULL) {
		if (p->what == PENDING_PUBLISH)
			log_info("admin: %s by %s: published, status %u", p->doing, p->author,
			    (unsigned)status);
		/* They were rung, or it is published: what the instances make of it is theirs. */
		if (status == 200 && (p->what == PENDING_PUBLISH || p->ask == ASK_RELOAD_ALL))
			status = 202;
		answer_body(s, status, body.text);
	}
	enclosed_free(&body);
}

/* What the old keeper had written down the new one has answered by now, and what it had not taken
 * yet the new one takes next. The rest was lost between the two. */
static void
hello_to(void *arg, struct session *s)
{
	struct pending *p = s->pending;

	if (p == NULL || p->line != LINE_ADMIN_KEEPER)
		return;
	if (p->what == PENDING_ASK)
		ask_again(arg, s);
	else
		session_hurry(s, HELLO_GRACE_MS,
		    "the keeper was replaced while it worked on this; look whether it was done");
}

void
api_on_hello(struct admin *a, struct msg *m)
{
	uint64_t generation = msg_u64(m);

	(void)msg_str(m);
	log_debug("admin: the keeper began, at generation %" PRIu64, generation);
	server_each_waiting(&a->server, hello_to, a);
}
