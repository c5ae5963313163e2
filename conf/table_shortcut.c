/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks that begin further down. Paths of one host mostly begin alike, and a walk comes through the
 * same shards each time, of which the upper ones have nothing to offer and leave nothing to choose.
 * Where such a way led is remembered by its beginning, as long as the snapshot is the same.
 *
 * A shortcut that paths do not go by is given up when it was passed by as often as used. What comes
 * next in its place is no longer than what both paths have in common, so that it is used by both.
 */
#include "conf/table_priv.h"

#define USES_MAX 200

/* Paths too short for this have little to gain. */
#define BEGINNING sizeof(uint64_t)

static struct shortcut *
shortcut_of(struct table *t, uint32_t host, struct str path)
{
	uint64_t word;

	memcpy(&word, path.p, sizeof(word));
	word = (word ^ host) * UINT64_C(0x9e3779b97f4a7c15);
	return &t->shortcuts[word >> 32 & (TABLE_SHORTCUTS - 1)];
}

static size_t
common(struct str a, struct str b)
{
	size_t i = 0;

	while (i < a.n && i < b.n && a.p[i] == b.p[i])
		i++;
	return i;
}

/* Does this path go by it? */
static bool
shortcut_fits(const struct shortcut *c, uint32_t host, struct str path)
{
	return c->host == host && path.n > c->path_n && path.p[c->path_n] == '/' &&
	       memcmp(c->path, path.p, c->path_n) == 0;
}

const struct shortcut *
table_shortcut(struct table *t, uint32_t host, struct str path, struct shortcut **learn_r)
{
	struct shortcut *c;
	bool is;

	*learn_r = NULL;
	if (path.n < BEGINNING)
		return NULL;
	c = shortcut_of(t, host, path);
	is = c->txn_id == t->txn_id;
	if (is && shortcut_fits(c, host, path)) {
		c->uses += c->uses < USES_MAX;
		return c;
	}
	if (is && c->uses > 0) {
		c->uses--;
		return NULL;
	}
	c->most = SHORTCUT_OCTETS;
	if (is && c->host == host)
		c->most = (uint8_t)common(path, str_n(c->path, c->path_n));
	c->txn_id = 0;
	*learn_r = c;
	return NULL;
}

bool
table_shortcut_learn(struct table *t, struct shortcut *c, uint32_t host, struct str path)
{
	if (path.n > c->most)
		return false;
	c->txn_id = t->txn_id;
	c->host = host;
	c->uses = 0;
	c->path_n = (uint8_t)path.n;
	memcpy(c->path, path.p, path.n);
	return true;
}
