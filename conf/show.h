/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects back to people and machines: libconfig text (gateway -T, config show), JSON (admin API).
 * What is printed can be loaded again and gives the same objects.
 */
#ifndef GW_SHOW_H
#define GW_SHOW_H

#include <jansson.h>

#include "conf/object.h"

/* The settings of one object, a line each, indented by `depth` levels. all: defaults too. */
void show_libconfig(
    const struct fields *f, const void *self, bool all, unsigned depth, struct gbuf *out);

/* A whole configuration file from objects, which stand together by kind, settings first. -1 when a
 * body is malformed. */
int show_objects(const struct conf_object *v, uint32_t n, bool all, struct gbuf *out) NODISCARD;

/* A new reference; the caller decrefs. */
json_t *show_json(const struct fields *f, const void *self, bool all);

#endif
