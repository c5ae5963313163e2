/* SPDX-License-Identifier: Apache-2.0
 *
 * See publisher.h.
 *
 *	WATCH, version -> the fields as they are (all, where there is no version yet) -> MULTI ...
 *	EXEC -> nil: again, from WATCH on; else the bell, the answer
 */
#include "master/watcher/redis/publisher.h"

#include <stdarg.h>

#include "conf/document.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/enc.h"
#include "shm/base/num.h"
#include "shm/base/rnd.h"

#define STREAM_LENGTH "10000"
#define PAUSE_MS      20

struct job {
	struct list node;
	struct publisher *p;
	uint32_t id;
	unsigned tries;
	json_t *root, *changes; /* root owned */
	char **fields;          /* of the changes, in order */
	char **values;          /* what is written; NULL: deleted */
	size_t n;
	bool fresh; /* there is no version */
	struct version v;
	char *text; /* of the stream's document */
};

static void begin(struct job *j);

/* --- the end ---------------------------------------------------------------------------------- */

static void
free_texts(struct job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		free(j->fields[i]);
		free(j->values[i]);
	}
	free(j->fields);
	free(j->values);
	free(j->text);
}

static void
end(struct job *j, uint32_t status, json_t *body)
{
	struct publisher *p = j->p;
	struct list *next;

	list_del(&j->node);
	p->queued--;
	p->ops->answer(p->arg, j->id, status, body);
	json_decref(j->root);
	free_texts(j);
	free(j);
	next = list_first(&p->queue);
	if (next != NULL)
		begin(container_of(next, struct job, node));
	else
		sync_hold(p->sync, false);
}

static void fail(struct job *j, uint32_t status, const char *fmt, ...) PRINTF(3, 4);

static void
fail(struct job *j, uint32_t status, const char *fmt, ...)
{
	char text[500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	end(j, status,
	    json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title",
		status == 503 ? "Service Unavailable" : "Conflict", "status", (int)status, "detail",
		text));
}

/* 1 an answer to go on with; else the job is over. */
static int
usable(struct job *j, const struct reply *r)
{
	if (r != NULL && r->type != REPLY_ERROR)
		return 1;
	if (r == NULL)
		fail(j, 503, "Redis is away; nothing is known to have been published");
	else
		fail(j, 503, "not published: Redis says: %.300s", r->str.p);
	return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void
on_rung(void *arg UNUSED, const struct reply *r UNUSED)
{
}

static void
ring(struct job *j)
{
	struct command c = {.n = 0};
	char text[160];

	snprintf(text, sizeof(text), "{\"epoch\":\"%s\",\"number\":%llu}", j->v.epoch,
	    (unsigned long long)j->v.number);
	COMMAND(&c, STR("PUBLISH"), j->p->keys->bell, str_of(text));
	j->p->ops->send(j->p->arg, &c, on_rung, NULL);
	command_free(&c);
}

static void
again(struct job *j)
{
	if (++j->tries >= PUBLISH_TRIES)
		fail(j, 503, "not published: %u times somebody else was faster; try again",
		    j->tries);
	else
		j->p->ops->later(j->p->arg, rnd_below(PAUSE_MS) + 1);
}

static void
on_exec(void *arg, const struct reply *r)
{
	struct job *j = arg;
	char hash[65] = "";

	if (r != NULL && r->type == REPLY_NIL) {
		again(j);
		return;
	}
	if (usable(j, r) == 0)
		return;
	for (size_t i = 0; i < r->n; i++)
		if (reply_is_error(reply_at(r, i))) {
			fail(j, 503, "published in part: Redis says: %.300s", r->v[i]->str.p);
			return;
		}
	ring(j);
	enc_hex(j->v.hash, sizeof(j->v.hash), hash);
	end(j, 200,
	    json_pack("{s:s, s:I, s:s, s:I}", "epoch", j->v.epoch, "number",
		(json_int_t)j->v.number, "hash", hash, "published", (json_int_t)j->n));
}

static void
put_changes(struct job *j, struct command *c)
{
	for (size_t i = 0; i < j->n; i++) {
		struct str field = str_of(j->fields[i]);

		if (j->values[i] != NULL)
			COMMAND(c, STR("HSET"), j->p->keys->objects, field, str_of(j->values[i]));
		else
			COMMAND(c, STR("HDEL"), j->p->keys->objects, field);
	}
}

static void
put_version(struct job *j, struct command *c)
{
	const struct keys *k = j->p->keys;
	const char *author = json_string_value(json_object_get(j->root, "author"));
	struct str by = str_of(author != NULL ? author : "");
	char number[24], id[32], hash[65] = "", time[24];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)j->v.number);
	snprintf(id, sizeof(id), "%s-0", number);
	snprintf(time, sizeof(time), "%llu", (unsigned long long)clock_wall_us() / 1000);
	enc_hex(j->v.hash, sizeof(j->v.hash), hash);
	if (j->fresh)
		COMMAND(c, STR("DEL"), k->changes);
	COMMAND(c, STR("HSET"), k->version, STR("epoch"), str_of(j->v.epoch), STR("number"),
	    str_of(number), STR("hash"), str_of(hash), STR("time"), str_of(time), STR("author"),
	    by);
	COMMAND(c, STR("XADD"), k->changes, STR("MAXLEN"), STR("~"), STR(STREAM_LENGTH), str_of(id),
	    STR("epoch"), str_of(j->v.epoch), STR("number"), str_of(number), STR("hash"),
	    str_of(hash), STR("author"), by, STR("time"), str_of(time), STR("document"),
	    str_of(j->text));
}

static void
flip(struct job *j, struct str field, struct str value)
{
	const struct str parts[] = {field, str_n("", 1), value};
	uint8_t digest[HASH_SHA256];

	hash_sha256(parts, ARRAY_LEN(parts), digest);
	for (unsigned i = 0; i < HASH_SHA256; i++)
		j->v.hash[i] ^= digest[i];
}

static void
write_all(struct job *j)
{
	struct command c = {.n = 0};

	for (size_t i = 0; i < j->n; i++)
		if (j->values[i] != NULL)
			flip(j, str_of(j->fields[i]), str_of(j->values[i]));
	j->v.number++;
	COMMAND(&c, STR("MULTI"));
	put_changes(j, &c);
	put_version(j, &c);
	COMMAND(&c, STR("EXEC"));
	j->p->ops->send(j->p->arg, &c, on_exec, j);
	command_free(&c);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void
on_fields(void *arg, const struct reply *r)
{
	struct job *j = arg;

	if (usable(j, r) == 0)
		return;
	for (size_t i = 0; i < j->n; i++)
		if (reply_at(r, i) != NULL && r->v[i]->type == REPLY_STRING)
			flip(j, str_of(j->fields[i]), r->v[i]->str);
	write_all(j);
}

static bool
is_ours(const struct job *j, struct str field)
{
	for (size_t i = 0; i < j->n; i++)
		if (str_eq(field, str_of(j->fields[i])))
			return true;
	return false;
}

/* Objects without a version: what stands there counts from now on. */
static void
on_all(void *arg, const struct reply *r)
{
	struct job *j = arg;

	if (usable(j, r) == 0)
		return;
	for (size_t i = 0; reply_is_array(r, i + 2); i += 2)
		if (!is_ours(j, reply_str(r->v[i])))
			flip(j, reply_str(r->v[i]), reply_str(r->v[i + 1]));
	write_all(j);
}

static void
new_epoch(struct job *j)
{
	uint8_t octets[16];

	rnd_bytes(octets, sizeof(octets));
	enc_hex(octets, sizeof(octets), j->v.epoch);
	j->v.epoch[2 * sizeof(octets)] = '\0';
}

static void
ask_fields(struct job *j)
{
	struct command c = {.n = 0};
	struct str *words;

	if (j->fresh) {
		COMMAND(&c, STR("HGETALL"), j->p->keys->objects);
		j->p->ops->send(j->p->arg, &c, on_all, j);
		command_free(&c);
		return;
	}
	words = xcalloc(j->n + 2, sizeof(*words));
	words[0] = STR("HMGET");
	words[1] = j->p->keys->objects;
	for (size_t i = 0; i < j->n; i++)
		words[i + 2] = str_of(j->fields[i]);
	command_put(&c, words, j->n + 2);
	free(words);
	j->p->ops->send(j->p->arg, &c, on_fields, j);
	command_free(&c);
}

static void
on_version(void *arg, const struct reply *r)
{
	struct job *j = arg;
	const struct sync *s = j->p->sync;
	const char *error = "";
	int rc;

	if (usable(j, r) == 0)
		return;
	rc = version_read(r, &j->v, &error);
	if (rc < 0) {
		fail(j, 409, "not published: the console cannot be understood: %s", error);
		return;
	}
	j->fresh = rc == 0;
	if (j->fresh && s->at.known && strspn(s->at.hash, "0") != 64) {
		fail(j, 409,
		    "not published: Redis has lost the console's objects; they are to be published "
		    "as a whole first");
		return;
	}
	if (j->fresh)
		new_epoch(j);
	ask_fields(j);
}

static void
begin(struct job *j)
{
	struct command c = {.n = 0};

	sync_hold(j->p->sync, true);
	COMMAND(&c, STR("WATCH"), j->p->keys->version);
	version_ask(&c, j->p->keys);
	j->p->ops->send(j->p->arg, &c, on_version, j);
	command_free(&c);
}

/* --- documents -------------------------------------------------------------------------------- */

/* A span would begin anew each time somebody reads it. */
static void
fix_expires(json_t *value)
{
	const char *span = json_string_value(json_object_get(value, "expires")), *error;
	char at[25];
	uint64_t ms;

	if (span == NULL || num_duration(str_of(span), &ms, &error) < 0)
		return;
	clock_rfc3339(clock_wall_us() + ms * 1000, at);
	(void)json_object_set_new(value, "expires", json_string(at));
}

/* 1; -1 it is no put or delete of something. */
static int
take_change(struct job *j, size_t i, json_t *change)
{
	const char *op = json_string_value(json_object_get(change, "op"));
	const char *kind = json_string_value(json_object_get(change, "kind"));
	const char *id = json_string_value(json_object_get(change, "id"));
	json_t *value = json_object_get(change, "value"), *stored;

	if (op == NULL || kind == NULL || id == NULL || document_kind(str_of(kind)) < 0 ||
	    asprintf(&j->fields[i], "%s/%s", kind, id) < 0)
		return -1;
	if (strcmp(op, "delete") == 0)
		return 1;
	if (strcmp(op, "put") != 0 || !json_is_object(value))
		return -1;
	if (strcmp(kind, "verdict") == 0)
		fix_expires(value);
	stored = json_pack("{s:i, s:O}", "schema", DOCUMENT_SCHEMA, "value", value);
	j->values[i] = json_dumps(stored, JSON_COMPACT);
	json_decref(stored);
	return j->values[i] != NULL ? 1 : -1;
}

static int
take_document(struct job *j, struct str text)
{
	size_t n;

	j->root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	j->changes = json_object_get(j->root, "changes");
	n = json_array_size(j->changes);
	if (n == 0 || n > DOCUMENT_CHANGES)
		return -1;
	j->fields = xcalloc(n, sizeof(*j->fields));
	j->values = xcalloc(n, sizeof(*j->values));
	j->n = n;
	for (size_t i = 0; i < n; i++)
		if (take_change(j, i, json_array_get(j->changes, i)) < 0)
			return -1;
	j->text = json_dumps(j->root, JSON_COMPACT);
	return j->text != NULL ? 1 : -1;
}

void
publisher_init(struct publisher *p, const struct publisher_ops *ops, void *arg,
    const struct keys *keys, struct sync *sync)
{
	*p = (struct publisher){.ops = ops, .arg = arg, .keys = keys, .sync = sync};
	list_init(&p->queue);
}

void
publisher_document(struct publisher *p, uint32_t id, struct str text)
{
	struct job *j = xcalloc(1, sizeof(*j));
	bool idle = list_empty(&p->queue);

	j->p = p;
	j->id = id;
	list_push(&p->queue, &j->node);
	if (++p->queued > PUBLISH_QUEUE) {
		list_del(&j->node);
		list_init(&j->node);
		p->queued--;
		p->ops->answer(p->arg, id, 503,
		    json_pack("{s:s, s:i, s:s}", "title", "Service Unavailable", "status", 503,
			"detail", "too many documents wait to be published"));
		free(j);
		return;
	}
	if (take_document(j, text) < 0) {
		list_del(&j->node);
		p->queued--;
		p->ops->answer(p->arg, id, 422,
		    json_pack("{s:s, s:i, s:s}", "title", "Unprocessable Content", "status", 422,
			"detail", "only documents of put and delete can be published"));
		json_decref(j->root);
		free_texts(j);
		free(j);
		return;
	}
	if (idle)
		begin(j);
}

void
publisher_again(struct publisher *p)
{
	struct list *first = list_first(&p->queue);

	if (first != NULL)
		begin(container_of(first, struct job, node));
}
