/* SPDX-License-Identifier: Apache-2.0
 *
 * SipHash-1-3 for tables fed from outside, SHA-256 for content hashes, and the one hash table. The
 * table key is drawn at first use and inherited by forked children; no peer ever sees a hash.
 */
#include "shm/base/hash.h"

#include <endian.h>
#include <openssl/evp.h>

#include "shm/base/bug.h"
#include "shm/base/enc.h"
#include "shm/base/rnd.h"

#define HTAB_MIN  16
#define HTAB_STEP 4 /* to move every node costs a cache miss each: seldom */

static struct hash_state {
	bool keyed;
	uint8_t key[16];
	EVP_MD *sha256, *sha1;
	EVP_MD_CTX *parts; /* hash_sha256's */
} state;

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotl(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

static inline uint64_t
load64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1, s->v1 = rotl(s->v1, 13) ^ s->v0, s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3, s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3, s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1, s->v1 = rotl(s->v1, 17) ^ s->v2, s->v2 = rotl(s->v2, 32);
}

static inline void
sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	s->v0 ^= m;
}

/* The last word: the remaining octets, little endian, and the length in the top octet. */
static uint64_t
sip_tail(const char *p, size_t n)
{
	uint64_t m = (uint64_t)n << 56;

	for (size_t i = 0; i < n % 8; i++)
		m |= (uint64_t)(unsigned char)p[n - n % 8 + i] << (8 * i);
	return m;
}

uint64_t
hash_siphash13(const uint8_t key[16], struct str str)
{
	uint64_t k0 = load64(key), k1 = load64(key + 8);
	struct sip s = {
	    .v0 = k0 ^ 0x736f6d6570736575u,
	    .v1 = k1 ^ 0x646f72616e646f6du,
	    .v2 = k0 ^ 0x6c7967656e657261u,
	    .v3 = k1 ^ 0x7465646279746573u,
	};

	for (size_t i = 0; i + 8 <= str.n; i += 8)
		sip_word(&s, load64(str.p + i));
	sip_word(&s, sip_tail(str.p, str.n));
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t
hash_keyed(struct str s)
{
	if (unlikely(!state.keyed)) {
		rnd_bytes(state.key, sizeof(state.key));
		state.keyed = true;
	}
	return hash_siphash13(state.key, s);
}

/* Fetched once: the lookup costs more than hashing a small object. */
static EVP_MD *
sha256(void)
{
	if (state.sha256 == NULL)
		state.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	BUG_ON(state.sha256 == NULL);
	return state.sha256;
}

static void
hash_parts(const EVP_MD *md, const struct str *parts, unsigned n, uint8_t *out)
{
	if (state.parts == NULL)
		state.parts = EVP_MD_CTX_new();
	BUG_ON(EVP_DigestInit_ex2(state.parts, md, NULL) != 1);
	for (unsigned i = 0; i < n; i++)
		BUG_ON(EVP_DigestUpdate(state.parts, parts[i].p, parts[i].n) != 1);
	BUG_ON(EVP_DigestFinal_ex(state.parts, out, NULL) != 1);
}

void
hash_sha256(const struct str *parts, unsigned n, uint8_t out[HASH_SHA256])
{
	hash_parts(sha256(), parts, n, out);
}

void
hash_sha1(const struct str *parts, unsigned n, uint8_t out[HASH_SHA1])
{
	if (state.sha1 == NULL)
		state.sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	BUG_ON(state.sha1 == NULL);
	hash_parts(state.sha1, parts, n, out);
}

struct digest
digest_of(struct str s)
{
	uint8_t full[HASH_SHA256];
	struct digest d;

	hash_sha256(&s, s.n > 0 ? 1 : 0, full);
	memcpy(d.b, full, sizeof(d.b));
	return d;
}

bool
digest_eq(const struct digest *a, const struct digest *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

void
digest_hex(const struct digest *d, char out[33])
{
	enc_hex(d->b, sizeof(d->b), out);
	out[32] = '\0';
}

static struct hnode **
slot(const struct htab *t, uint64_t hash)
{
	return &t->v[hash & (t->cap - 1)];
}

struct hnode *
htab_get(const struct htab *t, uint64_t hash, htab_eq_f *eq, const void *key)
{
	if (t->cap == 0)
		return NULL;
	for (struct hnode *n = *slot(t, hash); n != NULL; n = n->next)
		if (n->hash == hash && eq(n, key))
			return n;
	return NULL;
}

static void
link_node(struct htab *t, struct hnode *n)
{
	struct hnode **at = slot(t, n->hash);

	n->next = *at;
	*at = n;
}

static void
grow(struct htab *t, size_t cap)
{
	struct htab bigger = {.n = t->n, .cap = cap};

	bigger.v = xcalloc(bigger.cap, sizeof(struct hnode *));
	for (size_t i = 0; i < t->cap; i++)
		for (struct hnode *n = t->v[i], *next; n != NULL; n = next) {
			next = n->next;
			link_node(&bigger, n);
		}
	free(t->v);
	*t = bigger;
}

void
htab_reserve(struct htab *t, size_t n)
{
	size_t cap = MAX(t->cap, (size_t)HTAB_MIN);

	while (cap < 2 * n)
		cap *= 2;
	if (cap > t->cap)
		grow(t, cap);
}

void
htab_put(struct htab *t, struct hnode *n, uint64_t hash)
{
	if (t->n >= t->cap)
		grow(t, t->cap == 0 ? HTAB_MIN : t->cap * HTAB_STEP);
	n->hash = hash;
	link_node(t, n);
	t->n++;
}

void
htab_del(struct htab *t, struct hnode *n)
{
	struct hnode **at = slot(t, n->hash);

	while (*at != n) {
		BUG_ON(*at == NULL);
		at = &(*at)->next;
	}
	*at = n->next;
	n->next = NULL;
	t->n--;
}

void
htab_each(struct htab *t, void (*fn)(struct hnode *n, void *arg), void *arg)
{
	for (size_t i = 0; i < t->cap; i++)
		for (struct hnode *n = t->v[i], *next; n != NULL; n = next) {
			next = n->next;
			fn(n, arg);
		}
}

void
htab_free(struct htab *t)
{
	free(t->v);
	*t = (struct htab){.v = NULL};
}
