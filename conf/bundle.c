/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a bundle in place. Opening looks at the header and whether the tables lie inside; each
 * access checks the slices it hands out. Layout: bundle_priv.h.
 */
#include "conf/bundle.h"

#include <sys/mman.h>

#include "conf/bundle_priv.h"
#include "conf/sealed.h"
#include "shm/base/buf.h"
#include "shm/base/bug.h"

struct bundle {
	unsigned refs;
	uint32_t n_certs, n_names, n_blobs;
	struct digest digest;
	struct str map;
	struct str certs, names, blobs, pool; /* parts of map */
};

/* --- opening ---------------------------------------------------------------------------------- */

static struct str
cut_table(struct str *rest, uint32_t n, size_t row)
{
	struct str table = str_sub(*rest, 0, n * row);

	*rest = str_sub(*rest, table.n, rest->n);
	return table;
}

static struct digest
read_digest(struct rbuf *r)
{
	struct str s = rbuf_bytes(r, sizeof(struct digest));
	struct digest d = {{0}};

	if (s.n == sizeof(d))
		memcpy(&d, s.p, sizeof(d));
	return d;
}

static const char *
read_head(struct bundle *b)
{
	struct rbuf r = rbuf_of(str_sub(b->map, 0, BUNDLE_HEAD));
	struct str magic = rbuf_bytes(&r, sizeof(BUNDLE_MAGIC) - 1);
	uint32_t version = rbuf_u32(&r);
	uint64_t size, tables;

	b->n_certs = rbuf_u32(&r);
	b->n_names = rbuf_u32(&r);
	b->n_blobs = rbuf_u32(&r);
	size = rbuf_u64(&r);
	b->digest = read_digest(&r);
	if (!rbuf_done(&r) || !str_eq(magic, STR(BUNDLE_MAGIC)))
		return "not a bundle";
	if (version != BUNDLE_VERSION)
		return "a bundle of another version";
	tables = BUNDLE_HEAD + (uint64_t)b->n_certs * BUNDLE_CERT +
		 (uint64_t)b->n_names * BUNDLE_NAME + (uint64_t)b->n_blobs * BUNDLE_BLOB;
	if (size != b->map.n || tables > size || b->n_certs > BUNDLE_CERTS)
		return "malformed";
	return NULL;
}

struct bundle *
bundle_open(int fd, const char **error_r)
{
	struct bundle *b = xcalloc(1, sizeof(*b));
	const char *wrong;

	b->refs = 1;
	if (sealed_map(fd, BUNDLE_MAX, &b->map, error_r) < 0) {
		free(b);
		return NULL;
	}
	/* Neither in a core file nor in a child; that it could not be is no reason to stop. */
	(void)madvise((void *)(uintptr_t)b->map.p, b->map.n, MADV_DONTDUMP);
	(void)madvise((void *)(uintptr_t)b->map.p, b->map.n, MADV_DONTFORK);
	wrong = read_head(b);
	if (wrong != NULL) {
		*error_r = wrong;
		bundle_unref(&b);
		return NULL;
	}
	b->pool = str_sub(b->map, BUNDLE_HEAD, b->map.n);
	b->certs = cut_table(&b->pool, b->n_certs, BUNDLE_CERT);
	b->names = cut_table(&b->pool, b->n_names, BUNDLE_NAME);
	b->blobs = cut_table(&b->pool, b->n_blobs, BUNDLE_BLOB);
	return b;
}

struct bundle *
bundle_ref(struct bundle *b)
{
	b->refs++;
	return b;
}

void
bundle_unref(struct bundle **bp)
{
	struct bundle *b = *bp;

	*bp = NULL;
	if (b == NULL || --b->refs > 0)
		return;
	sealed_unmap(&b->map);
	free(b);
}

struct digest
bundle_digest(const struct bundle *b)
{
	return b->digest;
}

/* --- rows ------------------------------------------------------------------------------------- */

static struct rbuf
row_at(struct str table, uint32_t i, size_t size)
{
	return rbuf_of(str_sub(table, i * size, (i + 1) * size));
}

static struct str
read_slice(const struct bundle *b, struct rbuf *r)
{
	uint32_t at = rbuf_u32(r), n = rbuf_u32(r);

	if (r->bad || at > b->pool.n || n > b->pool.n - at) {
		r->bad = true;
		return STR_NONE;
	}
	return str_n(b->pool.p + at, n);
}

struct blob {
	enum bundle_kind kind;
	struct str ref, octets;
	struct digest digest;
};

static int
blob_at(const struct bundle *b, uint32_t i, struct blob *o_r)
{
	struct rbuf r = row_at(b->blobs, i, BUNDLE_BLOB);
	struct blob o;

	o.ref = read_slice(b, &r);
	o.octets = read_slice(b, &r);
	o.digest = read_digest(&r);
	o.kind = (enum bundle_kind)rbuf_u32(&r);
	(void)rbuf_u32(&r);
	if (!rbuf_done(&r))
		return -1;
	*o_r = o;
	return 1;
}

static int
name_at(const struct bundle *b, uint32_t i, struct str *name_r, uint32_t *cert_r)
{
	struct rbuf r = row_at(b->names, i, BUNDLE_NAME);
	struct str name = read_slice(b, &r);
	uint32_t cert = rbuf_u32(&r);

	(void)rbuf_u32(&r);
	if (!rbuf_done(&r) || cert >= b->n_certs)
		return -1;
	*name_r = name;
	*cert_r = cert;
	return 1;
}

/* --- look-ups --------------------------------------------------------------------------------- */

int
bundle_get(const struct bundle *b, enum bundle_kind kind, struct str ref, struct str *octets_r,
    struct digest *digest_r)
{
	uint32_t from = 0, to = b->n_blobs;
	struct blob o;

	if (ref.n == 0) {
		*octets_r = STR("");
		*digest_r = (struct digest){{0}};
		return 1;
	}
	while (from < to) {
		uint32_t mid = from + (to - from) / 2;
		int c;

		if (blob_at(b, mid, &o) < 0)
			return -1;
		c = o.kind != kind ? (o.kind > kind) - (o.kind < kind) : str_cmp(o.ref, ref);
		if (c == 0) {
			*octets_r = o.octets;
			*digest_r = o.digest;
			return 1;
		}
		if (c < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return 0;
}

uint32_t
bundle_certs(const struct bundle *b)
{
	return b->n_certs;
}

int
bundle_cert_at(const struct bundle *b, uint32_t i, struct bundle_cert *c_r)
{
	struct bundle_cert c = {.key_type = 0};
	struct rbuf r;

	if (i >= b->n_certs)
		return -1;
	r = row_at(b->certs, i, BUNDLE_CERT);
	c.id = read_slice(b, &r);
	c.chain = read_slice(b, &r);
	c.key = read_slice(b, &r);
	c.ocsp = read_slice(b, &r);
	c.digest = read_digest(&r);
	c.not_before = (int64_t)rbuf_u64(&r);
	c.not_after = (int64_t)rbuf_u64(&r);
	c.ocsp_until = (int64_t)rbuf_u64(&r);
	c.key_type = rbuf_u8(&r);
	(void)rbuf_bytes(&r, 7);
	if (!rbuf_done(&r))
		return -1;
	*c_r = c;
	return 1;
}

int
bundle_cert_find(const struct bundle *b, struct str id, uint32_t *i_r)
{
	uint32_t from = 0, to = b->n_certs;
	struct bundle_cert c;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;
		int order;

		if (bundle_cert_at(b, mid, &c) < 0)
			return 0;
		order = str_cmp(c.id, id);
		if (order == 0) {
			*i_r = mid;
			return 1;
		}
		if (order < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return 0;
}

/* The first row that is not before the name. Of malformed rows it may be any: whoever looks there
 * compares again. */
static uint32_t
name_first(const struct bundle *b, struct str name)
{
	uint32_t from = 0, to = b->n_names, cert;
	struct str other;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (name_at(b, mid, &other, &cert) == 1 && str_cmp(other, name) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

unsigned
bundle_named(const struct bundle *b, struct str name, uint32_t *v, unsigned max)
{
	unsigned n = 0;
	struct str other;
	uint32_t cert;

	for (uint32_t i = name_first(b, name); i < b->n_names && n < max; i++) {
		if (name_at(b, i, &other, &cert) < 0 || !str_eq(other, name))
			break;
		v[n++] = cert;
	}
	return n;
}
