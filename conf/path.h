/* SPDX-License-Identifier: Apache-2.0
 *
 * A route's path pattern, cut for the trie. The words of the pattern were checked when it was read
 * (pattern.h); this keeps what matching needs and refuses what the trie cannot hold.
 */
#ifndef GW_PATH_H
#define GW_PATH_H

#include "shm/base/base.h"
#include "shm/base/str.h"

#define PATH_SEGMENTS 64
#define PATH_OCTETS   400

/* In the order in which they are tried at one node. */
enum path_sort { PATH_EXACT, PATH_REGEX, PATH_PREFIX, PATH_SORTS };

struct path_segment {
	struct str text; /* borrowed from the pattern, or from `room` */
	bool any;        /* {name} or a lone star: takes every segment that is not empty */
};

struct path {
	enum path_sort sort;
	unsigned n;
	struct path_segment seg[PATH_SEGMENTS];
	/* Names of the parameters in order, each {u8 length, octets}; a star has length 0. */
	unsigned n_params;
	struct str names;
	char room[2 * PATH_OCTETS];
};

/* "/a/{id}", "/a/" and a star, "~^/a/[0-9]+": 1, or -1 with *error_r. A regex is filed under the
 * longest literal beginning that ends at a "/". Do not copy the struct: it points into itself. */
int path_cut(struct str pattern, struct path *p_r, const char **error_r) NODISCARD;

#endif
