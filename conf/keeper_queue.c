/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines of the keeper: admin and redis ask, documents wait in one bounded queue, answers go
 * back by the line they came from. Whose a document is, its line says.
 */
#include <malloc.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conf/keeper_priv.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"

#define LARGE_DOCUMENT (4u << 20)

static const struct {
	enum line line;
	const char *source;
} lines[KEEPER_LINES] = {
    [KEEPER_ADMIN] = {LINE_ADMIN_KEEPER, "admin"},
    [KEEPER_REDIS] = {LINE_REDIS_KEEPER, "console"},
};

/* --- jobs ------------------------------------------------------------------------------------ */

struct job *
job_new(struct keeper *k UNUSED, struct str source)
{
	struct job *j = xcalloc(1, sizeof(*j));

	list_init(&j->node);
	j->source = source;
	ws_init(&j->ws, NULL, 0);
	check_init(&j->check);
	return j;
}

void
job_free(struct job **jp)
{
	struct job *j = *jp;
	bool large;

	*jp = NULL;
	if (j == NULL)
		return;
	large = j->text.n > LARGE_DOCUMENT;
	list_del(&j->node);
	job_reset(j);
	if (j->read)
		document_free(&j->d);
	if (j->replay)
		free((char *)j->text.p);
	else
		enclosed_free(&j->enclosed);
	ws_free(&j->ws);
	check_free(&j->check);
	free(j);
	if (large)
		malloc_trim(0); /* a tree of hundreds of megabytes leaves holes, no free pages */
}

/* --- out ------------------------------------------------------------------------------------- */

/* A peer that does not read is waited for once, not for every message. */
static void
line_send(struct keeper_line *l, struct msg *m)
{
	int fd = l->k->h->line[l->line];
	int got = l->stuck ? msg_send(fd, m) : keeper_send(fd, m);

	if (got == 1) {
		l->stuck = false;
		return;
	}
	if (!l->stuck)
		log_warn("keeper: %s does not take its answers", l->source);
	l->stuck = true;
}

/* Ends the message that is being made with the body, and sends it. */
static void
send_body(struct keeper *k, struct keeper_line *l, const json_t *body)
{
	char *text = document_text(body);
	const char *error = "";
	int fd;

	if (enclosed_put(&k->out, str_of(text), &fd, &error) < 0)
		log_error("keeper: an answer cannot be handed over: %s", error);
	free(text);
	line_send(l, &k->out);
	if (fd >= 0)
		(void)close(fd);
}

void
keeper_answer(struct keeper *k, struct job *j)
{
	json_t *body;

	if (j->replay && j->status >= 400)
		log_error("keeper: a document of the journal was refused with %u: %.*s", j->status,
		    (int)MIN(j->check.text.n, (size_t)1000),
		    j->check.text.p != NULL ? j->check.text.p : "");
	if (j->from == NULL)
		return;
	body = job_body(j);
	msg_begin(&k->out, MSG_CHANGED, j->id);
	msg_put_u32(&k->out, j->status);
	msg_put_u64(&k->out, j->generation);
	msg_put_u32(&k->out, j->changed);
	msg_put_u32(&k->out, j->refused);
	send_body(k, j->from, body);
	json_decref(body);
}

void
keeper_answer_json(
    struct keeper *k, struct keeper_line *l, uint32_t id, uint32_t status, const json_t *body)
{
	msg_begin(&k->out, MSG_ANSWER, id);
	msg_put_u32(&k->out, status);
	send_body(k, l, body);
}

/* Never waited for: where nobody listens, nobody misses it. */
void
keeper_hello(struct keeper *k)
{
	json_t *position = remember_get(k->state, STATE_META, STR("console"));
	char *text = position != NULL ? document_text(position) : NULL;

	for (unsigned i = 0; i < KEEPER_LINES; i++) {
		int fd = k->h->line[lines[i].line];

		if (fd < 0)
			continue;
		msg_begin(&k->out, MSG_HELLO, 0);
		msg_put_u64(&k->out, k->store.meta.generation);
		msg_put_str(&k->out, text != NULL ? str_of(text) : STR(""));
		if (msg_send(fd, &k->out) != 1)
			log_debug("keeper: %s was not greeted", lines[i].source);
	}
	free(text);
	json_decref(position);
	k->greeted = true;
}

/* --- in -------------------------------------------------------------------------------------- */

static void
queue_add(struct keeper *k, struct job *j)
{
	k->queued++;
	k->queued_octets += j->text.n;
	list_push(&k->queue, &j->node);
	keeper_turn_soon(k);
}

static void
on_change(struct keeper_line *l, struct msg *m)
{
	struct keeper *k = l->k;
	struct job *j = job_new(k, str_of(l->source));
	const char *error = "";
	int got = enclosed_take(m, &j->enclosed, &error);

	j->from = l;
	j->id = m->id;
	j->text = j->enclosed.text;
	if (got != 1)
		job_refuse(
		    j, 400, "the document cannot be read: %s", got == 0 ? "there is none" : error);
	else if (k->queued >= QUEUE_DOCUMENTS || k->queued_octets + j->text.n > QUEUE_OCTETS)
		job_refuse(j, 503,
		    "too many documents are waiting; allowed: %u of together %zu "
		    "octets; try again",
		    QUEUE_DOCUMENTS, QUEUE_OCTETS);
	if (j->status == 0) {
		queue_add(k, j);
		return;
	}
	j->generation = k->store.meta.generation;
	keeper_answer(k, j);
	job_free(&j);
}

static int
line_message(struct keeper_line *l, struct msg *m)
{
	switch (m->type) {
	case MSG_CHANGE:
		on_change(l, m);
		return msg_end(m);
	case MSG_ASK:
		keeper_ask(l->k, l, m);
		return 1;
	default:
		break;
	}
	log_warn("keeper: unexpected message %s of %s", msg_type_name(m->type), l->source);
	msg_drop(m);
	return 1;
}

static void
on_line(struct watch *w, uint32_t events UNUSED)
{
	struct keeper_line *l = container_of(w, struct keeper_line, w);
	struct msg *m = &l->k->in_msg;
	int got;

	while ((got = msg_recv(w->fd, m)) == 1)
		if (line_message(l, m) < 0)
			log_error("keeper: malformed %s of %s", msg_type_name(m->type), l->source);
	if (got < 0) {
		log_error("keeper: the line to %s is closed or spoilt", l->source);
		loop_del(l->k->loop, w);
	}
}

struct keeper_line *
keeper_line_of(struct keeper *k, struct str source)
{
	for (unsigned i = 0; i < KEEPER_LINES; i++)
		if (str_eq(source, str_of(lines[i].source)) && k->h->line[lines[i].line] >= 0)
			return &k->line[i];
	return NULL;
}

int
keeper_lines_start(struct keeper *k)
{
	for (unsigned i = 0; i < KEEPER_LINES; i++) {
		struct keeper_line *l = &k->line[i];
		int fd = k->h->line[lines[i].line];

		l->k = k;
		l->line = lines[i].line;
		l->source = lines[i].source;
		watch_init(&l->w, on_line);
		if (fd >= 0 && loop_add(k->loop, &l->w, fd, EPOLLIN) < 0)
			return -1;
	}
	return 1;
}
