/* SPDX-License-Identifier: Apache-2.0
 *
 * For those who throw a store away (keeper_try.c, tests).
 */
#ifndef GW_STORE_PRIV_H
#define GW_STORE_PRIV_H

#include "conf/store.h"

/* Maps and arena below run_dir, and run_dir itself. */
void store_remove(const char *run_dir);

#endif
