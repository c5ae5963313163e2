/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"
#include "shm/base/list.h"

struct item {
	struct list node;
	int v;
};

static int
sum_in_order(struct list *head)
{
	int sum = 0;

	list_each (n, head)
		sum = sum * 10 + container_of(n, struct item, node)->v;
	return sum;
}

static void
order(void **state)
{
	struct list head = LIST_INIT(head);
	struct item items[4];

	(void)state;
	assert_true(list_empty(&head));
	assert_null(list_first(&head));
	for (int i = 0; i < 4; i++) {
		items[i].v = i + 1;
		list_init(&items[i].node);
	}
	list_push(&head, &items[1].node);
	list_push(&head, &items[2].node);
	list_unshift(&head, &items[0].node);
	list_unshift(&head, &items[3].node);
	assert_int_equal(sum_in_order(&head), 4123);
	assert_ptr_equal(list_first(&head), &items[3].node);
	list_del(&items[1].node);
	list_del(&items[1].node); /* twice is harmless */
	assert_int_equal(sum_in_order(&head), 413);
	list_each_safe (n, &head)
		list_del(n);
	assert_true(list_empty(&head));
}

static const struct CMUnitTest tests[] = {TEST(order)};
RUN_TESTS(tests)
