/* SPDX-License-Identifier: Apache-2.0
 *
 * See hosts.h.
 */
#include "conf/hosts.h"

#include "shm/base/bug.h"
#include "shm/base/hash.h"
#include "shm/base/ws.h"

struct host {
	struct hnode node;
	struct str pattern;
	uint32_t id, refs;
	bool stored, dirty;
};

struct hosts {
	struct db_txn *txn;
	const struct map *map;
	struct map_meta *meta;
	struct ws ws;
	struct htab tab;
	/* of the flush */
	struct gbuf out;
	bool wild_changed;
	int ok;
	const char *error;
};

struct hosts *
hosts_new(struct db_txn *txn, const struct map *m, struct map_meta *meta)
{
	struct hosts *h = xcalloc(1, sizeof(*h));

	h->txn = txn;
	h->map = m;
	h->meta = meta;
	ws_init(&h->ws, NULL, 0);
	return h;
}

void
hosts_free(struct hosts **hp)
{
	struct hosts *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	htab_free(&h->tab);
	ws_free(&h->ws);
	gbuf_free(&h->out);
	free(h);
}

int
host_decode(struct str value, uint32_t *id_r, uint32_t *refs_r)
{
	struct str body;
	struct rbuf r;
	uint32_t id, refs;

	if (image_open(value, 'H', &body) < 0)
		return -1;
	r = rbuf_of(body);
	id = rbuf_u32(&r);
	refs = rbuf_u32(&r);
	if (!rbuf_done(&r))
		return -1;
	*id_r = id;
	*refs_r = refs;
	return 1;
}

unsigned
host_labels(struct str name)
{
	unsigned n = 1;

	for (size_t i = 0; i < name.n; i++)
		n += name.p[i] == '.';
	return MIN(n, 63u);
}

static bool
host_is(const struct hnode *n, const void *key)
{
	return str_eq(container_of(n, struct host, node)->pattern, *(const struct str *)key);
}

static int
host_load(struct hosts *h, struct host *host, const char **error_r)
{
	struct str value;
	int got = db_get(h->txn, h->map->tab[MAP_HOST], host->pattern, &value);

	if (got == 1 && host_decode(value, &host->id, &host->refs) == 1) {
		host->stored = true;
		return 1;
	}
	if (got == 0)
		return 1;
	*error_r = "a host's record is damaged";
	return -1;
}

static int
host_get(struct hosts *h, struct str pattern, struct host **host_r, const char **error_r)
{
	uint64_t hash = hash_keyed(pattern);
	struct hnode *n = htab_get(&h->tab, hash, host_is, &pattern);
	struct host *host;

	if (n != NULL) {
		*host_r = container_of(n, struct host, node);
		return 1;
	}
	host = ws_zalloc(&h->ws, sizeof(*host));
	if (host == NULL)
		oom_fail(sizeof(*host));
	host->pattern = ws_str(&h->ws, pattern);
	if (host_load(h, host, error_r) < 0)
		return -1;
	htab_put(&h->tab, &host->node, hash);
	*host_r = host;
	return 1;
}

int
hosts_ref(struct hosts *h, struct str pattern, uint32_t *id_r, const char **error_r)
{
	struct host *host;

	if (pattern.n == 0) {
		*id_r = HOST_ANY;
		return 1;
	}
	if (host_get(h, pattern, &host, error_r) < 0)
		return -1;
	if (host->refs == 0)
		host->id = ++h->meta->next_host;
	host->refs++;
	host->dirty = true;
	*id_r = host->id;
	return 1;
}

int
hosts_unref(struct hosts *h, struct str pattern, uint32_t *id_r, const char **error_r)
{
	struct host *host;

	if (pattern.n == 0) {
		*id_r = HOST_ANY;
		return 1;
	}
	if (host_get(h, pattern, &host, error_r) < 0)
		return -1;
	if (host->refs == 0) {
		*error_r = "a host's record is damaged: a route hangs on it, and it counts none";
		return -1;
	}
	host->refs--;
	host->dirty = true;
	*id_r = host->id;
	return 1;
}

static void
host_write(struct hnode *n, void *arg)
{
	struct host *host = container_of(n, struct host, node);
	db_table table = ((struct hosts *)arg)->map->tab[MAP_HOST];
	struct hosts *h = arg;
	size_t at;

	if (!host->dirty || h->ok < 0 || (host->refs == 0 && !host->stored))
		return;
	h->wild_changed |= host->pattern.p[0] == '*' && (host->refs == 0 || !host->stored);
	if (host->refs == 0) {
		h->ok = db_del(h->txn, table, host->pattern) >= 0 ? 1 : -1;
		h->error = "a host's record cannot be deleted";
		return;
	}
	h->out.n = 0;
	at = image_begin(&h->out, 'H');
	gbuf_u32(&h->out, host->id);
	gbuf_u32(&h->out, host->refs);
	image_end(&h->out, at);
	h->ok = db_put(h->txn, table, host->pattern, str_n(h->out.p, h->out.n), &h->error);
}

/* Which lengths of wildcards there are: all of them stand together in the table. */
static int
wild_scan(struct hosts *h, const char **error_r)
{
	struct str key, value, star = STR("*.");
	struct db_cursor *c = NULL;
	int got = db_cursor_at(h->txn, h->map->tab[MAP_HOST], star, &c, &key, &value);

	h->meta->wild = 0;
	while (got == 1 && str_starts(key, star)) {
		h->meta->wild |= UINT64_C(1) << host_labels(str_sub(key, 2, key.n));
		got = db_cursor_next(c, &key, &value);
	}
	db_cursor_free(&c);
	if (got < 0)
		*error_r = "the host table cannot be read";
	return got < 0 ? -1 : 1;
}

int
hosts_flush(struct hosts *h, const char **error_r)
{
	h->ok = 1;
	h->wild_changed = false;
	htab_each(&h->tab, host_write, h);
	if (h->ok < 0) {
		*error_r = h->error;
		return -1;
	}
	return h->wild_changed ? wild_scan(h, error_r) : 1;
}
