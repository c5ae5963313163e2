/* SPDX-License-Identifier: Apache-2.0
 *
 * A scan for control octets: what may be in no line of a log and in no field of a head.
 */
#ifndef GW_CTL_H
#define GW_CTL_H

#include "shm/base/base.h"

/* Index of the first octet below 0x20 or 0x7f at or after `from`; n when there is none. */
size_t ctl_find(const char *p, size_t from, size_t n);

#endif
