/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions over a line (conf/ask.h): what only the state knows.
 */
#include "conf/endpoint_sets.h"
#include "conf/ask.h"

#include "conf/history.h"
#include "conf/keeper_priv.h"
#include "shm/base/log.h"

#define LIST_MAX 10000

struct question {
	uint64_t a, b;
	uint32_t status;
	json_t *body; /* owned */
};

static void
problem(struct question *q, uint32_t status, const char *words)
{
	q->status = status;
	q->body = problem_body(status, "%s", words);
}

static void
ask_generations(struct keeper *k, struct question *q)
{
	uint64_t n = q->a == 0 ? LIST_MAX : MIN(q->a, (uint64_t)LIST_MAX);

	(void)json_object_set_new(
	    q->body = json_object(), "generations", history_list(k->state, n, q->b));
}

static void
ask_generation(struct keeper *k, struct question *q)
{
	char key[REMEMBER_KEY];

	q->body = remember_get(k->state, STATE_HISTORY, remember_key_number(key, q->a));
	if (q->body == NULL)
		problem(q, 404, "history has no such generation");
}

static void
ask_diff(struct keeper *k, struct question *q)
{
	uint64_t now = k->store.meta.generation;
	const char *error = "";
	uint32_t status = 0;
	json_t *changes = history_net(k->state, now, q->a, q->b, &status, &error);

	if (changes == NULL) {
		problem(q, status, error);
		return;
	}
	q->body = json_object();
	(void)json_object_set_new(
	    q->body, "from", json_integer((json_int_t)(q->a == 0 ? now : q->a)));
	(void)json_object_set_new(
	    q->body, "to", json_integer((json_int_t)(q->b == 0 ? now : q->b)));
	(void)json_object_set_new(q->body, "changes", changes);
}

static void
override_add(void *arg, const struct override *v)
{
	json_t *o = json_object();

	(void)json_object_set_new(o, "name", json_of(v->name));
	(void)json_object_set_new(o, "kind", json_string(document_kind_word(v->kind)));
	(void)json_object_set_new(o, "id", json_of(v->id));
	(void)json_object_set_new(o, "source", json_of(v->source));
	(void)json_object_set_new(o, "since", json_of(v->since));
	(void)json_object_set_new(o, "author", json_of(v->author));
	(void)json_object_set_new(o, "deleted", json_boolean(v->value == NULL));
	(void)json_array_append_new(arg, o);
}

static void
ask_overrides(struct keeper *k, struct question *q)
{
	json_t *list = json_array();

	override_each(k->overrides, override_add, list);
	(void)json_object_set_new(q->body = json_object(), "overrides", list);
}

static void
ask_state(struct keeper *k, struct question *q)
{
	static const struct {
		const char *name;
		enum state_table tab;
	} counts[] = {{"objects", STATE_OBJECTS}, {"history", STATE_HISTORY},
	    {"overrides", STATE_OVERRIDES}, {"endpoints", STATE_ENDPOINTS},
	    {"verdicts", STATE_VERDICTS}, {"journal", STATE_JOURNAL}};
	json_t *position = remember_get(k->state, STATE_META, STR("console")), *b;
	struct state_fill fill;

	state_fill(k->state, &fill);
	b = q->body = json_object();
	(void)json_object_set_new(b, "schema", json_integer(REMEMBER_SCHEMA));
	for (unsigned i = 0; i < ARRAY_LEN(counts); i++)
		(void)json_object_set_new(
		    b, counts[i].name, json_integer((json_int_t)fill.count[counts[i].tab]));
	(void)json_object_set_new(b, "used_bytes", json_integer((json_int_t)fill.used_bytes));
	(void)json_object_set_new(b, "map_bytes", json_integer((json_int_t)fill.map_bytes));
	(void)json_object_set_new(
	    b, "generation", json_integer((json_int_t)k->store.meta.generation));
	(void)json_object_set_new(b, "queue", json_integer(k->queued));
	(void)json_object_set_new(b, "writable", json_boolean(!k->folding_failed));
	if (k->state_error != NULL)
		(void)json_object_set_new(b, "set_aside", json_string(k->state_error));
	(void)json_object_set_new(b, "console", position != NULL ? position : json_null());
	(void)json_object_set_new(b, "names", endpoint_sets_json(k->sets));
	(void)json_object_set_new(
	    b, "refused", k->refused != NULL ? json_incref(k->refused) : json_array());
}

static void (*const answers[ASK_COUNT])(struct keeper *k, struct question *q) = {
    [ASK_GENERATIONS] = ask_generations,
    [ASK_GENERATION] = ask_generation,
    [ASK_DIFF] = ask_diff,
    [ASK_OVERRIDES] = ask_overrides,
    [ASK_STATE] = ask_state,
};

void
keeper_ask(struct keeper *k, struct keeper_line *l, struct msg *m)
{
	struct question q = {.status = 200};
	uint32_t id = m->id, what = msg_u32(m);

	q.a = msg_u64(m);
	q.b = msg_u64(m);
	(void)msg_str(m);
	if (msg_end(m) < 0) {
		log_error("keeper: malformed ASK of %s", l->source);
		return;
	}
	if (what >= ASK_COUNT || answers[what] == NULL)
		problem(&q, 404, "the keeper does not know about that");
	else if (k->state == NULL)
		problem(&q, 503, k->state_error != NULL ? k->state_error : "there is no state");
	else
		answers[what](k, &q);
	keeper_answer_json(k, l, id, q.status, q.body);
	json_decref(q.body);
}
