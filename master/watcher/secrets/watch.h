/* SPDX-License-Identifier: Apache-2.0
 *
 * Do files that objects name change? They are looked at once a second, as many of them as fit a
 * tick, through whatever symlinks lead there: directories on the way may be swapped, and file
 * systems that tell nobody are looked at all the same. What changed is told once it has been quiet
 * for a moment.
 */
#ifndef GW_SECRETS_WATCH_H
#define GW_SECRETS_WATCH_H

#include "shm/base/loop.h"

#define WATCH_TICK_MS  1000
#define WATCH_PER_TICK 2000
#define WATCH_QUIET_MS 250
#define WATCH_LATE_MS  3000 /* told by then, quiet or not */

/* The paths of a change set's objects, and how the files look at this moment: made before they are
 * read, so that nothing that happens meanwhile is missed. */
struct watch_list;
struct watch_list *watch_list_new(int objects);
void watch_list_free(struct watch_list **l);
uint32_t watch_list_n(const struct watch_list *l);

struct secrets_watch;
typedef void secrets_watch_f(void *arg);
/* fn is called from the loop. */
struct secrets_watch *secrets_watch_new(struct loop *loop, secrets_watch_f *fn, void *arg);
void secrets_watch_free(struct secrets_watch **w);
/* Takes the list over, in the place of the one before. */
void secrets_watch_use(struct secrets_watch *w, struct watch_list **l);

#endif
