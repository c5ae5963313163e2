/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration files in libconfig's grammar to node trees. The only door to libconfig.
 */
#ifndef GW_READ_H
#define GW_READ_H

#include "conf/check.h"
#include "conf/node.h"
#include "conf/runs.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

/* The file's tree, its strings alive until ws_free, or NULL after errors. `dir` is where @include
 * looks. With runs, what is long in the top's lists is not in the tree, but behind the members that
 * are: NODE_RUN, each for many, unless the file includes others. Runs live longer than the tree. */
struct node *read_file(
    const char *path, const char *dir, struct runs *runs, struct ws *ws, struct conf_check *c);
/* As read_file, from memory; `name` stands for the file in errors and must outlive the tree. */
struct node *read_text(
    struct str text, const char *name, const char *dir, struct ws *ws, struct conf_check *c);

/* For the files of one load; see runs.h. */
struct runs *read_runs_new(struct ws *ws, size_t aim);

/* The members of a NODE_RUN, which is read once. -1 after an error through c: its text is not well
 * formed. Strings of the members live until run_give(n->run). */
struct run_reading {
	struct run *run;
	const void *list;
};
int read_run(const struct node *n, struct run_reading *rr, struct conf_check *c) NODISCARD;
/* The i-th of n->run->members, in `ws`. */
const struct node *read_run_member(
    const struct run_reading *rr, uint32_t i, struct ws *ws, struct conf_check *c);

#endif
