/* SPDX-License-Identifier: Apache-2.0
 *
 * Intrusive doubly linked ring. A node that is on no list points at itself, so removing twice is
 * harmless.
 */
#ifndef GW_LIST_H
#define GW_LIST_H

#include "shm/base/base.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name)                                                                            \
	{                                                                                          \
		&(name), &(name)                                                                   \
	}

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}
static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}
static inline void
list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}
static inline void
list_push(struct list *head, struct list *n) /* at the end */
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}
static inline void
list_unshift(struct list *head, struct list *n) /* at the front */
{
	list_push(head->next, n);
}
static inline struct list *
list_first(const struct list *head) /* NULL when empty */
{
	return head->next == head ? NULL : head->next;
}
static inline struct list *
list_shift(struct list *head) /* takes the first off; NULL when empty */
{
	struct list *n = head->next;

	if (n == head)
		return NULL;
	head->next = n->next;
	n->next->prev = head;
	list_init(n);
	return n;
}

#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(it, head)                                                                   \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                  \
	     it = it##_next, it##_next = it->next)

#endif
