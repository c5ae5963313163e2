/* SPDX-License-Identifier: Apache-2.0
 *
 * See status.h.
 */
#include "master/watcher/redis/status.h"

#include "shm/base/clock.h"
#include "shm/base/log.h"

#define STORE(word, v) atomic_store_explicit(&(word), (v), memory_order_relaxed)
#define COUNT(word)    atomic_fetch_add_explicit(&(word), 1, memory_order_relaxed)

/* Readers may see half of the old and half of the new, never past the end. */
static void
put_text(char *to, size_t cap, const char *text)
{
	size_t n = strnlen(text, cap - 1);

	memcpy(to, text, n);
	memset(to + n, 0, cap - n);
}

static void
put_state(struct status *t, enum console_state state)
{
	if (t->s == NULL || atomic_load_explicit(&t->s->state, memory_order_relaxed) == state)
		return;
	STORE(t->s->since_us, clock_wall_us());
	STORE(t->s->state, state);
}

void
status_start(struct status *t)
{
	put_state(t, CONSOLE_CONNECTING);
	if (t->s != NULL)
		STORE(t->s->in_sync, 0);
}

void
status_up(struct status *t, const char *server)
{
	log_info("console: connected to %s", server);
	t->down_said = false;
	put_state(t, CONSOLE_LIVE);
	if (t->s == NULL)
		return;
	COUNT(t->s->connects);
	put_text(t->s->server, sizeof(t->s->server), server);
	put_text(t->s->error, sizeof(t->s->error), "");
}

void
status_down(struct status *t, const char *server, enum link_end how, const char *why)
{
	if (!t->down_said)
		log_warn("console: %s: %s; serving the last good configuration", server, why);
	t->down_said = true;
	put_state(t, CONSOLE_CONNECTING);
	if (t->s == NULL)
		return;
	COUNT(t->s->failures);
	if (how == LINK_TIMEOUT)
		COUNT(t->s->timeouts);
	STORE(t->s->in_sync, 0);
	put_text(t->s->error, sizeof(t->s->error), why);
}

void
status_bell(struct status *t, bool heard, const char *why)
{
	if (heard && t->deaf_said)
		log_info("console: the bell is heard again");
	if (!heard && !t->deaf_said)
		log_warn("console: the bell is not heard: %s", why);
	t->deaf_said = !heard;
}

/* What comes and goes with every change is not said. */
static void
say(struct status *t, const struct sync *s)
{
	const char *word = sync_word(s);

	if (strcmp(word, "applying") == 0 || strcmp(word, t->word) == 0)
		return;
	if (s->error[0] == '\0' && strcmp(word, "in_sync") != 0)
		return; /* not looked at yet */
	if (strcmp(word, "in_sync") == 0)
		log_info("console: version %llu of epoch %s is in force",
		    (unsigned long long)s->at.number, s->at.epoch);
	else
		log_warn("console: %s", s->error);
	snprintf(t->word, sizeof(t->word), "%s", word);
}

void
status_ack_refused(struct status *t)
{
	if (t->s != NULL)
		COUNT(t->s->failures);
}

void
status_sync(struct status *t, const struct sync *s, const char *ack)
{
	say(t, s);
	if (t->s == NULL)
		return;
	STORE(t->s->in_sync, s->live && sync_in_sync(s));
	STORE(t->s->number, s->at.known ? s->at.number : 0);
	STORE(t->s->seen, s->seen_known ? s->seen.number : 0);
	STORE(t->s->applied_us, s->applied_us);
	STORE(t->s->refused, s->mirror.n_refused);
	STORE(t->s->changes, s->changes);
	STORE(t->s->snapshots, s->snapshots);
	STORE(t->s->reconciles, s->reconciles);
	STORE(t->s->guard_refusals, s->guards);
	put_text(t->s->epoch, sizeof(t->s->epoch), s->at.known ? s->at.epoch : "");
	put_text(t->s->hash, sizeof(t->s->hash), s->at.known ? s->at.hash : "");
	if (s->live)
		put_text(t->s->error, sizeof(t->s->error), s->error[0] != '\0' ? s->error : ack);
}
