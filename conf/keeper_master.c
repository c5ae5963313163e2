/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's side of the master's reload machine: APPLY -> compile -> PREPARE; COMMIT -> commit,
 * publish, ring -> APPLIED; ABORT -> as if nothing had been. What is applied is a change set of the
 * files, or a document of the keeper's own that changes listening sockets (SUBMIT).
 */
#include <unistd.h>

#include "conf/history.h"
#include "conf/keeper_priv.h"
#include "shm/base/heap.h"
#include "shm/base/log.h"

static void
send_master(struct keeper *k)
{
	if (keeper_send(k->h->chan, &k->out) == 1)
		return;
	log_error("keeper: the master does not listen; leaving");
	keeper_leave(k, 1);
}

/* --- answers --------------------------------------------------------------------------------- */

static void
send_applied(
    struct keeper *k, uint32_t id, bool ok, uint32_t changed, const struct conf_check *report)
{
	int fd = check_fd(report);

	msg_begin(&k->out, MSG_APPLIED, id);
	msg_put_u32(&k->out, ok);
	msg_put_u64(&k->out, k->begun ? k->store.meta.generation : 0);
	msg_put_u32(&k->out, changed);
	if (fd >= 0)
		msg_put_fd(&k->out, fd);
	send_master(k);
	if (fd >= 0)
		(void)close(fd);
}

static void
refuse(struct keeper *k, uint32_t id, const char *why)
{
	struct conf_place at = {.path = STR("map")};
	struct conf_check report;

	check_init(&report);
	check_error_at(&report, &at, "%s", why);
	send_applied(k, id, false, 0, &report);
	check_free(&report);
}

/* Closed once it is sent. */
static void
send_prepare(struct keeper *k, int objects)
{
	unsigned n;
	const struct apply_listener *l = apply_listeners(k->pending, &n);
	char text[160];

	msg_begin(&k->out, MSG_PREPARE, k->txn);
	msg_put_u32(&k->out, n);
	for (unsigned i = 0; i < n; i++) {
		msg_put_u32(&k->out, l[i].number);
		msg_put_str(&k->out, str_of(l[i].id));
		msg_put_str(&k->out, str_n(text, addr_text(&l[i].addr, text, sizeof(text))));
		msg_put_u32(&k->out, l[i].backlog);
		msg_put_u32(&k->out, 0);
		msg_put_str(&k->out, str_of(l[i].place));
	}
	if (objects >= 0)
		msg_put_fd(&k->out, objects);
	k->prepared = true;
	send_master(k);
	if (objects >= 0)
		(void)close(objects);
}

/* --- a transaction --------------------------------------------------------------------------- */

static void
pending_over(struct keeper *k)
{
	ws_free(&k->pending_ws);
	k->in = (struct apply_input){.changeset_fd = -1};
	k->pending_job = NULL;
	keeper_turn_soon(k);
}

/* The order of objects in a change set says nothing. */
static struct digest
files_digest(int fd)
{
	struct digest sum = {.b = {0}};
	struct conf_object o;
	struct changeset set;
	enum change_op op;
	const char *error;

	if (changeset_open(fd, &set, &error) < 0)
		return sum;
	set.known = true; /* or the compilation refuses it */
	while (changeset_next(&set, &op, &o) == 1)
		for (size_t i = 0; i < sizeof(sum.b); i++)
			sum.b[i] ^= o.digest.b[i];
	changeset_close(&set);
	return sum;
}

static void
note_digest(struct keeper *k, struct remember *r)
{
	char hex[33];
	json_t *j = json_object();

	digest_hex(&k->files, hex);
	(void)json_object_set_new(j, "schema", json_integer(REMEMBER_SCHEMA));
	(void)json_object_set_new(j, "digest", json_string(hex));
	remember_json(r, STATE_META, STR("files"), j);
	json_decref(j);
}

/* A start with the files as they were before changes nothing, and can be gone back behind. */
static json_t *
start_changes(struct keeper *k)
{
	json_t *before = remember_get(k->state, STATE_META, STR("files"));
	char hex[33];
	bool same;

	digest_hex(&k->files, hex);
	same = k->start_whole && str_eq(json_str(before, "digest"), str_of(hex));
	json_decref(before);
	return same ? json_array() : NULL;
}

/* Of the files: what the state shall remember is the history of it. */
static void
note_files(struct keeper *k, struct remember *r)
{
	json_t *changes = NULL;
	struct history_head h = {.generation = apply_generation(k->pending),
	    .source = STR("file"),
	    .author = str_of(k->author),
	    .comment = k->begun ? STR("") : STR("start"),
	    .changed = apply_changed(k->pending)};

	if (k->state == NULL || h.changed == 0)
		return;
	if (!k->begun)
		changes = start_changes(k);
	else if (!k->folding_failed) /* what cannot be written down does not pile up */
		changes = history_changes(k->pending, NULL);
	history_note(r, &h, changes);
	note_digest(k, r);
}

static int
commit_files(struct keeper *k, struct conf_check *report)
{
	struct remember ahead = {.n = 0};
	uint32_t changed = apply_changed(k->pending);

	note_files(k, &ahead);
	if (apply_commit(&k->pending, report) < 0) {
		remember_drop(&ahead);
		override_abort(k->overrides);
		return -1;
	}
	remember_cat(&k->remember, &ahead);
	override_commit(k->overrides, &k->remember);
	k->begun = true;
	if (changed == 0)
		return 1;
	keeper_committed(k);
	keeper_ring_late(k);
	log_info("generation %llu: %u objects changed",
	    (unsigned long long)k->store.meta.generation, changed);
	return 1;
}

static void
finish_files(struct keeper *k)
{
	struct conf_check report;
	uint32_t changed = apply_changed(k->pending);
	bool large = apply_looked_at(k->pending) >= SLIM_OBJECTS;
	int ok;

	check_init(&report);
	ok = commit_files(k, &report);
	if (ok == 1)
		keeper_slim(k, changed);
	send_applied(k, k->txn, ok == 1, changed, &report);
	check_free(&report);
	pending_over(k);
	if (large)
		heap_settle();
	if (ok < 0) {
		/* The environment may be beyond use: a new process opens it anew. */
		log_error("keeper: a commit failed; leaving, to start afresh");
		keeper_leave(k, 1);
	}
}

/* The submitted document is through, one way or the other. */
static void
job_over(struct keeper *k, struct job *j)
{
	k->submitted = NULL;
	job_end(k, j);
	send_applied(k, k->txn, j->status < 400, j->changed, &j->check);
	pending_over(k);
	keeper_turn_go_on(k);
}

static void
finish(struct keeper *k)
{
	struct job *j = k->pending_job;

	if (j == NULL) {
		finish_files(k);
		return;
	}
	job_commit(k, j, &k->pending);
	keeper_ring_late(k);
	job_over(k, j);
}

static void
forget_pending(struct keeper *k)
{
	apply_abort(&k->pending);
	override_abort(k->overrides);
}

/* It cannot be: as if the master had given it up. */
static void
give_up(struct keeper *k, const char *why)
{
	struct job *j = k->pending_job;

	forget_pending(k);
	if (j != NULL) {
		job_refuse(j, 422, "%s", why);
		job_over(k, j);
		return;
	}
	refuse(k, k->txn, why);
	pending_over(k);
}

static void
prepare_sealed(struct keeper *k)
{
	const char *error = "";
	int objects = apply_wants_fd(k->pending, &error);
	char why[300];

	if (objects >= 0) {
		send_prepare(k, objects);
		return;
	}
	snprintf(why, sizeof(why), "what names keys and certificates cannot be sent: %s", error);
	give_up(k, why);
}

static void
on_compiled(struct keeper *k, bool check_only, const struct conf_check *report)
{
	if (check_only) {
		uint32_t changed = apply_changed(k->pending);

		forget_pending(k);
		send_applied(k, k->txn, true, changed, report);
		pending_over(k);
		return;
	}
	/* With nothing to do there is nothing to prepare, unless the predecessor died between the
	 * master's preparations and telling it the outcome, or files are to be read again. */
	if (apply_wants(k->pending))
		prepare_sealed(k);
	else if (apply_changed(k->pending) == 0 && k->prepared)
		finish(k);
	else
		send_prepare(k, -1);
}

/* --- the master's messages ------------------------------------------------------------------- */

static void
apply_files(struct keeper *k, int fd, bool check_only)
{
	struct conf_check report;

	check_init(&report);
	if (!k->begun) /* all of it is new */
		heap_ahead(changeset_cost(fd));
	k->in = (struct apply_input){.changeset_fd = fd,
	    .deletions_max = UINT64_MAX,
	    .capture = k->begun && k->state != NULL,
	    .override = override_says,
	    .arg = k->overrides};
	k->files = files_digest(fd);
	if (!k->begun)
		keeper_start_ops(k, fd);
	k->pending = apply_compile(&k->store, &k->in, &report);
	if (!k->begun)
		keeper_start_outcomes(k, &report);
	if (k->pending != NULL) {
		on_compiled(k, check_only, &report);
	} else {
		override_abort(k->overrides);
		send_applied(k, k->txn, false, 0, &report);
		pending_over(k);
	}
	check_free(&report);
}

/* Things may have changed since it was submitted: it is looked at anew. */
static void
apply_job(struct keeper *k, uint32_t cookie)
{
	struct job *j = k->submitted;

	if (j == NULL || (uint32_t)j->seq != cookie) {
		refuse(k, k->txn, "there is no such document");
		return;
	}
	if (job_prepare(k, j) == 1)
		k->pending = job_compile(k, j);
	if (k->pending == NULL) {
		job_over(k, j);
		return;
	}
	k->pending_job = j;
	on_compiled(k, false, &j->check);
}

static void
on_apply(struct keeper *k, struct msg *m)
{
	bool check_only = msg_u32(m) != 0;
	uint32_t cookie = msg_u32(m);
	struct str author = msg_str(m);
	int fd = m->fd_at < m->n_fds ? msg_fd(m) : -1;

	k->txn = m->id;
	snprintf(k->author, sizeof(k->author), "%.*s", (int)MIN(author.n, sizeof(k->author) - 1),
	    author.p != NULL ? author.p : "");
	if (k->pending != NULL) {
		log_warn("keeper: a change set waited for its verdict when the next came");
		forget_pending(k);
		pending_over(k);
	}
	log_debug("keeper: change set %u by %s", m->id, k->author);
	if (cookie != 0)
		apply_job(k, cookie);
	else if (fd < 0)
		refuse(k, m->id, "the change set is missing");
	else
		apply_files(k, fd, check_only);
	if (fd >= 0)
		(void)close(fd);
}

static void
on_commit(struct keeper *k, struct msg *m)
{
	if (k->pending != NULL && m->id == k->txn)
		finish(k);
	else
		refuse(k, m->id, "there is no such change set to commit");
}

static void
on_abort(struct keeper *k, struct msg *m)
{
	struct str reason = msg_str(m);
	char why[300];

	if (k->pending == NULL || m->id != k->txn)
		return;
	snprintf(why, sizeof(why), "given up: %.*s", (int)MIN(reason.n, (size_t)250),
	    reason.p == NULL ? "" : reason.p);
	give_up(k, why);
}

void
keeper_submit(struct keeper *k, struct job *j)
{
	k->submitted = j;
	msg_begin(&k->out, MSG_SUBMIT, 0);
	msg_put_u32(&k->out, (uint32_t)j->seq);
	send_master(k);
}

void
keeper_ask_reload(struct keeper *k)
{
	msg_begin(&k->out, MSG_RING, 0);
	send_master(k);
}

static int
master_message(struct keeper *k, struct msg *m)
{
	switch (m->type) {
	case MSG_APPLY:
		on_apply(k, m);
		break;
	case MSG_COMMIT:
		on_commit(k, m);
		break;
	case MSG_ABORT:
		on_abort(k, m);
		break;
	case MSG_LEVEL:
		log_set_level(msg_u32(m));
		break;
	default:
		log_error("keeper: unexpected message %s", msg_type_name(m->type));
		msg_drop(m);
		return -1;
	}
	return msg_end(m);
}

void
keeper_master_message(struct watch *w, uint32_t events UNUSED)
{
	struct keeper *k = container_of(w, struct keeper, chan);
	int got;

	while ((got = msg_recv(w->fd, &k->in_msg)) == 1)
		if (master_message(k, &k->in_msg) < 0) {
			got = -1;
			break;
		}
	if (got < 0) {
		log_error("keeper: the channel to the master is closed or spoilt; leaving");
		keeper_leave(k, 1);
	}
}
