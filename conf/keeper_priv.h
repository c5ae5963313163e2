/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper process, for keeper.c (messages of the master) and keeper_verdict.c (those of admin).
 */
#ifndef GW_KEEPER_PRIV_H
#define GW_KEEPER_PRIV_H

#include "conf/apply.h"
#include "conf/keeper.h"
#include "conf/verdicts.h"
#include "shm/base/loop.h"
#include "shm/base/msg.h"
#include "shm/beat.h"

struct keeper {
	const struct heritage *h;
	struct loop *loop;
	struct beat *beat;
	struct store store;
	struct state *state; /* NULL: verdicts do not outlive the instance */
	struct verdicts *verdicts;
	struct table *table;   /* committed generations, for verdicts */
	struct apply *pending; /* compiled, waiting for COMMIT or ABORT */
	uint32_t txn;          /* its id */
	bool prepared;         /* this process has gone through a PREPARE */
	struct watch chan, admin;
	struct timer expiry;
	int status;
	struct msg in, out;
};

/* Waits a little for room; a peer that does not read for long is given up: 1 or -1. */
int keeper_send(int fd, struct msg *m) NODISCARD;

/* keeper_verdict.c */
void keeper_endpoint_set(struct keeper *k, struct msg *m);
void keeper_expiry_start(struct keeper *k);

#endif
