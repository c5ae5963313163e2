/* SPDX-License-Identifier: Apache-2.0
 *
 * See drain.h. /health answers 503 from the moment the master sets `draining` in the process table,
 * before this begins.
 */
#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "worker/accept.h"
#include "worker/conn_h2.h"
#include "worker/drain.h"
#include "worker/websocket.h"
#include "worker/worker_priv.h"

static void
drain_close(struct worker *w)
{
	w->drain = DRAIN_CLOSING;
	accept_stop(w);
	conn_close_idle(w);
	conn_h2_drain_all(w);
	timer_set(w->timers, &w->drain_timer, w->drain_deadline_ms);
	drain_check(w);
}

static void
drain_due(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, drain_timer);

	if (w->drain == DRAIN_MIN && clock_ms() < w->drain_deadline_ms) {
		drain_close(w);
		return;
	}
	log_warn("drain deadline: %u connections are cut off", w->n_conns);
	conn_abort_all(w, REASON_SHUTDOWN);
	worker_stop(w, 0);
}

void
drain_begin(struct worker *w, uint64_t min_ms, uint64_t deadline_ms)
{
	if (w->drain != DRAIN_NO)
		return;
	log_info("draining: accepting for %llu ms, then up to %llu ms in all",
	    (unsigned long long)min_ms, (unsigned long long)deadline_ms);
	w->drain = DRAIN_MIN;
	w->drain_deadline_ms = clock_ms() + deadline_ms;
	timer_init(&w->drain_timer, drain_due);
	timer_set(w->timers, &w->drain_timer, clock_ms() + MIN(min_ms, deadline_ms));
	websocket_drain(w, MIN(min_ms, deadline_ms));
}

void
drain_check(struct worker *w)
{
	if (w->drain == DRAIN_CLOSING && w->n_conns == 0)
		worker_stop(w, 0);
}
