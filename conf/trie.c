/* SPDX-License-Identifier: Apache-2.0
 *
 * See trie.h. Shards live in a hash table by key for the length of one transaction. One that
 * outgrew its page is cut at once, so that none in memory is large either; one that lost its last
 * route is deleted, and its parent counts one child less.
 */
#include "conf/trie_priv.h"

#include "shm/base/bug.h"
#include "shm/base/hash.h"

/* LMDB keeps key and value of a node in a leaf up to 2038 octets with a head of 8 (4 KiB pages);
 * beyond that the value takes whole pages of its own. */
#define LEAF_ROOM (IMAGE_AIM - 18)

struct tshard {
	struct hnode node;
	struct tshard *below, *beside; /* of the children seen: the last, and each one's elder */
	uint32_t n_below;
	struct str key;
	struct tnode *root;
	uint32_t outer;
	size_t size; /* octets of its image */
	bool outer_any, stored, dirty;
};

struct trie {
	struct db_txn *txn;
	db_table table;
	trie_who_f *who;
	void *arg;
	struct ws ws;
	struct htab shards;
	struct tshard top; /* the hosts' roots are below */
	unsigned written;
	bool damaged;
	char error[160];
};

struct trie *
trie_new(struct db_txn *txn, db_table shards, trie_who_f *who, void *arg)
{
	struct trie *t = xcalloc(1, sizeof(*t));

	t->txn = txn;
	t->table = shards;
	t->who = who;
	t->arg = arg;
	ws_init(&t->ws, NULL, 0);
	return t;
}

void
trie_free(struct trie **tp)
{
	struct trie *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	htab_free(&t->shards);
	ws_free(&t->ws);
	free(t);
}

static void *
make(struct trie *t, size_t n)
{
	void *p = ws_zalloc(&t->ws, n);

	if (p == NULL)
		oom_fail(n);
	return p;
}

/* --- shards ---------------------------------------------------------------------------------- */

static bool
node_is_empty(const struct tnode *n)
{
	return n->n == 0 && n->any == NULL && n->list[PATH_EXACT] == NULL &&
	       n->list[PATH_REGEX] == NULL && n->list[PATH_PREFIX] == NULL;
}

static bool
shard_is_empty(const struct tshard *s)
{
	return s->outer == 0 && node_is_empty(s->root);
}

static void
shard_measure(struct tshard *s)
{
	s->size = SHARD_ROOT + tnode_size(s->root);
}

static bool
shard_has_key(const struct hnode *n, const void *key)
{
	return str_eq(container_of(n, struct tshard, node)->key, *(const struct str *)key);
}

static struct tshard *
shard_new(struct trie *t, struct str key, struct tshard *above, struct tnode *root)
{
	struct tshard *s = make(t, sizeof(*s));

	s->key = ws_str(&t->ws, key);
	s->root = root != NULL ? root : make(t, sizeof(*root));
	shard_measure(s);
	htab_put(&t->shards, &s->node, hash_keyed(key));
	s->beside = above->below;
	above->below = s;
	above->n_below++;
	return s;
}

static int
shard_damaged(struct trie *t, const char **error_r)
{
	t->damaged = true;
	*error_r = "a piece of the routing table is damaged";
	return -1;
}

/* From the cache or the map; a new, empty one where there is none. 1 or -1. A parent that was not
 * in the map has no children there either. */
static int
shard_get(struct trie *t, struct str key, struct tshard *parent, struct tshard **s_r,
    const char **error_r)
{
	struct hnode *n = htab_get(&t->shards, hash_keyed(key), shard_has_key, &key);
	struct tnode *root = NULL;
	bool outer_any = false;
	uint32_t outer = 0;
	struct str value;
	int got;

	if (n != NULL) {
		*s_r = container_of(n, struct tshard, node);
		return 1;
	}
	got = parent != &t->top && !parent->stored ? 0 : db_get(t->txn, t->table, key, &value);
	if (got < 0)
		return shard_damaged(t, error_r);
	if (got == 1) {
		root = tnode_decode(value, &t->ws, &outer, &outer_any);
		if (root == NULL)
			return shard_damaged(t, error_r);
	}
	*s_r = shard_new(t, key, parent, root);
	(*s_r)->outer = outer;
	(*s_r)->outer_any = outer_any;
	(*s_r)->stored = got == 1;
	return 1;
}

static struct str
key_below(const struct tshard *s, struct str text, bool any, char *room)
{
	size_t n;

	memcpy(room, s->key.p, s->key.n);
	n = shard_key_add(room, s->key.n, text, any);
	BUG_ON(n == 0);
	return str_n(room, n);
}

/* --- nodes ----------------------------------------------------------------------------------- */

/* Index of the child with this text, or where it belongs. */
static bool
child_find(const struct tnode *n, struct str text, uint32_t *i_r)
{
	uint32_t lo = 0, hi = n->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		int order = str_cmp(text, n->child[mid]->text);

		if (order == 0) {
			*i_r = mid;
			return true;
		}
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	*i_r = lo;
	return false;
}

static void
child_insert(struct trie *t, struct tnode *n, uint32_t i, struct tnode *child)
{
	if (n->n == n->cap) {
		uint32_t cap = n->cap == 0 ? 4 : n->cap * 2;
		struct tnode **wider = make(t, cap * sizeof(*wider));

		if (n->n > 0)
			memcpy(wider, n->child, n->n * sizeof(*wider));
		n->child = wider;
		n->cap = cap;
	}
	memmove(n->child + i + 1, n->child + i, (n->n - i) * sizeof(*n->child));
	n->child[i] = child;
	n->n++;
}

/* The child within the shard; made when there is none and `s` is given, which then grows. */
static struct tnode *
child_get(struct trie *t, struct tshard *s, struct tnode *n, const struct path_segment *seg)
{
	struct tnode *child;
	uint32_t i = 0;

	if (seg->any && n->any != NULL)
		return n->any;
	if (!seg->any && child_find(n, seg->text, &i))
		return n->child[i];
	if (s == NULL)
		return NULL;
	child = make(t, sizeof(*child));
	s->size += SHARD_NODE;
	if (seg->any) {
		n->any = child;
		return child;
	}
	child->text = ws_str(&t->ws, seg->text);
	child_insert(t, n, i, child);
	s->size += SHARD_CHILD + child->text.n;
	return child;
}

/* Cuts a shard that outgrew its page: every child of the root gets a shard of its own. */
static void shard_cut(struct trie *t, struct tshard *s);

static void
child_out(struct trie *t, struct tshard *s, struct tnode *child, bool any)
{
	char room[DB_KEY_MAX];
	struct str key = key_below(s, child->text, any, room);
	struct hnode *n = htab_get(&t->shards, hash_keyed(key), shard_has_key, &key);
	struct tshard *out;

	if (n != NULL) { /* was there before the parent's children came home */
		out = container_of(n, struct tshard, node);
		out->root = child;
		out->outer = 0;
		out->outer_any = false;
		shard_measure(out);
	} else {
		out = shard_new(t, key, s, child);
	}
	out->dirty = true;
	s->outer++;
	s->outer_any |= any;
	shard_cut(t, out);
}

static void
shard_cut(struct trie *t, struct tshard *s)
{
	struct tnode *root = s->root;

	if (s->size + s->key.n <= LEAF_ROOM || s->outer > 0)
		return;
	for (uint32_t i = 0; i < root->n; i++)
		child_out(t, s, root->child[i], false);
	if (root->any != NULL)
		child_out(t, s, root->any, true);
	root->n = 0;
	root->any = NULL;
	shard_measure(s);
}

/* --- candidates ------------------------------------------------------------------------------ */

/* Equal in path, priority and conditions: the source's rank, then the id. */
static bool
who_before(struct trie *t, uint32_t a, uint32_t b)
{
	struct trie_who one = t->who(t->arg, a), other;
	char room[64];
	size_t n = MIN(one.id.n, sizeof(room));

	if (n > 0)
		memcpy(room, one.id.p, n);
	other = t->who(t->arg, b);
	if (one.rank != other.rank)
		return one.rank < other.rank;
	return str_cmp(str_n(room, n), other.id) < 0;
}

static bool
cand_before(struct trie *t, const struct candidate *a, const struct candidate *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	if (a->conditions != b->conditions)
		return a->conditions > b->conditions;
	return a->route != b->route && who_before(t, a->route, b->route);
}

static void
cand_insert(struct trie *t, struct tshard *s, struct tcand **list, const struct candidate *c)
{
	struct tcand *new = make(t, sizeof(*new));

	new->c = *c;
	new->c.names = ws_str(&t->ws, c->names);
	new->c.others = ws_str(&t->ws, c->others);
	s->size += tcand_size(c) + (*list == NULL ? 2 : 0);
	while (*list != NULL && !cand_before(t, c, &(*list)->c))
		list = &(*list)->next;
	new->next = *list;
	*list = new;
}

static bool
cand_remove(struct tcand **list, uint32_t route)
{
	bool found = false;

	while (*list != NULL) {
		if ((*list)->c.route == route) {
			*list = (*list)->next;
			found = true;
		} else {
			list = &(*list)->next;
		}
	}
	return found;
}

static int
too_large(struct trie *t, const struct tshard *s, const char **error_r)
{
	snprintf(t->error, sizeof(t->error),
	    "too many routes share this path: %zu octets, at most %d", s->size, IMAGE_MAX);
	*error_r = t->error;
	return -1;
}

/* --- what the keeper does -------------------------------------------------------------------- */

/* One segment further down, across shards. *n_r is NULL when there is nothing and nothing is made.
 */
static int
step(struct trie *t, struct tshard **s, struct tnode **n, const struct path_segment *seg, bool add,
    const char **error_r)
{
	char room[DB_KEY_MAX];
	struct tshard *next;

	if ((*s)->outer == 0) {
		*n = child_get(t, add ? *s : NULL, *n, seg);
		return 1;
	}
	if (shard_get(t, key_below(*s, seg->text, seg->any, room), *s, &next, error_r) < 0)
		return -1;
	if (shard_is_empty(next)) {
		*n = NULL;
		if (!add)
			return 1;
		(*s)->outer++;
		(*s)->outer_any |= seg->any;
		(*s)->dirty = true;
	}
	*s = next;
	*n = next->root;
	return 1;
}

static int
host_root(struct trie *t, uint32_t host, struct tshard **s_r, const char **error_r)
{
	char key[DB_KEY_MAX];

	return shard_get(t, str_n(key, shard_key_root(key, host)), &t->top, s_r, error_r);
}

int
trie_add(struct trie *t, uint32_t host, const struct path *p, const struct candidate *c,
    const char **error_r)
{
	struct tshard *s;
	struct tnode *n;

	if (host_root(t, host, &s, error_r) < 0)
		return -1;
	n = s->root;
	for (unsigned i = 0; i < p->n; i++)
		if (step(t, &s, &n, &p->seg[i], true, error_r) < 0)
			return -1;
	cand_insert(t, s, &n->list[p->sort], c);
	s->dirty = true;
	if (s->outer == 0 || s->size > IMAGE_MAX)
		shard_cut(t, s);
	return s->size > IMAGE_MAX ? too_large(t, s, error_r) : 1;
}

struct trail {
	struct tshard *shard;
	struct tnode *node;
};

static void
node_unhook(struct tnode *parent, struct tnode *child)
{
	uint32_t i;

	if (parent->any == child) {
		parent->any = NULL;
		return;
	}
	if (!child_find(parent, child->text, &i) || parent->child[i] != child)
		return;
	parent->n--;
	memmove(parent->child + i, parent->child + i + 1, (parent->n - i) * sizeof(*parent->child));
}

/* Takes away what became empty, from the end of the trail towards the root. */
static void
prune(struct trail *trail, const struct path *p)
{
	for (unsigned i = p->n; i > 0; i--) {
		struct trail *at = &trail[i], *up = &trail[i - 1];

		if (!node_is_empty(at->node))
			return;
		if (at->shard == up->shard) {
			node_unhook(up->node, at->node);
			shard_measure(up->shard);
		} else {
			if (at->shard->outer > 0)
				return;
			up->shard->outer--;
			if (p->seg[i - 1].any)
				up->shard->outer_any = false;
			up->shard->dirty = true;
		}
	}
}

int
trie_remove(
    struct trie *t, uint32_t host, const struct path *p, uint32_t route, const char **error_r)
{
	struct trail trail[PATH_SEGMENTS + 1];
	struct tshard *s;
	struct tnode *n;

	if (host_root(t, host, &s, error_r) < 0)
		return -1;
	n = s->root;
	trail[0] = (struct trail){s, n};
	for (unsigned i = 0; i < p->n; i++) {
		if (step(t, &s, &n, &p->seg[i], false, error_r) < 0)
			return -1;
		if (n == NULL)
			return 0;
		trail[i + 1] = (struct trail){s, n};
	}
	if (!cand_remove(&n->list[p->sort], route))
		return 0;
	s->dirty = true;
	shard_measure(s);
	prune(trail, p);
	return 1;
}

/* --- writing --------------------------------------------------------------------------------- */

static int
by_key(const void *a, const void *b)
{
	const struct tshard *const *x = a, *const *y = b;

	return str_cmp((*x)->key, (*y)->key);
}

static int
shard_write(struct trie *t, struct tshard *s, struct gbuf *out, const char **error_r)
{
	t->written++;
	if (shard_is_empty(s)) {
		if (!s->stored || db_del(t->txn, t->table, s->key) >= 0)
			return 1;
		*error_r = "a piece of the routing table cannot be deleted";
		return -1;
	}
	out->n = 0;
	tnode_encode(s->root, s->outer, s->outer_any, out);
	if (!s->stored)
		return db_append(t->txn, t->table, s->key, str_n(out->p, out->n), error_r);
	return db_put(t->txn, t->table, s->key, str_n(out->p, out->n), error_r);
}

/* Sorted where each hangs, which is next to the order of all keys: few are near each other, and
 * many are compared with those alone. */
static int
shards_write(struct trie *t, const struct tshard *above, struct gbuf *out, const char **error_r)
{
	struct tshard **v = xcalloc(MAX(above->n_below, 1u), sizeof(*v));
	uint32_t n = 0;
	int ok = 1;

	for (struct tshard *s = above->below; s != NULL; s = s->beside)
		v[n++] = s;
	qsort(v, n, sizeof(*v), by_key);
	for (uint32_t i = 0; i < n && ok == 1; i++) {
		if (v[i]->dirty)
			ok = shard_write(t, v[i], out, error_r);
		if (ok == 1 && v[i]->n_below > 0)
			ok = shards_write(t, v[i], out, error_r);
	}
	free(v);
	return ok;
}

int
trie_flush(struct trie *t, const char **error_r)
{
	struct gbuf out = {0};
	int ok = shards_write(t, &t->top, &out, error_r);

	gbuf_free(&out);
	return ok;
}

bool
trie_damaged(const struct trie *t)
{
	return t->damaged;
}

unsigned
trie_written(const struct trie *t)
{
	return t->written;
}
