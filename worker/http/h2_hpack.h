/* SPDX-License-Identifier: Apache-2.0
 *
 * HPACK for what goes out (RFC 7541): fields by their numbers instead of their names, and no
 * Huffman code, which costs more than the few octets that it saves. A decoder is nghttp2's.
 *
 * The table is the encoder's half of what the peer has: every block that was made must be sent, in
 * order, on the connection it was made for.
 */
#ifndef GW_H2_HPACK_H
#define GW_H2_HPACK_H

#include "worker/http/head.h"

/* Pseudo fields go on where known names end. */
enum {
	H2_ID_METHOD = HDR_ID_COUNT,
	H2_ID_SCHEME,
	H2_ID_AUTHORITY,
	H2_ID_PATH,
	H2_ID_PROTOCOL,
	H2_ID_STATUS,
	H2_ID_COUNT
};

enum h2_index {
	H2_INDEX,  /* into the table, where such fields are worth it */
	H2_UNIQUE, /* never, once its name has a number */
	H2_NEVER   /* in no table, here or further on (RFC 7541 7.1.3) */
};

struct h2_nv {
	struct str name, value; /* lower case, checked */
	uint16_t id;            /* enum hdr_id, or of a pseudo field */
	uint8_t index;          /* enum h2_index */
};

#define HPACK_SIZE    4096u /* of the table at most */
#define HPACK_ENTRIES (HPACK_SIZE / 32)
#define HPACK_HEADS   64

struct hpack_entry;
struct hpack {
	struct hpack_entry *ring[HPACK_ENTRIES]; /* by number */
	struct hpack_entry *heads[HPACK_HEADS];  /* by hash */
	uint32_t oldest, next;                   /* numbers: [oldest, next) are in the table */
	uint32_t size, most;
	uint32_t low;                /* the least it was to be since it was last told */
	bool resized;                /* to be told with the next block */
	uint32_t named[H2_ID_COUNT]; /* newest entry of the name, plus one */
};

void hpack_init(struct hpack *t);
void hpack_fini(struct hpack *t);
/* The peer's decoder allows so much from now on; more than HPACK_SIZE is not used. */
void hpack_resize(struct hpack *t, uint32_t most);
/* Octets that a block of these may take. */
size_t hpack_bound(const struct h2_nv *v, size_t n);
/* Makes one; returns its length. `out` has room for hpack_bound of it. */
size_t hpack_encode(struct hpack *t, const struct h2_nv *v, size_t n, uint8_t *out);

#endif
