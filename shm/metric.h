/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters and histograms in the METRICS region. Every worker slot writes a page set of its own
 * with relaxed stores (one writer each, so no lock and no contended line); readers sum. Labelled
 * rows (routes, services) are allocated on first hit by compare-and-swap in a shared key table with
 * a ceiling; past it everything goes to row 0, `other`.
 */
#ifndef GW_METRIC_H
#define GW_METRIC_H

#include "shm/base/base.h"
#include "shm/base/str.h"
#include "shm/region.h"
#include "shm/reason.h"

enum metric_scope { METRIC_PROC, METRIC_ROUTE, METRIC_SERVICE, METRIC_SCOPE_COUNT };
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

/* M_SCOPE_NAME: one numbering over all scopes. A row's metrics are those of its scope only. */
#define METRIC(SCOPE, NAME, kind, exported, label, help) M_##SCOPE##_##NAME,

enum metric_all {
#include "shm/metric.def"
	METRIC_ALL_COUNT
};
#undef METRIC

/* PROC rows come first in the table; the others live in labelled rows. */
enum {
	M_PROC_COUNT = 0
#define METRIC(SCOPE, NAME, kind, exported, label, help) +M_IS_##SCOPE
#define M_IS_PROC                                        1
#define M_IS_ROUTE                                       0
#define M_IS_SERVICE                                     0
#include "shm/metric.def"
#undef METRIC
};

struct metric_info {
	enum metric_scope scope;
	enum metric_kind kind;
	const char *exported, *label, *help;
};
extern const struct metric_info metric_table[METRIC_ALL_COUNT]; /* indexed by enum metric_all */

enum histogram_id {
#define METRIC(...)
#define HISTOGRAM(SCOPE, NAME, exported, help) H_##NAME,
#include "shm/metric.def"
#undef HISTOGRAM
#undef METRIC
	HISTOGRAM_COUNT
};
struct histogram_info {
	enum metric_scope scope;
	const char *exported, *help;
};
extern const struct histogram_info histogram_table[HISTOGRAM_COUNT];

#define METRIC_BUCKETS 16 /* the last is +Inf */
/* upper bounds in microseconds; last = UINT64_MAX */
extern const uint64_t metric_bucket_us[METRIC_BUCKETS];

/* rows: ceiling of labelled rows, `other` included. */
size_t metric_region_size(unsigned slots, unsigned rows);
uint64_t metric_layout(unsigned slots, unsigned rows);
void metric_region_init(struct region *r, unsigned slots, unsigned rows);
/* Sums go over the first `slots` from now on: those that a process ever had. At first over all. */
void metric_region_begun(struct region *r, unsigned slots);

struct metrics; /* a process's view */
/* Writer (its slot) and reader alike; a slot past the last makes a view that can only read. NULL
 * when the region's sizes do not fit together. The region must stay attached. */
struct metrics *metrics_open(const struct region *r, unsigned slot);
void metrics_close(struct metrics **m);
/* A new process takes over the slot: gauges start at zero, counters go on. */
void metrics_adopt(struct metrics *m);

/* Writer side. */
void metric_add(struct metrics *m, enum metric_all id, uint64_t n); /* PROC scope */
void metric_sub(struct metrics *m, enum metric_all id, uint64_t n); /* gauges */
void metric_set(struct metrics *m, enum metric_all id, uint64_t v);
void metric_reason(struct metrics *m, enum reason why);
/* Row for a labelled object: number = the object's number in the map (below 2^28), incarnation
 * (metric_incarnation of its id) tells it from who had that number before. 0 when there is no room.
 * Look it up once per plan. */
uint32_t metric_row(
    struct metrics *m, enum metric_scope scope, uint32_t number, uint32_t incarnation);
uint32_t metric_incarnation(struct str id);
void metric_row_add(struct metrics *m, uint32_t row, enum metric_all id, uint64_t n);
void metric_row_sub(struct metrics *m, uint32_t row, enum metric_all id, uint64_t n); /* gauges */
/* One more of a gauge that `most` bounds over all slots. False: there are as many, none is taken.
 * Never more than that; two that ask for the last place at one moment may both get none. */
bool metric_row_take(struct metrics *m, uint32_t row, enum metric_all id, uint64_t most);
void metric_row_observe(struct metrics *m, uint32_t row, enum histogram_id h, uint64_t us);
/* Where the writer's cells of a row lie, so many octets from there, for those who fetch them ahead
 * of metric_row_add. */
#define METRIC_ROW_NEAR 320
const void *metric_row_at(const struct metrics *m, uint32_t row, enum metric_scope scope);

/* Reader side: sums over slots. */
uint64_t metric_sum(const struct metrics *m, enum metric_all id);
uint64_t metric_slot(const struct metrics *m, unsigned slot, enum metric_all id);
uint64_t metric_reason_sum(const struct metrics *m, enum reason why);
unsigned metric_rows(const struct metrics *m); /* ceiling; rows [0, n) may be asked for */
/* 1 and its key when the row is in use, else 0. Row 0 always is: it is `other` of every scope, with
 * scope METRIC_SCOPE_COUNT and number UINT32_MAX. */
int metric_row_key(const struct metrics *m, uint32_t row, enum metric_scope *scope_r,
    uint32_t *number_r, uint32_t *incarnation_r);
uint64_t metric_row_sum(const struct metrics *m, uint32_t row, enum metric_all id);
/* buckets_r: observations in each bucket alone, not cumulated */
void metric_row_histogram(const struct metrics *m, uint32_t row, enum histogram_id h,
    uint64_t buckets_r[METRIC_BUCKETS], uint64_t *sum_us_r);

#endif
