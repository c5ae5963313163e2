/* SPDX-License-Identifier: Apache-2.0
 *
 * What the master holds of certificates and keys, and never reads: the objects that name them (as
 * the keeper sent them with PREPARE), the bundle and the facts that the secrets process made of
 * those; once as they are in force, once as a reload under way has them. Successors of workers,
 * admin and the secrets process get theirs from here.
 *
 *	ask -> (SEAL, SEALED) -> offer -> adopt       what a reload brings
 *	                     '-> retract, forget      ... and does not keep
 *	unasked SEALED {0} -> in force at once        files changed by themselves
 *
 * The secrets process is wanted while there are objects. One that dies over a question is asked
 * again in its successor, once.
 */
#ifndef GW_VAULT_H
#define GW_VAULT_H

#include "master/reload.h"

struct child;
struct master;

struct vault_set {
	uint32_t txn;
	int objects, bundle, facts; /* -1: none */
};

struct vault {
	struct vault_set now, next; /* next.objects -1: no reload has any under way */
	bool asking;                /* SEALED for `next` has not come */
	bool sent;                  /* the process there is has the question, or answered it */
	bool offered;               /* workers have next.bundle */
	unsigned deaths;            /* of the process over this question */
};

void vault_init(struct vault *v);
void vault_close(struct vault *v);

/* These objects are to be sealed: reload_sealed or reload_seal_failed follows. What was under way
 * before is forgotten. The descriptor is taken over. */
void vault_ask(struct master *m, uint32_t txn, int objects);
/* Hands what was sealed to a worker: the number of acknowledgements that will come, 0 or 1. */
unsigned vault_offer(struct child *worker, uint32_t txn);
/* Committed. Where no object changed there is no new generation for workers to wait for: they are
 * told that the bundle is in force. */
void vault_adopt(struct master *m, enum reload_seal what, uint32_t changed);
/* Not committed: no worker goes by it ... and nobody watches its files. */
void vault_retract(struct master *m);
void vault_forget(struct master *m);

/* The secrets process. */
void vault_up(struct child *secrets);              /* it is READY */
void vault_gone(struct child *secrets, bool told); /* told: it was asked to leave */
/* SEALED. Descriptors are taken over, -1 where there is none. */
void vault_sealed(struct child *secrets, uint32_t txn, bool ok, int report, int bundle, int facts);

#endif
