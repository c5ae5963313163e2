/* SPDX-License-Identifier: Apache-2.0
 *
 * A change set: objects put and deleted by one source, applied as one generation or refused whole.
 * It travels as a sealed memfd, so a hundred thousand routes cost one descriptor. The reader trusts
 * no octet of it.
 */
#ifndef GW_CHANGESET_H
#define GW_CHANGESET_H

#include "conf/object.h"

enum change_op { CHANGE_PUT = 1, CHANGE_DELETE = 2 };

struct changeset_writer;
/* whole: the set is everything the source has; objects of that source that are not in it are
 * deleted. */
struct changeset_writer *changeset_new(struct str source, struct str author, bool whole);
void changeset_put(struct changeset_writer *w, enum change_op op, const struct conf_object *o);
/* Seals it. Returns the descriptor or -1 with *error_r. Frees the writer either way. */
int changeset_seal(struct changeset_writer **w, const char **error_r) NODISCARD;

struct changeset {
	struct str source, author;
	bool whole;
	uint32_t n;
	bool known; /* the digests were compared before: set at the end, or by the caller */
	/* private */
	struct str map;
	struct rbuf at;
	size_t head; /* where the first operation begins */
	uint32_t next;
};
/* Octets of memory that it takes to apply it, more or less. 0: it is none. */
size_t changeset_cost(int fd);
int changeset_open(int fd, struct changeset *c_r,
    const char **error_r) NODISCARD; /* maps it; the descriptor may be closed after */
/* 1 and the next operation (borrowed from the mapping), 0 at the end, -1 malformed. */
int changeset_next(struct changeset *c, enum change_op *op_r, struct conf_object *o_r) NODISCARD;
void changeset_rewind(struct changeset *c);
void changeset_close(struct changeset *c);

#endif
