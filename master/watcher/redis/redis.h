/* SPDX-License-Identifier: Apache-2.0
 *
 * The redis process: carries the console's changes from Redis to the keeper and says there what
 * became of them. Runs only where redis.addresses names somebody.
 */
#ifndef GW_REDIS_H
#define GW_REDIS_H

#include "shm/heritage.h"

proc_main_f redis_main;

#endif
