/* SPDX-License-Identifier: Apache-2.0
 *
 * The arena's mapping and its rows' life: in use (odd incarnation), resting (even, named by plans
 * or endpoint sets of old generations), free. How shares are counted is endpoint.c.
 */
#include "shm/arena.h"

#include <assert.h>

#include "shm/arena_priv.h"
#include "shm/base/bug.h"
#include "shm/region.h"

#define ARENA_MAGIC   UINT64_C(0x414e455241574700) /* 0, "GWARENA" in memory */
#define ARENA_VERSION 2
#define SHADOWS_LINE  (CACHE_LINE / sizeof(uint64_t))
#define ROWS_MAX      (1u << 24)
#define SLOTS_MAX     1024u

static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
    "shared memory needs lock-free atomics");
static_assert(sizeof(struct endpoint_row) == 2 * CACHE_LINE, "two lines an endpoint");
static_assert(sizeof(struct service_row) == CACHE_LINE, "one line a service");

static struct arena_state {
	char error[192];
} state;

struct counts {
	uint32_t slots, endpoints, services;
};

/* Octets from the head on; 0 when the counts are out of range. */
static size_t
arena_size(const struct counts *c)
{
	if (c->slots == 0 || c->slots > SLOTS_MAX || c->endpoints == 0 || c->endpoints > ROWS_MAX ||
	    c->services == 0 || c->services > ROWS_MAX)
		return 0;
	return sizeof(struct arena_head) + c->endpoints * sizeof(struct endpoint_row) +
	       c->services * sizeof(struct service_row) +
	       c->slots * ALIGN_UP((size_t)c->endpoints, SHADOWS_LINE) * sizeof(uint64_t);
}

static uint64_t
arena_layout(const struct counts *c)
{
	const uint64_t numbers[] = {ARENA_VERSION, sizeof(struct arena_head),
	    sizeof(struct endpoint_row), sizeof(struct service_row), sizeof(uint64_t), c->slots,
	    c->endpoints, c->services};

	return region_hash(ARRAY_LEN(numbers), numbers);
}

/* LMDB aligns to 16; a page begins at a page in every process, so this gives all the same place. */
static struct arena_head *
arena_place(void *value)
{
	return (void *)ALIGN_UP((uintptr_t)value, CACHE_LINE);
}

static void
arena_fill(void *value, size_t n UNUSED, void *arg)
{
	const struct counts *c = arg;
	struct arena_head *h = arena_place(value);

	h->layout = arena_layout(c);
	h->slots = c->slots;
	h->endpoints = c->endpoints;
	h->services = c->services;
	atomic_init(&h->endpoints_version, 1); /* 0: nothing seen */
	h->magic = ARENA_MAGIC;
}

int
arena_create(const char *dir, unsigned slots, unsigned endpoints, unsigned services,
    unsigned file_mode, const char **error_r)
{
	struct counts c = {.slots = slots, .endpoints = endpoints, .services = services};
	size_t size = arena_size(&c);

	if (size == 0) {
		snprintf(state.error, sizeof(state.error),
		    "arena: %u slots, %u endpoints, %u services: 1 to %u, %u and %u are allowed",
		    slots, endpoints, services, SLOTS_MAX, ROWS_MAX, ROWS_MAX);
		*error_r = state.error;
		return -1;
	}
	return db_value_create(
	    dir, MAX(size + CACHE_LINE, DB_VALUE_MIN), file_mode, arena_fill, &c, error_r);
}

/* Fits what the head says into the value's n octets? */
static bool
arena_check(const void *value, size_t n, const struct arena_head *h, struct counts *c_r)
{
	size_t before = (size_t)((const char *)h - (const char *)value), size;
	struct counts c = {.slots = h->slots, .endpoints = h->endpoints, .services = h->services};

	size = arena_size(&c);
	if (h->magic != ARENA_MAGIC || size == 0 || before + size > n ||
	    h->layout != arena_layout(&c))
		return false;
	*c_r = c;
	return true;
}

int
arena_open(const char *dir, struct arena **a_r, const char **error_r)
{
	struct arena_head *h;
	struct counts c;
	struct arena *a;
	struct db *db;
	void *value;
	size_t n;

	if (db_value_open(dir, &db, &value, &n, error_r) < 0)
		return -1;
	h = arena_place(value);
	if (!arena_check(value, n, h, &c)) {
		db_close(&db);
		snprintf(state.error, sizeof(state.error),
		    "arena %s: its layout is not this binary's (version %d)", dir, ARENA_VERSION);
		*error_r = state.error;
		return -1;
	}
	a = xcalloc(1, sizeof(*a));
	*a = (struct arena){.db = db,
	    .slots = c.slots,
	    .endpoints = c.endpoints,
	    .services = c.services,
	    .head = h,
	    .endpoint = (struct endpoint_row *)(h + 1),
	    .shadow_stride = ALIGN_UP((size_t)c.endpoints, SHADOWS_LINE)};
	a->service = (struct service_row *)(a->endpoint + c.endpoints);
	a->shadow = (_Atomic uint64_t *)(a->service + c.services);
	*a_r = a;
	return 1;
}

void
arena_close(struct arena **a)
{
	if (*a != NULL)
		db_close(&(*a)->db);
	free(*a);
	*a = NULL;
}

struct arena_head *
arena_head(struct arena *a)
{
	return a->head;
}

struct endpoint_row *
arena_endpoint(struct arena *a, uint32_t row)
{
	return row < a->endpoints ? &a->endpoint[row] : NULL;
}

struct service_row *
arena_service(struct arena *a, uint32_t row)
{
	return row < a->services ? &a->service[row] : NULL;
}

/* --- rows, by the keeper alone --- */

#define GET(field)    atomic_load_explicit(&(field), memory_order_acquire)
#define SET(field, v) atomic_store_explicit(&(field), (v), memory_order_relaxed)

static bool
row_in_use(const struct endpoint_row *e)
{
	return GET(e->incarnation) % 2 == 1;
}

/* Retired with version v: a worker that has seen none later may pick the row. */
static bool
row_free(const struct endpoint_row *e, uint64_t oldest_seen)
{
	if (row_in_use(e))
		return false;
	if (GET(e->incarnation) == 0)
		return true; /* never used */
	return GET(e->retired_version) < oldest_seen && GET(e->unsettled) == 0 &&
	       GET(e->inflight) == 0;
}

/* Everything but the incarnation; the sum in flight is zero and stays the shares' own. */
static void
row_reset(struct endpoint_row *e)
{
	SET(e->verdict, VERDICT_NONE);
	SET(e->verdict_until_us, 0);
	SET(e->weight, WEIGHT_UNSET);
	SET(e->flags, 0);
	SET(e->ejected_until_ms, 0);
	SET(e->fails, 0);
	SET(e->ejections, 0);
	SET(e->picks, 0);
	SET(e->failures, 0);
	SET(e->responses_5xx, 0);
	SET(e->retired_version, 0);
	SET(e->last_change_us, 0);
}

int
arena_endpoint_alloc(
    struct arena *a, uint64_t oldest_seen, uint32_t *row_r, uint32_t *incarnation_r)
{
	uint32_t row;
	struct endpoint_row *e;

	while (a->maybe_free < a->endpoints && row_in_use(&a->endpoint[a->maybe_free]))
		a->maybe_free++;
	for (row = a->maybe_free; row < a->endpoints; row++)
		if (row_free(&a->endpoint[row], oldest_seen))
			break;
	if (row == a->endpoints)
		return 0;
	e = &a->endpoint[row];
	row_reset(e);
	*incarnation_r = atomic_fetch_add_explicit(&e->incarnation, 1, memory_order_release) + 1;
	*row_r = row;
	return 1;
}

void
arena_endpoint_retire(struct arena *a, uint32_t row, uint64_t version)
{
	struct endpoint_row *e = arena_endpoint(a, row);

	if (e == NULL || !row_in_use(e))
		return;
	SET(e->retired_version, version);
	atomic_fetch_add_explicit(&e->incarnation, 1, memory_order_release);
	a->maybe_free = MIN(a->maybe_free, row);
}

void
arena_endpoints_changed(struct arena *a)
{
	atomic_fetch_add_explicit(&a->head->endpoints_version, 1, memory_order_release);
}

int
arena_service_alloc(struct arena *a, uint32_t *row_r)
{
	for (uint32_t row = 0; row < a->services; row++) {
		struct service_row *s = &a->service[row];

		if (GET(s->incarnation) % 2 == 1)
			continue;
		SET(s->ticket, 0);
		atomic_fetch_add_explicit(&s->incarnation, 1, memory_order_release);
		*row_r = row;
		return 1;
	}
	return 0;
}

void
arena_service_free(struct arena *a, uint32_t row)
{
	struct service_row *s = arena_service(a, row);

	if (s != NULL && GET(s->incarnation) % 2 == 1)
		atomic_fetch_add_explicit(&s->incarnation, 1, memory_order_release);
}

unsigned
arena_endpoints_used(struct arena *a)
{
	unsigned n = 0;

	for (uint32_t row = 0; row < a->endpoints; row++)
		n += row_in_use(&a->endpoint[row]);
	return n;
}
