/* SPDX-License-Identifier: Apache-2.0
 *
 * Two hashes with two jobs. hash_keyed: SipHash-1-3 under a per-process random key, for tables
 * whose keys come from outside. digest: SHA-256 (libcrypto) cut to 16 bytes, the content hash that
 * names configuration everywhere.
 */
#ifndef GW_HASH_H
#define GW_HASH_H

#include "shm/base/base.h"
#include "shm/base/str.h"

uint64_t hash_keyed(struct str s);
uint64_t hash_siphash13(const uint8_t key[16], struct str s);

struct digest {
	uint8_t b[16];
};
struct digest digest_of(struct str s);
bool digest_eq(const struct digest *a, const struct digest *b);
void digest_hex(const struct digest *d, char out[33]);

/* The whole SHA-256 of the parts, one after the other. */
#define HASH_SHA256 32
void hash_sha256(const struct str *parts, unsigned n, uint8_t out[HASH_SHA256]);

/* SHA-1 of the parts: for the WebSocket handshake (RFC 6455 4.2.2), which asks for no strength. */
#define HASH_SHA1 20
void hash_sha1(const struct str *parts, unsigned n, uint8_t out[HASH_SHA1]);

/* Chained hash table with intrusive nodes, grown by fourfold steps. The caller supplies hash and
 * comparison. */
struct hnode {
	struct hnode *next;
	uint64_t hash;
};
struct htab {
	struct hnode **v;
	size_t n, cap; /* cap is a power of two or 0 */
};
typedef bool htab_eq_f(const struct hnode *n, const void *key);
struct hnode *htab_get(const struct htab *t, uint64_t hash, htab_eq_f *eq, const void *key);
void htab_reserve(struct htab *t, size_t n); /* for n nodes in all, without growing again */
void htab_put(struct htab *t, struct hnode *n, uint64_t hash); /* no duplicate check */
void htab_del(struct htab *t, struct hnode *n);
/* Calls fn for every node; fn may delete the node it is given and no other. */
void htab_each(struct htab *t, void (*fn)(struct hnode *n, void *arg), void *arg);
void htab_free(struct htab *t); /* the table only, not the nodes */

#endif
