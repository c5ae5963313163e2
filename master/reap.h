/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of children: who has gone, what that means for the others, and when it is replaced.
 */
#ifndef GW_REAP_H
#define GW_REAP_H

#include "master/master.h"

void reap_children(struct master *m); /* SIGCHLD */

#endif
