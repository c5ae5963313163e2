/* SPDX-License-Identifier: Apache-2.0
 *
 * See generation.h. The signal and the mailbox are only bells: what is looked at is the arena's
 * word, once a turn, so that bells may be lost or come together.
 */
#include <sys/resource.h>

#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"
#include "shm/base/msg.h"
#include "worker/accept.h"
#include "worker/generation.h"
#include "worker/keyring.h"
#include "worker/plan.h"
#include "worker/up/endpoints.h"
#include "worker/up/pool.h"
#include "worker/worker_priv.h"

#define SETTINGS_ID        STR("gateway")
#define GENERATION_OWN_FDS 32 /* maps, channels, listeners */

struct gen *
gen_ref(struct gen *g)
{
	g->refs++;
	return g;
}

void
gen_unref(struct gen **gp)
{
	struct gen *g = *gp;

	*gp = NULL;
	if (!g || --g->refs > 0)
		return;
	ws_free(&g->ws);
	free(g);
}

/* NULL: the map holds no settings, or none that can be read. */
static struct gen *
generation_read(struct table *t)
{
	struct conf_object o;
	struct gen *g;

	if (table_find(t, CONF_SETTINGS, SETTINGS_ID, &o) != 1)
		return NULL;
	g = xcalloc(1, sizeof(*g));
	g->refs = 1;
	g->number = table_generation(t);
	ws_init(&g->ws, NULL, 0);
	g->s = object_body(&o, &g->ws);
	if (!g->s) {
		gen_unref(&g);
		return NULL;
	}
	g->via_1_0 = ws_printf(&g->ws, "1.0 %.*s", STR_ARG(g->s->http.server_name));
	g->id_header = hdr_lookup(g->s->http.request_id_header);
	g->via_1_1 = ws_printf(&g->ws, "1.1 %.*s", STR_ARG(g->s->http.server_name));
	return g;
}

static void
generation_tell(struct worker *w)
{
	struct msg *m = &w->msg;

	beat_generation(w->beat, w->gen->number);
	msg_begin(m, MSG_SWITCHED, 0);
	msg_put_u64(m, w->gen->number);
	if (w->h->chan >= 0 && msg_send(w->h->chan, m) < 0)
		log_warn("generation %llu: the master could not be told",
		    (unsigned long long)w->gen->number);
}

/* The map moved to another directory: repaired, grown, or of another format. */
static int
generation_reopen(struct worker *w, uint64_t epoch)
{
	const char *error = "";
	struct table *t;

	if (epoch == w->epoch)
		return 1;
	if (table_open(w->h->run_dir, epoch, &t, &error) < 0) {
		log_error("map of epoch %llu: %s", (unsigned long long)epoch, error);
		return -1;
	}
	table_close(&w->table);
	w->table = t;
	w->epoch = epoch;
	w->reading = false;
	/* Numbers of the new map may be the old one's, for other things. */
	plans_forget(w->plans);
	endpoints_clear(w->up);
	return 1;
}

/* A connection from a client may need one to an upstream: where descriptors are fewer than the
 * limit wants, clients get half, or they would leave none for their own requests. */
static unsigned
generation_max_conns(const struct worker *w, const struct conf_settings *s)
{
	uint64_t wanted = s->limits.connections > 0 ? (uint64_t)s->limits.connections : UINT32_MAX;
	struct rlimit r;
	uint64_t room;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == RLIM_INFINITY)
		return (unsigned)wanted;
	room = r.rlim_cur > 2 * GENERATION_OWN_FDS ? (r.rlim_cur - GENERATION_OWN_FDS) / 2
						   : GENERATION_OWN_FDS / 2;
	if (room < wanted && room != w->max_conns)
		log_info("limits.connections is %llu, but %llu open files allow for %llu",
		    (unsigned long long)wanted, (unsigned long long)r.rlim_cur,
		    (unsigned long long)room);
	return (unsigned)MIN(wanted, room);
}

/* They help, connections are needed: of descriptors pipes get an eighth at most. */
static unsigned
generation_max_pipes(const struct conf_settings *s)
{
	unsigned wanted = (unsigned)s->limits.pipes;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == RLIM_INFINITY)
		return wanted;
	return (unsigned)MIN(wanted, r.rlim_cur / 16);
}

/* A snapshot that is still held from the turn before was taken with its own mark. Sets are read by
 * later marks only, so rows retired before this one are not picked here again, and connections to
 * them serve nobody. */
void
generation_endpoints(struct worker *w)
{
	uint64_t version = w->reading
			       ? w->up->endpoints_version
			       : atomic_load_explicit(&arena_head(w->arena)->endpoints_version,
				     memory_order_acquire);

	if (likely(version == w->endpoints_version))
		return;
	w->endpoints_version = version;
	pool_sweep(w->up->pool);
	beat_endpoints(w->beat, version);
}

static bool
generation_is(const struct worker *w, uint64_t number, uint64_t epoch)
{
	return w->gen && w->gen->number >= number && w->epoch == epoch;
}

/* What the master said before the keeper could commit is heard before that is adopted: a bundle
 * that was withdrawn must not be taken for this generation's. */
int
generation_check(struct worker *w)
{
	struct arena_head *h = arena_head(w->arena);
	uint64_t now = atomic_load_explicit(&h->generation, memory_order_acquire);
	uint64_t epoch = atomic_load_explicit(&h->epoch, memory_order_acquire);
	struct table *t;
	struct gen *g;

	if (likely(generation_is(w, now, epoch)))
		return 1;
	worker_hear(w);
	if (generation_is(w, now, epoch))
		return 1;
	worker_unread(w);
	if (generation_reopen(w, epoch) < 0 || !(t = worker_table(w)))
		return -1;
	g = generation_read(t);
	if (!g)
		return -1;
	gen_unref(&w->gen);
	w->gen = g;
	w->max_conns = generation_max_conns(w, g->s);
	w->pipes.most = generation_max_pipes(g->s);
	if (keyring_adopt(w->keyring))
		worker_trust(w);
	keyring_settings(w->keyring, g->s);
	listeners_settle(w, t);
	log_debug("generation %llu", (unsigned long long)g->number);
	generation_tell(w);
	return 1;
}
