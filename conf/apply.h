/* SPDX-License-Identifier: Apache-2.0
 *
 * One change set against the map: what differs, numbers, rows, tables, in a single transaction that
 * stays open until somebody says commit. One at a time. Called by the keeper process and by
 * `gateway -t`.
 */
#ifndef GW_APPLY_H
#define GW_APPLY_H

#include "conf/check.h"
#include "conf/store.h"
#include "shm/heritage.h"

struct apply;

struct apply_listener {
	uint32_t number, backlog;
	char id[64];
	struct addr addr;
	char place[128]; /* "file:line" */
};

/* Everything up to the commit. The descriptor may be closed afterwards. NULL: refused, and `report`
 * has the reasons; nothing was changed. */
struct apply *apply_compile(struct store *s, int changeset_fd, struct conf_check *report);

uint32_t apply_changed(const struct apply *a); /* objects put and deleted; 0: nothing to do */
/* All listeners as they will be. */
const struct apply_listener *apply_listeners(const struct apply *a, unsigned *n_r);

/* Ends it either way and frees it. -1: not committed, and `report` says why. With nothing to do the
 * generation stays. */
int apply_commit(struct apply **a, struct conf_check *report) NODISCARD;
void apply_abort(struct apply **a);

#endif
