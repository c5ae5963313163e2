/* SPDX-License-Identifier: Apache-2.0
 *
 * See prober.h. Once a second it sweeps the arena; when the master says that a slot's process is
 * dead it gives back what that process held, and answers, so that the slot may be filled.
 */
#include "master/watcher/prober.h"

#include "conf/table.h"
#include "master/watcher/sweep.h"
#include "master/watcher/watcher.h"
#include "shm/arena.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

#define SWEEP_EVERY_MS 1000

struct prober {
	struct watcher w;
	struct arena *arena;
	struct table *table; /* names for the log; NULL: they cannot be read */
	uint64_t epoch;
	struct timer timer;
};

static int
prober_reap(struct watcher *w, struct msg *m)
{
	struct prober *p = container_of(w, struct prober, w);
	uint32_t slot = msg_u32(m);
	uint64_t shares;

	if (msg_end(m) < 0 || slot >= SLOT_MAX)
		return -1;
	shares = arena_reap(p->arena, slot);
	if (shares > 0)
		log_info("worker %u left %llu requests in flight: given back", slot,
		    (unsigned long long)shares);
	msg_begin(&w->msg, MSG_REAPED, 0);
	msg_put_u32(&w->msg, slot);
	watcher_send(w);
	return 1;
}

static int
prober_message(struct watcher *w, struct msg *m)
{
	return m->type == MSG_REAP ? prober_reap(w, m) : 0;
}

/* The map may have moved to another directory since. */
static struct table *
prober_table(struct prober *p)
{
	uint64_t epoch = atomic_load_explicit(&arena_head(p->arena)->epoch, memory_order_acquire);
	const char *error;

	if (p->table && p->epoch == epoch)
		return p->table;
	table_close(&p->table);
	p->epoch = epoch;
	if (table_open(p->w.h->run_dir, epoch, &p->table, &error) < 0) {
		log_warn("names of endpoints are not to be had: %s", error);
		p->table = NULL;
	}
	return p->table;
}

/* 1: `out` says "endpoint NAME of service ID". */
static int
name_in_service(
    struct table *t, const struct conf_object *service, uint32_t row, char *out, size_t cap)
{
	struct endpoint_set set;
	struct endpoint_ref ref;

	if (table_endpoints(t, service->number, &set) != 1)
		return 0;
	for (uint32_t i = 0; i < set.n; i++) {
		if (endpoint_set_get(&set, i, &ref) != 1 || ref.row != row)
			continue;
		snprintf(out, cap, "endpoint %.*s of service %.*s", STR_ARG(ref.name),
		    STR_ARG(service->id));
		return 1;
	}
	return 0;
}

/* Rows know no names: every service is asked. It happens when an endpoint comes back, so rarely. */
static void
name_of(struct prober *p, uint32_t row, char *out, size_t cap)
{
	struct table *t = prober_table(p);
	struct conf_object service;
	uint32_t number = 0;

	snprintf(out, cap, "endpoint row %u", row);
	if (!t || table_renew(t) < 0)
		return;
	while (table_next(t, CONF_SERVICE, &number, &service) == 1)
		if (name_in_service(t, &service, row, out, cap) == 1)
			break;
	table_reset(t);
}

static void
prober_ended(void *arg, uint32_t row, enum sweep_what what, uint32_t verdict)
{
	char name[256];

	name_of(arg, row, name, sizeof(name));
	if (what == SWEEP_EJECTION)
		log_info("%s: ejection is over, it is tried again", name);
	else
		log_info("%s: verdict %s has expired", name,
		    verdict < VERDICT_COUNT ? endpoint_verdict_names[verdict] : "unknown");
}

static void
prober_sweep(struct timer *t)
{
	struct prober *p = container_of(t, struct prober, timer);

	(void)arena_settle(p->arena); /* what it leaves has its turn next time */
	sweep_arena(p->arena, clock_ms(), clock_wall_us(), prober_ended, p);
	timer_set(loop_timers(p->w.loop), t, clock_ms() + SWEEP_EVERY_MS);
}

static int
prober_start(struct prober *p, const struct heritage *h, const char **error_r)
{
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/arena", h->run_dir);
	if (arena_open(dir, &p->arena, error_r) < 0)
		return -1;
	/* The one before may have died half through a slot. */
	(void)arena_settle(p->arena);
	if (watcher_start(&p->w, h, prober_message, error_r) < 0)
		return -1;
	timer_init(&p->timer, prober_sweep);
	timer_set(loop_timers(p->w.loop), &p->timer, clock_ms() + SWEEP_EVERY_MS);
	return 1;
}

int
prober_main(const struct heritage *h)
{
	struct prober *p = xcalloc(1, sizeof(*p));
	const char *error = "";

	if (prober_start(p, h, &error) < 0)
		return watcher_fail(h, error);
	return watcher_run(&p->w);
}
