/* SPDX-License-Identifier: Apache-2.0
 *
 * Regions: memfd segments made by the master and inherited by descriptor (later: across a binary
 * upgrade). Each starts with a header {magic, name, version, layout hash, size}; whoever attaches
 * checks it and refuses what it does not know.
 */
#ifndef GW_REGION_H
#define GW_REGION_H

#include "shm/base/base.h"

enum region_id {
#define REGION(NAME, version, help) REGION_##NAME,
#include "shm/region.def"
#undef REGION
	REGION_COUNT
};

struct region_head {
	uint64_t magic;
	char name[16];
	uint32_t version;
	uint32_t head_size; /* payload starts here; a multiple of CACHE_LINE */
	uint64_t layout;    /* hash over sizes and counts, computed by the owner of the format */
	uint64_t size;      /* whole region */
};

/* For the layout word: order and values matter. Never 0, which is "do not compare". */
uint64_t region_hash(unsigned n, const uint64_t *numbers);

/* A mapped region; payload = (char *)head + head->head_size. */
struct region {
	struct region_head *head; /* NULL: not attached */
	void *data;
	size_t size; /* payload bytes */
};

/* Creates a sealed-size memfd, fully allocated (posix_fallocate), zeroed. Returns the descriptor or
 * -1 with *error_r. */
int region_create(
    enum region_id id, size_t payload, uint64_t layout, const char **error_r) NODISCARD;
/* The same with only the first `now` octets of the payload allocated. Nobody may touch what lies
 * behind before region_allocate has been there: octets [from, to) of the payload; 1, or -1 with
 * *error_r. */
int region_create_part(
    enum region_id id, size_t payload, size_t now, uint64_t layout, const char **error_r) NODISCARD;
int region_allocate(
    int fd, enum region_id id, size_t from, size_t to, const char **error_r) NODISCARD;
/* Maps it. layout 0: do not compare. 1, or -1 with *error_r ("region metrics: version 3, this
 * binary knows 2"). */
int region_attach(int fd, enum region_id id, uint64_t layout, bool writable, struct region *r_r,
    const char **error_r) NODISCARD;
void region_detach(struct region *r);

#endif
