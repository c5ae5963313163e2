/* SPDX-License-Identifier: Apache-2.0
 *
 * Shards to and from bytes (image.h draws them). Decoding goes through the readers' accessors, so
 * there is one notion of what is well formed.
 */
#include "conf/trie_priv.h"

#include "shm/base/bug.h"

size_t
tcand_size(const struct candidate *c)
{
	return SHARD_CAND + (c->listeners != 0 ? 8 : 0) + c->names.n +
	       (c->others.n > 0 ? 1 + c->others.n : 0);
}

size_t
tnode_size(const struct tnode *n)
{
	size_t size = SHARD_NODE;

	for (unsigned i = 0; i < PATH_SORTS; i++) {
		size += n->list[i] != NULL ? 2 : 0;
		for (const struct tcand *c = n->list[i]; c != NULL; c = c->next)
			size += tcand_size(&c->c);
	}
	for (uint32_t i = 0; i < n->n; i++)
		size += SHARD_CHILD + n->child[i]->text.n + tnode_size(n->child[i]);
	return size + (n->any != NULL ? tnode_size(n->any) : 0);
}

/* --- to bytes -------------------------------------------------------------------------------- */

struct encoder {
	struct gbuf *out;
	size_t start;
};

static void
patch16(struct encoder *e, size_t at, size_t v)
{
	uint16_t le = htole16((uint16_t)v);

	memcpy(e->out->p + e->start + at, &le, sizeof(le));
}

static size_t
here(const struct encoder *e)
{
	return e->out->n - e->start;
}

static void
put_cand(struct encoder *e, const struct candidate *c)
{
	gbuf_u32(e->out, c->route);
	gbuf_u32(e->out, c->methods);
	gbuf_u32(e->out, (uint32_t)c->priority);
	gbuf_u16(e->out, c->conditions);
	gbuf_u8(e->out, (uint8_t)((c->listeners != 0 ? 1 : 0) | (c->others.n > 0 ? 2 : 0)));
	gbuf_u8(e->out, c->n_params);
	if (c->listeners != 0)
		gbuf_u64(e->out, c->listeners);
	gbuf_str(e->out, c->names);
	if (c->others.n > 0) {
		gbuf_u8(e->out, (uint8_t)c->others.n);
		gbuf_str(e->out, c->others);
	}
}

static void
put_list(struct encoder *e, const struct tcand *first)
{
	size_t at = here(e), n = 0;

	gbuf_u16(e->out, 0);
	for (const struct tcand *c = first; c != NULL; c = c->next, n++)
		put_cand(e, &c->c);
	patch16(e, at, n);
}

static void
put_zeroes(struct encoder *e, size_t n)
{
	while (n-- > 0)
		gbuf_u8(e->out, 0);
}

static void
put_node(struct encoder *e, const struct tnode *n)
{
	size_t at = here(e);

	put_zeroes(e, SHARD_NODE + SHARD_CHILD * (size_t)n->n);
	patch16(e, at, n->n);
	for (unsigned i = 0; i < PATH_SORTS; i++) {
		if (n->list[i] == NULL)
			continue;
		patch16(e, at + 4 + 2 * i, here(e));
		put_list(e, n->list[i]);
	}
	for (uint32_t i = 0; i < n->n; i++) {
		size_t row = at + SHARD_NODE + SHARD_CHILD * (size_t)i;

		patch16(e, row, here(e));
		patch16(e, row + 2, n->child[i]->text.n);
		gbuf_str(e->out, n->child[i]->text);
		patch16(e, row + 4, here(e));
		put_node(e, n->child[i]);
	}
	if (n->any != NULL) {
		patch16(e, at + 2, here(e));
		put_node(e, n->any);
	}
}

void
tnode_encode(const struct tnode *root, uint32_t outer, bool outer_any, struct gbuf *out)
{
	struct encoder e = {.out = out, .start = image_begin(out, 'S')};

	gbuf_u32(out, outer | (outer_any ? SHARD_OUTER_ANY : 0));
	put_node(&e, root);
	image_end(out, e.start);
	BUG_ON(here(&e) > IMAGE_MAX);
}

/* --- from bytes ------------------------------------------------------------------------------ */

struct decoder {
	struct shard s;
	struct ws *ws;
	uint32_t budget; /* nodes that can really be in so many octets */
};

static int
get_list(struct decoder *d, const struct shard_node *at, enum path_sort sort, struct tcand **to)
{
	struct shard_list l = {.left = 0};
	struct candidate c;
	int got = shard_list(&d->s, at, sort, &l);

	if (got <= 0)
		return got;
	while ((got = shard_next(&l, &c)) == 1) {
		*to = ws_zalloc(d->ws, sizeof(**to));
		if (*to == NULL)
			return -1;
		(*to)->c = c;
		to = &(*to)->next;
	}
	return got;
}

static struct tnode *get_node(struct decoder *d, uint32_t at);

static int
get_children(struct decoder *d, const struct shard_node *from, struct tnode *n)
{
	n->n = n->cap = from->children;
	n->child = ws_zalloc(d->ws, MAX(n->n, 1u) * sizeof(*n->child));
	if (n->child == NULL)
		return -1;
	for (unsigned i = 0; i < n->n; i++) {
		struct str text;
		uint32_t at;

		if (shard_child_at(&d->s, from, i, &text, &at) < 0 ||
		    (i > 0 && str_cmp(n->child[i - 1]->text, text) >= 0))
			return -1;
		n->child[i] = get_node(d, at);
		if (n->child[i] == NULL)
			return -1;
		n->child[i]->text = text;
	}
	return 1;
}

static struct tnode *
get_node(struct decoder *d, uint32_t at)
{
	struct tnode *n = ws_zalloc(d->ws, sizeof(*n));
	struct shard_node from;
	uint32_t any;
	int got;

	if (n == NULL || d->budget-- == 0 || shard_node(&d->s, at, &from) < 0)
		return NULL;
	for (unsigned i = 0; i < PATH_SORTS; i++)
		if (get_list(d, &from, (enum path_sort)i, &n->list[i]) < 0)
			return NULL;
	if (get_children(d, &from, n) < 0)
		return NULL;
	got = shard_any(&from, &any);
	if (got == 1)
		n->any = get_node(d, any);
	return got < 0 || (got == 1 && n->any == NULL) ? NULL : n;
}

struct tnode *
tnode_decode(struct str value, struct ws *ws, uint32_t *outer_r, bool *outer_any_r)
{
	struct decoder d = {.ws = ws, .budget = (uint32_t)(value.n / SHARD_NODE) + 1};
	struct tnode *root;

	if (value.n > IMAGE_MAX || shard_open(ws_str(ws, value), &d.s) < 0)
		return NULL;
	root = get_node(&d, SHARD_ROOT);
	if (root == NULL)
		return NULL;
	*outer_r = d.s.outer;
	*outer_any_r = d.s.outer_any;
	return root;
}
