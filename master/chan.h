/* SPDX-License-Identifier: Apache-2.0
 *
 * What children say to the master: one table of message types, who may send them, and what is done.
 */
#ifndef GW_CHAN_H
#define GW_CHAN_H

#include "master/master.h"

void chan_ready(struct watch *w, uint32_t events); /* callback of a child's channel */
/* Reads what a dead child had still said. */
void chan_drain(struct child *c);

#endif
