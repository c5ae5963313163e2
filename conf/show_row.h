/* SPDX-License-Identifier: Apache-2.0
 *
 * What show.c and show_json.c agree on.
 */
#ifndef GW_SHOW_ROW_H
#define GW_SHOW_ROW_H

#include "conf/field.h"

/* Is the row to be printed: with `all`, what has a default or a value; else what differs. */
bool show_wanted(const struct fields *f, const struct field *row, const void *self, bool all);

#endif
