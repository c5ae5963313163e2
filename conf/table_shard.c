/* SPDX-License-Identifier: Apache-2.0
 *
 * Shards by key. A walk looks up each shard on its path, the upper ones with every request: where
 * they lie is remembered as long as the snapshot is the same, for its pages stay what they are.
 * Only what was found is: who asks for what is not there takes no place. Larger as more is
 * remembered.
 */
#include "conf/table_priv.h"
#include "shm/base/bug.h"

_Static_assert(sizeof(struct shard_set) == CACHE_LINE, "one miss for a shard");

static uint64_t
hash_step(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

/* Up to eight octets as a word: short ones as pieces that may lie over each other. With their
 * number it says which they are. */
static inline uint64_t
word_of(const char *p, size_t n)
{
	uint64_t word = 0;
	uint32_t low, high;

	if (n >= sizeof(low)) {
		memcpy(&low, p, sizeof(low));
		memcpy(&high, p + n - sizeof(high), sizeof(high));
		return low | (uint64_t)high << 32;
	}
	for (size_t i = 0; i < n; i++)
		word = word << 8 | (unsigned char)p[i];
	return word;
}

/* What is left over when words are taken off the front counts as much as they do. */
uint64_t
table_shard_hash(uint64_t h, struct str text)
{
	uint64_t word;

	h += text.n;
	for (; text.n > sizeof(word); text.p += sizeof(word), text.n -= sizeof(word)) {
		memcpy(&word, text.p, sizeof(word));
		h = hash_step(h, word);
	}
	return hash_step(h, word_of(text.p, text.n));
}

void
table_shards_forget(struct table *t)
{
	free(t->shards.set);
	free(t->shards.copies);
	t->shards.set = NULL;
	t->shards.copies = NULL;
}

static void
memory_make(struct shard_memory *m, uint32_t n_sets)
{
	free(m->set);
	m->set = aligned_alloc(CACHE_LINE, n_sets * sizeof(*m->set));
	if (m->set == NULL)
		oom_fail(n_sets * sizeof(*m->set));
	memset(m->set, 0, n_sets * sizeof(*m->set));
	m->n_sets = n_sets;
	m->stored = 0;
	m->epoch = 1;
}

/* Epochs come round: then all is cleared, once in 65,535 snapshots. */
static void
memory_follow(struct shard_memory *m, uint64_t txn_id)
{
	m->txn_id = txn_id;
	m->stored = 0;
	m->copied = 0; /* shortcuts that lead to one are of that snapshot as well */
	if (m->copies == NULL)
		m->copies = xmalloc(TABLE_SHARD_COPIES);
	if (m->set == NULL || ++m->epoch == 0)
		memory_make(m, m->set == NULL ? TABLE_SHARDS_MIN : m->n_sets);
}

/* What a place is about, without the length of the value: one comparison, for each way of a set. */
static inline uint64_t
place_what(const struct shard_memory *m, uint64_t hash, size_t key_n)
{
	return hash >> 48 << 48 | (uint64_t)m->epoch << 32 | (uint64_t)key_n << 16;
}

static inline uint16_t
place_epoch(const struct shard_place *p)
{
	return (uint16_t)(p->what >> 32);
}

/* Keys of the same length. */
static inline bool
key_same(const char *a, const char *b, size_t n)
{
	uint64_t x, y;

	if (n <= sizeof(x))
		return word_of(a, n) == word_of(b, n);
	for (size_t at = 0; at < n; at += sizeof(x)) {
		size_t from = MIN(at, n - sizeof(x));

		memcpy(&x, a + from, sizeof(x));
		memcpy(&y, b + from, sizeof(y));
		if (x != y)
			return false;
	}
	return true;
}

/* Key and value, one behind the other, where they lie from now on. */
static const char *
memory_copy(struct shard_memory *m, struct str key, struct str value)
{
	size_t n = key.n + value.n;
	char *at = m->copies + m->copied;

	if (n > TABLE_SHARD_COPY || n > TABLE_SHARD_COPIES - m->copied)
		return value.p - key.n;
	m->copied += (uint32_t)n;
	memcpy(at, key.p, key.n);
	memcpy(at + key.n, value.p, value.n);
	return at;
}

/* LMDB has a value right behind its key, unless it is too long for a page. Where the octets in
 * front of it are not the key, nothing is remembered. */
static void
memory_keep(struct shard_memory *m, uint64_t hash, struct str key, struct str value)
{
	struct shard_set *s;
	struct shard_place *p;

	if (value.n > IMAGE_AIM || memcmp(value.p - key.n, key.p, key.n) != 0)
		return;
	if (m->stored++ >= m->n_sets * 3 && m->n_sets < TABLE_SHARDS_MAX)
		memory_make(m, m->n_sets * 4);
	s = &m->set[hash & (m->n_sets - 1)];
	p = &s->way[m->stored % TABLE_SHARD_WAYS];
	for (unsigned i = 0; i < TABLE_SHARD_WAYS && place_epoch(p) == m->epoch; i++)
		if (place_epoch(&s->way[i]) != m->epoch)
			p = &s->way[i];
	p->key = memory_copy(m, key, value);
	p->what = place_what(m, hash, key.n) | value.n;
}

static int
shard_read(struct table *t, uint64_t hash, struct str key, struct str *value_r)
{
	int got = db_get(t->txn, t->map.tab[MAP_SHARD], key, value_r);

	if (got == 1)
		memory_keep(&t->shards, hash, key, *value_r);
	return got;
}

int
table_shard(struct table *t, uint64_t hash, struct str key, struct str *value_r)
{
	struct shard_memory *m = &t->shards;
	const struct shard_place *p;
	uint64_t what;

	if (unlikely(m->txn_id != t->txn_id || m->set == NULL))
		memory_follow(m, t->txn_id);
	what = place_what(m, hash, key.n);
	p = m->set[hash & (m->n_sets - 1)].way;
	for (unsigned i = 0; i < TABLE_SHARD_WAYS; i++, p++)
		if ((p->what ^ what) <= UINT16_MAX && key_same(p->key, key.p, key.n)) {
			*value_r = str_n(p->key + key.n, (uint16_t)p->what);
			return 1;
		}
	return shard_read(t, hash, key, value_r);
}
