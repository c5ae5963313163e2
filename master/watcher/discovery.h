/* SPDX-License-Identifier: Apache-2.0
 *
 * The discovery process: looks up the host names of endpoints that did not come through the loader,
 * and again when the answers grow old. Started when the keeper first has such a name.
 */
#ifndef GW_DISCOVERY_H
#define GW_DISCOVERY_H

#include "shm/heritage.h"

proc_main_f discovery_main;

#endif
