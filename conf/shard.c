/* SPDX-License-Identifier: Apache-2.0
 *
 * See shard.h. Nothing is copied and nothing allocated: this is the request path.
 */
#include "conf/shard.h"

#include "shm/db.h"

#define FLAG_LISTENERS 1u
#define FLAG_OTHERS    2u
#define FLAGS_KNOWN    3u

static inline uint64_t
shard_u64(const struct shard *s, uint32_t at)
{
	uint64_t v;

	memcpy(&v, s->p + at, sizeof(v));
	return le64toh(v);
}

int
shard_child_at(const struct shard *s, const struct shard_node *n, unsigned i, struct str *text_r,
    uint32_t *at_r)
{
	uint32_t row = n->at + SHARD_NODE + i * SHARD_CHILD;
	uint16_t text = shard_u16(s, row), len = shard_u16(s, row + 2), at = shard_u16(s, row + 4);

	if (!shard_has(s, text, len) || at <= n->at)
		return -1;
	*text_r = str_n((const char *)s->p + text, len);
	*at_r = at;
	return 1;
}

int
shard_child(const struct shard *s, const struct shard_node *n, struct str text, uint32_t *at_r)
{
	unsigned lo = 0, hi = n->children;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		struct str have;
		uint32_t at;
		int order;

		if (shard_child_at(s, n, mid, &have, &at) < 0)
			return -1;
		order = str_cmp(text, have);
		if (order == 0) {
			*at_r = at;
			return 1;
		}
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return 0;
}

int
shard_any(const struct shard_node *n, uint32_t *at_r)
{
	if (n->any == 0)
		return 0;
	if (n->any <= n->at)
		return -1;
	*at_r = n->any;
	return 1;
}

int
shard_list(
    const struct shard *s, const struct shard_node *n, enum path_sort sort, struct shard_list *l_r)
{
	uint32_t at = n->list[sort];

	if (at == 0)
		return 0;
	if (!shard_has(s, at, 2))
		return -1;
	*l_r = (struct shard_list){.s = s, .at = at + 2, .left = shard_u16(s, at)};
	return 1;
}

static bool
take_names(struct shard_list *l, struct candidate *c)
{
	uint32_t start = l->at;

	for (unsigned i = 0; i < c->n_params; i++) {
		if (!shard_has(l->s, l->at, 1) || !shard_has(l->s, l->at, 1u + l->s->p[l->at]))
			return false;
		l->at += 1u + l->s->p[l->at];
	}
	c->names = str_n((const char *)l->s->p + start, l->at - start);
	return true;
}

static bool
take_options(struct shard_list *l, struct candidate *c, uint8_t flags)
{
	c->listeners = 0;
	c->others = STR_NONE;
	if ((flags & FLAG_LISTENERS) != 0) {
		if (!shard_has(l->s, l->at, 8))
			return false;
		c->listeners = shard_u64(l->s, l->at);
		l->at += 8;
	}
	if (!take_names(l, c))
		return false;
	if ((flags & FLAG_OTHERS) != 0) {
		uint32_t at = l->at;

		if (!shard_has(l->s, at, 1) || !shard_has(l->s, at, 1u + l->s->p[at]))
			return false;
		c->others = str_n((const char *)l->s->p + at + 1, l->s->p[at]);
		l->at += 1u + l->s->p[at];
	}
	return true;
}

int
shard_next(struct shard_list *l, struct candidate *c_r)
{
	uint8_t flags;

	if (l->left == 0)
		return 0;
	if (!shard_has(l->s, l->at, SHARD_CAND))
		return -1;
	c_r->route = shard_u32(l->s, l->at);
	c_r->methods = shard_u32(l->s, l->at + 4);
	c_r->priority = (int32_t)shard_u32(l->s, l->at + 8);
	c_r->conditions = shard_u16(l->s, l->at + 12);
	flags = l->s->p[l->at + 14];
	c_r->n_params = l->s->p[l->at + 15];
	l->at += SHARD_CAND;
	if ((flags & ~FLAGS_KNOWN) != 0 || c_r->n_params > PATH_SEGMENTS ||
	    !take_options(l, c_r, flags))
		return -1;
	l->left--;
	return 1;
}

int
candidate_name(struct str *names, struct str *name_r)
{
	size_t n;

	if (names->n == 0)
		return 0;
	n = (unsigned char)names->p[0];
	if (n + 1 > names->n)
		return -1;
	*name_r = str_n(names->p + 1, n);
	*names = str_n(names->p + 1 + n, names->n - 1 - n);
	return 1;
}

bool
candidate_takes(const struct candidate *c, uint32_t method, struct str name)
{
	struct str rest = c->others, word;

	if (c->methods == METHODS_ANY)
		return true;
	if (method != 0)
		return (c->methods & method) != 0;
	while (rest.n > 0 && str_cut(&rest, ' ', &word))
		if (str_eq(word, name))
			return true;
	return false;
}

size_t
shard_key_root(char *key, uint32_t host)
{
	return image_key_number(key, host).n;
}

size_t
shard_key_add(char *key, size_t n, struct str text, bool any)
{
	static const char marker[] = {SHARD_ANY};

	if (any)
		text = str_n(marker, 1);
	if (n + 1 + text.n > DB_KEY_MAX)
		return 0;
	key[n] = '/';
	if (text.n > 0)
		memcpy(key + n + 1, text.p, text.n);
	return n + 1 + text.n;
}
