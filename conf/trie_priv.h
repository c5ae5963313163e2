/* SPDX-License-Identifier: Apache-2.0
 *
 * A shard taken apart, for trie.c (which edits) and trie_code.c (to and from bytes).
 */
#ifndef GW_TRIE_PRIV_H
#define GW_TRIE_PRIV_H

#include "conf/trie.h"
#include "shm/base/ws.h"

struct tcand {
	struct tcand *next;
	struct candidate c;
};

struct tnode {
	struct str text; /* of its segment; meaningless in a root and under `any` */
	uint32_t n, cap;
	struct tnode **child; /* in byte order */
	struct tnode *any;
	struct tcand *list[PATH_SORTS];
};

/* Octets of the encoding. */
size_t tcand_size(const struct candidate *c);
size_t tnode_size(const struct tnode *n); /* with everything below */

/* Appends the image of a shard. The caller has seen that it is no larger than IMAGE_MAX. */
void tnode_encode(const struct tnode *root, uint32_t outer, bool outer_any, struct gbuf *out);
/* The value is copied into ws first. NULL: malformed. */
struct tnode *tnode_decode(struct str value, struct ws *ws, uint32_t *outer_r, bool *outer_any_r);

#endif
