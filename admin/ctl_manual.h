/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl's manual page, printed from its command table.
 */
#ifndef GW_CTL_MANUAL_H
#define GW_CTL_MANUAL_H

#include "admin/ctl.h"

void ctl_manual(FILE *f); /* mdoc(7) */

#endif
