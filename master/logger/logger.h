/* SPDX-License-Identifier: Apache-2.0
 *
 * The logger process: drains the error log's pipe and the access rings into files, stdout or
 * stderr. Lossy where it must be, counted, never in anybody's way.
 */
#ifndef GW_LOGGER_H
#define GW_LOGGER_H

#include "shm/heritage.h"

proc_main_f logger_main;

#endif
