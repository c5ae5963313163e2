/* SPDX-License-Identifier: Apache-2.0
 *
 * See numbers.h.
 */
#include "conf/numbers.h"

#include "shm/base/bug.h"

#define LIST_KEPT 4096 /* numbers a commit leaves room for */

bool
bits_has(const struct bits *b, uint32_t i)
{
	return i / 64 < b->n && (b->v[i / 64] & UINT64_C(1) << i % 64) != 0;
}

void
bits_set(struct bits *b, uint32_t i)
{
	if (i / 64 >= b->n) {
		size_t n = MAX(b->n * 2, (size_t)i / 64 + 1);

		b->v = xrealloc(b->v, n * sizeof(*b->v));
		memset(b->v + b->n, 0, (n - b->n) * sizeof(*b->v));
		b->n = n;
	}
	b->v[i / 64] |= UINT64_C(1) << i % 64;
}

void
bits_clear(struct bits *b, uint32_t i)
{
	if (i / 64 < b->n)
		b->v[i / 64] &= ~(UINT64_C(1) << i % 64);
}

uint32_t
bits_first_free(const struct bits *b, uint32_t from)
{
	for (size_t w = from / 64; w < b->n; w++) {
		uint64_t unused = ~b->v[w];

		if (w == from / 64)
			unused &= ~UINT64_C(0) << from % 64;
		if (unused != 0)
			return (uint32_t)(w * 64 + (unsigned)__builtin_ctzll(unused));
	}
	return MAX(from, (uint32_t)(b->n * 64));
}

void
bits_free(struct bits *b)
{
	free(b->v);
	*b = (struct bits){.v = NULL};
}

static void
list_add(struct number_list *l, enum conf_kind kind, uint32_t number)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : l->cap * 2;
		l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->n].kind = kind;
	l->v[l->n++].number = number;
}

int
numbers_load(struct numbers *n, struct db_txn *t, const struct map *m)
{
	struct db_cursor *c = NULL;
	struct str key, value;
	int got = db_cursor_at(t, m->tab[MAP_OBJECT], STR_NONE, &c, &key, &value);

	for (; got == 1; got = db_cursor_next(c, &key, &value)) {
		uint32_t be;

		if (key.n != 5 || (unsigned char)key.p[0] >= CONF_KIND_COUNT) {
			got = -1;
			break;
		}
		memcpy(&be, key.p + 1, sizeof(be));
		bits_set(&n->used[(unsigned char)key.p[0]], be32toh(be));
	}
	db_cursor_free(&c);
	return got < 0 ? -1 : 1;
}

void
numbers_fini(struct numbers *n)
{
	for (unsigned i = 0; i < CONF_KIND_COUNT; i++)
		bits_free(&n->used[i]);
	free(n->taken.v);
	free(n->freed.v);
	*n = (struct numbers){.from = {0}};
}

uint32_t
numbers_take(struct numbers *n, enum conf_kind kind)
{
	uint32_t number = bits_first_free(&n->used[kind], MAX(n->from[kind], 1u));

	bits_set(&n->used[kind], number);
	n->from[kind] = number + 1;
	list_add(&n->taken, kind, number);
	return number;
}

void
numbers_give(struct numbers *n, enum conf_kind kind, uint32_t number)
{
	list_add(&n->freed, kind, number);
}

static void
list_release(struct numbers *n, const struct number_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		bits_clear(&n->used[l->v[i].kind], l->v[i].number);
		n->from[l->v[i].kind] = MIN(n->from[l->v[i].kind], l->v[i].number);
	}
}

static void
list_empty_out(struct number_list *l)
{
	l->n = 0;
	if (l->cap <= LIST_KEPT)
		return;
	free(l->v);
	*l = (struct number_list){.v = NULL};
}

void
numbers_commit(struct numbers *n)
{
	list_release(n, &n->freed);
	list_empty_out(&n->taken);
	list_empty_out(&n->freed);
}

void
numbers_abort(struct numbers *n)
{
	list_release(n, &n->taken);
	n->taken.n = n->freed.n = 0;
}
