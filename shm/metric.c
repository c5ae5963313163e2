/* SPDX-License-Identifier: Apache-2.0
 *
 * The METRICS region:
 *
 *	head | keys[rows] | slot 0: proc[], reasons[], blocks[] | slot 1 ...
 *
 * A block holds the cells of one labelled row: the scope's counters, then its histograms, each as
 * its buckets and a sum. Row 0, `other`, has one block for every labelled scope; they stand first.
 * Every cell has one writer, so an addition is a load and a store. Counts and sizes are copied out
 * of the head once and checked: later they are not believed any more.
 */
#include "shm/metric.h"

#include "shm/base/bug.h"
#include "shm/base/hash.h"

const struct metric_info metric_table[METRIC_ALL_COUNT] = {
#define METRIC(SCOPE, NAME, kind, exported, label, help)                                           \
	{METRIC_##SCOPE, METRIC_##kind, exported, label, help},
#include "shm/metric.def"
#undef METRIC
};

#define METRIC(...)
#define HISTOGRAM(SCOPE, NAME, exported, help) {METRIC_##SCOPE, exported, help},
const struct histogram_info histogram_table[HISTOGRAM_COUNT] = {
#include "shm/metric.def"
};
#undef HISTOGRAM
#undef METRIC

const uint64_t metric_bucket_us[METRIC_BUCKETS] = {500, 1000, 2500, 5000, 10000, 25000, 50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, UINT64_MAX};

typedef _Atomic uint64_t cell_t;

#define LINE_CELLS      (CACHE_LINE / sizeof(cell_t))
#define HISTOGRAM_CELLS (METRIC_BUCKETS + 1)
#define LABELLED_SCOPES (METRIC_SCOPE_COUNT - 1)
#define PROBES          128u
#define ROWS_MAX        (1u << 20)
#define SLOTS_MAX       1024u

/* A key is one word, so that one compare-and-swap makes it: scope, number, incarnation. 0: free. */
#define KEY_NUMBER_MAX ((1u << 28) - 1)
#define KEY(s, n, i)   ((uint64_t)(s) << 60 | (uint64_t)(n) << 32 | (i))
#define KEY_SCOPE(k)   ((unsigned)((k) >> 60))
#define KEY_NUMBER(k)  ((uint32_t)((k) >> 32) & KEY_NUMBER_MAX)

struct metric_head {
	alignas(CACHE_LINE) uint32_t slots;
	uint32_t rows;
	_Atomic uint32_t begun; /* slots that a process ever had: nobody looks at others */
};

/* Where things are, in cells; the same for every slot. */
struct shape {
	unsigned slots, rows;
	size_t keys, proc, reasons, blocks; /* the last three within a slot */
	size_t block, slot;                 /* sizes */
};

struct metrics {
	struct shape shape;
	const struct metric_head *head;
	cell_t *keys, *slots;          /* the first slot */
	cell_t *own;                   /* NULL: reads only */
	uint16_t at[METRIC_ALL_COUNT]; /* cell within the scope's set */
	uint16_t histogram_at[HISTOGRAM_COUNT];
};

static unsigned
scope_counters(enum metric_scope scope)
{
	unsigned n = 0;

	for (unsigned i = 0; i < METRIC_ALL_COUNT; i++)
		n += metric_table[i].scope == scope;
	return n;
}

static unsigned
scope_cells(enum metric_scope scope)
{
	unsigned n = scope_counters(scope);

	for (unsigned i = 0; i < HISTOGRAM_COUNT; i++)
		n += histogram_table[i].scope == scope ? HISTOGRAM_CELLS : 0;
	return n;
}

static struct shape
shape_of(unsigned slots, unsigned rows)
{
	struct shape s = {.slots = slots, .rows = rows};

	s.keys = ALIGN_UP((size_t)rows, LINE_CELLS);
	s.reasons = ALIGN_UP((size_t)scope_cells(METRIC_PROC), LINE_CELLS);
	s.blocks = s.reasons + ALIGN_UP((size_t)REASON_COUNT, LINE_CELLS);
	for (unsigned scope = METRIC_PROC + 1; scope < METRIC_SCOPE_COUNT; scope++)
		s.block = MAX(s.block, ALIGN_UP((size_t)scope_cells(scope), LINE_CELLS));
	s.slot = s.blocks + (rows - 1 + LABELLED_SCOPES) * s.block;
	return s;
}

size_t
metric_region_size(unsigned slots, unsigned rows)
{
	struct shape s = shape_of(slots, rows);

	return sizeof(struct metric_head) + (s.keys + slots * s.slot) * sizeof(cell_t);
}

uint64_t
metric_layout(unsigned slots, unsigned rows)
{
	uint64_t numbers[METRIC_ALL_COUNT + 8] = {slots, rows, METRIC_BUCKETS, REASON_COUNT,
	    HISTOGRAM_COUNT, metric_region_size(slots, rows)};

	for (unsigned i = 0; i < METRIC_ALL_COUNT; i++)
		numbers[8 + i] = metric_table[i].scope;
	return region_hash(ARRAY_LEN(numbers), numbers);
}

void
metric_region_init(struct region *r, unsigned slots, unsigned rows)
{
	struct metric_head *head = r->data;

	BUG_ON(slots == 0 || slots > SLOTS_MAX || rows == 0 || rows > ROWS_MAX);
	BUG_ON(r->size < metric_region_size(slots, rows));
	head->slots = slots;
	head->rows = rows;
	atomic_store_explicit(&head->begun, slots, memory_order_relaxed);
}

void
metric_region_begun(struct region *r, unsigned slots)
{
	struct metric_head *head = r->data;

	atomic_store_explicit(&head->begun, slots, memory_order_release);
}

/* The word is shared: never beyond what is mapped. */
static unsigned
slots_begun(const struct metrics *m)
{
	return MIN(atomic_load_explicit(&m->head->begun, memory_order_acquire), m->shape.slots);
}

/* Numbers the cells of every scope: counters in table order, then histograms. */
static void
number_cells(struct metrics *m)
{
	uint16_t next[METRIC_SCOPE_COUNT] = {0};

	for (unsigned i = 0; i < METRIC_ALL_COUNT; i++)
		m->at[i] = next[metric_table[i].scope]++;
	for (unsigned i = 0; i < HISTOGRAM_COUNT; i++) {
		m->histogram_at[i] = next[histogram_table[i].scope];
		next[histogram_table[i].scope] += HISTOGRAM_CELLS;
	}
}

struct metrics *
metrics_open(const struct region *r, unsigned slot)
{
	const struct metric_head *head = r->data;
	struct metrics *m;
	unsigned slots, rows;

	if (r->size < sizeof(*head))
		return NULL;
	slots = head->slots;
	rows = head->rows;
	if (slots == 0 || slots > SLOTS_MAX || rows == 0 || rows > ROWS_MAX ||
	    metric_region_size(slots, rows) > r->size)
		return NULL;
	m = xcalloc(1, sizeof(*m));
	m->shape = shape_of(slots, rows);
	m->head = head;
	m->keys = (cell_t *)((char *)r->data + sizeof(*head));
	m->slots = m->keys + m->shape.keys;
	m->own = slot < slots ? m->slots + slot * m->shape.slot : NULL;
	number_cells(m);
	return m;
}

void
metrics_close(struct metrics **m)
{
	free(*m);
	*m = NULL;
}

static uint64_t
cell_get(const cell_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static void
cell_set(cell_t *c, uint64_t v)
{
	atomic_store_explicit(c, v, memory_order_relaxed);
}

static void
cell_add(cell_t *c, uint64_t n)
{
	cell_set(c, cell_get(c) + n);
}

/* --- writing --- */

static cell_t *
proc_cell(struct metrics *m, enum metric_all id)
{
	BUG_ON(m->own == NULL || id >= METRIC_ALL_COUNT || metric_table[id].scope != METRIC_PROC);
	return m->own + m->at[id];
}

void
metric_add(struct metrics *m, enum metric_all id, uint64_t n)
{
	cell_add(proc_cell(m, id), n);
}

void
metric_sub(struct metrics *m, enum metric_all id, uint64_t n)
{
	cell_add(proc_cell(m, id), -n);
}

void
metric_set(struct metrics *m, enum metric_all id, uint64_t v)
{
	cell_set(proc_cell(m, id), v);
}

void
metric_reason(struct metrics *m, enum reason why)
{
	BUG_ON(m->own == NULL || why >= REASON_COUNT);
	cell_add(m->own + m->shape.reasons + why, 1);
}

/* Multiplication by a large odd number spreads neighbours; the high half is the good one. */
static uint32_t
key_hash(uint64_t key)
{
	key = (key ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(key >> 32);
}

uint32_t
metric_incarnation(struct str id)
{
	struct digest d = digest_of(id);
	uint32_t incarnation;

	memcpy(&incarnation, d.b, sizeof(incarnation));
	return incarnation;
}

uint32_t
metric_row(struct metrics *m, enum metric_scope scope, uint32_t number, uint32_t incarnation)
{
	uint64_t key = KEY(scope, number, incarnation);
	unsigned rows = m->shape.rows - 1, at;

	BUG_ON(scope == METRIC_PROC || scope >= METRIC_SCOPE_COUNT);
	if (rows == 0 || number > KEY_NUMBER_MAX)
		return 0;
	/* Rows are never freed, so everybody who looks for a key ends at the same place. */
	at = key_hash(key) % rows;
	for (unsigned i = 0; i < MIN(rows, PROBES); i++, at = at + 1 < rows ? at + 1 : 0) {
		uint64_t found = cell_get(&m->keys[1 + at]);

		if (found == 0 && atomic_compare_exchange_strong_explicit(&m->keys[1 + at], &found,
				      key, memory_order_relaxed, memory_order_relaxed))
			return 1 + at;
		if (found == key)
			return 1 + at;
	}
	return 0;
}

/* First cell of a row in a slot; row 0 has a block for each scope. */
static cell_t *
row_block(const struct metrics *m, cell_t *slot, uint32_t row, enum metric_scope scope)
{
	size_t block = row == 0 ? scope - 1u : row - 1u + LABELLED_SCOPES;

	BUG_ON(row >= m->shape.rows || scope == METRIC_PROC);
	return slot + m->shape.blocks + block * m->shape.block;
}

/* What a row counted for the slot's process before. */
static void
row_gauge_zero(struct metrics *m, enum metric_all id)
{
	enum metric_scope scope = metric_table[id].scope;

	for (uint32_t row = 0; row < m->shape.rows; row++)
		if (row == 0 || KEY_SCOPE(cell_get(&m->keys[row])) == scope)
			cell_set(row_block(m, m->own, row, scope) + m->at[id], 0);
}

void
metrics_adopt(struct metrics *m)
{
	for (unsigned i = 0; i < METRIC_ALL_COUNT; i++) {
		if (metric_table[i].kind != METRIC_GAUGE)
			continue;
		if (metric_table[i].scope == METRIC_PROC)
			metric_set(m, i, 0);
		else
			row_gauge_zero(m, i);
	}
}

void
metric_row_add(struct metrics *m, uint32_t row, enum metric_all id, uint64_t n)
{
	BUG_ON(m->own == NULL || id >= METRIC_ALL_COUNT);
	cell_add(row_block(m, m->own, row, metric_table[id].scope) + m->at[id], n);
}

void
metric_row_sub(struct metrics *m, uint32_t row, enum metric_all id, uint64_t n)
{
	metric_row_add(m, row, id, -n);
}

bool
metric_row_take(struct metrics *m, uint32_t row, enum metric_all id, uint64_t most)
{
	metric_row_add(m, row, id, 1);
	/* One's own is seen by all before theirs are read: of two, at least one sees the other. */
	atomic_thread_fence(memory_order_seq_cst);
	if (metric_row_sum(m, row, id) <= most)
		return true;
	metric_row_sub(m, row, id, 1);
	return false;
}

void
metric_row_observe(struct metrics *m, uint32_t row, enum histogram_id h, uint64_t us)
{
	unsigned bucket = 0;
	cell_t *c;

	BUG_ON(m->own == NULL || h >= HISTOGRAM_COUNT);
	c = row_block(m, m->own, row, histogram_table[h].scope) + m->histogram_at[h];
	while (bucket < METRIC_BUCKETS - 1 && us > metric_bucket_us[bucket])
		bucket++;
	cell_add(c + bucket, 1);
	cell_add(c + METRIC_BUCKETS, us);
}

const void *
metric_row_at(const struct metrics *m, uint32_t row, enum metric_scope scope)
{
	return row_block(m, m->own, row, scope);
}

/* --- reading --- */

uint64_t
metric_slot(const struct metrics *m, unsigned slot, enum metric_all id)
{
	BUG_ON(id >= METRIC_ALL_COUNT || metric_table[id].scope != METRIC_PROC);
	return slot < slots_begun(m) ? cell_get(m->slots + slot * m->shape.slot + m->at[id]) : 0;
}

uint64_t
metric_sum(const struct metrics *m, enum metric_all id)
{
	uint64_t sum = 0;

	for (unsigned slot = 0, n = slots_begun(m); slot < n; slot++)
		sum += metric_slot(m, slot, id);
	return sum;
}

uint64_t
metric_reason_sum(const struct metrics *m, enum reason why)
{
	uint64_t sum = 0;

	BUG_ON(why >= REASON_COUNT);
	for (unsigned slot = 0, n = slots_begun(m); slot < n; slot++)
		sum += cell_get(m->slots + slot * m->shape.slot + m->shape.reasons + why);
	return sum;
}

unsigned
metric_rows(const struct metrics *m)
{
	return m->shape.rows;
}

int
metric_row_key(const struct metrics *m, uint32_t row, enum metric_scope *scope_r,
    uint32_t *number_r, uint32_t *incarnation_r)
{
	uint64_t key = row != 0 && row < m->shape.rows ? cell_get(&m->keys[row]) : 0;

	if (row != 0 && (KEY_SCOPE(key) == METRIC_PROC || KEY_SCOPE(key) >= METRIC_SCOPE_COUNT))
		return 0;
	*scope_r = row == 0 ? METRIC_SCOPE_COUNT : KEY_SCOPE(key);
	*number_r = row == 0 ? UINT32_MAX : KEY_NUMBER(key);
	*incarnation_r = (uint32_t)key;
	return 1;
}

static uint64_t
row_cell_sum(const struct metrics *m, uint32_t row, enum metric_scope scope, size_t cell)
{
	uint64_t sum = 0;

	for (unsigned slot = 0, n = slots_begun(m); slot < n; slot++)
		sum += cell_get(row_block(m, m->slots + slot * m->shape.slot, row, scope) + cell);
	return sum;
}

uint64_t
metric_row_sum(const struct metrics *m, uint32_t row, enum metric_all id)
{
	BUG_ON(id >= METRIC_ALL_COUNT);
	return row_cell_sum(m, row, metric_table[id].scope, m->at[id]);
}

void
metric_row_histogram(const struct metrics *m, uint32_t row, enum histogram_id h,
    uint64_t buckets_r[METRIC_BUCKETS], uint64_t *sum_us_r)
{
	enum metric_scope scope = histogram_table[h].scope;
	size_t at = m->histogram_at[h];

	for (unsigned b = 0; b < METRIC_BUCKETS; b++)
		buckets_r[b] = row_cell_sum(m, row, scope, at + b);
	*sum_us_r = row_cell_sum(m, row, scope, at + METRIC_BUCKETS);
}
