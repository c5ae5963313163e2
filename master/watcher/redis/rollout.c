/* SPDX-License-Identifier: Apache-2.0
 *
 * See rollout.h.
 */
#include "master/watcher/redis/rollout.h"

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/enc.h"

struct rollout {
	struct conn *c;
	const struct keys *k;
	struct answer to;
	bool there; /* a version */
	struct version v;
	struct reply *instances; /* owned */
};

/* --- the body --------------------------------------------------------------------------------- */

static void
copy(json_t *to, const char *name, const json_t *ack, json_t *instead)
{
	json_t *j = json_object_get(ack, name);

	if (j != NULL) {
		(void)json_object_set(to, name, j);
		json_decref(instead);
	} else {
		(void)json_object_set_new(to, name, instead);
	}
}

static bool
is_in_sync(const struct version *v, const json_t *ack)
{
	const char *epoch = json_string_value(json_object_get(ack, "epoch"));
	const char *hash = json_string_value(json_object_get(ack, "hash"));
	uint8_t sum[HASH_SHA256];

	if (v == NULL || epoch == NULL || hash == NULL || strcmp(epoch, v->epoch) != 0 ||
	    (uint64_t)json_integer_value(json_object_get(ack, "number")) != v->number ||
	    enc_unhex(str_of(hash), sum, sizeof(sum)) < 0)
		return false;
	return memcmp(sum, v->hash, sizeof(sum)) == 0 &&
	       json_integer_value(json_object_get(ack, "refused")) == 0;
}

static json_t *
instance_of(const struct version *v, struct str name, uint64_t ms, const json_t *ack)
{
	json_t *j = json_object();
	char seen[25];

	clock_rfc3339(ms * 1000, seen);
	(void)json_object_set_new(
	    j, "instance", json_stringn(name.p != NULL ? name.p : "", name.n));
	copy(j, "host", ack, json_string(""));
	copy(j, "epoch", ack, json_string(""));
	copy(j, "number", ack, json_integer(0));
	copy(j, "hash", ack, json_string(""));
	copy(j, "generation", ack, json_integer(0));
	copy(j, "refused", ack, json_integer(0));
	copy(j, "overrides", ack, json_integer(0));
	copy(j, "errors", ack, json_array());
	copy(j, "state", ack, json_string("silent"));
	(void)json_object_set_new(j, "in_sync", json_boolean(is_in_sync(v, ack)));
	(void)json_object_set_new(j, "seen", json_string(seen));
	return j;
}

/* Of what anybody may have written there. */
static json_t *
read_ack(const struct reply *r)
{
	struct str text = reply_str(r);
	json_t *j = text.n > 0 ? json_loadb(text.p, text.n, 0, NULL) : NULL;

	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

json_t *
rollout_body(const struct version *v, const struct reply *instances, const struct reply *acks)
{
	json_t *j = json_object(), *list = json_array();
	json_int_t in_sync = 0;
	char hash[65] = "";

	for (size_t i = 0; reply_at(instances, 2 * i + 1) != NULL; i++) {
		json_t *ack = read_ack(reply_at(acks, i)), *one;
		uint64_t ms = 0;

		(void)!reply_u64(reply_at(instances, 2 * i + 1), &ms);
		one = instance_of(v, reply_str(reply_at(instances, 2 * i)), ms, ack);
		in_sync += json_is_true(json_object_get(one, "in_sync"));
		(void)json_array_append_new(list, one);
		json_decref(ack);
	}
	if (v != NULL)
		enc_hex(v->hash, sizeof(v->hash), hash);
	(void)json_object_set_new(j, "epoch", json_string(v != NULL ? v->epoch : ""));
	(void)json_object_set_new(j, "number", json_integer(v ? (json_int_t)v->number : 0));
	(void)json_object_set_new(j, "hash", json_string(hash));
	(void)json_object_set_new(j, "in_sync", json_integer(in_sync));
	(void)json_object_set_new(j, "of", json_integer((json_int_t)json_array_size(list)));
	(void)json_object_set_new(j, "instances", list);
	return j;
}

/* --- asking ----------------------------------------------------------------------------------- */

static void
finish(struct rollout *r)
{
	reply_free(&r->instances);
	free(r);
}

/* 1 there is something to go on with; else it is answered. */
static int
usable(struct rollout *r, const struct reply *reply)
{
	if (reply != NULL && reply->type != REPLY_ERROR)
		return 1;
	answer_problem(&r->to, 503, "Redis %s%.300s",
	    reply == NULL ? "is away: the connection is being made anew" : "says: ",
	    reply == NULL ? "" : reply->str.p);
	finish(r);
	return 0;
}

static void
on_acks(void *arg, const struct reply *reply)
{
	struct rollout *r = arg;

	if (usable(r, reply) == 0)
		return;
	answer_json(&r->to, 200, rollout_body(r->there ? &r->v : NULL, r->instances, reply));
	finish(r);
}

/* A copy of strings: the reply goes when the callback returns. */
static struct reply *
copy_strings(const struct reply *r)
{
	struct reply *c = xcalloc(1, sizeof(*c));

	c->type = REPLY_ARRAY;
	c->n = MIN(r->n, (size_t)2 * ROLLOUT_INSTANCES);
	c->v = xcalloc(c->n + 1, sizeof(struct reply *));
	for (size_t i = 0; i < c->n; i++) {
		struct str s = reply_str(r->v[i]);

		c->v[i] = xcalloc(1, sizeof(struct reply) + s.n + 1);
		c->v[i]->str = str_n((char *)(c->v[i] + 1), s.n);
		if (s.n > 0)
			memcpy((char *)(c->v[i] + 1), s.p, s.n);
	}
	return c;
}

static void
ask_acks(struct rollout *r)
{
	struct command c = {.n = 0};
	size_t n = r->instances->n / 2;
	struct str *words = xcalloc(n + 1, sizeof(*words));
	struct gbuf names = {0};
	size_t *at = xcalloc(n + 1, sizeof(*at));

	words[0] = STR("MGET");
	for (size_t i = 0; i < n; i++) {
		at[i] = names.n;
		gbuf_str(&names, r->k->ack_prefix);
		gbuf_str(&names, reply_str(r->instances->v[2 * i]));
	}
	at[n] = names.n;
	for (size_t i = 0; i < n; i++)
		words[i + 1] = str_n(names.p + at[i], at[i + 1] - at[i]);
	command_put(&c, words, n + 1);
	conn_send(r->c, &c, on_acks, r);
	command_free(&c);
	gbuf_free(&names);
	free(words);
	free(at);
}

static void
on_instances(void *arg, const struct reply *reply)
{
	struct rollout *r = arg;

	if (usable(r, reply) == 0)
		return;
	if (reply_is_array(reply, 2)) {
		r->instances = copy_strings(reply);
		ask_acks(r);
		return;
	}
	answer_json(&r->to, 200, rollout_body(r->there ? &r->v : NULL, NULL, NULL));
	finish(r);
}

static void
on_version(void *arg, const struct reply *reply)
{
	struct rollout *r = arg;
	struct command cmd = {.n = 0};
	const char *error = "";

	if (usable(r, reply) == 0)
		return;
	r->there = version_read(reply, &r->v, &error) == 1;
	COMMAND(&cmd, STR("ZRANGE"), r->k->instances, STR("0"), STR("-1"), STR("WITHSCORES"));
	conn_send(r->c, &cmd, on_instances, r);
	command_free(&cmd);
}

/* No transaction: EXEC would end the WATCH of somebody who publishes over this connection. */
void
rollout_ask(struct conn *c, const struct keys *k, const struct answer *to)
{
	struct rollout *r = xcalloc(1, sizeof(*r));
	struct command cmd = {.n = 0};

	*r = (struct rollout){.c = c, .k = k, .to = *to};
	version_ask(&cmd, k);
	conn_send(c, &cmd, on_version, r);
	command_free(&cmd);
}

/* --- reload ----------------------------------------------------------------------------------- */

static void
on_nothing(void *arg UNUSED, const struct reply *r UNUSED)
{
}

static void
on_counted(void *arg, const struct reply *reply)
{
	struct rollout *r = arg;
	struct command cmd = {.n = 0};

	if (usable(r, reply) == 0)
		return;
	COMMAND(&cmd, STR("PUBLISH"), r->k->bell, STR("{\"reload\":true}"));
	conn_send(r->c, &cmd, on_nothing, NULL);
	command_free(&cmd);
	answer_json(&r->to, 200, json_pack("{s:I}", "reload", (json_int_t)reply->integer));
	finish(r);
}

void
rollout_reload(struct conn *c, const struct keys *k, const struct answer *to)
{
	struct rollout *r = xcalloc(1, sizeof(*r));
	struct command cmd = {.n = 0};

	*r = (struct rollout){.c = c, .k = k, .to = *to};
	COMMAND(&cmd, STR("HINCRBY"), k->version, STR("reload"), STR("1"));
	conn_send(c, &cmd, on_counted, r);
	command_free(&cmd);
}
