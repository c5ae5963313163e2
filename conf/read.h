/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration files in libconfig's grammar to node trees. The only door to libconfig.
 */
#ifndef GW_READ_H
#define GW_READ_H

#include "conf/check.h"
#include "conf/node.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

/* The file's tree, its strings alive until ws_free, or NULL after errors. `dir` is where @include
 * looks. */
struct node *read_file(const char *path, const char *dir, struct ws *ws, struct conf_check *c);
/* The same from memory; `name` stands for the file in errors and must outlive the tree. */
struct node *read_text(
    struct str text, const char *name, const char *dir, struct ws *ws, struct conf_check *c);

#endif
