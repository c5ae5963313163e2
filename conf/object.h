/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration object: kind, id, where it came from, and its body as the canonical encoding of
 * its field table.
 */
#ifndef GW_OBJECT_H
#define GW_OBJECT_H

#include "conf/field.h"

enum conf_kind {
#define OBJECT(KIND, type, list, word) CONF_##KIND,
#include "conf/objects.def"
#undef OBJECT
	CONF_KIND_COUNT
};

struct object_kind {
	const char *list; /* "routes"; "" for the one settings object */
	const char *word; /* "route" */
	const struct fields *fields;
};
extern const struct object_kind object_kinds[CONF_KIND_COUNT];

struct conf_object {
	enum conf_kind kind;
	uint32_t number;   /* given by the keeper; 0 = none yet. Stable while the object exists,
			      reused later */
	struct str id;     /* 1 to 63 of [A-Za-z0-9._-]; the settings object is "gateway" */
	struct str source; /* "file", "admin", "console": whose it is */
	struct str file;
	uint32_t line;
	struct str override; /* name of the override whose value this is; empty: the source's own */
	uint64_t version;    /* generation that last changed it */
	struct digest digest; /* of kind, id and body */
	struct str body;      /* canonical encoding */
};

/* Which of two objects that match equally comes first: admin 0, console 1, file 2, others after. */
uint32_t source_rank(struct str source);

bool object_id_ok(struct str id);
struct digest object_digest(enum conf_kind kind, struct str id, struct str body);
/* The object as stored in the map and carried in change sets. Decode borrows from `bytes`. */
void object_encode(const struct conf_object *o, struct gbuf *out);
size_t object_size(const struct conf_object *o); /* octets of the encoding */
int object_decode(struct str bytes, struct conf_object *o_r) NODISCARD;
/* Decodes the body into a struct of the kind's table, allocated in ws. NULL when malformed or over
 * the ws limit. */
void *object_body(const struct conf_object *o, struct ws *ws);

#endif
