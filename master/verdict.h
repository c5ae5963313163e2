/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of a reload, told to the log, to the process table and to everybody who asked.
 */
#ifndef GW_VERDICT_H
#define GW_VERDICT_H

#include "master/master.h"

void verdict_good(struct master *m, const struct reload_outcome *o);
void verdict_bad(struct master *m, const struct reload_outcome *o);
/* A run of the keeper's document: the log is told, nobody waits here. */
void verdict_submitted(const struct master *m, const struct reload_outcome *o);
/* The first lines of a report go to the log, each after `what`. The descriptor is taken over. */
void verdict_note(enum log_level level, const char *what, int report);
/* This admin process waits for the outcome of the run. */
void verdict_owe(struct master *m, const struct child *admin, uint32_t id, uint64_t run);
void verdict_forget(struct master *m, unsigned row);
/* "not while stopping": an answer without a run. */
void verdict_refuse(struct child *admin, uint32_t id, const char *why);

#endif
