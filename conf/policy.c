/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of policy types of this process, set once by main (or a test).
 */
#include "conf/policy.h"

static struct {
	const struct policy_type *const *list;
} policy_registry;

void
policy_types_set(const struct policy_type *const *list)
{
	policy_registry.list = list;
}

const struct policy_type *const *
policy_types(void)
{
	return policy_registry.list;
}

const struct policy_type *
policy_type_find(struct str name)
{
	const struct policy_type *const *p = policy_registry.list;

	for (; p != NULL && *p != NULL; p++)
		if (str_eq(str_of((*p)->name), name))
			return *p;
	return NULL;
}
