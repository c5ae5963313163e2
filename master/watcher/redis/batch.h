/* SPDX-License-Identifier: Apache-2.0
 *
 * A change document in the making, from fields of {P}:objects and their values. A value that is not
 * even JSON keeps its place without one, so that the keeper leaves the object as it is and the
 * others go on; why is remembered here.
 */
#ifndef GW_REDIS_BATCH_H
#define GW_REDIS_BATCH_H

#include "shm/base/buf.h"
#include "shm/base/str.h"

#define OBJECT_OCTETS (1u << 20) /* of one value */

struct batch_field {
	char *field;
	const char *error; /* what is wrong with its value; NULL: nothing we can see */
	bool refused;      /* by the keeper */
};
struct batch {
	struct gbuf changes;
	struct batch_field *v;
	uint32_t n, cap;
	bool overflow; /* more than a document may hold */
};

struct batch_head {
	struct str author, comment, epoch;
	uint64_t number;
	const char *hash; /* 64 digits */
	bool whole, allow_deletions;
};

void batch_put(struct batch *b, struct str field, struct str value);
void batch_delete(struct batch *b, struct str field);
/* The document's text; the caller frees it. */
void batch_text(const struct batch *b, const struct batch_head *h, struct gbuf *out);
void batch_free(struct batch *b);

/* What the keeper says of each object (the body of its answer): marks the refused, calls fn for
 * each with its reason. A reason of ours comes before the keeper's. */
void batch_refused(struct batch *b, struct str body,
    void (*fn)(void *arg, struct str field, struct str error), void *arg);

/* Which fields a document of the stream speaks of. -1: it cannot be told. */
int batch_document_fields(
    struct str document, void (*fn)(void *arg, struct str field), void *arg) NODISCARD;

/* Kind and id of a field "kind/id": 1, or -1 with words. */
int batch_field(struct str field, int *kind_r, struct str *id_r, const char **error_r) NODISCARD;

#endif
