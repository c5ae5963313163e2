/* SPDX-License-Identifier: Apache-2.0
 *
 * A neutral tree of what was written, whatever it was written in: configuration files today, JSON
 * from the admin API later. Every node knows its file and line, so every complaint about it does.
 * Lives in a workspace; strings are borrowed from whoever made the tree.
 */
#ifndef GW_NODE_H
#define GW_NODE_H

#include "conf/check.h"
#include "shm/base/base.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

struct run;

enum node_type {
	NODE_GROUP,
	NODE_LIST,
	NODE_STRING,
	NODE_INT,
	NODE_FLOAT,
	NODE_BOOL,
	NODE_RUN /* many members of its list, which are not here yet: read_run */
};

struct node {
	enum node_type type;
	uint32_t line;
	const char *file;  /* NULL: from no file */
	struct str name;   /* empty in lists */
	struct node *next; /* of the same parent */
	union {
		struct {
			struct node *first, *last;
			uint32_t n; /* members, those of runs too */
		};
		struct str s;
		int64_t i;
		double f;
		bool b;
		struct run *run;
	};
};

struct node *node_new(
    struct ws *ws, enum node_type type, struct str name, const char *file, uint32_t line);
void node_add(struct node *parent, struct node *child);           /* at the end */
struct node *node_get(const struct node *group, struct str name); /* NULL when absent */
/* One step of a path: "name" in a group, "name[3]" for a member of its list. NULL when absent. */
const struct node *node_step(const struct node *at, struct str step);
const char *node_word(const struct node *n); /* "a string", for messages */
struct conf_place node_place(const struct node *n, struct str path);

/* Moves what is in `from` into `into`: groups grow together, lists are joined, and anything else
 * that stands in both is an error that names both places. */
void node_merge(struct node *into, struct node *from, struct conf_check *c);

#endif
