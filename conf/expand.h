/* SPDX-License-Identifier: Apache-2.0
 *
 * The environment in strings: ${VAR}, ${VAR:-default}, and $$ for a dollar. A dollar before
 * anything else is just a dollar.
 */
#ifndef GW_EXPAND_H
#define GW_EXPAND_H

#include "conf/check.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

/* 1 with the result, `s` itself where there is nothing to expand; -1 after an error at c's place.
 */
int expand(struct str s, struct ws *ws, struct conf_check *c, struct str *out_r) NODISCARD;

/* A variable's name: letters, digits, "_", no digit first, at most 127. */
bool expand_name_ok(struct str s);

#endif
