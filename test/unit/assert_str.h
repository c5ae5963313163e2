/* SPDX-License-Identifier: Apache-2.0
 *
 * CMocka assertions on slices. Included after harness.h.
 */
#ifndef GW_ASSERT_STR_H
#define GW_ASSERT_STR_H

#include "shm/base/str.h"

#define assert_str(s, z) assert_str_at((s), STR(z), __FILE__, __LINE__)

UNUSED static void
assert_str_at(struct str got, struct str want, const char *file, int line)
{
	if (str_eq(got, want))
		return;
	print_error("\"%.*s\" is not \"%.*s\"\n", STR_ARG(got), STR_ARG(want));
	_fail(file, line);
}

#endif
