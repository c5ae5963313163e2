/* SPDX-License-Identifier: Apache-2.0
 *
 * What this instance knows of {P}:objects: of each field the SHA-256 of (field NUL value), of all
 * together their XOR, which is the content hash; and which of them were refused, with the reason.
 * No values: about 150 octets an object.
 *
 * A snapshot is compared by passes: mirror_pass, mirror_put for what is there, mirror_sweep for
 * what was not met.
 */
#ifndef GW_REDIS_MIRROR_H
#define GW_REDIS_MIRROR_H

#include "shm/base/hash.h"
#include "shm/base/list.h"

struct mirror_node {
	struct hnode node;
	struct list refused; /* on no list: not refused */
	char *error;         /* why, while it is refused */
	bool present;        /* false: deleted there, and here the deletion was refused */
	uint8_t digest[HASH_SHA256];
	uint32_t pass;
	uint32_t len;
	char field[];
};

struct mirror {
	struct htab table;
	uint8_t sum[HASH_SHA256];
	struct list refused; /* oldest first */
	size_t n, n_refused; /* present ones; refused ones */
	uint32_t pass;
};

void mirror_init(struct mirror *m);
void mirror_clear(struct mirror *m);
/* 64 digits and NUL. */
void mirror_hash(const struct mirror *m, char out[65]);

/* 1: new or another value, 0: as it was. */
int mirror_put(struct mirror *m, struct str field, struct str value);
/* Would mirror_put change anything? Leaves all as it is, but marks it as met in this pass. */
bool mirror_meet(struct mirror *m, struct str field, struct str value);
/* 1: it was there. */
int mirror_del(struct mirror *m, struct str field);

void mirror_pass(struct mirror *m);
/* Calls fn for every field not met since mirror_pass; fn may delete it. */
void mirror_sweep(struct mirror *m, void (*fn)(void *arg, struct str field), void *arg);

/* Refused once more: it goes to the end of the list. The field may be one that was deleted. */
void mirror_refuse(struct mirror *m, struct str field, struct str error);
void mirror_accept(struct mirror *m, struct str field);
/* The reason, while refused; NULL. */
const char *mirror_error(const struct mirror *m, struct str field);

#endif
