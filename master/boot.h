/* SPDX-License-Identifier: Apache-2.0
 *
 * The start: loader, settings, directories and lock, regions, logger and keeper, the first
 * configuration, listeners, then prober, workers and admin, ready. What goes wrong on the way is
 * said on stderr, and the exit status is 1.
 */
#ifndef GW_BOOT_SEQUENCE_H
#define GW_BOOT_SEQUENCE_H

#include "master/master.h"

void boot_begin(struct master *m);
/* The first settings are there: all that must exist before the keeper. -1 with *error_r. */
int boot_prepare(struct master *m, const char **error_r) NODISCARD;
/* The first configuration is in force: whoever serves it is started. */
void boot_serve(struct master *m);
/* A child is up: maybe the last that was missing. */
void boot_progress(struct master *m);
void boot_logging(struct master *m); /* the logger is up */
/* The start has failed; `why` may have many lines. */
void boot_fail(struct master *m, struct str why);
/* A child said it cannot start, or died: at the start that may be the end of it. */
void boot_child_failed(struct child *c, const char *why);
void boot_child_died(struct child *c, const char *how);

#endif
