/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader process: reads the files, sends LOADED on h->chan, exits 0 whatever the verdict. A
 * crash here is a failed reload.
 */
#ifndef GW_LOADER_H
#define GW_LOADER_H

#include "shm/heritage.h"

proc_main_f loader_main;

#endif
