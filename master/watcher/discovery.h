/* SPDX-License-Identifier: Apache-2.0
 *
 * The discovery process: looks up the host names of endpoints that did not come through the loader,
 * and again when the answers grow old. Started when the keeper first has such a name. RESOLVE
 * brings the list, RESOLVED says what a name stands for now; at its start it says a nameless
 * RESOLVED, for the list went with its predecessor.
 *
 * For tests: GATEWAY_TEST_DNS=127.0.0.1:5353 is asked in place of resolv.conf's servers.
 */
#ifndef GW_DISCOVERY_H
#define GW_DISCOVERY_H

#include "shm/heritage.h"

proc_main_f discovery_main;

#endif
