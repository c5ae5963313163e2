/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin process: the admin API (HTTP and JSON over a local Unix socket) and /metrics (there,
 * and on an optional TCP listener). It reads shared memory and asks master and keeper; it changes
 * nothing itself.
 */
#ifndef GW_ADMIN_H
#define GW_ADMIN_H

#include "shm/heritage.h"

proc_main_f admin_main;

#endif
