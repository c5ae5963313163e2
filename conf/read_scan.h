/* SPDX-License-Identifier: Apache-2.0
 *
 * A look through a configuration text before libconfig sees it, for what libconfig would take and
 * silently change: integers it cuts, NUL octets it stops at.
 */
#ifndef GW_READ_SCAN_H
#define GW_READ_SCAN_H

#include "conf/check.h"
#include "shm/base/str.h"

/* 1, or -1 after errors. *includes_r: is there what may be an @include? */
int read_scan(struct str text, const char *name, bool *includes_r, struct conf_check *c) NODISCARD;

#endif
