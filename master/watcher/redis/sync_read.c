/* SPDX-License-Identifier: Apache-2.0
 *
 * What Redis is asked, and what follows from its answers. Each question is one transaction, so that
 * version and content belong together.
 */
#include "master/watcher/redis/sync_priv.h"

#include "conf/stop.h"
#include "shm/base/bug.h"
#include "shm/base/enc.h"
#include "shm/base/num.h"

/* --- questions -------------------------------------------------------------------------------- */

static void
begin(struct sync *s, struct command *c)
{
	COMMAND(c, STR("MULTI"));
	version_ask(c, s->keys);
}

static void
ask(struct sync *s, struct command *c, enum sync_step step)
{
	COMMAND(c, STR("EXEC"));
	s->step = step;
	s->ops->ask(s->arg, c);
	command_free(c);
}

void
sync_ask_read(struct sync *s)
{
	struct command c = {.n = 0};
	char from[32];

	stop_here("before_read");
	begin(s, &c);
	snprintf(from, sizeof(from), "%llu-0", (unsigned long long)s->at.number + 1);
	if (s->at.known && !s->whole)
		COMMAND(&c, STR("XRANGE"), s->keys->changes, str_of(from), STR("+"), STR("COUNT"),
		    STR("1000"));
	ask(s, &c, SYNC_READ);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
sort_unique(struct sync *s)
{
	uint32_t n = 0;

	if (s->n_fields > 1)
		qsort(s->fields, s->n_fields, sizeof(*s->fields), by_text);
	for (uint32_t i = 0; i < s->n_fields; i++) {
		if (n > 0 && strcmp(s->fields[n - 1], s->fields[i]) == 0)
			free(s->fields[i]);
		else
			s->fields[n++] = s->fields[i];
	}
	s->n_fields = n;
}

/* What was refused may be right beside what has changed. */
static void
add_refused(struct sync *s)
{
	uint32_t n = 0;

	list_each (it, &s->mirror.refused) {
		const struct mirror_node *f = container_of(it, struct mirror_node, refused);

		if (n++ == SYNC_REFUSED)
			return;
		sync_fields_add(s, str_n(f->field, f->len));
	}
}

void
sync_ask_fetch(struct sync *s)
{
	struct command c = {.n = 0};
	struct str *words;

	add_refused(s);
	sort_unique(s);
	begin(s, &c);
	words = xmalloc((s->n_fields + 2) * sizeof(*words));
	words[0] = STR("HMGET");
	words[1] = s->keys->objects;
	for (uint32_t i = 0; i < s->n_fields; i++)
		words[i + 2] = str_of(s->fields[i]);
	if (s->n_fields > 0)
		command_put(&c, words, s->n_fields + 2);
	free(words);
	ask(s, &c, SYNC_FETCH);
}

void
sync_ask_snapshot(struct sync *s)
{
	struct command c = {.n = 0};

	sync_fields_clear(s);
	s->snapshots++;
	begin(s, &c);
	COMMAND(&c, STR("HGETALL"), s->keys->objects);
	ask(s, &c, SYNC_SNAPSHOT);
}

/* --- the version ------------------------------------------------------------------------------ */

static void
note_reloads(struct sync *s, const struct version *v)
{
	bool ring = s->seen_reloads && v->reload != 0 && v->reload != s->reloads;

	s->seen_reloads = true;
	s->reloads = v->reload;
	if (ring)
		s->ops->ring(s->arg);
}

/* 1: there is one, and it is noted as seen; 0: not, and everything about it is said. */
static int
take_version(struct sync *s, const struct reply *r, struct version *v_r)
{
	const char *error = "";
	int rc = version_read(reply_at(r, 0), v_r, &error);

	if (rc < 0) {
		sync_trouble(s, "the console cannot be understood: %s", error);
		return 0;
	}
	note_reloads(s, v_r);
	s->seen_known = rc == 1;
	if (rc == 1) {
		s->seen = *v_r;
		return 1;
	}
	sync_say(s, "Redis has no console version: what is in force stays");
	s->ops->told(s->arg);
	return 0;
}

/* --- READ ------------------------------------------------------------------------------------- */

/* The entries from our number on, one by one: 1 and s->last; 0 they do not lead there. */
static int
follow(struct sync *s, const struct version *v, const struct reply *entries)
{
	s->last = s->at.number;
	if (!reply_is_array(entries, 1))
		return 0;
	for (size_t i = 0; i < entries->n; i++) {
		struct change_entry e;

		if (change_entry_read(entries->v[i], &e) < 0 || e.number != s->last + 1 ||
		    !str_eq(e.epoch, str_of(v->epoch)) ||
		    batch_document_fields(e.document, sync_fields_add, s) < 0)
			return 0;
		s->last = e.number;
		snprintf(s->author, sizeof(s->author), "%.*s",
		    (int)MIN(e.author.n, sizeof(s->author) - 1), e.author.p);
		if (s->n_fields >= SYNC_FIELDS)
			return 1;
	}
	return entries->n == SYNC_ENTRIES || s->last == v->number;
}

static bool
still_guarded(struct sync *s, const struct version *v)
{
	if (!s->guarded)
		return false;
	if (version_eq(&s->guard, v) && !(s->deletions_guard && sync_may_delete(s, v)))
		return true;
	s->guarded = false;
	return false;
}

static void
there_already(struct sync *s, const struct version *v)
{
	if (!sync_hash_ok(s, v)) {
		sync_ask_snapshot(s);
	} else if (s->retry && s->mirror.n_refused > 0) {
		s->retry = false;
		s->last = s->at.number;
		sync_ask_fetch(s);
	} else {
		s->retry = false;
		sync_settled(s);
	}
}

void
sync_read_done(struct sync *s, const struct reply *r)
{
	struct version v;

	stop_here("after_read");
	sync_fields_clear(s);
	if (take_version(s, r, &v) == 0)
		return;
	if (still_guarded(s, &v))
		s->ops->told(s->arg);
	else if (s->whole || !s->at.known || strcmp(v.epoch, s->at.epoch) != 0 ||
		 v.number < s->at.number)
		sync_ask_snapshot(s);
	else if (v.number == s->at.number)
		there_already(s, &v);
	else if (follow(s, &v, reply_at(r, 1)) == 1)
		sync_ask_fetch(s);
	else
		sync_ask_snapshot(s);
}

/* --- FETCH ------------------------------------------------------------------------------------ */

/* A value may be newer than the entries followed so far: their entries come in the next round. */
static void
take_field(struct sync *s, struct str field, const struct reply *value)
{
	bool there = value != NULL && value->type == REPLY_STRING;
	bool again = mirror_error(&s->mirror, field) != NULL;

	if (there) {
		if (mirror_put(&s->mirror, field, value->str) == 1 || again)
			batch_put(&s->batch, field, value->str);
	} else if (mirror_del(&s->mirror, field) == 1 || again) {
		batch_delete(&s->batch, field);
	}
}

void
sync_fetch_done(struct sync *s, const struct reply *r)
{
	const struct reply *values = reply_at(r, 1);
	struct version v;

	if (take_version(s, r, &v) == 0)
		return;
	if (s->whole || strcmp(v.epoch, s->at.epoch) != 0 || v.number < s->last) {
		sync_fields_clear(s);
		s->wanted = true; /* something else has happened meanwhile */
		return;
	}
	if (s->n_fields > 0 && (!reply_is_array(values, 1) || values->n != s->n_fields)) {
		sync_trouble(s, "Redis gives no answer to HMGET");
		return;
	}
	for (uint32_t i = 0; i < s->n_fields; i++)
		take_field(s, str_of(s->fields[i]), values->v[i]);
	sync_fields_clear(s);
	s->wanted |= v.number > s->last;
	sync_send(s, &v, s->last);
}

/* --- SNAPSHOT --------------------------------------------------------------------------------- */

struct missing {
	struct sync *s;
	size_t n;
};

static void
count_missing(void *arg, struct str field UNUSED)
{
	((struct missing *)arg)->n++;
}

static void
delete_missing(void *arg, struct str field)
{
	struct sync *s = arg;

	/* The field's text goes with its node. */
	batch_delete(&s->batch, field);
	mirror_del(&s->mirror, field);
}

/* How many would go. */
static size_t
deletions(struct sync *s, const struct reply *objects)
{
	struct missing m = {s, 0};

	mirror_pass(&s->mirror);
	for (size_t i = 0; i + 1 < objects->n; i += 2)
		(void)mirror_meet(
		    &s->mirror, reply_str(objects->v[i]), reply_str(objects->v[i + 1]));
	mirror_sweep(&s->mirror, count_missing, &m);
	return m.n;
}

static bool
had_objects(const struct sync *s)
{
	return s->at.known && strspn(s->at.hash, "0") != 64;
}

/* Of what this process knows; where it does not, the keeper counts. */
static bool
guard(struct sync *s, const struct version *v, const struct reply *objects)
{
	size_t gone, n = s->mirror.n;

	if (sync_may_delete(s, v))
		return false;
	if (objects->n == 0 && (s->whole ? had_objects(s) : n > 0)) {
		sync_say(s, "version %llu is empty and not marked with allow_deletions: refused",
		    (unsigned long long)v->number);
	} else {
		if (s->whole)
			return false;
		gone = deletions(s, objects);
		if (gone == 0 || (double)gone <= s->deletions * (double)n)
			return false;
		sync_say(s,
		    "version %llu deletes %zu of %zu objects and is not marked with "
		    "allow_deletions: refused",
		    (unsigned long long)v->number, gone, n);
	}
	sync_guard(s, v, true);
	return true;
}

static void
take_objects(struct sync *s, const struct reply *objects)
{
	if (s->whole)
		mirror_clear(&s->mirror);
	mirror_pass(&s->mirror);
	for (size_t i = 0; i + 1 < objects->n; i += 2) {
		struct str field = reply_str(objects->v[i]), value = reply_str(objects->v[i + 1]);

		if (mirror_put(&s->mirror, field, value) == 1 || s->whole ||
		    mirror_error(&s->mirror, field) != NULL)
			batch_put(&s->batch, field, value);
	}
	mirror_sweep(&s->mirror, delete_missing, s);
}

/* The console's own sum may be wrong. What matters then is that it does not change by itself. */
static void
judge_hash(struct sync *s, const struct version *v)
{
	s->wrong = false;
	for (unsigned i = 0; i < HASH_SHA256; i++) {
		s->delta[i] = s->mirror.sum[i] ^ v->hash[i];
		s->wrong |= s->delta[i] != 0;
	}
}

void
sync_snapshot_done(struct sync *s, const struct reply *r)
{
	const struct reply *objects = reply_at(r, 1);
	struct version v;

	if (take_version(s, r, &v) == 0)
		return;
	if (!reply_is_array(objects, 0) || objects->n % 2 != 0) {
		sync_trouble(s, "Redis gives no answer to HGETALL");
		return;
	}
	if (guard(s, &v, objects))
		return;
	s->author[0] = '\0';
	s->retry = false;
	take_objects(s, objects);
	judge_hash(s, &v);
	sync_send(s, &v, v.number);
}
