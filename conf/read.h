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
/* The same, but groups in the lists of the top are NODE_FOLDED unless the file includes others: a
 * hundred thousand of them are read one at a time, each into memory that is used again. */
struct node *read_file_folded(
    const char *path, const char *dir, struct ws *ws, struct conf_check *c);
/* A folded group with its members, in `ws`; any other node is itself. Errors through c. */
const struct node *read_unfold(const struct node *n, struct ws *ws, struct conf_check *c);
/* As read_file, from memory; `name` stands for the file in errors and must outlive the tree. */
struct node *read_text(
    struct str text, const char *name, const char *dir, struct ws *ws, struct conf_check *c);

#endif
