/* SPDX-License-Identifier: Apache-2.0
 *
 * The redis group of the settings: rows in settings_redis.c.
 */
#ifndef GW_SETTINGS_REDIS_H
#define GW_SETTINGS_REDIS_H

#include "conf/field.h"

extern const struct fields redis_fields;

#endif
