/* SPDX-License-Identifier: Apache-2.0
 *
 * The bundle: certificates, keys and whatever else objects name by path or reference, as octets in
 * one sealed memfd (conf/sealed.h). The secrets process makes it, the master holds it, workers read
 * it in place: of ten thousand certificates a worker keeps those it uses. It has been checked:
 * chains belong to their keys, and all of it is DER. It is never in the map, in a log or a core.
 *
 *	certificates	by id; with names, so that SNI is a look-up
 *	blobs		by kind and reference: what a CA bundle, a client key, a CRL stands for
 *
 * Readers trust no octet of it (it may be another version's): every access checks bounds.
 */
#ifndef GW_BUNDLE_H
#define GW_BUNDLE_H

#include "shm/base/base.h"
#include "shm/base/hash.h"
#include "shm/base/str.h"

#define BUNDLE_MAX   ((size_t)512 << 20)
#define BUNDLE_CERTS 100000 /* certificates in one */

enum bundle_kind {
	BUNDLE_CHAIN,  /* X.509 certificates, one behind the other */
	BUNDLE_KEY,    /* a private key, PKCS #8 */
	BUNDLE_CRL,    /* certificate revocation lists, one behind the other */
	BUNDLE_SECRET, /* octets */
	BUNDLE_KIND_COUNT
};

enum bundle_key { BUNDLE_KEY_RSA = 1, BUNDLE_KEY_EC, BUNDLE_KEY_EDDSA, BUNDLE_KEY_OTHER };

struct bundle_cert {
	struct str id;
	struct str chain, key;         /* DER, as BUNDLE_CHAIN and BUNDLE_KEY */
	struct str ocsp;               /* DER; empty: none */
	struct digest digest;          /* of chain, key and ocsp: what caches go by */
	int64_t not_before, not_after; /* of the leaf, seconds since 1970 */
	int64_t ocsp_until;            /* the response is not to be stapled from then on */
	uint8_t key_type;              /* enum bundle_key */
};

/* --- writing: the secrets process ------------------------------------------------------------- */

struct bundle_writer;
struct bundle_writer *bundle_new(void);
/* Copies. Once for each kind and reference; the later of two is dropped. */
void bundle_put(struct bundle_writer *w, enum bundle_kind kind, struct str ref, struct str octets);
/* Copies; the digest is made here. names: lower case, "*." in front for wildcards. */
void bundle_put_cert(struct bundle_writer *w, const struct bundle_cert *c, const struct str *names,
    uint32_t n_names);
/* The descriptor; -1 with *error_r: too large, or the system's. Frees the writer either way, its
 * octets wiped. The same content gives the same octets. */
int bundle_seal(struct bundle_writer **w, const char **error_r) NODISCARD;
void bundle_drop(struct bundle_writer **w);

/* --- reading ---------------------------------------------------------------------------------- */

struct bundle;
/* Maps it, neither dumped nor inherited; one reference. The descriptor may be closed after. NULL
 * with *error_r. */
struct bundle *bundle_open(int fd, const char **error_r);
struct bundle *bundle_ref(struct bundle *b);
void bundle_unref(struct bundle **b);
struct digest bundle_digest(const struct bundle *b); /* of all of it */

/* 1 and the octets, borrowed from the bundle, with their digest; 0: not in it; -1 malformed. An
 * empty ref gives 1, nothing and a digest of zeros. */
int bundle_get(const struct bundle *b, enum bundle_kind kind, struct str ref, struct str *octets_r,
    struct digest *digest_r) NODISCARD;

uint32_t bundle_certs(const struct bundle *b); /* how many; they stand in order of their ids */
/* The i-th: 1; -1 past the end or malformed. Slices are borrowed. */
int bundle_cert_at(const struct bundle *b, uint32_t i, struct bundle_cert *c_r) NODISCARD;
/* Where that id stands: 1 or 0. */
int bundle_cert_find(const struct bundle *b, struct str id, uint32_t *i_r) NODISCARD;
/* Certificates with exactly this name ("*.example.com" for wildcards; lower case), in order of
 * their ids: at most `max` indices. Returns how many. */
unsigned bundle_named(const struct bundle *b, struct str name, uint32_t *v, unsigned max);

#endif
