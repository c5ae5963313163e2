/* SPDX-License-Identifier: Apache-2.0
 *
 * The prober process: owner of the arena's housekeeping. Gives back what a dead worker held, ends
 * verdicts and ejections whose time is over. Active health checks live here where a service asks
 * for them.
 */
#ifndef GW_PROBER_H
#define GW_PROBER_H

#include "shm/heritage.h"

proc_main_f prober_main;

#endif
