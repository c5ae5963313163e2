/* SPDX-License-Identifier: Apache-2.0
 *
 * See judge.h.
 */
#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "worker/up/judge.h"

static struct endpoint_row *
judge_row(struct attempt *a)
{
	return a->taken ? arena_endpoint(a->up->arena, a->to->row) : NULL;
}

/* Ends that are not the endpoint's doing. */
static bool
judge_innocent(const struct attempt *a, enum reason why)
{
	return why == REASON_OVERLOADED || why == REASON_TOTAL_TIMEOUT || why == REASON_INTERNAL ||
	       a->timed_out || a->ours;
}

void
judge_failed(struct attempt *a, enum reason why)
{
	struct endpoint_row *e = judge_row(a);
	const struct conf_service *s = a->conf.service;
	struct metrics *m = a->up->metrics;

	if (why == REASON_CONNECT_FAILED || why == REASON_CONNECT_TIMEOUT)
		metric_add(m, M_PROC_UP_CONNECT_FAILS, 1);
	if (!e || !s || judge_innocent(a, why))
		return;
	metric_row_add(m, a->conf.metric_row, M_SERVICE_S_FAILURES, 1);
	atomic_fetch_add_explicit(&e->failures, 1, memory_order_relaxed);
	if (!s->health.passive || s->health.failures <= 0)
		return;
	if (endpoint_failed(e, (uint32_t)s->health.failures, s->health.down, clock_ms()) != 1)
		return;
	metric_row_add(m, a->conf.metric_row, M_SERVICE_S_EJECTIONS, 1);
	log_warn("service %.*s: endpoint %.*s is down for %llu ms after %lld failures in a row "
		 "(last: %s)",
	    STR_ARG(a->conf.service_id), STR_ARG(a->to->name), (unsigned long long)s->health.down,
	    (long long)s->health.failures, reason_table[why].word);
}

static enum metric_all
judge_class(unsigned status)
{
	if (status < 300)
		return M_SERVICE_S_2XX;
	if (status < 400)
		return M_SERVICE_S_3XX;
	return status < 500 ? M_SERVICE_S_4XX : M_SERVICE_S_5XX;
}

void
attempt_answered(struct attempt *a, unsigned status, uint64_t first_byte_us)
{
	struct endpoint_row *e = judge_row(a);
	struct metrics *m = a->up->metrics;

	if (!e || a->counted)
		return;
	a->counted = true;
	if (status >= 500)
		atomic_fetch_add_explicit(&e->responses_5xx, 1, memory_order_relaxed);
	endpoint_succeeded(e);
	metric_row_add(m, a->conf.metric_row, judge_class(status), 1);
	metric_row_observe(m, a->conf.metric_row, H_S_FIRST_BYTE, first_byte_us);
}
