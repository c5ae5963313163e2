/* SPDX-License-Identifier: Apache-2.0
 *
 * How it stands with the console, for status, metrics and the log: one line for each change of
 * state, not for each try.
 */
#ifndef GW_REDIS_STATUS_H
#define GW_REDIS_STATUS_H

#include "master/watcher/redis/link.h"
#include "master/watcher/redis/sync.h"
#include "shm/procs.h"

struct status {
	struct console_status *s; /* NULL: there is nobody to look at it */
	char word[24];            /* of sync, said last in the log */
	bool down_said, deaf_said;
};

void status_start(struct status *t);
void status_up(struct status *t, const char *server);
void status_down(struct status *t, const char *server, enum link_end how, const char *why);
void status_bell(struct status *t, bool heard, const char *why);
/* ack: why the acknowledgement cannot be written, or "". */
void status_sync(struct status *t, const struct sync *s, const char *ack);
void status_ack_refused(struct status *t);

#endif
