/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaving: QUIT drains and then stops; TERM stops at once. Also a single worker's retirement when
 * there are to be fewer.
 */
#ifndef GW_STOP_H
#define GW_STOP_H

#include "master/master.h"

void stop_drain(struct master *m);    /* QUIT */
void stop_now(struct master *m);      /* TERM; again: nobody is given time any more */
void stop_progress(struct master *m); /* a child has gone */
void stop_retire(struct child *worker);
void stop_late(struct timer *t); /* callback of the master's stop timer */

#endif
