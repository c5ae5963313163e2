/* SPDX-License-Identifier: Apache-2.0
 *
 * A request's host to host numbers: itself, then the wildcards above it from the longest to the
 * shortest. Only lengths that some wildcard has are looked up; names seen before in the same
 * snapshot are not looked up at all.
 */
#include "conf/hosts.h"
#include "conf/table_priv.h"

struct finder {
	struct table *t;
	struct host_level *v;
	unsigned n, cap;
};

static int
find_one(struct finder *f, struct str pattern, size_t from)
{
	uint32_t id, refs;
	struct str value;
	int got = db_get(f->t->txn, f->t->map.tab[MAP_HOST], pattern, &value);

	if (got <= 0)
		return got;
	if (host_decode(value, &id, &refs) < 0)
		return -1;
	if (f->n < f->cap)
		f->v[f->n++] = (struct host_level){.id = id, .from = (uint16_t)from};
	return 1;
}

static int
find_wildcards(struct finder *f, struct str host)
{
	unsigned labels = 1;
	char name[256];

	for (size_t i = 0; i < host.n; i++)
		labels += host.p[i] == '.';
	for (size_t i = 0; i < host.n; i++) {
		struct str rest;

		if (host.p[i] != '.')
			continue;
		labels--;
		if ((f->t->meta.wild & UINT64_C(1) << MIN(labels, 63u)) == 0)
			continue;
		rest = str_sub(host, i, host.n);
		name[0] = '*';
		memcpy(name + 1, rest.p, rest.n);
		if (find_one(f, str_n(name, rest.n + 1), i) < 0)
			return -1;
	}
	return 1;
}

static int
find_all(struct finder *f, struct str host)
{
	if (find_one(f, host, 0) < 0)
		return -1;
	return f->t->meta.wild == 0 ? 1 : find_wildcards(f, host);
}

static struct host_memory *
memory_of(struct table *t, struct str host)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < host.n; i++)
		h = (h ^ (unsigned char)host.p[i]) * 16777619u;
	return &t->hosts[(h ^ h >> 16) & (TABLE_HOSTS - 1)];
}

static bool
remembers(const struct host_memory *m, const struct table *t, struct str host)
{
	return m->txn_id == t->txn_id && m->len == host.n && memcmp(m->name, host.p, host.n) == 0;
}

int
table_host_levels(struct table *t, struct str host, struct host_level *v, unsigned cap)
{
	struct finder f = {.t = t, .v = v, .cap = cap};
	struct host_memory *m = NULL;

	if (t->meta.next_host == 0 || host.n == 0 || host.n > 253)
		return 0;
	if (host.n <= TABLE_HOST_OCTETS) {
		m = memory_of(t, host);
		if (remembers(m, t, host)) {
			memcpy(v, m->level, m->n * sizeof(*v));
			return m->n;
		}
	}
	if (find_all(&f, host) < 0)
		return -1;
	if (m == NULL || f.n > TABLE_LEVELS)
		return (int)f.n;
	m->txn_id = t->txn_id;
	m->n = (uint8_t)f.n;
	m->len = (uint8_t)host.n;
	memcpy(m->level, v, f.n * sizeof(*v));
	memcpy(m->name, host.p, host.n);
	return (int)f.n;
}
