/* SPDX-License-Identifier: Apache-2.0
 *
 * A child's life as the master sees it: states, the process table's row, messages to it, and when
 * its place may be filled. Starting is in spawn.c, ending in reap.c.
 */
#ifndef GW_CHILD_H
#define GW_CHILD_H

#include "master/master.h"

void children_init(struct master *m); /* one of each kind; workers' rows as slots are known */
void children_slots(struct master *m, unsigned slots);

/* The one place that changes a state: it writes the row, tells of steering, and looks whether all
 * are up. */
void child_set_state(struct child *c, enum child_state state);
/* Sends what lies in m->out: true when it is on its way. A child whose channel is full does not
 * read: it is killed and replaced. */
bool child_send(struct child *c);
void child_begin(struct child *c, enum msg_type type, uint32_t id); /* msg_begin(&m->out, ...) */
/* Its words cannot be believed, or it does not listen: it is killed, and replaced if wanted. */
void child_kill(struct child *c, const char *why);
void child_chan_close(struct child *c);

/* Wanted from now on (or not any more: it is left as it is). */
void child_want(struct child *c, bool wanted);
/* Its settings have changed: the process there is, if any, is told to leave, and a new one takes
 * its place at once if it is wanted still. No death: no back-off, no complaint. */
void child_renew(struct child *c, bool wanted);
/* Starts it if it is wanted, absent, rested and, for a worker, reaped, and no certificates are
 * pledged that it would miss. */
void child_fill(struct child *c);
void children_fill(struct master *m); /* workers that waited for something */
/* Tells the prober to give back what dead workers held; fills slots for which nobody can. */
void children_reap(struct master *m);
/* All without whom the gateway is not ready are up. */
bool children_up(struct master *m);
/* There is a process still. */
bool children_left(struct master *m);
/* Tells the kernel which slots take connections, where that changed; anew: in any case. */
void children_steer(struct master *m, bool anew);

#endif
