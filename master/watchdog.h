/* SPDX-License-Identifier: Apache-2.0
 *
 * The master's clock: four times a second it looks at the heartbeats and at slots that wait to be
 * reaped.
 */
#ifndef GW_WATCHDOG_H
#define GW_WATCHDOG_H

#include "master/master.h"

void watchdog_start(struct master *m);

#endif
