/* SPDX-License-Identifier: Apache-2.0
 *
 * The neutral tree.
 */
#include "conf/node.h"

#include "shm/base/bug.h"
#include "shm/base/num.h"

struct node *
node_new(struct ws *ws, enum node_type type, struct str name, const char *file, uint32_t line)
{
	struct node *n = ws_alloc(ws, sizeof(*n));

	if (n == NULL)
		oom_fail(sizeof(*n));
	*n = (struct node){.type = type, .line = line, .file = file, .name = name};
	return n;
}

void
node_add(struct node *parent, struct node *child)
{
	child->next = NULL;
	if (parent->last != NULL)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	parent->n++;
}

struct node *
node_get(const struct node *group, struct str name)
{
	if (group->type != NODE_GROUP)
		return NULL;
	for (struct node *n = group->first; n != NULL; n = n->next)
		if (str_eq(n->name, name))
			return n;
	return NULL;
}

static const struct node *
member(const struct node *list, uint64_t index)
{
	const struct node *n;

	if (list == NULL || list->type != NODE_LIST)
		return NULL;
	for (n = list->first; n != NULL && index > 0; n = n->next)
		index--;
	return n;
}

const struct node *
node_step(const struct node *at, struct str step)
{
	ssize_t bracket = str_chr(step, '[');
	const char *ignored;
	uint64_t index;

	if (bracket < 0)
		return node_get(at, step);
	if (num_u64(str_sub(step, (size_t)bracket + 1, step.n - 1), UINT32_MAX, &index, &ignored) <
	    0)
		return NULL;
	return member(node_get(at, str_sub(step, 0, (size_t)bracket)), index);
}

const char *
node_word(const struct node *n)
{
	static const char *const words[] = {
	    [NODE_GROUP] = "a group",
	    [NODE_LIST] = "a list",
	    [NODE_STRING] = "a string",
	    [NODE_INT] = "a whole number",
	    [NODE_FLOAT] = "a number",
	    [NODE_BOOL] = "true or false",
	    [NODE_RUN] = "many groups",
	};

	return words[n->type];
}

struct conf_place
node_place(const struct node *n, struct str path)
{
	return (struct conf_place){str_of(n->file), n->line, path};
}

static void
join(struct node *into, struct node *from)
{
	if (from->first == NULL)
		return;
	if (into->last != NULL)
		into->last->next = from->first;
	else
		into->first = from->first;
	into->last = from->last;
	into->n += from->n;
}

static void
merge_one(struct node *into, struct node *child, struct conf_check *c)
{
	struct node *there = node_get(into, child->name);
	size_t before;

	if (there == NULL) {
		node_add(into, child);
		return;
	}
	before = check_push(c, child->name);
	if (there->type == NODE_GROUP && child->type == NODE_GROUP) {
		node_merge(there, child, c);
	} else if (there->type == NODE_LIST && child->type == NODE_LIST) {
		join(there, child);
	} else {
		struct conf_place at = node_place(child, c->at.path);

		check_error_at(c, &at, "is set already at %s:%u; it may stand in one file only",
		    there->file, there->line);
	}
	check_cut(c, before);
}

void
node_merge(struct node *into, struct node *from, struct conf_check *c)
{
	for (struct node *child = from->first, *next; child != NULL; child = next) {
		next = child->next;
		merge_one(into, child, c);
	}
}
