/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: pieces of a long list of the top, each of some hundred members, that are parsed one at a
 * time while those before them are being loaded. So of a file of a hundred thousand routes a few
 * hundred are in memory as a tree, in blocks that are used again, and a second thread reads ahead.
 * Who reads (read.c) cuts the text and says how a run is parsed; here is in which order, and by
 * whom.
 */
#ifndef GW_RUNS_H
#define GW_RUNS_H

#include "shm/base/buf.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

#define RUNS_AIM (32u << 10) /* octets of a run: its tree stays in a core's cache */

struct runs;

/* How a run's text becomes a tree and a tree goes. Called by either thread, never for the same run
 * by both; parse returns a tree in any case, for an error is in it too. */
struct run_ops {
	void *(*parse)(struct str text);
	void (*drop)(void *tree);
};

struct run {
	struct str text; /* members with commas between them; alive as long as the runs */
	const char *file;
	uint32_t line, members; /* where the text begins, and how many there are */
	/* runs.c's */
	struct runs *all;
	uint32_t index, state;
	void *tree;
	struct run *next;
};

/* Until ws_free, which waits for the thread and drops all trees. `aim`: RUNS_AIM but in tests. */
struct runs *runs_new(struct ws *ws, const struct run_ops *ops, size_t aim);
size_t runs_aim(const struct runs *all);
/* Takes a text that runs lie in; `text` is empty then. Its octets stay where they are. */
void runs_keep(struct runs *all, struct gbuf *text);
/* All are added before the first is taken. */
struct run *runs_add(
    struct runs *all, struct str text, const char *file, uint32_t line, uint32_t members);

/* The run's tree. It waits for the thread where that has begun with it, and parses another one
 * meanwhile. From here on those behind it are parsed ahead. Once for each run. */
void *run_take(struct run *r);
/* The tree is needed no more. */
void run_give(struct run *r);

#endif
