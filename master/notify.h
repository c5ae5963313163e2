/* SPDX-License-Identifier: Apache-2.0
 *
 * Telling systemd (or whoever set NOTIFY_SOCKET) how it stands with us: one datagram, by hand,
 * never waiting.
 */
#ifndef GW_NOTIFY_H
#define GW_NOTIFY_H

#include "shm/base/base.h"

/* Lines as sd_notify(3) has them: "READY=1\nMAINPID=7". Nothing happens without NOTIFY_SOCKET. */
void notify(const char *fmt, ...) PRINTF(1, 2);

#endif
