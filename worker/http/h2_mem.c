/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for nghttp2, which takes and gives back some twenty pieces for an exchange: lists of free
 * ones by size. What lies about unused is freed again by h2_mem_trim; large pieces, and all of them
 * under a sanitizer, are malloc's.
 */
#include "worker/http/h2_priv.h"

#include "shm/base/asan.h"
#include "shm/base/base.h"
#include "shm/base/bug.h"

#define STEP      16u
#define KEPT_MOST (64u * 1024) /* octets of a size */

/* Before each piece; what is handed out stays aligned as malloc's. */
struct h2_chunk {
	alignas(STEP) struct h2_chunk *next;
	size_t row; /* 0: malloc's own */
};

static size_t
row_of(size_t n)
{
#ifdef __SANITIZE_ADDRESS__
	return 0;
#endif
	return n <= (H2_MEM_ROWS - 1) * STEP ? (n + STEP - 1) / STEP : 0;
}

static void *
mem_malloc(size_t n, void *arg)
{
	struct h2_mem *m = arg;
	size_t row = row_of(n);
	struct h2_chunk *c = m->free[row];

	if (c != NULL) { /* never in row 0 */
		m->free[row] = c->next;
		m->n_free[row]--;
		return c + 1;
	}
	if (n > SIZE_MAX / 2)
		return NULL;
	c = xmalloc(sizeof(*c) + (row > 0 ? row * STEP : n));
	c->row = row;
	return c + 1;
}

static void
mem_free(void *p, void *arg)
{
	struct h2_mem *m = arg;
	struct h2_chunk *c = p;

	if (c == NULL)
		return;
	c--;
	if (c->row == 0 || m->n_free[c->row] * c->row * STEP >= KEPT_MOST) {
		free(c);
		return;
	}
	c->next = m->free[c->row];
	m->free[c->row] = c;
	m->n_free[c->row]++;
}

static void *
mem_calloc(size_t n, size_t size, void *arg)
{
	void *p = size > 0 && n > SIZE_MAX / 2 / size ? NULL : mem_malloc(n * size, arg);

	return p == NULL ? NULL : memset(p, 0, n * size);
}

static void *
mem_realloc(void *old, size_t n, void *arg)
{
	struct h2_chunk *c = old;
	void *p;

	if (c == NULL)
		return mem_malloc(n, arg);
	c--;
	if (c->row > 0 && n <= c->row * STEP)
		return old;
	if (c->row == 0 && row_of(n) == 0) {
		return n > SIZE_MAX / 2 ? NULL : (struct h2_chunk *)xrealloc(c, sizeof(*c) + n) + 1;
	}
	p = mem_malloc(n, arg);
	if (p == NULL)
		return NULL;
	memcpy(p, old, c->row > 0 ? MIN(n, c->row * STEP) : n);
	mem_free(old, arg);
	return p;
}

void
h2_mem_init(struct h2_mem *m)
{
	*m = (struct h2_mem){.ops = {.mem_user_data = m,
				 .malloc = mem_malloc,
				 .free = mem_free,
				 .calloc = mem_calloc,
				 .realloc = mem_realloc}};
}

unsigned
h2_mem_trim(struct h2_mem *m, unsigned keep)
{
	unsigned freed = 0;

	for (size_t row = 1; row < H2_MEM_ROWS; row++) {
		unsigned n = m->n_free[row] > keep ? (m->n_free[row] - keep + 1) / 2 : 0;

		for (unsigned i = 0; i < n; i++) {
			struct h2_chunk *c = m->free[row];

			m->free[row] = c->next;
			free(c);
		}
		m->n_free[row] -= n;
		freed += n;
	}
	return freed;
}

void
h2_mem_fini(struct h2_mem *m)
{
	while (h2_mem_trim(m, 0) > 0)
		;
}
