/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the errors of a load go: all of them, each "file:line: setting: what is wrong, what is allowed".
 */
#ifndef GW_CHECK_H
#define GW_CHECK_H

#include "shm/base/base.h"
#include "shm/base/buf.h"
#include "shm/base/str.h"

struct conf_place {
	struct str file; /* "" for what did not come from a file */
	uint32_t line;
	struct str path; /* "routes[orders].policies[0].allow" */
};

struct conf_check {
	struct gbuf text; /* one line each: "file:line: path: message\n"; warnings begin "warning: " after the place */
	uint32_t errors, warnings;
	struct conf_place at; /* of what is being read; the readers move it */
};

void check_init(struct conf_check *c);
void check_free(struct conf_check *c);
/* `setting` names the row below the current place, or NULL for the place itself. At most 200 lines are kept; all are counted. */
void check_error(struct conf_check *c, const char *setting, const char *fmt, ...) PRINTF(3, 4);
void check_warn(struct conf_check *c, const char *setting, const char *fmt, ...) PRINTF(3, 4);
void check_error_at(struct conf_check *c, const struct conf_place *at, const char *fmt, ...) PRINTF(3, 4);

#endif
