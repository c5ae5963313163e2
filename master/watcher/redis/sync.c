/* SPDX-License-Identifier: Apache-2.0
 *
 * See sync.h. Rounds, the keeper's part, and what is told about it all.
 */
#include "master/watcher/redis/sync_priv.h"

#include <jansson.h>
#include <stdarg.h>

#include "conf/stop.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/enc.h"
#include "shm/base/rnd.h"

#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 10000

static void go(struct sync *s);

void
sync_init(struct sync *s, const struct sync_ops *ops, void *arg, const struct keys *keys,
    double deletions)
{
	/* Ids begin anywhere: the line to the keeper outlives us, and what it answers to a
	 * predecessor is not ours. */
	*s = (struct sync){.ops = ops,
	    .arg = arg,
	    .keys = keys,
	    .deletions = deletions,
	    .whole = true,
	    .id = (uint32_t)rnd_u64()};
	mirror_init(&s->mirror);
	backoff_init(&s->backoff, RETRY_MIN_MS, RETRY_MAX_MS);
}

void
sync_free(struct sync *s)
{
	sync_fields_clear(s);
	free(s->fields);
	batch_free(&s->batch);
	gbuf_free(&s->text);
	mirror_clear(&s->mirror);
}

/* --- words ------------------------------------------------------------------------------------ */

void
sync_say(struct sync *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error, sizeof(s->error), fmt, ap);
	va_end(ap);
}

/* It is tried again by and by. */
void
sync_trouble(struct sync *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error, sizeof(s->error), fmt, ap);
	va_end(ap);
	sync_fields_clear(s);
	batch_free(&s->batch);
	s->troubled = true;
	s->wanted = false;
	s->ops->told(s->arg);
	s->ops->later(s->arg, backoff_failed_jitter(&s->backoff, clock_ms()));
}

static bool
same_position(const struct sync_position *a, const struct sync_position *b)
{
	if (!a->known || !b->known)
		return a->known == b->known;
	return a->number == b->number && strcmp(a->epoch, b->epoch) == 0 &&
	       strcmp(a->hash, b->hash) == 0;
}

bool
sync_hash_ok(const struct sync *s, const struct version *v)
{
	for (unsigned i = 0; i < HASH_SHA256; i++)
		if ((s->mirror.sum[i] ^ s->delta[i]) != v->hash[i])
			return false;
	return true;
}

static bool
at_seen(const struct sync *s)
{
	return s->seen_known && s->at.known && !s->whole && s->at.number == s->seen.number &&
	       strcmp(s->at.epoch, s->seen.epoch) == 0 && sync_hash_ok(s, &s->seen);
}

bool
sync_in_sync(const struct sync *s)
{
	return at_seen(s) && !s->troubled && !s->wrong && s->mirror.n_refused == 0;
}

const char *
sync_word(const struct sync *s)
{
	if (!s->seen_known)
		return "no_version";
	if (s->guarded)
		return s->deletions_guard ? "guard" : "error";
	if (s->troubled)
		return "error";
	if (!at_seen(s))
		return "applying";
	if (s->wrong)
		return "wrong_hash";
	return s->mirror.n_refused > 0 ? "refused" : "in_sync";
}

/* --- fields of the round ---------------------------------------------------------------------- */

void
sync_fields_add(void *arg, struct str field)
{
	struct sync *s = arg;

	if (s->n_fields == s->cap_fields) {
		s->cap_fields = s->cap_fields == 0 ? 64 : s->cap_fields * 2;
		s->fields = xrealloc(s->fields, s->cap_fields * sizeof(*s->fields));
	}
	s->fields[s->n_fields++] = str_z(field);
}

void
sync_fields_clear(struct sync *s)
{
	for (uint32_t i = 0; i < s->n_fields; i++)
		free(s->fields[i]);
	s->n_fields = 0;
}

/* --- rounds ----------------------------------------------------------------------------------- */

static void
go(struct sync *s)
{
	if (!s->live || s->held || !s->asked || !s->wanted || s->step != SYNC_IDLE)
		return;
	s->wanted = false;
	backoff_started(&s->backoff, clock_ms());
	sync_ask_read(s);
}

void
sync_kick(struct sync *s)
{
	s->wanted = true;
	go(s);
}

void
sync_reconcile(struct sync *s)
{
	s->reconciles++;
	s->retry = true;
	if (!s->deletions_guard)
		s->guarded = false;
	sync_kick(s);
}

void
sync_hold(struct sync *s, bool held)
{
	s->held = held;
	go(s);
}

void
sync_connected(struct sync *s, bool live)
{
	s->live = live;
	s->wanted = true;
	if (s->step != SYNC_KEEPER) {
		s->step = SYNC_IDLE;
		sync_fields_clear(s);
	}
	go(s);
}

void
sync_broken(struct sync *s, const char *why)
{
	if (s->step != SYNC_IDLE && s->step != SYNC_KEEPER)
		sync_say(s, "the console could not be read: %s", why);
	sync_connected(s, false);
}

void
sync_reply(struct sync *s, const struct reply *r)
{
	enum sync_step step = s->step;

	if (step == SYNC_IDLE || step == SYNC_KEEPER || r == NULL)
		return;
	s->step = SYNC_IDLE;
	if (reply_is_error(r))
		sync_trouble(s, "Redis says: %.*s", (int)MIN(r->str.n, (size_t)200), r->str.p);
	else if (!reply_is_array(r, 1))
		sync_trouble(s, "Redis gives no answer to a transaction");
	else if (step == SYNC_READ)
		sync_read_done(s, r);
	else if (step == SYNC_FETCH)
		sync_fetch_done(s, r);
	else
		sync_snapshot_done(s, r);
	go(s);
}

/* --- documents -------------------------------------------------------------------------------- */

void
sync_forget(struct sync *s)
{
	mirror_clear(&s->mirror);
	s->whole = true;
	s->wrong = false;
	memset(s->delta, 0, sizeof(s->delta));
}

void
sync_guard(struct sync *s, const struct version *v, bool deletions)
{
	s->guarded = true;
	s->deletions_guard = deletions;
	s->guard = *v;
	s->guards += deletions;
	s->ops->told(s->arg);
}

/* Is a deletion of any size marked, between what is in force here and what is there? */
bool
sync_may_delete(const struct sync *s, const struct version *v)
{
	if (v->allow_deletions == 0 || v->allow_deletions > v->number)
		return false;
	return !s->at.known || strcmp(s->at.epoch, v->epoch) != 0 || v->number < s->at.number ||
	       v->allow_deletions > s->at.number;
}

static void
say_refused(struct sync *s)
{
	struct list *first = list_first(&s->mirror.refused);
	const struct mirror_node *f;

	if (first == NULL)
		return;
	f = container_of(first, struct mirror_node, refused);
	sync_say(s, "%zu refused, first %.*s: %.120s", s->mirror.n_refused, (int)MIN(f->len, 80u),
	    f->field, f->error);
}

void
sync_settled(struct sync *s)
{
	s->error[0] = '\0';
	s->troubled = false;
	if (s->wrong)
		sync_say(s, "the console's content hash is not that of its objects");
	else
		say_refused(s);
	backoff_init(&s->backoff, RETRY_MIN_MS, RETRY_MAX_MS);
	s->ops->told(s->arg);
}

static void
make_text(struct sync *s, const struct version *v)
{
	char comment[96];
	struct batch_head h = {.author = str_of(s->author),
	    .epoch = str_of(s->next.epoch),
	    .number = s->next.number,
	    .hash = s->next.hash,
	    .whole = s->whole,
	    .allow_deletions = s->whole && sync_may_delete(s, v)};

	snprintf(comment, sizeof(comment),
	    s->whole ? "console: all of version %llu" : "console: version %llu",
	    (unsigned long long)s->next.number);
	h.comment = str_of(comment);
	gbuf_free(&s->text);
	batch_text(&s->batch, &h, &s->text);
}

void
sync_send(struct sync *s, const struct version *v, uint64_t number)
{
	if (s->batch.overflow) {
		batch_free(&s->batch);
		sync_forget(s);
		sync_say(s, "version %llu changes more than one document may hold",
		    (unsigned long long)v->number);
		sync_guard(s, v, false);
		return;
	}
	s->next = (struct sync_position){.known = true, .number = number};
	memcpy(s->next.epoch, v->epoch, sizeof(s->next.epoch));
	mirror_hash(&s->mirror, s->next.hash);
	if (s->batch.n == 0 && !s->whole && same_position(&s->next, &s->at)) {
		sync_settled(s);
		return;
	}
	s->next_whole = s->whole;
	make_text(s, v);
	s->step = SYNC_KEEPER;
	s->id++;
	stop_here("before_change");
	s->ops->change(s->arg, s->id, str_n(s->text.p, s->text.n));
}

static void
note_refused(void *arg, struct str field, struct str error)
{
	mirror_refuse(arg, field, error);
}

static void
taken(struct sync *s, struct str body)
{
	s->at = s->next;
	s->whole = false;
	s->guarded = false;
	s->applied_us = clock_wall_us();
	s->changes += s->batch.n;
	for (uint32_t i = 0; i < s->batch.n; i++)
		mirror_accept(&s->mirror, str_of(s->batch.v[i].field));
	batch_refused(&s->batch, body, note_refused, &s->mirror);
	/* Entries were gone through, and it is still something else: the whole is looked at. */
	if (s->seen_known && s->seen.number == s->at.number && !sync_hash_ok(s, &s->seen))
		s->wanted = true;
	sync_settled(s);
}

/* What the keeper's words are about it: "detail" of its problem document. */
static void
say_detail(struct sync *s, uint32_t status, struct str body, bool *guard_r)
{
	json_t *root = json_loadb(body.n > 0 ? body.p : "", body.n, 0, NULL);
	const char *detail = json_string_value(json_object_get(root, "detail"));

	*guard_r = status == 409 || json_is_true(json_object_get(root, "guard"));
	sync_say(s, "version %llu is refused as a whole (%u): %.160s",
	    (unsigned long long)s->next.number, status,
	    detail != NULL ? detail : "no reason given");
	json_decref(root);
}

static void
refused(struct sync *s, uint32_t status, struct str body)
{
	bool guard = false;
	char text[sizeof(s->error)];

	say_detail(s, status, body, &guard);
	sync_forget(s);
	if (status < 500) {
		sync_guard(s, &s->seen, guard && s->next_whole);
		return;
	}
	memcpy(text, s->error, sizeof(text));
	sync_trouble(s, "%s", text);
}

void
sync_changed(struct sync *s, uint32_t id, uint32_t status, uint64_t generation, struct str body)
{
	if (s->step != SYNC_KEEPER || id != s->id)
		return; /* asked twice, around a keeper's end */
	stop_here("after_change");
	s->step = SYNC_IDLE;
	s->generation = generation;
	if (status < 300)
		taken(s, body);
	else
		refused(s, status, body);
	batch_free(&s->batch);
	gbuf_free(&s->text);
	go(s);
}

/* --- the keeper's position -------------------------------------------------------------------- */

static struct sync_position
read_position(struct str text)
{
	struct sync_position p = {.known = false};
	json_t *root = json_loadb(text.n > 0 ? text.p : "", text.n, 0, NULL);
	const char *epoch = json_string_value(json_object_get(root, "epoch"));
	const char *hash = json_string_value(json_object_get(root, "hash"));
	json_int_t number = json_integer_value(json_object_get(root, "number"));

	if (epoch != NULL && hash != NULL && number > 0 && strlen(epoch) <= EPOCH_MAX &&
	    strlen(hash) == 64) {
		p.known = true;
		p.number = (uint64_t)number;
		memcpy(p.epoch, epoch, strlen(epoch));
		memcpy(p.hash, hash, 64);
	}
	json_decref(root);
	return p;
}

static void
start_over(struct sync *s, const struct sync_position *p)
{
	if (s->step == SYNC_KEEPER) {
		s->step = SYNC_IDLE;
		batch_free(&s->batch);
	}
	s->at = *p;
	sync_forget(s);
	s->wanted = true;
	s->ops->told(s->arg);
}

void
sync_keeper(struct sync *s, struct str position, bool hello)
{
	struct sync_position p = read_position(position);
	bool first = !s->asked;

	if (!first && !hello)
		return;
	s->asked = true;
	if (s->step == SYNC_KEEPER && (same_position(&p, &s->at) || same_position(&p, &s->next)))
		s->ops->change(s->arg, s->id, str_n(s->text.p, s->text.n));
	else if (first || !same_position(&p, &s->at))
		start_over(s, &p);
	go(s);
}
