/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a bundle: everything is copied, sorted, laid out, and then written where it belongs in a
 * mapping of the memory file. The copies are the process's own and are wiped. Layout:
 * bundle_priv.h.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/bundle_priv.h"
#include "conf/sealed.h"
#include "shm/base/bug.h"

/* A copy, and where it comes to lie. Equal ones lie in one place. */
struct piece {
	struct hnode node;
	char *p;
	uint32_t n, at;
	struct digest digest;
};

enum { CERT_ID, CERT_CHAIN, CERT_KEY, CERT_OCSP, CERT_PIECES };

struct cert {
	struct piece piece[CERT_PIECES];
	struct bundle_cert c; /* its slices are not used */
	struct piece *names;
	uint32_t n_names, order;
};
struct blob {
	struct piece ref, octets;
	uint32_t kind, order;
};
struct name {
	const struct piece *name;
	uint32_t cert;
};
struct bundle_writer {
	struct cert *certs;
	struct blob *blobs;
	uint32_t n_certs, n_blobs, cap_certs, cap_blobs;
	uint64_t size; /* of all copies */
	bool full;     /* it is too large: nothing more is taken */
	struct name *names;
	uint32_t n_names;
	struct htab pool;
	uint64_t pool_n;
};

struct bundle_writer *
bundle_new(void)
{
	return xcalloc(1, sizeof(struct bundle_writer));
}

static void
wipe(struct piece *p)
{
	if (p->p != NULL)
		explicit_bzero(p->p, p->n);
	free(p->p);
	p->p = NULL;
}

static void
cert_wipe(struct cert *c)
{
	for (unsigned i = 0; i < CERT_PIECES; i++)
		wipe(&c->piece[i]);
	for (uint32_t i = 0; i < c->n_names; i++)
		wipe(&c->names[i]);
	free(c->names);
}

static void
blob_wipe(struct blob *o)
{
	wipe(&o->ref);
	wipe(&o->octets);
}

void
bundle_drop(struct bundle_writer **wp)
{
	struct bundle_writer *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	for (uint32_t i = 0; i < w->n_certs; i++)
		cert_wipe(&w->certs[i]);
	for (uint32_t i = 0; i < w->n_blobs; i++)
		blob_wipe(&w->blobs[i]);
	free(w->certs);
	free(w->blobs);
	free(w->names);
	htab_free(&w->pool);
	free(w);
}

/* --- taking ----------------------------------------------------------------------------------- */

static struct piece
piece_of(struct bundle_writer *w, struct str s)
{
	struct piece p = {.n = (uint32_t)s.n};

	w->size += s.n;
	if (w->size > BUNDLE_MAX)
		w->full = true;
	if (w->full || s.n == 0) {
		p.n = 0;
		return p;
	}
	p.p = xmalloc(s.n);
	memcpy(p.p, s.p, s.n);
	p.digest = digest_of(s);
	return p;
}

static void *
grown(void *v, uint32_t n, uint32_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	*cap = *cap == 0 ? 16 : *cap * 2;
	return xrealloc(v, *cap * size);
}

void
bundle_put(struct bundle_writer *w, enum bundle_kind kind, struct str ref, struct str octets)
{
	BUG_ON(ref.n == 0 || kind >= BUNDLE_KIND_COUNT);
	if (w->full)
		return;
	w->size += BUNDLE_BLOB;
	w->blobs = grown(w->blobs, w->n_blobs, &w->cap_blobs, sizeof(w->blobs[0]));
	w->blobs[w->n_blobs] = (struct blob){.ref = piece_of(w, ref),
	    .octets = piece_of(w, octets),
	    .kind = kind,
	    .order = w->n_blobs};
	w->n_blobs++;
}

static struct digest
cert_digest(const struct bundle_cert *c)
{
	uint64_t n[] = {htole64(c->chain.n), htole64(c->key.n)};
	struct str parts[] = {str_n((const char *)n, sizeof(n)), c->chain, c->key, c->ocsp};
	uint8_t whole[HASH_SHA256];
	struct digest d;

	hash_sha256(parts, ARRAY_LEN(parts), whole);
	memcpy(&d, whole, sizeof(d));
	return d;
}

void
bundle_put_cert(
    struct bundle_writer *w, const struct bundle_cert *c, const struct str *names, uint32_t n_names)
{
	struct cert *mine;

	w->full = w->full || w->n_certs == BUNDLE_CERTS;
	if (w->full)
		return;
	w->size += BUNDLE_CERT + (uint64_t)n_names * BUNDLE_NAME;
	w->certs = grown(w->certs, w->n_certs, &w->cap_certs, sizeof(w->certs[0]));
	mine = &w->certs[w->n_certs];
	*mine = (struct cert){.c = *c, .order = w->n_certs++};
	mine->c.digest = cert_digest(c);
	mine->piece[CERT_ID] = piece_of(w, c->id);
	mine->piece[CERT_CHAIN] = piece_of(w, c->chain);
	mine->piece[CERT_KEY] = piece_of(w, c->key);
	mine->piece[CERT_OCSP] = piece_of(w, c->ocsp);
	mine->names = xcalloc(MAX(n_names, 1U), sizeof(mine->names[0]));
	for (; mine->n_names < n_names && !w->full; mine->n_names++)
		mine->names[mine->n_names] = piece_of(w, names[mine->n_names]);
}

/* --- order ------------------------------------------------------------------------------------ */

static struct str
piece_str(const struct piece *p)
{
	return str_n(p->p, p->n);
}

static int
by_id(const void *a, const void *b)
{
	const struct cert *x = a, *y = b;
	int c = str_cmp(piece_str(&x->piece[CERT_ID]), piece_str(&y->piece[CERT_ID]));

	return c != 0 ? c : (x->order > y->order) - (x->order < y->order);
}

static int
by_kind(const void *a, const void *b)
{
	const struct blob *x = a, *y = b;
	int c = (x->kind > y->kind) - (x->kind < y->kind);

	if (c == 0)
		c = str_cmp(piece_str(&x->ref), piece_str(&y->ref));
	return c != 0 ? c : (x->order > y->order) - (x->order < y->order);
}

static int
by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int c = str_cmp(piece_str(x->name), piece_str(y->name));

	return c != 0 ? c : (x->cert > y->cert) - (x->cert < y->cert);
}

static void
certs_sort(struct bundle_writer *w)
{
	uint32_t n = 0;

	if (w->n_certs > 1)
		qsort(w->certs, w->n_certs, sizeof(w->certs[0]), by_id);
	for (uint32_t i = 0; i < w->n_certs; i++) {
		const struct piece *last = n > 0 ? &w->certs[n - 1].piece[CERT_ID] : NULL;

		if (last != NULL && str_eq(piece_str(last), piece_str(&w->certs[i].piece[CERT_ID])))
			cert_wipe(&w->certs[i]);
		else
			w->certs[n++] = w->certs[i];
	}
	w->n_certs = n;
}

static void
blobs_sort(struct bundle_writer *w)
{
	uint32_t n = 0;

	if (w->n_blobs > 1)
		qsort(w->blobs, w->n_blobs, sizeof(w->blobs[0]), by_kind);
	for (uint32_t i = 0; i < w->n_blobs; i++) {
		const struct blob *last = n > 0 ? &w->blobs[n - 1] : NULL, *o = &w->blobs[i];

		if (last != NULL && last->kind == o->kind &&
		    str_eq(piece_str(&last->ref), piece_str(&o->ref)))
			blob_wipe(&w->blobs[i]);
		else
			w->blobs[n++] = w->blobs[i];
	}
	w->n_blobs = n;
}

static void
names_sort(struct bundle_writer *w)
{
	uint32_t all = 0, n = 0;

	for (uint32_t i = 0; i < w->n_certs; i++)
		all += w->certs[i].n_names;
	w->names = xcalloc(MAX(all, 1U), sizeof(w->names[0]));
	for (uint32_t i = 0, k = 0; i < w->n_certs; i++)
		for (uint32_t j = 0; j < w->certs[i].n_names; j++)
			w->names[k++] = (struct name){&w->certs[i].names[j], i};
	if (all > 1)
		qsort(w->names, all, sizeof(w->names[0]), by_name);
	for (uint32_t i = 0; i < all; i++)
		if (n == 0 || by_name(&w->names[n - 1], &w->names[i]) != 0)
			w->names[n++] = w->names[i];
	w->n_names = n;
}

/* --- places ----------------------------------------------------------------------------------- */

static bool
same_octets(const struct hnode *n, const void *key)
{
	const struct piece *a = container_of(n, struct piece, node), *b = key;

	return str_eq(piece_str(a), piece_str(b));
}

static void
place(struct bundle_writer *w, struct piece *p)
{
	struct hnode *n;
	uint64_t hash;

	if (p->n == 0)
		return;
	memcpy(&hash, &p->digest, sizeof(hash));
	n = htab_get(&w->pool, hash, same_octets, p);
	if (n != NULL) {
		p->at = container_of(n, struct piece, node)->at;
		return;
	}
	htab_put(&w->pool, &p->node, hash);
	p->at = (uint32_t)w->pool_n;
	w->pool_n += p->n;
}

static void
place_all(struct bundle_writer *w)
{
	for (uint32_t i = 0; i < w->n_certs; i++) {
		for (unsigned j = 0; j < CERT_PIECES; j++)
			place(w, &w->certs[i].piece[j]);
		for (uint32_t j = 0; j < w->certs[i].n_names; j++)
			place(w, &w->certs[i].names[j]);
	}
	for (uint32_t i = 0; i < w->n_blobs; i++) {
		place(w, &w->blobs[i].ref);
		place(w, &w->blobs[i].octets);
	}
}

/* --- octets ----------------------------------------------------------------------------------- */

struct out {
	char *p;    /* next row's */
	char *pool; /* begins here */
};

static void
put_u32(struct out *o, uint32_t v)
{
	v = htole32(v);
	memcpy(o->p, &v, sizeof(v));
	o->p += sizeof(v);
}

static void
put_u64(struct out *o, uint64_t v)
{
	v = htole64(v);
	memcpy(o->p, &v, sizeof(v));
	o->p += sizeof(v);
}

static void
put_digest(struct out *o, const struct digest *d)
{
	memcpy(o->p, d, sizeof(*d));
	o->p += sizeof(*d);
}

static void
put_piece(struct out *o, const struct piece *p)
{
	put_u32(o, p->at);
	put_u32(o, p->n);
	if (p->n > 0)
		memcpy(o->pool + p->at, p->p, p->n);
}

static void
put_cert(struct out *o, const struct cert *c)
{
	for (unsigned i = 0; i < CERT_PIECES; i++)
		put_piece(o, &c->piece[i]);
	put_digest(o, &c->c.digest);
	put_u64(o, (uint64_t)c->c.not_before);
	put_u64(o, (uint64_t)c->c.not_after);
	put_u64(o, (uint64_t)c->c.ocsp_until);
	put_u64(o, c->c.key_type); /* and seven octets of nothing */
}

static void
put_tables(const struct bundle_writer *w, struct out *o)
{
	for (uint32_t i = 0; i < w->n_certs; i++)
		put_cert(o, &w->certs[i]);
	for (uint32_t i = 0; i < w->n_names; i++) {
		put_piece(o, w->names[i].name);
		put_u64(o, w->names[i].cert);
	}
	for (uint32_t i = 0; i < w->n_blobs; i++) {
		put_piece(o, &w->blobs[i].ref);
		put_piece(o, &w->blobs[i].octets);
		put_digest(o, &w->blobs[i].octets.digest);
		put_u64(o, w->blobs[i].kind);
	}
}

static void
put_all(const struct bundle_writer *w, char *map, size_t tables, size_t size)
{
	struct out head = {.p = map}, o = {.p = map + BUNDLE_HEAD, .pool = map + tables};
	struct digest d;

	put_tables(w, &o);
	BUG_ON(o.p != o.pool);
	d = digest_of(str_n(map + BUNDLE_HEAD, size - BUNDLE_HEAD));
	memcpy(head.p, BUNDLE_MAGIC, sizeof(BUNDLE_MAGIC) - 1);
	head.p += sizeof(BUNDLE_MAGIC) - 1;
	put_u32(&head, BUNDLE_VERSION);
	put_u32(&head, w->n_certs);
	put_u32(&head, w->n_names);
	put_u32(&head, w->n_blobs);
	put_u64(&head, size);
	put_digest(&head, &d);
	BUG_ON(head.p != map + BUNDLE_HEAD);
}

static int
put_file(const struct bundle_writer *w, int fd)
{
	size_t tables = BUNDLE_HEAD + (size_t)w->n_certs * BUNDLE_CERT +
			(size_t)w->n_names * BUNDLE_NAME + (size_t)w->n_blobs * BUNDLE_BLOB;
	size_t size = tables + w->pool_n;
	void *map;

	/* Memory is had before it is written to, where its lack would be a signal. */
	if (fallocate(fd, 0, 0, (off_t)size) < 0)
		return -1;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -1;
	(void)madvise(map, size, MADV_DONTDUMP);
	put_all(w, map, tables, size);
	(void)munmap(map, size);
	return sealed_finish(fd);
}

int
bundle_seal(struct bundle_writer **wp, const char **error_r)
{
	struct bundle_writer *w = *wp;
	int fd = -1;

	if (w->full || w->size + BUNDLE_HEAD > BUNDLE_MAX) {
		*error_r =
		    "certificates and keys are too many: more than 512 MB, or 100,000 certificates";
		bundle_drop(wp);
		return -1;
	}
	certs_sort(w);
	blobs_sort(w);
	names_sort(w);
	place_all(w);
	fd = sealed_new("bundle");
	if (fd < 0 || put_file(w, fd) < 0) {
		*error_r = strerror(errno);
		if (fd >= 0)
			(void)close(fd);
		fd = -1;
	}
	bundle_drop(wp);
	return fd;
}
