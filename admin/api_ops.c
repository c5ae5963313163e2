/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that ask master or keeper to do something, and their answers.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <unistd.h>

#include "admin/admin_priv.h"
#include "admin/pending.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/num.h"

/* Sends a question; the session waits for the answer by its id. */
static void
ask(struct call *c, int fd, struct msg *m, const char *whom)
{
	m->id = session_wait(c->s, NULL, NULL);
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

	if (call_flag(c, "all")) {
		audit(c, "reload of all instances");
		ask_reload_all(c);
		return;
	}
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
