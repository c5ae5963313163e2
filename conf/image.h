/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of the map, for those who write them (keeper: trie.c, hosts.c, endpoints.c, map.c) and
 * those who read them (table.c). Little endian; keys are big endian where their order matters.
 *
 * Every value is an image: { u32 tag, u32 length, body }. The tag holds the format and the sort of
 * value, the length counts all octets, offsets inside are relative to the image's own start. What
 * the bodies of objects mean is settled by the field tables; their layout hash lies in "meta" and
 * is compared when the map is opened and whenever a new generation is first looked at.
 *
 *	table		key				image body
 *	meta		"meta"				struct map_meta, field by field (map.c)
 *			"recent"			what the last generations changed (recent.h)
 *	object		u8 kind, u32 number		object_encode
 *	name		u8 kind, id			u32 number
 *	host		"a.b", "*.b"			u32 host id, u32 references by routes
 *	shard		u32 host id, path prefix	a piece of that host's path trie, below
 *	endpoint	u32 service number		endpoint set (endpoint_set.h)
 *	blob		digest (16), u32 chunk		octets of a file named by configuration
 *
 * A path prefix is the pattern's segments, each behind a "/"; a segment that takes anything (a
 * parameter or a lone star) is the one octet 0x01, which no path holds. Host id 0 is any host.
 *
 * A shard holds a whole subtree while that fits a leaf page of LMDB (about 2 KB). One that grew
 * past it hands every child of its root to a shard of its own, found by its key and by nothing
 *else: the B-tree is the index of children, so a node with 100,000 of them costs one small value
 *per change. Such a shard counts its outer children and has none inside.
 *
 *	shard	u32 outer children (top bit: one of them takes anything), then at 12 the root node
 *	node	u16 children, u16 any, u16 list[3], children x {u16 text, u16 text length, u16 node}
 *		any: the node for a segment that takes anything; list: candidates by enum path_sort;
 *		0 = none. Children stand in byte order of their text. A child's offset is greater
 *than its parent's, so that no walk goes round in circles, whatever the bytes are.
 *	list	u16 n, then n candidates in the order in which they are tried
 *	candidate u32 route, u32 methods, i32 priority, u16 conditions, u8 flags, u8 parameters,
 *		[u64 listeners,] parameters x {u8 length, name}, [u8 length, extension methods]
 */
#ifndef GW_IMAGE_H
#define GW_IMAGE_H

#include <endian.h>

#include "conf/table.h"
#include "shm/base/buf.h"
#include "shm/base/str.h"

#define IMAGE_AIM  2048  /* octets of a leaf's key and value together; past it a shard is cut */
#define IMAGE_MAX  16384 /* never more: large values stall a fragmented map */
#define IMAGE_HEAD 8

enum map_table {
	MAP_META,
	MAP_OBJECT,
	MAP_NAME,
	MAP_HOST,
	MAP_SHARD,
	MAP_ENDPOINT,
	MAP_BLOB,
	MAP_TABLE_COUNT
};

/* The sort of a value, in its tag's low octet. */
#define IMAGE_TAG(sort) (((uint32_t)MAP_FORMAT << 16) | 0x4700u | (uint32_t)(sort))

/* At the end of `out`: begin returns where the image starts, end fills in its length. */
static inline size_t
image_begin(struct gbuf *out, char sort)
{
	gbuf_u32(out, IMAGE_TAG(sort));
	gbuf_u32(out, 0);
	return out->n - IMAGE_HEAD;
}

static inline void
image_end(struct gbuf *out, size_t at)
{
	uint32_t n = htole32((uint32_t)(out->n - at));

	memcpy(out->p + at + 4, &n, sizeof(n));
}

/* The body of a value that is what it should be: 1, else -1. */
static inline int
image_open(struct str value, char sort, struct str *body_r)
{
	uint32_t head[2];

	if (value.n < IMAGE_HEAD)
		return -1;
	memcpy(head, value.p, sizeof(head));
	if (le32toh(head[0]) != IMAGE_TAG(sort) || le32toh(head[1]) != value.n)
		return -1;
	*body_r = str_n(value.p + IMAGE_HEAD, value.n - IMAGE_HEAD);
	return 1;
}

/* Key builders; `out` holds DB_KEY_MAX octets. */
static inline struct str
image_key_number(char *out, uint32_t number)
{
	uint32_t be = htobe32(number);

	memcpy(out, &be, sizeof(be));
	return str_n(out, sizeof(be));
}

static inline struct str
image_key_object(char *out, enum conf_kind kind, uint32_t number)
{
	out[0] = (char)kind;
	image_key_number(out + 1, number);
	return str_n(out, 5);
}

static inline struct str
image_key_name(char *out, enum conf_kind kind, struct str id)
{
	size_t n = MIN(id.n, (size_t)64);

	out[0] = (char)kind;
	if (n > 0)
		memcpy(out + 1, id.p, n);
	return str_n(out, n + 1);
}

#endif
