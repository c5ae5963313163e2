/* SPDX-License-Identifier: Apache-2.0
 *
 * A turn: what is queued is read and goes into the journal with one wait for the disk, then each
 * document through the map, then what is to be remembered of them is folded with another wait, then
 * they are answered. A document that needs the master keeps those behind it waiting. While the
 * master's own change set holds the map's transaction no turn begins.
 */
#include "conf/history.h"
#include "conf/keeper_priv.h"
#include "conf/stop.h"
#include "shm/base/buf.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

#define RETRY_MS        1000
#define ROOM_LEFT       (64u << 10)
#define REPLAY_ATTEMPTS 2

/* --- folding --------------------------------------------------------------------------------- */

/* History gives way before what is in force does: once more without old generations, and without
 * the changes of the new ones. */
static int
fold_lean(struct keeper *k, const char **error_r)
{
	history_lean(&k->remember);
	history_trim(k->state, &k->remember, 1);
	if (remember_commit(&k->remember, k->state, error_r) < 0)
		return -1;
	log_warn("state: full; history was given up for what is in force");
	return 1;
}

/* Also for the redis process, which is not asked. */
static void
tell_overrides(const struct keeper *k)
{
	struct procs *p = beat_procs(k->beat);

	if (p != NULL)
		atomic_store_explicit(
		    &p->overrides, override_count(k->overrides), memory_order_relaxed);
}

int
keeper_fold(struct keeper *k)
{
	const char *error = "";

	tell_overrides(k);
	if (k->state == NULL)
		remember_drop(&k->remember);
	if (k->remember.n == 0)
		return 1;
	if (!k->folding_failed)
		history_trim(k->state, &k->remember, k->history);
	stop_here("before_fold");
	if (remember_commit(&k->remember, k->state, &error) == 1 ||
	    (!k->folding_failed && fold_lean(k, &error) == 1)) {
		if (k->folding_failed)
			log_info("state: written to again");
		k->folding_failed = false;
		stop_here("after_fold");
		return 1;
	}
	if (!k->folding_failed)
		log_error("state: cannot be written to: %s; what was changed is in force, no "
			  "change is taken until this is over",
		    error);
	k->folding_failed = true;
	timer_set(loop_timers(k->loop), &k->retry, clock_ms() + RETRY_MS);
	return -1;
}

static void
retry(struct timer *t)
{
	keeper_turn_soon(container_of(t, struct keeper, retry));
}

/* --- the journal ----------------------------------------------------------------------------- */

static int
journal_put(struct keeper *k, struct state_txn *t, struct job *j, const char **error_r)
{
	char key[REMEMBER_KEY], now[25];
	struct gbuf text = {0};
	int ok;

	clock_rfc3339(clock_wall_us(), now);
	gbuf_printf(&text, "{\"schema\":%d,\"source\":\"%.*s\",\"ask\":%u,\"time\":\"%s\",",
	    REMEMBER_SCHEMA, STR_ARG(j->source), j->id, now);
	gbuf_str(&text, STR("\"document\":"));
	gbuf_str(&text, j->text);
	gbuf_str(&text, STR("}"));
	j->seq = ++k->seq;
	if ((uint32_t)j->seq == 0) /* it is the master's cookie */
		j->seq = ++k->seq;
	ok = state_put(
	    t, STATE_JOURNAL, remember_key_number(key, j->seq), str_n(text.p, text.n), error_r);
	gbuf_free(&text);
	return ok;
}

static bool
journalled(const struct job *j)
{
	return j->status == 0 && j->seq == 0 && !j->d.dry_run;
}

static int
journal_try(struct keeper *k, struct list *from, struct list *to, const char **error_r)
{
	struct state_txn *t;

	if (state_begin(k->state, &t, error_r) < 0)
		return -1;
	for (struct list *n = from; n != to; n = n->next) {
		struct job *j = container_of(n, struct job, node);

		if (journalled(j) && journal_put(k, t, j, error_r) < 0) {
			state_abort(&t);
			return -1;
		}
	}
	return state_commit(&t, error_r);
}

/* In none of the attempts that failed was anything written. */
static void
journal_undo(struct list *from, struct list *to)
{
	for (struct list *n = from; n != to; n = n->next) {
		struct job *j = container_of(n, struct job, node);

		if (!j->replay)
			j->seq = 0;
	}
}

/* What it will take in the state at most: journal, record, history. Deletions are always let in. */
static uint64_t
need_of(const struct job *j)
{
	bool only = j->d.rollback == 0;

	for (uint32_t i = 0; i < j->d.n; i++)
		only &= j->d.v[i].op == DOC_DELETE;
	return only ? 0 : 3 * (uint64_t)j->text.n + ROOM_LEFT;
}

/* Old history goes where there is too little room. */
static bool
make_room(struct keeper *k, uint64_t need)
{
	struct state_fill fill;
	const char *error;

	for (;;) {
		state_fill(k->state, &fill);
		if (need == 0 || fill.used_bytes + need <= fill.map_bytes)
			return true;
		if (fill.count[STATE_HISTORY] <= 1)
			return false;
		history_trim(k->state, &k->remember, fill.count[STATE_HISTORY] / 2);
		if (remember_commit(&k->remember, k->state, &error) < 0)
			return false;
		log_info("state: little room; older history was given up");
	}
}

static void
journal_alone(struct keeper *k, struct job *j)
{
	const char *error = "it is full; raise limits.state_size, or delete what is not needed";

	if (!journalled(j))
		return;
	if (make_room(k, need_of(j)) && journal_try(k, &j->node, j->node.next, &error) == 1)
		return;
	j->seq = 0;
	job_refuse(j, 507, "the state cannot take the document: %s; nothing was changed", error);
}

/* What does not fit together may do so one by one. */
static void
journal(struct keeper *k)
{
	const char *error;
	uint64_t need = 0;
	bool any = false;

	list_each (n, &k->batch) {
		const struct job *j = container_of(n, struct job, node);

		if (!journalled(j))
			continue;
		any = true;
		need += need_of(j);
	}
	if (!any)
		return;
	if (!make_room(k, need) || journal_try(k, k->batch.next, &k->batch, &error) < 0) {
		journal_undo(k->batch.next, &k->batch);
		list_each (n, &k->batch)
			journal_alone(k, container_of(n, struct job, node));
	}
	stop_here("after_journal");
}

/* Applied again after a keeper died: how often it was tried is on disk before it is. */
static void
replay_mark(struct keeper *k, struct job *j)
{
	json_t *mark = remember_get(k->state, STATE_META, STR("replay"));
	uint64_t attempts = json_u64(mark, "sequence") == j->seq ? json_u64(mark, "attempts") : 0;

	json_decref(mark);
	if (attempts >= REPLAY_ATTEMPTS) {
		job_refuse(j, 422, "%llu keepers died of it; it is set aside: %.*s",
		    (unsigned long long)attempts, (int)MIN(j->text.n, (size_t)300), j->text.p);
		return;
	}
	mark = json_object();
	(void)json_object_set_new(mark, "sequence", json_integer((json_int_t)j->seq));
	(void)json_object_set_new(mark, "attempts", json_integer((json_int_t)attempts + 1));
	remember_json(&k->remember, STATE_META, STR("replay"), mark);
	json_decref(mark);
	(void)!keeper_fold(k);
}

/* --- a batch --------------------------------------------------------------------------------- */

static void
job_start(struct keeper *k, struct job *j)
{
	if (j->replay)
		replay_mark(k, j);
	if (j->status == 0)
		job_read(j);
	if (j->status != 0)
		return;
	if (k->state == NULL)
		job_refuse(j, 503, "there is no state to keep it in: %s",
		    k->state_error != NULL ? k->state_error : "");
	else if (k->folding_failed && !j->d.dry_run)
		job_refuse(j, 507, "the state cannot be written to; nothing was changed");
}

static void
take(struct keeper *k)
{
	size_t octets = 0;
	struct list *n;

	for (unsigned i = 0; i < BATCH_DOCUMENTS && octets < BATCH_OCTETS; i++) {
		struct job *j;

		n = list_first(&k->queue);
		if (n == NULL)
			break;
		j = container_of(n, struct job, node);
		if (j->replay && i > 0)
			break;
		list_del(n);
		list_push(&k->batch, n);
		if (!j->replay) {
			k->queued--;
			k->queued_octets -= j->text.n;
		}
		octets += j->text.n;
		job_start(k, j);
		if (j->replay)
			break;
	}
}

static void
job_done(struct keeper *k, struct job *j)
{
	char key[REMEMBER_KEY];

	j->generation = k->store.meta.generation;
	if (j->seq != 0)
		remember_del(&k->remember, STATE_JOURNAL, remember_key_number(key, j->seq));
	if (j->replay)
		remember_del(&k->remember, STATE_META, STR("replay"));
	list_del(&j->node);
	list_push(&k->done, &j->node);
}

static void
settle(struct keeper *k)
{
	struct list *n;

	keeper_ring_late(k);
	if (list_empty(&k->done) && k->remember.n == 0)
		return;
	keeper_endpoints_settle(k);
	(void)!keeper_fold(k);
	if (!list_empty(&k->done))
		stop_here("before_answer");
	while ((n = list_first(&k->done)) != NULL) {
		struct job *j = container_of(n, struct job, node);

		keeper_answer(k, j);
		job_free(&j);
	}
	keeper_expiry_start(k);
}

void
keeper_turn_go_on(struct keeper *k)
{
	struct list *n;

	while ((n = list_first(&k->batch)) != NULL) {
		struct job *j = container_of(n, struct job, node);

		if (k->leaving && j->status == 0)
			break; /* it is in the journal */
		beat_now(k->beat);
		if (j->status == 0 && job_run(k, j) == 0) {
			if (j->replay) /* what happens now is not its doing */
				remember_del(&k->remember, STATE_META, STR("replay"));
			keeper_submit(k, j);
			break;
		}
		job_done(k, j);
		if (!list_empty(&k->batch))
			stop_here("after_document");
	}
	settle(k);
	keeper_turn_soon(k);
}

/* --- the turn -------------------------------------------------------------------------------- */

static bool
replaying(const struct keeper *k)
{
	struct list *n = list_first(&k->queue);

	return n != NULL && container_of(n, struct job, node)->replay;
}

static void
turn(struct defer *d)
{
	struct keeper *k = container_of(d, struct keeper, turn);

	(void)!keeper_fold(k);
	if (k->leaving || !k->begun || k->pending != NULL || k->submitted != NULL)
		return;
	if (!replaying(k) && !k->greeted) {
		keeper_compare(k);
		keeper_hello(k);
	}
	take(k);
	if (list_empty(&k->batch)) {
		settle(k);
		return;
	}
	journal(k);
	keeper_turn_go_on(k);
}

void
keeper_turn_soon(struct keeper *k)
{
	if (!list_empty(&k->queue) || k->remember.n > 0 || !k->greeted)
		loop_defer(k->loop, &k->turn);
}

void
keeper_turn_start(struct keeper *k)
{
	list_init(&k->queue);
	list_init(&k->batch);
	list_init(&k->done);
	defer_init(&k->turn, turn);
	timer_init(&k->retry, retry);
}
