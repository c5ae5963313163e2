/* SPDX-License-Identifier: Apache-2.0
 *
 * Reloads carried out: the operations of reload.h on real processes and sockets, and what follows
 * from an outcome.
 */
#ifndef GW_CHANGE_H
#define GW_CHANGE_H

#include "master/master.h"

extern const struct reload_ops change_ops; /* arg: struct master */

void change_request(struct master *m);               /* HUP: nobody waits for the verdict */
void change_asked(struct child *admin, uint32_t id); /* RELOAD: admin does */
void change_loader_gone(struct master *m, int status);
void change_level(struct master *m, enum log_level level);
/* "exited with 1", "was killed by signal 9 (Killed)". */
const char *change_status_text(int status, char out[64]);

#endif
