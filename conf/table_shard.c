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

static uint64_t
hash_of(struct str key)
{
	uint64_t h = key.n, word;
	size_t at = 0;

	for (; key.n - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, key.p + at, sizeof(word));
		h = hash_step(h, word);
	}
	word = 0;
	memcpy(&word, key.p + at, key.n - at);
	return hash_step(h, word);
}

void
table_shards_forget(struct table *t)
{
	free(t->shards.set);
	t->shards.set = NULL;
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
	if (m->set == NULL || ++m->epoch == 0)
		memory_make(m, m->set == NULL ? TABLE_SHARDS_MIN : m->n_sets);
}

static bool
place_is(const struct shard_place *p, const struct shard_memory *m, uint16_t tag, struct str key)
{
	return p->tag == tag && p->epoch == m->epoch && p->key_n == key.n &&
	       memcmp(p->key, key.p, key.n) == 0;
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
	for (unsigned i = 0; i < TABLE_SHARD_WAYS && p->epoch == m->epoch; i++)
		if (s->way[i].epoch != m->epoch)
			p = &s->way[i];
	*p = (struct shard_place){
	    .key = value.p - key.n,
	    .key_n = (uint16_t)key.n,
	    .n = (uint16_t)value.n,
	    .tag = (uint16_t)(hash >> 48),
	    .epoch = m->epoch,
	};
}

int
table_shard(struct table *t, struct str key, struct str *value_r)
{
	struct shard_memory *m = &t->shards;
	uint64_t hash = hash_of(key);
	struct shard_set *s;
	int got;

	if (unlikely(m->txn_id != t->txn_id || m->set == NULL))
		memory_follow(m, t->txn_id);
	s = &m->set[hash & (m->n_sets - 1)];
	for (unsigned i = 0; i < TABLE_SHARD_WAYS; i++)
		if (place_is(&s->way[i], m, (uint16_t)(hash >> 48), key)) {
			*value_r = str_n(s->way[i].key + key.n, s->way[i].n);
			return 1;
		}
	got = db_get(t->txn, t->map.tab[MAP_SHARD], key, value_r);
	if (got == 1)
		memory_keep(m, hash, key, *value_r);
	return got;
}
