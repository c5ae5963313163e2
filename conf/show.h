/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects back to people and machines: libconfig text (gateway -T, config show), JSON (admin API).
 */
#ifndef GW_SHOW_H
#define GW_SHOW_H

#include <jansson.h>

#include "conf/object.h"

/* One object's body as a libconfig group, indented by `depth` levels. all: defaults too. */
void show_libconfig(const struct fields *f, const void *self, bool all, unsigned depth, struct gbuf *out);
/* A new reference; the caller decrefs. */
json_t *show_json(const struct fields *f, const void *self, bool all);

#endif
