/* SPDX-License-Identifier: Apache-2.0
 *
 * See ack.h.
 */
#include "master/watcher/redis/ack.h"

#include <jansson.h>

#include "conf/stop.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/procs.h"

static json_t *
error_of(const char *field, const char *error)
{
	const char *slash = strchr(field, '/');
	json_t *e = json_object();

	(void)json_object_set_new(e, "kind",
	    json_stringn(field, slash != NULL ? (size_t)(slash - field) : strlen(field)));
	(void)json_object_set_new(e, "id", json_string(slash != NULL ? slash + 1 : ""));
	(void)json_object_set_new(e, "error", json_string(error));
	return e;
}

/* Refused objects, some of them; and what is wrong with the whole. */
static json_t *
errors_of(const struct sync *s)
{
	json_t *list = json_array();
	const char *word = sync_word(s);

	if (s->error[0] != '\0' && strcmp(word, "refused") != 0)
		(void)json_array_append_new(list, json_pack("{s:s}", "error", s->error));
	list_each (it, &s->mirror.refused) {
		const struct mirror_node *f = container_of(it, struct mirror_node, refused);
		char *field;

		if (json_array_size(list) >= ACK_ERRORS)
			break;
		field = str_z(str_n(f->field, f->len));
		(void)json_array_append_new(list, error_of(field, f->error));
		free(field);
	}
	return list;
}

static uint32_t
overrides_of(const struct ack *a)
{
	return a->procs != NULL ? atomic_load_explicit(&a->procs->overrides, memory_order_relaxed)
				: 0;
}

char *
ack_text(const struct ack *a)
{
	const struct sync *s = a->sync;
	char now[25];
	json_t *j = json_object();
	char *text;

	clock_rfc3339(clock_wall_us(), now);
	(void)json_object_set_new(
	    j, "instance", json_stringn(a->keys->instance.p, a->keys->instance.n));
	(void)json_object_set_new(j, "host", json_string(a->host));
	(void)json_object_set_new(j, "version", json_string(GW_VERSION));
	(void)json_object_set_new(j, "epoch", json_string(s->at.known ? s->at.epoch : ""));
	(void)json_object_set_new(
	    j, "number", json_integer(s->at.known ? (json_int_t)s->at.number : 0));
	(void)json_object_set_new(j, "hash", json_string(s->at.known ? s->at.hash : ""));
	(void)json_object_set_new(j, "generation", json_integer((json_int_t)s->generation));
	(void)json_object_set_new(j, "refused", json_integer((json_int_t)s->mirror.n_refused));
	(void)json_object_set_new(j, "overrides", json_integer(overrides_of(a)));
	(void)json_object_set_new(j, "errors", errors_of(s));
	(void)json_object_set_new(j, "state", json_string(sync_word(s)));
	(void)json_object_set_new(j, "time", json_string(now));
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return text;
}

static void
on_written(void *arg, const struct reply *r)
{
	struct ack *a = arg;

	if (r == NULL)
		return;
	if (!reply_is_error(r)) {
		stop_here("after_acknowledge");
		if (a->error[0] == '\0')
			return;
		a->error[0] = '\0';
		a->on_change(a, false);
		return;
	}
	a->last[0] = '\0';
	if (a->error[0] == '\0')
		log_warn(
		    "console: this instance's acknowledgement cannot be written: %.200s", r->str.p);
	snprintf(a->error, sizeof(a->error), "acknowledgement: %.200s", r->str.p);
	a->on_change(a, true);
}

static void
send_set(struct ack *a, const char *text)
{
	struct command c = {.n = 0};
	char expiry[24];

	snprintf(expiry, sizeof(expiry), "%llu", (unsigned long long)MAX(a->expiry_ms, 1));
	COMMAND(&c, STR("SET"), a->keys->ack, str_of(text), STR("PX"), str_of(expiry));
	conn_send(a->conn, &c, on_written, a);
	command_free(&c);
}

static void
send_instance(struct ack *a)
{
	struct command c = {.n = 0};
	uint64_t now = clock_wall_us() / 1000;
	char score[24], old[24];

	snprintf(score, sizeof(score), "%llu", (unsigned long long)now);
	snprintf(old, sizeof(old), "(%llu", (unsigned long long)(now - ACK_REMEMBERED_S * 1000));
	COMMAND(&c, STR("ZADD"), a->keys->instances, str_of(score), a->keys->instance);
	conn_send(a->conn, &c, on_written, a);
	command_free(&c);
	COMMAND(&c, STR("ZREMRANGEBYSCORE"), a->keys->instances, STR("-inf"), str_of(old));
	conn_send(a->conn, &c, on_written, a);
	command_free(&c);
}

void
ack_write(struct ack *a, bool always)
{
	const struct sync *s = a->sync;
	const char *word = sync_word(s);
	char now[sizeof(a->last)];
	char *text;

	/* Not looked yet. Without a version it is said as well: who is waited for must be known
	 * before the first one comes. */
	if (!s->live || (!s->seen_known && s->error[0] == '\0'))
		return;
	snprintf(now, sizeof(now), "%s %llu %s %s %zu %u %s", s->at.epoch,
	    (unsigned long long)s->at.number, s->at.hash, word, s->mirror.n_refused,
	    (unsigned)overrides_of(a), s->error);
	if (!always && (strcmp(word, "applying") == 0 || strcmp(now, a->last) == 0))
		return;
	memcpy(a->last, now, sizeof(now));
	text = ack_text(a);
	stop_here("before_acknowledge");
	if (text != NULL)
		send_set(a, text);
	free(text);
	send_instance(a);
}
