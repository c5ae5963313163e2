/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a shard (image.h draws it): accessors that believe no octet. Used by the matcher in every
 * worker and by the keeper, who decodes with them what he edits.
 */
#ifndef GW_SHARD_H
#define GW_SHARD_H

#include "conf/image.h"
#include "conf/path.h"

#define SHARD_ANY       '\x01' /* in keys: a segment that takes anything */
#define SHARD_ROOT      12     /* offset of the root node */
#define SHARD_NODE      10     /* octets of a node without its children */
#define SHARD_CHILD     6
#define SHARD_OUTER_ANY (1u << 31)
#define SHARD_CAND      16 /* octets of a candidate without its optional parts */

#define METHODS_ANY UINT32_MAX

struct shard {
	const unsigned char *p;
	uint32_t n;
	uint32_t outer; /* children in shards of their own; then there are none inside */
	bool outer_any; /* among them the one for a segment that takes anything */
};

struct shard_node {
	uint32_t at;
	uint16_t children, any;
	uint16_t list[PATH_SORTS];
};

/* One route at one path. Slices are borrowed from the shard. */
struct candidate {
	uint32_t route;
	uint32_t methods; /* 1 << enum http_method; METHODS_ANY */
	uint64_t
	    listeners; /* bit (number & 63) of those it is limited to; 0 = none. Never too few */
	int32_t priority;
	uint16_t conditions;
	uint8_t n_params;
	struct str names;  /* n_params x {u8 length, octets} */
	struct str others; /* extension methods, separated by blanks */
};

struct shard_list {
	const struct shard *s;
	uint32_t at;
	uint16_t left;
};

/* Are there n octets at this place? Whoever loads has asked. */
static inline bool
shard_has(const struct shard *s, uint32_t at, uint32_t n)
{
	return at <= s->n && n <= s->n - at;
}

static inline uint16_t
shard_u16(const struct shard *s, uint32_t at)
{
	uint16_t v;

	memcpy(&v, s->p + at, sizeof(v));
	return le16toh(v);
}

static inline uint32_t
shard_u32(const struct shard *s, uint32_t at)
{
	uint32_t v;

	memcpy(&v, s->p + at, sizeof(v));
	return le32toh(v);
}

/* All return 1, 0 where there may be nothing, -1 malformed. The first two are made for every
 * segment of a path, without a call. */
static inline NODISCARD int
shard_open(struct str value, struct shard *s_r)
{
	struct str body;
	uint32_t outer;

	if (value.n > IMAGE_MAX || image_open(value, 'S', &body) < 0 ||
	    value.n < SHARD_ROOT + SHARD_NODE)
		return -1;
	s_r->p = (const unsigned char *)value.p;
	s_r->n = (uint32_t)value.n;
	outer = shard_u32(s_r, IMAGE_HEAD);
	s_r->outer = outer & ~SHARD_OUTER_ANY;
	s_r->outer_any = (outer & SHARD_OUTER_ANY) != 0;
	return 1;
}

static inline NODISCARD int
shard_node(const struct shard *s, uint32_t at, struct shard_node *n_r)
{
	if (at < SHARD_ROOT || !shard_has(s, at, SHARD_NODE))
		return -1;
	n_r->at = at;
	n_r->children = shard_u16(s, at);
	n_r->any = shard_u16(s, at + 2);
	for (unsigned i = 0; i < PATH_SORTS; i++)
		n_r->list[i] = shard_u16(s, at + 4 + 2 * i);
	if (!shard_has(s, at + SHARD_NODE, (uint32_t)n_r->children * SHARD_CHILD))
		return -1;
	if (s->outer > 0 && (n_r->children > 0 || n_r->any > 0 || at != SHARD_ROOT))
		return -1;
	return 1;
}

/* The child for this text: its offset. */
int shard_child(
    const struct shard *s, const struct shard_node *n, struct str text, uint32_t *at_r) NODISCARD;
/* The i-th child. */
int shard_child_at(const struct shard *s, const struct shard_node *n, unsigned i,
    struct str *text_r, uint32_t *at_r) NODISCARD;
/* The child for a segment that takes anything. */
int shard_any(const struct shard_node *n, uint32_t *at_r) NODISCARD;
int shard_list(const struct shard *s, const struct shard_node *n, enum path_sort sort,
    struct shard_list *l_r) NODISCARD;
int shard_next(struct shard_list *l, struct candidate *c_r) NODISCARD;

/* Name of the i-th parameter, empty for a star. */
int candidate_name(struct str *names, struct str *name_r) NODISCARD;
/* Does it take the method: by number, or by name where it has no number? */
bool candidate_takes(const struct candidate *c, uint32_t method, struct str name);

/* Keys: the root of a host, and one segment further. `key` holds DB_KEY_MAX octets; 0: no room. */
size_t shard_key_root(char *key, uint32_t host);
size_t shard_key_add(char *key, size_t n, struct str text, bool any);

#endif
