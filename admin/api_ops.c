/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that ask master or keeper to do something, and their answers.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <unistd.h>

#include "admin/admin_priv.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/num.h"

/* Sends a question; the session waits for the answer by its id. */
static void
ask(struct call *c, int fd, struct msg *m, const char *whom)
{
	m->id = session_wait(c->s);
	if (fd < 0 || msg_send(fd, m) != 1)
		session_problem(
		    c->s, 503, "the %s process does not take messages now; try again", whom);
}

static void
audit(struct call *c, const char *what)
{
	log_info("admin: %s by uid=%u pid=%d", what, (unsigned)c->s->peer.uid, (int)c->s->peer.pid);
}

void
api_reload(struct call *c)
{
	struct msg m;

	audit(c, "reload");
	msg_begin(&m, MSG_RELOAD, 0);
	ask(c, c->a->h->chan, &m, "master");
}

/* Text of a report memfd, at most 64 KiB of it. The caller frees. */
static char *
report_text(int fd)
{
	size_t cap = 64 * 1024;
	char *text = xcalloc(1, cap + 1);
	ssize_t n = fd >= 0 ? pread(fd, text, cap, 0) : 0;

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static json_t *
report_lines(const char *text)
{
	json_t *lines = json_array();
	struct str rest = str_of(text), line;

	while (text != NULL && str_cut(&rest, '\n', &line) == 1)
		if (line.n > 0)
			json_array_append_new(lines, json_of_str(line));
	return lines;
}

void
api_on_verdict(struct admin *a, struct msg *m)
{
	uint32_t ok = msg_u32(m);
	uint64_t generation = msg_u64(m);
	uint32_t changed = msg_u32(m);
	int fd = msg_fd(m);
	struct session *s = session_find(&a->server, m->id);
	char *text = report_text(fd);

	if (s != NULL) {
		struct call c = {.a = a, .s = s, .ws = &s->ws};

		call_json(&c, ok ? 200 : 422,
		    json_pack("{s:b, s:I, s:i, s:o}", "ok", ok, "generation",
			(json_int_t)generation, "changed", (int)changed, "report",
			report_lines(text)));
	}
	free(text);
	if (fd >= 0)
		close(fd);
}

void
api_drain(struct call *c)
{
	struct msg m;

	audit(c, "drain");
	msg_begin(&m, MSG_SHUTDOWN, 0);
	msg_put_u32(&m, 1);
	if (msg_send(c->a->h->chan, &m) != 1) {
		session_problem(
		    c->s, 503, "the master process does not take messages now; try again");
		return;
	}
	call_json(c, 202, json_pack("{s:s}", "status", "draining"));
}

void
api_level_get(struct call *c)
{
	uint32_t level = atomic_load_explicit(&c->a->procs->log_level, memory_order_relaxed);

	call_json(c, 200,
	    json_pack("{s:s}", "level", level <= LOG_DEBUG_L ? log_level_names[level] : "unknown"));
}

static int
level_of(const char *word)
{
	for (int i = 0; word != NULL && log_level_names[i] != NULL; i++)
		if (strcmp(log_level_names[i], word) == 0)
			return i;
	return -1;
}

void
api_level_set(struct call *c)
{
	struct msg m;
	json_t *in = call_body(c);
	int level;

	if (in == NULL)
		return;
	level = level_of(json_string_value(json_object_get(in, "level")));
	json_decref(in);
	if (level < 0) {
		session_problem(c->s, 400, "level: one of error, warn, info, debug");
		return;
	}
	audit(c, "log level");
	msg_begin(&m, MSG_LEVEL, 0);
	msg_put_u32(&m, (uint32_t)level);
	if (msg_send(c->a->h->chan, &m) != 1) {
		session_problem(
		    c->s, 503, "the master process does not take messages now; try again");
		return;
	}
	call_json(c, 200, json_pack("{s:s}", "level", log_level_names[level]));
}

struct endpoint_change {
	uint32_t what, value;
	uint64_t expires_us;
};

static int
verdict_of(const char *word)
{
	for (int i = 0; i < VERDICT_WEIGHT; i++)
		if (strcmp(endpoint_verdict_names[i], word) == 0)
			return i;
	return -1;
}

/* {"verdict": "down"} or {"weight": 5}, either with {"expires": "10m"}. NULL, or what is wrong. */
static const char *
change_read(json_t *in, struct endpoint_change *ch)
{
	json_t *verdict = json_object_get(in, "verdict"), *weight = json_object_get(in, "weight");
	json_t *expires = json_object_get(in, "expires");
	const char *error;
	uint64_t ms;

	if ((verdict != NULL) == (weight != NULL))
		return "give one of \"verdict\" and \"weight\"";
	if (verdict != NULL) {
		int v = json_is_string(verdict) ? verdict_of(json_string_value(verdict)) : -1;

		if (v < 0)
			return "verdict: one of up, down, drain, none";
		ch->what = (uint32_t)v;
	} else {
		if (!json_is_integer(weight) || json_integer_value(weight) < 0 ||
		    json_integer_value(weight) > 1000)
			return "weight: a whole number from 0 to 1000";
		ch->what = VERDICT_WEIGHT;
		ch->value = (uint32_t)json_integer_value(weight);
	}
	if (expires == NULL)
		return NULL;
	if (!json_is_string(expires) ||
	    num_duration(str_of(json_string_value(expires)), &ms, &error) < 0)
		return "expires: a duration such as \"10m\"";
	ch->expires_us = clock_wall_us() + ms * 1000;
	return NULL;
}

void
api_endpoint_set(struct call *c)
{
	struct endpoint_change ch = {0};
	json_t *in = call_body(c);
	struct msg m;

	if (in == NULL)
		return;
	const char *wrong = change_read(in, &ch);

	json_decref(in);
	if (wrong != NULL) {
		session_problem(c->s, 400, "%s", wrong);
		return;
	}
	audit(c, "endpoint verdict or weight");
	msg_begin(&m, MSG_ENDPOINT_SET, 0);
	msg_put_str(&m, c->arg[0]);
	msg_put_str(&m, c->arg[1]);
	msg_put_u32(&m, ch.what);
	msg_put_u32(&m, ch.value);
	msg_put_u64(&m, ch.expires_us / 1000);
	ask(c, c->a->h->line[LINE_ADMIN_KEEPER], &m, "keeper");
}

void
api_on_endpoint_done(struct admin *a, struct msg *m)
{
	uint32_t ok = msg_u32(m), matched = msg_u32(m);
	struct str error = msg_str(m);
	struct session *s = session_find(&a->server, m->id);

	if (s == NULL)
		return;
	if (!ok) {
		session_problem(s, matched == 0 ? 404 : 422, "%.*s", STR_ARG(error));
		return;
	}
	struct call c = {.a = a, .s = s, .ws = &s->ws};

	call_json(&c, 200, json_pack("{s:b, s:i}", "ok", 1, "matched", (int)matched));
}
